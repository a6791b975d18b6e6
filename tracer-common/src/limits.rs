//! Sizes both sides agree on.

/// `TASK_COMM_LEN` of the kernel, with the final NUL.
pub const COMM: usize = 16;
/// `IFNAMSIZ` of the kernel, with the final NUL.
pub const INTERFACE_NAME: usize = 16;
/// A host name as given to the resolver, with the final NUL (RFC 1035 section 2.3.4
/// allows 255 octets on the wire, 253 as text).
pub const HOST_NAME: usize = 256;
/// A service name or port number as given to the resolver, with the final NUL.
pub const SERVICE_NAME: usize = 32;
/// Path of a resolver's file, with the final NUL.
pub const RESOLVER_PATH: usize = 64;
/// File name of an execve(2), with the final NUL.
pub const FILE_NAME: usize = 256;
/// Bytes of a command line, arguments separated by NUL.
pub const COMMAND_LINE: usize = 1024;

/// Most bytes of one frame that are copied: GSO and GRO packets reach 64 KiB.
pub const FRAME_BYTES: usize = 65536;
/// Bytes copied of a frame whose payload is past the budget: room for Ethernet with two
/// VLAN tags, IPv6 with an extension header, and TCP with all its options.
pub const FRAME_HEADERS: u32 = 128;

/// Default size of the ring buffer in bytes.
pub const RING_BYTES: u32 = 8 << 20;

/// Size of the ring buffer that tells what did not fit into the other one, in bytes: 32768
/// losses between two looks of the reader. Its pages are touched only when something is lost.
pub const LOSSES_BYTES: u32 = 1 << 20;

/// Processes that can be traced at a time.
pub const TRACED_PROCESSES: u32 = 16384;
/// Sockets of traced processes; the least recently used one gives way.
pub const TRACED_SOCKETS: u32 = 16384;
/// Known flows; the least recently used one gives way.
pub const FLOWS: u32 = 32768;
