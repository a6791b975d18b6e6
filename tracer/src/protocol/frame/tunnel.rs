//! Packets that carry packets: IP in IP, GRE, VXLAN, Geneve.

use super::link::Protocol;
use super::{Ip, Network, ParsedFrame, Transport, link, open_link};
use crate::capture::LinkType;
use etherparse::{IpNumber, ip_number};

/// RFC 7348, and the port Linux used before it was assigned.
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
/// RFC 8926.
const GENEVE_PORT: u16 = 6081;

/// Ether types in GRE and Geneve.
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const PPP: u16 = 0x880b;

/// The frame that a tunnel packet carries; `None` for other packets. What the tunnel
/// carries may be a tunnel again: callers bound how deep they look.
///
/// A host that sees both ends of a tunnel sees such a packet twice, once outside and once
/// inside: whether to look inside is for the caller to say.
pub fn parse_inner<'a>(frame: &ParsedFrame<'a>) -> Option<ParsedFrame<'a>> {
    let Network::Ip(ip) = &frame.network else {
        return None;
    };
    let opened = match &ip.transport {
        Transport::Other { payload } if ip.fragment.is_none() => carried_by_ip(ip, payload)?,
        Transport::Udp(udp) if VXLAN_PORTS.contains(&udp.destination_port) => vxlan(udp.payload)?,
        Transport::Udp(udp) if udp.destination_port == GENEVE_PORT => geneve(udp.payload)?,
        _ => return None,
    };
    let payload = opened.payload;
    Some(open_link(opened, super::length_of(payload)))
}

fn carried_by_ip<'a>(ip: &Ip<'_>, payload: &'a [u8]) -> Option<link::Link<'a>> {
    match IpNumber(ip.protocol) {
        ip_number::IPV4 | ip_number::IPV6 => Some(link::open(LinkType::RawIp, payload)),
        ip_number::GRE => gre(payload),
        _ => None,
    }
}

/// RFC 2784 and RFC 2890; version 1 is PPTP's (RFC 2637).
fn gre(data: &[u8]) -> Option<link::Link<'_>> {
    let ([flags, version, high, low], mut rest) = data.split_first_chunk::<4>()?;
    const CHECKSUM: u8 = 0x80;
    const ROUTING: u8 = 0x40;
    const KEY: u8 = 0x20;
    const SEQUENCE: u8 = 0x10;
    const ACKNOWLEDGMENT: u8 = 0x80;
    // Source routes ended with RFC 2784.
    if flags & ROUTING != 0 || version & 0x07 > 1 {
        return None;
    }
    let present = [
        flags & CHECKSUM,
        flags & KEY,
        flags & SEQUENCE,
        version & ACKNOWLEDGMENT,
    ];
    for _ in present.iter().filter(|bit| **bit != 0) {
        rest = rest.get(4..)?;
    }
    carried(u16::from_be_bytes([*high, *low]), rest)
}

/// RFC 7348, section 5: flags with the I bit, reserved, network identifier, reserved.
fn vxlan(data: &[u8]) -> Option<link::Link<'_>> {
    let (header, rest) = data.split_first_chunk::<8>()?;
    (header.first()? & 0x08 != 0).then(|| link::open(LinkType::Ethernet, rest))
}

/// RFC 8926, section 3.4: version and length of the options in words, flags, protocol,
/// network identifier, reserved, options.
fn geneve(data: &[u8]) -> Option<link::Link<'_>> {
    let ([first, _, high, low, _, _, _, _], rest) = data.split_first_chunk::<8>()?;
    if first >> 6 != 0 {
        return None;
    }
    let options = usize::from(first & 0x3f) * 4;
    carried(u16::from_be_bytes([*high, *low]), rest.get(options..)?)
}

fn carried(ether_type: u16, payload: &[u8]) -> Option<link::Link<'_>> {
    Some(match ether_type {
        TRANSPARENT_ETHERNET => link::open(LinkType::Ethernet, payload),
        PPP => link::open_ppp(payload),
        _ => link::open_protocol(Protocol::EtherType(ether_type), payload),
    })
}
