//! Files that are cut, damaged, or no captures.

use super::sources::{gzip, zstandard};
use super::{Order, Pcapng, frames, pcap, read_all};
use crate::capture::file::{FileError, read, read_from};
use proptest::prelude::*;
use std::io::{Cursor, Read};

#[test]
fn a_cut_file_gives_everything_before_the_cut() {
    let mut pcapng = Pcapng::new(Order::Big);
    pcapng.interface(1, &[]);
    let pcapng_header = pcapng.bytes.len();
    pcapng.packet(0, 1, b"first", &[]);
    let pcapng_first = pcapng.bytes.len();
    pcapng.packet(0, 2, b"second", &[]);
    let pcap = pcap(
        Order::Little,
        0xa1b2_c3d4,
        1,
        &[(1, 0, b"first"), (2, 0, b"second")],
    );
    for (bytes, header, first) in [
        (pcap, 24, 24 + 16 + 5),
        (pcapng.bytes, pcapng_header, pcapng_first),
    ] {
        for cut in header..bytes.len() {
            let (summary, seen) = read_all(&bytes[..cut]).unwrap();
            let (packets, offset) = if cut < first { (0, header) } else { (1, first) };
            assert_eq!(seen.len(), packets);
            let expected = (cut != offset).then(|| u64::try_from(offset).unwrap());
            assert_eq!(summary.truncated_at, expected, "cut at {cut}");
            assert_eq!(summary.truncation.is_some(), expected.is_some());
        }
    }
}

/// Found by `cargo xtask fuzz pcapng`: pcap-parser subtracts twelve from the length of a
/// process block (0x80000001) unseen.
#[test]
fn a_block_shorter_than_its_own_frame_is_damage() {
    for order in [Order::Little, Order::Big] {
        for kind in [0x8000_0001, 1, 6, 0x0bad, 0x1234] {
            for length in 0..12 {
                let mut file = Pcapng::new(order);
                file.interface(1, &[]);
                file.packet(0, 1, b"first", &[]);
                let sound = file.bytes.len();
                file.bytes
                    .extend([order.u32(kind), order.u32(length), [0; 4]].concat());
                file.bytes.extend([0; 64]);
                let (summary, seen) = read_all(&file.bytes).unwrap();
                assert_eq!(frames(&seen).len(), 1);
                assert_eq!(summary.truncated_at, u64::try_from(sound).ok());
            }
        }
    }
}

#[test]
fn a_large_record_is_read_and_an_impossible_one_is_damage() {
    let large = vec![7_u8; 3_000_000];
    let mut bytes = pcap(
        Order::Little,
        0xa1b2_c3d4,
        1,
        &[(1, 0, b"small"), (2, 0, &large), (3, 0, b"after")],
    );
    let (summary, seen) = read_all(&bytes).unwrap();
    assert_eq!((summary.packets, summary.truncated_at), (3, None));
    assert_eq!(frames(&seen)[1].1.data, large);

    // The second packet claims 2 GiB, and bytes go on for ever.
    bytes[45 + 8..45 + 12].copy_from_slice(&[0, 0, 0, 0x80]);
    let endless = Cursor::new(&bytes).chain(std::io::repeat(7));
    let summary = read_from(endless, "test", &mut |_| {}).unwrap();
    assert_eq!((summary.packets, summary.truncated_at), (1, Some(45)));
    assert_eq!(
        summary.truncation.as_deref(),
        Some("a record claims more than 16 MiB")
    );
}

#[test]
fn what_is_no_capture_is_refused_with_a_mend() {
    let message = |bytes: &[u8]| read_all(bytes).unwrap_err().to_string();
    assert!(message(b"").contains("it is empty; record it again"));
    assert!(message(b"\xd4\xc3").contains("header is cut"));
    assert!(message(b"\xd4\xc3\xb2\xa1\x02").contains("header is cut"));
    assert!(message(b"\x0a\x0d\x0d\x0a\x1c\0\0\0").contains("header is cut"));
    assert!(message(b"#!/bin/sh\n").contains("neither pcap nor pcapng"));
    for (magic, name) in [
        (&b"\xfd7zXZ\0"[..], "xz"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"BZh9", "bzip2"),
        (b"PK\x03\x04", "zip"),
    ] {
        let message = message(magic);
        assert!(message.contains(name), "{message}");
        assert!(message.contains("which tracer does not read"), "{message}");
        assert!(message.contains("decompress it first"), "{message}");
    }
    assert!(message(&gzip(&gzip(b"x"))).contains("compressed twice"));
    assert!(message(&zstandard(&gzip(b"x"))).contains("compressed twice"));
    assert!(message(&zstandard(b"")).contains("it is empty"));
    assert!(message(b"\x28\xb5\x2f\xfd....").contains("cannot read capture test"));
    assert!(message(b"\x1f\x8b\x08").contains("cannot read capture test"));
    let missing = read(std::path::Path::new("/nowhere/x.pcap"), &mut |_| {});
    assert!(matches!(missing, Err(FileError::Open { .. })));
    let folder = read(std::path::Path::new("/"), &mut |_| {});
    assert!(matches!(folder, Err(FileError::Read { .. })));
}

fn samples() -> Vec<Vec<u8>> {
    let mut file = Pcapng::new(Order::Little);
    file.interface(1, &[file.option(2, b"eth0"), file.option(9, &[9])]);
    file.packet(0, 1, b"packet", &[file.option(2, &[1, 0, 0, 0])]);
    let mut secrets = file.order.u32(0x544c_534b).to_vec();
    secrets.extend(file.order.u32(6));
    secrets.extend(b"A b c\n");
    file.block(10, &secrets);
    file.section(Order::Big);
    file.interface(101, &[]);
    file.packet(0, 1, b"packet", &[]);
    let packets: [(u32, u32, &[u8]); 2] = [(1, 2, b"first"), (3, 4, b"second")];
    vec![file.bytes, pcap(Order::Little, 0xa1b2_c3d4, 1, &packets)]
}

proptest! {
    #[test]
    fn no_change_to_a_file_breaks_the_reader(
        file in prop::sample::select(samples()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        kept in any::<prop::sample::Index>(),
    ) {
        let mut file = file;
        for (place, value) in changes {
            let place = place.index(file.len());
            file[place] = value;
        }
        file.truncate(kept.index(file.len() + 1));
        if let Ok((summary, seen)) = read_all(&file) {
            prop_assert_eq!(summary.packets, frames(&seen).len() as u64);
            prop_assert!(seen.iter().all(|seen| seen.at_ns <= summary.duration_ns));
        }
    }

    #[test]
    fn no_bytes_behind_a_magic_break_the_reader(
        magic in prop::sample::select(vec![[0xd4_u8, 0xc3, 0xb2, 0xa1], [0x0a, 0x0d, 0x0d, 0x0a], [0x1f, 0x8b, 8, 0], [0x28, 0xb5, 0x2f, 0xfd]]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = read_all(&[&magic[..], &rest].concat());
    }
}
