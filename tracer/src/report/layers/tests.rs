use super::{TextOptions, render_journey};
use crate::capture::{Direction, Frame, HookKind, LinkType};
use crate::journey::model::Packet;
use crate::report::examples;
use crate::report::style::Style;
use etherparse::PacketBuilder;
use proptest::prelude::*;

const CLIENT: [u8; 6] = [2, 0x42, 0x0a, 0x4d, 1, 0x0a];
const GATEWAY: [u8; 6] = [2, 0x42, 0x0a, 0x4d, 1, 1];

fn packet(role: &str, link_type: LinkType, data: Vec<u8>) -> Packet {
    Packet {
        at_ns: 3_570_000,
        number: 9,
        journey: "j1".into(),
        role: role.into(),
        interface: Some("client0".into()),
        frame: Frame {
            interface: 2,
            direction: Direction::Out,
            hook: HookKind::Tcx,
            link_type,
            cookie: None,
            original_length: u32::try_from(data.len()).expect("a short packet"),
            data,
            note: None,
        },
        kernel_path: None,
        application: None,
    }
}

fn shown(packet: &Packet, options: &TextOptions) -> String {
    let document = examples::shop();
    render_journey(&document.journeys[0], std::slice::from_ref(packet), options)
}

fn tcp(payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT, GATEWAY)
        .ipv4([10, 77, 1, 10], [10, 77, 2, 80], 64)
        .tcp(41_234, 443, 3_105_117_221, 64_240)
        .ack(918_273_646)
        .psh();
    built(payload, |bytes| {
        builder.write(bytes, payload).map_err(|_| ())
    })
}

fn built(payload: &[u8], write: impl FnOnce(&mut Vec<u8>) -> Result<(), ()>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 80);
    write(&mut bytes).expect("memory takes everything");
    bytes
}

fn syn() -> Vec<u8> {
    use etherparse::TcpOptionElement::{
        MaximumSegmentSize, Noop, SelectiveAcknowledgementPermitted, Timestamp, WindowScale,
    };
    let options = [
        MaximumSegmentSize(1460),
        SelectiveAcknowledgementPermitted,
        Timestamp(1_234_567, 0),
        Noop,
        WindowScale(7),
    ];
    let builder = PacketBuilder::ethernet2(CLIENT, GATEWAY)
        .ipv4([10, 77, 1, 10], [10, 77, 2, 80], 64)
        .tcp(41_234, 443, 3_105_117_220, 64_240)
        .syn()
        .options(&options)
        .expect("options that fit");
    built(&[], |bytes| builder.write(bytes, &[]).map_err(|_| ()))
}

/// A query for `www.shop.test A`, id 0x2f1a, over IPv6.
fn dns_query() -> Vec<u8> {
    let mut message = vec![0x2f, 0x1a, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in ["www", "shop", "test"] {
        message.push(u8::try_from(label.len()).expect("a label"));
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    let address = |last: u16| std::net::Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, last).octets();
    let builder = PacketBuilder::ethernet2(CLIENT, GATEWAY)
        .vlan(etherparse::VlanHeader::Single(
            etherparse::SingleVlanHeader {
                pcp: etherparse::VlanPcp::ZERO,
                drop_eligible_indicator: false,
                vlan_id: etherparse::VlanId::try_new(42).expect("a VLAN"),
                ether_type: etherparse::ether_type::IPV6,
            },
        ))
        .ipv6(address(0x10), address(0x53), 64)
        .udp(43_117, 53);
    built(&message, |bytes| {
        builder.write(bytes, &message).map_err(|_| ())
    })
}

fn arp_request() -> Vec<u8> {
    let mut bytes = vec![0xff; 6];
    bytes.extend(CLIENT);
    bytes.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    bytes.extend(CLIENT);
    bytes.extend([10, 77, 1, 10, 0, 0, 0, 0, 0, 0, 10, 77, 1, 1]);
    bytes
}

fn client_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0xe7; 32]);
    body.push(0);
    body.extend([0, 4, 0x13, 2, 0x13, 1, 1, 0]);
    let mut extensions = vec![0, 0, 0, 18, 0, 16, 0, 0, 13];
    extensions.extend(b"www.shop.test");
    extensions.extend([0, 43, 0, 5, 4, 3, 4, 3, 3]);
    extensions.extend([0, 16, 0, 5, 0, 3, 2, b'h', b'2']);
    extensions.extend([0, 10, 0, 4, 0, 2, 0, 0x1d]);
    body.extend(
        u16::try_from(extensions.len())
            .expect("short")
            .to_be_bytes(),
    );
    body.extend(extensions);
    let mut record = vec![22, 3, 1];
    let length = u16::try_from(body.len()).expect("short");
    record.extend((length + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend(length.to_be_bytes());
    record.extend(body);
    record
}

fn options(width: usize, unicode: bool) -> TextOptions {
    TextOptions {
        style: Style {
            width,
            unicode,
            color: false,
        },
        ..TextOptions::default()
    }
}

#[test]
fn every_header_field_has_its_name() {
    let wide = options(100, true);
    insta::assert_snapshot!(
        "syn",
        shown(&packet("SYN", LinkType::Ethernet, syn()), &wide)
    );
    insta::assert_snapshot!(
        "arp",
        shown(
            &packet("neighbour request", LinkType::Ethernet, arp_request()),
            &wide
        )
    );
    insta::assert_snapshot!(
        "dns_ipv6_vlan",
        shown(&packet("DNS query", LinkType::Ethernet, dns_query()), &wide)
    );
    insta::assert_snapshot!(
        "client_hello",
        shown(
            &packet("ClientHello", LinkType::Ethernet, tcp(&client_hello())),
            &wide
        )
    );
}

#[test]
fn narrow_and_ascii_boxes_stay_boxes() {
    let narrow = options(80, false);
    let text = shown(
        &packet("ClientHello", LinkType::Ethernet, tcp(&client_hello())),
        &narrow,
    );
    assert!(text.is_ascii());
    insta::assert_snapshot!("client_hello_ascii_80", text);
    for line in text.lines().skip(2) {
        assert_eq!(line.len(), 80, "{line}");
    }
}

#[test]
fn the_secrets_of_an_http_head_are_redacted_unless_asked_for() {
    let request = b"POST /login?token=abc123&lang=en HTTP/1.1\r\nHost: www.shop.test\r\n\
        Cookie: session=s3cr3t\r\nContent-Length: 12\r\n\r\npassword=xyz";
    let packet = packet("first request", LinkType::Ethernet, tcp(request));
    let hidden = shown(&packet, &options(100, true));
    insta::assert_snapshot!("http_request", hidden);
    for secret in ["abc123", "s3cr3t", "xyz"] {
        assert!(!hidden.contains(secret), "{hidden}");
    }
    let mut all = options(100, true);
    all.show_secrets = true;
    let open = shown(&packet, &all);
    for secret in ["abc123", "s3cr3t", "password=xyz"] {
        assert!(open.contains(secret), "{open}");
    }
}

#[test]
fn decrypted_text_is_the_innermost_box() {
    let mut sealed = vec![23, 3, 3, 0, 20];
    sealed.extend([0xaa; 20]);
    let mut packet = packet("first response", LinkType::Ethernet, tcp(&sealed));
    packet.application = Some(b"HTTP/1.1 200 OK\r\nSet-Cookie: id=s3cr3t\r\n\r\n<html>".to_vec());
    let text = shown(&packet, &options(100, true));
    insta::assert_snapshot!("decrypted_response", text);
    assert!(!text.contains("s3cr3t"), "{text}");
}

#[test]
fn packets_of_other_journeys_are_not_shown() {
    let mut other = packet("SYN", LinkType::Ethernet, syn());
    other.journey = "j2".into();
    assert_eq!(shown(&other, &options(80, true)), "");
}

#[test]
fn a_packet_cut_anywhere_is_opened_as_far_as_it_goes() {
    for whole in [syn(), arp_request(), dns_query(), tcp(&client_hello())] {
        for length in 0..whole.len() {
            let cut = packet("SYN", LinkType::Ethernet, whole[..length].to_vec());
            let text = shown(&cut, &options(80, true));
            assert!(text.contains("Ethernet"), "{length}: {text}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_make_boxes_of_the_right_width_without_controls(
        data in proptest::collection::vec(any::<u8>(), 0..200),
        start in 0usize..5, link in 0usize..6, width in 0usize..140, unicode: bool,
        application in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..100)),
        show_secrets: bool,
    ) {
        let links = [
            LinkType::Ethernet, LinkType::RawIp, LinkType::LinuxCookedV1,
            LinkType::LinuxCookedV2, LinkType::Null, LinkType::Loop,
        ];
        let mut bytes = [Vec::new(), syn(), arp_request(), dns_query(), tcp(&client_hello())][start].clone();
        let keep = bytes.len().saturating_sub(data.len());
        bytes.truncate(keep);
        bytes.extend(&data);
        let mut packet = packet("any", links[link], bytes);
        packet.application = application;
        let mut options = options(width, unicode);
        options.show_secrets = show_secrets;
        let text = shown(&packet, &options);
        let columns = width.max(Style::MINIMUM_WIDTH);
        for line in text.lines() {
            prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
            prop_assert!(crate::report::style::width_of(line) <= columns, "{}", line);
        }
    }
}
