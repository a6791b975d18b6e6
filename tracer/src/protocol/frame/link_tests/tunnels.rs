//! Packets in packets.

use super::*;

fn leads_inside(what: &str, outer: &[u8]) {
    let parsed = parse(LinkType::RawIp, outer);
    let Network::Ip(ip) = &parsed.network else {
        panic!("{what}: {parsed:?}")
    };
    assert_ne!(ip.source, IpAddr::from([10, 77, 1, 10]), "{what}");
    let inner = parse_inner(&parsed).unwrap_or_else(|| panic!("{what}: no tunnel: {parsed:?}"));
    is_inside(&inner, what);
    // A piece of a tunnel packet is not opened before it is whole.
    let mut piece = outer.to_vec();
    piece[6] = 0x20;
    assert_eq!(parse_inner(&parse(LinkType::RawIp, &piece)), None, "{what}");
    // Cut anywhere, it does not break.
    for kept in 0..outer.len() {
        let _ = parse_inner(&parse(LinkType::RawIp, &outer[..kept]));
    }
}

#[test]
fn ip_carries_ip_frames_and_labels() {
    for (what, protocol, body) in [
        ("4in4", 4, packet()),
        ("6in4", 41, packet6()),
        ("EtherIP", 97, bytes(&[&[0x30, 0], &frame()])),
        ("MPLS in IP", 137, bytes(&[&[0, 1, 1, 64], &packet()])),
    ] {
        leads_inside(what, &ipv4(protocol, OUTER, &body));
    }
    let outer = ipv6(4, &packet());
    let parsed = parse(LinkType::RawIp, &outer);
    is_inside(&parse_inner(&parsed).unwrap(), "4in6");
    let outer = ipv6(41, &packet6());
    let parsed = parse(LinkType::RawIp, &outer);
    is_inside(&parse_inner(&parsed).unwrap(), "6in6");
}

#[test]
fn gre_carries_what_its_protocol_type_says() {
    let snap = bytes(&[&SNAP_IPV4, &packet()]);
    let cases: [(&str, &[u8], Vec<u8>); 13] = [
        ("IPv4", &[0, 0, 8, 0], packet()),
        ("IPv6", &[0, 0, 0x86, 0xdd], packet6()),
        (
            "checksum, key, sequence",
            &[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1],
            packet(),
        ),
        ("NVGRE", &[0x20, 0, 0x65, 0x58, 0, 0, 7, 0], frame()),
        ("MPLS", &[0, 0, 0x88, 0x47, 0, 1, 1, 64], packet()),
        (
            "PPTP",
            &[
                0x30, 0x81, 0x88, 0x0b, 0, 44, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21,
            ],
            packet(),
        ),
        ("ERSPAN I", &[0, 0, 0x88, 0xbe], frame()),
        (
            "ERSPAN II",
            &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0],
            frame(),
        ),
        (
            "ERSPAN III",
            &[
                0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
            frame(),
        ),
        (
            "ERSPAN III with its platform header",
            &[
                0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,
                0, 0, 0, 0,
            ],
            frame(),
        ),
        ("Aruba", &[0, 0, 0x82, 0], wireless(DATA, 1, &snap)),
        ("WCCP", &[0, 0, 0x88, 0x3e], packet()),
        ("WCCP version 2", &[0, 0, 0x88, 0x3e, 0, 51, 0, 0], packet()),
    ];
    for (what, header, body) in &cases {
        let payload = bytes(&[header, body]);
        leads_inside(what, &ipv4(47, OUTER, &payload));
        leads_inside(what, &ipv4(17, OUTER, &udp(50_000, 4754, &payload)));
    }
    // Source routing ended with RFC 2784; versions beyond PPTP's do not exist.
    for header in [[0x40, 0, 8, 0], [0, 2, 8, 0]] {
        let outer = ipv4(47, OUTER, &bytes(&[&header, &packet()]));
        assert_eq!(parse_inner(&parse(LinkType::RawIp, &outer)), None);
    }
}

#[test]
fn tunnels_over_udp_are_told_by_their_port() {
    let identity_and_signature = [0; 36];
    let native = wireless(DATA, 1, &bytes(&[&SNAP_IPV4, &packet()]));
    let mut swapped = native.clone();
    swapped.swap(0, 1);
    let cases: [(&str, u16, &[u8], Vec<u8>); 20] = [
        ("VXLAN", 4789, &[8, 0, 0, 0, 0, 0, 7, 0], frame()),
        (
            "VXLAN of old Linux",
            8472,
            &[8, 0, 0, 0, 0, 0, 7, 0],
            frame(),
        ),
        (
            "VXLAN-GPE, IP",
            4790,
            &[0x0c, 0, 0, 1, 0, 0, 7, 0],
            packet(),
        ),
        (
            "VXLAN-GPE, Ethernet",
            4790,
            &[0x0c, 0, 0, 3, 0, 0, 7, 0],
            frame(),
        ),
        (
            "Geneve, Ethernet",
            6081,
            &[0, 0, 0x65, 0x58, 0, 0, 7, 0],
            frame(),
        ),
        (
            "Geneve with an option, IP",
            6081,
            &[1, 0, 8, 0, 0, 0, 7, 0, 1, 2, 3, 4],
            packet(),
        ),
        ("Teredo", 3544, &[], packet6()),
        ("Teredo, origin", 3544, &[0, 0, 1, 2, 3, 4, 5, 6], packet6()),
        (
            "Teredo, authentication of two and one bytes",
            3544,
            &[0, 1, 2, 1, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            packet6(),
        ),
        ("GTP-U", 2152, &[0x30, 255, 0, 34, 0, 0, 0, 1], packet()),
        (
            "GTP-U with a sequence number",
            2152,
            &[0x32, 255, 0, 38, 0, 0, 0, 1, 0, 1, 0, 0],
            packet(),
        ),
        (
            "GTP-U with an extension header",
            2152,
            &[0x34, 255, 0, 42, 0, 0, 0, 1, 0, 1, 0, 0x85, 1, 0, 9, 0],
            packet6(),
        ),
        (
            "L2TP",
            1701,
            &[0, 2, 0, 1, 0, 1, 0xff, 3, 0, 0x21],
            packet(),
        ),
        (
            "L2TP with length, sequence and offset",
            1701,
            &[
                0x4a, 2, 0, 60, 0, 1, 0, 1, 0, 1, 0, 1, 0, 2, 9, 9, 0xff, 3, 0, 0x21,
            ],
            packet(),
        ),
        ("CAPWAP", 5247, &[0, 0x10, 0x42, 0, 0, 0, 0, 0], frame()),
        (
            "CAPWAP, native, with information",
            5247,
            &[0, 0x20, 0x43, 0x20, 0, 0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0],
            native.clone(),
        ),
        (
            "CAPWAP, native, swapped",
            5247,
            &[0, 0x10, 0x43, 0, 0, 0, 0, 0],
            swapped,
        ),
        ("LISP", 4341, &[0x80, 0, 0, 1, 0, 0, 0, 1], packet()),
        ("MPLS", 6635, &[0, 1, 1, 64], packet()),
        (
            "AYIYA",
            5072,
            &[0x44, 0x52, 0x11, 41, 0, 0, 0, 1],
            bytes(&[&identity_and_signature, &packet6()]),
        ),
    ];
    for (what, port, header, body) in &cases {
        let payload = bytes(&[header, body]);
        leads_inside(what, &ipv4(17, OUTER, &udp(50_000, *port, &payload)));
        leads_inside(what, &ipv4(17, OUTER, &udp(*port, 50_000, &payload)));
        // A query from such a port is a query.
        let query = ipv4(17, OUTER, &udp(*port, 53, &payload));
        assert_eq!(parse_inner(&parse(LinkType::RawIp, &query)), None);
    }
}

#[test]
fn what_only_uses_the_port_of_a_tunnel_is_no_tunnel() {
    for (port, payload) in [
        // A Teredo bubble without a packet, GTP-U's echo, control messages of L2TP, AYIYA's
        // echo, a Geneve of the future.
        (3544, vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (2152, vec![0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0]),
        (1701, vec![0xc8, 2, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]),
        (
            5072,
            bytes(&[&[0x44, 0x52, 0x12, 59, 0, 0, 0, 1], &[0; 36]]),
        ),
        // DTLS, a fragment, and one that keeps alive.
        (5247, bytes(&[&[1, 0x10, 0x42, 0, 0, 0, 0, 0], &frame()])),
        (5247, bytes(&[&[0, 0x10, 0x42, 0x80, 0, 0, 0, 0], &frame()])),
        (5247, bytes(&[&[0, 0x10, 0x42, 0x08, 0, 0, 0, 0], &frame()])),
        (6081, bytes(&[&[0x80, 0, 0x65, 0x58, 0, 0, 7, 0], &frame()])),
        (2152, b"something else entirely".to_vec()),
    ] {
        let outer = ipv4(17, OUTER, &udp(50_000, port, &payload));
        let parsed = parse(LinkType::RawIp, &outer);
        assert_eq!(parse_inner(&parsed), None, "port {port}");
    }
}

#[test]
fn tunnels_within_tunnels_are_opened_one_at_a_time() {
    let inner = ipv4(47, [192, 0, 2, 9], &bytes(&[&[0, 0, 8, 0], &packet()]));
    let outer = ipv4(
        17,
        OUTER,
        &udp(
            50_000,
            4789,
            &bytes(&[&[8, 0, 0, 0, 0, 0, 7, 0], &ethernet(0x0800, &inner)]),
        ),
    );
    let parsed = parse(LinkType::RawIp, &outer);
    let first = parse_inner(&parsed).unwrap();
    let Network::Ip(ip) = &first.network else {
        panic!("{first:?}")
    };
    assert_eq!(ip.source, IpAddr::from([192, 0, 2, 9]));
    is_inside(&parse_inner(&first).unwrap(), "GRE in VXLAN");
}
