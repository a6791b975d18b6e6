//! What the tracer tells the kernel programs before they are loaded.

/// Constants of one run. The kernel side sees them in a frozen map, so that the verifier
/// treats them as constants and drops the branches that a run does not use.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// One of [`scope`].
    pub scope: u32,
    /// Payload bytes per direction of a flow that are copied.
    pub payload_budget: u32,
    /// Not 0: copy every frame whole, whatever the budget.
    pub full: u32,
    /// Wake the reader when the ring holds this many bytes; below, its timer finds them.
    pub wakeup_bytes: u32,
    /// Size of a kernel stack in bytes.
    pub kernel_stack_bytes: u32,
    /// inode number of the watched network namespace, 0 where unknown. Interface names
    /// mean nothing outside of it.
    pub network: u32,
    /// The number of the drop reason that gives none, `u32::MAX` where there is no such.
    pub drop_not_specified: u32,
    /// As above: the number of the reason for which the queues of a closed socket are emptied.
    pub drop_queue_purge: u32,
    /// Not 0: `tcp:tcp_send_reset` has the reason as its third argument.
    pub reset_reason: u32,
    /// Not 0: some interface has frames without a link layer.
    pub has_raw_ip: u32,
    /// Not 0: of the whole host, only what concerns the ports that the tracer noted.
    pub ports_only: u32,
}

/// Whose events are wanted.
pub mod scope {
    /// The traced processes and their descendants.
    pub const PROCESSES: u32 = 0;
    /// Everything on this host.
    pub const HOST: u32 = 1;
}
