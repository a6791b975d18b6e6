//! Classes under which failed reserves are counted in the kernel.

pub const FRAME: u32 = 0;
pub const TCP_STATE: u32 = 1;
pub const SOCKET_OWNER: u32 = 2;
pub const ROUTE: u32 = 3;
pub const NEIGHBOR: u32 = 4;
pub const GET_ADDR_INFO: u32 = 5;
pub const FILE_OPEN: u32 = 6;
pub const PROCESS: u32 = 7;
pub const TCP_SAMPLE: u32 = 8;
pub const TCP_RETRANSMIT: u32 = 9;
pub const TCP_RESET: u32 = 10;
pub const PACKET_DROP: u32 = 11;
/// Passages of a segment through the kernel's layers.
pub const KERNEL_PATH: u32 = 12;

/// Slots of the counters; more than are in use.
pub const CLASSES: usize = 16;

/// One counter per class.
pub type Counters = [u64; CLASSES];

/// The word for a class in every output, `None` for a number that is not in use.
pub const fn name(class: u32) -> Option<&'static str> {
    Some(match class {
        FRAME => "frame",
        TCP_STATE => "tcp_state",
        SOCKET_OWNER => "socket_owner",
        ROUTE => "route",
        NEIGHBOR => "neighbor",
        GET_ADDR_INFO => "getaddrinfo",
        FILE_OPEN => "file_open",
        PROCESS => "process",
        TCP_SAMPLE => "tcp_sample",
        TCP_RETRANSMIT => "tcp_retransmit",
        TCP_RESET => "tcp_reset",
        PACKET_DROP => "packet_drop",
        KERNEL_PATH => "kernel_path",
        _ => return None,
    })
}
