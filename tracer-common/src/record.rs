//! What crosses the ring buffer. Integers are in the byte order of the machine, addresses
//! in network byte order; an IPv4 address stands in the first four of 16 bytes. Text ends
//! at its first NUL.

use crate::limits;

/// The start of every record.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// A number of [`crate::event`].
    pub event: u16,
    /// A number of [`crate::event::hook`].
    pub hook: u8,
    /// Bits of [`crate::event::flag`].
    pub flags: u8,
    pub reserved: u32,
    /// Nanoseconds since boot, `bpf_ktime_get_boot_ns`: it goes on in suspend.
    pub at_ns: u64,
}

/// A record for which the ring had no room. In a ring of its own, and without a [`Header`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Nanoseconds since boot, as in [`Header`].
    pub at_ns: u64,
    /// A number of [`crate::loss`].
    pub class: u32,
    pub processor: u32,
    /// The two ports of its TCP connection, the lower one in the upper half; 0 where it is of
    /// none, or of one that could not be told.
    pub ports: u32,
    pub reserved: u32,
}

/// A frame; `captured` bytes follow.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    pub header: Header,
    /// Socket cookie, 0 where the hook knows no socket.
    pub cookie: u64,
    /// Bytes on the wire.
    pub original_length: u32,
    /// Bytes that follow.
    pub captured: u32,
    pub interface: u32,
    /// VLAN protocol (0x8100, 0x88a8), 0 without an out-of-band tag. Host byte order.
    pub vlan_protocol: u16,
    /// Tag control information of the out-of-band tag. Host byte order.
    pub vlan_tag: u16,
    /// One of [`crate::event::direction`].
    pub direction: u8,
    /// One of [`crate::event::link`].
    pub link: u8,
    pub reserved: [u8; 6],
}

/// A frame being put together.
#[repr(C)]
pub struct FrameBuffer {
    pub head: FrameHead,
    pub bytes: [u8; limits::FRAME_BYTES],
}

/// A TCP socket changed its state.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpState {
    pub header: Header,
    /// Address of `struct sock`.
    pub socket: u64,
    /// Socket cookie, 0 where none is assigned yet.
    pub cookie: u64,
    /// inode number of the network namespace, 0 where unknown.
    pub network: u32,
    pub family: u16,
    /// Numbers of include/net/tcp_states.h.
    pub from: u8,
    pub to: u8,
    pub local_port: u16,
    pub remote_port: u16,
    pub tgid: u32,
    pub tid: u32,
    pub uid: u32,
    pub local: [u8; 16],
    pub remote: [u8; 16],
    pub comm: [u8; limits::COMM],
}

/// A TCP segment, or bytes that a process writes or reads, passed a layer of the kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerPassage {
    pub header: Header,
    /// Sequence number of the first payload byte. Host byte order.
    pub sequence: u32,
    /// Payload bytes.
    pub length: u32,
    pub family: u16,
    /// One of [`crate::event::place`].
    pub place: u8,
    pub reserved: u8,
    pub source_port: u16,
    pub destination_port: u16,
    pub source: [u8; 16],
    pub destination: [u8; 16],
}

/// The numbers of a TCP socket at one moment. A number that this kernel does not have is
/// [`UNKNOWN`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSample {
    pub header: Header,
    /// Socket cookie, 0 where none is assigned.
    pub cookie: u64,
    /// Bytes of this end that the peer has acknowledged; SYN and FIN count.
    pub bytes_acked: u64,
    /// Bytes of the peer that this end has acknowledged; SYN and FIN count.
    pub bytes_received: u64,
    /// Smoothed round-trip time, 1/8 microseconds.
    pub srtt: u32,
    /// Mean deviation of the round-trip time, 1/4 microseconds.
    pub mdev: u32,
    /// Congestion window, segments.
    pub cwnd: u32,
    /// Slow start threshold, segments.
    pub ssthresh: u32,
    /// Segments sent again since the socket was made.
    pub total_retrans: u32,
    /// Segments considered lost now.
    pub lost: u32,
    /// Segments sent and not yet acknowledged.
    pub packets_out: u32,
    pub family: u16,
    /// One of [`crate::event::sample`].
    pub moment: u8,
    /// One of `TCP_CA_*` of include/uapi/linux/tcp.h, 0xff where unknown.
    pub ca_state: u8,
    pub local_port: u16,
    pub remote_port: u16,
    /// inode number of the network namespace, 0 where unknown.
    pub network: u32,
    pub local: [u8; 16],
    pub remote: [u8; 16],
}

/// Number of a [`TcpSample`] or [`TcpReset`] that this kernel does not have.
pub const UNKNOWN: u32 = u32::MAX;

/// A TCP socket sent a segment again.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpRetransmit {
    pub header: Header,
    pub cookie: u64,
    /// Sequence numbers of the first byte and of the one behind the last. Host byte order.
    pub sequence: u32,
    pub end_sequence: u32,
    pub family: u16,
    /// Numbers of include/net/tcp_states.h.
    pub state: u8,
    /// One of `TCP_CA_*` of include/uapi/linux/tcp.h, 0xff where unknown.
    pub ca_state: u8,
    /// One of `ICSK_TIME_*` of include/net/inet_connection_sock.h, 0xff where unknown.
    pub pending: u8,
    pub reserved: [u8; 3],
    pub local_port: u16,
    pub remote_port: u16,
    /// inode number of the network namespace, 0 where unknown.
    pub network: u32,
    pub local: [u8; 16],
    pub remote: [u8; 16],
}

/// TCP sent or received a reset.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpReset {
    pub header: Header,
    /// A number of `enum sk_rst_reason`, [`UNKNOWN`] where the kernel does not say.
    pub reason: u32,
    pub family: u16,
    /// One of [`crate::event::reset`].
    pub action: u8,
    pub reserved: u8,
    pub local_port: u16,
    pub remote_port: u16,
    /// inode number of the network namespace, 0 where unknown.
    pub network: u32,
    pub local: [u8; 16],
    pub remote: [u8; 16],
}

/// The kernel gave up a packet.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketDrop {
    pub header: Header,
    /// Of the socket that sent a TCP segment; 0 where this is not known.
    pub cookie: u64,
    /// A number of `enum skb_drop_reason`.
    pub reason: u32,
    /// TCP. Host byte order.
    pub sequence: u32,
    pub family: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// TCP: the byte of the flags from CWR to FIN.
    pub flags: u8,
    pub source_port: u16,
    pub destination_port: u16,
    /// inode number of the network namespace, 0 where unknown.
    pub network: u32,
    pub reserved: u32,
    pub source: [u8; 16],
    pub destination: [u8; 16],
}

/// A process used a socket, in its own context.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketOwner {
    pub header: Header,
    pub cookie: u64,
    pub tgid: u32,
    pub tid: u32,
    pub uid: u32,
    pub family: u16,
    /// One of [`crate::event::usage`].
    pub usage: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// 0 where unknown.
    pub local_port: u16,
    pub remote_port: u16,
    /// inode number of the network namespace, 0 where unknown.
    pub network: u32,
    pub local: [u8; 16],
    pub remote: [u8; 16],
    /// Of the process, but of the thread where the hook is a cgroup's: those may not look at
    /// the current task on every kernel.
    pub comm: [u8; limits::COMM],
}

/// A lookup in a forwarding table.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    pub header: Header,
    pub tgid: u32,
    pub table: u32,
    /// IPv4: 0 or a negative errno. IPv6: 0.
    pub error: i32,
    pub family: u16,
    /// 0: no gateway.
    pub gateway_family: u16,
    /// IPv6: RTN_* of include/uapi/linux/rtnetlink.h, 0 where unknown. IPv4: 0.
    pub route_type: u8,
    /// IPv6: not 0 when the table held no route at all.
    pub no_match: u8,
    pub reserved: [u8; 6],
    pub destination: [u8; 16],
    pub source: [u8; 16],
    pub gateway: [u8; 16],
    pub interface: [u8; limits::INTERFACE_NAME],
}

/// Something happened to a neighbour entry.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbor {
    pub header: Header,
    pub tgid: u32,
    pub family: u16,
    /// One of [`crate::event::neighbor`].
    pub action: u8,
    /// NUD_* of include/uapi/linux/neighbour.h.
    pub state: u8,
    /// Not 0: `mac` is known.
    pub has_mac: u8,
    pub reserved: u8,
    pub mac: [u8; 6],
    pub ip: [u8; 16],
    pub interface: [u8; limits::INTERFACE_NAME],
}

/// A call of getaddrinfo(3).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetAddrInfo {
    pub header: Header,
    pub entered_at_ns: u64,
    pub tgid: u32,
    pub tid: u32,
    /// Return value, when `returned` is not 0.
    pub result: i32,
    pub returned: u8,
    pub has_name: u8,
    pub has_service: u8,
    pub reserved: u8,
    pub comm: [u8; limits::COMM],
    pub name: [u8; limits::HOST_NAME],
    pub service: [u8; limits::SERVICE_NAME],
}

/// A resolver's file was opened.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileOpen {
    pub header: Header,
    pub tgid: u32,
    pub tid: u32,
    pub path: [u8; limits::RESOLVER_PATH],
}

/// A process was born.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessFork {
    pub header: Header,
    pub parent: u32,
    pub child: u32,
    pub comm: [u8; limits::COMM],
}

/// A process replaced its program.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessExec {
    pub header: Header,
    pub tgid: u32,
    pub uid: u32,
    /// Bytes of `arguments` in use.
    pub arguments_length: u32,
    pub reserved: u32,
    pub comm: [u8; limits::COMM],
    pub filename: [u8; limits::FILE_NAME],
    /// Arguments separated by NUL, cut at the end.
    pub arguments: [u8; limits::COMMAND_LINE],
}

/// A process ended: its last thread did.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessExit {
    pub header: Header,
    pub tgid: u32,
    /// As in wait(2).
    pub code: u32,
    pub comm: [u8; limits::COMM],
}

// A record with hidden padding would hand uninitialised kernel memory to userspace, and the
// verifier would refuse it.
const _: () = {
    assert!(size_of::<Header>() == 16);
    assert!(size_of::<FrameHead>() == 48);
    assert!(size_of::<TcpState>() == 16 + 16 + 8 + 4 + 12 + 32 + 16);
    assert!(size_of::<LayerPassage>() == 16 + 8 + 8 + 32);
    assert!(size_of::<TcpSample>() == 16 + 24 + 28 + 4 + 8 + 32);
    assert!(size_of::<TcpRetransmit>() == 16 + 16 + 8 + 8 + 32);
    assert!(size_of::<TcpReset>() == 16 + 8 + 8 + 32);
    assert!(size_of::<PacketDrop>() == 16 + 8 + 8 + 8 + 8 + 32);
    assert!(size_of::<SocketOwner>() == 16 + 8 + 12 + 4 + 8 + 32 + 16);
    assert!(size_of::<Route>() == 16 + 12 + 4 + 8 + 64);
    assert!(size_of::<Neighbor>() == 16 + 8 + 8 + 32);
    assert!(size_of::<GetAddrInfo>() == 16 + 8 + 16 + 16 + 288);
    assert!(size_of::<FileOpen>() == 16 + 8 + 64);
    assert!(size_of::<ProcessFork>() == 16 + 8 + 16);
    assert!(size_of::<ProcessExec>() == 16 + 16 + 16 + 256 + 1024);
    assert!(size_of::<ProcessExit>() == 16 + 8 + 16);
};
