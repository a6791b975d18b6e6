//! QUIC frames in clear, and the CRYPTO stream they are parts of.

use crate::Target;
use crate::captures::Capture;
use crate::pieces::{joined, pieces};
use crate::target::Memory;
use tracer::protocol::quic::crypto::CryptoStream;
use tracer::protocol::quic::frame::{Frame, error_name, frames};
use tracer::protocol::quic::version::V1;

pub const TARGET: Target = Target {
    name: "quic_frames",
    about: "payloads of QUIC packets in clear, one a piece",
    run,
    seeds,
    head: 0,
    longest: 8192,
    memory: Memory {
        fixed: 64 << 10,
        per_byte: 256,
    },
};

fn run(input: &[u8]) {
    let mut stream = CryptoStream::default();
    let mut taken = 0;
    for ((tag, payload), at_ns) in pieces(input).zip(1_u64..) {
        let version = match tag & 1 {
            0 => V1,
            _ => u32::from_be_bytes(*b"T051"),
        };
        for frame in frames(version, payload) {
            match frame {
                Frame::Crypto { offset, data } => {
                    taken += data.len();
                    for message in stream.push(offset, data, at_ns) {
                        assert!(message.body.len() <= taken, "more than was sent");
                        assert!(message.first_at_ns <= message.last_at_ns);
                    }
                }
                Frame::Stream { data, .. } => assert!(data.len() <= payload.len()),
                Frame::Close { code, reason, .. } => {
                    error_name(code);
                    assert!(reason.len() <= payload.len());
                }
                Frame::Other => {}
            }
        }
    }
}

fn seeds(_: &[Capture]) -> Vec<Vec<u8>> {
    // A Finished in two parts that come the wrong way round, with padding between them.
    let last = [6, 5, 5, 2, 3, 4, 5, 6, 0, 0, 0, 1];
    let first = [6, 0, 6, 20, 0, 0, 6, 1, 2];
    let acknowledgment = [2, 9, 0, 1, 3, 1, 2, 0x1e];
    let stream = [0x0f, 0, 4, 2, b'o', b'k'];
    let close = [0x1c, 0x41, 0x28, 6, 3, b'b', b'y', b'e'];
    let others = [
        0x10, 9, 0x04, 0, 1, 2, 0x07, 1, 1, 0x1a, 1, 2, 3, 4, 5, 6, 7, 8,
    ];
    let list: [&[u8]; 6] = [&last, &first, &acknowledgment, &stream, &close, &others];
    let mut seeds: Vec<_> = list.iter().map(|one| joined([(0, *one)])).collect();
    seeds.push(joined(list.map(|one| (0, one))));
    seeds
}
