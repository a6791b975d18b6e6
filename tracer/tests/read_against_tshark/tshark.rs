//! tshark's side.

use crate::{Facts, keys};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;
use tracer::protocol::tls::names;

/// What is compared.
pub const FACTS: [&str; 14] = [
    "dns query",
    "dns answer",
    "dns data",
    "arp request",
    "syn",
    "syn-ack",
    "retransmission",
    "reset",
    "sni",
    "tls version",
    "tls cipher",
    "tls alpn",
    "http request",
    "http status",
];

const FIELDS: &[&str] = &[
    "frame.time_relative",
    "ip.src",
    "ipv6.src",
    "ip.dst",
    "ipv6.dst",
    "tcp.srcport",
    "udp.srcport",
    "tcp.dstport",
    "udp.dstport",
    "tcp.flags",
    "tcp.seq_raw",
    "tcp.options.mss_val",
    "tcp.analysis.retransmission",
    "tcp.stream",
    "quic.connection.number",
    "arp.opcode",
    "arp.dst.proto_ipv4",
    "dns.id",
    "dns.flags.response",
    "dns.flags.rcode",
    "dns.qry.name",
    "dns.a",
    "dns.aaaa",
    "dns.cname",
    "tls.handshake.type",
    "tls.handshake.extensions_server_name",
    "tls.handshake.version",
    "tls.handshake.extensions.supported_version",
    "tls.handshake.ciphersuite",
    "tls.handshake.extensions_alpn_str",
    "http.request.method",
    "http.request.uri",
    "http.response.code",
    "http2.headers.method",
    "http2.headers.path",
    "http2.headers.status",
    "frame.protocols",
    "dns.count.answers",
];

/// Separates several values of one field in one frame; no capture has it in a value.
const AGGREGATOR: char = '^';

/// One frame: the values of each field.
struct Frame(HashMap<&'static str, Vec<String>>);

impl Frame {
    fn all(&self, field: &str) -> &[String] {
        self.0.get(field).map_or(&[], Vec::as_slice)
    }

    fn first(&self, field: &str) -> &str {
        self.all(field).first().map_or("", String::as_str)
    }

    /// Of what a tunnel carries rather than of the tunnel.
    fn last(&self, field: &str) -> &str {
        self.all(field).last().map_or("", String::as_str)
    }

    /// Address and port of the sender or receiver of the innermost segment or datagram.
    fn end(&self, v4: &str, v6: &str, port: &str) -> String {
        let protocols = self.first("frame.protocols");
        let upper = protocols.find(":tcp").or(protocols.find(":udp"));
        let before = protocols.get(..upper.unwrap_or(protocols.len()));
        let innermost = before.unwrap_or_default().rsplit(':').next();
        let address = match innermost {
            Some("ipv6") => self.last(v6),
            _ if self.last(v4).is_empty() => self.last(v6),
            _ => self.last(v4),
        };
        format!("{address} {}", self.last(port))
    }

    fn is_quic(&self) -> bool {
        self.first("frame.protocols").contains(":quic")
    }

    fn source(&self) -> String {
        let port = if self.is_quic() {
            "udp.srcport"
        } else {
            "tcp.srcport"
        };
        self.end("ip.src", "ipv6.src", port)
    }

    fn destination(&self) -> String {
        let port = if self.is_quic() {
            "udp.dstport"
        } else {
            "tcp.dstport"
        };
        self.end("ip.dst", "ipv6.dst", port)
    }

    fn at_ns(&self) -> u64 {
        let (seconds, rest) = self
            .first("frame.time_relative")
            .split_once('.')
            .unwrap_or(("0", "0"));
        let seconds: u64 = seconds.parse().unwrap_or(0);
        seconds * 1_000_000_000 + rest.parse::<u64>().unwrap_or(0)
    }
}

fn frames(path: &Path) -> Vec<Frame> {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(path);
    if let Some(keys) = keys(path) {
        command.args(["-o", &format!("tls.keylog_file:{}", keys.display())]);
    }
    command.args(["-T", "fields", "-E", &format!("aggregator={AGGREGATOR}")]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command
        .output()
        .expect("tshark runs; install the package tshark");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .map(|line| {
            let columns = line.split('\t').map(|column| {
                let values = column.split(AGGREGATOR).filter(|value| !value.is_empty());
                values.map(str::to_owned).collect()
            });
            Frame(FIELDS.iter().copied().zip(columns).collect())
        })
        .collect()
}

/// `0x1302` and `771` alike.
fn number(text: &str) -> u16 {
    match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).unwrap_or(0),
        None => text.parse().unwrap_or(0),
    }
}

pub fn facts(path: &Path) -> Facts {
    let mut facts = Facts::new();
    let mut handshakes = BTreeSet::new();
    let mut sessions = Sessions::default();
    for frame in &frames(path) {
        // What an ICMP error quotes is no packet.
        let protocols = frame.first("frame.protocols");
        if protocols.contains(":icmp") {
            continue;
        }
        let mut note = |fact, value: String| facts.entry(fact).or_default().push(value);
        let datagram = [":udp:dns", ":tcp:dns", ":udp:mdns", ":udp:llmnr"];
        if datagram.iter().any(|one| protocols.ends_with(one)) {
            dns(frame, &mut note);
        }
        if frame.first("arp.opcode") == "1" {
            note("arp request", frame.first("arp.dst.proto_ipv4").to_owned());
        }
        if frame.is_quic() {
            sessions.frame(frame);
        }
        if frame.all("tcp.flags").is_empty() {
            continue;
        }
        tcp(frame, &mut handshakes, &mut note);
        http(frame, &mut note);
        sessions.frame(frame);
    }
    sessions.facts(&mut facts);
    facts
}

fn dns(frame: &Frame, note: &mut impl FnMut(&'static str, String)) {
    let port = |field| {
        [format!("udp.{field}"), format!("tcp.{field}")]
            .map(|name| frame.last(&name).to_owned())
            .concat()
    };
    let ids = frame.all("dns.id");
    let responses = frame.all("dns.flags.response");
    let alone = ids.len() == 1;
    let mut names = frame.all("dns.qry.name").iter();
    for (index, (id, response)) in ids.iter().zip(responses).enumerate() {
        let id = number(id);
        if number(response) == 0 {
            let name = names.next().map_or("", String::as_str);
            let name = if name == "<Root>" { "." } else { name };
            note("dns query", format!("{} {id} {name}", port("srcport")));
            if alone {
                for name in names.by_ref() {
                    note("dns query", format!("{} {id} {name}", port("srcport")));
                }
            }
        } else if !frame.first("frame.protocols").ends_with(":mdns") {
            let rcodes = frame.all("dns.flags.rcode");
            let rcode = rcodes.get(index.min(rcodes.len().saturating_sub(1)));
            let rcode = rcode.map_or("", String::as_str);
            let rcode = match number(rcode) {
                0 => "NOERROR",
                1 => "FORMERR",
                2 => "SERVFAIL",
                3 => "NXDOMAIN",
                4 => "NOTIMP",
                5 => "REFUSED",
                _ => rcode,
            };
            let counts = frame.all("dns.count.answers");
            let count = counts.get(index).map_or("", String::as_str);
            let to = port("dstport");
            note("dns answer", format!("{to} {id} {rcode} {count}"));
            for field in ["dns.a", "dns.aaaa", "dns.cname"] {
                for data in frame.all(field) {
                    note("dns data", format!("{to} {id} {data}"));
                }
            }
        }
    }
}

fn tcp(
    frame: &Frame,
    handshakes: &mut BTreeSet<String>,
    note: &mut impl FnMut(&'static str, String),
) {
    const RST: u16 = 0x04;
    const SYN: u16 = 0x02;
    const ACK: u16 = 0x10;
    let flags = number(frame.last("tcp.flags"));
    let source = frame.source();
    if flags & SYN != 0 && flags & RST == 0 {
        let fact = if flags & ACK == 0 { "syn" } else { "syn-ack" };
        let (isn, mss) = (frame.last("tcp.seq_raw"), frame.last("tcp.options.mss_val"));
        let handshake = format!("{source} {isn} {mss}");
        let stream = frame.last("tcp.stream");
        // Retries are not handshakes of their own.
        if handshakes.insert(format!("{stream} {fact} {source} {isn}")) {
            note(fact, handshake);
        }
    }
    if flags & RST != 0 {
        note("reset", format!("{source} at {}", frame.at_ns()));
    }
    if !frame.all("tcp.analysis.retransmission").is_empty() {
        note("retransmission", format!("{source} at {}", frame.at_ns()));
    }
}

fn http(frame: &Frame, note: &mut impl FnMut(&'static str, String)) {
    let (source, destination) = (frame.source(), frame.destination());
    for (method, target) in [
        ("http.request.method", "http.request.uri"),
        ("http2.headers.method", "http2.headers.path"),
    ] {
        let mut targets = frame.all(target).iter();
        for method in frame.all(method) {
            let target = targets.next().map_or("", String::as_str);
            note("http request", format!("{source} {method} {target}"));
        }
    }
    let statuses = frame.all("http.response.code").iter();
    for status in statuses.chain(frame.all("http2.headers.status")) {
        note("http status", format!("{destination} {status}"));
    }
}

/// TLS sessions: what was chosen last counts where a handshake has two hellos.
#[derive(Default)]
struct Sessions(HashMap<String, HashMap<&'static str, String>>);

impl Sessions {
    fn frame(&mut self, frame: &Frame) {
        let has = |kind: &str| frame.all("tls.handshake.type").iter().any(|it| it == kind);
        let stream = match frame.is_quic() {
            true => format!("quic {}", frame.last("quic.connection.number")),
            false => frame.last("tcp.stream").to_owned(),
        };
        let (source, destination) = (frame.source(), frame.destination());
        let known = self.0.entry(stream).or_default();
        if has("1")
            && let Some(sni) = frame.all("tls.handshake.extensions_server_name").last()
        {
            known.insert("sni", format!("{source} {sni}"));
        }
        if has("2") {
            let version = frame.all("tls.handshake.extensions.supported_version");
            if let Some(version) = version.last().or(frame.all("tls.handshake.version").last()) {
                let version = names::version(number(version));
                known.insert("tls version", format!("{source} {destination} {version}"));
            }
            if let Some(cipher) = frame.all("tls.handshake.ciphersuite").last() {
                let cipher = names::cipher_suite(number(cipher));
                known.insert("tls cipher", format!("{source} {destination} {cipher}"));
            }
        }
        if (has("2") || has("8"))
            && !has("1")
            && let Some(alpn) = frame.all("tls.handshake.extensions_alpn_str").last()
        {
            known.insert("tls alpn", format!("{source} {destination} {alpn}"));
        }
    }

    fn facts(self, facts: &mut Facts) {
        for session in self.0.into_values() {
            for (fact, value) in session {
                facts.entry(fact).or_default().push(value);
            }
        }
    }
}
