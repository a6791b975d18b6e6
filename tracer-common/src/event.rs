//! Event, hook and flag numbers. They are grouped by concern with holes between the
//! groups; a number never changes its meaning, so that recordings stay readable.

use crate::loss;

/// A frame: [`crate::record::FrameHead`] and the captured bytes.
pub const FRAME: u16 = 0x10;
/// [`crate::record::TcpState`].
pub const TCP_STATE: u16 = 0x20;
/// [`crate::record::TcpSample`].
pub const TCP_SAMPLE: u16 = 0x21;
/// [`crate::record::TcpRetransmit`].
pub const TCP_RETRANSMIT: u16 = 0x22;
/// [`crate::record::TcpReset`].
pub const TCP_RESET: u16 = 0x23;
/// [`crate::record::PacketDrop`].
pub const PACKET_DROP: u16 = 0x24;
/// [`crate::record::SocketOwner`].
pub const SOCKET_OWNER: u16 = 0x30;
/// [`crate::record::Route`].
pub const ROUTE: u16 = 0x40;
/// [`crate::record::Neighbor`].
pub const NEIGHBOR: u16 = 0x50;
/// [`crate::record::GetAddrInfo`].
pub const GET_ADDR_INFO: u16 = 0x60;
/// [`crate::record::FileOpen`].
pub const FILE_OPEN: u16 = 0x61;
/// [`crate::record::ProcessFork`].
pub const PROCESS_FORK: u16 = 0x70;
/// [`crate::record::ProcessExec`].
pub const PROCESS_EXEC: u16 = 0x71;
/// [`crate::record::ProcessExit`].
pub const PROCESS_EXIT: u16 = 0x72;
/// [`crate::record::LayerPassage`].
pub const LAYER_PASSAGE: u16 = 0x80;

/// The class under which a lost record of this event is counted, `None` for a number that is
/// not in use.
pub const fn class(event: u16) -> Option<u32> {
    Some(match event {
        FRAME => loss::FRAME,
        TCP_STATE => loss::TCP_STATE,
        TCP_SAMPLE => loss::TCP_SAMPLE,
        TCP_RETRANSMIT => loss::TCP_RETRANSMIT,
        TCP_RESET => loss::TCP_RESET,
        PACKET_DROP => loss::PACKET_DROP,
        SOCKET_OWNER => loss::SOCKET_OWNER,
        ROUTE => loss::ROUTE,
        NEIGHBOR => loss::NEIGHBOR,
        GET_ADDR_INFO => loss::GET_ADDR_INFO,
        FILE_OPEN => loss::FILE_OPEN,
        PROCESS_FORK | PROCESS_EXEC | PROCESS_EXIT => loss::PROCESS,
        LAYER_PASSAGE => loss::KERNEL_PATH,
        _ => return None,
    })
}

/// Which kind of hook wrote a record.
pub mod hook {
    pub const XDP: u8 = 1;
    /// A TC classifier, whether attached through TCX or clsact: the program cannot tell.
    pub const TC: u8 = 2;
    pub const KPROBE: u8 = 10;
    pub const FENTRY: u8 = 11;
    pub const TRACEPOINT: u8 = 12;
    pub const UPROBE: u8 = 13;
    pub const TP_BTF: u8 = 14;
    pub const CGROUP: u8 = 20;
    pub const SOCK_OPS: u8 = 21;
}

/// Bits of [`crate::record::Header::flags`].
pub mod flag {
    /// The event happened in the context of a system call (or exception) of the current
    /// task, not in an interrupt that merely ran on its back.
    pub const PROCESS_CONTEXT: u8 = 1;
}

/// Direction of a frame, seen from this host.
pub mod direction {
    pub const IN: u8 = 1;
    pub const OUT: u8 = 2;
}

/// How the first bytes of a frame are to be read.
pub mod link {
    pub const ETHERNET: u8 = 1;
    /// Starts with the IP header (TUN, WireGuard, PPP).
    pub const RAW_IP: u8 = 2;
}

/// What a process did with a socket.
pub mod usage {
    pub const CONNECT: u8 = 1;
    pub const SEND_MESSAGE: u8 = 2;
    pub const RECEIVE: u8 = 3;
    /// TCP, and only where the way through the kernel is watched.
    pub const SEND: u8 = 4;
}

/// What happened to a neighbour entry.
pub mod neighbor {
    pub const CREATE: u8 = 1;
    pub const UPDATE: u8 = 2;
    pub const USED: u8 = 3;
    pub const DEAD: u8 = 4;
    /// The timer of an entry ran: the way into FAILED when nobody answers.
    pub const TIMER: u8 = 5;
}

/// Where in the kernel a TCP segment was seen. Down are the numbers below [`place::UP`].
pub mod place {
    pub const SOCKET_WRITE: u8 = 1;
    pub const TCP_TRANSMIT: u8 = 2;
    pub const IP_OUTPUT: u8 = 3;
    pub const IP6_OUTPUT: u8 = 4;
    pub const NEIGHBOR: u8 = 5;
    pub const NEIGHBOR6: u8 = 6;
    pub const QUEUE: u8 = 7;
    pub const DEVICE: u8 = 8;
    /// The driver has taken it.
    pub const SENT: u8 = 9;
    /// The first number on the way up.
    pub const UP: u8 = 16;
    /// A driver without NAPI (loopback, veth) hands it to the backlog.
    pub const BACKLOG: u8 = 17;
    /// A driver with NAPI hands it to GRO.
    pub const GRO: u8 = 18;
    pub const RECEIVE: u8 = 19;
    pub const IP_INPUT: u8 = 20;
    pub const IP6_INPUT: u8 = 21;
    pub const TCP_INPUT: u8 = 22;
    pub const TCP6_INPUT: u8 = 23;
    pub const WAKE_UP: u8 = 24;
    pub const READ: u8 = 25;
}

/// When a socket's numbers were read.
pub mod sample {
    /// The handshake is complete.
    pub const ESTABLISHED: u8 = 1;
    /// A round trip was measured.
    pub const ROUND_TRIP: u8 = 2;
    /// The retransmission timer ran out.
    pub const TIMEOUT: u8 = 3;
    /// The connection is closed.
    pub const CLOSING: u8 = 4;
    /// A segment arrived.
    pub const SEGMENT: u8 = 5;
}

/// Which way a reset went.
pub mod reset {
    pub const SENT: u8 = 1;
    pub const RECEIVED: u8 = 2;
}

/// Address families, include/linux/socket.h.
pub mod family {
    pub const INET: u16 = 2;
    pub const INET6: u16 = 10;
}
