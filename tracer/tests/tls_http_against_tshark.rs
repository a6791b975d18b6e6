//! TLS and HTTP of real captures, compared with what tshark says of them.
//!
//! Every difference that stays is in [`REVIEWED`], with its reason.

mod support;

use std::collections::BTreeMap;
use support::{Frame, connections, tshark};
use tracer::journey::model::{Connection, End, Endpoint};
use tracer::protocol::tls::names;

/// Captures with TLS over TCP.
const TLS: &[&str] = &[
    "lab/curl-h2.pcap",
    "lab/curl-redirect.pcap",
    "lab/curl-two-on-one.pcap",
    "lab/chromium-h3.pcap",
    "suricata-verify/tls-client-hello-frag-mtu300.pcap",
    "zeek/tls-chrome-1250-tls-x25519-kyber.pcap",
    "zeek/tls-client-certificate.pcap",
    "zeek/tls-hrr.pcap",
    "zeek/tls-tls-1.2-handshake-failure.pcap",
    "zeek/tls-tls-1.2-stream-keylog.pcap",
    "zeek/tls-tls-early-alert.pcap",
    "zeek/tls-tls1.2.pcap",
    "zeek/tls-tls12-decryption.pcap",
    "zeek/tls-tls13-ech.pcap",
    "zeek/tls-tls13_psk_succesfull.pcap",
    "zeek/tls-tls13_wolfssl.pcap",
];

/// Captures with HTTP, in clear or with keys.
const HTTP: &[&str] = &[
    "lab/curl-h2.pcap",
    "lab/curl-order-plain.pcap",
    "lab/curl-redirect.pcap",
    "lab/curl-two-on-one.pcap",
    "lab/chromium-h3.pcap",
    "suricata-verify/dns-over-http2.pcap",
    "suricata-verify/http2-continuation.pcap",
    "suricata-verify/http2-range.pcap",
    "zeek/http-100-continue.pcap",
    "zeek/http-bro.org.pcap",
    "zeek/http-get-gzip.pcap",
    "zeek/http-get.pcap",
    "zeek/http-pipelined-requests.pcap",
    "zeek/http-qinq-0.pcap",
    "zeek/http-vlan-0.pcap",
    "zeek/http-websocket.pcap",
    "zeek/http-zero-length-bodies-with-drops.pcap",
    "zeek/tcp-handshake-reorder.pcap",
    "zeek/tcp-tcp-fast-open.pcap",
];

/// A difference that was looked at: capture, what it is about, and why it stays.
const REVIEWED: &[(&str, &str, &str)] = &[];

/// What is compared of a connection, by the name of the fact.
type Facts = BTreeMap<&'static str, Vec<String>>;

/// Facts by the client's and server's `address port`.
type ByConnection = BTreeMap<(String, String), Facts>;

fn note(facts: &mut Facts, name: &'static str, values: impl IntoIterator<Item = String>) {
    facts.entry(name).or_default().extend(values);
}

fn name(endpoint: &Endpoint) -> String {
    format!("{} {}", endpoint.ip, endpoint.port)
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
    "tls.handshake.extensions_key_share_selected_group",
    "tls.handshake.extensions_key_share_group",
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

fn tls_facts_of_tracer(connection: &Connection, facts: &mut Facts) {
    let Some(tls) = &connection.tls else {
        return;
    };
    note(facts, "sni", tls.sni.clone());
    note(facts, "version", tls.version.clone());
    note(facts, "cipher", tls.cipher.clone());
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
        for name in ["version", "cipher", "alpn", "sni"] {
            if let Some(values) = facts.get_mut(name) {
                values.drain(..values.len().saturating_sub(1));
            }
        }
        for name in ["records", "alerts", "statuses", "requests"] {
            if let Some(values) = facts.get_mut(name) {
                values.sort();
            }
        }
    }
}

#[test]
fn tls_sessions_are_those_of_tshark() {
    let mut found = Vec::new();
    for capture in TLS {
        let frames = tshark(capture, "tls and tcp", TLS_FIELDS);
        let mut theirs = of_tshark(&frames, tls_facts_of_tshark);
        let mut ours = of_tracer(capture, tls_facts_of_tracer);
        assert!(!theirs.is_empty(), "tshark found no TLS in {capture}");
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
        note(
            facts,
            "requests",
            [format!("{} {}", exchange.method, exchange.target)],
        );
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
    for capture in HTTP {
        let frames = tshark(capture, "(http or http2) and tcp", HTTP_FIELDS);
        let mut theirs = of_tshark(&frames, http_facts_of_tshark);
        let mut ours = of_tracer(capture, http_facts_of_tracer);
        assert!(!theirs.is_empty(), "tshark found no HTTP in {capture}");
        settle(&mut theirs);
        settle(&mut ours);
        found.extend(differences(capture, &theirs, &ours));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
