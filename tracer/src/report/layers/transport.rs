//! TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792) and ICMPv6 with neighbour discovery
//! (RFC 4443, RFC 4861).

use super::application;
use super::layer::{Context, Layer, mac};
use super::quic;
use etherparse::{TcpOptionElement, TcpSlice, UdpHeaderSlice};

/// What the IP header said about the bytes below it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addressed {
    pub protocol: u8,
    /// Not the first fragment: there is no transport header in it.
    pub fragment: bool,
}

pub(super) fn open(addressed: Addressed, data: &[u8], context: &Context<'_>) -> Vec<Layer> {
    let layer = match addressed.protocol {
        _ if addressed.fragment => Layer::payload("fragment", data, context.show_secrets),
        6 => Some(tcp(data, context)),
        17 => Some(udp(data, context)),
        1 => Some(icmp("ICMP", data, icmpv4_name)),
        58 => Some(icmp("ICMPv6", data, icmpv6_name)),
        other => Layer::payload(&protocol_name(other), data, context.show_secrets),
    };
    layer.into_iter().collect()
}

/// Number and name (registry "Assigned Internet Protocol Numbers" of IANA).
pub(super) fn protocol_name(number: u8) -> String {
    let name = match number {
        0 => "hop-by-hop options",
        1 => "ICMP",
        2 => "IGMP",
        6 => "TCP",
        17 => "UDP",
        43 => "routing",
        44 => "fragment",
        50 => "ESP",
        51 => "AH",
        58 => "ICMPv6",
        59 => "none",
        60 => "destination options",
        132 => "SCTP",
        _ => return number.to_string(),
    };
    format!("{number} ({name})")
}

fn tcp(data: &[u8], context: &Context<'_>) -> Layer {
    let Ok(segment) = TcpSlice::from_slice(data) else {
        return Layer::cut("TCP", data);
    };
    let header = segment.header_slice().len();
    let mut layer = Layer::new("TCP");
    layer.field("source port", segment.source_port());
    layer.field("destination port", segment.destination_port());
    layer.field("sequence number", segment.sequence_number());
    layer.field("acknowledgment number", segment.acknowledgment_number());
    layer.field(
        "data offset",
        format!("{} ({header} bytes)", segment.data_offset()),
    );
    layer.field("flags", tcp_flags(&segment));
    layer.field("window", segment.window_size());
    layer.field("checksum", format!("{:#06x}", segment.checksum()));
    layer.field("urgent pointer", segment.urgent_pointer());
    layer.list("options", &tcp_options(segment.options()));
    let payload = segment.payload();
    let ports = [segment.source_port(), segment.destination_port()];
    layer.inside = match ports.contains(&53) {
        true => application::dns_over_tcp(payload, context),
        false => application::open_stream(payload, context),
    };
    layer
}

fn tcp_flags(segment: &TcpSlice<'_>) -> String {
    // In the order people say them: SYN ACK, PSH ACK, FIN ACK.
    let names = [
        (segment.fin(), "FIN"),
        (segment.syn(), "SYN"),
        (segment.rst(), "RST"),
        (segment.psh(), "PSH"),
        (segment.ack(), "ACK"),
        (segment.urg(), "URG"),
        (segment.ece(), "ECE"),
        (segment.cwr(), "CWR"),
    ];
    let set: Vec<&str> = names
        .iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| *name)
        .collect();
    match set.is_empty() {
        true => "none".into(),
        false => set.join(" "),
    }
}

/// Options in order; those that etherparse does not know by number.
fn tcp_options(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = bytes;
    // Each turn takes at least one byte; the header ends after 40.
    while let Some((kind, _)) = rest.split_first() {
        if *kind == 0 {
            break;
        }
        let length = match (kind, rest.get(1)) {
            (1, _) => 1,
            (_, Some(length)) if (2..=rest.len()).contains(&usize::from(*length)) => {
                usize::from(*length)
            }
            _ => {
                names.push(format!("broken option {kind}"));
                break;
            }
        };
        let (option, following) = rest.split_at(length);
        names.push(tcp_option(*kind, option));
        rest = following;
    }
    names
}

fn tcp_option(kind: u8, bytes: &[u8]) -> String {
    let element = etherparse::TcpOptionsIterator::from_slice(bytes).next();
    match element {
        Some(Ok(TcpOptionElement::Noop)) => "NOP".into(),
        Some(Ok(TcpOptionElement::MaximumSegmentSize(size))) => format!("MSS {size}"),
        Some(Ok(TcpOptionElement::WindowScale(shift))) => format!("window scale {shift}"),
        Some(Ok(TcpOptionElement::SelectiveAcknowledgementPermitted)) => "SACK permitted".into(),
        Some(Ok(TcpOptionElement::SelectiveAcknowledgement(first, more))) => {
            let blocks = std::iter::once(first).chain(more.into_iter().flatten());
            let blocks: Vec<String> = blocks.map(|(from, to)| format!("{from}..{to}")).collect();
            format!("SACK {}", blocks.join(" "))
        }
        Some(Ok(TcpOptionElement::Timestamp(value, echo))) => {
            format!("timestamps {value} echo {echo}")
        }
        // RFC 7413: a cookie, or with nothing in it the wish for one.
        None | Some(Err(_)) if kind == 34 => {
            match bytes.get(2..).filter(|cookie| !cookie.is_empty()) {
                Some(cookie) => format!("fast open cookie {}", hex::encode(cookie)),
                None => "fast open cookie request".into(),
            }
        }
        None | Some(Err(_)) => format!("option {kind}, {} bytes", bytes.len()),
    }
}

fn udp(data: &[u8], context: &Context<'_>) -> Layer {
    let Ok(header) = UdpHeaderSlice::from_slice(data) else {
        return Layer::cut("UDP", data);
    };
    let mut layer = Layer::new("UDP");
    layer.field("source port", header.source_port());
    layer.field("destination port", header.destination_port());
    layer.field("length", header.length());
    layer.field("checksum", format!("{:#06x}", header.checksum()));
    let payload = data.get(header.slice().len()..).unwrap_or_default();
    let ports = [header.source_port(), header.destination_port()];
    // DNS, multicast DNS, LLMNR.
    let named = [53, 5353, 5355].iter().any(|port| ports.contains(port));
    let packets = quic::open(payload);
    layer.inside = match named {
        true => application::dns(payload, context),
        false if !packets.is_empty() => packets,
        false => Layer::payload("payload", payload, context.show_secrets)
            .into_iter()
            .collect(),
    };
    layer
}

/// Type, code and checksum stand in the same place in both versions.
fn icmp(title: &str, data: &[u8], name: fn(u8, u8) -> Option<&'static str>) -> Layer {
    let Some(&[kind, code, high, low]) = data.first_chunk::<4>() else {
        return Layer::cut(title, data);
    };
    let mut layer = Layer::new(title);
    layer.field(
        "type",
        match name(kind, code) {
            Some(name) => format!("{kind} ({name})"),
            None => kind.to_string(),
        },
    );
    layer.field("code", code);
    layer.field(
        "checksum",
        format!("{:#06x}", u16::from_be_bytes([high, low])),
    );
    if title == "ICMPv6" {
        neighbor_discovery(&mut layer, kind, data);
    }
    layer
}

/// Neighbour solicitation (135) and advertisement (136): RFC 4861, sections 4.3 and 4.4.
fn neighbor_discovery(layer: &mut Layer, kind: u8, data: &[u8]) {
    let target = data
        .get(8..24)
        .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let (135 | 136, Some(target)) = (kind, target) else {
        return;
    };
    if let (136, Some(flags)) = (kind, data.get(4)) {
        let names = [(0x80, "router"), (0x40, "solicited"), (0x20, "override")];
        let set: Vec<String> = names
            .iter()
            .filter(|(bit, _)| flags & bit != 0)
            .map(|(_, name)| (*name).to_owned())
            .collect();
        layer.list("flags", &set);
    }
    layer.field("target address", std::net::Ipv6Addr::from(target));
    // One option matters here, and it comes first: the link-layer address (section 4.6.1).
    match data.get(24..32) {
        Some(&[1, 1, ref address @ ..]) => layer.field("source link-layer address", mac(address)),
        Some(&[2, 1, ref address @ ..]) => layer.field("target link-layer address", mac(address)),
        _ => {}
    }
}

fn icmpv4_name(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (0, _) => "echo reply",
        (3, 0) => "destination unreachable: network",
        (3, 1) => "destination unreachable: host",
        (3, 3) => "destination unreachable: port",
        (3, 4) => "destination unreachable: fragmentation needed",
        (3, 9 | 10 | 13) => "destination unreachable: prohibited",
        (3, _) => "destination unreachable",
        (5, _) => "redirect",
        (8, _) => "echo request",
        (11, _) => "time exceeded",
        _ => return None,
    })
}

fn icmpv6_name(kind: u8, code: u8) -> Option<&'static str> {
    Some(match (kind, code) {
        (1, 0) => "destination unreachable: no route",
        (1, 1) => "destination unreachable: prohibited",
        (1, 3) => "destination unreachable: address",
        (1, 4) => "destination unreachable: port",
        (1, _) => "destination unreachable",
        (2, _) => "packet too big",
        (3, _) => "time exceeded",
        (128, _) => "echo request",
        (129, _) => "echo reply",
        (133, _) => "router solicitation",
        (134, _) => "router advertisement",
        (135, _) => "neighbor solicitation",
        (136, _) => "neighbor advertisement",
        _ => return None,
    })
}
