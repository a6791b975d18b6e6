//! What a capture is asked for.

use tracer_common::limits;

use super::Steps;
use crate::capture::HookKind;

/// Whose events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The processes given to [`Probe::trace_process`](super::Probe::trace_process) and their descendants.
    Processes,
    /// Everything on this host.
    Host,
}

/// What to watch, and how.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    pub scope: Scope,
    /// Of the whole host, only what concerns these ports of TCP and QUIC; empty: all. Names and
    /// addresses are resolved for all.
    pub ports: Vec<u16>,
    /// Names; empty: all that are up in the network namespace of the calling thread.
    pub interfaces: Vec<String>,
    /// Payload bytes per direction of a flow that are copied whole; of what follows, only
    /// the first 128 bytes of each frame.
    pub payload_budget: u32,
    /// No budget: copy every frame whole.
    pub full: bool,
    /// Size of the ring buffer in bytes; rounded up to a power of two.
    pub ring_bytes: u32,
    /// Processes that can be traced at a time; what does not fit is counted as lost.
    pub traced_processes: u32,
    /// Kinds of hooks that must not be used.
    pub without: Vec<HookKind>,
    /// Fact and the one kind of hook that must serve it.
    pub force: Vec<(String, HookKind)>,
    /// Watch the layers that the traced flows' segments pass in the kernel. That costs time
    /// with every packet.
    pub kernel_path: bool,
    /// Let the kernel count the runs of its programs and their time. That costs time with
    /// every run.
    pub statistics: bool,
    /// Let drivers run XDP themselves. Switching that on can reset a link.
    pub xdp_native: bool,
    /// The traced program does not call the GNU C library ([`calls_c_library`](super::calls_c_library)).
    pub without_c_library: bool,
    /// Counts what was attached.
    pub steps: Steps,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            scope: Scope::Processes,
            ports: Vec::new(),
            interfaces: Vec::new(),
            payload_budget: 64 * 1024,
            full: false,
            ring_bytes: limits::RING_BYTES,
            traced_processes: limits::TRACED_PROCESSES,
            without: Vec::new(),
            force: Vec::new(),
            kernel_path: false,
            statistics: false,
            xdp_native: false,
            without_c_library: false,
            steps: Steps::default(),
        }
    }
}
