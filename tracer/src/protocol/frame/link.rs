//! Link layers: what stands before the IP or ARP packet.

use super::{encapsulation, pseudo, serial, wireless};
use crate::capture::LinkType;
use crate::capture::link_type::number;
use etherparse::{EtherType, Ethernet2HeaderSlice, SingleVlanHeaderSlice, ether_type};

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
    /// An Ethernet frame within another one.
    Ethernet,
    /// IEEE 802.2 LLC.
    Llc,
    Mpls,
    /// The network service header of RFC 8300.
    ServiceHeader,
    /// IPv4 or IPv6: the packet's own version field tells.
    Ip,
    #[default]
    Unknown,
}

pub(super) fn open(link_type: LinkType, data: &[u8]) -> Link<'_> {
    let mut link = match link_type {
        LinkType::Ethernet => ethernet(data),
        LinkType::RawIp => starting_with(Protocol::Ip, data),
        LinkType::LinuxCookedV1 => cooked_v1(data).unwrap_or_default(),
        LinkType::LinuxCookedV2 => cooked_v2(data).unwrap_or_default(),
        LinkType::Null | LinkType::Loop => loopback(data).unwrap_or_default(),
        LinkType::Other(number) => open_rare(number, data).unwrap_or_default(),
    };
    open_encapsulations(&mut link);
    link
}

#[inline(never)]
fn open_rare(number: u16, data: &[u8]) -> Option<Link<'_>> {
    // The two that name a link type of their own: once.
    let (number, data) = match number {
        number::PKTAP => pseudo::pktap(data)?,
        number::PPI => pseudo::per_packet_information(data)?,
        _ => return open_number(number, data),
    };
    match LinkType::from_number(number) {
        LinkType::Ethernet => Some(ethernet(data)),
        LinkType::RawIp => Some(starting_with(Protocol::Ip, data)),
        LinkType::Null | LinkType::Loop => loopback(data),
        LinkType::LinuxCookedV1 => cooked_v1(data),
        LinkType::LinuxCookedV2 => cooked_v2(data),
        LinkType::Other(number) => open_number(number, data),
    }
}

fn open_number(number: u16, data: &[u8]) -> Option<Link<'_>> {
    match number {
        number::IEEE802_5 => serial::token_ring(data),
        number::FDDI => serial::fddi(data),
        number::PPP | number::PPP_HDLC => serial::ppp_link(data),
        number::PPP_ETHER => {
            encapsulation::pppoe(data).map(|(protocol, rest)| starting_with(protocol, rest))
        }
        number::ATM_RFC1483 => Some(starting_with(Protocol::Llc, data)),
        number::C_HDLC => serial::cisco_hdlc(data),
        number::FRELAY => serial::frame_relay(data),
        number::IEEE802_11 => wireless::ieee_802_11(data),
        number::RADIOTAP => wireless::radiotap(data),
        number::PRISM | number::AVS => wireless::prism_or_avs(data),
        number::ENC => pseudo::enc(data),
        number::PFLOG => pseudo::pflog(data),
        number::NFLOG => pseudo::nflog(data),
        number::MPLS => Some(starting_with(Protocol::Mpls, data)),
        number::IPOIB => pseudo::ip_over_infiniband(data),
        number::NETANALYZER => Some(ethernet(data.get(4..)?)),
        _ => None,
    }
}

/// A link opened elsewhere, with the encapsulations behind it.
pub(super) fn finish(mut link: Link<'_>) -> Link<'_> {
    open_encapsulations(&mut link);
    link
}

/// What begins with `protocol`, which may be an encapsulation.
pub(super) fn open_protocol(protocol: Protocol, payload: &[u8]) -> Link<'_> {
    finish(starting_with(protocol, payload))
}

fn starting_with(protocol: Protocol, payload: &[u8]) -> Link<'_> {
    Link {
        protocol,
        payload,
        ..Link::default()
    }
}

pub(super) fn ethernet(data: &[u8]) -> Link<'_> {
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
        // Some writers put an ether type there.
        0x0800 | 0x86dd => Protocol::Ip,
        _ => Protocol::Unknown,
    };
    Some(Link {
        protocol,
        payload,
        ..Link::default()
    })
}

/// Takes off VLAN tags and other encapsulations. Every round takes at least two bytes off
/// the payload, so it ends.
fn open_encapsulations(link: &mut Link<'_>) {
    loop {
        let opened = match link.protocol {
            Protocol::Ip | Protocol::Unknown => return,
            Protocol::EtherType(number) => match EtherType(number) {
                ether_type::IPV4 | ether_type::IPV6 | ether_type::ARP => return,
                ether_type::VLAN_TAGGED_FRAME
                | ether_type::PROVIDER_BRIDGING
                | ether_type::VLAN_DOUBLE_TAGGED_FRAME => vlan(link),
                _ => encapsulation::open(link),
            },
            _ => encapsulation::open(link),
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

/// The ether type in an LLC header with SNAP (RFC 1042): of the organisation codes only
/// encapsulated Ethernet, and the one that IEEE 802.1H bridges put in its place.
pub(super) fn snap_protocol(header: &[u8; 8]) -> Option<Protocol> {
    match *header {
        [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, high, low] => {
            Some(Protocol::EtherType(u16::from_be_bytes([high, low])))
        }
        _ => None,
    }
}
