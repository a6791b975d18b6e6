//! A frame opened from the link layer to the transport payload, by etherparse's lax
//! slices, because captured frames may be cut.

mod datagram;
mod encapsulation;
mod link;
mod network;
mod pseudo;
mod serial;
mod transport;
mod tunnel;
mod wireless;

pub use tunnel::parse_inner;

#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod tests;

use crate::capture::LinkType;
use std::net::{IpAddr, Ipv4Addr};

/// What could be read of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedFrame<'a> {
    pub source_mac: Option<[u8; 6]>,
    pub destination_mac: Option<[u8; 6]>,
    /// VLAN identifiers, outermost first.
    pub vlans: Vec<u16>,
    pub network: Network<'a>,
}

/// Network layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network<'a> {
    Arp(Arp),
    Ip(Ip<'a>),
    /// Another protocol, or not enough bytes to tell.
    Other {
        ether_type: Option<u16>,
    },
}

/// ARP for IPv4 (RFC 826), over any hardware. Its addresses are as long as the packet says:
/// six bytes on Ethernet, twenty on InfiniBand (RFC 4391, section 9.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arp {
    pub operation: ArpOperation,
    pub sender_mac: Vec<u8>,
    pub sender_ip: Ipv4Addr,
    pub target_mac: Vec<u8>,
    pub target_ip: Ipv4Addr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpOperation {
    Request,
    Reply,
    Other(u16),
}

/// IPv4 (RFC 791) or IPv6 (RFC 8200).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ip<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Length of the whole packet in bytes, from the header.
    pub total_length: u32,
    /// Upper-layer protocol number, after IPv6 extension headers; of a fragment the number
    /// in its (fragment) header.
    pub protocol: u8,
    /// Fragment offset in bytes, and whether more follow; `None` for a whole packet. See
    /// [`Fragments`](super::fragments::Fragments).
    pub fragment: Option<Fragment>,
    pub transport: Transport<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    pub identification: u32,
    pub offset: u32,
    pub more: bool,
}

/// Transport layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport<'a> {
    Tcp(Tcp<'a>),
    Udp(Udp<'a>),
    Icmp(Icmp<'a>),
    /// A fragment, another protocol, or not enough bytes.
    Other {
        payload: &'a [u8],
    },
}

/// TCP segment (RFC 9293).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp<'a> {
    pub source_port: u16,
    pub destination_port: u16,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub flags: TcpFlags,
    /// Unscaled.
    pub window: u16,
    pub options: TcpSegmentOptions,
    /// Captured payload; may be shorter than `payload_length`.
    pub payload: &'a [u8],
    /// Payload bytes on the wire, from the IP length.
    pub payload_length: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpFlags {
    pub fin: bool,
    pub syn: bool,
    pub rst: bool,
    pub psh: bool,
    pub ack: bool,
    pub urg: bool,
    pub ece: bool,
    pub cwr: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TcpSegmentOptions {
    pub mss: Option<u16>,
    pub window_scale: Option<u8>,
    pub sack_permitted: bool,
    /// TSval, TSecr.
    pub timestamps: Option<(u32, u32)>,
    /// Fast Open cookie, empty for a request (RFC 7413).
    pub fast_open: Option<Vec<u8>>,
    /// SACK blocks.
    pub sack: Vec<(u32, u32)>,
}

/// UDP datagram (RFC 768).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Udp<'a> {
    pub source_port: u16,
    pub destination_port: u16,
    pub payload: &'a [u8],
    /// Payload bytes on the wire.
    pub payload_length: u32,
}

/// ICMP (RFC 792) and ICMPv6 (RFC 4443), with neighbour discovery (RFC 4861).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Icmp<'a> {
    /// Protocol version: 4 or 6.
    pub version: u8,
    pub kind: u8,
    pub code: u8,
    pub message: IcmpMessage<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IcmpMessage<'a> {
    /// An error that quotes the packet it answers.
    Error {
        quoted: &'a [u8],
    },
    /// Neighbour solicitation; the source link-layer address option.
    NeighborSolicitation {
        target: IpAddr,
        source_mac: Option<[u8; 6]>,
    },
    /// Neighbour advertisement; the target link-layer address option.
    NeighborAdvertisement {
        target: IpAddr,
        target_mac: Option<[u8; 6]>,
        solicited: bool,
    },
    Other,
}

/// Opens `data`, a frame that may be cut.
/// Never fails: what cannot be read is `Network::Other` or `Transport::Other`.
///
/// Use [`parse_cut`] where the length on the wire is known: it gives the right lengths
/// for packets whose IP header does not say (segmentation offload, jumbograms).
pub fn parse(link_type: LinkType, data: &[u8]) -> ParsedFrame<'_> {
    parse_cut(link_type, data, length_of(data))
}

/// As [`parse`], for a frame of `original_length` bytes on the wire of which `data` was
/// captured.
pub fn parse_cut(link_type: LinkType, data: &[u8], original_length: u32) -> ParsedFrame<'_> {
    let link = link::open(link_type, data);
    let link_header_length = length_of(data) - length_of(link.payload);
    let wire_length = original_length
        .saturating_sub(link_header_length)
        .max(length_of(link.payload));
    open_link(link, wire_length)
}

/// Opens what a link layer carries, `wire_length` bytes on the wire.
fn open_link(link: link::Link<'_>, wire_length: u32) -> ParsedFrame<'_> {
    ParsedFrame {
        source_mac: link.source_mac,
        destination_mac: link.destination_mac,
        vlans: link.vlans,
        network: network::open(link.protocol, link.payload, wire_length),
    }
}

/// Opens the packet quoted by an ICMP error: starts with its IP header, usually cut after
/// eight bytes of the transport header. `(protocol, source, source port, destination, destination port)`.
/// Ports are 0 for protocols without ports; `None` when the header or the ports of a
/// protocol that has them cannot be read.
pub fn parse_quoted(quoted: &[u8]) -> Option<(u8, IpAddr, u16, IpAddr, u16)> {
    // The length in a quoted header is not to be trusted: routers cut the packet and old
    // stacks byte-swap the field. Only what is there counts.
    let header = network::read_header(quoted)?;
    if header.fragment.is_some_and(|fragment| fragment.offset > 0) {
        return None;
    }
    let (source_port, destination_port) = if transport::has_ports(header.protocol) {
        transport::ports(header.rest)?
    } else {
        (0, 0)
    };
    Some((
        header.protocol,
        header.source,
        source_port,
        header.destination,
        destination_port,
    ))
}

/// Opens the upper layer of a packet put together from fragments, whose IP version is 4 or
/// 6. `data` begins with what `protocol`, the number in the fragments, stands for; the
/// number given back is that of the transport, after IPv6 extension headers.
pub fn parse_upper(version: u8, protocol: u8, data: &[u8]) -> (u8, Transport<'_>) {
    network::open_upper(version, protocol, data)
}

/// Length in bytes; frames never come near 4 GiB.
fn length_of(data: &[u8]) -> u32 {
    u32::try_from(data.len()).unwrap_or(u32::MAX)
}
