//! The way of a connection's bytes through this host's kernel.

use super::End;
use crate::capture::{HookKind, KernelLayer};
use schemars::JsonSchema;
use serde::Serialize;

/// What the layers of this host's kernel did with a connection's payload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KernelPath {
    /// From a process to the wire, in order of time: the first and the last segments.
    pub down: Vec<SegmentPath>,
    /// From the wire to a process.
    pub up: Vec<SegmentPath>,
    /// Segments that are in the summary only.
    pub omitted: u64,
    /// Passages that were seen but not kept, because there were too many.
    pub passages_dropped: u64,
    /// All segments, layer by layer.
    pub summary: Vec<LayerSummary>,
}

/// One segment, or several that the kernel handled as one (GSO, GRO).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SegmentPath {
    /// The first layer's time.
    pub at_ns: u64,
    /// Whose kernel this is: the sender down, the receiver up.
    pub end: End,
    /// Offset of the first byte in its direction's stream.
    pub sequence: u64,
    pub bytes: u64,
    /// In the order they were passed; a layer that no hook watches is not there.
    pub layers: Vec<LayerStep>,
}

impl SegmentPath {
    /// From the first layer to the last.
    pub fn duration_ns(&self) -> u64 {
        self.layers.iter().filter_map(|step| step.duration_ns).sum()
    }

    /// Is `at_ns` between its first and its last layer?
    pub fn is_under_way(&self, at_ns: u64) -> bool {
        let last = self.layers.last().map_or(0, |step| step.at_ns);
        (self.at_ns..=last).contains(&at_ns)
    }
}

/// One layer on the way of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LayerStep {
    pub layer: KernelLayer,
    /// Kind of hook.
    pub hook: HookKind,
    /// The kernel's function or tracepoint.
    pub function: String,
    pub at_ns: u64,
    /// Until the next layer that is watched; for `device` until the driver had the packet.
    /// Null for the last one.
    pub duration_ns: Option<u64>,
}

/// What a layer cost all segments of one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LayerSummary {
    pub end: End,
    pub layer: KernelLayer,
    /// Segments with a duration.
    pub segments: u64,
    pub median_ns: u64,
    pub max_ns: u64,
}
