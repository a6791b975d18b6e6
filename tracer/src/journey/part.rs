//! What a stretch of a capture told.

use super::model::{
    CaptureInfo, Connection, DnsExchange, Document, Journey, NeighborExchange, Packet, Trace,
};
use std::collections::{BTreeMap, BTreeSet};

/// What can no longer change, and is told now: every object stands in one part of its
/// capture. A capture that fits into memory has one part, a longer one several.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// In order of their start.
    pub journeys: Vec<Journey>,
    pub connections: Vec<Connection>,
    pub dns: Vec<DnsExchange>,
    pub neighbors: Vec<NeighborExchange>,
    /// For the layers view.
    pub packets: Vec<Packet>,
    /// Exchanges that journeys of this part refer to, and that stand in another one.
    pub beside: Beside,
    /// Ids of exchanges of this part to which a journey of an earlier part refers.
    pub claimed: BTreeSet<String>,
}

/// Exchanges that are told elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    pub dns: Vec<DnsExchange>,
    pub neighbors: Vec<NeighborExchange>,
}

impl Part {
    /// The parts of one capture in its document.
    pub fn whole(parts: impl IntoIterator<Item = Self>, mut document: Document) -> Trace {
        let mut packets = Vec::new();
        for part in parts {
            document.journeys.extend(part.journeys);
            document.connections.extend(part.connections);
            document.dns.extend(part.dns);
            document.neighbors.extend(part.neighbors);
            packets.extend(part.packets);
        }
        Trace { document, packets }
    }

    /// The document of a capture and all that was told in it, apart.
    pub fn of(trace: Trace) -> (Document, Self) {
        let mut document = trace.document;
        let part = Self {
            journeys: std::mem::take(&mut document.journeys),
            connections: std::mem::take(&mut document.connections),
            dns: std::mem::take(&mut document.dns),
            neighbors: std::mem::take(&mut document.neighbors),
            packets: trace.packets,
            ..Self::default()
        };
        (document, part)
    }

    pub(super) fn append(&mut self, later: Self) {
        self.journeys.extend(later.journeys);
        self.connections.extend(later.connections);
        self.dns.extend(later.dns);
        self.neighbors.extend(later.neighbors);
        self.packets.extend(later.packets);
        self.beside.dns.extend(later.beside.dns);
        self.beside.neighbors.extend(later.beside.neighbors);
        self.claimed.extend(later.claimed);
    }
}

/// Adds what was lost to what a capture says of itself: one that lost something is not complete.
pub fn note_lost(capture: &mut CaptureInfo, lost: BTreeMap<String, u64>) {
    for (class, count) in lost {
        let counted = capture.lost.entry(class).or_default();
        *counted = counted.saturating_add(count);
    }
    capture.complete &= capture.lost.is_empty();
}
