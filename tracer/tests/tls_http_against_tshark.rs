//! TLS and HTTP of real captures, compared with what tshark says of them.

mod support;

use tracer::journey::http;
use tracer::journey::tls::{KeyLog, analyse};

#[test]
fn dump() {
    let name = std::env::var("DUMP").unwrap_or("lab/curl-h2.pcap".into());
    let keys = if std::env::var("NOKEYS").is_ok() {
        KeyLog::default()
    } else {
        support::key_log(&name)
    };
    for stream in support::tcp_streams(&name) {
        println!(
            "{:?} -> {:?} {} {} {:?} {:?}",
            stream.client,
            stream.server,
            stream.from_client.len(),
            stream.from_server.len(),
            stream.from_client.next_hole(0),
            stream.from_server.next_hole(0)
        );
        let (client, server, alpn, scheme) =
            match analyse(&stream.from_client, &stream.from_server, &keys) {
                Some(a) => (
                    a.client_plaintext.unwrap_or_default(),
                    a.server_plaintext.unwrap_or_default(),
                    a.session.alpn,
                    "https",
                ),
                None => (stream.from_client, stream.from_server, None, "http"),
            };
        for e in http::analyse(&client, &server, alpn.as_deref(), scheme, "c1", false) {
            println!(
                "{} v{} {:?} {} {} host {:?} url {:?} {:?} | {}..{:?} {:?}..{:?} body {}/{} seg {}/{} hdr {}/{}",
                e.id,
                e.version,
                e.stream,
                e.method,
                e.target,
                e.host,
                e.url,
                e.status,
                e.request_at_ns,
                e.request_end_at_ns,
                e.response_at_ns,
                e.response_end_at_ns,
                e.request_body_bytes,
                e.response_body_bytes,
                e.request_segments,
                e.response_segments,
                e.request_headers.len(),
                e.response_headers.len()
            );
        }
    }
}
