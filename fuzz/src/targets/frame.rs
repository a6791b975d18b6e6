//! Frames of every link type, with whatever tunnels are in them.

use crate::Target;
use crate::captures::Capture;
use crate::target::Memory;
use tracer::capture::LinkType;
use tracer::protocol::dns;
use tracer::protocol::frame::{
    IcmpMessage, Network, ParsedFrame, Transport, parse_cut, parse_inner, parse_quoted,
};

pub const TARGET: Target = Target {
    name: "frame",
    about: "a frame: link type, bytes that were cut off, the rest is the frame",
    run,
    seeds,
    head: 2,
    longest: 2048,
    memory: Memory {
        fixed: 64 << 10,
        per_byte: 64,
    },
};

/// Tunnels in tunnels that are followed.
const DEPTH: usize = 16;

fn run(input: &[u8]) {
    let Some((&[link, cut], data)) = input.split_first_chunk() else {
        return;
    };
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut frame = parse_cut(link_type(link), data, length + u32::from(cut) * 16);
    for _ in 0..DEPTH {
        look(&frame);
        let Some(inner) = parse_inner(&frame) else {
            return;
        };
        frame = inner;
    }
}

/// Link types by a number of the target's own, so that most numbers are one that is read.
pub fn link_type(number: u8) -> LinkType {
    match number {
        0 => LinkType::Ethernet,
        1 => LinkType::RawIp,
        2 => LinkType::LinuxCookedV1,
        3 => LinkType::LinuxCookedV2,
        4 => LinkType::Null,
        5 => LinkType::Loop,
        // LINKTYPE_PPP is 9, LINKTYPE_PPP_HDLC 50.
        other => LinkType::Other(other.into()),
    }
}

fn number_of(link_type: LinkType) -> u8 {
    (0..=5)
        .find(|number| self::link_type(*number) == link_type)
        .unwrap_or(9)
}

/// No payload is longer than it says it was on the wire.
fn look(frame: &ParsedFrame<'_>) {
    let Network::Ip(ip) = &frame.network else {
        return;
    };
    match &ip.transport {
        Transport::Tcp(tcp) => assert!(tcp.payload.len() <= tcp.payload_length as usize),
        Transport::Udp(udp) => {
            assert!(udp.payload.len() <= udp.payload_length as usize);
            dns::parse(udp.payload);
        }
        Transport::Icmp(icmp) => {
            if let IcmpMessage::Error { quoted } = icmp.message {
                parse_quoted(quoted);
            }
        }
        Transport::Other { .. } => {}
    }
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let frames = captures
        .iter()
        .flat_map(|capture| capture.frames.iter().take(40));
    let mut seeds: Vec<_> = frames
        .map(|(_, frame)| [&[number_of(frame.link_type), 0], &frame.data[..]].concat())
        .collect();
    let syn = crate::wrap::segment(true, 80, (0, 0), crate::wrap::SYN, b"");
    seeds.push([&[0, 0], &syn.data[..]].concat());
    seeds
}
