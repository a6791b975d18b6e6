//! Link layers: what stands before the IP or ARP packet.

use crate::capture::LinkType;
use etherparse::{EtherType, Ethernet2HeaderSlice, SingleVlanHeaderSlice, ether_type};

/// Ether types that etherparse does not name.
const MPLS_UNICAST: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;

/// PPP protocol numbers (RFC 1332, RFC 5072).
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// Link types of files that need no name in [`LinkType`].
const LINKTYPE_PPP: u16 = 9;
const LINKTYPE_PPP_HDLC: u16 = 50;

/// Values of the type field below this are a length: IEEE 802.3 with an LLC header.
const FIRST_ETHER_TYPE: u16 = 0x0600;

/// More tags than any network stacks; a longer pile is noise.
const MAX_VLAN_TAGS: usize = 8;

/// Cooked captures carry an address of at most eight bytes; six make a MAC.
const MAC_LENGTH: usize = 6;

/// What the link layer says about the packet it carries.
#[derive(Debug, Default)]
pub(super) struct Link<'a> {
    pub(super) source_mac: Option<[u8; 6]>,
    pub(super) destination_mac: Option<[u8; 6]>,
    pub(super) vlans: Vec<u16>,
    pub(super) protocol: Protocol,
    pub(super) payload: &'a [u8],
}

/// What the payload is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    EtherType(u16),
    /// IPv4 or IPv6: the packet's own version field tells.
    Ip,
    #[default]
    Unknown,
}

pub(super) fn open(link_type: LinkType, data: &[u8]) -> Link<'_> {
    let mut link = match link_type {
        LinkType::Ethernet => ethernet(data),
        LinkType::RawIp => Link {
            protocol: Protocol::Ip,
            payload: data,
            ..Link::default()
        },
        LinkType::LinuxCookedV1 => cooked_v1(data).unwrap_or_default(),
        LinkType::LinuxCookedV2 => cooked_v2(data).unwrap_or_default(),
        LinkType::Null | LinkType::Loop => loopback(data).unwrap_or_default(),
        LinkType::Other(LINKTYPE_PPP | LINKTYPE_PPP_HDLC) => open_ppp(data),
        LinkType::Other(_) => Link::default(),
    };
    open_encapsulations(&mut link);
    link
}

/// What stands behind an ether type.
pub(super) fn open_protocol(protocol: Protocol, payload: &[u8]) -> Link<'_> {
    let mut link = Link {
        protocol,
        payload,
        ..Link::default()
    };
    open_encapsulations(&mut link);
    link
}

/// A PPP frame, with or without the address and control bytes of RFC 1662.
pub(super) fn open_ppp(data: &[u8]) -> Link<'_> {
    let frame = data.strip_prefix(&[0xff, 0x03]).unwrap_or(data);
    let Some((protocol, payload)) = ppp(frame) else {
        return Link::default();
    };
    Link {
        protocol,
        payload,
        ..Link::default()
    }
}

fn ethernet(data: &[u8]) -> Link<'_> {
    let Ok(header) = Ethernet2HeaderSlice::from_slice(data) else {
        return Link::default();
    };
    Link {
        source_mac: Some(header.source()),
        destination_mac: Some(header.destination()),
        vlans: Vec::new(),
        protocol: Protocol::EtherType(header.ether_type().0),
        payload: data.get(header.slice().len()..).unwrap_or_default(),
    }
}

/// LINKTYPE_LINUX_SLL: packet type, ARPHRD type, address length, address (8 bytes) and
/// protocol, all in network order. etherparse refuses ARPHRD types it does not know, so
/// the sixteen bytes are read here.
fn cooked_v1(data: &[u8]) -> Option<Link<'_>> {
    let (header, payload) = data.split_first_chunk::<16>()?;
    let [_, _, _, _, l0, l1, address @ .., p0, p1] = *header;
    Some(Link {
        source_mac: cooked_address(usize::from(u16::from_be_bytes([l0, l1])), address),
        protocol: Protocol::EtherType(u16::from_be_bytes([p0, p1])),
        payload,
        ..Link::default()
    })
}

/// LINKTYPE_LINUX_SLL2: protocol, reserved, interface index, ARPHRD type, packet type,
/// address length and address (8 bytes), in network order.
fn cooked_v2(data: &[u8]) -> Option<Link<'_>> {
    let (header, payload) = data.split_first_chunk::<20>()?;
    let [p0, p1, _, _, _, _, _, _, _, _, _, length, address @ ..] = *header;
    Some(Link {
        source_mac: cooked_address(usize::from(length), address),
        protocol: Protocol::EtherType(u16::from_be_bytes([p0, p1])),
        payload,
        ..Link::default()
    })
}

fn cooked_address(length: usize, address: [u8; 8]) -> Option<[u8; 6]> {
    (length == MAC_LENGTH)
        .then(|| address.first_chunk().copied())
        .flatten()
}

/// LINKTYPE_NULL and LINKTYPE_LOOP: four bytes of address family. Both byte orders are
/// accepted for either, because a family fits one byte and captures of both kinds exist
/// in both orders.
fn loopback(data: &[u8]) -> Option<Link<'_>> {
    let (family, payload) = data.split_first_chunk::<4>()?;
    let family = u32::from_be_bytes(*family).min(u32::from_le_bytes(*family));
    // AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 24, 28 or 30 on the BSDs.
    let protocol = match family {
        2 | 10 | 24 | 28 | 30 => Protocol::Ip,
        _ => Protocol::Unknown,
    };
    Some(Link {
        protocol,
        payload,
        ..Link::default()
    })
}

/// Takes off VLAN tags, LLC/SNAP, PPPoE and MPLS labels. Every round takes at least two
/// bytes off the payload, so it ends.
fn open_encapsulations(link: &mut Link<'_>) {
    while let Protocol::EtherType(number) = link.protocol {
        let opened = match EtherType(number) {
            ether_type::VLAN_TAGGED_FRAME
            | ether_type::PROVIDER_BRIDGING
            | ether_type::VLAN_DOUBLE_TAGGED_FRAME => vlan(link),
            EtherType(MPLS_UNICAST | MPLS_MULTICAST) => mpls(link.payload),
            EtherType(PPPOE_SESSION) => pppoe(link.payload),
            EtherType(length) if length < FIRST_ETHER_TYPE => snap(link.payload),
            _ => None,
        };
        let Some((protocol, payload)) = opened else {
            return;
        };
        link.protocol = protocol;
        link.payload = payload;
    }
}

fn vlan<'a>(link: &mut Link<'a>) -> Option<(Protocol, &'a [u8])> {
    let tag = SingleVlanHeaderSlice::from_slice(link.payload).ok()?;
    if link.vlans.len() == MAX_VLAN_TAGS {
        return None;
    }
    link.vlans.push(tag.vlan_identifier().value());
    let rest = link.payload.get(tag.slice().len()..)?;
    Some((Protocol::EtherType(tag.ether_type().0), rest))
}

/// RFC 3032: labels of four bytes up to the one with the bottom-of-stack bit. What follows
/// is not named; in practice IP, told by its version field.
fn mpls(mut payload: &[u8]) -> Option<(Protocol, &[u8])> {
    loop {
        let (label, rest) = payload.split_first_chunk::<4>()?;
        payload = rest;
        let [_, _, bottom, _] = *label;
        if bottom & 1 == 1 {
            return Some((Protocol::Ip, payload));
        }
    }
}

/// RFC 2516, section 4: version and type, code (0 for data), session, length.
fn pppoe(payload: &[u8]) -> Option<(Protocol, &[u8])> {
    let (header, rest) = payload.split_first_chunk::<6>()?;
    let [0x11, 0, ..] = *header else {
        return None;
    };
    ppp(rest)
}

/// The protocol of a PPP frame, one byte when compressed (RFC 1661, section 2: its low bit
/// is set), and what it carries.
fn ppp(frame: &[u8]) -> Option<(Protocol, &[u8])> {
    let (number, rest) = match *frame.split_first_chunk::<2>()?.0 {
        [low, _] if low & 1 == 1 => (u16::from(low), frame.get(1..)?),
        [high, low] => (u16::from_be_bytes([high, low]), frame.get(2..)?),
    };
    matches!(number, PPP_IPV4 | PPP_IPV6).then_some((Protocol::Ip, rest))
}

/// IEEE 802.2 LLC with SNAP (RFC 1042): only the encapsulated Ethernet organisation code.
fn snap(payload: &[u8]) -> Option<(Protocol, &[u8])> {
    let (header, rest) = payload.split_first_chunk::<8>()?;
    let [0xaa, 0xaa, 0x03, 0, 0, 0, high, low] = *header else {
        return None;
    };
    Some((Protocol::EtherType(u16::from_be_bytes([high, low])), rest))
}
