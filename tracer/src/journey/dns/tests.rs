use super::{DnsPacket, Resolutions, SENT_AGAIN_NS, in_stream};
use crate::capture::{Direction, Frame, HookKind, LinkType};
use crate::journey::bytes::TimedBytes;
use crate::journey::evidence::Mark;
use crate::journey::model::{DnsProtocol, DnsTransport, Endpoint};

/// What is known after messages of one query: a question, or its answer, and when.
fn after(messages: &[(bool, u64)]) -> Resolutions {
    let mut resolutions = Resolutions::new(false, true);
    let end = |last, port| Endpoint {
        ip: [10, 0, 0, last].into(),
        port,
    };
    let (client, server) = (end(1, 40_000), end(2, super::PORT));
    let frame = Frame {
        interface: 1,
        direction: Direction::Unknown,
        hook: HookKind::Pcap,
        link_type: LinkType::Ethernet,
        cookie: None,
        original_length: 0,
        data: Vec::new(),
        note: None,
    };
    for (response, at_ns) in messages {
        let mut bytes = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01".to_vec();
        bytes[2] |= if *response { 0x80 } else { 0 };
        let (source, destination) = match response {
            true => (server, client),
            false => (client, server),
        };
        let packet = DnsPacket {
            protocol: DnsProtocol::Dns,
            transport: DnsTransport::Udp,
            source,
            destination,
            bytes: &bytes,
        };
        resolutions.message(&packet, Mark::new(*at_ns, 1, &frame), None);
    }
    resolutions
}

#[test]
fn an_answer_that_was_sent_again_is_another_one_and_a_copy_is_not() {
    let told = |messages: &[(bool, u64)]| {
        let queries = after(messages).queries;
        let told = queries
            .iter()
            .map(|it| (it.queries.len(), it.answer.is_some()));
        told.collect::<Vec<_>>()
    };
    let copied = [(false, 1), (true, 5), (true, 5 + SENT_AGAIN_NS)];
    assert_eq!(told(&copied), [(1, true)]);
    let again = [(false, 1), (false, 2), (true, 5), (true, 6 + SENT_AGAIN_NS)];
    assert_eq!(told(&again), [(2, true), (0, true)]);
}

#[test]
fn what_was_not_captured_of_a_message_is_no_part_of_it() {
    let mut stream = TimedBytes::default();
    stream.push(b"\0\x03abc\0\x06de", 1);
    stream.push_hole(4, 1);
    stream.push(b"\0\x01f\0", 2);
    stream.push_hole(3, 2);
    assert_eq!(in_stream(&stream), [(1, 2..5), (1, 7..9), (2, 15..16)]);
}
