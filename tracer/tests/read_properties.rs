//! Whatever a capture holds, the document hangs together.

#[path = "support/invariants.rs"]
mod invariants;
#[path = "support/packets.rs"]
mod packets;
mod support;

use invariants::check;
use std::path::Path;
use tracer::capture::file::FileSummary;
use tracer::capture::{Fact, Frame, Observation};
use tracer::journey::limits::Limits;
use tracer::journey::model::Document;
use tracer::replay::{Replay, ReplayOptions};

type Timed = (u64, Frame);

fn replayed(frames: &[Timed]) -> Document {
    replayed_with(frames, &ReplayOptions::default())
}

fn replayed_with(frames: &[Timed], options: &ReplayOptions) -> Document {
    let mut replay = Replay::new(options);
    for (at_ns, frame) in frames {
        let fact = Fact::Frame(frame.clone());
        replay.observe(Observation {
            at_ns: *at_ns,
            fact,
        });
    }
    replay.finish("test", &FileSummary::default()).document
}

/// Small captures: the cost of a test grows with every byte and every round.
fn small_captures() -> Vec<(String, Vec<Timed>)> {
    let files = support::files(&support::captures());
    let captures = files.iter().map(|path: &std::path::PathBuf| {
        let frames = packets::frames(Path::new(path));
        (path.display().to_string(), frames)
    });
    let captures: Vec<_> = captures.filter(|(_, frames)| frames.len() < 400).collect();
    assert!(!captures.is_empty(), "the folder holds no captures");
    captures
}

/// Knuth's linear congruential generator: any will do, as long as it repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit.max(1)
    }
}

fn damage(frames: &[Timed], random: &mut Random) -> Vec<Timed> {
    let mut damaged = Vec::new();
    for (at_ns, frame) in frames {
        let mut frame = frame.clone();
        match random.below(12) {
            0 => continue,
            1 => damaged.push((*at_ns, frame.clone())),
            2 => frame.data.truncate(random.below(frame.data.len() + 1)),
            3..=5 => {
                for _ in 0..=random.below(4) {
                    let place = random.below(frame.data.len().min(140));
                    let value = u8::try_from(random.below(256)).expect("a byte");
                    if let Some(byte) = frame.data.get_mut(place) {
                        *byte = value;
                    }
                }
            }
            _ => {}
        }
        damaged.push((*at_ns, frame));
    }
    for _ in 0..random.below(4) {
        let (one, other) = (random.below(damaged.len()), random.below(damaged.len()));
        if !damaged.is_empty() {
            let (early, late) = (damaged[one].1.clone(), damaged[other].1.clone());
            damaged[one].1 = late;
            damaged[other].1 = early;
        }
    }
    damaged
}

#[test]
fn every_document_hangs_together() {
    for path in support::files(&support::captures()) {
        let name = path.display().to_string();
        check(&name, &replayed(&packets::frames(&path)));
    }
}

#[test]
fn damaged_captures_hang_together_too() {
    const ROUNDS: usize = 6;
    let mut random = Random(7);
    for (name, frames) in small_captures() {
        for round in 0..ROUNDS {
            let damaged = damage(&frames, &mut random);
            check(&format!("{name} round {round}"), &replayed(&damaged));
        }
    }
}

#[test]
fn the_same_capture_gives_the_same_bytes() {
    for (name, frames) in small_captures() {
        let text = |document: &Document| serde_json::to_string(document).expect("JSON");
        assert_eq!(text(&replayed(&frames)), text(&replayed(&frames)), "{name}");
    }
}

/// Connections that are over are read and forgotten while the capture goes on: it must not
/// show.
#[test]
fn forgetting_streams_early_changes_nothing() {
    let kept = ReplayOptions {
        limits: Limits {
            late_ns: u64::MAX,
            ..Limits::default()
        },
        ..ReplayOptions::default()
    };
    for (name, frames) in small_captures() {
        let (early, late) = (replayed(&frames), replayed_with(&frames, &kept));
        let text = |document: &Document| {
            let connections = serde_json::to_string(&document.connections).expect("JSON");
            (connections, document.dns.len(), document.journeys.len())
        };
        assert_eq!(text(&early), text(&late), "{name}");
    }
}

/// Outputs that do not show the lines of a journey are spared them: nothing else may differ.
#[test]
fn leaving_out_the_timeline_changes_nothing_else() {
    let without = ReplayOptions {
        without_timeline: true,
        ..ReplayOptions::default()
    };
    for path in support::files(&support::captures()) {
        let frames = packets::frames(&path);
        let mut whole = replayed(&frames);
        for journey in &mut whole.journeys {
            assert!(!journey.timeline.is_empty(), "{}", path.display());
            journey.timeline.clear();
        }
        let text = |document: &Document| serde_json::to_string(document).expect("JSON");
        let spared = replayed_with(&frames, &without);
        assert_eq!(text(&spared), text(&whole), "{}", path.display());
    }
}

/// What nobody is going to read is not kept: it must not show, whatever is damaged.
#[test]
fn forgetting_what_is_never_read_changes_nothing() {
    const ROUNDS: usize = 6;
    let read = |frames: &[Timed], keep_unread| {
        let mut replay = Replay::new(&ReplayOptions {
            limits: Limits {
                keep_unread,
                ..Limits::default()
            },
            ..ReplayOptions::default()
        });
        replay.expect_no_secrets();
        for (at_ns, frame) in frames {
            let fact = Fact::Frame(frame.clone());
            replay.observe(Observation {
                at_ns: *at_ns,
                fact,
            });
        }
        let document = replay.finish("test", &FileSummary::default()).document;
        serde_json::to_string(&document).expect("JSON")
    };
    let mut random = Random(11);
    for (name, mut frames) in small_captures() {
        let whole = frames.clone();
        for round in 0..=ROUNDS {
            assert_eq!(
                read(&frames, false),
                read(&frames, true),
                "{name} round {round}"
            );
            frames = damage(&whole, &mut random);
        }
    }
}

/// However little is remembered, every part hangs together with the others.
#[test]
fn a_capture_told_in_parts_hangs_together() {
    let forgetful = ReplayOptions {
        limits: Limits {
            connections: 4,
            payload: 4096,
            sealed: 4096,
            untold: 1,
            late_ns: 0,
            resolutions: 2000,
            neighbors: 4,
            keep_unread: false,
        },
        ..ReplayOptions::default()
    };
    for (name, frames) in small_captures() {
        let document = replayed_with(&frames, &forgetful);
        check(&name, &document);
        let again = replayed_with(&frames, &forgetful);
        let text = |document: &Document| serde_json::to_string(document).expect("JSON");
        assert_eq!(text(&document), text(&again), "{name}: the same bytes");
    }
}

/// A key log may stand behind the packets that it opens.
#[test]
fn secrets_that_come_last_open_as_much() {
    let mut opened = 0;
    for path in support::files(&support::captures()) {
        let keys = path.with_extension("keys");
        let Ok(secrets) = std::fs::read_to_string(&keys) else {
            continue;
        };
        let frames = packets::frames(&path);
        let mut last = Replay::new(&ReplayOptions::default());
        for (at_ns, frame) in &frames {
            last.observe(Observation {
                at_ns: *at_ns,
                fact: Fact::Frame(frame.clone()),
            });
        }
        let at_ns = frames.last().map_or(0, |(at_ns, _)| *at_ns);
        for line in secrets.lines() {
            let fact = Fact::TlsSecret(line.to_owned());
            last.observe(Observation { at_ns, fact });
        }
        let last = last.finish("test", &FileSummary::default()).document;
        let options = ReplayOptions {
            secrets,
            ..ReplayOptions::default()
        };
        let first = replayed_with(&frames, &options);
        let text = |document: &Document| serde_json::to_string(document).expect("JSON");
        assert_eq!(text(&first), text(&last), "{}", path.display());
        opened += first
            .connections
            .iter()
            .map(|it| it.http.len())
            .sum::<usize>();
    }
    assert!(opened > 0, "no capture has a key log beside it");
}

/// A connection of QUIC whose close can be read is over a moment later; without the keys it
/// may go on.
#[test]
fn a_closed_quic_connection_is_told_while_the_file_is_read_on() {
    let capture = support::captures().join("lab/chromium-h3.pcap");
    let keys = std::fs::read_to_string(capture.with_extension("keys")).expect("a key log");
    let frames = packets::frames(&capture);
    // The browser's last connection: port 48850, closed by the last datagram of the file.
    let port = 48_850_u16.to_be_bytes();
    let is_of = |frame: &&Timed| {
        let ports = frame.1.data.get(34..38);
        frame.1.data.get(23) == Some(&17)
            && ports.is_some_and(|it| it.starts_with(&port) || it.ends_with(&port))
    };
    let own: Vec<&Timed> = frames.iter().filter(is_of).collect();
    let (last_at_ns, _) = **own.last().expect("the connection");
    let later = frames
        .iter()
        .find(|frame| !is_of(frame))
        .expect("another frame");
    for (secrets, expected) in [(keys, 1), (String::new(), 0)] {
        let mut replay = Replay::new(&ReplayOptions {
            secrets,
            limits: Limits {
                untold: 1,
                ..Limits::default()
            },
            ..ReplayOptions::default()
        });
        replay.expect_no_secrets();
        let mut observe = |at_ns: u64, frame: &Frame| {
            let fact = Fact::Frame(frame.clone());
            replay.observe(Observation { at_ns, fact });
            replay.parts()
        };
        let meanwhile: usize = own
            .iter()
            .map(|(at_ns, frame)| observe(*at_ns, frame))
            .sum();
        let told = observe(last_at_ns + 1_000_000_000, &later.1);
        assert_eq!((meanwhile, told), (0, expected));
        let document = replay.finish("test", &FileSummary::default()).document;
        assert_eq!(document.connections.len(), 1);
    }
}
