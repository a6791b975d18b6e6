//! What watching took.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a live capture took of this host, from the moment when its first hook was attached
/// to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    pub duration_ns: u64,
    /// Events that the kernel programs handed over, per class; those of `lost` are not among
    /// them.
    pub events: BTreeMap<String, u64>,
    pub events_per_second: u64,
    /// What the programs in the kernel took; null where the kernel did not count it. It does
    /// with `-v`, `--cost` and, but for `live`, JSON, where this process may ask for it
    /// (CAP_SYS_ADMIN, Linux 5.8); counting takes time, too.
    pub kernel: Option<KernelCost>,
    /// Processor time of the tracer itself.
    pub tracer: TracerCost,
    pub ring: RingCost,
}

/// Processor time of the kernel programs. It is part of what the traced processes (and
/// whoever was interrupted) seem to use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KernelCost {
    pub run_count: u64,
    pub run_time_ns: u64,
    /// Null where there was no event. Runs that found nothing to hand over are included.
    pub ns_per_event: Option<u64>,
    /// Those that ran, in order of their time, longest first.
    pub programs: Vec<ProgramCost>,
}

/// One kernel program, on all hooks that it is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgramCost {
    pub name: String,
    /// The fact that it serves, as in `capture.hooks`.
    pub fact: String,
    pub run_count: u64,
    pub run_time_ns: u64,
    pub ns_per_run: u64,
}

/// Processor time of all threads of the tracer, not of the traced command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TracerCost {
    pub user_ns: u64,
    pub system_ns: u64,
    /// Null where there was no event.
    pub ns_per_event: Option<u64>,
}

/// The ring between the kernel programs and the tracer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RingCost {
    pub bytes: u64,
    /// Most bytes that were found in it at once, as far as reading tells: at least what was
    /// in it when a reading began.
    pub peak_bytes: u64,
}

impl Cost {
    /// Events of all classes.
    pub fn event_count(&self) -> u64 {
        let counts = self.events.values();
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }
}
