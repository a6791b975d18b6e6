//! Just enough parsing to filter: link layer, VLAN tags, IP, ports. Everything else is
//! userspace's.
//!
//! Each stage leaves its result in [`Work`] and the next one reads it back; see there.

use tracer_common::event::{family, link};

use super::{
    flow,
    source::Source,
    work::{Work, recall},
};

/// What a frame is. The numbers are plain integers: see [`super::work`].
pub mod kind {
    /// Nothing that is ever wanted, or too short to tell.
    pub const OTHER: u32 = 0;
    /// ARP, NDP, ICMP: always wanted.
    pub const CONTROL: u32 = 1;
    /// A later fragment of an IP packet: it has no ports.
    pub const FRAGMENT: u32 = 2;
    pub const UDP: u32 = 3;
    pub const TCP: u32 = 4;
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

const HOP_BY_HOP: u8 = 0;
const ICMP: u32 = 1;
const TCP: u32 = 6;
const UDP: u32 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const ICMPV6: u32 = 58;
const DESTINATION_OPTIONS: u8 = 60;

/// Takes the frame apart and writes down of which kind it is.
#[inline(always)]
pub fn packet(source: &impl Source, link_type: u8, work: *mut Work) {
    let found = network(source, link_type, work)
        .and_then(|found| {
            if found == kind::CONTROL {
                Some(found)
            } else {
                transport(source, work)
            }
        })
        .unwrap_or(kind::OTHER);
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe { (*work).packet.kind = found };
}

/// Link layer and IP. [`kind::CONTROL`] for ARP, any other number when there is more.
#[inline(always)]
fn network(source: &impl Source, link_type: u8, work: *mut Work) -> Option<u32> {
    if link_type == link::RAW_IP {
        let version: u8 = source.load(0)?;
        let ethertype = if version >> 4 == 4 {
            ETHERTYPE_IPV4
        } else {
            ETHERTYPE_IPV6
        };
        write_link(work, ethertype, 0);
    } else {
        ethernet(source, work)?;
    }
    let ethertype = recall!(work.network.ethertype) as u16;
    let offset = recall!(work.network.offset);
    if ethertype == ETHERTYPE_ARP {
        return Some(kind::CONTROL);
    }
    if ethertype == ETHERTYPE_IPV4 {
        ipv4(source, offset, work)?;
    } else if ethertype == ETHERTYPE_IPV6 {
        ipv6(source, offset, work)?;
    } else {
        return None;
    }
    Some(kind::OTHER)
}

/// Type of what follows the Ethernet header and up to two VLAN tags, and where it starts.
///
/// Written out, here and for extension headers: of a loop that LLVM does not unroll, the
/// verifier of 5.10 sees a back-edge.
#[inline(always)]
fn ethernet(source: &impl Source, work: *mut Work) -> Option<()> {
    write_link(work, u16::from_be(source.load::<u16>(12)?), 14);
    behind_tag(source, work)?;
    behind_tag(source, work)
}

/// Steps over a VLAN tag, if there is one.
#[inline(always)]
fn behind_tag(source: &impl Source, work: *mut Work) -> Option<()> {
    let ethertype = recall!(work.network.ethertype);
    // IEEE 802.1Q, 802.1ad, and the number used before 802.1ad.
    if ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100 {
        let offset = recall!(work.network.offset);
        let ethertype = u16::from_be(source.load::<u16>(offset + 2)?);
        write_link(work, ethertype, offset + 4);
    }
    Some(())
}

/// What stands behind the link layer, and where.
#[inline(always)]
fn write_link(work: *mut Work, ethertype: u16, offset: u32) {
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe {
        (*work).network.ethertype = u32::from(ethertype);
        (*work).network.offset = offset;
    }
}

/// RFC 791, section 3.1.
#[inline(always)]
fn ipv4(source: &impl Source, offset: u32, work: *mut Work) -> Option<()> {
    let header: [u32; 5] = source.load(offset)?;
    let first = u32::from_be(header[0]);
    let header_length = ((first >> 24) & 0x0f) * 4;
    let second = u32::from_be(header[1]);
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe {
        let network = &raw mut (*work).network;
        (*network).source = [0, u64::from(header[3])];
        (*network).destination = [0, u64::from(header[4])];
        (*network).family = u32::from(family::INET);
        (*network).protocol = (u32::from_be(header[2]) >> 16) & 0xff;
        (*network).offset = offset + header_length;
        (*network).end = end_of_packet(source, offset, first & 0xffff);
        (*network).fragment_offset = second & 0x1fff;
        (*network).fragmented = second & 0x3fff;
        (*network).identification = second >> 16;
    }
    Some(())
}

/// RFC 8200, section 3 and 4.
#[inline(always)]
fn ipv6(source: &impl Source, offset: u32, work: *mut Work) -> Option<()> {
    let word: u32 = source.load(offset + 4)?;
    let addresses: [u64; 4] = source.load(offset + 8)?;
    let word = u32::from_be(word);
    let payload_length = word >> 16;
    let total_length = if payload_length == 0 {
        0
    } else {
        payload_length + 40
    };
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe {
        let network = &raw mut (*work).network;
        (*network).source = [addresses[0], addresses[1]];
        (*network).destination = [addresses[2], addresses[3]];
        (*network).family = u32::from(family::INET6);
        (*network).protocol = (word >> 8) & 0xff;
        (*network).offset = offset + 40;
        (*network).end = end_of_packet(source, offset, total_length);
        (*network).fragment_offset = 0;
        (*network).fragmented = 0;
    }
    let _ = extension(source, work)?
        && extension(source, work)?
        && extension(source, work)?
        && extension(source, work)?
        && extension(source, work)?
        && extension(source, work)?;
    Some(())
}

/// Steps over one extension header; false when there is none (or nothing behind it).
#[inline(always)]
fn extension(source: &impl Source, work: *mut Work) -> Option<bool> {
    let protocol = recall!(work.network.protocol) as u8;
    let offset = recall!(work.network.offset);
    let step = if protocol == HOP_BY_HOP || protocol == ROUTING || protocol == DESTINATION_OPTIONS {
        8
    } else if protocol == AUTHENTICATION {
        4
    } else if protocol == FRAGMENT {
        return fragment_header(source, work, offset);
    } else {
        return Some(false);
    };
    let header: [u8; 2] = source.load(offset)?;
    // RFC 4302 counts in units of 4 bytes, less 2; all others in units of 8, less 1.
    let length = if step == 8 {
        (u32::from(header[1]) + 1) * 8
    } else {
        (u32::from(header[1]) + 2) * 4
    };
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe {
        (*work).network.protocol = u32::from(header[0]);
        (*work).network.offset = offset + length;
    }
    Some(true)
}

/// RFC 8200, section 4.5.
#[inline(always)]
fn fragment_header(source: &impl Source, work: *mut Work, offset: u32) -> Option<bool> {
    let header: [u32; 2] = source.load(offset)?;
    let word = u32::from_be(header[0]);
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe {
        (*work).network.protocol = word >> 24;
        (*work).network.offset = offset + 8;
        (*work).network.fragment_offset = word & 0xfff8;
        (*work).network.fragmented = word & 0xfff9;
        (*work).network.identification = header[1];
    }
    Some(word & 0xfff8 == 0)
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
fn transport(source: &impl Source, work: *mut Work) -> Option<u32> {
    let protocol = recall!(work.network.protocol);
    if protocol == ICMP || protocol == ICMPV6 {
        return Some(kind::CONTROL);
    }
    if protocol != TCP && protocol != UDP {
        return None;
    }
    let fragmented = recall!(work.network.fragmented);
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe { (*work).packet.fragmented = fragmented };
    if fragmented != 0 {
        write_fragments_key(work);
        if recall!(work.network.fragment_offset) != 0 {
            return Some(kind::FRAGMENT);
        }
    }
    let offset = recall!(work.network.offset);
    write_ports(source, offset, work)?;
    if protocol == UDP {
        write_payload(work, offset + 8);
        return Some(kind::UDP);
    }
    // RFC 9293, section 3.1: sequence number, then data offset and flags.
    let words: [u32; 3] = source.load(offset + 4)?;
    let control = u32::from_be(words[2]);
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe {
        (*work).packet.sequence = u32::from_be(words[0]);
        (*work).packet.control = control;
    }
    write_payload(work, offset + (control >> 28) * 4);
    Some(kind::TCP)
}

/// Their identification stands in for the ports, which later fragments do not have.
#[inline(always)]
fn write_fragments_key(work: *mut Work) {
    let identification = recall!(work.network.identification);
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe {
        flow::write_key(
            &raw mut (*work).packet.fragments,
            work,
            identification >> 16,
            identification & 0xffff,
        );
    }
}

#[inline(always)]
fn write_ports(source: &impl Source, offset: u32, work: *mut Work) -> Option<()> {
    let ports: [u16; 2] = source.load(offset)?;
    let from = u32::from(u16::from_be(ports[0]));
    let to = u32::from(u16::from_be(ports[1]));
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe {
        (*work).packet.source_port = from;
        (*work).packet.destination_port = to;
        (*work).packet.end = flow::write_key(&raw mut (*work).packet.key, work, from, to);
    }
    Some(())
}

#[inline(always)]
fn write_payload(work: *mut Work, offset: u32) {
    let end = recall!(work.network.end);
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe {
        (*work).packet.payload_offset = offset;
        (*work).packet.payload_length = end.saturating_sub(offset);
    }
}
