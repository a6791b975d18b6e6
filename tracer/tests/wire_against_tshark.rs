//! What tracer reads from a frame against what tshark reads from it, frame by frame, for
//! every capture of a folder: `../shared/captures` beside the workspace, or the one that
//! `TRACER_CAPTURES` names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use tracer::capture::{Fact, Frame, LinkType, Observation, file};
use tracer::protocol::dns::{self, DnsMessage};
use tracer::protocol::fragments::Fragments;
use tracer::protocol::frame::{
    ArpOperation, Icmp, IcmpMessage, Network, Tcp, Transport, Udp, parse_cut,
};

/// Differences that were looked at: `(end of the file's path, frame, field, reason)`.
const REVIEWED: [(&str, u64, &str, &str); 0] = [];

/// What both sides say of one frame: field name to value. A field that one side lacks is
/// a difference.
type Fields = BTreeMap<&'static str, String>;

fn captures() -> PathBuf {
    let folder = std::env::var_os("TRACER_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures"),
        PathBuf::from,
    );
    assert!(
        folder.is_dir(),
        "no captures at {}: put some there, or name a folder in TRACER_CAPTURES",
        folder.display()
    );
    folder
}

/// Captures below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|ending| ending == "pcap" || ending == "pcapng")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}; install tshark"));
    assert!(
        output.status.success() || !output.stdout.is_empty(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn observations(path: &Path) -> (file::FileSummary, Vec<Observation>) {
    let mut seen = Vec::new();
    let summary = file::read(path, &mut |observation| seen.push(observation))
        .unwrap_or_else(|error| panic!("{error}"));
    (summary, seen)
}

fn frames(path: &Path) -> Vec<(u64, Frame)> {
    let frame = |seen: Observation| match seen.fact {
        Fact::Frame(frame) => Some((seen.at_ns, frame)),
        _ => None,
    };
    observations(path).1.into_iter().filter_map(frame).collect()
}

/// tshark's names of the fields that are compared, with what they are called here.
const FIELDS: [(&str, &str); 27] = [
    ("frame.number", "number"),
    ("frame.time_relative", "time"),
    ("frame.len", "length"),
    ("frame.cap_len", "captured"),
    ("frame.protocols", "protocols"),
    ("eth.src", "source mac"),
    ("vlan.id", "vlans"),
    ("arp.opcode", "arp"),
    ("arp.src.proto_ipv4", "arp sender"),
    ("arp.dst.proto_ipv4", "arp target"),
    ("ip.src", "source v4"),
    ("ipv6.src", "source v6"),
    ("ip.ttl", "ttl v4"),
    ("ipv6.hlim", "ttl v6"),
    ("tcp.flags", "tcp flags"),
    ("tcp.seq_raw", "tcp sequence"),
    ("tcp.ack_raw", "tcp acknowledgment"),
    ("tcp.len", "tcp payload"),
    ("tcp.srcport", "tcp source port"),
    ("tcp.options.mss_val", "tcp mss"),
    ("tcp.options.wscale.shift", "tcp window scale"),
    ("tcp.options.timestamp.tsval", "tcp timestamp"),
    ("tcp.options.sack_le", "tcp sack"),
    ("udp.srcport", "udp source port"),
    ("udp.dstport", "udp destination port"),
    ("udp.length", "udp length"),
    ("icmpv6.nd.ns.target_address", "solicited target"),
];

const DNS_FIELDS: [(&str, &str); 8] = [
    ("icmpv6.nd.na.target_address", "advertised target"),
    ("dns.id", "dns id"),
    ("dns.flags.response", "dns response"),
    ("dns.qry.name", "dns names"),
    ("dns.qry.type", "dns types"),
    ("dns.a", "dns a"),
    ("dns.aaaa", "dns aaaa"),
    ("dns.cname", "dns cname"),
];

/// tshark's answer, one entry a frame.
fn tshark(path: &Path) -> Vec<Fields> {
    let path = path.to_str().unwrap();
    let mut arguments = vec!["-n", "-r", path, "-T", "fields", "-E", "aggregator=^"];
    // What is compared is the frame, not the stream it belongs to.
    arguments.extend(["-o", "tcp.desegment_tcp_streams:FALSE"]);
    arguments.extend(["-o", "tcp.relative_sequence_numbers:FALSE"]);
    let all: Vec<_> = FIELDS.iter().chain(&DNS_FIELDS).collect();
    for (field, _) in &all {
        arguments.extend(["-e", field]);
    }
    run("tshark", &arguments)
        .lines()
        .map(|line| {
            let named = all.iter().map(|(_, name)| *name);
            named
                .zip(line.split('\t').map(str::to_owned))
                .filter(|(_, value)| !value.is_empty())
                .collect()
        })
        .map(own_terms)
        .collect()
}

/// Brings tshark's answer into the form of ours.
fn own_terms(mut fields: Fields) -> Fields {
    let protocols = fields.remove("protocols").unwrap_or_default();
    let stack: Vec<&str> = protocols.split(':').collect();
    // tshark opens the packet that an ICMP error quotes; only what came with the frame is
    // compared.
    let icmp = stack.iter().position(|it| matches!(*it, "icmp" | "icmpv6"));
    if icmp.is_some_and(|index| index + 1 < stack.len()) {
        fields.retain(|name, _| !["tcp", "udp", "dns"].iter().any(|it| name.starts_with(it)));
        for name in ["source v4", "source v6", "ttl v4", "ttl v6"] {
            if let Some(value) = fields.get_mut(name) {
                *value = value.split('^').next().unwrap_or_default().to_owned();
            }
        }
    }
    // Only DNS over UDP is compared, by its ports: over TCP it needs the stream.
    if !["udp source port", "udp destination port"]
        .iter()
        .any(|port| {
            fields
                .get(port)
                .is_some_and(|port| is_dns(port.parse().unwrap_or(0)))
        })
    {
        fields.retain(|name, _| !name.starts_with("dns"));
    }
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    // tshark's flags hold the four reserved bits as well.
    for (name, mask) in [("tcp flags", 0xff), ("dns id", 0xffff)] {
        if let Some(value) = fields.get_mut(name) {
            *value = (number(value) & mask).to_string();
        }
    }
    if let Some(time) = fields.get_mut("time") {
        // Packets before the first one have time 0 here.
        *time = match time.starts_with('-') {
            true => "0.000000000".to_owned(),
            false => time.clone(),
        };
    }
    fields
}

fn is_dns(port: u16) -> bool {
    matches!(port, 53 | 5353)
}

/// Our answer, one entry a frame.
fn tracer(path: &Path) -> Vec<Fields> {
    let mut fragments = Fragments::default();
    frames(path)
        .iter()
        .zip(1_u64..)
        .map(|((at_ns, frame), number)| {
            let mut fields = Fields::new();
            fields.insert("number", number.to_string());
            fields.insert(
                "time",
                format!("{}.{:09}", at_ns / 1_000_000_000, at_ns % 1_000_000_000),
            );
            fields.insert("length", frame.original_length.to_string());
            fields.insert("captured", frame.data.len().to_string());
            describe(&mut fields, frame, *at_ns, &mut fragments);
            fields
        })
        .collect()
}

fn describe(fields: &mut Fields, frame: &Frame, at_ns: u64, fragments: &mut Fragments) {
    let parsed = parse_cut(frame.link_type, &frame.data, frame.original_length);
    if frame.link_type == LinkType::Ethernet
        && let Some(mac) = parsed.source_mac
    {
        fields.insert(
            "source mac",
            mac.map(|byte| format!("{byte:02x}")).join(":"),
        );
    }
    if !parsed.vlans.is_empty() {
        fields.insert("vlans", join(&parsed.vlans));
    }
    match &parsed.network {
        Network::Arp(arp) => {
            let operation = match arp.operation {
                ArpOperation::Request => 1,
                ArpOperation::Reply => 2,
                ArpOperation::Other(number) => number,
            };
            fields.insert("arp", operation.to_string());
            fields.insert("arp sender", arp.sender_ip.to_string());
            fields.insert("arp target", arp.target_ip.to_string());
        }
        Network::Ip(ip) => {
            let (source, ttl) = if ip.source.is_ipv4() {
                ("source v4", "ttl v4")
            } else {
                ("source v6", "ttl v6")
            };
            fields.insert(source, ip.source.to_string());
            fields.insert(ttl, ip.ttl.to_string());
            match fragments.add(ip, at_ns) {
                Some(whole) => transport(fields, &whole.open().1),
                None => transport(fields, &ip.transport),
            }
        }
        Network::Other { .. } => {}
    }
}

fn transport(fields: &mut Fields, transport: &Transport<'_>) {
    match transport {
        Transport::Tcp(tcp) => describe_tcp(fields, tcp),
        Transport::Udp(udp) => describe_udp(fields, udp),
        Transport::Icmp(icmp) => describe_icmp(fields, icmp),
        Transport::Other { .. } => {}
    }
}

fn describe_tcp(fields: &mut Fields, tcp: &Tcp<'_>) {
    let flags = tcp.flags;
    let bits = [
        flags.fin, flags.syn, flags.rst, flags.psh, flags.ack, flags.urg, flags.ece, flags.cwr,
    ];
    let bits = bits
        .iter()
        .zip(0..)
        .map(|(set, bit)| u32::from(*set) << bit);
    fields.insert("tcp flags", bits.sum::<u32>().to_string());
    fields.insert("tcp sequence", tcp.sequence.to_string());
    fields.insert("tcp acknowledgment", tcp.acknowledgment.to_string());
    fields.insert("tcp payload", tcp.payload_length.to_string());
    fields.insert("tcp source port", tcp.source_port.to_string());
    let options = &tcp.options;
    let optional = [
        ("tcp mss", options.mss.map(|it| it.to_string())),
        (
            "tcp window scale",
            options.window_scale.map(|it| it.to_string()),
        ),
        (
            "tcp timestamp",
            options.timestamps.map(|it| it.0.to_string()),
        ),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            fields.insert(name, value);
        }
    }
    if !options.sack.is_empty() {
        let edges: Vec<u32> = options.sack.iter().map(|block| block.0).collect();
        fields.insert("tcp sack", join(&edges));
    }
}

fn describe_udp(fields: &mut Fields, udp: &Udp<'_>) {
    fields.insert("udp source port", udp.source_port.to_string());
    fields.insert("udp destination port", udp.destination_port.to_string());
    fields.insert("udp length", (udp.payload_length + 8).to_string());
    if (is_dns(udp.source_port) || is_dns(udp.destination_port))
        && let Some(message) = dns::parse(udp.payload)
    {
        describe_dns(fields, &message);
    }
}

fn describe_icmp(fields: &mut Fields, icmp: &Icmp<'_>) {
    match icmp.message {
        IcmpMessage::NeighborSolicitation { target, .. } => {
            fields.insert("solicited target", target.to_string());
        }
        IcmpMessage::NeighborAdvertisement { target, .. } => {
            fields.insert("advertised target", target.to_string());
        }
        _ => {}
    }
}

fn describe_dns(fields: &mut Fields, message: &DnsMessage) {
    fields.insert("dns id", message.id.to_string());
    fields.insert("dns response", u8::from(message.response).to_string());
    if !message.questions.is_empty() {
        let names: Vec<&str> = message
            .questions
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        fields.insert("dns names", names.join("^"));
        let types: Vec<u16> = message
            .questions
            .iter()
            .map(|question| type_number(&question.record_type))
            .collect();
        fields.insert("dns types", join(&types));
    }
    let sections = [&message.answers, &message.authorities, &message.additionals];
    for (record_type, field) in [("A", "dns a"), ("AAAA", "dns aaaa"), ("CNAME", "dns cname")] {
        let data: Vec<&str> = sections
            .into_iter()
            .flatten()
            .filter(|record| record.record_type == record_type)
            .map(|record| record.data.as_str())
            .collect();
        if !data.is_empty() {
            fields.insert(field, data.join("^"));
        }
    }
}

/// RFC 1035 and its successors.
fn type_number(name: &str) -> u16 {
    let known = [
        ("A", 1),
        ("NS", 2),
        ("CNAME", 5),
        ("SOA", 6),
        ("PTR", 12),
        ("HINFO", 13),
        ("MX", 15),
        ("TXT", 16),
        ("AAAA", 28),
        ("LOC", 29),
        ("SRV", 33),
        ("NAPTR", 35),
        ("DS", 43),
        ("RRSIG", 46),
        ("NSEC", 47),
        ("DNSKEY", 48),
        ("TLSA", 52),
        ("SVCB", 64),
        ("HTTPS", 65),
        ("SPF", 99),
        ("TKEY", 249),
        ("IXFR", 251),
        ("AXFR", 252),
        ("ANY", 255),
        ("CAA", 257),
    ];
    match known.iter().find(|(known, _)| *known == name) {
        Some((_, number)) => *number,
        None => name.trim_start_matches("TYPE").parse().unwrap_or(0),
    }
}

fn join<T: ToString>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(T::to_string).collect();
    values.join("^")
}

fn reviewed(path: &Path, number: u64, field: &str) -> bool {
    REVIEWED
        .iter()
        .any(|(file, frame, known, _)| path.ends_with(file) && *frame == number && *known == field)
}

/// Differences of one file, a line each.
fn differences(path: &Path) -> String {
    let (theirs, ours) = (tshark(path), tracer(path));
    let mut lines = String::new();
    if theirs.len() != ours.len() {
        let _ = writeln!(
            lines,
            "{}: {} packets, tshark {}",
            path.display(),
            ours.len(),
            theirs.len()
        );
    }
    for (number, (ours, theirs)) in (1..).zip(ours.iter().zip(&theirs)) {
        let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for name in names {
            let (our, their) = (ours.get(name), theirs.get(name));
            if our != their && !reviewed(path, number, name) {
                let _ = writeln!(
                    lines,
                    "{} frame {number} {name}: {our:?}, tshark {their:?}",
                    path.display()
                );
            }
        }
    }
    lines
}

#[test]
fn every_frame_reads_as_in_tshark() {
    let files = files(&captures());
    assert!(!files.is_empty(), "the folder holds no captures");
    let differences: String = files.iter().map(|path| differences(path)).collect();
    assert!(differences.is_empty(), "\n{differences}");
}
