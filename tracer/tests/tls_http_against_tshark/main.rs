//! TLS and HTTP of real captures, compared with what tshark says of them.
//!
//! Every difference that stays is in [`REVIEWED`], with its reason.

mod quic;
mod support;

use std::collections::BTreeMap;
use support::{Connection, Frame, captures, connections, tshark};
use tracer::journey::bytes::TimedBytes;
use tracer::protocol::tls::names;

/// A difference that was looked at: capture, what it is about, and why it stays.
const REVIEWED: &[(&str, &str, &str)] = &[
    (
        "zeek/tls-hrr.pcap",
        "records",
        "the server's segments overtook each other; tshark does not put them in order",
    ),
    (
        "zeek/tls-hrr.pcap",
        "messages",
        "for the same reason tshark misses the ServerHello after the HelloRetryRequest",
    ),
    (
        "zeek/tls-hrr.pcap",
        "group",
        "for the same reason tshark misses the server's key share",
    ),
    (
        "zeek/http-bro.org.pcap",
        "statuses",
        "a segment of one body is missing; tshark leaves out the whole response",
    ),
    (
        "zeek/http-zero-length-bodies-with-drops.pcap",
        "statuses",
        "the request of one response was not captured",
    ),
];

/// What is compared of a connection, by the name of the fact.
type Facts = BTreeMap<&'static str, Vec<String>>;

/// Facts by the client's and server's `address port`.
type ByConnection = BTreeMap<(String, String), Facts>;

fn note(facts: &mut Facts, name: &'static str, values: impl IntoIterator<Item = String>) {
    facts.entry(name).or_default().extend(values);
}

fn name(endpoint: &std::net::SocketAddr) -> String {
    format!("{} {}", endpoint.ip(), endpoint.port())
}

/// The facts of tshark. It does not say who the client is: both orders are tried later.
fn of_tshark(frames: &[Frame], facts_of: impl Fn(&Frame, &mut Facts)) -> ByConnection {
    let mut found = ByConnection::new();
    for frame in frames {
        let mut facts = Facts::new();
        facts_of(frame, &mut facts);
        let ends = (frame.source.clone(), frame.destination.clone());
        let reversed = (ends.1.clone(), ends.0.clone());
        let key = if found.contains_key(&reversed) {
            reversed
        } else {
            ends
        };
        let known = found.entry(key).or_default();
        for (name, values) in facts {
            note(known, name, values);
        }
    }
    found.retain(|_, facts| facts.values().any(|values| !values.is_empty()));
    found
}

fn of_tracer(name_of_capture: &str, facts_of: impl Fn(&Connection, &mut Facts)) -> ByConnection {
    let mut found = ByConnection::new();
    for connection in connections(name_of_capture) {
        let key = (name(&connection.client), name(&connection.server));
        facts_of(&connection, found.entry(key).or_default());
    }
    found.retain(|_, facts| facts.values().any(|values| !values.is_empty()));
    found
}

/// All differences that nobody has looked at.
fn differences(capture: &str, tshark: &ByConnection, tracer: &ByConnection) -> Vec<String> {
    let empty = Facts::new();
    let mut found = Vec::new();
    for (client, server) in tracer.keys().chain(tshark.keys()) {
        let ours = tracer
            .get(&(client.clone(), server.clone()))
            .or_else(|| tracer.get(&(server.clone(), client.clone())))
            .unwrap_or(&empty);
        let theirs = tshark
            .get(&(client.clone(), server.clone()))
            .or_else(|| tshark.get(&(server.clone(), client.clone())))
            .unwrap_or(&empty);
        for fact in ours.keys().chain(theirs.keys()) {
            let (ours, theirs) = (ours.get(fact), theirs.get(fact));
            if ours.map_or(&[][..], Vec::as_slice) == theirs.map_or(&[][..], Vec::as_slice) {
                continue;
            }
            let reviewed = REVIEWED
                .iter()
                .any(|(other, about, _)| *other == capture && about == fact);
            let line = format!("{capture} {client} {fact}: tracer {ours:?}, tshark {theirs:?}");
            if !reviewed && !found.contains(&line) {
                found.push(line);
            }
        }
    }
    found
}

/// `0x1302` and `771` alike.
fn number(text: &str) -> u16 {
    let digits = text.strip_prefix("0x");
    digits
        .map_or_else(
            || text.parse().ok(),
            |hex| u16::from_str_radix(hex, 16).ok(),
        )
        .unwrap_or_else(|| panic!("{text} is no number"))
}

const TLS_FIELDS: &[&str] = &[
    "tls.handshake.type",
    "tls.handshake.extensions_server_name",
    "tls.handshake.version",
    "tls.handshake.extensions.supported_version",
    "tls.handshake.ciphersuite",
    "tls.handshake.extensions_alpn_str",
    "tls.handshake.extensions_key_share_group",
    "tls.handshake.server_named_curve",
    "x509af.serialNumber",
    "tls.alert_message.desc",
    "tls.record.length",
];

fn tls_facts_of_tshark(frame: &Frame, facts: &mut Facts) {
    let has = |kind: &str| frame.values("tls.handshake.type").iter().any(|k| k == kind);
    if has("1") {
        note(
            facts,
            "sni",
            frame
                .values("tls.handshake.extensions_server_name")
                .iter()
                .cloned(),
        );
    }
    if has("2") {
        let version = frame.values("tls.handshake.extensions.supported_version");
        let version = version
            .last()
            .or(frame.values("tls.handshake.version").last());
        note(
            facts,
            "version",
            version.map(|version| names::version(number(version))),
        );
        let cipher = frame.values("tls.handshake.ciphersuite").last();
        note(
            facts,
            "cipher",
            cipher.map(|cipher| names::cipher_suite(number(cipher))),
        );
    }
    // The share of a ServerHello comes last, after those of a hello in the same frame.
    let share = frame
        .values("tls.handshake.extensions_key_share_group")
        .last();
    let share = share.filter(|_| has("2"));
    let curve = frame.values("tls.handshake.server_named_curve").last();
    let group = share.or(curve).map(|group| names::group(number(group)));
    note(facts, "group", group);
    let kinds = frame.values("tls.handshake.type").iter().cloned();
    note(facts, "messages", kinds);
    // Certificates of clients come with their key exchange.
    if has("11") && !has("16") {
        let serials = frame.values("x509af.serialNumber").iter();
        note(facts, "certificates", serials.map(|serial| digits(serial)));
    }
    if has("2") || has("8") {
        note(
            facts,
            "alpn",
            frame
                .values("tls.handshake.extensions_alpn_str")
                .iter()
                .cloned(),
        );
    }
    let alerts = frame.values("tls.alert_message.desc").iter();
    note(
        facts,
        "alerts",
        alerts.map(|alert| names::alert_description(u8::try_from(number(alert)).expect("a byte"))),
    );
    let lengths = frame.values("tls.record.length").iter().cloned();
    note(facts, "records", lengths);
}

/// A serial number without prefix, separators and leading zeros.
fn digits(serial: &str) -> String {
    let digits = serial.trim_start_matches("0x").replace(':', "");
    digits.trim_start_matches('0').to_owned()
}

/// The number of a handshake message type, `None` for what is sealed.
fn message_type(name: &str) -> Option<String> {
    let number = match name {
        "HelloRequest" => 0,
        "ClientHello" => 1,
        "ServerHello" | "HelloRetryRequest" => 2,
        "NewSessionTicket" => 4,
        "EndOfEarlyData" => 5,
        "EncryptedExtensions" => 8,
        "Certificate" => 11,
        "ServerKeyExchange" => 12,
        "CertificateRequest" => 13,
        "ServerHelloDone" => 14,
        "CertificateVerify" => 15,
        "ClientKeyExchange" => 16,
        "Finished" => 20,
        "CertificateStatus" => 22,
        "KeyUpdate" => 24,
        "CompressedCertificate" => 25,
        "NextProtocol" => 67,
        "ChannelID" => 203,
        _ => return None,
    };
    Some(format!("{number}"))
}

fn tls_facts_of_tracer(connection: &Connection, facts: &mut Facts) {
    let Some(analysis) = &connection.tls else {
        return;
    };
    let tls = &analysis.session;
    note(facts, "sni", tls.sni.clone());
    note(facts, "version", tls.version.clone());
    note(facts, "cipher", tls.cipher.clone());
    note(facts, "group", tls.group.clone());
    let messages = tls.records.iter().flat_map(|record| &record.messages);
    let messages = messages.filter_map(|name| message_type(name));
    note(facts, "messages", messages);
    let serials = tls.certificates.iter();
    let serials = serials.map(|certificate| digits(&certificate.serial));
    note(facts, "certificates", serials);
    note(facts, "alpn", tls.alpn.clone());
    note(
        facts,
        "alerts",
        tls.alerts.iter().map(|alert| alert.description.clone()),
    );
    note(
        facts,
        "records",
        tls.records.iter().map(|record| record.bytes.to_string()),
    );
}

/// Keeps what says something when a handshake has two hellos: the last choice, one name.
fn settle(found: &mut ByConnection) {
    for facts in found.values_mut() {
        for name in ["version", "cipher", "alpn", "sni", "group"] {
            if let Some(values) = facts.get_mut(name) {
                values.drain(..values.len().saturating_sub(1));
            }
        }
        for name in ["records", "alerts", "messages", "statuses", "requests"] {
            if let Some(values) = facts.get_mut(name) {
                values.sort();
            }
        }
    }
}

#[test]
fn tls_sessions_are_those_of_tshark() {
    let mut found = Vec::new();
    for capture in &captures() {
        let frames = tshark(capture, "tls and tcp", TLS_FIELDS);
        let mut theirs = of_tshark(&frames, tls_facts_of_tshark);
        let mut ours = of_tracer(capture, tls_facts_of_tracer);
        settle(&mut theirs);
        settle(&mut ours);
        found.extend(differences(capture, &theirs, &ours));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

const HTTP_FIELDS: &[&str] = &[
    "http.request.method",
    "http.request.uri",
    "http.response.code",
    "http2.headers.method",
    "http2.headers.path",
    "http2.headers.status",
];

fn http_facts_of_tshark(frame: &Frame, facts: &mut Facts) {
    for (method, target) in [
        ("http.request.method", "http.request.uri"),
        ("http2.headers.method", "http2.headers.path"),
    ] {
        let requests = frame.values(method).iter().zip(frame.values(target));
        note(
            facts,
            "requests",
            requests.map(|(method, target)| format!("{method} {target}")),
        );
    }
    // Interim responses do not answer.
    let statuses = frame.values("http.response.code").iter();
    let statuses = statuses.chain(frame.values("http2.headers.status"));
    note(
        facts,
        "statuses",
        statuses.filter(|status| *status != "100").cloned(),
    );
}

fn http_facts_of_tracer(connection: &Connection, facts: &mut Facts) {
    for exchange in &connection.http {
        note(facts, "requests", exchange.asked());
        note(
            facts,
            "statuses",
            exchange.status.map(|status| status.to_string()),
        );
    }
}

#[test]
fn http_exchanges_are_those_of_tshark() {
    let mut found = Vec::new();
    for capture in &captures() {
        let frames = tshark(capture, "(http or http2) and tcp", HTTP_FIELDS);
        let mut theirs = of_tshark(&frames, http_facts_of_tshark);
        let mut ours = of_tracer(capture, http_facts_of_tracer);
        settle(&mut theirs);
        settle(&mut ours);
        found.extend(differences(capture, &theirs, &ours));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A copy with a few bytes changed and a stretch lost, by a generator that starts at `seed`.
fn damaged(stream: &TimedBytes, seed: &mut u64) -> TimedBytes {
    let mut random = |below: usize| {
        // Knuth's linear congruential generator; any will do, as long as it repeats.
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 33).expect("31 bits") % below.max(1)
    };
    let mut bytes = stream.as_slice().to_vec();
    for _ in 0..random(12) {
        let place = random(bytes.len());
        let value = random(256);
        if let Some(byte) = bytes.get_mut(place) {
            *byte = u8::try_from(value).expect("a byte");
        }
    }
    let cut = random(bytes.len());
    let lost = random(200).min(bytes.len() - cut);
    let mut damaged = TimedBytes::default();
    damaged.push(&bytes[..cut], 1);
    damaged.push_hole(lost, 2);
    damaged.push(&bytes[cut + lost..], 3);
    damaged
}

#[test]
fn damaged_captures_never_panic() {
    const ROUNDS: usize = 20;
    let mut seed = 1;
    for capture in &captures() {
        let secrets = support::secrets(capture);
        for payload in support::payloads(capture) {
            for _ in 0..ROUNDS {
                let damaged = support::Payload {
                    from_client: damaged(&payload.from_client, &mut seed),
                    from_server: damaged(&payload.from_server, &mut seed),
                    ..payload
                };
                support::read(&damaged, &secrets);
            }
        }
    }
}
