use super::{MAX_RANGES, MAX_WINDOW, SegmentKind, StreamAssembler};
use proptest::prelude::*;

const LIMIT: usize = 1 << 20;

/// An assembler whose stream starts at sequence number `first`.
fn started(first: u32) -> StreamAssembler {
    let mut stream = StreamAssembler::new(LIMIT);
    stream.set_initial_sequence(first.wrapping_sub(1));
    stream
}

fn send(stream: &mut StreamAssembler, sequence: u32, data: &[u8], at_ns: u64) -> SegmentKind {
    let length = u32::try_from(data.len()).unwrap();
    stream.segment(sequence, data, length, at_ns)
}

#[test]
fn segments_in_order_are_new() {
    let mut stream = started(100);
    assert_eq!(
        send(&mut stream, 100, b"GET ", 1),
        SegmentKind::New { relative: 0 }
    );
    assert_eq!(
        send(&mut stream, 104, b"/", 2),
        SegmentKind::New { relative: 4 }
    );
    assert_eq!(stream.bytes().as_slice(), b"GET /");
    assert_eq!(stream.highest(), 5);
    assert_eq!(stream.bytes().time_of(4), 2);
}

#[test]
fn a_late_segment_is_out_of_order_and_fills_its_gap() {
    let mut stream = started(0);
    send(&mut stream, 0, b"ab", 1);
    assert_eq!(
        send(&mut stream, 4, b"ef", 2),
        SegmentKind::New { relative: 4 }
    );
    assert_eq!(stream.bytes().as_slice(), b"ab");
    assert_eq!(stream.gaps().collect::<Vec<_>>(), [(2, 4)]);
    assert_eq!(
        send(&mut stream, 2, b"cd", 9),
        SegmentKind::OutOfOrder { relative: 2 }
    );
    assert_eq!(stream.bytes().as_slice(), b"abcdef");
    assert_eq!(stream.gaps().count(), 0);
    // First seen at 2, readable only when the gap was filled.
    assert_eq!(stream.bytes().time_of(4), 2);
    assert_eq!(stream.bytes().readable_at(4), 9);
}

#[test]
fn the_first_copy_of_a_byte_wins() {
    let mut stream = started(0);
    send(&mut stream, 0, b"abcd", 1);
    assert_eq!(
        send(&mut stream, 0, b"ABCD", 2),
        SegmentKind::Retransmission { relative: 0 }
    );
    assert_eq!(
        send(&mut stream, 2, b"CDef", 3),
        SegmentKind::Overlap {
            relative: 2,
            new_bytes: 2
        }
    );
    assert_eq!(stream.bytes().as_slice(), b"abcdef");
    assert_eq!(stream.bytes().time_of(5), 3);
}

#[test]
fn a_segment_around_a_waiting_one_brings_only_its_edges() {
    let mut stream = started(0);
    send(&mut stream, 2, b"CD", 1);
    assert_eq!(
        send(&mut stream, 0, b"abcdef", 2),
        SegmentKind::Overlap {
            relative: 0,
            new_bytes: 4
        }
    );
    assert_eq!(stream.bytes().as_slice(), b"abCDef");
}

#[test]
fn sequence_numbers_wrap() {
    let first = u32::MAX - 1;
    let mut stream = started(first);
    send(&mut stream, first, b"abcd", 1);
    send(&mut stream, 2, b"ef", 2);
    assert_eq!(stream.bytes().as_slice(), b"abcdef");
    assert_eq!(stream.relative(2), 4);
    assert_eq!(stream.relative(first), 0);
    assert_eq!(stream.relative(first - 1), 0, "the SYN");
}

#[test]
fn offsets_go_on_beyond_four_gigabytes() {
    let mut stream = started(7);
    let step = 1_u32 << 29;
    let mut sequence = 7_u32;
    for _ in 0..10 {
        stream.segment(sequence, &[0; LIMIT], step, 1);
        sequence = sequence.wrapping_add(step);
    }
    assert_eq!(stream.highest(), 10 << 29);
    assert_eq!(stream.relative(sequence), 10 << 29);
    assert_eq!(stream.bytes().len(), LIMIT);
}

#[test]
fn a_keep_alive_is_not_data() {
    let mut stream = started(10);
    assert_eq!(send(&mut stream, 9, b"", 1), SegmentKind::KeepAlive);
    send(&mut stream, 10, b"abc", 1);
    assert_eq!(send(&mut stream, 12, b"\0", 2), SegmentKind::KeepAlive);
    assert_eq!(send(&mut stream, 12, b"", 2), SegmentKind::KeepAlive);
    assert_eq!(send(&mut stream, 13, b"", 2), SegmentKind::Empty);
    assert_eq!(stream.highest(), 3);
    assert_eq!(
        send(&mut stream, 13, b"d", 3),
        SegmentKind::New { relative: 3 }
    );
    assert_eq!(stream.bytes().as_slice(), b"abcd");
}

#[test]
fn payload_that_was_not_captured_is_a_hole() {
    let mut stream = started(0);
    stream.segment(0, b"ab", 5, 1);
    stream.segment(8, b"i", 2, 3);
    stream.segment(5, b"fgh", 3, 2);
    assert_eq!(stream.bytes().as_slice(), b"ab\0\0\0fghi\0");
    assert_eq!(stream.bytes().next_hole(0), Some((2, 3)));
    assert_eq!(stream.bytes().next_hole(5), Some((9, 1)));
    assert_eq!(stream.highest(), 10);
}

#[test]
fn without_a_syn_the_first_segment_is_the_start() {
    let mut stream = StreamAssembler::new(LIMIT);
    assert_eq!(stream.relative(5), 0);
    send(&mut stream, 5000, b"abc", 1);
    assert_eq!(
        send(&mut stream, 4998, b"__ab", 2),
        SegmentKind::Retransmission { relative: 0 }
    );
    assert_eq!(stream.bytes().as_slice(), b"abc");
}

#[test]
fn a_syn_seen_late_moves_the_stream_to_its_place() {
    let mut stream = StreamAssembler::new(LIMIT);
    send(&mut stream, 103, b"def", 1);
    stream.segment(108, b"i", 2, 2);
    stream.set_initial_sequence(99);
    assert_eq!(stream.bytes().len(), 0);
    assert_eq!(stream.highest(), 10);
    send(&mut stream, 100, b"abc", 3);
    send(&mut stream, 106, b"gh", 4);
    assert_eq!(stream.bytes().as_slice(), b"abcdefghi\0");
    assert_eq!(stream.bytes().next_hole(0), Some((9, 1)));
    assert_eq!(stream.bytes().time_of(3), 1);
    // Another connection's SYN changes nothing.
    stream.set_initial_sequence(4000);
    assert_eq!(stream.relative(100), 0);
}

/// Found by `cargo xtask fuzz replay`: one segment far ahead became 16 MiB of zeros.
#[test]
fn a_stream_ends_where_holes_would_outweigh_what_was_captured() {
    let mut far = StreamAssembler::new(16 << 20);
    far.segment(1, b"head", 4, 1);
    far.segment(10_000_000, b"far", 3, 2);
    far.close_gaps();
    assert_eq!(far.bytes().as_slice(), b"head");
    assert_eq!(far.highest(), 10_000_002, "what is not kept is counted");
    let kind = far.segment(5, b"next", 4, 3);
    assert_eq!(kind, SegmentKind::OutOfOrder { relative: 4 });
    assert_eq!(
        far.bytes().as_slice(),
        b"head",
        "an ended stream stays ended"
    );

    let mut long = StreamAssembler::new(16 << 20);
    for number in 0..100 {
        long.segment(1 + number * 60_000, b"", 60_000, 1);
    }
    assert_eq!(long.bytes().len(), 60_000, "nothing of it can be read");
}

/// A capture that keeps 68 bytes of each frame.
#[test]
fn short_snapshots_of_full_segments_are_followed_to_the_end() {
    let mut stream = StreamAssembler::new(16 << 20);
    for number in 0..5_000 {
        stream.segment(1 + number * 1460, b"fourteen bytes", 1460, 1);
    }
    assert_eq!(stream.bytes().len(), 5_000 * 1460);
}

#[test]
fn beyond_the_limit_bytes_are_counted_only() {
    let mut stream = StreamAssembler::new(4);
    stream.set_initial_sequence(u32::MAX);
    send(&mut stream, 0, b"abc", 1);
    assert_eq!(
        send(&mut stream, 3, b"def", 2),
        SegmentKind::New { relative: 3 }
    );
    assert_eq!(send(&mut stream, 6, b"ghi", 3), SegmentKind::BeyondLimit);
    assert_eq!(
        send(&mut stream, 6, b"ghi", 4),
        SegmentKind::Retransmission { relative: 6 }
    );
    assert_eq!(stream.bytes().as_slice(), b"abcd");
    assert_eq!(stream.highest(), 9);
}

#[test]
fn closing_gaps_makes_what_lies_behind_readable() {
    let mut stream = started(0);
    send(&mut stream, 0, b"ab", 1);
    send(&mut stream, 4, b"ef", 5);
    send(&mut stream, 8, b"ij", 7);
    stream.close_gaps();
    assert_eq!(stream.bytes().as_slice(), b"ab\0\0ef\0\0ij");
    assert_eq!(stream.bytes().next_hole(0), Some((2, 2)));
    assert_eq!(stream.bytes().time_of(2), 5);
    // What fills a closed gap is known as late, and what follows goes on.
    assert_eq!(
        send(&mut stream, 2, b"cd", 8),
        SegmentKind::OutOfOrder { relative: 2 }
    );
    send(&mut stream, 10, b"k", 9);
    assert_eq!(stream.bytes().as_slice(), b"ab\0\0ef\0\0ijk");
}

#[test]
fn a_number_far_ahead_is_not_part_of_the_stream() {
    let mut stream = started(0);
    send(&mut stream, 0, b"ab", 1);
    let far = u32::try_from(MAX_WINDOW).unwrap() + 3;
    assert_eq!(send(&mut stream, far, b"x", 2), SegmentKind::OutOfWindow);
    assert_eq!(stream.highest(), 2);
}

#[test]
fn many_gaps_do_not_need_unbounded_memory() {
    let mut stream = started(0);
    for index in 1..=5000_u32 {
        send(&mut stream, index * 4, b"xy", u64::from(index));
    }
    assert!(stream.waiting.len() <= MAX_RANGES);
    assert!(stream.seen.len() <= MAX_RANGES);
    assert_eq!(stream.highest(), 20_002);
    stream.close_gaps();
    assert_eq!(stream.bytes().len(), 20_002);
    assert_eq!(&stream.bytes().as_slice()[..8], b"\0\0\0\0xy\0\0");
    assert_eq!(&stream.bytes().as_slice()[19_996..], b"xy\0\0xy");
}

#[test]
fn segments_behind_a_gap_fit_as_well_when_they_are_cut() {
    let mut stream = started(0);
    for place in 1..=700_u32 {
        let at_ns = u64::from(place);
        for byte in 0..8 {
            send(&mut stream, place * 8 + byte, b"x", at_ns);
        }
    }
    assert!(stream.bytes().is_empty(), "the gap was given up");
    send(&mut stream, 0, b"xxxxxxxx", 2000);
    assert_eq!(stream.bytes().as_slice(), [b'x'; 5608]);
    assert_eq!(stream.bytes().time_of(5607), 700);
}

/// A byte string cut into segments: `(offset, bytes)`.
fn segments() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, usize)>)> {
    prop::collection::vec(any::<u8>(), 1..400).prop_flat_map(|data| {
        let length = data.len();
        let cuts = prop::collection::btree_set(0..length, 0..20);
        (Just(data), cuts).prop_map(move |(data, cuts)| {
            let mut bounds: Vec<usize> = std::iter::once(0).chain(cuts).collect();
            bounds.push(length);
            bounds.dedup();
            let pieces = bounds.windows(2).map(|pair| (pair[0], pair[1])).collect();
            (data, pieces)
        })
    })
}

proptest! {
    #[test]
    fn any_segmentation_duplication_and_reordering_gives_the_string(
        (data, pieces) in segments(),
        start in any::<u32>(),
        order in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6), 0..40),
        overlaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..10),
    ) {
        let mut sent: Vec<(usize, usize)> = pieces.clone();
        // Duplicates and overlapping retransmissions anywhere, then bounded moves.
        for (from, to) in overlaps {
            let (a, b) = (from.index(data.len()), to.index(data.len() + 1));
            sent.insert(from.index(sent.len() + 1), (a.min(b), a.max(b)));
        }
        for (place, distance) in order {
            let index = place.index(sent.len());
            let other = (index + distance).min(sent.len() - 1);
            sent.swap(index, other);
        }
        let mut stream = started(start);
        for (index, &(from, to)) in sent.iter().enumerate() {
            let sequence = start.wrapping_add(u32::try_from(from).unwrap());
            send(&mut stream, sequence, &data[from..to], index as u64);
        }
        prop_assert_eq!(stream.bytes().as_slice(), &data[..]);
        prop_assert_eq!(stream.highest(), data.len() as u64);
        prop_assert_eq!(stream.bytes().next_hole(0), None);
        prop_assert_eq!(stream.gaps().count(), 0);
    }

    #[test]
    fn the_new_bytes_of_all_segments_add_up_to_what_was_seen(
        start in any::<u32>(),
        limit in 0_usize..300,
        sent in prop::collection::vec((0_u32..400, 0_u32..60, 0_usize..60), 0..60),
    ) {
        let mut stream = StreamAssembler::new(limit);
        stream.set_initial_sequence(start.wrapping_sub(1));
        let mut covered = std::collections::BTreeSet::new();
        for (offset, length, captured) in sent {
            let payload = vec![1_u8; captured.min(length as usize)];
            let kind = stream.segment(start.wrapping_add(offset), &payload, length, 1);
            let before = covered.len();
            if kind != SegmentKind::KeepAlive {
                covered.extend(offset..offset + length);
            }
            let new = (covered.len() - before) as u64;
            match kind {
                SegmentKind::New { .. } | SegmentKind::OutOfOrder { .. } | SegmentKind::BeyondLimit => {
                    prop_assert_eq!(new, u64::from(length));
                }
                SegmentKind::Overlap { new_bytes, .. } => prop_assert_eq!(new, new_bytes),
                _ => prop_assert_eq!(new, 0),
            }
            prop_assert!(stream.bytes().len() <= limit);
        }
        let gaps: u64 = stream.gaps().map(|(from, to)| to - from).sum();
        prop_assert_eq!(covered.len() as u64, stream.highest() - gaps);
        stream.close_gaps();
        prop_assert!(stream.bytes().len() <= limit);
    }

    #[test]
    fn no_segments_break_the_assembler(
        isn in prop::option::of(any::<u32>()),
        sent in prop::collection::vec((any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..10)), 0..60),
    ) {
        let mut stream = StreamAssembler::new(1000);
        for (index, (sequence, length, payload)) in sent.iter().enumerate() {
            stream.segment(*sequence, payload, *length, index as u64);
            if index == 30 && let Some(isn) = isn {
                stream.set_initial_sequence(isn);
            }
        }
        stream.close_gaps();
        prop_assert!(stream.bytes().len() <= 1000);
    }
}
