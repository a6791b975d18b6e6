//! Point-to-point lines: PPP, Cisco HDLC, Frame Relay; and the rings of old, FDDI and Token
//! Ring, which share LLC with them.

use super::link::{Link, Protocol};

/// PPP protocol numbers (IANA): IPv4 (RFC 1332), IPv6 (RFC 5072), MPLS (RFC 3032).
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;
const PPP_MPLS_UNICAST: u16 = 0x0281;
const PPP_MPLS_MULTICAST: u16 = 0x0283;

/// Network layer protocol identifiers (ISO/IEC TR 9577) on Frame Relay (RFC 2427).
const NLPID_IPV4: u8 = 0xcc;
const NLPID_IPV6: u8 = 0x8e;
const NLPID_SNAP: u8 = 0x80;

/// A PPP frame, with or without the address and control bytes of RFC 1662.
pub(super) fn ppp(data: &[u8]) -> Option<(Protocol, &[u8])> {
    let frame = data.strip_prefix(&[0xff, 0x03]).unwrap_or(data);
    // The protocol number has one byte when it is compressed (RFC 1661, section 2: its low
    // bit is set).
    let (number, rest) = match *frame.split_first_chunk::<2>()?.0 {
        [low, _] if low & 1 == 1 => (u16::from(low), frame.get(1..)?),
        [high, low] => (u16::from_be_bytes([high, low]), frame.get(2..)?),
    };
    match number {
        PPP_IPV4 | PPP_IPV6 => Some((Protocol::Ip, rest)),
        PPP_MPLS_UNICAST | PPP_MPLS_MULTICAST => Some((Protocol::Mpls, rest)),
        _ => None,
    }
}

/// LINKTYPE_PPP (9) and LINKTYPE_PPP_HDLC (50), which is Cisco HDLC where its first byte
/// says so.
pub(super) fn ppp_link(data: &[u8]) -> Option<Link<'_>> {
    match data.first()? {
        0x0f | 0x8f => cisco_hdlc(data),
        _ => ppp(data).map(link),
    }
}

/// LINKTYPE_C_HDLC (104): address (unicast or multicast), control, ether type.
pub(super) fn cisco_hdlc(data: &[u8]) -> Option<Link<'_>> {
    let ([_, _, high, low], payload) = data.split_first_chunk::<4>()?;
    let ether_type = u16::from_be_bytes([*high, *low]);
    Some(link((Protocol::EtherType(ether_type), payload)))
}

/// LINKTYPE_FRELAY (107): an address whose last byte has its low bit set, control, and
/// what follows (RFC 2427, section 4).
pub(super) fn frame_relay(data: &[u8]) -> Option<Link<'_>> {
    let address = data.iter().take(4).position(|byte| byte & 1 == 1)? + 1;
    let rest = data.get(address..)?.strip_prefix(&[0x03])?;
    // A byte of padding may stand before the identifier.
    let rest = rest.strip_prefix(&[0]).unwrap_or(rest);
    let (identifier, payload) = rest.split_first()?;
    match *identifier {
        NLPID_IPV4 | NLPID_IPV6 => Some(link((Protocol::Ip, payload))),
        NLPID_SNAP => {
            let ([0, 0, 0, high, low], payload) = payload.split_first_chunk::<5>()? else {
                return None;
            };
            let ether_type = u16::from_be_bytes([*high, *low]);
            Some(link((Protocol::EtherType(ether_type), payload)))
        }
        _ => None,
    }
}

/// LINKTYPE_FDDI (10): frame control, addresses; LLC where the control says so.
pub(super) fn fddi(data: &[u8]) -> Option<Link<'_>> {
    let ([control, addresses @ ..], payload) = data.split_first_chunk::<13>()?;
    (control & 0x70 == 0x50).then(|| ring(addresses, payload))
}

/// LINKTYPE_IEEE802_5 (6): access control, frame control, addresses, and a route where the
/// source address says so (IEEE 802.5).
pub(super) fn token_ring(data: &[u8]) -> Option<Link<'_>> {
    let ([_, control, addresses @ ..], mut payload) = data.split_first_chunk::<14>()?;
    if control & 0xc0 != 0x40 {
        return None;
    }
    let mut addresses = *addresses;
    if let Some(first) = addresses.get_mut(6)
        && *first & 0x80 != 0
    {
        *first &= 0x7f;
        let route = usize::from(payload.first()? & 0x1f).max(2);
        payload = payload.get(route..)?;
    }
    Some(ring(&addresses, payload))
}

fn ring<'a>(addresses: &[u8; 12], payload: &'a [u8]) -> Link<'a> {
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = *addresses;
    Link {
        source_mac: Some([s0, s1, s2, s3, s4, s5]),
        destination_mac: Some([d0, d1, d2, d3, d4, d5]),
        protocol: Protocol::Llc,
        payload,
        ..Link::default()
    }
}

fn link((protocol, payload): (Protocol, &[u8])) -> Link<'_> {
    Link {
        protocol,
        payload,
        ..Link::default()
    }
}
