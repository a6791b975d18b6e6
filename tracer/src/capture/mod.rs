//! What was observed, in time order, whatever the source: the live ring buffer,
//! a capture file, or a recording of our own.
//!
//! Everything downstream (protocol, journey, report) works on [`Observation`]s only,
//! so that a recording read back gives the same journeys as the live run did.

/// Capture files: pcap and pcapng.
pub mod file;
/// Link-layer header types.
pub mod link_type;
/// Recordings of our own: pcapng that replays into the same journeys.
pub mod recording;

mod class;
mod kernel_path;
mod loss;
mod packet_note;
pub(crate) mod spare;
mod tcp;

pub use tcp::*;

pub use link_type::LinkType;

pub use kernel_path::{KernelLayer, LayerPassage};
pub use loss::LossPlace;
pub use packet_note::{FileComment, NamedBy, NamedProcess, PacketNote};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// One thing that was seen, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Nanoseconds since the start of the capture.
    pub at_ns: u64,
    /// What was seen.
    pub fact: Fact,
}

/// What an [`Observation`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// A frame passed an interface.
    // Recordings keep frames as packets.
    #[serde(skip)]
    Frame(Frame),
    /// A socket of this host changed its TCP state.
    TcpState(TcpStateChange),
    /// Bytes of a TCP stream passed a layer of this kernel.
    LayerPassage(LayerPassage),
    /// The numbers of a TCP socket of this host at one moment.
    TcpSample(TcpSample),
    /// A TCP socket of this host sent a segment again.
    TcpRetransmit(TcpRetransmit),
    /// TCP of this host sent or received a reset.
    TcpReset(TcpReset),
    /// The kernel gave up a packet.
    PacketDrop(PacketDrop),
    /// Listening sockets of this host had no room, since the last such observation.
    ListenQueue(ListenQueue),
    /// A process used a socket, seen in that process's own context.
    SocketOwner(SocketOwner),
    /// The kernel decided on a route.
    RouteLookup(RouteLookup),
    /// The routing table's answer for one destination, asked over rtnetlink.
    RouteDetail(RouteDetail),
    /// The kernel's neighbour table changed or was asked.
    Neighbor(NeighborEvent),
    /// A program called the resolver library.
    GetAddrInfo(GetAddrInfoCall),
    /// A traced process opened one of the resolver's files.
    FileOpen(FileOpen),
    /// A traced process was born, replaced its program, or ended.
    Process(ProcessEvent),
    /// An interface of the watched network namespace, as rtnetlink describes it.
    Interface(Interface),
    /// inode number of the network namespace whose interfaces are watched.
    NetworkNamespace(u32),
    /// A capture file says something of itself.
    Comment(FileComment),
    /// A line of a TLS key log (SSLKEYLOGFILE format, without the line end).
    TlsSecret(String),
    /// What a cooperating client (the built-in one) says it is doing.
    Client(ClientReport),
    /// Events the kernel could not hand over, since the last such observation.
    Lost {
        /// Class of event, for instance `frame`, `tcp_state`, `neighbor`.
        #[serde(deserialize_with = "class::deserialize")]
        class: class::Class,
        /// How many.
        count: u64,
        /// `None` where it is only known that they were lost before this was told.
        #[serde(default)]
        place: Option<LossPlace>,
    },
}

/// Which kind of hook saw something; the words of the JSON contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HookKind {
    Xdp,
    Tcx,
    Clsact,
    Kprobe,
    Fentry,
    TpBtf,
    Tracepoint,
    Uprobe,
    SockOps,
    Cgroup,
    Netlink,
    Pcap,
}

impl HookKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Xdp,
        Self::Tcx,
        Self::Clsact,
        Self::Kprobe,
        Self::Fentry,
        Self::TpBtf,
        Self::Tracepoint,
        Self::Uprobe,
        Self::SockOps,
        Self::Cgroup,
        Self::Netlink,
        Self::Pcap,
    ];

    /// The word used in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::Kprobe => "kprobe",
            Self::Fentry => "fentry",
            Self::TpBtf => "tp_btf",
            Self::Tracepoint => "tracepoint",
            Self::Uprobe => "uprobe",
            Self::SockOps => "sock_ops",
            Self::Cgroup => "cgroup",
            Self::Netlink => "netlink",
            Self::Pcap => "pcap",
        }
    }
}

/// Which way a frame went, seen from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    In,
    Out,
    Unknown,
}

/// A frame as it passed an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Interface index; 0 in files that do not say.
    pub interface: u32,
    pub direction: Direction,
    pub hook: HookKind,
    pub link_type: LinkType,
    /// Socket cookie, where the hook knows the socket.
    pub cookie: Option<u64>,
    /// Length on the wire in bytes; `data` may hold fewer.
    pub original_length: u32,
    pub data: Vec<u8>,
    /// What the capture file says of it beside its bytes.
    pub note: Option<Box<PacketNote>>,
}

/// TCP states, numbered as in include/net/tcp_states.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TcpState {
    Established = 1,
    SynSent = 2,
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
    NewSynRecv = 12,
}

impl TcpState {
    /// The word of RFC 9293 and of ss(8).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv | Self::NewSynRecv => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSED",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
        }
    }
}

impl TryFrom<u8> for TcpState {
    type Error = u8;

    /// Fails with the number itself when the kernel knows a state that we do not.
    fn try_from(number: u8) -> Result<Self, u8> {
        Ok(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            12 => Self::NewSynRecv,
            other => return Err(other),
        })
    }
}

/// A change of state of one TCP socket of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpStateChange {
    /// Address of `struct sock`: one socket's identity while it lives. The socket cookie
    /// is not yet assigned when a child leaves LISTEN, this is.
    pub socket: u64,
    /// Socket cookie, `None` where the kernel has not assigned one yet.
    pub cookie: Option<u64>,
    /// inode number of the socket's network namespace, where its layout is known.
    pub network_namespace: Option<u32>,
    pub from: TcpState,
    pub to: TcpState,
    /// Port 0 where not chosen yet (SYN_SENT comes before the choice of the source port).
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// The task in whose context it happened. This is the owner only for transitions
    /// made by a system call; in softirq it is whoever was running.
    pub current_pid: u32,
    pub hook: HookKind,
}

/// What a process did with a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketUse {
    /// connect(2): `remote` is the destination.
    Connect,
    /// sendto/sendmsg(2) without connect: `remote` is the destination.
    SendMessage,
    /// The process read data from the socket; `local` and `remote` are known.
    Receive,
    /// The process wrote data to a TCP socket; `local` and `remote` are known. Told only where
    /// the way through the kernel is watched.
    Send,
    /// listen(2): `local` is the listening address.
    Listen,
    /// The socket was found in the kernel's socket tables and in /proc (before the
    /// tracer started), not in process context.
    Seeded,
}

/// A process and a socket it owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketOwner {
    /// Socket cookie; 0 never occurs.
    pub cookie: Option<u64>,
    pub usage: SocketUse,
    /// Process (thread group) id in the initial pid namespace.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    pub uid: u32,
    /// The name of the process, at most 15 bytes, as the kernel knows it; of the thread where
    /// the hook is a cgroup's.
    pub comm: String,
    /// IP protocol number (6 TCP, 17 UDP).
    pub protocol: u8,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    /// inode number of the socket's network namespace, where it is known.
    #[serde(default)]
    pub network_namespace: Option<u32>,
    pub hook: HookKind,
}

impl SocketOwner {
    /// The name of the process, where it is told.
    pub fn process_name(&self) -> Option<&String> {
        let tells = self.hook != HookKind::Cgroup || self.tid == self.pid;
        Some(&self.comm).filter(|_| tells)
    }
}

/// One lookup in a forwarding table (fib_table_lookup, fib6_table_lookup).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteLookup {
    pub pid: u32,
    /// True when the lookup was made in the context of a system call by `pid`.
    pub in_process_context: bool,
    pub table: u32,
    /// 0, or a negative errno of the lookup (`-ENETUNREACH`, `-EACCES`, ...).
    pub error: i32,
    pub destination: IpAddr,
    pub source: Option<IpAddr>,
    pub gateway: Option<IpAddr>,
    /// Outgoing interface; the kernel traces its name.
    pub interface: Option<String>,
}

/// The full answer for one destination (RTM_GETROUTE).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteDetail {
    pub destination: IpAddr,
    /// Prefix of the matched route, for instance `0.0.0.0/0`.
    pub prefix: Option<(IpAddr, u8)>,
    pub gateway: Option<IpAddr>,
    pub interface: Option<String>,
    pub source: Option<IpAddr>,
    pub table: u32,
    pub mtu: Option<u32>,
    /// unicast, local, broadcast, unreachable, prohibit, blackhole, ...
    pub kind: String,
    /// Errno of the request, where the kernel refused it (101 ENETUNREACH, ...).
    pub error: Option<i32>,
}

/// Neighbour unreachability detection states, include/uapi/linux/neighbour.h.
pub mod neighbor_state {
    pub const INCOMPLETE: u8 = 0x01;
    pub const REACHABLE: u8 = 0x02;
    pub const STALE: u8 = 0x04;
    pub const DELAY: u8 = 0x08;
    pub const PROBE: u8 = 0x10;
    pub const FAILED: u8 = 0x20;
    pub const NOARP: u8 = 0x40;
    pub const PERMANENT: u8 = 0x80;
}

/// What happened to a neighbour entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeighborAction {
    /// neigh_create: a new entry, nothing known yet.
    Create,
    /// neigh_update: a new state or link-layer address.
    Update,
    /// neigh_event_send_done: a packet wanted to leave through this entry.
    Used,
    /// neigh_event_send_dead: a packet was given up because the entry failed.
    Dead,
    /// The entry as rtnetlink listed it at the start of the capture.
    Listed,
}

/// An entry of the kernel's neighbour table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighborEvent {
    pub action: NeighborAction,
    pub ip: IpAddr,
    pub mac: Option<[u8; 6]>,
    /// One of [`neighbor_state`].
    pub state: u8,
    pub interface: Option<String>,
    pub pid: u32,
    pub hook: HookKind,
}

/// A call of getaddrinfo(3), entry and exit paired in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetAddrInfoCall {
    pub pid: u32,
    pub tid: u32,
    pub comm: String,
    /// The name asked for (`node`), cut at 255 bytes.
    pub name: Option<String>,
    /// The `service` argument, often a port number.
    pub service: Option<String>,
    /// When the call was entered; the observation's own time is its return.
    pub entered_at_ns: u64,
    /// Return value: 0, or one of the EAI_* codes. `None`: the call never returned.
    pub result: Option<i32>,
}

/// A resolver file opened by a traced process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOpen {
    pub pid: u32,
    /// For instance `/etc/hosts`.
    pub path: String,
    /// Recordings from when there was only the tracepoint do not name it.
    #[serde(default = "tracepoint")]
    pub hook: HookKind,
}

impl FileOpen {
    /// What saw it, for instance `kprobe do_sys_openat2`.
    pub fn evidence(&self) -> String {
        let function = match self.hook {
            HookKind::Tracepoint => "sys_enter",
            HookKind::Uprobe => "fopen",
            _ => "do_sys_openat2",
        };
        format!("{} {function}", self.hook.name())
    }
}

const fn tracepoint() -> HookKind {
    HookKind::Tracepoint
}

/// Birth, program and end of a traced process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessEvent {
    Fork {
        parent: u32,
        child: u32,
        comm: String,
    },
    /// `executable` and `command` come from /proc right after the event and are absent
    /// when the process was gone by then.
    Exec {
        pid: u32,
        uid: u32,
        comm: String,
        filename: String,
        executable: Option<String>,
        command: Vec<String>,
        cgroup: Option<String>,
        /// Its number in its own pid namespace, where that is another one.
        #[serde(default)]
        namespace_pid: Option<u32>,
    },
    /// `code` as in wait(2): exit code in bits 8-15, signal in bits 0-6.
    Exit { pid: u32, comm: String, code: u32 },
    /// A process that lived before the tracer started, or that was first met through one
    /// of its sockets, as /proc describes it.
    Seen {
        pid: u32,
        uid: u32,
        comm: String,
        executable: Option<String>,
        command: Vec<String>,
        cgroup: Option<String>,
        /// Its number in its own pid namespace, where that is another one.
        #[serde(default)]
        namespace_pid: Option<u32>,
    },
}

/// An interface and its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    pub mac: Option<[u8; 6]>,
    pub mtu: u32,
    /// Address and prefix length.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Those of `addresses` with a limited lifetime: leased (DHCP) or announced (router
    /// advertisement), not configured for good. IFA_F_PERMANENT is not set on them.
    pub temporary: Vec<IpAddr>,
    pub loopback: bool,
}

/// A statement of a cooperating client about its own request. Evidence of intent and of
/// the client's verdict only; everything measured comes from the kernel and the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientReport {
    pub pid: u32,
    pub url: String,
    pub event: ClientEvent,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientEvent {
    /// The request begins: before name resolution.
    Started,
    /// The response was read to its end.
    Finished { status: u16 },
    /// `stage` is resolve, connect, tls or http; `message` is the client's own error.
    Failed { stage: String, message: String },
}
