//! Connections that are not opened, numbered or kept as most are, and names that are asked
//! for on the link.

use super::*;
use crate::journey::model::{
    CloseKind, Connection, DnsProtocol, Document, End, EventDirection, Layer, Outcome,
};

const REQUEST: &[u8] = b"GET /x HTTP/1.1\r\nHost: shop.test\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
const PORT: u16 = 40_000;

/// Segments between [`CLIENT`] and a server, with the numbers that a test wants.
struct Raw(Script);

/// SYN, ACK and so on as they stand in the header (RFC 9293, section 3.1).
const SYN: u8 = 2;
const ACK: u8 = 16;

impl Raw {
    fn new() -> Self {
        Self(Script::new(false))
    }

    fn sends(mut self, out: bool, flags: u8, numbers: (u32, u32), payload: &[u8]) -> Self {
        let (from, to, ports) = match out {
            true => (CLIENT, server(80), (PORT, 80)),
            false => (server(80), CLIENT, (80, PORT)),
        };
        let mut tcp = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(from.octets(), to.octets(), 64)
            .tcp(ports.0, ports.1, numbers.0, 1000);
        if flags & SYN != 0 {
            tcp = tcp.syn();
        }
        if flags & ACK != 0 {
            tcp = tcp.ack(numbers.1);
        }
        let mut data = Vec::new();
        tcp.write(&mut data, payload).unwrap();
        self.0.frame(out, None, data);
        self
    }

    fn document(self) -> Document {
        self.0.finish().document
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

/// The only connection, which carried one request and its answer.
fn only(document: &Document) -> &Connection {
    assert_eq!(document.connections.len(), 1);
    let connection = &document.connections[0];
    assert_eq!(connection.client.port, PORT);
    let told: Vec<_> = connection
        .http
        .iter()
        .map(|it| (it.target.as_deref().unwrap_or_default(), it.status))
        .collect();
    assert_eq!(told, [("/x", Some(200))]);
    assert_eq!(connection.http[0].response_body_bytes, 4);
    assert_eq!(connection.bytes.client, REQUEST.len() as u64);
    assert_eq!(connection.bytes.server, RESPONSE.len() as u64);
    connection
}

#[test]
fn numbers_that_wrap_in_the_middle_of_a_message_break_nothing() {
    let (client, server) = (u32::MAX - 9, u32::MAX - 2);
    let (first, last) = REQUEST.split_at(15);
    let raw = Raw::new()
        .sends(true, SYN, (client, 0), b"")
        .sends(false, SYN | ACK, (server, client.wrapping_add(1)), b"")
        .sends(
            true,
            ACK,
            (client.wrapping_add(1), server.wrapping_add(1)),
            first,
        )
        .sends(
            true,
            ACK,
            (client.wrapping_add(16), server.wrapping_add(1)),
            last,
        )
        .sends(false, ACK, (server.wrapping_add(1), 0), RESPONSE);
    let document = raw.document();
    let connection = only(&document);
    assert!(connection.retransmissions.is_empty());
    assert_eq!(connection.handshake.client_isn, Some(client));
}

#[test]
fn data_in_a_syn_is_the_beginning_of_the_stream() {
    let (first, last) = REQUEST.split_at(10);
    let raw = Raw::new()
        .sends(true, SYN, (100, 0), first)
        .sends(false, SYN | ACK, (500, 111), b"")
        .sends(true, ACK, (111, 501), last)
        .sends(false, ACK, (501, 0), RESPONSE);
    only(&raw.document());
}

#[test]
fn data_of_a_syn_that_was_not_taken_is_sent_again_and_counts_once() {
    let raw = Raw::new()
        .sends(true, SYN, (100, 0), REQUEST)
        .sends(false, SYN | ACK, (500, 101), b"")
        .sends(true, ACK, (101, 501), REQUEST)
        .sends(false, ACK, (501, 0), RESPONSE);
    only(&raw.document());
}

#[test]
fn two_ends_that_open_at_once_have_one_connection() {
    let raw = Raw::new()
        .sends(true, SYN, (100, 0), b"")
        .sends(false, SYN, (500, 0), b"")
        .sends(true, SYN | ACK, (100, 501), b"")
        .sends(false, SYN | ACK, (500, 101), b"")
        .sends(true, ACK, (101, 501), REQUEST)
        .sends(false, ACK, (501, 0), RESPONSE);
    let document = raw.document();
    let handshake = &only(&document).handshake;
    assert_eq!(
        (handshake.client_isn, handshake.server_isn),
        (Some(100), Some(500))
    );
    assert!(handshake.syn_ack_at_ns > handshake.syn_at_ns);
}

/// An established connection with the request and its answer.
fn exchanged() -> Raw {
    Raw::new()
        .sends(true, SYN, (100, 0), b"")
        .sends(false, SYN | ACK, (500, 101), b"")
        .sends(true, ACK, (101, 501), REQUEST)
        .sends(false, ACK, (501, 0), RESPONSE)
}

#[test]
fn keep_alive_probes_are_neither_data_nor_retransmissions() {
    let (next, answered) = (101 + length(REQUEST), 501 + length(RESPONSE));
    // With a byte before the end and without (RFC 9293, section 3.8.4).
    let raw = exchanged()
        .sends(true, ACK, (next - 1, answered), b"\0")
        .sends(false, ACK, (answered, next), b"")
        .sends(true, ACK, (next - 1, answered), b"");
    let document = raw.document();
    assert!(only(&document).retransmissions.is_empty());
}

#[test]
fn the_byte_of_a_zero_window_probe_counts_once() {
    let (first, rest) = RESPONSE.split_at(20);
    let closed = 501 + length(first);
    let probe = &rest[..1];
    let raw = Raw::new()
        .sends(true, SYN, (100, 0), b"")
        .sends(false, SYN | ACK, (500, 101), b"")
        .sends(true, ACK, (101, 501), REQUEST)
        .sends(false, ACK, (501, 0), first)
        .sends(false, ACK, (closed, 0), probe)
        .sends(false, ACK, (closed, 0), probe)
        .sends(false, ACK, (closed, 0), rest);
    only(&raw.document());
}

#[test]
fn who_asks_is_the_client_of_a_connection_that_began_before_the_capture() {
    // The end of an older answer comes first, from the server.
    let raw = Raw::new()
        .sends(false, ACK, (501, 101), b"")
        .sends(true, ACK, (101, 501), REQUEST)
        .sends(false, ACK, (501, 0), RESPONSE);
    let document = raw.document();
    let connection = only(&document);
    assert_eq!(connection.handshake.syn_at_ns, None, "nothing is invented");
    assert_eq!(connection.handshake.rtt_ns, None);
    assert_eq!(connection.close.kind, CloseKind::Open);
}

#[test]
fn who_answers_is_the_server_where_the_request_was_missed() {
    let raw = Raw::new().sends(false, ACK, (501, 101), RESPONSE);
    let document = raw.document();
    assert_eq!(document.connections[0].client.port, PORT);
    assert_eq!(document.connections[0].server.port, 80);
}

#[test]
fn a_syn_with_another_number_is_another_connection_though_nobody_closed() {
    let again = 70_000_000;
    let raw = exchanged()
        .sends(true, SYN, (again, 0), b"")
        .sends(false, SYN | ACK, (900, again + 1), b"")
        .sends(true, ACK, (again + 1, 901), REQUEST)
        .sends(false, ACK, (901, 0), RESPONSE);
    let document = raw.document();
    let isns: Vec<_> = document
        .connections
        .iter()
        .map(|it| it.handshake.client_isn)
        .collect();
    assert_eq!(isns, [Some(100), Some(again)]);
    let requests = document.connections.iter().map(|it| it.http.len());
    assert_eq!(requests.collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn names_asked_for_on_the_link_are_labelled() {
    for (port, group, protocol) in [
        (5353, Ipv4Addr::new(224, 0, 0, 251), DnsProtocol::Mdns),
        (5355, Ipv4Addr::new(224, 0, 0, 252), DnsProtocol::Llmnr),
        (53, RESOLVER, DnsProtocol::Dns),
    ] {
        let mut script = Script::new(false);
        let source = if port == 5353 { 5353 } else { 50_000 };
        let udp = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(CLIENT.octets(), group.octets(), 255)
            .udp(source, port);
        let mut data = Vec::new();
        udp.write(&mut data, &question(7, 0, 0, "printer.local"))
            .unwrap();
        script.frame(true, None, data);
        let document = script.finish().document;
        assert_eq!(document.dns.len(), 1, "port {port}");
        assert_eq!(document.dns[0].protocol, protocol);
        assert_eq!(document.dns[0].server.port, port);
    }
}

#[test]
fn an_upgrade_to_http2_is_one_journey_with_the_answer_of_stream_one() {
    let upgrade = b"GET /x HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
        Upgrade: h2c\r\nHTTP2-Settings: \r\n\r\n";
    let switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n";
    // SETTINGS, then HEADERS of stream 1 with `:status: 200` of HPACK's static table.
    let answer = b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x88";
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let (asked, allowed) = (length(upgrade), length(switching));
    let raw = Raw::new()
        .sends(true, SYN, (100, 0), b"")
        .sends(false, SYN | ACK, (500, 101), b"")
        .sends(true, ACK, (101, 501), upgrade)
        .sends(false, ACK, (501, 101 + asked), switching)
        .sends(true, ACK, (101 + asked, 501 + allowed), preface)
        .sends(false, ACK, (501 + allowed, 0), answer);
    let document = raw.document();
    let http = &document.connections[0].http;
    assert_eq!(http.len(), 2, "{http:?}");
    assert_eq!(document.journeys.len(), 1);
    let journey = &document.journeys[0];
    check(journey);
    assert_eq!(journey.url.as_deref(), Some("http://shop.test/x"));
    assert_eq!(journey.outcome, Outcome::Ok);
    assert_eq!(journey.http.as_ref(), Some(&http[1].id));
    let request = journey.phases.request.expect("a request");
    let response = journey.phases.response.expect("a response");
    assert_eq!(Some(request.at_ns), http[0].request_at_ns);
    assert_eq!(Some(response.at_ns), http[1].response_at_ns);
    let lines = journey.timeline.iter().filter(|it| it.layer == Layer::Http);
    let lines: Vec<_> = lines.map(|it| it.summary.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /x HTTP/1.1",
            "HTTP/1.1 101",
            "HTTP/2 200",
            "response complete, 0 B body"
        ]
    );
}

#[test]
fn the_end_that_accepted_a_connection_may_be_the_one_that_asks() {
    let raw = Raw::new()
        .sends(true, SYN, (100, 0), b"")
        .sends(false, SYN | ACK, (500, 101), b"")
        .sends(true, ACK, (101, 501), b"")
        .sends(false, ACK, (501, 101), REQUEST)
        .sends(true, ACK, (101, 501 + length(REQUEST)), RESPONSE);
    let document = raw.document();
    let connection = &document.connections[0];
    assert_eq!(connection.client.port, PORT);
    assert_eq!(connection.requester, End::Server);
    let exchange = &connection.http[0];
    assert_eq!(
        (exchange.target.as_deref(), exchange.status),
        (Some("/x"), Some(200))
    );
    let journey = &document.journeys[0];
    check(journey);
    assert_eq!(journey.url.as_deref(), Some("http://shop.test/x"));
    assert_eq!(journey.findings[0].kind, "turned_round");
    let lines = journey.timeline.iter().filter(|it| it.layer == Layer::Http);
    let lines: Vec<_> = lines
        .map(|it| (it.direction, it.summary.as_str()))
        .collect();
    assert_eq!(lines[0], (EventDirection::In, "GET /x HTTP/1.1"));
    assert_eq!(lines[1], (EventDirection::Out, "HTTP/1.1 200"));
}

#[test]
fn an_acknowledgement_to_nobodys_answer_measures_no_round_trip() {
    let (first, last) = REQUEST.split_at(15);
    // The answers were not captured, and the beginning was overtaken.
    let raw = Raw::new()
        .sends(true, SYN, (100, 0), b"")
        .sends(true, ACK, (116, 501), last)
        .sends(true, ACK, (101, 501), first);
    let document = raw.document();
    assert!(document.connections[0].retransmissions.is_empty());
}

#[test]
fn of_two_answers_with_different_numbers_the_one_that_is_taken_counts() {
    for (taken, other) in [(500, 90_000), (90_000, 500)] {
        let raw = Raw::new()
            .sends(true, SYN, (100, 0), b"")
            .sends(false, SYN | ACK, (500, 101), b"")
            .sends(false, SYN | ACK, (90_000, 101), b"")
            .sends(true, ACK, (101, taken + 1), b"")
            .sends(true, ACK, (101, taken + 1), REQUEST)
            .sends(false, ACK, (taken + 1, 101 + length(REQUEST)), RESPONSE)
            // Too late to mean anything.
            .sends(false, SYN | ACK, (other, 101), b"");
        let document = raw.document();
        let handshake = &only(&document).handshake;
        assert_eq!(handshake.server_isn, Some(taken));
        let answers = [2_000, 3_000];
        let seen = answers[usize::from(taken > other)];
        assert_eq!(handshake.syn_ack_at_ns, Some(seen));
    }
}
