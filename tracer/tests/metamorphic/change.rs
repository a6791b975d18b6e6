//! What a network may do to packets without changing what was said.

use crate::packet::{FIN, FRAGMENT, PSH, Packet, RST, SYN, Segment, TAGS, URG};
use proptest::prelude::*;
use std::collections::HashSet;
use tracer::capture::{Frame, LinkType};

pub type Timed = (u64, Frame);

/// Frames that one change may add to a capture: bounds the time of a test.
const ADDED: usize = 6_000;

/// Segments that each is cut into where the order changes, too: tracer holds a thousand
/// pieces that wait for an earlier one.
const SPLIT: usize = 80;

/// Frames that copies may add: tracer lists the first thousand retransmissions.
const COPIED: usize = 900;

/// Identification before that of the first packet that is fragmented here: far from those
/// of the packets that came in fragments.
const IDENTIFICATION: u32 = 0x5a5a_5a00;

/// How far segments that overtake each other are apart, ns: what tracer takes for
/// reordering where it saw no round trip.
const OVERTAKING_NS: u64 = 3_000_000;

/// Fragments of one packet: as many as tracer puts together.
const FRAGMENTS: usize = 512;

/// One thing that a network does; lists of choices are used again from their beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// TCP data travels in segments of these sizes, bytes; at most so many of each that
    /// was captured, the last one as large as it has to be.
    Segments { sizes: Vec<usize>, most: usize },
    /// Within so many neighbouring segments of one direction those that come first are
    /// chosen by these numbers.
    Order { window: usize, choices: Vec<usize> },
    /// Each frame is seen so many times more.
    Copies(Vec<usize>),
    /// Tags in front of the network layer: position in [`TAGS`] and VLAN, outermost first.
    Tags(Vec<(usize, u16)>),
    /// IP packets travel in fragments of these sizes, units of eight bytes; the last
    /// fragment may come first.
    Fragments { sizes: Vec<usize>, backwards: bool },
}

/// A kind of [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Segments,
    Order,
    Copies,
    Tags,
    Fragments,
}

impl Change {
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Segments { .. } => Kind::Segments,
            Self::Order { .. } => Kind::Order,
            Self::Copies(_) => Kind::Copies,
            Self::Tags(_) => Kind::Tags,
            Self::Fragments { .. } => Kind::Fragments,
        }
    }

    /// The capture as it would have been.
    pub fn of(&self, frames: &[Timed]) -> Vec<Timed> {
        match self {
            Self::Segments { sizes, most } => each(frames, ADDED, |frame, room| {
                let mut few = most.saturating_sub(1).min(*room);
                let before = few;
                let parts = segments(frame, sizes, &mut few);
                *room -= before - few;
                parts
            }),
            Self::Order { window, choices } => order(frames, *window, choices),
            Self::Copies(copies) => {
                let mut copies = copies.iter().cycle();
                each(frames, COPIED, |frame, room| {
                    let more = copies.next().copied().unwrap_or(0).min(*room);
                    *room -= more;
                    vec![frame.clone(); more + 1]
                })
            }
            Self::Tags(tags) => each(frames, ADDED, |frame, _| vec![tagged(frame, tags)]),
            Self::Fragments { sizes, backwards } => {
                let mut identification = IDENTIFICATION;
                each(frames, ADDED, |frame, room| {
                    identification += 1;
                    let mut parts = fragments(frame, sizes, identification, room);
                    if *backwards {
                        parts.reverse();
                    }
                    parts
                })
            }
        }
    }
}

/// Any change; the simplest choices first, for shrinking.
pub fn any_change() -> impl Strategy<Value = Change> {
    let size = prop_oneof![1_usize..4, 4_usize..100, 100_usize..1400];
    let unit = prop_oneof![1_usize..3, 3_usize..64, 64_usize..180];
    prop_oneof![
        prop::collection::vec(size, 1..6).prop_map(|sizes| Change::Segments { sizes, most: SPLIT }),
        (2_usize..12, prop::collection::vec(0_usize..12, 1..12))
            .prop_map(|(window, choices)| Change::Order { window, choices }),
        prop::collection::vec(0_usize..3, 1..8).prop_map(Change::Copies),
        prop::collection::vec((0_usize..TAGS.len(), 1_u16..4095), 1..3).prop_map(Change::Tags),
        (prop::collection::vec(unit, 1..6), any::<bool>())
            .prop_map(|(sizes, backwards)| Change::Fragments { sizes, backwards }),
    ]
}

fn each(
    frames: &[Timed],
    most: usize,
    mut change: impl FnMut(&Frame, &mut usize) -> Vec<Frame>,
) -> Vec<Timed> {
    let mut room = most;
    let mut changed = Vec::with_capacity(frames.len());
    for (at_ns, frame) in frames {
        let parts = change(frame, &mut room);
        changed.extend(parts.into_iter().map(|part| (*at_ns, part)));
    }
    changed
}

/// Lengths of the parts of `length` bytes that these sizes give, none of them empty.
fn parts(length: usize, sizes: &[usize], room: &mut usize) -> Vec<usize> {
    let mut left = length;
    let mut parts = Vec::new();
    for size in sizes.iter().cycle() {
        if *size >= left || *room == 0 {
            break;
        }
        *room -= 1;
        left -= size;
        parts.push(*size);
    }
    parts.push(left);
    parts
}

fn segments(frame: &Frame, sizes: &[usize], room: &mut usize) -> Vec<Frame> {
    let segment = Segment::of(frame).filter(|it| !it.has(SYN | RST | URG) && it.length() > 1);
    let Some(segment) = segment else {
        return vec![frame.clone()];
    };
    let packet = segment.packet;
    let header = &frame.data[packet.payload..segment.data];
    let lengths = parts(segment.length(), sizes, room);
    let mut from = 0;
    let segments = lengths.iter().enumerate().map(|(number, length)| {
        let data = &frame.data[segment.data + from..segment.data + from + length];
        let mut payload = [header, data].concat();
        let offset = u32::try_from(from).expect("a segment");
        let sequence = segment.sequence.wrapping_add(offset);
        payload[4..8].copy_from_slice(&sequence.to_be_bytes());
        if number + 1 < lengths.len() {
            // FIN and PSH belong to the last byte.
            payload[13] &= !(FIN | PSH);
        }
        from += length;
        packet.with(frame, &payload, |_| {})
    });
    segments.collect()
}

/// Neighbouring segments with data of one direction, none of which opens or closes
/// anything, change places.
fn order(frames: &[Timed], window: usize, choices: &[usize]) -> Vec<Timed> {
    let mut started = HashSet::new();
    let mut choices = choices.iter().cycle();
    let mut changed = frames.to_vec();
    let mut from = 0;
    while from < frames.len() {
        let length = run(&frames[from..], &mut started).min(window).max(1);
        let mut rest: Vec<Frame> = frames[from..from + length]
            .iter()
            .map(|(_, frame)| frame.clone())
            .collect();
        for (_, place) in &mut changed[from..from + length] {
            let choice = choices.next().copied().unwrap_or(0) % rest.len();
            *place = rest.remove(choice);
        }
        from += length;
    }
    changed
}

/// How many segments stand in a row here that follow each other in one stream. The first
/// data of a direction without a SYN is left in its place: it says where the stream begins.
fn run(frames: &[Timed], started: &mut HashSet<(Vec<u8>, u16, u16)>) -> usize {
    let mut length = 0;
    let mut last: Option<(Segment, Vec<u8>)> = None;
    for (at_ns, frame) in frames {
        let soon = frames
            .first()
            .is_some_and(|(first, _)| at_ns.abs_diff(*first) < OVERTAKING_NS);
        let Some(segment) = Segment::of(frame).filter(|_| soon) else {
            break;
        };
        let head = &frame.data[segment.packet.start..segment.packet.payload];
        let addresses = if segment.packet.ipv6 {
            &head[8..40]
        } else {
            &head[12..20]
        };
        let flow = (addresses.to_vec(), segment.ports.0, segment.ports.1);
        if segment.has(SYN) {
            started.insert(flow);
            break;
        }
        if segment.has(FIN | RST | URG) || segment.length() < 2 {
            break;
        }
        let follows = last.as_ref().is_none_or(|(last, addresses)| {
            let same = last.ports == segment.ports && *addresses == flow.0;
            same && last.next() == segment.sequence
        });
        if !follows || started.insert(flow.clone()) {
            break;
        }
        last = Some((segment, flow.0));
        length += 1;
    }
    length
}

fn tagged(frame: &Frame, tags: &[(usize, u16)]) -> Frame {
    let mut changed = frame.clone();
    if frame.link_type == LinkType::Ethernet && frame.data.len() >= 14 {
        for (kind, vlan) in tags.iter().rev() {
            let [a, b] = TAGS[*kind].to_be_bytes();
            let [c, d] = vlan.to_be_bytes();
            changed.data.splice(12..12, [a, b, c, d]);
            changed.original_length += 4;
        }
    }
    changed
}

fn fragments(frame: &Frame, sizes: &[usize], number: u32, room: &mut usize) -> Vec<Frame> {
    let whole = |packet: &Packet| {
        let options = packet.payload - packet.start != if packet.ipv6 { 40 } else { 20 };
        !packet.fragment && !options && packet.end - packet.payload > 8
    };
    let Some(packet) = Packet::of(frame).filter(whole) else {
        return vec![frame.clone()];
    };
    let payload = &frame.data[packet.payload..packet.end];
    let smallest = payload.len().div_ceil(8 * FRAGMENTS);
    let sizes = sizes.iter().map(|units| 8 * *units.max(&smallest));
    let bytes: Vec<usize> = sizes.collect();
    let lengths = parts(payload.len(), &bytes, room);
    if lengths.len() < 2 {
        return vec![frame.clone()];
    }
    let mut from = 0;
    let fragments = lengths.iter().enumerate().map(|(index, length)| {
        let part = &payload[from..from + length];
        let offset = u16::try_from(from / 8).expect("in a packet");
        let more = index + 1 < lengths.len();
        from += length;
        if packet.ipv6 {
            // Next header, reserved, offset and M, identification (RFC 8200, section 4.5).
            let place = offset << 3 | u16::from(more);
            let mut header = vec![packet.protocol, 0];
            header.extend(place.to_be_bytes());
            header.extend(number.to_be_bytes());
            header.extend(part);
            packet.with(frame, &header, |head| head[6] = FRAGMENT)
        } else {
            packet.with(frame, part, |head| {
                let [_, _, high, low] = number.to_be_bytes();
                head[4..6].copy_from_slice(&[high, low]);
                let place = offset | u16::from(more) << 13;
                head[6..8].copy_from_slice(&place.to_be_bytes());
            })
        }
    });
    fragments.collect()
}
