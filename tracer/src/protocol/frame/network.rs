//! ARP, IPv4 and IPv6 with its extension headers.
//!
//! The headers are etherparse's slices; the walk over the extension headers and the
//! lengths are ours, because a cut capture must not shorten what was on the wire, and
//! because etherparse walks past the header of a later fragment into its data.

use super::link::Protocol;
use super::{Arp, ArpOperation, Fragment, Ip, Network, Transport, length_of, transport};
use etherparse::{
    ArpPacketSlice, EtherType, IpAuthHeaderSlice, IpNumber, Ipv4HeaderSlice,
    Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, ether_type, ip_number,
};
use std::net::{IpAddr, Ipv4Addr};

/// Reverse ARP (RFC 903) shares ARP's format under a number of its own.
const RARP: EtherType = EtherType(0x8035);

/// Opens what the link layer carries; `wire_length` is what it carried on the wire, at
/// least the length of `payload`.
pub(super) fn open(protocol: Protocol, payload: &[u8], wire_length: u32) -> Network<'_> {
    let (network, ether_type) = match protocol {
        Protocol::EtherType(number) => (
            match EtherType(number) {
                ether_type::ARP | RARP => arp(payload).map(Network::Arp),
                ether_type::IPV4 | ether_type::IPV6 => ip(payload, wire_length).map(Network::Ip),
                _ => None,
            },
            Some(number),
        ),
        Protocol::Ip => (ip(payload, wire_length).map(Network::Ip), None),
        // Encapsulations that could not be taken off.
        Protocol::Ethernet
        | Protocol::Llc
        | Protocol::Mpls
        | Protocol::ServiceHeader
        | Protocol::Unknown => (None, None),
    };
    network.unwrap_or(Network::Other { ether_type })
}

fn arp(payload: &[u8]) -> Option<Arp> {
    let packet = ArpPacketSlice::from_slice(payload).ok()?;
    (packet.proto_addr_type() == ether_type::IPV4).then_some(())?;
    let address = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from);
    Some(Arp {
        operation: match packet.operation().0 {
            1 => ArpOperation::Request,
            2 => ArpOperation::Reply,
            other => ArpOperation::Other(other),
        },
        sender_mac: packet.sender_hw_addr().to_vec(),
        sender_ip: address(packet.sender_protocol_addr())?,
        target_mac: packet.target_hw_addr().to_vec(),
        target_ip: address(packet.target_protocol_addr())?,
    })
}

/// An IP header with everything before the upper layer.
pub(super) struct Header<'a> {
    version: u8,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    ttl: u8,
    /// Length of the packet as its header has it; `None` where it does not say.
    stated_length: Option<u32>,
    pub(super) protocol: u8,
    pub(super) fragment: Option<Fragment>,
    /// Everything captured behind the header.
    pub(super) rest: &'a [u8],
}

pub(super) fn read_header(packet: &[u8]) -> Option<Header<'_>> {
    match packet.first()? >> 4 {
        4 => ipv4(packet),
        6 => ipv6(packet),
        _ => None,
    }
}

fn ipv4(packet: &[u8]) -> Option<Header<'_>> {
    let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
    let (protocol, rest) = authentication(header.protocol(), packet.get(header.slice().len()..)?);
    // Segmentation offload of more than 64 KiB leaves zero here (kernel: iph_set_totlen).
    let stated_length = match header.total_len() {
        0 => None,
        length => Some(u32::from(length)),
    };
    Some(Header {
        version: 4,
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        ttl: header.ttl(),
        stated_length,
        protocol: protocol.0,
        fragment: header.is_fragmenting_payload().then(|| Fragment {
            identification: u32::from(header.identification()),
            offset: u32::from(header.fragments_offset().byte_offset()),
            more: header.more_fragments(),
        }),
        rest,
    })
}

/// IPsec AH (RFC 4302) leaves the payload readable behind it.
fn authentication(protocol: IpNumber, rest: &[u8]) -> (IpNumber, &[u8]) {
    if protocol == ip_number::AUTH
        && let Ok(header) = IpAuthHeaderSlice::from_slice(rest)
        && let Some(behind) = rest.get(header.slice().len()..)
    {
        return (header.next_header(), behind);
    }
    (protocol, rest)
}

fn ipv6(packet: &[u8]) -> Option<Header<'_>> {
    let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
    let upper = extension_headers(header.next_header(), packet.get(header.slice().len()..)?);
    let stated_length = match u32::from(header.payload_length()) {
        // RFC 2675: a jumbogram's length stands in an option. What follows "no next
        // header" is nothing, so there zero means zero.
        0 if header.next_header() != ip_number::IPV6_NO_NEXT_HEADER => None,
        length => Some(length + length_of(header.slice())),
    };
    Some(Header {
        version: 6,
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        ttl: header.hop_limit(),
        stated_length,
        protocol: upper.protocol.0,
        fragment: upper.fragment,
        rest: upper.rest,
    })
}

struct UpperLayer<'a> {
    protocol: IpNumber,
    fragment: Option<Fragment>,
    rest: &'a [u8],
}

/// Walks the extension headers (RFC 8200, section 4). Every round takes at least eight
/// bytes, so it ends. A header that is cut ends the walk with its own number.
fn extension_headers(first: IpNumber, data: &[u8]) -> UpperLayer<'_> {
    let mut upper = UpperLayer {
        protocol: first,
        fragment: None,
        rest: data,
    };
    while let Some((next, length)) = extension_header(&mut upper) {
        let Some(rest) = upper.rest.get(length..) else {
            break;
        };
        upper.protocol = next;
        upper.rest = rest;
        // What stands behind the header of a fragment is a piece of the packet, whatever
        // its number says; only the whole packet has headers there.
        if upper.fragment.is_some() {
            break;
        }
    }
    upper
}

/// The number after the extension header that `upper` stands at and that header's length
/// in bytes; `None` when it stands at none.
fn extension_header(upper: &mut UpperLayer<'_>) -> Option<(IpNumber, usize)> {
    match upper.protocol {
        ip_number::IPV6_HOP_BY_HOP
        | ip_number::IPV6_ROUTE
        | ip_number::IPV6_DEST_OPTIONS
        | ip_number::MOBILITY
        | ip_number::HIP
        | ip_number::SHIM6 => {
            let header = Ipv6RawExtHeaderSlice::from_slice(upper.rest).ok()?;
            Some((header.next_header(), header.slice().len()))
        }
        ip_number::IPV6_FRAG => {
            let header = Ipv6FragmentHeaderSlice::from_slice(upper.rest).ok()?;
            // RFC 6946: offset 0 without more fragments is a whole packet.
            if header.is_fragmenting_payload() {
                upper.fragment = Some(Fragment {
                    identification: header.identification(),
                    offset: u32::from(header.fragment_offset().byte_offset()),
                    more: header.more_fragments(),
                });
            }
            Some((header.next_header(), header.slice().len()))
        }
        ip_number::AUTH => {
            let header = IpAuthHeaderSlice::from_slice(upper.rest).ok()?;
            Some((header.next_header(), header.slice().len()))
        }
        _ => None,
    }
}

/// Opens the upper layer of a packet put together from fragments: `data` begins with what
/// `protocol` numbers.
pub(super) fn open_upper(version: u8, protocol: u8, data: &[u8]) -> (u8, Transport<'_>) {
    let (protocol, rest) = match version {
        6 => {
            let upper = extension_headers(IpNumber(protocol), data);
            (upper.protocol, upper.rest)
        }
        _ => authentication(IpNumber(protocol), data),
    };
    let transport = transport::open(version, protocol.0, rest, length_of(rest));
    (protocol.0, transport)
}

fn ip(packet: &[u8], wire_length: u32) -> Option<Ip<'_>> {
    let header = read_header(packet)?;
    let total_length = header.stated_length.unwrap_or(wire_length);
    let headers_length = length_of(packet) - length_of(header.rest);
    // A total length smaller than the header leaves no payload to speak of.
    let payload_length = total_length.saturating_sub(headers_length);
    // Behind the packet stands Ethernet padding or a check sequence.
    let payload = usize::try_from(payload_length)
        .ok()
        .and_then(|length| header.rest.get(..length))
        .unwrap_or(header.rest);
    // The first fragment has the header of the upper layer. When the capture cut it, it will
    // never be part of a whole packet: what there is of it is told.
    let is_cut = length_of(payload) < payload_length;
    let transport = match header.fragment {
        Some(fragment) if fragment.offset > 0 || !is_cut => Transport::Other { payload },
        _ => transport::open(header.version, header.protocol, payload, payload_length),
    };
    Some(Ip {
        source: header.source,
        destination: header.destination,
        ttl: header.ttl,
        total_length,
        protocol: header.protocol,
        fragment: header.fragment,
        transport,
    })
}
