//! TCP reassembly against a model that is too simple to be wrong.

use crate::Target;
use crate::captures::Capture;
use crate::target::Memory;
use arbitrary::{Arbitrary, Unstructured};
use tracer::journey::stream::StreamAssembler;

pub const TARGET: Target = Target {
    name: "tcp_stream",
    about: "segments of one direction in any order, overlapping: the first copy of a byte wins",
    run,
    seeds,
    head: 7,
    longest: 2048,
    memory: Memory {
        // Holes are written out: the whole stream may be one.
        fixed: 1 << 20,
        per_byte: 1024,
    },
};

/// Fewer than the assembler remembers ranges, so that it forgets nothing.
const SEGMENTS: usize = 400;

/// Segments begin below this, so that many of them meet.
const REACH: u16 = 4096;

#[derive(Debug, Arbitrary)]
struct Stream {
    initial_sequence: u32,
    limit: u16,
    close_gaps: bool,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct Segment {
    offset: u16,
    length: u8,
    /// Bytes that the capture did not hold.
    cut: u8,
    at_ns: u8,
}

impl Segment {
    /// The bytes of the `index`-th segment: told apart from those of all others.
    fn bytes(self, index: usize) -> Vec<u8> {
        let first = index.wrapping_mul(31);
        let captured = self.length.saturating_sub(self.cut);
        (0..usize::from(captured))
            .map(|place| u8::try_from(first.wrapping_add(place) & 0xff).unwrap_or(0))
            .collect()
    }
}

fn run(input: &[u8]) {
    let Ok(mut stream) = Stream::arbitrary(&mut Unstructured::new(input)) else {
        return;
    };
    stream.segments.truncate(SEGMENTS);
    let limit = usize::from(stream.limit % (2 * REACH));
    let mut assembler = StreamAssembler::new(limit);
    assembler.set_initial_sequence(stream.initial_sequence);
    let mut model = Model::default();
    for (index, segment) in stream.segments.iter().copied().enumerate() {
        let sequence = stream
            .initial_sequence
            .wrapping_add(1)
            .wrapping_add((segment.offset % REACH).into());
        let bytes = segment.bytes(index);
        assembler.segment(
            sequence,
            &bytes,
            segment.length.into(),
            segment.at_ns.into(),
        );
        model.segment(segment, &bytes);
    }
    model.compare(&assembler, limit, false);
    assert_eq!(assembler.gaps().collect::<Vec<_>>(), model.gaps());
    if stream.close_gaps {
        assembler.close_gaps();
        model.compare(&assembler, limit, true);
    }
}

/// Each byte of the stream with its time, where it was seen.
#[derive(Debug, Default)]
struct Model {
    bytes: Vec<Option<(u8, u64)>>,
}

impl Model {
    fn segment(&mut self, segment: Segment, captured: &[u8]) {
        let start = usize::from(segment.offset % REACH);
        let end = start + usize::from(segment.length);
        if start < end && self.bytes.len() < end {
            self.bytes.resize(end, None);
        }
        for place in start..end {
            // What was not captured reads as zeros.
            let byte = captured.get(place - start).copied().unwrap_or(0);
            self.bytes[place].get_or_insert((byte, segment.at_ns.into()));
        }
    }

    fn gaps(&self) -> Vec<(u64, u64)> {
        let mut gaps: Vec<(u64, u64)> = Vec::new();
        for (place, byte) in (0_u64..).zip(&self.bytes) {
            match (byte, gaps.last_mut()) {
                (Some(_), _) => {}
                (None, Some(gap)) if gap.1 == place => gap.1 += 1,
                (None, _) => gaps.push((place, place + 1)),
            }
        }
        gaps
    }

    /// `closed`: gaps below the last byte that was kept read as zeros.
    fn compare(&self, assembler: &StreamAssembler, limit: usize, closed: bool) {
        assert_eq!(assembler.highest(), self.bytes.len() as u64);
        let mut expected = Vec::new();
        for (place, byte) in self.bytes.iter().take(limit).enumerate() {
            if let Some((byte, _)) = byte {
                if place > expected.len() && !closed {
                    break;
                }
                expected.resize(place, 0);
                expected.push(*byte);
            }
        }
        let bytes = assembler.bytes();
        assert!(bytes.as_slice() == expected, "other bytes than came first");
        for (place, byte) in self.bytes.iter().enumerate().take(expected.len()) {
            if let Some((_, at_ns)) = byte {
                assert_eq!(bytes.time_of(place), *at_ns, "the time of byte {place}");
            }
        }
    }
}

fn seeds(_: &[Capture]) -> Vec<Vec<u8>> {
    // The layout is that of `arbitrary`: any bytes make some segments.
    (1..=4_u8)
        .map(|step| (0..96).map(|place: u8| place.wrapping_mul(step)).collect())
        .collect()
}
