//! Just enough parsing to filter: link layer, VLAN tags, IP, ports. Everything else is
//! userspace's.

use tracer_common::event::{family, link};

use super::{flow::FlowKey, source::Source};

/// A frame as the filter sees it.
///
/// One flat value that is complete from the start and filled in place, not an `Option` of
/// an enum: LLVM moves work on the members of a value that is returned by way of several
/// branches ahead of the test of its discriminant, and the verifier refuses to look at a
/// register that was never written on some of them.
pub struct Packet {
    pub kind: u8,
    /// 0: sent by the lower end of the key, 1: by the upper.
    pub end: u8,
    /// First of several IP fragments: `identification` is theirs.
    pub is_fragmented: bool,
    pub is_syn: bool,
    pub source_port: u16,
    pub destination_port: u16,
    /// Where the payload begins in the frame.
    pub payload_offset: u32,
    pub payload_length: u32,
    pub identification: u32,
    pub sequence: u32,
    pub key: FlowKey,
}

/// Kinds of packets.
pub mod kind {
    /// Nothing that is ever wanted, or too short to tell.
    pub const OTHER: u8 = 0;
    /// ARP, NDP, ICMP: always wanted.
    pub const CONTROL: u8 = 1;
    /// A later fragment of an IP packet: it has no ports.
    pub const FRAGMENT: u8 = 2;
    pub const UDP: u8 = 3;
    pub const TCP: u8 = 4;
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
pub fn packet(source: &impl Source, link_type: u8) -> Packet {
    let mut packet = Packet {
        kind: kind::OTHER,
        end: 0,
        is_fragmented: false,
        is_syn: false,
        source_port: 0,
        destination_port: 0,
        payload_offset: 0,
        payload_length: 0,
        identification: 0,
        sequence: 0,
        key: FlowKey::NONE,
    };
    // What cannot be read stays of kind OTHER.
    let _ = read(source, link_type, &mut packet);
    packet
}

#[inline(always)]
fn read(source: &impl Source, link_type: u8, packet: &mut Packet) -> Option<()> {
    let (ethertype, offset) = if link_type == link::RAW_IP {
        let version: u8 = source.load(0)?;
        if version >> 4 == 4 {
            (ETHERTYPE_IPV4, 0)
        } else if version >> 4 == 6 {
            (ETHERTYPE_IPV6, 0)
        } else {
            return None;
        }
    } else {
        ethernet(source)?
    };
    if ethertype == ETHERTYPE_ARP {
        packet.kind = kind::CONTROL;
        return Some(());
    }
    let mut network = Network {
        family: family::INET,
        source: [0; 2],
        destination: [0; 2],
        protocol: 0,
        offset,
        end: 0,
        is_later_fragment: false,
        is_fragmented: false,
        identification: 0,
    };
    if ethertype == ETHERTYPE_IPV4 {
        ipv4(source, &mut network)?;
    } else if ethertype == ETHERTYPE_IPV6 {
        ipv6(source, &mut network)?;
    } else {
        return None;
    }
    transport(source, &network, packet)
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
fn ipv4(source: &impl Source, network: &mut Network) -> Option<()> {
    let offset = network.offset;
    let header: [u32; 5] = source.load(offset)?;
    let first = u32::from_be(header[0]);
    let header_length = ((first >> 24) & 0x0f) * 4;
    if header_length < 20 {
        return None;
    }
    let second = u32::from_be(header[1]);
    let more_fragments = second & 0x2000 != 0;
    network.source = [0, u64::from(header[3])];
    network.destination = [0, u64::from(header[4])];
    network.protocol = (u32::from_be(header[2]) >> 16) as u8;
    network.offset = offset + header_length;
    network.end = end_of_packet(source, offset, first & 0xffff);
    network.is_later_fragment = second & 0x1fff != 0;
    network.is_fragmented = network.is_later_fragment || more_fragments;
    network.identification = second >> 16;
    Some(())
}

/// RFC 8200, section 3 and 4.
#[inline(always)]
fn ipv6(source: &impl Source, network: &mut Network) -> Option<()> {
    let offset = network.offset;
    let second: u32 = source.load(offset + 4)?;
    let second = u32::from_be(second);
    let addresses: [u64; 4] = source.load(offset + 8)?;
    let payload_length = second >> 16;
    let total_length = if payload_length == 0 {
        0
    } else {
        payload_length + 40
    };
    network.family = family::INET6;
    network.source = [addresses[0], addresses[1]];
    network.destination = [addresses[2], addresses[3]];
    network.protocol = (second >> 8) as u8;
    network.offset = offset + 40;
    network.end = end_of_packet(source, offset, total_length);
    for _ in 0..6 {
        let next = network.protocol;
        if next == FRAGMENT {
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
        } else if next == HOP_BY_HOP || next == ROUTING || next == DESTINATION_OPTIONS {
            let header: [u8; 2] = source.load(network.offset)?;
            network.protocol = header[0];
            network.offset += (u32::from(header[1]) + 1) * 8;
        } else if next == AUTHENTICATION {
            let header: [u8; 2] = source.load(network.offset)?;
            network.protocol = header[0];
            network.offset += (u32::from(header[1]) + 2) * 4;
        } else {
            break;
        }
    }
    Some(())
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
fn transport(source: &impl Source, network: &Network, packet: &mut Packet) -> Option<()> {
    let protocol = network.protocol;
    if protocol == ICMP || protocol == ICMPV6 {
        packet.kind = kind::CONTROL;
        return Some(());
    }
    if protocol != TCP && protocol != UDP {
        return None;
    }
    packet.identification = network.identification;
    packet.is_fragmented = network.is_fragmented;
    let family_and_protocol = u32::from(network.family) << 16 | u32::from(protocol);
    if network.is_later_fragment {
        packet.key.make_canonical(
            (network.source, 0),
            (network.destination, 0),
            family_and_protocol,
        );
        packet.kind = kind::FRAGMENT;
        return Some(());
    }
    let ports: [u16; 2] = source.load(network.offset)?;
    packet.source_port = u16::from_be(ports[0]);
    packet.destination_port = u16::from_be(ports[1]);
    let source_is_upper = packet.key.make_canonical(
        (network.source, packet.source_port),
        (network.destination, packet.destination_port),
        family_and_protocol,
    );
    packet.end = u8::from(source_is_upper);
    if protocol == UDP {
        packet.payload_offset = network.offset + 8;
        packet.payload_length = network.end.saturating_sub(packet.payload_offset);
        packet.kind = kind::UDP;
        return Some(());
    }
    // RFC 9293, section 3.1: sequence number, then data offset and flags.
    let words: [u32; 3] = source.load(network.offset + 4)?;
    let control = u32::from_be(words[2]);
    packet.payload_offset = network.offset + (control >> 28) * 4;
    packet.payload_length = network.end.saturating_sub(packet.payload_offset);
    packet.sequence = u32::from_be(words[0]);
    packet.is_syn = control & 0x0002_0000 != 0;
    packet.kind = kind::TCP;
    Some(())
}
