//! Notes of recordings, between the frames they speak of.

use super::facts::facts;
use crate::captures::Capture;
use crate::pieces::{joined, pieces};
use crate::play::{self, Player};
use crate::target::Memory;
use crate::{Target, wrap};
use tracer::capture::file::{FileSummary, Item, read_items};
use tracer::capture::recording::{ENTERPRISE, Header, Recorder, Replay};
use tracer::capture::{Fact, Frame, LinkType, Observation};
use tracer::journey::model::{HostInfo, TracerInfo};

pub const TARGET: Target = Target {
    name: "recording",
    about: "what stands in a recording; tags: 0 note, 1 frame, 2 line of key log",
    run,
    seeds,
    head: 0,
    longest: 16 << 10,
    memory: Memory {
        fixed: 8 << 20,
        per_byte: 1024,
    },
};

fn run(input: &[u8]) {
    let mut player = Player::default();
    let mut replay = Replay::default();
    for (tag, bytes) in pieces(input) {
        let item = match tag {
            0 => Item::Custom {
                enterprise: ENTERPRISE,
                data: bytes,
                big_endian: false,
            },
            1 => {
                let length = u32::try_from(bytes.len()).unwrap_or(0);
                let frame = wrap::frame(LinkType::Ethernet, length, bytes.to_vec());
                Item::Observation(wrap::observation(0, frame))
            }
            _ => {
                let line = String::from_utf8_lossy(bytes).into_owned();
                let fact = Fact::TlsSecret(line);
                Item::Observation(Observation { at_ns: 0, fact })
            }
        };
        replay.item(item, &mut |event| player.event(event));
    }
    replay.finish(&mut |event| player.event(event));
    replay.warnings();
    player.finish(&FileSummary::default());
}

/// A recording of these observations, as a file. `live`: journeys were taken on the way.
pub fn recorded(observations: &[Observation], live: bool) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("seed.pcapng");
    let mut recorder = Recorder::create(&path).expect("a new file");
    recorder.begin(&Header {
        live,
        stream_limit: 1 << 20,
        tracer: TracerInfo::default(),
        host: HostInfo::default(),
        capture: play::capture(),
    });
    for observation in observations {
        recorder.observe(observation);
        if live {
            recorder.take(observation.at_ns, true);
        }
    }
    recorder
        .finish(&play::capture())
        .expect("room for a small file");
    std::fs::read(&path).expect("the file just written")
}

/// The kernel's facts, then the first frames of a capture.
pub fn observations(frames: &[(u64, Frame)]) -> Vec<Observation> {
    let facts = facts().into_iter().zip(1_u64..);
    let facts = facts.map(|(fact, at_ns)| Observation { at_ns, fact });
    let frames = frames
        .iter()
        .take(20)
        .map(|(at_ns, frame)| wrap::observation(at_ns.saturating_add(100), frame.clone()));
    facts.chain(frames).collect()
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let none: &[(u64, Frame)] = &[];
    let frames = captures
        .iter()
        .step_by(6)
        .map(|capture| &capture.frames[..]);
    let mut seeds = Vec::new();
    for frames in std::iter::once(none).chain(frames) {
        for live in [true, false] {
            seeds.push(taken_apart(&recorded(&observations(frames), live)));
        }
    }
    seeds
}

fn taken_apart(file: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("seed.pcapng");
    std::fs::write(&path, file).expect("room for a small file");
    let mut list: Vec<(u8, Vec<u8>)> = Vec::new();
    let read = read_items(&path, &mut |item| match item {
        Item::NoSecrets | Item::Started(_) => {}
        Item::Custom { data, .. } => list.push((0, data.to_vec())),
        Item::Observation(observation) => match observation.fact {
            Fact::Frame(frame) => list.push((1, frame.data)),
            Fact::TlsSecret(line) => list.push((2, line.into_bytes())),
            _ => {}
        },
    });
    read.expect("a recording of our own");
    joined(list.iter().map(|(tag, bytes)| (*tag, &bytes[..])))
}
