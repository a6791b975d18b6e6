//! What stands before the format: compression, and pipes that bring a few bytes at a time.

use super::{Order, Pcapng, frames, pcap, read_all};
use crate::capture::file::{Item, read_from};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Read, Write};

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One zstd frame with a checksum.
pub(super) fn zstandard(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Packets that compress badly, as sealed payload does.
fn noisy_pcap(packets: u32) -> Vec<u8> {
    let mut state = 1_u32;
    let data: Vec<Vec<u8>> = (0..packets)
        .map(|_| {
            let mut noise = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            };
            (0..1000).map(|_| noise()).collect()
        })
        .collect();
    let packets: Vec<_> = (1..=packets)
        .zip(&data)
        .map(|(second, data)| (second, 0, data.as_slice()))
        .collect();
    pcap(Order::Little, 0xa1b2_c3d4, 1, &packets)
}

#[test]
fn compressed_files_are_read_through_also_in_pieces() {
    let bytes = pcap(Order::Little, 0xa1b2_c3d4, 1, &[(1, 0, b"a"), (2, 0, b"b")]);
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"any"].concat();
    let (head, tail) = bytes.split_at(30);
    for compressed in [
        gzip(&bytes),
        [gzip(head), gzip(tail)].concat(),
        zstandard(&bytes),
        [zstandard(head), zstandard(tail)].concat(),
        [
            zstandard(head),
            zstandard(b""),
            skipped.clone(),
            zstandard(tail),
        ]
        .concat(),
        [skipped.clone(), zstandard(&bytes), skipped].concat(),
    ] {
        assert_eq!(read_all(&compressed).unwrap(), read_all(&bytes).unwrap());
        let mut packets = 0;
        let mut sink = |item: Item<'_>| packets += u64::from(matches!(item, Item::Observation(_)));
        let summary = read_from(Drip(&compressed), "pipe", &mut sink).unwrap();
        assert_eq!((summary.packets, packets), (2, 2));
        assert_eq!(summary.truncated_at, None);
    }
}

#[test]
fn a_cut_compressed_file_is_a_cut_capture() {
    let bytes = noisy_pcap(300);
    for compressed in [gzip(&bytes), zstandard(&bytes)] {
        let mut packets_before = 0;
        for cut in [60, 500, 5_000, 200_000, 290_000, compressed.len() - 1] {
            let read = read_all(&compressed[..cut]);
            if cut == 60 && read.is_err() {
                // Not even the header of the capture could be decompressed.
                continue;
            }
            let (summary, seen) = read.unwrap();
            assert_eq!(summary.packets, frames(&seen).len() as u64);
            assert!(summary.packets >= packets_before);
            packets_before = summary.packets;
            let offset = 24 + summary.packets * (16 + 1000);
            assert_eq!(summary.truncated_at, Some(offset), "cut at {cut}");
            assert_eq!(
                summary.truncation.as_deref(),
                Some("the compressed file is cut")
            );
        }
        // A block of 128 KiB at most is lost with the cut, not the whole window; what is
        // missing of the last check sum costs no packet.
        assert_eq!(packets_before, 300);
        let (summary, _) = read_all(&compressed[..290_000]).unwrap();
        assert!(summary.packets > 150, "{}", summary.packets);
    }
}

#[test]
fn damage_within_compressed_data_keeps_what_stood_before_it() {
    let bytes = noisy_pcap(300);
    let mut compressed = [zstandard(&bytes[..150_000]), zstandard(&bytes[150_000..])].concat();
    let last = compressed.len() - 1;
    compressed[last] ^= 1;
    let (summary, _) = read_all(&compressed).unwrap();
    assert!(
        (147..=300).contains(&summary.packets),
        "{}",
        summary.packets
    );
    assert!(summary.truncated_at.is_some());
    // Something else behind the last frame is not part of the capture, and is told.
    let trailed = [zstandard(&bytes), b"garbage".to_vec()].concat();
    let (summary, _) = read_all(&trailed).unwrap();
    assert_eq!(summary.packets, 300);
    assert_eq!(summary.truncated_at, u64::try_from(bytes.len()).ok());
}

#[test]
fn a_zstd_window_beyond_bounds_is_refused_not_allocated() {
    // RFC 8878, section 3.1.1.1: no single segment; window descriptor exponent 31 is 2 TiB.
    let hostile = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 31 << 3, 0x01, 0, 0];
    let message = read_all(&hostile).unwrap_err().to_string();
    assert!(message.contains("too much memory"), "{message}");
}

/// Gives one byte at a time, as a slow pipe does.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}

#[test]
fn a_slow_pipe_is_as_good_as_a_file() {
    let mut file = Pcapng::new(Order::Little);
    file.interface(1, &[]);
    file.packet(0, 1, b"a", &[]);
    for bytes in [
        file.bytes,
        pcap(Order::Big, 0xa1b2_c3d4, 1, &[(1, 0, b"a")]),
    ] {
        let mut packets = 0;
        let mut sink = |item: Item<'_>| packets += u64::from(matches!(item, Item::Observation(_)));
        let summary = read_from(Drip(&bytes), "pipe", &mut sink).unwrap();
        assert_eq!((summary.packets, packets), (1, 1));
        assert_eq!(summary.truncated_at, None);
    }
}
