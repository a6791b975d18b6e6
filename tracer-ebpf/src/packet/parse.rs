//! Just enough parsing to filter: link layer, VLAN tags, IP, ports. Everything else is
//! userspace's.

use tracer_common::event::{family, link};

use super::{flow::FlowKey, source::Source};

/// A frame as the filter sees it.
pub enum Packet {
    /// ARP, NDP, ICMP: always wanted.
    Control,
    /// A later fragment of an IP packet: it has no ports.
    Fragment(FlowKey),
    Udp(Segment),
    Tcp(TcpSegment),
}

/// Ports and payload of a packet, and the flow it belongs to.
pub struct Segment {
    pub key: FlowKey,
    /// 0: sent by the lower end of the key, 1: by the upper.
    pub end: usize,
    pub source_port: u16,
    pub destination_port: u16,
    /// Where the payload begins in the frame.
    pub payload_offset: u32,
    pub payload_length: u32,
    /// First of several IP fragments: their identification.
    pub fragments: Option<u32>,
}

pub struct TcpSegment {
    pub segment: Segment,
    pub sequence: u32,
    pub is_syn: bool,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

const HOP_BY_HOP: u8 = 0;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const ICMPV6: u8 = 58;
const DESTINATION_OPTIONS: u8 = 60;

/// An IP packet whose upper layer starts at `offset`.
struct Network {
    family: u16,
    source: [u64; 2],
    destination: [u64; 2],
    protocol: u8,
    offset: u32,
    /// Where the IP packet ends in the frame: Ethernet pads short ones.
    end: u32,
    /// Fragment offset is not 0.
    is_later_fragment: bool,
    is_fragmented: bool,
    /// Identification of a fragmented packet.
    identification: u32,
}

#[inline(always)]
pub fn packet(source: &impl Source, link_type: u8) -> Option<Packet> {
    let (ethertype, offset) = if link_type == link::RAW_IP {
        let version: u8 = source.load(0)?;
        match version >> 4 {
            4 => (ETHERTYPE_IPV4, 0),
            6 => (ETHERTYPE_IPV6, 0),
            _ => return None,
        }
    } else {
        ethernet(source)?
    };
    let network = if ethertype == ETHERTYPE_IPV4 {
        ipv4(source, offset)?
    } else if ethertype == ETHERTYPE_IPV6 {
        ipv6(source, offset)?
    } else if ethertype == ETHERTYPE_ARP {
        return Some(Packet::Control);
    } else {
        return None;
    };
    transport(source, &network)
}

/// Type of what follows the Ethernet header and up to two VLAN tags, and where it starts.
#[inline(always)]
fn ethernet(source: &impl Source) -> Option<(u16, u32)> {
    let mut ethertype = u16::from_be(source.load::<u16>(12)?);
    let mut offset = 14;
    for _ in 0..2 {
        // IEEE 802.1Q, 802.1ad, and the number used before 802.1ad.
        if ethertype != 0x8100 && ethertype != 0x88a8 && ethertype != 0x9100 {
            break;
        }
        ethertype = u16::from_be(source.load::<u16>(offset + 2)?);
        offset += 4;
    }
    Some((ethertype, offset))
}

/// RFC 791, section 3.1.
#[inline(always)]
fn ipv4(source: &impl Source, offset: u32) -> Option<Network> {
    let header: [u32; 5] = source.load(offset)?;
    let first = u32::from_be(header[0]);
    let header_length = ((first >> 24) & 0x0f) * 4;
    if header_length < 20 {
        return None;
    }
    let total_length = first & 0xffff;
    let second = u32::from_be(header[1]);
    let fragment_offset = second & 0x1fff;
    let more_fragments = second & 0x2000 != 0;
    Some(Network {
        family: family::INET,
        source: [0, u64::from(header[3])],
        destination: [0, u64::from(header[4])],
        protocol: (u32::from_be(header[2]) >> 16) as u8,
        offset: offset + header_length,
        end: end_of_packet(source, offset, total_length),
        is_later_fragment: fragment_offset != 0,
        is_fragmented: fragment_offset != 0 || more_fragments,
        identification: second >> 16,
    })
}

/// RFC 8200, section 3 and 4.
#[inline(always)]
fn ipv6(source: &impl Source, offset: u32) -> Option<Network> {
    let first: [u32; 2] = source.load(offset)?;
    let addresses: [u64; 4] = source.load(offset + 8)?;
    let second = u32::from_be(first[1]);
    let payload_length = second >> 16;
    let total_length = if payload_length == 0 {
        0
    } else {
        payload_length + 40
    };
    let mut network = Network {
        family: family::INET6,
        source: [addresses[0], addresses[1]],
        destination: [addresses[2], addresses[3]],
        protocol: (second >> 8) as u8,
        offset: offset + 40,
        end: end_of_packet(source, offset, total_length),
        is_later_fragment: false,
        is_fragmented: false,
        identification: 0,
    };
    for _ in 0..6 {
        let kind = network.protocol;
        if kind == FRAGMENT {
            let header: [u32; 2] = source.load(network.offset)?;
            let word = u32::from_be(header[0]);
            network.protocol = (word >> 24) as u8;
            network.is_later_fragment = word & 0xfff8 != 0;
            network.is_fragmented = network.is_later_fragment || word & 1 != 0;
            network.identification = header[1];
            network.offset += 8;
            if network.is_later_fragment {
                break;
            }
        } else if kind == HOP_BY_HOP || kind == ROUTING || kind == DESTINATION_OPTIONS {
            let header: [u8; 2] = source.load(network.offset)?;
            network.protocol = header[0];
            network.offset += (u32::from(header[1]) + 1) * 8;
        } else if kind == AUTHENTICATION {
            let header: [u8; 2] = source.load(network.offset)?;
            network.protocol = header[0];
            network.offset += (u32::from(header[1]) + 2) * 4;
        } else {
            break;
        }
    }
    Some(network)
}

/// A length of 0 means that the packet is a GSO packet too large for the field.
#[inline(always)]
fn end_of_packet(source: &impl Source, offset: u32, total_length: u32) -> u32 {
    let frame = source.length();
    if total_length == 0 {
        frame
    } else {
        frame.min(offset + total_length)
    }
}

#[inline(always)]
fn transport(source: &impl Source, network: &Network) -> Option<Packet> {
    let protocol = network.protocol;
    if protocol == ICMP || protocol == ICMPV6 {
        return Some(Packet::Control);
    }
    if protocol != TCP && protocol != UDP {
        return None;
    }
    if network.is_later_fragment {
        return Some(Packet::Fragment(fragment_key(network)));
    }
    let ports: [u16; 2] = source.load(network.offset)?;
    let source_port = u16::from_be(ports[0]);
    let destination_port = u16::from_be(ports[1]);
    let (key, end) = FlowKey::canonical(
        (network.source, source_port),
        (network.destination, destination_port),
        u32::from(network.family) << 16 | u32::from(protocol),
    );
    let mut segment = Segment {
        key,
        end,
        source_port,
        destination_port,
        payload_offset: network.offset + 8,
        payload_length: 0,
        fragments: network.is_fragmented.then_some(network.identification),
    };
    if protocol == UDP {
        segment.payload_length = network.end.saturating_sub(segment.payload_offset);
        return Some(Packet::Udp(segment));
    }
    // RFC 9293, section 3.1: sequence number, then data offset and flags.
    let words: [u32; 3] = source.load(network.offset + 4)?;
    let control = u32::from_be(words[2]);
    segment.payload_offset = network.offset + (control >> 28) * 4;
    segment.payload_length = network.end.saturating_sub(segment.payload_offset);
    Some(Packet::Tcp(TcpSegment {
        segment,
        sequence: u32::from_be(words[0]),
        is_syn: control & 0x0002_0000 != 0,
    }))
}

/// Fragments are matched by addresses and identification (RFC 815).
#[inline(always)]
fn fragment_key(network: &Network) -> FlowKey {
    let kind = u32::from(network.family) << 16 | u32::from(network.protocol);
    let (key, _) = FlowKey::canonical((network.source, 0), (network.destination, 0), kind);
    key.of_fragments(network.identification)
}
