//! Our side.

use crate::packets::frames;
use crate::tshark::run;
use crate::{Fields, is_dns};
use std::collections::BTreeMap;
use std::path::Path;
use tracer::capture::{Frame, LinkType};
use tracer::journey::stream::StreamAssembler;
use tracer::protocol::dns::{self, DnsMessage};
use tracer::protocol::fragments::Fragments;
use tracer::protocol::frame::{
    ArpOperation, Icmp, IcmpMessage, Network, Tcp, Transport, Udp, parse_cut,
};

/// Our answer, one entry a frame.
pub fn our_fields(path: &Path) -> Vec<Fields> {
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

pub fn describe(fields: &mut Fields, frame: &Frame, at_ns: u64, fragments: &mut Fragments) {
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

pub fn transport(fields: &mut Fields, transport: &Transport<'_>) {
    match transport {
        Transport::Tcp(tcp) => describe_tcp(fields, tcp),
        Transport::Udp(udp) => describe_udp(fields, udp),
        Transport::Icmp(icmp) => describe_icmp(fields, icmp),
        Transport::Other { .. } => {}
    }
}

pub fn describe_tcp(fields: &mut Fields, tcp: &Tcp<'_>) {
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

pub fn describe_udp(fields: &mut Fields, udp: &Udp<'_>) {
    fields.insert("udp source port", udp.source_port.to_string());
    fields.insert("udp destination port", udp.destination_port.to_string());
    fields.insert("udp length", (udp.payload_length + 8).to_string());
    if (is_dns(udp.source_port) || is_dns(udp.destination_port))
        && let Some(message) = dns::parse(udp.payload)
    {
        describe_dns(fields, &message);
    }
}

pub fn describe_icmp(fields: &mut Fields, icmp: &Icmp<'_>) {
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

pub fn describe_dns(fields: &mut Fields, message: &DnsMessage) {
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
pub fn type_number(name: &str) -> u16 {
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

pub fn join<T: ToString>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(T::to_string).collect();
    values.join("^")
}

/// The same, reassembled here. tshark says which stream a frame belongs to.
pub fn reassembled(path: &Path) -> Vec<[StreamAssembler; 2]> {
    let text = path.to_str().unwrap();
    let numbers = run(
        "tshark",
        &["-n", "-r", text, "-T", "fields", "-e", "tcp.stream"],
    );
    let mut streams: BTreeMap<usize, (u16, [StreamAssembler; 2])> = BTreeMap::new();
    for ((at_ns, frame), number) in frames(path).iter().zip(numbers.lines()) {
        let parsed = parse_cut(frame.link_type, &frame.data, frame.original_length);
        let (Network::Ip(ip), Ok(number)) = (&parsed.network, number.parse()) else {
            continue;
        };
        let Transport::Tcp(tcp) = &ip.transport else {
            continue;
        };
        let new = || {
            (
                tcp.source_port,
                [(); 2].map(|()| StreamAssembler::new(1 << 24)),
            )
        };
        let (first_port, ends) = streams.entry(number).or_insert_with(new);
        let end = &mut ends[usize::from(tcp.source_port != *first_port)];
        let mut sequence = tcp.sequence;
        if tcp.flags.syn {
            end.set_initial_sequence(sequence);
            sequence = sequence.wrapping_add(1);
        }
        end.segment(sequence, tcp.payload, tcp.payload_length, *at_ns);
    }
    streams.into_values().map(|(_, ends)| ends).collect()
}
