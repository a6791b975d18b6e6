//! Messages are written out byte by byte, so that what is expected does not come from the
//! library under the parser.

use super::{DnsMessage, Edns, Question, Record, is_unmistakable, parse, parse_local};
use crate::effort;
use proptest::prelude::*;
use std::time::Duration;

/// A message under construction.
struct Message(Vec<u8>);

impl Message {
    fn new(flags: u16, counts: [u16; 4]) -> Self {
        let mut bytes = vec![0x12, 0x34];
        bytes.extend(flags.to_be_bytes());
        bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        Self(bytes)
    }

    fn name(mut self, name: &str) -> Self {
        for label in name.split('.').filter(|label| !label.is_empty()) {
            self.0.push(u8::try_from(label.len()).unwrap());
            self.0.extend(label.bytes());
        }
        self.0.push(0);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn question(self, name: &str, record_type: u16) -> Self {
        self.name(name).raw(&record_type.to_be_bytes()).raw(&[0, 1])
    }

    /// A record whose name points to the question's (offset 12), TTL 300.
    fn record(self, record_type: u16, data: &[u8]) -> Self {
        self.raw(&[0xc0, 12])
            .raw(&record_type.to_be_bytes())
            .raw(&[0, 1, 0, 0, 1, 44])
            .raw(&u16::try_from(data.len()).unwrap().to_be_bytes())
            .raw(data)
    }

    fn parse(&self) -> DnsMessage {
        parse(&self.0).unwrap()
    }
}

/// The presentation of one record of `www.shop.test`.
fn data(record_type: u16, data: &[u8]) -> String {
    let message = Message::new(0x8180, [1, 1, 0, 0])
        .question("www.shop.test", record_type)
        .record(record_type, data)
        .parse();
    assert!(!message.malformed);
    message.answers[0].data.clone()
}

fn wire_name(name: &str) -> Vec<u8> {
    Message(Vec::new()).name(name).0
}

#[test]
fn a_query_tells_its_question() {
    let message = Message::new(0x0100, [1, 0, 0, 1])
        .question("www.Shop.test", 28)
        .raw(&[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0])
        .parse();
    assert_eq!((message.id, message.response), (0x1234, false));
    assert!(message.recursion_desired && !message.recursion_available);
    assert_eq!(
        message.questions,
        [Question {
            name: "www.Shop.test".to_owned(),
            record_type: "AAAA".to_owned(),
            class: "IN".to_owned()
        }]
    );
    assert_eq!(
        message.edns,
        Some(Edns {
            udp_payload_size: 1232,
            version: 0,
            dnssec_ok: true
        })
    );
    assert_eq!(message.additionals, []);
    assert!(!message.malformed);
}

#[test]
fn an_answer_tells_the_whole_alias_chain() {
    let message = Message::new(0x8580, [1, 2, 0, 0])
        .question("www.shop.test", 1)
        .record(5, &[3, b'c', b'd', b'n', 0xc0, 16])
        .raw(&[0xc0, 43, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 77, 2, 80])
        .parse();
    assert!(message.response && message.authoritative);
    assert_eq!(message.rcode, "NOERROR");
    let record = |name: &str, record_type: &str, ttl, data: &str| Record {
        name: name.to_owned(),
        record_type: record_type.to_owned(),
        ttl,
        data: data.to_owned(),
    };
    assert_eq!(
        message.answers,
        [
            record("www.shop.test", "CNAME", 300, "cdn.shop.test"),
            record("cdn.shop.test", "A", 60, "10.77.2.80"),
        ]
    );
}

#[test]
fn record_data_reads_as_dig_prints_it() {
    let address = [0xfd, 0x77, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80];
    assert_eq!(data(28, &address), "fd77:2::80");
    assert_eq!(data(2, &wire_name("ns.test")), "ns.test");
    assert_eq!(data(12, &wire_name("host.test")), "host.test");
    assert_eq!(data(39, &wire_name("other.test")), "other.test");
    let mail = [&[0, 10][..], &wire_name("mx.test")].concat();
    assert_eq!(data(15, &mail), "10 mx.test");
    let service = [&[0, 1, 0, 2, 1, 187][..], &wire_name("a.test")].concat();
    assert_eq!(data(33, &service), "1 2 443 a.test");
    let authority = [
        wire_name("ns.test"),
        wire_name("root.test"),
        vec![
            0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4,
        ],
    ]
    .concat();
    assert_eq!(data(6, &authority), "ns.test root.test 7 4294967295 2 3 4");
    assert_eq!(
        data(16, b"\x05a\"b c\x03\x1b[0"),
        "\"a\\\"b c\" \"\\027[0\""
    );
    assert_eq!(data(257, b"\x80\x05issueca.test"), "128 issue \"ca.test\"");
    assert_eq!(data(43, &[0x12, 0x34, 13, 2, 0xab, 0xcd]), "4660 13 2 ABCD");
}

#[test]
fn https_records_show_their_parameters() {
    let mut bytes = vec![0, 1, 0];
    bytes.extend([0, 1, 0, 6, 2, b'h', b'3', 2, b'h', b'2']);
    bytes.extend([0, 3, 0, 2, 1, 187]);
    bytes.extend([0, 4, 0, 8, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0, 5, 0, 3, 1, 2, 3]);
    bytes.extend([0, 99, 0, 2, b'h', b'i']);
    assert_eq!(
        data(65, &bytes),
        "1 . alpn=\"h3,h2\" port=443 ipv4hint=10.0.0.1,10.0.0.2 ech=AQID key99=\"hi\""
    );
    assert_eq!(
        data(64, &[&[0, 0][..], &wire_name("pool.test")].concat()),
        "0 pool.test"
    );
}

#[test]
fn unknown_types_are_shown_as_rfc_3597_says() {
    let message = Message::new(0x8180, [1, 1, 0, 0])
        .question("x.test", 65280)
        .record(65280, &[1, 2, 255])
        .parse();
    assert_eq!(message.questions[0].record_type, "TYPE65280");
    assert_eq!(message.answers[0].data, "\\# 3 0102ff");
    assert!(!message.malformed);
}

#[test]
fn labels_are_escaped_and_stay_as_sent() {
    let message = Message::new(0x0100, [1, 0, 0, 0])
        .raw(b"\x04a.\x1b\xff\x0axn--mnchen\x00\x00\x01\x00\x01")
        .parse();
    assert_eq!(message.questions[0].name, "a\\.\\027\\255.xn--mnchen");
    let root = Message::new(0x0100, [1, 0, 0, 0]).question("", 2).parse();
    assert_eq!(root.questions[0].name, ".");
}

#[test]
fn response_codes_have_their_names() {
    let rcode = |low: u16, extended: u8| {
        Message::new(0x8180 | low, [0, 0, 0, 1])
            .raw(&[0, 0, 41, 4, 208, extended, 0, 0, 0, 0, 0])
            .parse()
            .rcode
    };
    assert_eq!(rcode(3, 0), "NXDOMAIN");
    assert_eq!(rcode(2, 0), "SERVFAIL");
    assert_eq!(rcode(0, 1), "BADVERS");
    assert_eq!(rcode(1, 1), "RCODE17");
    assert_eq!(rcode(12, 0), "RCODE12");
}

#[test]
fn multicast_flags_are_not_part_of_the_class() {
    let message = Message::new(0, [1, 0, 0, 0])
        .name("host.local")
        .raw(&[0, 1, 0x80, 1])
        .parse();
    assert_eq!(message.questions[0].class, "IN");
}

#[test]
fn names_of_the_local_link_are_words_of_people() {
    let spelled = |label: &[u8]| {
        let length = u8::try_from(label.len()).unwrap();
        let message = Message::new(0, [1, 0, 0, 0])
            .raw(&[length])
            .raw(label)
            .raw(&[0, 0, 12, 0, 1]);
        let name = |message: Option<DnsMessage>| message.unwrap().questions.remove(0).name;
        (name(parse_local(&message.0)), name(parse(&message.0)))
    };
    let both = |local: &str, internet: &str| (local.to_owned(), internet.to_owned());
    let expected = both("Zoë’s TV", "Zo\\195\\171\\226\\128\\153s\\032TV");
    assert_eq!(spelled("Zoë’s TV".as_bytes()), expected);
    assert_eq!(spelled(b"a.b\\c"), both("a\\.b\\\\c", "a\\.b\\\\c"));
    assert_eq!(spelled(b"a\xff b"), both("a\\255\\032b", "a\\255\\032b"));
    let deceptive = both("a\\226\\128\\174b", "a\\226\\128\\174b");
    assert_eq!(spelled("a\u{202e}b".as_bytes()), deceptive);
}

#[test]
fn what_was_read_before_the_break_is_kept() {
    let whole = Message::new(0x8180, [1, 2, 0, 0])
        .question("www.shop.test", 1)
        .record(1, &[10, 0, 0, 1])
        .record(1, &[10, 0, 0, 2]);
    assert!(!whole.parse().malformed);
    for cut in 1..16 {
        let message = parse(&whole.0[..whole.0.len() - cut]).unwrap();
        assert!(message.malformed);
        assert_eq!(message.questions.len(), 1);
        assert_eq!(message.answers.len(), 1);
    }
    assert_eq!(parse(&whole.0[..11]), None);
}

#[test]
fn data_that_does_not_fit_its_type_is_shown_raw() {
    let message = Message::new(0x8180, [1, 2, 0, 0])
        .question("www.shop.test", 1)
        .record(1, &[10, 0, 0])
        .record(1, &[10, 0, 0, 2])
        .parse();
    assert!(message.malformed);
    assert_eq!(message.answers[0].data, "\\# 3 0a0000");
    assert_eq!(message.answers[1].data, "10.0.0.2");
}

#[test]
fn a_count_that_lies_ends_with_the_message() {
    let message = Message::new(0x0100, [0xffff, 0xffff, 0, 0])
        .question("www.shop.test", 1)
        .parse();
    assert!(message.malformed);
    assert_eq!(message.questions.len(), 1);
}

#[test]
fn compression_loops_end() {
    for pointer in [[0xc0, 12], [0xc0, 13], [0xff, 0xff]] {
        let message = Message::new(0x0100, [1, 0, 0, 0])
            .raw(&pointer)
            .raw(&[0, 1, 0, 1])
            .parse();
        assert!(message.malformed);
        assert_eq!(message.questions[0].name, "...");
        assert_eq!(message.questions[0].record_type, "A");
    }
}

#[test]
fn a_pointer_may_lead_ahead() {
    let message = Message::new(0x8180, [1, 1, 0, 0])
        .raw(&[1, b'a', 0xc0, 36, 0, 1, 0, 1])
        .record(1, &[10, 0, 0, 1])
        .raw(&[1, b'b', 0])
        .parse();
    assert!(!message.malformed && message.trailing);
    assert_eq!(message.questions[0].name, "a.b");
    assert_eq!(message.answers[0].data, "10.0.0.1");
}

#[test]
fn behind_a_name_that_is_too_long_the_rest_is_read() {
    let mut name = [&[63][..], &[b'a'; 63]].concat().repeat(5);
    name.push(0);
    let message = Message::new(0x8180, [1, 1, 0, 0])
        .raw(&name)
        .raw(&[0, 1, 0, 1])
        .record(1, &[10, 0, 0, 1])
        .parse();
    assert!(message.malformed);
    let start = [&["a".repeat(63)][..]; 3].concat().join(".");
    assert_eq!(message.questions[0].name, format!("{start}..."));
    assert_eq!(message.answers[0].data, "10.0.0.1");
}

#[test]
fn pointers_to_pointers_are_followed_as_far_as_a_name_can_need() {
    let message = |pointers: u8| {
        let mut bytes = Message::new(0x8180, [1, 1, 0, 0]).question("a.b", 1).0;
        let mut target = 12;
        // The data of the record is a chain that ends at the question's name.
        let start = u8::try_from(bytes.len()).unwrap() + 11;
        bytes.extend([0, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, pointers * 2]);
        for index in 0..pointers {
            bytes.extend([0xc0, target]);
            target = start + index * 2;
        }
        bytes[6..8].copy_from_slice(&[0, 2]);
        let tail = [0xc0, target, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4];
        Message(bytes).raw(&tail).parse()
    };
    let short = message(5);
    assert!(!short.malformed);
    assert_eq!(short.answers[1].name, "a.b");
    assert_eq!(short.answers[1].data, "1.2.3.4");
}

/// A chain of pointers as long as fourteen bits allow, inside the data of the first
/// record, walked by every record behind it.
#[test]
fn a_message_made_to_cost_time_costs_little() {
    let mut chain = vec![0];
    let start = 12 + 1 + 10;
    let mut previous = start;
    while chain.len() < 0x3f00 {
        let here = start + u16::try_from(chain.len()).unwrap();
        chain.extend((0xc000 | previous).to_be_bytes());
        previous = here;
    }
    let mut message = Message::new(0x8180, [0, 0xffff, 0, 0])
        .raw(&[0, 0xff, 0, 0, 1, 0, 0, 0, 0])
        .raw(&u16::try_from(chain.len()).unwrap().to_be_bytes())
        .raw(&chain);
    let tail = (0xc000 | previous).to_be_bytes();
    while message.0.len() < 0xfff0 {
        message = message.raw(&tail).raw(&[0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
    let mut malformed = false;
    let effort = effort::of(|| malformed = message.parse().malformed);
    // Milliseconds; without a bound on the pointers of a name it was seconds.
    assert!(effort < Duration::from_secs(1));
    assert!(malformed);
}

fn sample() -> Vec<u8> {
    Message::new(0x8180, [1, 3, 0, 1])
        .question("www.shop.test", 65)
        .record(5, &[3, b'c', b'd', b'n', 0xc0, 16])
        .record(65, &[0, 1, 0, 0, 1, 0, 3, 2, b'h', b'2'])
        .record(16, b"\x03abc")
        .raw(&[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0])
        .0
}

/// What holds for every message: nothing unprintable, nothing longer than it can be.
fn check(bytes: &[u8]) {
    let Some(message) = parse(bytes) else {
        assert!(bytes.len() < 12);
        return;
    };
    let records = [&message.answers, &message.authorities, &message.additionals];
    for record in records.into_iter().flatten() {
        assert!(
            record
                .data
                .bytes()
                .all(|byte| (b' '..=b'~').contains(&byte))
        );
        assert!(record.name.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    for question in &message.questions {
        assert!(question.name.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    for question in parse_local(bytes).iter().flat_map(|it| &it.questions) {
        assert!(crate::protocol::text::is_printable(&question.name));
    }
}

proptest! {
    #[test]
    fn no_bytes_break_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
    }

    #[test]
    fn no_change_to_a_message_breaks_the_parser(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        kept in any::<prop::sample::Index>(),
    ) {
        let mut message = sample();
        for (place, value) in changes {
            let place = place.index(message.len());
            message[place] = value;
        }
        message.truncate(kept.index(message.len() + 1));
        check(&message);
    }

    #[test]
    fn no_data_of_any_type_breaks_the_parser(
        record_type in 0_u16..300,
        data in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let message = Message::new(0x8180, [1, 1, 0, 0])
            .question("www.shop.test", record_type)
            .record(record_type, &data);
        check(&message.0);
        prop_assert!(message.parse().answers.len() + usize::from(record_type == 41) == 1);
    }
}

#[test]
fn a_message_on_a_strange_port_is_known_by_its_form() {
    let query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";
    assert!(is_unmistakable(query));
    let answer = b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0\x01a\x04test\0\0\x01\0\x01\
        \xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x01\x02\x03\x04";
    assert!(is_unmistakable(answer));
    for (place, value) in [(2, 0x29), (3, 0x40), (5, 2), (7, 1), (23, 3), (20, 0xfe)] {
        let mut other = query.to_vec();
        other[place] = value;
        assert!(!is_unmistakable(&other), "byte {place}");
    }
    assert!(!is_unmistakable(&query[..query.len() - 1]));
    assert!(!is_unmistakable(&[query.as_slice(), b"x"].concat()));
    assert!(!is_unmistakable(&answer[..answer.len() - 3]));
}
