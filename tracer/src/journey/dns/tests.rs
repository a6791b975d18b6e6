use super::{DnsPacket, Resolutions, in_stream};
use crate::capture::{Direction, Frame, HookKind, LinkType};
use crate::journey::bytes::TimedBytes;
use crate::journey::evidence::Mark;
use crate::journey::model::{DnsProtocol, DnsTransport, Endpoint};

/// What is known after messages of one query: a question, or its answer, and when.
fn after(messages: &[(bool, u64)]) -> Resolutions {
    let mut resolutions = Resolutions::new(false, true);
    for (response, at_ns) in messages {
        let mut bytes = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01".to_vec();
        bytes[2] |= if *response { 0x80 } else { 0 };
        send(&mut resolutions, &bytes, *at_ns);
    }
    resolutions
}

/// A message on its way from client to server, or back.
fn send(resolutions: &mut Resolutions, bytes: &[u8], at_ns: u64) {
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
    let (source, destination) = match bytes[2] & 0x80 {
        0 => (client, server),
        _ => (server, client),
    };
    let packet = DnsPacket {
        protocol: DnsProtocol::Dns,
        transport: DnsTransport::Udp,
        source,
        destination,
        bytes,
    };
    resolutions.message(&packet, Mark::new(at_ns, 1, &frame), None);
}

#[test]
fn an_answer_that_is_seen_again_is_told_each_time_beside_its_exchange() {
    let told = |messages: &[(bool, u64)]| {
        let queries = after(messages).queries;
        let all = queries
            .iter()
            .flat_map(|it| std::iter::once(it.exchange()).chain(it.repetitions()));
        all.inspect(|entry| assert!(entry.answered))
            .map(|entry| (entry.id, entry.at_ns, entry.attempts))
            .collect::<Vec<_>>()
    };
    let entry = |id: &str, at_ns, attempts: &[u64]| (id.to_owned(), at_ns, attempts.to_vec());
    let copied = [(false, 1), (true, 5), (true, 6)];
    let expected = [entry("d1", 1, &[1]), entry("d1.2", 6, &[])];
    assert_eq!(told(&copied), expected);
    let late = 2_000_000_000;
    let again = [
        (false, 1),
        (false, 2),
        (true, 5),
        (true, late),
        (false, late + 1),
    ];
    let again = [&again[..], &[(true, late + 2)]].concat();
    let expected = [
        entry("d1", 1, &[1, 2]),
        entry("d1.2", late, &[]),
        entry("d2", late + 1, &[late + 1]),
    ];
    assert_eq!(told(&again), expected);
}

#[test]
fn an_answer_to_questions_that_nobody_asked_is_one_answer() {
    let mut resolutions = Resolutions::new(false, true);
    let mut bytes = b"\0\x07\x81\0\0\x03\0\0\0\0\0\0".to_vec();
    for name in [b'a', b'b', b'c'] {
        bytes.extend([1, name, 0, 0, 1, 0, 1]);
    }
    send(&mut resolutions, &bytes, 1);
    let told: Vec<_> = resolutions
        .queries
        .iter()
        .map(|it| &it.question.name)
        .collect();
    assert_eq!(told, ["a"]);
}

#[test]
fn an_answer_that_says_nothing_of_its_question_is_told() {
    let told = |messages: &[&[u8]]| {
        let mut resolutions = Resolutions::new(false, true);
        for (at_ns, bytes) in (1..).zip(messages) {
            send(&mut resolutions, bytes, at_ns);
        }
        let entries = resolutions.queries.iter().map(|it| it.exchange());
        entries
            .map(|it| (it.question.name, it.rcode, it.answer_count, it.malformed))
            .collect::<Vec<_>>()
    };
    let entry = |name: &str, rcode: &str, count, malformed| {
        (
            name.to_owned(),
            Some(rcode.to_owned()),
            Some(count),
            malformed,
        )
    };
    let refusal = b"\0\x07\x81\x85\0\0\0\0\0\0\0\0";
    // The capture ends in the name.
    let cut = b"\0\x08\x81\0\0\x01\0\x04\0\0\0\0\x0dab";
    let expected = [
        entry("...", "REFUSED", 0, false),
        entry("...", "NOERROR", 4, true),
    ];
    assert_eq!(told(&[refusal, cut]), expected);
    // Somebody asked: the second answer is to the same question.
    let query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01";
    let failure = b"\0\x07\x81\x82\0\0\0\0\0\0\0\0";
    let expected = [
        entry("a", "REFUSED", 0, false),
        entry("a", "SERVFAIL", 0, false),
    ];
    assert_eq!(told(&[query, refusal, failure]), expected);
}

#[test]
fn repetitions_of_an_answer_are_remembered_within_bounds() {
    let messages: Vec<_> = (0..200).map(|at_ns| (true, at_ns)).collect();
    let queries = after(&messages).queries;
    let told: usize = queries.iter().map(|it| 1 + it.repetitions().count()).sum();
    assert_eq!(told, messages.len());
    assert!(queries.iter().all(|it| it.repeated.len() <= super::RETRIES));
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
