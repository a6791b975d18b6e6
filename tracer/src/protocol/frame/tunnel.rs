//! Packets that carry packets: IP in IP, GRE and what it is used for, EtherIP, MPLS, and
//! what travels in UDP: see [`super::datagram`].

use super::link::Protocol;
use super::{Ip, Network, ParsedFrame, Transport, datagram, link, open_link, serial, wireless};
use crate::capture::LinkType;
use etherparse::{IpNumber, ip_number};

/// Ether types in GRE and Geneve.
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const PPP: u16 = 0x880b;
/// Mirrored frames: the protocol types of ERSPAN in GRE (draft-foschiano-erspan).
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;
/// Web cache redirection (draft-wilson-wrec-wccp-v2).
const WCCP: u16 = 0x883e;
/// Frames of IEEE 802.11 on the way to a controller of Aruba.
const ARUBA_FIRST: u16 = 0x8200;
const ARUBA_LAST: u16 = 0x8210;

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
        Transport::Udp(udp) => datagram::open(udp)?,
        _ => return None,
    };
    let payload = opened.payload;
    Some(open_link(opened, super::length_of(payload)))
}

fn carried_by_ip<'a>(ip: &Ip<'_>, payload: &'a [u8]) -> Option<link::Link<'a>> {
    match IpNumber(ip.protocol) {
        ip_number::IPV4 | ip_number::IPV6 => Some(link::open(LinkType::RawIp, payload)),
        ip_number::GRE => gre(payload),
        // RFC 3378: version and reserved, then a frame.
        ip_number::ETHER_IP => Some(link::open(LinkType::Ethernet, payload.get(2..)?)),
        // RFC 4023.
        ip_number::MPLS_IN_IP => Some(link::open_protocol(Protocol::Mpls, payload)),
        _ => None,
    }
}

/// RFC 2784 and RFC 2890; version 1 is PPTP's (RFC 2637).
pub(super) fn gre(data: &[u8]) -> Option<link::Link<'_>> {
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
        ARUBA_FIRST..=ARUBA_LAST => wireless::ieee_802_11(rest).map(link::finish),
        // Version 2 has a header of four bytes, version 1 none.
        WCCP if rest.first()? >> 4 == 4 => Some(link::open(LinkType::RawIp, rest)),
        WCCP => Some(link::open(LinkType::RawIp, rest.get(4..)?)),
        protocol => carried(protocol, rest),
    }
}

fn mirrored(data: &[u8], header: usize) -> Option<link::Link<'_>> {
    Some(link::open(LinkType::Ethernet, data.get(header..)?))
}

pub(super) fn carried(ether_type: u16, payload: &[u8]) -> Option<link::Link<'_>> {
    Some(match ether_type {
        TRANSPARENT_ETHERNET => link::open(LinkType::Ethernet, payload),
        PPP => {
            let (protocol, rest) = serial::ppp(payload)?;
            link::open_protocol(protocol, rest)
        }
        _ => link::open_protocol(Protocol::EtherType(ether_type), payload),
    })
}
