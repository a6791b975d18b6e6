use super::{TextOptions, render};
use crate::journey::model::{
    CaptureComment, Connection, Container, Document, End, Journey, Phase, Process, Retransmission,
    Trace,
};
use crate::report::examples;
use crate::report::style::{Style, width_of};
use proptest::prelude::*;

fn trace(document: Document) -> Trace {
    Trace {
        document,
        packets: Vec::new(),
    }
}

fn shown(document: &Document, width: usize, unicode: bool, verbose: u8) -> String {
    let style = Style {
        color: false,
        unicode,
        width,
    };
    let options = TextOptions {
        style,
        verbose,
        ..TextOptions::default()
    };
    render(&trace(document.clone()), &options)
}

#[test]
fn every_story_reads_well() {
    for (name, document) in examples::all() {
        insta::assert_snapshot!(format!("{name}_80"), shown(&document, 80, true, 0));
        insta::assert_snapshot!(format!("{name}_120"), shown(&document, 120, true, 0));
    }
}

#[test]
fn events_are_aligned_where_there_is_room_and_wrapped_where_not() {
    let document = examples::shop();
    insta::assert_snapshot!("shop_verbose_80", shown(&document, 80, true, 1));
    insta::assert_snapshot!("shop_verbose_120", shown(&document, 120, true, 1));
}

#[test]
fn asking_twice_shows_hellos_certificates_and_headers() {
    insta::assert_snapshot!(
        "shop_very_verbose_100",
        shown(&examples::shop(), 100, true, 2)
    );
}

#[test]
fn without_unicode_everything_is_ascii() {
    for (name, document) in examples::all() {
        let text = shown(&document, 80, false, 2);
        assert!(text.is_ascii(), "{name}: {text}");
    }
    insta::assert_snapshot!("shop_ascii_80", shown(&examples::shop(), 80, false, 0));
}

#[test]
fn colours_change_nothing_but_colours() {
    for (name, document) in examples::all() {
        let style = Style {
            color: true,
            width: 100,
            ..Style::default()
        };
        let options = TextOptions {
            style,
            verbose: 2,
            ..TextOptions::default()
        };
        let colored = render(&trace(document.clone()), &options);
        assert!(colored.contains('\x1b'), "{name}");
        let stripped = anstream::adapter::strip_str(&colored).to_string();
        assert_eq!(stripped, shown(&document, 100, true, 2), "{name}");
    }
}

#[test]
fn a_missing_reference_is_left_out() {
    let mut document = examples::shop();
    document.connections.clear();
    document.dns.clear();
    document.neighbors.clear();
    let text = shown(&document, 80, true, 2);
    assert!(text.contains("https://www.shop.test/"), "{text}");
}

#[test]
fn a_capture_without_journeys_says_so() {
    let mut document = examples::shop();
    document.journeys.clear();
    assert!(shown(&document, 80, true, 0).contains("no journey seen"));
}

/// Puts `text` wherever a string of the network, of a process or of a file can stand.
fn poison(document: &mut Document, text: &str) {
    let own = || text.to_owned();
    document.capture.interfaces = vec![own()];
    document.capture.lost = [(own(), 1)].into();
    for hook in &mut document.capture.hooks {
        (hook.hook, hook.target, hook.reason) = (own(), own(), Some(own()));
    }
    for exchange in &mut document.dns {
        exchange.rcode = Some(own());
        (exchange.question.name, exchange.question.record_type) = (own(), own());
        for answer in &mut exchange.answers {
            (answer.name, answer.data, answer.record_type) = (own(), own(), own());
        }
    }
    for neighbor in &mut document.neighbors {
        (neighbor.mac, neighbor.cached_state) = (Some(own()), Some(own()));
    }
    for connection in &mut document.connections {
        poison_connection(connection, text);
    }
    for journey in &mut document.journeys {
        poison_journey(journey, text);
    }
}

fn poison_connection(connection: &mut Connection, text: &str) {
    let own = || text.to_owned();
    for state in &mut connection.states {
        (state.from, state.to, state.hook) = (own(), own(), own());
    }
    for message in &mut connection.close.messages {
        message.kind = own();
    }
    for exchange in &mut connection.http {
        (exchange.method, exchange.target) = (Some(own()), Some(own()));
        exchange.version = own();
        exchange.request_headers = vec![(own(), own())];
        let names = ["content-type", "location", "x-cache"].map(|name| (name.to_owned(), own()));
        exchange.response_headers = names.into();
    }
    let Some(tls) = &mut connection.tls else {
        return;
    };
    (tls.version, tls.sni, tls.alpn) = (Some(own()), Some(own()), Some(own()));
    (tls.cipher, tls.group) = (Some(own()), Some(own()));
    for certificate in &mut tls.certificates {
        (certificate.subject, certificate.issuer) = (own(), own());
        certificate.san = vec![own(), own()];
    }
    for record in &mut tls.records {
        (record.record_type, record.messages) = (own(), vec![own()]);
    }
}

fn poison_journey(journey: &mut Journey, text: &str) {
    let own = || text.to_owned();
    (journey.url, journey.host) = (Some(own()), Some(own()));
    journey.resolution.chain = vec![own(), own()];
    if let Some(process) = &mut journey.process {
        (process.comm, process.exe, process.command) = (own(), Some(own()), vec![own()]);
        process.cgroup = Some(own());
        process.container = Some(Container {
            id: own(),
            engine: Some(own()),
            pod: Some(own()),
        });
    }
    if let Some(route) = &mut journey.route {
        (route.prefix, route.interface, route.table) = (Some(own()), Some(own()), Some(own()));
    }
    if let Some(failure) = &mut journey.failure {
        (failure.message, failure.evidence) = (own(), vec![own()]);
    }
    for finding in &mut journey.findings {
        finding.message = own();
    }
    for gap in &mut journey.gaps {
        (gap.class, gap.message) = (own(), own());
    }
    for event in &mut journey.timeline {
        (event.summary, event.evidence) = (own(), own());
    }
}

/// `text` without the sequences that set colours.
fn without_colors(text: &str) -> String {
    let mut plain = String::new();
    for (index, part) in text.split('\x1b').enumerate() {
        let rest = match part.strip_prefix('[').and_then(|part| part.split_once('m')) {
            Some((numbers, rest)) if numbers.chars().all(|c| c.is_ascii_digit() || c == ';') => {
                rest
            }
            _ if index == 0 => part,
            _ => panic!("an escape that sets no colour: {part:?}"),
        };
        plain.push_str(rest);
    }
    plain
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,40}",
        Just("\x1b]0;owned\x07\x1b[2J\r\n\t\u{9b}31m\u{202e}".to_owned()),
        Just("長い名前".repeat(40)),
        Just(String::new()),
        Just(" \u{a0}  ".repeat(30)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_string_of_the_model_reaches_the_terminal_as_a_command(
        text in hostile(), width in 80usize..160, verbose in 0u8..3, unicode: bool, color: bool,
    ) {
        let options = TextOptions {
            style: Style { color, unicode, width },
            verbose,
            ..TextOptions::default()
        };
        for (name, mut document) in examples::all() {
            poison(&mut document, &text);
            let shown = render(&trace(document), &options);
            prop_assert!(color || !shown.contains('\x1b'));
            let shown = without_colors(&shown);
            prop_assert!(unicode || shown.is_ascii(), "{}", name);
            for line in shown.lines() {
                prop_assert!(!line.chars().any(char::is_control), "{}: {:?}", name, line);
                prop_assert!(width_of(line) <= width, "{}: {}", name, line);
            }
        }
    }

    #[test]
    fn no_number_of_the_model_breaks_the_waterfall(
        start: u64, duration: u64, at: u64, length: u64, width in 0usize..300, unicode: bool,
    ) {
        let mut document = examples::shop();
        let journey = &mut document.journeys[0];
        (journey.started_at_ns, journey.duration_ns) = (start, duration);
        let phase = Some(Phase { at_ns: at, duration_ns: length });
        (journey.phases.resolve, journey.phases.tls, journey.phases.wait) = (phase, phase, phase);
        document.connections[0].close.at_ns = Some(at);
        document.capture.lost = [("a".to_owned(), u64::MAX), ("b".to_owned(), length)].into();
        prop_assert!(shown(&document, width, unicode, 2).contains("resolve"));
    }
}

#[test]
fn who_reads_and_who_writes_stand_beside_the_owner() {
    let mut document = examples::shop();
    let connection = &mut document.connections[0];
    let owner = connection.client_process.clone().unwrap();
    let other = |pid| Process {
        pid,
        comm: "worker".to_owned(),
        ..owner.clone()
    };
    connection.client_readers = vec![other(7)];
    connection.client_writers = Some(vec![other(8), other(9)]);
    let text = shown(&document, 200, true, 0);
    let words = ", read by worker[7], written to by worker[8] and worker[9]: CLOSED";
    assert!(text.contains(words), "{text}");
}

#[test]
fn comments_of_a_capture_file_are_shown_on_request() {
    let mut document = examples::shop();
    let comment = |interface: Option<&str>, frame: Option<u64>| CaptureComment {
        interface: interface.map(str::to_owned),
        frame,
        at_ns: frame.map(|_| 1_500_000),
        text: "look here".to_owned(),
    };
    document.capture.comments = vec![
        comment(None, None),
        comment(Some("eth0"), None),
        comment(None, Some(12)),
    ];
    let told = shown(&document, 80, true, 1);
    let lines: Vec<&str> = told
        .lines()
        .filter(|it| it.ends_with("look here"))
        .collect();
    let [file, interface, frame] = lines[..] else {
        panic!("{told}");
    };
    assert!(file.trim().starts_with("comments"), "{file}");
    assert_eq!(interface.trim(), "interface eth0: look here");
    assert_eq!(frame.trim(), "frame 12 at 1.50 ms: look here");
    assert!(!shown(&document, 80, true, 0).contains("look here"));
}

#[test]
fn segments_that_were_too_many_for_the_list_count_where_their_number_is_told() {
    let mut document = examples::shop();
    for connection in &mut document.connections {
        let entry = Retransmission {
            at_ns: connection.handshake.syn_at_ns.unwrap_or(0),
            end: End::Client,
            seq: 0,
            bytes: 1,
            kind: "timeout".to_owned(),
            hook: "frames".to_owned(),
        };
        connection.retransmissions = vec![entry];
        connection.retransmissions_unlisted = 4711;
    }
    let told = shown(&document, 200, true, 0);
    assert!(told.contains("4712 segments sent again"), "{told}");
}
