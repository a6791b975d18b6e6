//! Example documents for the tests of every output format: one of each story that a
//! journey can tell, with the numbers of real runs.

mod failures;
mod kernel;
mod pieces;
mod reuse;
mod shop;

pub use failures::{nxdomain, refused};
pub use reuse::{incomplete, reused, upgraded};
pub use shop::{redirected, shop};

use crate::journey::model::{
    CaptureInfo, Connection, DnsExchange, Document, HostInfo, Journey, NeighborExchange, Source,
    TracerInfo,
};

use crate::journey::part::Part;

/// Every example with the name its snapshots carry.
pub fn all() -> Vec<(&'static str, Document)> {
    vec![
        ("shop", shop()),
        ("redirected", redirected()),
        ("nxdomain", nxdomain()),
        ("refused", refused()),
        ("reused", reused()),
        ("upgraded", upgraded()),
        ("incomplete", incomplete()),
    ]
}

/// What a document holds, as one part.
pub fn part(document: &Document) -> Part {
    Part {
        journeys: document.journeys.clone(),
        connections: document.connections.clone(),
        dns: document.dns.clone(),
        neighbors: document.neighbors.clone(),
        ..Part::default()
    }
}

/// A document around what was captured.
fn document(
    command: &[&str],
    journeys: Vec<Journey>,
    connections: Vec<Connection>,
    dns: Vec<DnsExchange>,
    neighbors: Vec<NeighborExchange>,
) -> Document {
    Document {
        dhcp: Vec::new(),
        schema_version: crate::journey::model::SCHEMA_VERSION,
        tracer: TracerInfo {
            version: "0.1.0".into(),
            command: command.iter().map(|word| (*word).into()).collect(),
        },
        host: HostInfo {
            hostname: Some("client".into()),
            kernel: Some("6.18.5".into()),
        },
        capture: CaptureInfo {
            source: Source::Live,
            network_namespace: None,
            started_unix_nano: "1767225600000000000".into(),
            duration_ns: 12_400_000,
            interfaces: vec!["client0".into(), "lo".into()],
            hooks: pieces::hooks(),
            lost: std::collections::BTreeMap::new(),
            losses: Vec::new(),
            cost: None,
            comments: Vec::new(),
            complete: true,
        },
        dns,
        neighbors,
        connections,
        journeys,
    }
}
