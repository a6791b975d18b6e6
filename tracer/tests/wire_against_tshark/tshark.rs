//! tshark's side.

use crate::{Fields, is_dns};
use std::path::Path;
use std::process::Command;

pub fn run(program: &str, arguments: &[&str]) -> String {
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

/// tshark's names of the fields that are compared, with what they are called here.
pub const FIELDS: [(&str, &str); 27] = [
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

pub const DNS_FIELDS: [(&str, &str); 8] = [
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
pub fn their_fields(path: &Path) -> Vec<Fields> {
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
pub fn own_terms(mut fields: Fields) -> Fields {
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

/// Payload bytes of both directions of every TCP stream, by tshark's number of the stream;
/// `None` where the capture lacks bytes.
pub fn followed(path: &Path, streams: usize) -> Vec<[Option<Vec<u8>>; 2]> {
    let path = path.to_str().unwrap();
    let follow: Vec<String> = (0..streams)
        .map(|it| format!("follow,tcp,raw,{it}"))
        .collect();
    let mut arguments = vec!["-n", "-q", "-r", path];
    for option in &follow {
        arguments.extend(["-z", option]);
    }
    let text = run("tshark", &arguments);
    let mut read: Vec<[Option<Vec<u8>>; 2]> = vec![[Some(Vec::new()), Some(Vec::new())]; streams];
    let mut stream = None;
    for line in text.lines() {
        if let Some(number) = line.strip_prefix("Filter: tcp.stream eq ") {
            stream = number.parse::<usize>().ok();
        }
        let (end, digits) = match line.strip_prefix('\t') {
            Some(digits) => (1, digits),
            None => (0, line),
        };
        let (Some(stream), Ok(bytes)) = (stream, hex::decode(digits)) else {
            continue;
        };
        let place = &mut read[stream][end];
        if bytes.ends_with(b" bytes missing in capture file]\0") {
            *place = None;
        } else if let Some(place) = place {
            place.extend(bytes);
        }
    }
    read
}

/// As [`run`], for programs that write files and nothing else.
pub fn run_quietly(program: &str, arguments: &[&str]) {
    let status = Command::new(program)
        .args(arguments)
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}; install tshark"));
    assert!(status.success(), "{program} {arguments:?}: {status}");
}
