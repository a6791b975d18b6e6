//! What the network may do to packets without changing what was said: other segments,
//! another order, copies, tags, fragments. None of it changes a journey.

mod again;
mod change;
mod declared;
#[path = "../support/invariants.rs"]
mod invariants;
mod packet;
#[path = "../support/packets.rs"]
mod packets;
#[path = "../support/mod.rs"]
mod support;

use change::{Change, Kind, Timed, any_change};
use declared::{differences, facts};
use proptest::prelude::*;
use std::path::Path;
use std::sync::OnceLock;
use tracer::capture::file::FileSummary;
use tracer::capture::{Fact, Observation};
use tracer::journey::model::Document;
use tracer::replay::{Replay, ReplayOptions};

struct Capture {
    name: String,
    secrets: String,
    frames: Vec<Timed>,
}

/// All captures, with the key logs beside them.
fn captures() -> &'static [Capture] {
    static CAPTURES: OnceLock<Vec<Capture>> = OnceLock::new();
    CAPTURES.get_or_init(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
        let files = [support::captures(), own];
        let files = files.iter().flat_map(|folder| support::files(folder));
        let captures: Vec<_> = files
            .map(|path| Capture {
                name: path.display().to_string(),
                secrets: std::fs::read_to_string(path.with_extension("keys")).unwrap_or_default(),
                frames: packets::frames(&path),
            })
            .collect();
        assert!(!captures.is_empty(), "the folder holds no captures");
        captures
    })
}

fn replayed(capture: &Capture, frames: Vec<Timed>) -> Document {
    let mut replay = Replay::new(&ReplayOptions {
        secrets: capture.secrets.clone(),
        ..ReplayOptions::default()
    });
    for (at_ns, frame) in frames {
        let fact = Fact::Frame(frame);
        replay.observe(Observation { at_ns, fact });
    }
    replay.finish("test", &FileSummary::default()).document
}

/// What differs when the changes are made one after the other.
fn differs(capture: &Capture, changes: &[Change]) -> Vec<String> {
    let mut frames = capture.frames.clone();
    for change in changes {
        frames = change.of(&frames);
    }
    let kinds: Vec<_> = changes.iter().map(Change::kind).collect();
    let before = replayed(capture, capture.frames.clone());
    let after = replayed(capture, frames);
    invariants::check(&capture.name, &after);
    differences(&facts(&before, &kinds), &facts(&after, &kinds), &kinds)
}

/// Every capture under each of the changes.
fn hold(changes: &[Change]) {
    let mut found = Vec::new();
    for change in changes {
        for capture in captures() {
            let differences = differs(capture, std::slice::from_ref(change));
            let lines = differences
                .iter()
                .map(|it| format!("{change:?} {} {it}", capture.name));
            found.extend(lines);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn other_segments_change_nothing() {
    let sizes = [vec![1], vec![1, 5, 90], vec![700]];
    let most = usize::MAX;
    hold(&sizes.map(|sizes| Change::Segments { sizes, most }));
}

#[test]
fn segments_that_overtake_each_other_change_nothing() {
    let order = |window| Change::Order {
        window,
        choices: vec![1, 0, 2, 5],
    };
    hold(&[2, 3, 8].map(order));
}

#[test]
fn copies_change_counters_only() {
    hold(&[vec![1], vec![0, 2, 1]].map(Change::Copies));
}

#[test]
fn tags_change_nothing() {
    let tags = [
        vec![(0, 42)],
        vec![(1, 7), (0, 42)],
        vec![(2, 4094), (0, 1)],
    ];
    hold(&tags.map(Change::Tags));
}

#[test]
fn fragments_change_nothing() {
    let changes = [false, true].into_iter().flat_map(|backwards| {
        let sizes = [vec![1], vec![3, 60]];
        sizes.map(|sizes| Change::Fragments { sizes, backwards })
    });
    hold(&changes.collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn two_changes_after_each_other_change_nothing(
        index in any::<prop::sample::Index>(),
        mut changes in prop::collection::vec(any_change(), 1..=2),
    ) {
        // Copies come last, because so few of them are listed as retransmissions.
        changes.sort_by_key(|change| change.kind() == Kind::Copies);
        let capture = index.get(captures());
        let found = differs(capture, &changes);
        prop_assert!(found.is_empty(), "{}\n{}", capture.name, found.join("\n"));
    }
}
