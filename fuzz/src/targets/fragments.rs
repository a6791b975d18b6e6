//! IP packets from their fragments.

use super::frame::link_type;
use crate::Target;
use crate::captures::Capture;
use crate::pieces::{joined, pieces};
use crate::target::Memory;
use tracer::capture::LinkType;
use tracer::protocol::fragments::Fragments;
use tracer::protocol::frame::{Network, Transport, parse};

pub const TARGET: Target = Target {
    name: "fragments",
    about: "frames in pieces: the tag's low bits are the link type, the high ones time that passed",
    run,
    seeds,
    head: 0,
    longest: 16 << 10,
    memory: Memory {
        fixed: 256 << 10,
        per_byte: 64,
    },
};

fn run(input: &[u8]) {
    let mut fragments = Fragments::default();
    let mut now_ns = 0;
    for (tag, data) in pieces(input) {
        now_ns += u64::from(tag >> 4) * 5_000_000_000;
        let parsed = parse(link_type(tag & 1), data);
        let Network::Ip(ip) = &parsed.network else {
            continue;
        };
        let Some(whole) = fragments.add(ip, now_ns) else {
            continue;
        };
        match whole.open().1 {
            Transport::Tcp(tcp) => assert!(tcp.payload.len() <= usize::from(u16::MAX)),
            Transport::Udp(udp) => assert!(udp.payload.len() <= usize::from(u16::MAX)),
            _ => {}
        }
    }
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for capture in captures {
        let fragments = capture.frames.iter().filter(|(_, frame)| {
            let parsed = parse(frame.link_type, &frame.data);
            let is_fragment = matches!(&parsed.network, Network::Ip(ip) if ip.fragment.is_some());
            is_fragment && matches!(frame.link_type, LinkType::Ethernet | LinkType::RawIp)
        });
        let list: Vec<_> = fragments
            .take(12)
            .map(|(_, frame)| {
                (
                    u8::from(frame.link_type == LinkType::RawIp),
                    &frame.data[..],
                )
            })
            .collect();
        if !list.is_empty() {
            seeds.push(joined(list));
        }
    }
    seeds.push(made());
    seeds
}

/// Sixteen bytes of UDP in two fragments of IPv4.
fn made() -> Vec<u8> {
    let fragment = |more: u8, offset: u8, payload: &[u8; 8]| {
        let mut packet = vec![0x45, 0, 0, 28, 0, 7, more, offset, 64, 17, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(payload);
        packet
    };
    let first = fragment(0x20, 0, &[0x9c, 0x40, 0, 53, 0, 16, 0, 0]);
    let last = fragment(0, 1, b"question");
    joined([(1, &first[..]), (1, &last[..])])
}
