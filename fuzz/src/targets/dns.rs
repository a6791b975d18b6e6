//! DNS messages.

use crate::Target;
use crate::captures::Capture;
use crate::target::Memory;
use tracer::protocol::dns;

pub const TARGET: Target = Target {
    name: "dns",
    about: "a DNS message, as in a UDP datagram or behind the length of TCP",
    run,
    seeds,
    head: 0,
    longest: 4096,
    memory: Memory {
        fixed: 64 << 10,
        // A record of 12 bytes with a name of 2 may spell out 1000 escaped characters.
        per_byte: 512,
    },
};

fn run(input: &[u8]) {
    let Some(message) = dns::parse(input) else {
        return;
    };
    let records = message.answers.len();
    // A record has at least a name of one byte, and ten bytes after it.
    assert!(records * 11 <= input.len(), "more records than fit");
    let names = message.answers.iter().map(|record| &record.name);
    for name in names {
        crate::document::printable(name, true);
    }
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let named = |port: u16| matches!(port, 53 | 5353 | 5355);
    let mut seeds = Vec::new();
    for capture in captures {
        let datagrams = capture.datagrams().into_iter();
        let dns = datagrams.filter(|it| named(it.source_port) || named(it.destination_port));
        seeds.extend(dns.take(30).map(|it| it.payload));
        for conversation in capture.conversations() {
            if named(conversation.server_port) {
                let turns = conversation.turns.iter();
                seeds.extend(turns.filter_map(|turn| Some(turn.1.get(2..)?.to_vec())));
            }
        }
    }
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(b"\x03www\x04test\x00\x00\x01\x00\x01");
    seeds.push(query);
    seeds
}
