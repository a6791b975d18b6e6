//! What may stand between a link header and the packet: MPLS, PPPoE, LLC, and the headers
//! that switches add and take off again.

use super::link::{Link, Protocol, ethernet, snap_protocol};
use super::serial;

/// Ether types (IEEE registration authority) that etherparse does not name.
mod number {
    pub(super) const TRILL: u16 = 0x22f3;
    pub(super) const MPLS_UNICAST: u16 = 0x8847;
    pub(super) const MPLS_MULTICAST: u16 = 0x8848;
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    /// IEEE 802.1ah, provider backbone bridges.
    pub(super) const BACKBONE: u16 = 0x88e7;
    pub(super) const FABRIC_PATH: u16 = 0x8903;
    pub(super) const CISCO_METADATA: u16 = 0x8909;
    /// Cisco VN-Tag, which became IEEE 802.1BR's E-Tag.
    pub(super) const VN_TAG: u16 = 0x8926;
    pub(super) const E_TAG: u16 = 0x893f;
    /// IEC 62439-3, a ring with a copy each way round.
    pub(super) const HSR: u16 = 0x892f;
    pub(super) const SERVICE_HEADER: u16 = 0x894f;
}

/// Values of the type field below this are a length: IEEE 802.3 with an LLC header.
const FIRST_ETHER_TYPE: u16 = 0x0600;

/// LLC service access point of IP (IEEE 802.2).
const SAP_IP: u8 = 0x06;

/// Takes one header off the link's payload and says what stands behind it; `None` when it
/// is none of these.
pub(super) fn open<'a>(link: &mut Link<'a>) -> Option<(Protocol, &'a [u8])> {
    let payload = link.payload;
    match link.protocol {
        Protocol::EtherType(ether_type) => match ether_type {
            number::MPLS_UNICAST | number::MPLS_MULTICAST => mpls(payload),
            number::PPPOE_SESSION => pppoe(payload),
            number::BACKBONE => backbone(payload),
            number::FABRIC_PATH => Some((Protocol::Ethernet, payload.get(2..)?)),
            number::TRILL => trill(payload),
            number::VN_TAG | number::HSR => tag(payload, 4),
            number::E_TAG | number::CISCO_METADATA => tag(payload, 6),
            number::SERVICE_HEADER => service_header(payload),
            length if length < FIRST_ETHER_TYPE => llc(payload),
            _ => None,
        },
        Protocol::Mpls => mpls(payload),
        Protocol::Llc => llc(payload),
        Protocol::ServiceHeader => service_header(payload),
        Protocol::Ethernet => {
            let inner = ethernet(payload);
            link.source_mac = inner.source_mac;
            link.destination_mac = inner.destination_mac;
            Some((inner.protocol, inner.payload))
        }
        Protocol::Ip | Protocol::Unknown => None,
    }
}

/// RFC 3032: labels of four bytes up to the one with the bottom-of-stack bit. What follows
/// is not named: IP is told by its version field, and else it is an Ethernet pseudo-wire.
fn mpls(mut payload: &[u8]) -> Option<(Protocol, &[u8])> {
    loop {
        let (label, rest) = payload.split_first_chunk::<4>()?;
        payload = rest;
        let [_, _, bottom, _] = *label;
        if bottom & 1 == 1 {
            break;
        }
    }
    match payload.first()? >> 4 {
        4 | 6 => Some((Protocol::Ip, payload)),
        first => pseudo_wire(first, payload),
    }
}

/// RFC 4448: a frame, behind a control word (RFC 4385, section 3) that begins with zeros or
/// without one; a MAC address may begin with zeros, too, so the ether type decides.
fn pseudo_wire(first: u8, payload: &[u8]) -> Option<(Protocol, &[u8])> {
    const CONTROL_WORD: usize = 4;
    let controlled = payload.get(CONTROL_WORD..)?;
    if first == 0 && has_known_type(controlled) {
        return Some((Protocol::Ethernet, controlled));
    }
    has_known_type(payload).then_some((Protocol::Ethernet, payload))
}

/// Whether this is an Ethernet frame that leads to IP or ARP.
fn has_known_type(frame: &[u8]) -> bool {
    use etherparse::ether_type::{
        ARP, IPV4, IPV6, PROVIDER_BRIDGING, VLAN_DOUBLE_TAGGED_FRAME, VLAN_TAGGED_FRAME,
    };
    let ether_type = ethernet(frame).protocol;
    [
        IPV4,
        IPV6,
        ARP,
        VLAN_TAGGED_FRAME,
        PROVIDER_BRIDGING,
        VLAN_DOUBLE_TAGGED_FRAME,
    ]
    .iter()
    .any(|known| ether_type == Protocol::EtherType(known.0))
}

/// RFC 2516, section 4: version and type, code (0 for data), session, length.
pub(super) fn pppoe(payload: &[u8]) -> Option<(Protocol, &[u8])> {
    let (header, rest) = payload.split_first_chunk::<6>()?;
    let [0x11, 0, ..] = *header else {
        return None;
    };
    serial::ppp(rest)
}

/// A tag of `length` bytes, and the ether type of what it stands before.
fn tag(payload: &[u8], length: usize) -> Option<(Protocol, &[u8])> {
    let (high_low, rest) = payload.get(length..)?.split_first_chunk::<2>()?;
    Some((Protocol::EtherType(u16::from_be_bytes(*high_low)), rest))
}

/// IEEE 802.1ah, section 9.7: priority and flags, service identifier, then the frame of
/// the customer, addresses and all.
fn backbone(payload: &[u8]) -> Option<(Protocol, &[u8])> {
    Some((Protocol::Ethernet, payload.get(4..)?))
}

/// RFC 6325, section 3.2: version, options length in words (five bits over two bytes),
/// nicknames, options; then the frame, addresses and all.
fn trill(payload: &[u8]) -> Option<(Protocol, &[u8])> {
    let ([first, second, ..], rest) = payload.split_first_chunk::<6>()?;
    if first >> 6 != 0 {
        return None;
    }
    let options = usize::from((first & 0x07) << 2 | second >> 6) * 4;
    Some((Protocol::Ethernet, rest.get(options..)?))
}

/// RFC 8300, section 2.2: version, flags and length in words, metadata type, next
/// protocol, service path.
fn service_header(payload: &[u8]) -> Option<(Protocol, &[u8])> {
    let [first, second, _, next] = *payload.first_chunk::<4>()?;
    if first >> 6 != 0 {
        return None;
    }
    let length = usize::from(second & 0x3f).max(2) * 4;
    let rest = payload.get(length..)?;
    match next {
        1 | 2 => Some((Protocol::Ip, rest)),
        3 => Some((Protocol::Ethernet, rest)),
        4 => Some((Protocol::ServiceHeader, rest)),
        5 => Some((Protocol::Mpls, rest)),
        _ => None,
    }
}

/// IEEE 802.2: IP itself, or SNAP.
fn llc(payload: &[u8]) -> Option<(Protocol, &[u8])> {
    if let [SAP_IP, SAP_IP, 0x03, rest @ ..] = payload {
        return Some((Protocol::Ip, rest));
    }
    let (header, rest) = payload.split_first_chunk::<8>()?;
    Some((snap_protocol(header)?, rest))
}
