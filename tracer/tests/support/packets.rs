//! What a capture file holds.

use std::path::Path;
use tracer::capture::{Fact, Frame, Observation, file};

pub fn observations(path: &Path) -> (file::FileSummary, Vec<Observation>) {
    let mut seen = Vec::new();
    let summary = file::read(path, &mut |observation| seen.push(observation))
        .unwrap_or_else(|error| panic!("{error}"));
    (summary, seen)
}

pub fn frames(path: &Path) -> Vec<(u64, Frame)> {
    let frame = |seen: Observation| match seen.fact {
        Fact::Frame(frame) => Some((seen.at_ns, frame)),
        _ => None,
    };
    observations(path).1.into_iter().filter_map(frame).collect()
}
