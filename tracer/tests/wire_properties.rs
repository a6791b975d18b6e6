//! Real frames, damaged: whatever happens to them, nothing may panic, and what is said of
//! them must hang together.

#[path = "support/packets.rs"]
mod packets;
mod support;

use proptest::prelude::*;
use std::sync::OnceLock;
use tracer::capture::Frame;
use tracer::journey::stream::StreamAssembler;
use tracer::protocol::dns;
use tracer::protocol::fragments::Fragments;
use tracer::protocol::frame::{
    IcmpMessage, Network, Transport, parse_cut, parse_inner, parse_quoted,
};

/// Every frame of the captures.
fn frames() -> &'static [Frame] {
    static FRAMES: OnceLock<Vec<Frame>> = OnceLock::new();
    FRAMES.get_or_init(|| {
        let files = support::files(&support::captures());
        let frames = files.iter().flat_map(|path| packets::frames(path));
        let frames: Vec<Frame> = frames.map(|(_, frame)| frame).collect();
        assert!(!frames.is_empty(), "the folder holds no captures");
        frames
    })
}

/// Some bytes of a real frame changed, and its end cut off.
fn damaged() -> impl Strategy<Value = Frame> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (
        any::<prop::sample::Index>(),
        prop::collection::vec(change, 0..6),
        prop::option::of(any::<prop::sample::Index>()),
    )
        .prop_map(|(index, changes, cut)| {
            let mut frame = index.get(frames()).clone();
            for (place, value) in changes {
                // Headers stand in front: that is where changes do most.
                let reach = frame.data.len().min(120);
                if reach > 0 {
                    frame.data[place.index(reach)] = value;
                }
            }
            if let Some(cut) = cut {
                let kept = cut.index(frame.data.len() + 1);
                frame.data.truncate(kept);
            }
            frame
        })
}

fn check(transport: &Transport<'_>, stream: &mut StreamAssembler) {
    match transport {
        Transport::Tcp(tcp) => {
            assert!(tcp.payload.len() <= tcp.payload_length as usize);
            stream.segment(tcp.sequence, tcp.payload, tcp.payload_length, 1);
        }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn damaged_frames_break_nothing(frames in prop::collection::vec(damaged(), 1..8)) {
        let mut fragments = Fragments::default();
        let mut stream = StreamAssembler::new(4096);
        for frame in &frames {
            let mut parsed = parse_cut(frame.link_type, &frame.data, frame.original_length);
            for _ in 0..4 {
                if let Network::Ip(ip) = &parsed.network {
                    check(&ip.transport, &mut stream);
                    if let Some(whole) = fragments.add(ip, 1) {
                        check(&whole.open().1, &mut stream);
                    }
                }
                match parse_inner(&parsed) {
                    Some(inner) => parsed = inner,
                    None => break,
                }
            }
        }
        stream.close_gaps();
        prop_assert!(stream.bytes().len() <= 4096);
    }
}
