//! How much of a capture file is remembered at once.

/// Bounds of memory while a file is read. Nothing is settled early while there is room, so
/// that a capture within all of them is told as one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections followed at once. Beyond it those without traffic for the longest time
    /// are taken for over; it is counted unless a timeout had passed, too.
    pub connections: usize,
    /// Bytes of memory for payload that waits to be read: of open connections, and of closed ones
    /// whose secrets may still come.
    pub payload: u64,
    /// The same of closed connections alone, whose secrets may still come.
    pub sealed: u64,
    /// Bytes, about, of connections that are over and not told yet.
    pub untold: u64,
    /// Bytes, about, of DNS exchanges: what connections are joined with.
    pub resolutions: usize,
    /// After a close, late and repeated segments are waited for this long, nanoseconds: two
    /// of the shortest timeouts after which a segment is sent again (TCP_RTO_MIN, 200 ms).
    pub late_ns: u64,
    /// Neighbour exchanges.
    pub neighbors: usize,
    /// Keep also the bytes of streams that nobody is going to read. It makes no difference to
    /// what is told, which tests see to.
    pub keep_unread: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            payload: 48 << 20,
            sealed: 24 << 20,
            untold: 24 << 20,
            resolutions: 16 << 20,
            late_ns: 400_000_000,
            neighbors: 16_384,
            keep_unread: false,
        }
    }
}
