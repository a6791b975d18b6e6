//! Packets that carry packets: IP in IP, GRE, ERSPAN, VXLAN, Geneve, Teredo, GTP-U.

use super::link::Protocol;
use super::{Ip, Network, ParsedFrame, Transport, Udp, link, open_link};
use crate::capture::LinkType;
use etherparse::{IpNumber, ip_number};

/// RFC 7348, and the port Linux used before it was assigned.
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
/// RFC 8926.
const GENEVE_PORT: u16 = 6081;

/// RFC 4380.
const TEREDO_PORT: u16 = 3544;
/// 3GPP TS 29.281, section 4.4.2.
const GTP_USER_PORT: u16 = 2152;

/// Ether types in GRE and Geneve.
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const PPP: u16 = 0x880b;
/// Mirrored frames: the protocol types of ERSPAN in GRE (draft-foschiano-erspan).
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;

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
        Transport::Udp(udp) if uses(udp, TEREDO_PORT) => teredo(udp.payload)?,
        Transport::Udp(udp) if uses(udp, GTP_USER_PORT) => gtp_user(udp.payload)?,
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
    let numbered = flags & SEQUENCE != 0;
    match u16::from_be_bytes([*high, *low]) {
        // Type I has no header of its own, type II has one and a sequence number before it.
        ERSPAN if numbered => mirrored(rest, 8),
        ERSPAN => mirrored(rest, 0),
        // The O bit announces eight bytes more.
        ERSPAN_III => {
            let more = rest.get(11).is_some_and(|byte| byte & 1 != 0);
            mirrored(rest, if more { 20 } else { 12 })
        }
        protocol => carried(protocol, rest),
    }
}

fn mirrored(data: &[u8], header: usize) -> Option<link::Link<'_>> {
    Some(link::open(LinkType::Ethernet, data.get(header..)?))
}

fn uses(udp: &Udp<'_>, port: u16) -> bool {
    udp.source_port == port || udp.destination_port == port
}

/// RFC 4380, section 5.1.1: authentication and origin indications may stand before the
/// IPv6 packet.
fn teredo(mut data: &[u8]) -> Option<link::Link<'_>> {
    if let [0, 1, client, value, ..] = *data {
        data = data.get(13 + usize::from(client) + usize::from(value)..)?;
    }
    if data.starts_with(&[0, 0]) {
        data = data.get(8..)?;
    }
    (data.first()? >> 4 == 6).then(|| link::open(LinkType::RawIp, data))
}

/// 3GPP TS 29.281, section 5.1: version 1, a G-PDU, and the optional fields where one of
/// their flags is set.
fn gtp_user(data: &[u8]) -> Option<link::Link<'_>> {
    const G_PDU: u8 = 255;
    let ([flags, kind, ..], mut rest) = data.split_first_chunk::<8>()?;
    if flags >> 4 != 0b0011 || *kind != G_PDU {
        return None;
    }
    if flags & 0x07 != 0 {
        let mut next = *rest.get(3)?;
        rest = rest.get(4..)?;
        while next != 0 {
            // The length counts words of four bytes and is never zero.
            let length = usize::from(*rest.first()?).max(1) * 4;
            next = *rest.get(length - 1)?;
            rest = rest.get(length..)?;
        }
    }
    let version = rest.first()? >> 4;
    matches!(version, 4 | 6).then(|| link::open(LinkType::RawIp, rest))
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
