//! A TCP connection to any port, from SYN to FIN, through everything.

use crate::captures::Capture;
use crate::pieces::{joined, pieces};
use crate::target::Memory;
use crate::wrap::{ACK, FIN, SYN, observation, segment};
use crate::{Target, document};
use tracer::capture::file::FileSummary;
use tracer::journey::model::Document;
use tracer::protocol::tls::record::first_record;
use tracer::replay::{Replay, ReplayOptions};

pub const TARGET: Target = Target {
    name: "conversation",
    about: "a TCP connection through the assembler: first byte is the port, then pieces; tags: bit 0 server, bit 1 later",
    run,
    seeds,
    head: 1,
    longest: 16 << 10,
    memory: Memory {
        fixed: 8 << 20,
        per_byte: 2048,
    },
};

const PORTS: [u16; 8] = [80, 443, 53, 853, 8080, 3128, 25, 5222];
const PORTS_OF_DNS: [u16; 1] = [53];
/// The longest payload of one segment.
const SEGMENT: usize = 1460;
const LATER_NS: u64 = 700_000_000;

fn run(input: &[u8]) {
    let Some((&port, list)) = input.split_first() else {
        return;
    };
    let port = PORTS[usize::from(port) % PORTS.len()];
    let cut = told(port, list, usize::MAX);
    let fine = told(port, list, 7);
    same(&sizes(&cut), &sizes(&fine));
    let client: Vec<u8> = pieces(list)
        .filter(|(tag, _)| tag & 1 == 0)
        .flat_map(|(_, bytes)| bytes.iter().copied())
        .collect();
    // What becomes TLS later, and HTTP after garbage, is found where a segment begins.
    if first_record(&client).is_some() {
        same(&secured(&cut), &secured(&fine));
    }
    if first_record(&client).is_none() && PORTS_OF_DNS.contains(&port) {
        same(&resolved(&cut), &resolved(&fine));
    }
}

/// The connection told with payloads of at most `longest` bytes.
fn told(port: u16, list: &[u8], longest: usize) -> Document {
    let mut replay = Replay::new(&ReplayOptions {
        keep_frames: longest < SEGMENT,
        ..ReplayOptions::default()
    });
    let mut now_ns = 0;
    // Sequence numbers of the client and of the server.
    let mut next = [0x1000_u32, 0xffff_ff00];
    let mut send = |by_client: bool, now_ns: u64, flags: u8, payload: &[u8]| {
        let [own, other] = if by_client { [0, 1] } else { [1, 0] };
        let frame = segment(by_client, port, (next[own], next[other]), flags, payload);
        let counted = payload.len() + usize::from(flags & (SYN | FIN) != 0);
        next[own] = next[own].wrapping_add(u32::try_from(counted).unwrap_or(0));
        replay.observe(observation(now_ns, frame));
    };
    send(true, 0, SYN, b"");
    send(false, 100, SYN | ACK, b"");
    send(true, 200, ACK, b"");
    for (tag, bytes) in pieces(list) {
        now_ns += 1_000 + u64::from(tag >> 1 & 1) * LATER_NS;
        for part in bytes.chunks(longest.min(SEGMENT)) {
            send(tag & 1 == 0, now_ns, ACK, part);
        }
    }
    send(true, now_ns + 1_000, FIN | ACK, b"");
    send(false, now_ns + 2_000, FIN | ACK, b"");
    let trace = replay.finish("fuzz", &FileSummary::default());
    document::check(&trace);
    trace.document
}

/// Other segments tell the same. Only the first difference is shown: lists may be long.
fn same(cut: &[String], fine: &[String]) {
    for (number, (one, other)) in cut.iter().zip(fine).enumerate() {
        assert_eq!(
            one,
            other,
            "number {number} of {}, {}",
            cut.len(),
            fine.len()
        );
    }
    assert_eq!(cut.len(), fine.len(), "other segments, more or fewer");
}

fn sizes(document: &Document) -> Vec<String> {
    let connections = document.connections.iter();
    connections
        .map(|it| format!("{:?} {:?}", it.bytes, it.close))
        .collect()
}

fn secured(document: &Document) -> Vec<String> {
    let sessions = document.connections.iter().filter_map(|it| it.tls.as_ref());
    sessions
        .map(|tls| serde_json::to_string(tls).expect("JSON"))
        .collect()
}

fn resolved(document: &Document) -> Vec<String> {
    let dns = document.dns.iter();
    dns.map(|it| format!("{:?} {:?} {:?}", it.question, it.rcode, it.answers))
        .collect()
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for conversation in captures.iter().flat_map(Capture::conversations) {
        let known = PORTS.iter().zip(0_u8..);
        let known = known.filter(|(port, _)| **port == conversation.server_port);
        let port = known.map(|(_, number)| number).next().unwrap_or(4);
        let turns = conversation.turns.iter().take(40);
        let list = turns.map(|(by_client, bytes)| (u8::from(!by_client), &bytes[..]));
        seeds.push([&[port][..], &joined(list)].concat());
    }
    let question = b"\x00\x19\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x04test\x00\x00\x01\x00\x01";
    seeds.push([&[2][..], &joined([(0, &question[..])])].concat());
    let request = b"GET / HTTP/1.1\r\nHost: x.test\r\n\r\n";
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    seeds.push([&[0][..], &joined([(0, &request[..]), (3, response)])].concat());
    seeds
}
