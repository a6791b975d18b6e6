//! Tunnels over UDP, told by their port: VXLAN, Geneve, Teredo, GTP-U, L2TP, LISP,
//! AYIYA, GRE, MPLS and CAPWAP.

use super::link::{self, Link, Protocol};
use super::{Udp, serial, tunnel, wireless};
use crate::capture::LinkType;

/// RFC 7348, and the port Linux used before it was assigned.
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
/// draft-ietf-nvo3-vxlan-gpe.
const VXLAN_GPE_PORT: u16 = 4790;
/// RFC 8926.
const GENEVE_PORT: u16 = 6081;
/// RFC 4380.
const TEREDO_PORT: u16 = 3544;
/// 3GPP TS 29.281, section 4.4.2.
const GTP_USER_PORT: u16 = 2152;
/// RFC 2661.
const L2TP_PORT: u16 = 1701;
/// draft-massar-v6ops-ayiya.
const AYIYA_PORT: u16 = 5072;
/// RFC 8086.
const GRE_PORT: u16 = 4754;
/// RFC 9300.
const LISP_PORT: u16 = 4341;
/// RFC 5415: data; control has a port of its own.
const CAPWAP_PORT: u16 = 5247;
const DNS_PORT: u16 = 53;
/// RFC 7510.
const MPLS_PORT: u16 = 6635;

pub(super) fn open<'a>(udp: &Udp<'a>) -> Option<Link<'a>> {
    let (source, destination) = (udp.source_port, udp.destination_port);
    // A query sent from a tunnel's port is a query.
    if source == DNS_PORT || destination == DNS_PORT {
        return None;
    }
    by_port(destination, udp.payload).or_else(|| by_port(source, udp.payload))
}

fn by_port(port: u16, payload: &[u8]) -> Option<Link<'_>> {
    match port {
        GRE_PORT => tunnel::gre(payload),
        MPLS_PORT => Some(link::open_protocol(Protocol::Mpls, payload)),
        L2TP_PORT => l2tp(payload),
        GTP_USER_PORT => gtp_user(payload),
        TEREDO_PORT => teredo(payload),
        LISP_PORT => lisp(payload),
        VXLAN_GPE_PORT => vxlan_gpe(payload),
        AYIYA_PORT => ayiya(payload),
        GENEVE_PORT => geneve(payload),
        CAPWAP_PORT => capwap(payload),
        port if VXLAN_PORTS.contains(&port) => vxlan(payload),
        _ => None,
    }
}

/// RFC 5415, section 4.3: preamble, length of the header in words, radio, binding, flags; where
/// it is native (T), the frame is one of IEEE 802.11 (binding 1), else of IEEE 802.3.
fn capwap(data: &[u8]) -> Option<Link<'_>> {
    const NATIVE: u8 = 0x01;
    const FRAGMENT: u8 = 0x80;
    const KEEP_ALIVE: u8 = 0x08;
    let [preamble, length, binding, flags, ..] = *data.first_chunk::<8>()?;
    let words = usize::from(length >> 3);
    // Another preamble stands before DTLS.
    if preamble != 0 || words < 2 || flags & (FRAGMENT | KEEP_ALIVE) != 0 {
        return None;
    }
    let frame = data.get(words * 4..)?;
    match (binding & NATIVE, binding >> 1 & 0x1f) {
        (0, _) => Some(link::open(LinkType::Ethernet, frame)),
        (_, 1) => wireless::of_controller(frame).map(link::finish),
        _ => None,
    }
}

/// RFC 9300, section 5.1: eight bytes of flags, nonce and locator bits, then an IP packet.
fn lisp(data: &[u8]) -> Option<Link<'_>> {
    let packet = data.get(8..)?;
    let version = packet.first()? >> 4;
    matches!(version, 4 | 6).then(|| link::open(LinkType::RawIp, packet))
}

/// RFC 2661, section 3.1: flags and version 2, of a data message; length, tunnel, session,
/// sequence numbers and offset where the flags say so; then a PPP frame.
fn l2tp(data: &[u8]) -> Option<Link<'_>> {
    const CONTROL: u16 = 0x8000;
    const LENGTH: u16 = 0x4000;
    const SEQUENCE: u16 = 0x0800;
    const OFFSET: u16 = 0x0200;
    let flags = u16::from_be_bytes(*data.first_chunk::<2>()?);
    if flags & CONTROL != 0 || flags & 0x000f != 2 {
        return None;
    }
    let mut length = 6;
    if flags & LENGTH != 0 {
        length += 2;
    }
    if flags & SEQUENCE != 0 {
        length += 4;
    }
    if flags & OFFSET != 0 {
        let offset = data.get(length..)?.first_chunk::<2>()?;
        length += 2 + usize::from(u16::from_be_bytes(*offset));
    }
    let (protocol, rest) = serial::ppp(data.get(length..)?)?;
    Some(link::open_protocol(protocol, rest))
}

/// draft-massar-v6ops-ayiya, section 3.1: lengths of identity (a power of two) and
/// signature (in words), operation, next header, time; identity; signature.
fn ayiya(data: &[u8]) -> Option<Link<'_>> {
    const FORWARD: u8 = 1;
    const IPV4: u8 = 4;
    const IPV6: u8 = 41;
    let [identity, signature, operation, next_header, ..] = *data.first_chunk::<8>()?;
    if operation & 0x0f != FORWARD || !matches!(next_header, IPV4 | IPV6) {
        return None;
    }
    let length = 8 + (1_usize << (identity >> 4)) + usize::from(signature >> 4) * 4;
    Some(link::open(LinkType::RawIp, data.get(length..)?))
}

/// draft-ietf-nvo3-vxlan-gpe, section 3: as VXLAN, with the next protocol where the P bit
/// is set.
fn vxlan_gpe(data: &[u8]) -> Option<Link<'_>> {
    const NEXT_PROTOCOL: u8 = 0x04;
    let ([flags, _, _, next, ..], rest) = data.split_first_chunk::<8>()?;
    if flags & NEXT_PROTOCOL == 0 {
        return vxlan(data);
    }
    match next {
        1 | 2 => Some(link::open(LinkType::RawIp, rest)),
        3 => Some(link::open(LinkType::Ethernet, rest)),
        4 => Some(link::open_protocol(Protocol::ServiceHeader, rest)),
        5 => Some(link::open_protocol(Protocol::Mpls, rest)),
        _ => None,
    }
}

/// RFC 4380, section 5.1.1: authentication and origin indications may stand before the
/// IPv6 packet.
fn teredo(mut data: &[u8]) -> Option<Link<'_>> {
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
fn gtp_user(data: &[u8]) -> Option<Link<'_>> {
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

/// RFC 7348, section 5: flags, reserved, network identifier, reserved. The flag that the
/// identifier is valid (I) is not asked for: receivers open the frame without it.
fn vxlan(data: &[u8]) -> Option<Link<'_>> {
    Some(link::open(LinkType::Ethernet, data.get(8..)?))
}

/// RFC 8926, section 3.4: version and length of the options in words, flags, protocol,
/// network identifier, reserved, options.
fn geneve(data: &[u8]) -> Option<Link<'_>> {
    let ([first, _, high, low, _, _, _, _], rest) = data.split_first_chunk::<8>()?;
    if first >> 6 != 0 {
        return None;
    }
    let options = usize::from(first & 0x3f) * 4;
    tunnel::carried(u16::from_be_bytes([*high, *low]), rest.get(options..)?)
}
