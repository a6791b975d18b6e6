//! QUIC datagrams, opened with their public keys.

use crate::Target;
use crate::captures::{Capture, Datagram};
use crate::target::Memory;
use tracer::protocol::quic::frame::{Frame, frames};
use tracer::protocol::quic::keys::Keys;
use tracer::protocol::quic::packet::{Kind, Packet, packets};

pub const TARGET: Target = Target {
    name: "quic_packets",
    about: "a UDP datagram of QUIC, its Initial packets opened with their public keys",
    run,
    seeds,
    head: 0,
    longest: 2048,
    memory: Memory {
        fixed: 64 << 10,
        per_byte: 32,
    },
};

fn run(input: &[u8]) {
    let mut length = 0;
    for packet in packets(input) {
        match packet {
            Packet::Long(long) => {
                length += long.bytes.len();
                assert!(long.number_offset <= long.bytes.len());
                if long.kind != Kind::Retry {
                    open(
                        long.version,
                        long.destination_id,
                        long.bytes,
                        long.number_offset,
                    );
                }
            }
            Packet::Short(bytes) => length += bytes.len(),
            Packet::VersionNegotiation { versions, .. } => assert!(versions.len() <= 64),
            Packet::Unknown { .. } => {}
        }
    }
    assert!(length <= input.len(), "packets longer than their datagram");
}

fn open(version: u32, destination_id: &[u8], packet: &[u8], number_offset: usize) {
    for by_client in [true, false] {
        let Some(mut keys) = Keys::initial(version, destination_id, by_client) else {
            return;
        };
        if let Some(opened) = keys.open(packet, number_offset) {
            assert!(opened.payload.len() <= packet.len());
            for frame in frames(version, &opened.payload) {
                if let Frame::Crypto { data, .. } = frame {
                    assert!(data.len() <= opened.payload.len());
                }
            }
        }
    }
}

/// By its port: seeds need not be sure.
fn is_quic(datagram: &Datagram) -> bool {
    [datagram.source_port, datagram.destination_port]
        .iter()
        .any(|port| matches!(port, 443 | 4433 | 8443))
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for capture in captures {
        let datagrams = capture.datagrams().into_iter().filter(is_quic);
        seeds.extend(datagrams.take(30).map(|datagram| datagram.payload));
    }
    // Version Negotiation for versions 1 and 2, then a Retry.
    let mut negotiation = vec![0x80, 0, 0, 0, 0, 1, 7, 1, 8];
    negotiation.extend([0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf]);
    seeds.push(negotiation);
    seeds.push([&[0xf0, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4][..], &[9; 24]].concat());
    seeds.push(super::quic_sealed::example());
    seeds
}
