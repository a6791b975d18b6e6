//! Input that was made to break the readers.

use super::analyse;
use crate::effort;
use crate::journey::bytes::TimedBytes;
use crate::protocol::http2::PREFACE;
use proptest::prelude::*;
use std::time::Duration;

fn stream(bytes: &[u8]) -> TimedBytes {
    let mut stream = TimedBytes::default();
    for (at, segment) in (0..).zip(bytes.chunks(100)) {
        stream.push(segment, at);
    }
    stream
}

fn check(client: &TimedBytes, server: &TimedBytes) {
    for exchange in analyse(client, server, None, "http", "c1", false) {
        let carried = exchange.request_body_bytes + exchange.response_body_bytes;
        assert!(carried <= (client.len() + server.len()) as u64);
        assert!(
            exchange
                .request_end_at_ns
                .is_none_or(|end| Some(end) >= exchange.request_at_ns)
        );
    }
}

const REQUESTS: &str = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
    5\r\nabcde\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n\
    HEAD /c HTTP/1.1\r\nHost: x\r\n\r\n";
const RESPONSES: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\
    HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
    HTTP/1.1 200 OK\r\n\r\n";

/// The request of RFC 7541, appendix C.4.1, on three streams, after preface and SETTINGS.
fn http2() -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for stream in [1, 3, 5] {
        let block = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        bytes.extend([0, 0, 17, 1, 4, 0, 0, 0, stream]);
        bytes.extend(block);
        bytes.extend([0, 0, 2, 0, 1, 0, 0, 0, stream, b'o', b'k']);
    }
    bytes
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        client in prop::collection::vec(any::<u8>(), 0..400),
        server in prop::collection::vec(any::<u8>(), 0..400),
        http2 in any::<bool>(),
    ) {
        let mut bytes = if http2 { PREFACE.to_vec() } else { Vec::new() };
        bytes.extend(client);
        check(&stream(&bytes), &stream(&server));
    }

    #[test]
    fn damaged_messages_never_panic(
        second in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        hole in 0..120_usize,
    ) {
        let (mut client, mut server) = if second {
            (http2(), http2()[PREFACE.len()..].to_vec())
        } else {
            (REQUESTS.as_bytes().to_vec(), RESPONSES.as_bytes().to_vec())
        };
        for (place, value) in damage {
            let from = if second { PREFACE.len() } else { 0 };
            let place = from + place.index(client.len() - from);
            client[place] = value;
            let place = place % server.len();
            server[place] = value;
        }
        let cut = cut.index(server.len());
        let mut holed = stream(&server[..cut]);
        holed.push_hole(hole, 7);
        holed.push(server.get(cut + hole..).unwrap_or_default(), 8);
        check(&stream(&client), &holed);
        check(&holed, &stream(&client));
    }
}

fn time(client: &TimedBytes, server: &TimedBytes) -> Duration {
    effort::of(|| check(client, server))
}

fn repeated(prefix: &[u8], unit: &[u8], units: usize) -> TimedBytes {
    let mut bytes = prefix.to_vec();
    bytes.extend(unit.iter().copied().cycle().take(unit.len() * units));
    let mut stream = TimedBytes::default();
    stream.push(&bytes, 1);
    stream
}

#[test]
fn four_times_the_input_takes_no_more_than_some_four_times_as_long() {
    let request = b"GET / HTTP/1.1\r\n\r\n";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    /// Name, then prefix and repeated unit of the client and of the server.
    type Case = (
        &'static str,
        &'static [u8],
        &'static [u8],
        &'static [u8],
        &'static [u8],
    );
    let cases: [Case; 6] = [
        ("requests", b"", request, b"", b""),
        ("chunks", b"", request, chunked, b"1\r\nx\r\n"),
        (
            "a head without end",
            b"GET / HTTP/1.1\r\n",
            b"a: b\r\n",
            b"",
            b"",
        ),
        ("empty lines", b"", b"\r\n", b"", b""),
        (
            "frames",
            PREFACE,
            &[0, 0, 0, 0, 0, 0, 0, 0, 1],
            b"",
            &[0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
        (
            "continuations",
            PREFACE,
            &[0, 0, 1, 9, 0, 0, 0, 0, 1, 0x82],
            b"",
            b"",
        ),
    ];
    for (name, client, client_unit, server, server_unit) in cases {
        let measure = |units| {
            let client = repeated(client, client_unit, units);
            time(&client, &repeated(server, server_unit, units))
        };
        let (short, long) = (measure(20_000), measure(80_000));
        // Quadratic work would take sixteen times as long.
        assert!(
            long < short * 10 + Duration::from_millis(500),
            "{name}: {short:?}, then {long:?}"
        );
    }
}

#[test]
fn a_stream_full_of_holes_is_read_in_bounded_time() {
    let mut client = TimedBytes::default();
    for at in 0..20_000 {
        client.push(b"GET / HTTP/1.1\r\na: b\r\n", at);
        client.push_hole(1, at);
    }
    assert!(time(&client, &client) < Duration::from_secs(5));
}
