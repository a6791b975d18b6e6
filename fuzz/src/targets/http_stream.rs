//! HTTP connections over any segmentation.

use super::tls_stream::{Streams, conversations};
use crate::Target;
use crate::captures::Capture;
use crate::pieces::joined;
use crate::target::Memory;
use serde_json::Value;
use tracer::journey::bytes::TimedBytes;
use tracer::journey::http::{analyse, tunnel};
use tracer::protocol::http2::PREFACE;

pub const HTTP1: Target = Target {
    name: "http1_stream",
    about: "an HTTP/1 connection in pieces; tags: 0 client, 1 server, 3 and 4 holes",
    run: http1,
    seeds: http1_seeds,
    head: 0,
    longest: 16 << 10,
    memory: MEMORY,
};

pub const HTTP2: Target = Target {
    name: "http2_stream",
    about: "an HTTP/2 connection behind the client's preface in pieces; tags as of http1_stream",
    run: http2,
    seeds: http2_seeds,
    head: 0,
    longest: 16 << 10,
    memory: MEMORY,
};

const MEMORY: Memory = Memory {
    fixed: 2 << 20,
    // A request of a few bytes is an exchange of some hundred.
    per_byte: 1024,
};

fn http1(input: &[u8]) {
    let streams = Streams::of(input);
    check(&streams);
    tunnel(&streams.client, &streams.server);
}

fn http2(input: &[u8]) {
    let mut with_preface = joined([(0, PREFACE)]);
    with_preface.extend(input);
    check(&Streams::of(&with_preface));
}

/// Where the bytes were cut shows in the number of segments only, as long as the reader is
/// in step: after garbage or a hole it looks for the next message where a segment begins,
/// and a stream without cuts has no such place.
fn check(streams: &Streams) {
    let cut = exchanges(&streams.client, &streams.server);
    let whole = exchanges(&streams.client_whole, &streams.server_whole);
    // An upgrade is an exchange in each version, but one request.
    let requests = |all: &[Value]| {
        let first = all.iter().filter(|it| it["upgraded_from"].is_null());
        first.count()
    };
    assert!(requests(&cut) >= requests(&whole), "cuts hide exchanges");
    for (one, other) in cut.iter().zip(&whole) {
        // Of what the client said no request was found: there may be one, or HTTP/2, where a
        // segment begins.
        let unasked = other["version"] != "2" && other["method"].is_null();
        if unasked && !streams.client_whole.is_empty() {
            return;
        }
        for member in ["method", "target", "request_at_ns"] {
            assert_eq!(one[member], other[member], "cuts show");
        }
        // An upgrade that goes on in HTTP/2 has no answer before that one is there.
        let upgrading = other["status"] == 101 && other["response_end_at_ns"].is_null();
        if other["status"].is_null() || upgrading {
            return;
        }
        assert_eq!(one, other, "cuts show");
    }
}

fn exchanges(client: &TimedBytes, server: &TimedBytes) -> Vec<Value> {
    let found = analyse(client, server, None, "http", "c1", false);
    let value = |exchange| {
        let mut value = serde_json::to_value(exchange).expect("JSON");
        for member in ["request_segments", "response_segments"] {
            value[member] = Value::Null;
        }
        value
    };
    found.into_iter().map(value).collect()
}

fn http1_seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let is_http1 = |sent: &[u8]| {
        use tracer::protocol::http1::{Parsed, parse_request};
        !sent.starts_with(PREFACE) && matches!(parse_request(sent), Parsed::Complete(..))
    };
    let mut seeds = conversations(captures, is_http1);
    seeds.push(joined([
        (
            0,
            &b"GET /a HTTP/1.1\r\nHost: x.test\r\n\r\nHEAD /b HTTP/1.1\r\n\r\n"[..],
        ),
        (
            1,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ),
        (
            1,
            b"0\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
        ),
    ]));
    seeds.push(joined([
        (0, &b"CONNECT x.test:443 HTTP/1.1\r\n\r\n"[..]),
        (1, b"HTTP/1.1 200 OK\r\n\r\n"),
    ]));
    seeds
}

fn http2_seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for conversation in captures.iter().flat_map(Capture::conversations) {
        let (client, server) = (conversation.sent(true), conversation.sent(false));
        let Some(client) = client.strip_prefix(PREFACE) else {
            continue;
        };
        let list = client.chunks(1400).map(|part| (0, part));
        seeds.push(joined(
            list.chain(server.chunks(1400).map(|part| (1, part))),
        ));
    }
    // GET http://x/ and its answer, both by the static table, with CONTINUATION.
    let request = [
        0, 0, 2, 1, 1, 0, 0, 0, 1, 0x82, 0x86, 0, 0, 1, 9, 4, 0, 0, 0, 1, 0x84,
    ];
    let response = [
        0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88, 0, 0, 2, 0, 1, 0, 0, 0, 1, b'o', b'k',
    ];
    seeds.push(joined([(0, &request[..]), (1, &response[..])]));
    seeds
}
