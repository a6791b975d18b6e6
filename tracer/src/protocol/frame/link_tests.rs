//! Every link type, encapsulation and tunnel around the same datagram, written out byte by
//! byte. What tshark makes of the same frames was compared when they were written.

mod tunnels;

use super::{Network, ParsedFrame, Transport, parse, parse_inner};
use crate::capture::LinkType;
use crate::capture::link_type::number;
use proptest::prelude::*;
use std::net::IpAddr;

const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const DESTINATION_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const ACCESS_POINT: [u8; 6] = [2, 0, 0, 0, 0, 3];
const OUTER: [u8; 4] = [192, 0, 2, 1];
const SNAP_IPV4: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
const PPP_IPV4: [u8; 4] = [0xff, 3, 0, 0x21];

fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn ipv4(protocol: u8, source: [u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + body.len()).unwrap().to_be_bytes();
    let header = [
        0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, protocol, 0, 0,
    ];
    bytes(&[&header, &source, &[192, 0, 2, 2], body])
}

fn ipv6(next_header: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    let header = [0x60, 0, 0, 0, length[0], length[1], next_header, 64];
    let address = |last| [0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    bytes(&[&header, &address(1), &address(2), body])
}

fn udp(source: u16, destination: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + body.len()).unwrap();
    bytes(&[
        &source.to_be_bytes(),
        &destination.to_be_bytes(),
        &length.to_be_bytes(),
        &[0, 0],
        body,
    ])
}

/// The datagram that everything here is put around.
fn packet() -> Vec<u8> {
    ipv4(17, [10, 77, 1, 10], &udp(5000, 6000, b"inside"))
}

fn packet6() -> Vec<u8> {
    ipv6(17, &udp(5000, 6000, b"inside"))
}

fn ethernet(ether_type: u16, body: &[u8]) -> Vec<u8> {
    bytes(&[
        &DESTINATION_MAC,
        &SOURCE_MAC,
        &ether_type.to_be_bytes(),
        body,
    ])
}

/// The datagram in a frame.
fn frame() -> Vec<u8> {
    ethernet(0x0800, &packet())
}

fn is_inside(frame: &ParsedFrame<'_>, what: &str) {
    let Network::Ip(ip) = &frame.network else {
        panic!("{what}: not IP: {frame:?}")
    };
    let Transport::Udp(udp) = &ip.transport else {
        panic!("{what}: not UDP: {ip:?}")
    };
    let addresses = [IpAddr::from([10, 77, 1, 10]), "fd77::1".parse().unwrap()];
    assert!(addresses.contains(&ip.source), "{what}: {ip:?}");
    assert_eq!(
        (udp.source_port, udp.destination_port),
        (5000, 6000),
        "{what}"
    );
    assert_eq!(udp.payload, b"inside", "{what}");
}

fn is_closed(link_type: LinkType, data: &[u8]) {
    let parsed = parse(link_type, data);
    assert!(
        matches!(parsed.network, Network::Other { .. }),
        "{parsed:?}"
    );
}

/// An IEEE 802.11 header: frame control, addresses; `rest` is QoS control and the like.
fn wireless(control: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let [a1, a2, a3] = match flags & 3 {
        0 => [DESTINATION_MAC, SOURCE_MAC, ACCESS_POINT],
        1 => [ACCESS_POINT, SOURCE_MAC, DESTINATION_MAC],
        2 => [DESTINATION_MAC, ACCESS_POINT, SOURCE_MAC],
        _ => [ACCESS_POINT, ACCESS_POINT, DESTINATION_MAC],
    };
    bytes(&[&[control, flags, 0, 0], &a1, &a2, &a3, &[0, 0], rest])
}

const DATA: u8 = 0x08;
const QOS_DATA: u8 = 0x88;

#[test]
fn wireless_data_frames_in_clear_are_opened() {
    let snap = bytes(&[&SNAP_IPV4, &packet()]);
    let part_length = u16::try_from(snap.len()).unwrap().to_be_bytes();
    let frames = [
        ("ad hoc", wireless(DATA, 0, &snap)),
        ("to the access point", wireless(DATA, 1, &snap)),
        ("from the access point", wireless(DATA, 2, &snap)),
        (
            "between access points",
            wireless(DATA, 3, &bytes(&[&SOURCE_MAC, &snap])),
        ),
        ("QoS", wireless(QOS_DATA, 1, &bytes(&[&[0, 0], &snap]))),
        (
            "HT control",
            wireless(QOS_DATA, 0x81, &bytes(&[&[0; 6], &snap])),
        ),
        (
            "aggregate",
            wireless(
                QOS_DATA,
                1,
                &bytes(&[
                    &[0x80, 0],
                    &DESTINATION_MAC,
                    &SOURCE_MAC,
                    &part_length,
                    &snap,
                ]),
            ),
        ),
    ];
    for (what, data) in &frames {
        let parsed = parse(LinkType::Other(number::IEEE802_11), data);
        is_inside(&parsed, what);
        assert_eq!(parsed.source_mac, Some(SOURCE_MAC), "{what}");
        assert_eq!(parsed.destination_mac, Some(DESTINATION_MAC), "{what}");
    }
}

#[test]
fn wireless_frames_that_are_sealed_or_carry_no_packet_stay_closed() {
    let snap = bytes(&[&SNAP_IPV4, &packet()]);
    let mut later_fragment = wireless(DATA, 1, &snap);
    later_fragment[22] = 1;
    for data in [
        wireless(DATA, 0x41, &snap),
        wireless(0x48, 1, &snap),
        wireless(0x80, 0, &snap),
        wireless(0xb4, 0, &snap),
        later_fragment,
    ] {
        is_closed(LinkType::Other(number::IEEE802_11), &data);
    }
}

#[test]
fn what_a_wireless_card_tells_is_stepped_over() {
    let snap = bytes(&[&SNAP_IPV4, &packet()]);
    let data = wireless(DATA, 1, &snap);
    let qos = |padding: &[u8]| wireless(QOS_DATA, 1, &bytes(&[&[0, 0], padding, &snap]));
    let mut prism = vec![0x44, 0, 0, 0, 144, 0, 0, 0];
    prism.resize(144, 0);
    let mut prism_swapped = vec![0, 0, 0, 0x44, 0, 0, 0, 144];
    prism_swapped.resize(144, 0);
    let mut avs = vec![0x80, 0x21, 0x10, 1, 0, 0, 0, 64];
    avs.resize(64, 0);
    let frames = [
        (number::RADIOTAP, bytes(&[&[0, 0, 8, 0, 0, 0, 0, 0], &data])),
        // A time, then flags that tell of padding behind the header of 26 bytes.
        (
            number::RADIOTAP,
            bytes(&[&[0, 0, 17, 0, 3, 0, 0, 0], &[0; 8], &[0x20], &qos(&[0, 0])]),
        ),
        // The same flags behind two words of `present`, and no time.
        (
            number::RADIOTAP,
            bytes(&[
                &[0, 0, 13, 0, 2, 0, 0, 0x80, 0, 0, 0, 0],
                &[0x20],
                &qos(&[0, 0]),
            ]),
        ),
        (number::PRISM, bytes(&[&prism, &data])),
        (number::PRISM, bytes(&[&prism_swapped, &data])),
        (number::PRISM, bytes(&[&avs, &data])),
        (number::AVS, bytes(&[&avs, &data])),
        (number::PPI, bytes(&[&[0, 0, 8, 0, 105, 0, 0, 0], &data])),
    ];
    for (link_type, data) in &frames {
        is_inside(
            &parse(LinkType::Other(*link_type), data),
            &link_type.to_string(),
        );
    }
}

#[test]
fn serial_lines_and_rings_are_read() {
    let inside = packet();
    let addresses = bytes(&[&DESTINATION_MAC, &SOURCE_MAC]);
    let mut routed = addresses.clone();
    routed[6] |= 0x80;
    let frames: [(u16, Vec<u8>); 15] = [
        (number::PPP, bytes(&[&PPP_IPV4, &inside])),
        (number::PPP, bytes(&[&[0x21], &inside])),
        (number::PPP, bytes(&[&[0xff, 3, 0, 0x57], &packet6()])),
        (
            number::PPP,
            bytes(&[&[0xff, 3, 2, 0x81, 0, 1, 1, 64], &inside]),
        ),
        (number::PPP_HDLC, bytes(&[&PPP_IPV4, &inside])),
        (number::PPP_HDLC, bytes(&[&[0x0f, 0, 8, 0], &inside])),
        (
            number::PPP_ETHER,
            bytes(&[&[0x11, 0, 0, 7, 0, 44, 0, 0x21], &inside]),
        ),
        (number::C_HDLC, bytes(&[&[0x8f, 0, 8, 0], &inside])),
        (number::FRELAY, bytes(&[&[0x18, 0x41, 3, 0xcc], &inside])),
        (number::FRELAY, bytes(&[&[0x18, 0x41, 3, 0x8e], &packet6()])),
        (
            number::FRELAY,
            bytes(&[&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0], &inside]),
        ),
        (
            number::FDDI,
            bytes(&[&[0x50], &addresses, &SNAP_IPV4, &inside]),
        ),
        (
            number::IEEE802_5,
            bytes(&[&[0x10, 0x40], &addresses, &SNAP_IPV4, &inside]),
        ),
        (
            number::IEEE802_5,
            bytes(&[
                &[0x10, 0x40],
                &routed,
                &[6, 0x30, 0, 0x11, 0, 0x20],
                &SNAP_IPV4,
                &inside,
            ]),
        ),
        (number::ATM_RFC1483, bytes(&[&SNAP_IPV4, &inside])),
    ];
    for (link_type, data) in &frames {
        let parsed = parse(LinkType::Other(*link_type), data);
        is_inside(&parsed, &link_type.to_string());
        if matches!(*link_type, number::FDDI | number::IEEE802_5) {
            assert_eq!(parsed.source_mac, Some(SOURCE_MAC));
        }
    }
    // A token, a management frame, LCP.
    is_closed(LinkType::Other(number::IEEE802_5), &[0x10; 40]);
    is_closed(LinkType::Other(number::FDDI), &[0x41; 40]);
    is_closed(LinkType::Other(number::PPP), &[0xff, 3, 0xc0, 0x21, 1, 1]);
}

#[test]
fn headers_of_recorders_are_stepped_over() {
    let inside = packet();
    let length = u16::try_from(4 + inside.len()).unwrap();
    let mut tap = [108_u32, 1, 1].map(u32::to_le_bytes).concat();
    tap.extend(b"en0");
    tap.resize(108, 0);
    let frames = [
        // A prefix of five bytes, padded, before the payload; both byte orders.
        (
            number::NFLOG,
            bytes(&[
                &[2, 0, 0, 1, 5, 0, 10, 0, 0, 0, 0, 0],
                &length.to_le_bytes(),
                &[9, 0],
                &inside,
            ]),
        ),
        (
            number::NFLOG,
            bytes(&[
                &[2, 0, 0, 1, 0, 8, 0, 1, 8, 0, 0, 0],
                &length.to_be_bytes(),
                &[0, 9],
                &inside,
            ]),
        ),
        (number::PKTAP, bytes(&[&tap, &frame()])),
        (
            number::PPI,
            bytes(&[&[0, 0, 12, 0, 1, 0, 0, 0, 9, 9, 9, 9], &frame()]),
        ),
        (number::PFLOG, bytes(&[&[61, 2, 1, 0], &[0; 60], &inside])),
        (
            number::ENC,
            bytes(&[&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &inside]),
        ),
        (number::MPLS, bytes(&[&[0, 1, 1, 64], &inside])),
        (number::NETANALYZER, bytes(&[&[0; 4], &frame()])),
        (number::IPOIB, bytes(&[&[0; 40], &[8, 0, 0, 0], &packet()])),
    ];
    for (link_type, data) in &frames {
        is_inside(
            &parse(LinkType::Other(*link_type), data),
            &link_type.to_string(),
        );
    }
    // A tap within a tap is not followed; neither is an attribute that has no length.
    let mut nested = tap.clone();
    nested[8..12].copy_from_slice(&u32::from(number::PKTAP).to_le_bytes());
    is_closed(
        LinkType::Other(number::PKTAP),
        &bytes(&[&nested, &tap, &frame()]),
    );
    is_closed(
        LinkType::Other(number::NFLOG),
        &bytes(&[&[2, 0, 0, 1], &[0; 40]]),
    );
}

#[test]
fn loopback_headers_are_read_in_both_byte_orders() {
    for (family, packet) in [
        (2_u32, packet()),
        (10, packet6()),
        (24, packet6()),
        (30, packet6()),
    ] {
        for header in [family.to_le_bytes(), family.to_be_bytes()] {
            for link_type in [LinkType::Null, LinkType::Loop] {
                let data = bytes(&[&header, &packet]);
                is_inside(&parse(link_type, &data), &family.to_string());
            }
        }
    }
}

#[test]
fn cooked_captures_also_carry_tags_and_llc() {
    let cooked = |protocol: [u8; 2], rest: &[u8]| {
        let v1 = bytes(&[&[0, 4, 0, 1, 0, 6], &SOURCE_MAC, &[0, 0], &protocol, rest]);
        let v2 = bytes(&[
            &protocol,
            &[0, 0, 0, 0, 0, 3, 0, 1, 4, 6],
            &SOURCE_MAC,
            &[0, 0],
            rest,
        ]);
        [(LinkType::LinuxCookedV1, v1), (LinkType::LinuxCookedV2, v2)]
    };
    let tagged = bytes(&[&[0, 100, 8, 0], &packet()]);
    let snap = bytes(&[&SNAP_IPV4, &packet()]);
    let frames = [
        cooked([8, 0], &packet()),
        cooked([0x81, 0], &tagged),
        // ETH_P_802_2
        cooked([0, 4], &snap),
    ];
    for (link_type, data) in frames.as_flattened() {
        let parsed = parse(*link_type, data);
        is_inside(&parsed, &format!("{link_type:?}"));
        assert_eq!(parsed.source_mac, Some(SOURCE_MAC));
    }
    // The address of another kind of device (a tunnel's is four bytes) is no MAC.
    let tunnel = bytes(&[
        &[0, 4, 3, 10, 0, 4, 10, 0, 0, 1, 0, 0, 0, 0, 8, 0],
        &packet(),
    ]);
    let parsed = parse(LinkType::LinuxCookedV1, &tunnel);
    is_inside(&parsed, "tunnel device");
    assert_eq!(parsed.source_mac, None);
}

#[test]
fn three_vlan_tags_are_listed_from_the_outside() {
    let tags = [0, 100, 0x88, 0xa8, 0, 101, 0x81, 0, 0x60, 102, 8, 0];
    let data = ethernet(0x9100, &bytes(&[&tags, &packet()]));
    let parsed = parse(LinkType::Ethernet, &data);
    is_inside(&parsed, "three tags");
    assert_eq!(parsed.vlans, [100, 101, 102]);
}

#[test]
fn what_stands_behind_mpls_labels_is_told_by_its_bytes() {
    let labels = [0, 1, 0, 64, 0, 2, 1, 64];
    for inside in [
        packet(),
        packet6(),
        // A pseudo-wire with a control word, with one that numbers, and without.
        bytes(&[&[0, 0, 0, 0], &frame()]),
        bytes(&[&[0, 0, 0, 9], &frame()]),
        frame(),
    ] {
        let data = ethernet(0x8847, &bytes(&[&labels, &inside]));
        is_inside(&parse(LinkType::Ethernet, &data), "MPLS");
    }
    // The channel that belongs to a pseudo-wire (RFC 4385, section 5), and no last label.
    let channel = bytes(&[&labels, &[0x10, 0, 0, 0x21], &packet()]);
    is_closed(LinkType::Ethernet, &ethernet(0x8847, &channel));
    is_closed(LinkType::Ethernet, &ethernet(0x8848, &[0; 64]));
}

#[test]
fn tags_of_switches_are_taken_off() {
    let inside = packet();
    let snap = bytes(&[&SNAP_IPV4, &inside]);
    let frames = [
        (
            "PPPoE",
            0x8864,
            bytes(&[&[0x11, 0, 0, 7, 0, 44, 0, 0x21], &inside]),
        ),
        ("SNAP", 64, snap),
        ("LLC", 64, bytes(&[&[6, 6, 3], &inside])),
        ("802.1ah", 0x88e7, bytes(&[&[0, 0, 0, 7], &frame()])),
        ("FabricPath", 0x8903, bytes(&[&[0, 0x20], &frame()])),
        ("TRILL", 0x22f3, bytes(&[&[0, 5, 0, 1, 0, 2], &frame()])),
        (
            "TRILL with an option",
            0x22f3,
            bytes(&[&[0, 0x45, 0, 1, 0, 2, 9, 9, 9, 9], &frame()]),
        ),
        ("VN-Tag", 0x8926, bytes(&[&[0, 1, 0, 2, 8, 0], &inside])),
        (
            "E-Tag",
            0x893f,
            bytes(&[&[0, 0, 0, 1, 0, 0, 8, 0], &inside]),
        ),
        (
            "Cisco metadata",
            0x8909,
            bytes(&[&[1, 1, 0, 1, 0, 9, 8, 0], &inside]),
        ),
        ("HSR", 0x892f, bytes(&[&[0, 46, 0, 1, 8, 0], &inside])),
        (
            "service header, IP",
            0x894f,
            bytes(&[&[0, 2, 2, 1, 0, 0, 0, 7], &inside]),
        ),
        (
            "service header with metadata, Ethernet",
            0x894f,
            bytes(&[&[0, 3, 2, 3, 0, 0, 0, 7, 9, 9, 9, 9], &frame()]),
        ),
    ];
    for (what, ether_type, body) in &frames {
        let data = ethernet(*ether_type, body);
        let parsed = parse(LinkType::Ethernet, &data);
        is_inside(&parsed, what);
        assert_eq!(parsed.source_mac, Some(SOURCE_MAC), "{what}");
        // Behind a VLAN tag, too.
        let tagged = ethernet(0x8100, &bytes(&[&[0, 7], &ether_type.to_be_bytes(), body]));
        let parsed = parse(LinkType::Ethernet, &tagged);
        is_inside(&parsed, what);
        assert_eq!(parsed.vlans, [7], "{what}");
    }
    // PPPoE discovery carries no packet.
    is_closed(
        LinkType::Ethernet,
        &ethernet(0x8864, &[0x11, 9, 0, 0, 0, 0, 0, 0x21]),
    );
}

proptest! {
    #[test]
    fn no_bytes_break_a_link_type(
        link_type in prop::sample::select(number::READ.to_vec()),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = parse_inner(&parse(LinkType::Other(link_type), &bytes));
    }

    #[test]
    fn no_bytes_break_a_tunnel(
        port in prop::sample::select(vec![4789_u16, 4790, 6081, 3544, 2152, 1701, 4341, 5072, 4754, 6635]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let outer = ipv4(17, OUTER, &udp(50_000, port, &bytes));
        let _ = parse_inner(&parse(LinkType::RawIp, &outer));
        let outer = ipv4(47, OUTER, &bytes);
        let _ = parse_inner(&parse(LinkType::RawIp, &outer));
    }

    #[test]
    fn no_bytes_break_an_encapsulation(
        ether_type in prop::sample::select(vec![
            0x8847_u16, 0x8864, 0x88e7, 0x8903, 0x8909, 0x8926, 0x893f, 0x892f, 0x894f, 0x22f3, 60,
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = parse(LinkType::Ethernet, &ethernet(ether_type, &bytes));
    }
}
