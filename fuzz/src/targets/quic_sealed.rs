//! QUIC connections whose Initial packets are sealed here: a fuzzer cannot forge a seal, so
//! it gets to change what is under it.

use crate::captures::Capture;
use crate::pieces::{joined, pieces};
use crate::target::Memory;
use crate::{Target, document, wrap};
use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::quic::{DirectionalKeys, Keys, Version};
use tracer::capture::file::FileSummary;
use tracer::replay::{Replay, ReplayOptions};

pub const TARGET: Target = Target {
    name: "quic_sealed",
    about: "QUIC Initials by their frames; tag bits: 0 server, 1 new datagram, 2 version 2, 3 not sealed",
    run,
    seeds,
    head: 0,
    longest: 8192,
    memory: Memory {
        fixed: 8 << 20,
        per_byte: 1024,
    },
};

/// The client's first destination.
const SERVER_ID: [u8; 8] = *b"\x83\x94\xc8\xf0\x3e\x51\x57\x08";
const CLIENT_ID: [u8; 4] = *b"tcer";
const TAG: usize = 16;
/// Between datagrams, nanoseconds.
const STEP_NS: u64 = 1_000_000;

fn run(input: &[u8]) {
    let mut replay = Replay::new(&ReplayOptions {
        keep_frames: true,
        ..ReplayOptions::default()
    });
    for (index, (by_client, payload)) in datagrams(input).iter().enumerate() {
        let at_ns = STEP_NS * u64::try_from(index).unwrap_or(0);
        replay.observe(wrap::observation(
            at_ns,
            wrap::datagram(*by_client, 443, payload),
        ));
    }
    document::check(&replay.finish("fuzz", &FileSummary::default()));
}

/// Who sent it, and the packets in it.
fn datagrams(input: &[u8]) -> Vec<(bool, Vec<u8>)> {
    let mut datagrams: Vec<(bool, Vec<u8>)> = Vec::new();
    for ((tag, frames), number) in pieces(input).zip(0_u32..) {
        let by_client = tag & 1 == 0;
        let packet = match tag & 8 {
            0 => sealed(by_client, tag & 4 != 0, number, frames),
            _ => frames.to_vec(),
        };
        match datagrams.last_mut() {
            Some((same, payload)) if *same == by_client && tag & 2 == 0 => payload.extend(packet),
            _ => datagrams.push((by_client, packet)),
        }
    }
    datagrams
}

/// An Initial packet (RFC 9000, section 17.2.2) with these frames.
fn sealed(by_client: bool, version2: bool, number: u32, frames: &[u8]) -> Vec<u8> {
    let (version, number_of, kind) = match version2 {
        true => (Version::V2, 0x6b33_43cf_u32, 1),
        false => (Version::V1, 1, 0),
    };
    let keys = keys(version, by_client);
    // Enough for the sample of header protection (RFC 9001, section 5.4.2).
    let mut payload = frames.to_vec();
    payload.resize(payload.len().max(4), 0);
    let ids: [&[u8]; 2] = match by_client {
        true => [&SERVER_ID, &CLIENT_ID],
        false => [&CLIENT_ID, &SERVER_ID],
    };
    let mut header = vec![0xc3 | kind << 4];
    header.extend(number_of.to_be_bytes());
    for id in ids {
        header.push(u8::try_from(id.len()).unwrap_or(0));
        header.extend(id);
    }
    header.push(0);
    let length = u32::try_from(4 + payload.len() + TAG).unwrap_or(0);
    header.extend((length | 0x8000_0000).to_be_bytes());
    let number_offset = header.len();
    header.extend(number.to_be_bytes());
    let tag = keys
        .packet
        .encrypt_in_place(number.into(), &header, &mut payload);
    let tag = tag.expect("AES-GCM seals packets of this size");
    let mut packet = [&header[..], &payload, tag.as_ref()].concat();
    protect(&keys, &mut packet, number_offset);
    packet
}

/// RFC 9001, section 5.4.
fn protect(keys: &DirectionalKeys, packet: &mut [u8], number_offset: usize) {
    let (front, sealed) = packet.split_at_mut(number_offset + 4);
    let (first, rest) = front.split_at_mut(1);
    let sample = &sealed[..keys.header.sample_len()];
    let number = &mut rest[number_offset - 1..];
    let done = keys.header.encrypt_in_place(sample, &mut first[0], number);
    done.expect("a sample of the right length");
}

fn keys(version: Version, by_client: bool) -> DirectionalKeys {
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else {
        unreachable!("it is a suite of TLS 1.3");
    };
    let quic = suite.quic.expect("ring offers it for QUIC");
    let keys = Keys::initial(version, suite, quic, &SERVER_ID, rustls::Side::Client);
    if by_client { keys.local } else { keys.remote }
}

/// A client's first datagram.
pub fn example() -> Vec<u8> {
    sealed(true, false, 0, &crypto(0, &hello()))
}

/// A CRYPTO frame.
fn crypto(offset: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(0) | 0x4000;
    [&[6, offset], &length.to_be_bytes()[..], data].concat()
}

/// A ClientHello for h3 at x.test.
fn hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    let name = b"x.test";
    let mut extensions = vec![0, 0, 0, 11, 0, 9, 0, 0, 6];
    extensions.extend(name);
    extensions.extend(b"\x00\x10\x00\x05\x00\x03\x02h3");
    body.extend(u16::try_from(extensions.len()).unwrap_or(0).to_be_bytes());
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap_or(0);
    [&[1, 0, 0, length][..], &body].concat()
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let hello = hello();
    let whole = crypto(0, &hello);
    let (front, back) = hello.split_at(30);
    let (front, back) = (crypto(0, front), crypto(30, back));
    let mut answer = vec![2, 0, 0, 40, 3, 3];
    answer.extend([9; 32]);
    answer.extend([0, 0x13, 0x01, 0, 0, 0]);
    let answer = crypto(0, &answer);
    let close = [0x1c, 0x41, 0x28, 6, 0];
    let mut seeds = vec![
        joined([(0, &whole[..]), (1, &answer)]),
        joined([(2, &back[..]), (2, &front), (1, &answer), (3, &close)]),
        joined([(4, &whole[..]), (5, &answer), (10, b"\x40short")]),
    ];
    // Whole datagrams as they were.
    for capture in captures {
        let datagrams = capture.datagrams().into_iter();
        let list: Vec<_> = datagrams
            .filter(|it| it.destination_port == 443 || it.source_port == 443)
            .take(4)
            .map(|it| (10 | u8::from(it.source_port == 443), it.payload))
            .collect();
        if !list.is_empty() {
            seeds.push(joined(
                list.iter().map(|(tag, payload)| (*tag, &payload[..])),
            ));
        }
    }
    seeds
}
