//! Frames are built by etherparse's `PacketBuilder` or written out byte by byte, so that
//! what is expected does not come from the code under test.

use super::{
    ArpOperation, Fragment, Icmp, IcmpMessage, Ip, Network, ParsedFrame, Tcp, Transport, Udp,
    parse, parse_cut, parse_inner, parse_quoted,
};
use crate::capture::LinkType;
use etherparse::{PacketBuilder, TcpOptionElement, VlanId};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const CLIENT: [u8; 4] = [10, 77, 1, 10];
const SERVER: [u8; 4] = [10, 77, 2, 80];
const CLIENT6: [u8; 16] = [0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const SERVER6: [u8; 16] = [0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

fn ip<'a>(frame: &'a ParsedFrame<'a>) -> &'a Ip<'a> {
    match &frame.network {
        Network::Ip(ip) => ip,
        other => panic!("not IP: {other:?}"),
    }
}

fn tcp<'a>(frame: &'a ParsedFrame<'a>) -> &'a Tcp<'a> {
    match &ip(frame).transport {
        Transport::Tcp(tcp) => tcp,
        other => panic!("not TCP: {other:?}"),
    }
}

fn udp<'a>(frame: &'a ParsedFrame<'a>) -> &'a Udp<'a> {
    match &ip(frame).transport {
        Transport::Udp(udp) => udp,
        other => panic!("not UDP: {other:?}"),
    }
}

fn icmp<'a>(frame: &'a ParsedFrame<'a>) -> &'a Icmp<'a> {
    match &ip(frame).transport {
        Transport::Icmp(icmp) => icmp,
        other => panic!("not ICMP: {other:?}"),
    }
}

fn tcp_frame(payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC)
        .ipv4(CLIENT, SERVER, 63)
        .tcp(40000, 80, 1000, 8192)
        .ack(77)
        .psh();
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    frame
}

fn udp_frame_v6(payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC)
        .ipv6(CLIENT6, SERVER6, 64)
        .udp(5000, 53);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    frame
}

/// An IPv6 header and what follows it.
fn ipv6_packet(next_header: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    packet.extend([next_header, 255]);
    packet.extend(CLIENT6);
    packet.extend(SERVER6);
    packet.extend(body);
    packet
}

fn udp_header(payload_length: u16) -> Vec<u8> {
    let mut header = vec![0x13, 0x88, 0, 53];
    header.extend((payload_length + 8).to_be_bytes());
    header.extend([0, 0]);
    header
}

#[test]
fn a_tcp_segment_is_opened_to_its_payload() {
    let bytes = tcp_frame(b"GET / HTTP/1.1\r\n\r\n");
    let frame = parse(LinkType::Ethernet, &bytes);
    assert_eq!(frame.source_mac, Some(CLIENT_MAC));
    assert_eq!(frame.destination_mac, Some(SERVER_MAC));
    let ip = ip(&frame);
    assert_eq!(ip.source, IpAddr::from(CLIENT));
    assert_eq!(ip.destination, IpAddr::from(SERVER));
    assert_eq!((ip.ttl, ip.protocol, ip.total_length), (63, 6, 58));
    let tcp = tcp(&frame);
    assert_eq!((tcp.source_port, tcp.destination_port), (40000, 80));
    assert_eq!((tcp.sequence, tcp.acknowledgment), (1000, 77));
    assert_eq!(tcp.window, 8192);
    assert!(tcp.flags.ack && tcp.flags.psh && !tcp.flags.syn);
    assert_eq!(tcp.payload, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(tcp.payload_length, 18);
}

#[test]
fn ethernet_padding_is_not_payload() {
    let mut bytes = tcp_frame(b"");
    bytes.resize(60, 0);
    let frame = parse(LinkType::Ethernet, &bytes);
    assert_eq!(tcp(&frame).payload_length, 0);
    assert_eq!(tcp(&frame).payload, b"");
}

#[test]
fn a_cut_frame_keeps_its_length_on_the_wire() {
    let bytes = tcp_frame(&[b'x'; 1000]);
    for kept in [54, 55, 600] {
        let frame = parse(LinkType::Ethernet, &bytes[..kept]);
        assert_eq!(tcp(&frame).payload_length, 1000);
        assert_eq!(tcp(&frame).payload.len(), kept - 54);
    }
}

#[test]
fn a_header_cut_within_its_options_still_tells_ports_and_flags() {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC)
        .ipv4(CLIENT, SERVER, 64)
        .tcp(40000, 80, 1000, 8192)
        .syn()
        .options(&[
            TcpOptionElement::MaximumSegmentSize(1460),
            TcpOptionElement::SelectiveAcknowledgementPermitted,
            TcpOptionElement::Timestamp(7, 0),
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(7),
        ])
        .unwrap()
        .write(&mut bytes, b"")
        .unwrap();
    let whole = parse(LinkType::Ethernet, &bytes);
    let options = &tcp(&whole).options;
    assert_eq!(options.mss, Some(1460));
    assert_eq!(options.window_scale, Some(7));
    assert_eq!(options.timestamps, Some((7, 0)));
    assert!(options.sack_permitted);

    let cut = parse(LinkType::Ethernet, &bytes[..58]);
    assert!(tcp(&cut).flags.syn);
    assert_eq!(tcp(&cut).options.mss, Some(1460));
    assert_eq!(tcp(&cut).options.window_scale, None);
    assert_eq!(tcp(&cut).payload_length, 0);
}

#[test]
fn options_are_read_past_unknown_kinds() {
    // MPTCP (30), Fast Open (34), the experimental Fast Open (254), SACK (5).
    let options: [u8; 36] = [
        30, 4, 0, 0, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
        3, 0, 0, 0, 4, 0, 0,
    ];
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC)
        .ipv4(CLIENT, SERVER, 64)
        .tcp(40000, 80, 1000, 8192)
        .options_raw(&options)
        .unwrap()
        .write(&mut bytes, b"")
        .unwrap();
    let frame = parse(LinkType::Ethernet, &bytes);
    let read = &tcp(&frame).options;
    assert_eq!(
        read.fast_open.as_deref(),
        Some(&[1, 2, 3, 4, 5, 6, 7, 8][..])
    );
    assert_eq!(read.sack, [(1, 2), (3, 4)]);
}

#[test]
fn an_option_of_impossible_length_ends_the_options() {
    for length in [0, 1, 200] {
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC)
            .ipv4(CLIENT, SERVER, 64)
            .tcp(40000, 80, 1000, 8192)
            .options_raw(&[2, 4, 5, 180, 3, length, 3, 3])
            .unwrap()
            .write(&mut bytes, b"data")
            .unwrap();
        let frame = parse(LinkType::Ethernet, &bytes);
        assert_eq!(tcp(&frame).options.mss, Some(1460));
        assert_eq!(tcp(&frame).options.window_scale, None);
        assert_eq!(tcp(&frame).payload, b"data");
    }
}

#[test]
fn a_total_length_of_zero_means_segmentation_offload() {
    let mut bytes = tcp_frame(&[b'x'; 3000]);
    bytes[16..18].fill(0);
    let frame = parse(LinkType::Ethernet, &bytes);
    assert_eq!(tcp(&frame).payload_length, 3000);
    let frame = parse_cut(LinkType::Ethernet, &bytes[..100], 70_054);
    assert_eq!(tcp(&frame).payload_length, 70_000);
    assert_eq!(ip(&frame).total_length, 70_040);
}

#[test]
fn a_total_length_smaller_than_the_header_leaves_no_transport() {
    let mut bytes = tcp_frame(b"data");
    bytes[16..18].copy_from_slice(&[0, 19]);
    let frame = parse(LinkType::Ethernet, &bytes);
    assert_eq!(ip(&frame).transport, Transport::Other { payload: b"" });
}

#[test]
fn stacked_vlan_tags_are_listed_from_the_outside() {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC)
        .double_vlan(VlanId::try_new(100).unwrap(), VlanId::try_new(200).unwrap())
        .ipv4(CLIENT, SERVER, 64)
        .udp(1, 2)
        .write(&mut bytes, b"x")
        .unwrap();
    let frame = parse(LinkType::Ethernet, &bytes);
    assert_eq!(frame.vlans, [100, 200]);
    assert_eq!(udp(&frame).payload, b"x");
}

#[test]
fn every_link_layer_leads_to_the_same_packet() {
    let ethernet = udp_frame_v6(b"question");
    let packet = &ethernet[14..];
    let with = |header: &[u8]| [header, packet].concat();
    let ether_header = &ethernet[..12];
    let frames = [
        (LinkType::RawIp, with(&[])),
        (
            LinkType::LinuxCookedV1,
            with(&[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x86, 0xdd]),
        ),
        (
            LinkType::LinuxCookedV2,
            with(&[
                0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0,
            ]),
        ),
        (LinkType::Null, with(&[30, 0, 0, 0])),
        (LinkType::Null, with(&[0, 0, 0, 10])),
        (LinkType::Loop, with(&[0, 0, 0, 24])),
        // PPPoE session, with a full and with a compressed protocol field
        (
            LinkType::Ethernet,
            [
                ether_header,
                &[0x88, 0x64, 0x11, 0, 0, 7, 0, 90, 0, 0x57],
                packet,
            ]
            .concat(),
        ),
        (
            LinkType::Ethernet,
            [
                ether_header,
                &[0x88, 0x64, 0x11, 0, 0, 7, 0, 90, 0x57],
                packet,
            ]
            .concat(),
        ),
        // two MPLS labels
        (
            LinkType::Ethernet,
            [
                ether_header,
                &[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64],
                packet,
            ]
            .concat(),
        ),
        // IEEE 802.3 length, LLC and SNAP
        (
            LinkType::Ethernet,
            [
                ether_header,
                &[0, 64, 0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd],
                packet,
            ]
            .concat(),
        ),
    ];
    for (link_type, bytes) in &frames {
        let frame = parse(*link_type, bytes);
        assert_eq!(udp(&frame).payload, b"question", "{link_type:?}");
        assert_eq!(udp(&frame).payload_length, 8, "{link_type:?}");
    }
    for (link_type, bytes) in &frames[1..3] {
        assert_eq!(parse(*link_type, bytes).source_mac, Some(CLIENT_MAC));
    }
}

#[test]
fn arp_is_read_whole() {
    let mut bytes = [&[0xff; 6], &CLIENT_MAC[..], &[8, 6]].concat();
    bytes.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    bytes.extend(CLIENT_MAC);
    bytes.extend(CLIENT);
    bytes.extend([0; 6]);
    bytes.extend([10, 77, 1, 1]);
    bytes.resize(60, 0);
    let frame = parse(LinkType::Ethernet, &bytes);
    let Network::Arp(arp) = frame.network else {
        panic!("not ARP: {:?}", frame.network)
    };
    assert_eq!(arp.operation, ArpOperation::Request);
    assert_eq!(arp.sender_mac, CLIENT_MAC);
    assert_eq!(arp.target_mac, [0; 6]);
    assert_eq!(arp.sender_ip, Ipv4Addr::from(CLIENT));
    assert_eq!(arp.target_ip, Ipv4Addr::new(10, 77, 1, 1));
    // Cut before the target address, it is not ARP that can be shown.
    assert_eq!(
        parse(LinkType::Ethernet, &bytes[..40]).network,
        Network::Other {
            ether_type: Some(0x0806)
        }
    );
}

#[test]
fn arp_asks_over_any_hardware() {
    // ATM's type with the addresses of Ethernet, and addresses of two bytes.
    for (hardware, length) in [(19, 6), (7, 2), (32, 20)] {
        let mut bytes = [&[0xff; 6], &CLIENT_MAC[..], &[8, 6]].concat();
        bytes.extend([0, hardware, 8, 0, length, 4, 0, 1]);
        bytes.extend(vec![2; usize::from(length)]);
        bytes.extend(CLIENT);
        bytes.extend(vec![0; usize::from(length)]);
        bytes.extend([10, 77, 1, 1]);
        let Network::Arp(arp) = parse(LinkType::Ethernet, &bytes).network else {
            panic!("not ARP over {hardware}")
        };
        assert_eq!(arp.sender_mac, vec![2; usize::from(length)]);
        assert_eq!(arp.target_ip, Ipv4Addr::new(10, 77, 1, 1));
        // Of another protocol than IPv4 there is no such address.
        bytes[16] = 9;
        let other = parse(LinkType::Ethernet, &bytes).network;
        assert!(matches!(other, Network::Other { .. }), "{other:?}");
    }
}

#[test]
fn extension_headers_are_walked_to_the_upper_layer() {
    // Hop-by-hop (router alert), destination options, then UDP.
    let mut body = vec![60, 0, 5, 2, 0, 0, 1, 0, 17, 0, 1, 4, 0, 0, 0, 0];
    body.extend(udp_header(3));
    body.extend(b"abc");
    let packet = ipv6_packet(0, &body);
    let frame = parse(LinkType::RawIp, &packet);
    assert_eq!(ip(&frame).protocol, 17);
    assert_eq!(udp(&frame).payload, b"abc");
    assert_eq!(ip(&frame).total_length, 67);
}

#[test]
fn a_later_fragment_is_not_taken_for_headers() {
    // Fragment header: next 60 (destination options), offset 8, more, id 9. The data looks
    // like a destination options header, but it is data.
    let mut body = vec![60, 0, 0, 9, 0, 0, 0, 9];
    body.extend([17, 0, 1, 4, 0, 0, 0, 0]);
    let packet = ipv6_packet(44, &body);
    let frame = parse(LinkType::RawIp, &packet);
    let ip = ip(&frame);
    assert_eq!(ip.protocol, 60);
    assert_eq!(
        ip.fragment,
        Some(Fragment {
            identification: 9,
            offset: 8,
            more: true
        })
    );
    assert_eq!(
        ip.transport,
        Transport::Other {
            payload: &[17, 0, 1, 4, 0, 0, 0, 0]
        }
    );
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let mut body = vec![17, 0, 0, 0, 0, 0, 0, 9];
    body.extend(udp_header(1));
    body.extend(b"x");
    let packet = ipv6_packet(44, &body);
    let frame = parse(LinkType::RawIp, &packet);
    assert_eq!(ip(&frame).fragment, None);
    assert_eq!(udp(&frame).payload, b"x");
}

#[test]
fn an_ipv4_fragment_tells_its_place() {
    let mut bytes = tcp_frame(b"data");
    bytes[18..22].copy_from_slice(&[0x12, 0x34, 0x20, 0x02]);
    let frame = parse(LinkType::Ethernet, &bytes);
    assert_eq!(
        ip(&frame).fragment,
        Some(Fragment {
            identification: 0x1234,
            offset: 16,
            more: true
        })
    );
    assert!(matches!(ip(&frame).transport, Transport::Other { payload } if payload.len() == 24));
}

#[test]
fn a_first_fragment_that_the_capture_cut_is_opened_as_far_as_it_goes() {
    let mut bytes = tcp_frame(b"data");
    bytes[18..22].copy_from_slice(&[0x12, 0x34, 0x20, 0x00]);
    let whole = parse(LinkType::Ethernet, &bytes);
    assert!(matches!(ip(&whole).transport, Transport::Other { .. }));
    bytes.truncate(bytes.len() - 1);
    let cut = parse(LinkType::Ethernet, &bytes);
    assert!(ip(&cut).fragment.is_some());
    assert!(matches!(&ip(&cut).transport, Transport::Tcp(tcp) if tcp.payload == b"dat"));
    bytes[21] = 2;
    let later = parse(LinkType::Ethernet, &bytes);
    assert!(matches!(ip(&later).transport, Transport::Other { .. }));
}

#[test]
fn a_udp_length_beyond_the_packet_is_not_believed() {
    let mut bytes = udp_frame_v6(b"abc");
    for (stated, expected) in [(0_u16, 3), (7, 3), (500, 3), (10, 2)] {
        bytes[58..60].copy_from_slice(&stated.to_be_bytes());
        let frame = parse(LinkType::Ethernet, &bytes);
        assert_eq!(udp(&frame).payload_length, expected, "stated {stated}");
    }
}

#[test]
fn an_icmp_error_quotes_the_packet_it_answers() {
    let quoted = &tcp_frame(b"lost")[14..42];
    let mut body = vec![3, 1, 0, 0, 0, 0, 0, 0];
    body.extend(quoted);
    let mut packet = Vec::new();
    PacketBuilder::ipv4([10, 77, 1, 1], CLIENT, 64)
        .write(&mut packet, etherparse::ip_number::ICMP, &body)
        .unwrap();
    let frame = parse(LinkType::RawIp, &packet);
    assert_eq!((icmp(&frame).kind, icmp(&frame).code), (3, 1));
    let IcmpMessage::Error { quoted } = icmp(&frame).message else {
        panic!("not an error")
    };
    assert_eq!(
        parse_quoted(quoted),
        Some((6, CLIENT.into(), 40000, SERVER.into(), 80))
    );
    assert_eq!(parse_quoted(&quoted[..22]), None);
}

#[test]
fn a_quoted_echo_has_no_ports() {
    let mut packet = Vec::new();
    PacketBuilder::ipv4(CLIENT, SERVER, 1)
        .icmpv4_echo_request(5, 6)
        .write(&mut packet, b"")
        .unwrap();
    assert_eq!(
        parse_quoted(&packet),
        Some((1, CLIENT.into(), 0, SERVER.into(), 0))
    );
}

#[test]
fn neighbour_discovery_tells_target_and_address() {
    let mut solicitation = vec![135, 0, 0, 0, 0, 0, 0, 0];
    solicitation.extend(SERVER6);
    // A nonce (RFC 3971) before the source link-layer address.
    solicitation.extend([14, 1, 1, 2, 3, 4, 5, 6, 1, 1]);
    solicitation.extend(CLIENT_MAC);
    let packet = ipv6_packet(58, &solicitation);
    let frame = parse(LinkType::RawIp, &packet);
    assert_eq!(
        icmp(&frame).message,
        IcmpMessage::NeighborSolicitation {
            target: SERVER6.into(),
            source_mac: Some(CLIENT_MAC)
        }
    );

    let mut advertisement = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
    advertisement.extend(SERVER6);
    advertisement.extend([2, 1]);
    advertisement.extend(SERVER_MAC);
    let packet = ipv6_packet(58, &advertisement);
    let frame = parse(LinkType::RawIp, &packet);
    assert_eq!(
        icmp(&frame).message,
        IcmpMessage::NeighborAdvertisement {
            target: SERVER6.into(),
            target_mac: Some(SERVER_MAC),
            solicited: true
        }
    );
}

#[test]
fn ppp_links_are_read() {
    let packet = &tcp_frame(b"x")[14..];
    for header in [&[0xff, 0x03, 0, 0x21][..], &[0x21], &[0, 0x21]] {
        let bytes = [header, packet].concat();
        for number in [9, 50] {
            let frame = parse(LinkType::Other(number), &bytes);
            assert_eq!(tcp(&frame).payload, b"x");
        }
    }
}

#[test]
fn tunnels_lead_to_what_they_carry() {
    let carried = tcp_frame(b"inside");
    let packet = &carried[14..];
    let ethernet = &carried[..];
    let udp_to = |port: u16, header: &[u8], body: &[u8]| {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
            .udp(50000, port)
            .write(&mut bytes, &[header, body].concat())
            .unwrap();
        bytes
    };
    let ip_with = |protocol: u8, header: &[u8], body: &[u8]| {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
            .write(
                &mut bytes,
                etherparse::IpNumber(protocol),
                &[header, body].concat(),
            )
            .unwrap();
        bytes
    };
    let tunnels = [
        ip_with(4, &[], packet),
        // GRE: plain, with checksum, key and sequence number, with Ethernet, as PPTP.
        ip_with(47, &[0, 0, 8, 0], packet),
        ip_with(
            47,
            &[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1],
            packet,
        ),
        ip_with(47, &[0, 0, 0x65, 0x58], ethernet),
        ip_with(
            47,
            &[
                0x30, 0x81, 0x88, 0x0b, 0, 60, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21,
            ],
            packet,
        ),
        udp_to(4789, &[8, 0, 0, 0, 0, 0, 7, 0], ethernet),
        udp_to(8472, &[8, 0, 0, 0, 0, 0, 7, 0], ethernet),
        udp_to(6081, &[0, 0, 0x65, 0x58, 0, 0, 7, 0], ethernet),
        udp_to(6081, &[1, 0, 0x08, 0, 0, 0, 7, 0, 1, 2, 3, 4], packet),
    ];
    for bytes in &tunnels {
        let outer = parse(LinkType::RawIp, bytes);
        let inner = parse_inner(&outer).unwrap();
        assert_eq!(ip(&inner).source, IpAddr::from(CLIENT));
        assert_eq!(tcp(&inner).payload, b"inside");
        assert_eq!(parse_inner(&inner), None);
    }
}

fn link_types() -> impl Strategy<Value = LinkType> {
    prop::sample::select(vec![
        LinkType::Ethernet,
        LinkType::RawIp,
        LinkType::LinuxCookedV1,
        LinkType::LinuxCookedV2,
        LinkType::Null,
        LinkType::Loop,
        LinkType::Other(9),
    ])
}

/// What holds for every frame, whatever its bytes.
fn check(link_type: LinkType, bytes: &[u8]) {
    let frame = parse(link_type, bytes);
    if let Network::Ip(ip) = &frame.network {
        let (payload, length) = match &ip.transport {
            Transport::Tcp(tcp) => (tcp.payload, tcp.payload_length),
            Transport::Udp(udp) => (udp.payload, udp.payload_length),
            Transport::Icmp(_) => (&[][..], 0),
            Transport::Other { payload } => (*payload, ip.total_length),
        };
        assert!(payload.len() <= length as usize, "{frame:?}");
        assert!(length <= ip.total_length, "{frame:?}");
    }
    let _ = parse_quoted(bytes);
    let _ = parse_inner(&frame);
}

proptest! {
    #[test]
    fn no_bytes_break_the_parser(
        link_type in link_types(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        check(link_type, &bytes);
    }

    #[test]
    fn no_change_to_a_frame_breaks_the_parser(
        frame in prop::sample::select(vec![tcp_frame(b"payload"), udp_frame_v6(b"payload")]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        kept in any::<prop::sample::Index>(),
    ) {
        let mut frame = frame;
        for (place, value) in changes {
            let place = place.index(frame.len());
            frame[place] = value;
        }
        frame.truncate(kept.index(frame.len() + 1));
        check(LinkType::Ethernet, &frame);
    }
}
