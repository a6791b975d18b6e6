//! Whole capture files: as their reader sees them, and through everything.

use super::recording::{observations, recorded};
use crate::Target;
use crate::captures::Capture;
use crate::play::Player;
use crate::target::Memory;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use tracer::capture::Fact;
use tracer::capture::file::{Item, read_from};
use tracer::capture::recording::Replay;

pub const PCAP: Target = Target {
    name: "pcap",
    about: "a pcap file, plain or in gzip",
    run: read,
    seeds: |captures| files(captures, false),
    head: 0,
    longest: 16 << 10,
    memory: READ,
};

pub const PCAPNG: Target = Target {
    name: "pcapng",
    about: "a pcapng file, plain or in gzip",
    run: read,
    seeds: pcapng_seeds,
    head: 0,
    longest: 16 << 10,
    memory: READ,
};

pub const REPLAY: Target = Target {
    name: "replay",
    about: "a capture file from its first byte to every report",
    run: replay,
    seeds: |captures| {
        let mut seeds = files(captures, false);
        seeds.extend(pcapng_seeds(captures));
        seeds
    },
    head: 0,
    longest: 32 << 10,
    memory: Memory {
        fixed: 16 << 20,
        per_byte: 4096,
    },
};

const READ: Memory = Memory {
    // The read buffer, and what gzip needs.
    fixed: 2 << 20,
    // A record that unfolds from gzip, a thousandfold.
    per_byte: 2048,
};

fn read(input: &[u8]) {
    let mut frames = 0;
    let result = read_from(input, "fuzz", &mut |item| {
        if let Item::Observation(seen) = item
            && let Fact::Frame(_) = seen.fact
        {
            frames += 1;
        }
    });
    match result {
        Ok(summary) => assert_eq!(summary.packets, frames, "the n-th frame is packet n"),
        Err(error) => assert!(error.to_string().contains("; ") || frames == 0),
    }
}

fn replay(input: &[u8]) {
    let mut player = Player::default();
    let mut recording = Replay::default();
    let read = read_from(input, "fuzz", &mut |item| {
        recording.item(item, &mut |event| player.event(event));
    });
    let Ok(summary) = read else { return };
    recording.finish(&mut |event| player.event(event));
    player.finish(&summary);
}

fn files(captures: &[Capture], pcapng: bool) -> Vec<Vec<u8>> {
    let is_pcapng = |bytes: &[u8]| bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]);
    let whole = captures.iter().map(|capture| &capture.bytes);
    let whole = whole.filter(|bytes| is_pcapng(bytes) == pcapng);
    // What a long file has at its start is worth more than a cut anywhere.
    let mut seeds: Vec<_> = whole
        .map(|bytes| bytes.get(..READ_SEED).unwrap_or(bytes).to_vec())
        .collect();
    if !pcapng {
        seeds.push(made());
    }
    let packed = seeds
        .iter()
        .step_by(8)
        .map(|bytes| packed(bytes))
        .collect::<Vec<_>>();
    seeds.extend(packed);
    seeds
}

/// Longest start of a file that is a seed.
const READ_SEED: usize = 12 << 10;

fn pcapng_seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let mut seeds = files(captures, true);
    let frames = captures
        .iter()
        .step_by(4)
        .map(|capture| &capture.frames[..]);
    for frames in std::iter::once(&[][..]).chain(frames) {
        seeds.push(recorded(&observations(frames), frames.len() % 2 == 0));
    }
    seeds
}

/// One SYN in a file with nanoseconds.
fn made() -> Vec<u8> {
    let frame = crate::wrap::segment(true, 80, (0, 0), crate::wrap::SYN, b"").data;
    let length = u32::try_from(frame.len()).unwrap_or(0);
    let mut file = Vec::new();
    for number in [
        0xa1b2_3c4d_u32,
        4 << 16 | 2,
        0,
        0,
        65_535,
        1,
        1_700_000_000,
        5,
        length,
        length,
    ] {
        file.extend(number.to_le_bytes());
    }
    // Version 2.4: the major number comes first.
    file[4..8].copy_from_slice(&[2, 0, 4, 0]);
    file.extend(frame);
    file
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}
