//! TLS handshake messages, one by one.

use crate::Target;
use crate::captures::Capture;
use crate::target::Memory;
use tracer::journey::model::End;
use tracer::journey::tls::{KeyLog, Session};
use tracer::protocol::tls::credentials;
use tracer::protocol::tls::handshake::Reassembly;
use tracer::protocol::tls::hello::{ClientHello, ServerHello, encrypted_extensions_alpn};
use tracer::protocol::tls::record;

pub const TARGET: Target = Target {
    name: "tls_messages",
    about: "handshake messages of one end (first byte: which), and bodies without their header",
    run,
    seeds,
    head: 1,
    longest: 16 << 10,
    memory: Memory {
        // A compressed certificate may unfold; how far is bounded in itself.
        fixed: 2 << 20,
        per_byte: 256,
    },
};

fn run(input: &[u8]) {
    let Some((&which, bytes)) = input.split_first() else {
        return;
    };
    let end = if which & 1 == 0 {
        End::Client
    } else {
        End::Server
    };
    let mut session = Session::default();
    let mut reassembly = Reassembly::default();
    for (part, at_ns) in bytes.chunks(usize::from(which >> 1) + 1).zip(1_u64..) {
        for message in reassembly.push(part, at_ns, at_ns) {
            assert!(message.first_at_ns <= message.last_at_ns);
            session.message(end, &message);
        }
    }
    session.into_model(&KeyLog::default());
    bodies(bytes);
}

fn bodies(body: &[u8]) {
    ClientHello::parse(body);
    ClientHello::parse_ssl2(body);
    ServerHello::parse(body);
    encrypted_extensions_alpn(body);
    let certificates = credentials::certificates_tls12(body);
    let length: usize = certificates.iter().map(Vec::len).sum();
    assert!(length <= body.len(), "more certificates than fit");
    credentials::certificates_tls13(body);
    credentials::uncompressed_certificate(body);
    for suite in [0x0033, 0xc02b, 0xc02f, 0xcca8] {
        credentials::key_exchange_group(suite, body);
    }
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for conversation in captures.iter().flat_map(Capture::conversations) {
        for by_client in [true, false] {
            let sent = conversation.sent(by_client);
            let mut messages = vec![u8::from(!by_client) | 0xfe];
            let mut next = record::first_record(&sent);
            while let Some(found) = next {
                if found.content_type == record::content_type::HANDSHAKE {
                    let body = sent.get(found.body_start()..found.end());
                    messages.extend(body.unwrap_or_default());
                }
                next = record::record_at(&sent, found.end());
            }
            if messages.len() > 1 {
                // A message behind its header of four bytes is a body.
                seeds.push([&messages[..1], messages.get(5..).unwrap_or_default()].concat());
                seeds.push(messages);
            }
        }
    }
    let mut hello = vec![0xfe, 1, 0, 0, 43, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 0x01, 1, 0, 0, 0]);
    seeds.push(hello);
    seeds
}
