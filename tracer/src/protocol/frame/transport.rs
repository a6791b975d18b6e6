//! TCP, UDP, ICMP and ICMPv6.

use super::{Icmp, IcmpMessage, Tcp, TcpFlags, TcpSegmentOptions, Transport, Udp};
use etherparse::icmpv6::{
    NdpOptionSlice, NdpOptionsIterator, NeighborAdvertisementPayloadSlice,
    NeighborSolicitationPayloadSlice,
};
use etherparse::{
    Icmpv6Slice, Icmpv6Type, IpNumber, TcpHeaderSlice, UdpHeaderSlice, icmpv4, icmpv6, ip_number,
};
use std::net::IpAddr;

/// Fixed part of the TCP header (RFC 9293, section 3.1).
const TCP_FIXED_LENGTH: usize = 20;

/// TCP option kinds (IANA, TCP parameters).
mod option {
    pub(super) const END: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
    pub(super) const FAST_OPEN: u8 = 34;
    /// Shared experimental option (RFC 6994); Fast Open used it with the magic 0xF989.
    pub(super) const EXPERIMENT: u8 = 254;
    pub(super) const FAST_OPEN_MAGIC: [u8; 2] = [0xf9, 0x89];
}

/// Opens the upper layer of an IP packet. `data` is what was captured of it,
/// `wire_length` what was on the wire; IP `version` is 4 or 6.
pub(super) fn open(version: u8, protocol: u8, data: &[u8], wire_length: u32) -> Transport<'_> {
    let opened = match (IpNumber(protocol), version) {
        (ip_number::TCP, _) => tcp(data, wire_length).map(Transport::Tcp),
        (ip_number::UDP, _) => udp(data, wire_length).map(Transport::Udp),
        (ip_number::ICMP, 4) => icmp(data).map(Transport::Icmp),
        (ip_number::IPV6_ICMP, 6) => icmp_v6(data).map(Transport::Icmp),
        _ => None,
    };
    opened.unwrap_or(Transport::Other { payload: data })
}

/// Whether the upper layer begins with two ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
pub(super) fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// Source and destination port.
pub(super) fn ports(data: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = *data.first_chunk::<4>()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

fn tcp(data: &[u8], wire_length: u32) -> Option<Tcp<'_>> {
    // A capture may be cut within the options: the fixed part is read by itself, from a
    // copy that claims to have no options.
    let mut fixed = *data.first_chunk::<TCP_FIXED_LENGTH>()?;
    let data_offset = fixed.get(12)? >> 4;
    *fixed.get_mut(12)? &= 0x0f;
    *fixed.get_mut(12)? |= 5 << 4;
    let header = TcpHeaderSlice::from_slice(&fixed).ok()?;
    let header_length = usize::from(data_offset) * 4;
    if header_length < TCP_FIXED_LENGTH {
        return None;
    }
    let options_end = header_length.min(data.len());
    Some(Tcp {
        source_port: header.source_port(),
        destination_port: header.destination_port(),
        sequence: header.sequence_number(),
        acknowledgment: header.acknowledgment_number(),
        flags: TcpFlags {
            fin: header.fin(),
            syn: header.syn(),
            rst: header.rst(),
            psh: header.psh(),
            ack: header.ack(),
            urg: header.urg(),
            ece: header.ece(),
            cwr: header.cwr(),
        },
        window: header.window_size(),
        options: tcp_options(data.get(TCP_FIXED_LENGTH..options_end).unwrap_or_default()),
        payload: data.get(header_length..).unwrap_or_default(),
        payload_length: wire_length.saturating_sub(u32::from(data_offset) * 4),
    })
}

/// Reads the options. etherparse's iterator stops at the first kind it does not know (Fast
/// Open, MPTCP, MD5); here unknown kinds are stepped over by their length, and a broken
/// length ends the walk with what was read.
fn tcp_options(mut bytes: &[u8]) -> TcpSegmentOptions {
    let mut options = TcpSegmentOptions::default();
    while let Some((&kind, rest)) = bytes.split_first() {
        match kind {
            option::END => break,
            option::NO_OPERATION => bytes = rest,
            _ => {
                // The length counts kind and length themselves (RFC 9293, section 3.2).
                let Some(content) = rest
                    .first()
                    .and_then(|length| bytes.get(2..usize::from(*length)))
                else {
                    break;
                };
                tcp_option(&mut options, kind, content);
                bytes = rest.get(1 + content.len()..).unwrap_or_default();
            }
        }
    }
    options
}

/// One option without its kind and length. One of a wrong length is ignored.
fn tcp_option(options: &mut TcpSegmentOptions, kind: u8, content: &[u8]) {
    match (kind, content) {
        (option::MSS, &[a, b]) => options.mss = Some(u16::from_be_bytes([a, b])),
        (option::WINDOW_SCALE, &[shift]) => options.window_scale = Some(shift),
        (option::SACK_PERMITTED, []) => options.sack_permitted = true,
        (option::TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
            options.timestamps = Some((
                u32::from_be_bytes([a, b, c, d]),
                u32::from_be_bytes([e, f, g, h]),
            ));
        }
        (option::SACK, blocks) => {
            options.sack = blocks
                .as_chunks::<8>()
                .0
                .iter()
                .map(|&[a, b, c, d, e, f, g, h]| {
                    (
                        u32::from_be_bytes([a, b, c, d]),
                        u32::from_be_bytes([e, f, g, h]),
                    )
                })
                .collect();
        }
        (option::FAST_OPEN, cookie) => options.fast_open = Some(cookie.to_vec()),
        (option::EXPERIMENT, content) => {
            if let Some(cookie) = content.strip_prefix(&option::FAST_OPEN_MAGIC) {
                options.fast_open = Some(cookie.to_vec());
            }
        }
        _ => {}
    }
}

fn udp(data: &[u8], wire_length: u32) -> Option<Udp<'_>> {
    let header = UdpHeaderSlice::from_slice(data).ok()?;
    let header_length = u32::try_from(header.slice().len()).ok()?;
    // A length of zero stands for a jumbogram (RFC 2675, section 4) and one beyond the IP
    // packet is a lie: the IP length decides then.
    let stated_length = u32::from(header.length());
    let length = if (header_length..=wire_length).contains(&stated_length) {
        stated_length
    } else {
        wire_length
    };
    let payload_length = length.saturating_sub(header_length);
    let captured = data.get(header.slice().len()..).unwrap_or_default();
    Some(Udp {
        source_port: header.source_port(),
        destination_port: header.destination_port(),
        payload: usize::try_from(payload_length)
            .ok()
            .and_then(|length| captured.get(..length))
            .unwrap_or(captured),
        payload_length,
    })
}

fn icmp(data: &[u8]) -> Option<Icmp<'_>> {
    let (header, body) = data.split_first_chunk::<8>()?;
    let [kind, code, ..] = *header;
    let message = match kind {
        icmpv4::TYPE_DEST_UNREACH
        | icmpv4::TYPE_SOURCE_QUENCH
        | icmpv4::TYPE_REDIRECT
        | icmpv4::TYPE_TIME_EXCEEDED
        | icmpv4::TYPE_PARAMETER_PROBLEM => IcmpMessage::Error { quoted: body },
        _ => IcmpMessage::Other,
    };
    Some(Icmp {
        version: 4,
        kind,
        code,
        message,
    })
}

fn icmp_v6(data: &[u8]) -> Option<Icmp<'_>> {
    let slice = Icmpv6Slice::from_slice(data).ok()?;
    let body = slice.payload();
    let message = match slice.type_u8() {
        icmpv6::TYPE_DST_UNREACH
        | icmpv6::TYPE_PACKET_TOO_BIG
        | icmpv6::TYPE_TIME_EXCEEDED
        | icmpv6::TYPE_PARAMETER_PROBLEM => IcmpMessage::Error { quoted: body },
        icmpv6::TYPE_NEIGHBOR_SOLICITATION => solicitation(body).unwrap_or(IcmpMessage::Other),
        icmpv6::TYPE_NEIGHBOR_ADVERTISEMENT => {
            advertisement(&slice.icmp_type(), body).unwrap_or(IcmpMessage::Other)
        }
        _ => IcmpMessage::Other,
    };
    Some(Icmp {
        version: 6,
        kind: slice.type_u8(),
        code: slice.code_u8(),
        message,
    })
}

/// RFC 4861, section 4.3.
fn solicitation(body: &[u8]) -> Option<IcmpMessage<'_>> {
    let payload = NeighborSolicitationPayloadSlice::from_slice(body).ok()?;
    Some(IcmpMessage::NeighborSolicitation {
        target: IpAddr::V6(payload.target_address()),
        source_mac: link_layer_address(payload.options_iterator(), |option| match option {
            NdpOptionSlice::SourceLinkLayerAddress(address) => Some(address.link_layer_address()),
            _ => None,
        }),
    })
}

/// RFC 4861, section 4.4.
fn advertisement<'a>(kind: &Icmpv6Type, body: &'a [u8]) -> Option<IcmpMessage<'a>> {
    let Icmpv6Type::NeighborAdvertisement(header) = kind else {
        return None;
    };
    let payload = NeighborAdvertisementPayloadSlice::from_slice(body).ok()?;
    Some(IcmpMessage::NeighborAdvertisement {
        target: IpAddr::V6(payload.target_address()),
        target_mac: link_layer_address(payload.options_iterator(), |option| match option {
            NdpOptionSlice::TargetLinkLayerAddress(address) => Some(address.link_layer_address()),
            _ => None,
        }),
        solicited: header.solicited,
    })
}

/// The first address of six bytes that `pick` finds in the options. The iterator ends at
/// an option it cannot read.
fn link_layer_address<'a>(
    options: NdpOptionsIterator<'a>,
    pick: impl Fn(&NdpOptionSlice<'a>) -> Option<&'a [u8]>,
) -> Option<[u8; 6]> {
    options
        .flatten()
        .find_map(|option| pick(&option)?.try_into().ok())
}
