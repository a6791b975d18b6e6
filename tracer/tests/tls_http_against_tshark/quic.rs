//! QUIC connections of real captures, compared with what tshark says of them.

use crate::support::{Frame, capture, captures, key_log, tshark};
use std::collections::{BTreeMap, BTreeSet};
use tracer::capture::{Fact, Observation, file};
use tracer::journey::assemble::{Assembler, AssemblerOptions};
use tracer::journey::limits::Limits;
use tracer::journey::model::{Connection, Source, Transport};
use tracer::protocol::quic::version;

/// Sets of what was seen, by the name of the fact.
type Facts = BTreeMap<&'static str, BTreeSet<String>>;

/// Facts by both ends, in alphabetical order.
type ByConnection = BTreeMap<[String; 2], Facts>;

const FIELDS: &[&str] = &[
    "ip.src",
    "ipv6.src",
    "udp.srcport",
    "ip.dst",
    "ipv6.dst",
    "udp.dstport",
    "quic.version",
    "quic.supported_version",
    "quic.long.packet_type",
    "quic.long.packet_type_v2",
    "tls.handshake.type",
    "tls.handshake.extensions_server_name",
    "tls.handshake.extensions_alpn_str",
    "x509af.serialNumber",
];

fn note(facts: &mut Facts, name: &'static str, values: impl IntoIterator<Item = String>) {
    let values: BTreeSet<String> = values.into_iter().collect();
    if !values.is_empty() {
        facts.entry(name).or_default().extend(values);
    }
}

fn of_tshark(name: &str) -> ByConnection {
    let mut found = ByConnection::new();
    for frame in tshark(name, "quic", FIELDS) {
        let end = |fields: [&str; 3]| fields.map(|field| frame.values(field).concat()).join(" ");
        let mut ends = [
            end(["ip.src", "ipv6.src", "udp.srcport"]),
            end(["ip.dst", "ipv6.dst", "udp.dstport"]),
        ];
        ends.sort();
        facts_of_tshark(&frame, found.entry(ends).or_default());
    }
    found
}

fn facts_of_tshark(frame: &Frame, facts: &mut Facts) {
    let number = |text: &String| {
        let digits = text.strip_prefix("0x").expect("hexadecimal");
        u32::from_str_radix(digits, 16).expect("a number")
    };
    let versions = frame.values("quic.version").iter().map(number);
    let versions = versions.filter(|version| *version != 0);
    note(facts, "versions", versions.map(version::name));
    let listed = frame.values("quic.supported_version").iter();
    let listed = listed.map(number).map(version::name);
    note(facts, "version negotiation", listed);
    let has = |field: &str, value: &str| frame.values(field).iter().any(|other| other == value);
    let retry = has("quic.long.packet_type", "3") || has("quic.long.packet_type_v2", "0");
    note(facts, "retry", retry.then(|| "yes".to_owned()));
    let names = frame.values("tls.handshake.extensions_server_name");
    note(facts, "sni", names.iter().cloned());
    let alpn = frame.values("tls.handshake.extensions_alpn_str").iter();
    if has("tls.handshake.type", "1") {
        note(facts, "alpn offered", alpn.cloned());
    } else {
        note(facts, "alpn", alpn.cloned());
    }
    // Session tickets come in 1-RTT packets, which tracer does not list.
    let kinds = frame.values("tls.handshake.type").iter();
    note(
        facts,
        "messages",
        kinds.filter(|kind| *kind != "4").cloned(),
    );
    let serials = frame.values("x509af.serialNumber").iter();
    note(facts, "certificates", serials.map(|serial| digits(serial)));
}

/// A serial number without prefix, separators and leading zeros.
fn digits(serial: &str) -> String {
    let digits = serial.trim_start_matches("0x").replace(':', "");
    digits.trim_start_matches('0').to_owned()
}

fn of_tracer(name: &str) -> ByConnection {
    let mut assembler = Assembler::new(AssemblerOptions {
        source: Source::File,
        stream_limit: 1 << 20,
        keep_frames: false,
        without_timeline: false,
        show_secrets: false,
        live: false,
        limits: Limits::default(),
    });
    let secrets = key_log(name).map(|path| std::fs::read_to_string(path).expect("readable"));
    for line in secrets.iter().flat_map(|text| text.lines()) {
        let fact = Fact::TlsSecret(line.to_owned());
        assembler.observe(Observation { at_ns: 0, fact });
    }
    // Damaged captures are part of the collection: what stands before the damage counts.
    let _ = file::read(&capture(name), &mut |seen| assembler.observe(seen));
    let told = assembler.take_remaining();
    let mut found = ByConnection::new();
    for connection in told.connections {
        if connection.transport == Transport::Quic {
            let end = |end: tracer::journey::model::Endpoint| format!("{}  {}", end.ip, end.port);
            let mut ends = [end(connection.client), end(connection.server)];
            ends.sort();
            facts_of_tracer(&connection, found.entry(ends).or_default());
        }
    }
    found
}

fn facts_of_tracer(connection: &Connection, facts: &mut Facts) {
    let quic = connection.quic.as_ref().expect("what QUIC tells");
    let versions = [quic.version.clone(), quic.offered_version.clone()];
    note(facts, "versions", versions);
    let listed = quic.version_negotiation.iter().flatten();
    note(facts, "version negotiation", listed.cloned());
    note(facts, "retry", quic.retry.then(|| "yes".to_owned()));
    let messages = quic
        .datagrams
        .iter()
        .flat_map(|datagram| &datagram.messages);
    note(
        facts,
        "messages",
        messages.map(|name| super::message_type(name).expect("a known name")),
    );
    let Some(tls) = &connection.tls else { return };
    note(facts, "sni", tls.sni.clone());
    note(facts, "alpn offered", tls.alpn_offered.iter().cloned());
    note(facts, "alpn", tls.alpn.clone());
    let serials = tls.certificates.iter().map(|one| digits(&one.serial));
    note(facts, "certificates", serials);
}

#[test]
fn quic_connections_are_those_of_tshark() {
    let mut compared = 0;
    for name in &captures() {
        let (ours, theirs) = (of_tracer(name), of_tshark(name));
        // tshark writes an address and leaves the other family's place empty.
        let squeeze = |found: ByConnection| -> ByConnection {
            let words = |end: String| end.split_whitespace().collect::<Vec<_>>().join(" ");
            found
                .into_iter()
                .map(|(ends, facts)| (ends.map(words), facts))
                .collect()
        };
        let (ours, theirs) = (squeeze(ours), squeeze(theirs));
        compared += ours.len();
        assert_eq!(ours, theirs, "{name}: tracer, tshark");
    }
    assert!(compared > 0, "the collection holds no QUIC");
}
