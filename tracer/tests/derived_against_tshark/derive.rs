//! Captures made from others, always the same: what short snapshots, late starts, busy
//! recorders and taps of one direction leave of them.

use tracer::capture::{Frame, LinkType};

/// Frames with their times, nanoseconds.
pub type Frames = Vec<(u64, Frame)>;

/// What happened to a capture.
#[derive(Clone, Copy)]
pub enum Change {
    /// So many bytes were kept of each frame.
    Snapshot(usize),
    /// So many frames at the beginning were not recorded.
    Late(usize),
    /// One frame in so many was not recorded.
    Loss(u64),
    /// Only the frames of the first sender, or all but those.
    OneWay {
        of_first: bool,
    },
    /// One frame in so many was recorded behind the next one.
    Swap(u64),
    Tag,
}

impl Change {
    /// The changed capture; `None` where the change does not fit its link type.
    pub fn apply(self, frames: &Frames) -> Option<Frames> {
        let mut frames = frames.clone();
        match self {
            Self::Snapshot(kept) => {
                for (_, frame) in &mut frames {
                    frame.data.truncate(kept);
                }
            }
            Self::Late(missing) => {
                frames.drain(..missing.min(frames.len()));
            }
            Self::Loss(one_in) => {
                let mut chance = Chance(one_in);
                frames.retain(|_| !chance.hits(one_in));
            }
            Self::OneWay { of_first } => {
                let first = frames.iter().find_map(|(_, frame)| sender(frame))?;
                frames.retain(|(_, frame)| (sender(frame).as_ref() == Some(&first)) == of_first);
            }
            Self::Swap(one_in) => {
                let mut chance = Chance(one_in);
                let mut at = 0;
                while at + 1 < frames.len() {
                    let swaps = chance.hits(one_in);
                    if swaps {
                        let first = frames[at].1.clone();
                        frames[at].1 = std::mem::replace(&mut frames[at + 1].1, first);
                    }
                    at += 1 + usize::from(swaps);
                }
            }
            Self::Tag => {
                for (_, frame) in &mut frames {
                    if frame.link_type != LinkType::Ethernet || frame.data.len() < 12 {
                        return None;
                    }
                    frame.data.splice(12..12, [0x81, 0x00, 0x00, 0x64]);
                    frame.original_length += 4;
                }
            }
        }
        Some(frames)
    }
}

/// Knuth's linear congruential generator; any will do, as long as it repeats.
struct Chance(u64);

impl Chance {
    fn hits(&mut self, one_in: u64) -> bool {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(one_in)
    }
}

/// The address of the sender of an IP packet in Ethernet or null framing.
fn sender(frame: &Frame) -> Option<Vec<u8>> {
    let ip = match frame.link_type {
        LinkType::Ethernet => 14,
        LinkType::Null => 4,
        _ => return None,
    };
    let range = match frame.data.get(ip)? >> 4 {
        4 => ip + 12..ip + 16,
        6 => ip + 8..ip + 24,
        _ => return None,
    };
    Some(frame.data.get(range)?.to_vec())
}

/// A pcap file with times in nanoseconds.
pub fn pcap(frames: &Frames) -> Vec<u8> {
    let link_type: u32 = match frames.first().map(|(_, frame)| frame.link_type) {
        Some(LinkType::Null) => 0,
        _ => 1,
    };
    let mut file = Vec::new();
    let magic_and_version = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, link_type];
    let words = |words: &[u32]| {
        words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    file.extend(words(&magic_and_version));
    for (at_ns, frame) in frames {
        let word = |number: u64| u32::try_from(number).expect("a short capture");
        let length = word(frame.data.len() as u64);
        let (seconds, rest) = (at_ns / 1_000_000_000, at_ns % 1_000_000_000);
        file.extend(words(&[
            word(1_700_000_000 + seconds),
            word(rest),
            length,
            frame.original_length,
        ]));
        file.extend(&frame.data);
    }
    file
}
