//! Packets that come in fragments: nothing is told in another way for that.

use super::{CLIENT, Flags, RESOLVER, SECOND, Script, question, server};
use crate::capture::{Direction, Fact, Frame, HookKind, LinkType, Observation};
use crate::journey::limits::Limits;
use crate::journey::model::Document;
use etherparse::{IpFragOffset, IpNumber, Ipv4Header, PacketBuilder, ip_number};

/// A query in a UDP datagram, from the IP header on.
fn query(id: u16) -> Vec<u8> {
    let udp = PacketBuilder::ipv4(CLIENT.octets(), RESOLVER.octets(), 64).udp(50_000 + id, 53);
    let mut packet = Vec::new();
    udp.write(&mut packet, &question(id, 0x0100, 0, "www.shop.test"))
        .unwrap();
    packet
}

/// A frame with this payload of an IP packet; `offset` in bytes.
fn fragment(protocol: IpNumber, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut header =
        Ipv4Header::new(length, 64, protocol, CLIENT.octets(), RESOLVER.octets()).unwrap();
    header.identification = 7;
    header.fragment_offset = IpFragOffset::try_new(offset / 8).unwrap();
    header.more_fragments = more;
    let mut frame = [&[2; 6][..], &[4; 6], &[8, 0]].concat();
    header.write(&mut frame).unwrap();
    frame.extend(payload);
    frame
}

/// Frames that were seen at one moment.
fn seen(script: &mut Script, frames: &[Vec<u8>]) {
    script.at_ns += 1000;
    for data in frames {
        let fact = Fact::Frame(Frame {
            interface: 2,
            direction: Direction::Unknown,
            hook: HookKind::Pcap,
            link_type: LinkType::Ethernet,
            cookie: None,
            original_length: u32::try_from(data.len()).unwrap(),
            data: data.clone(),
            note: None,
        });
        let at_ns = script.at_ns;
        script.assembler.observe(Observation { at_ns, fact });
    }
}

/// The payload of an IP packet in one frame, or in two.
fn frames(protocol: IpNumber, payload: &[u8], fragmented: bool) -> Vec<Vec<u8>> {
    let (first, last) = payload.split_at(16);
    match fragmented {
        true => vec![
            fragment(protocol, 0, true, first),
            fragment(protocol, 16, false, last),
        ],
        false => vec![fragment(protocol, 0, false, payload)],
    }
}

#[test]
fn a_tunnel_is_opened_when_its_packet_is_whole() {
    for fragmented in [false, true] {
        let mut script = Script::of_file(Limits::default());
        seen(&mut script, &frames(ip_number::IPV4, &query(1), fragmented));
        let names = script.finish().document.dns.into_iter();
        let names: Vec<_> = names.map(|it| it.question.name).collect();
        assert_eq!(names, ["www.shop.test"], "in fragments: {fragmented}");
    }
}

/// A query over TCP, and one over UDP when that is read.
fn both_transports(fragmented: bool) -> Document {
    let mut script = Script::of_file(Limits::default());
    let mut wire = script.wire(40_001, (server(1), 53));
    script.open(&mut wire);
    let message = question(1, 0x0100, 0, "tcp.shop.test");
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    let message = [&length, message.as_slice()].concat();
    script.segment(&mut wire, true, Flags::Ack, &message);
    script.close(&mut wire);
    script.wait(SECOND);
    // The header of the IP packet is written anew.
    let query = query(2)[20..].to_vec();
    seen(&mut script, &frames(ip_number::UDP, &query, fragmented));
    script.finish().document
}

#[test]
fn exchanges_are_numbered_as_if_the_packet_had_come_whole() {
    let told = |fragmented| {
        let dns = both_transports(fragmented).dns.into_iter();
        dns.map(|it| (it.id, it.question.name)).collect::<Vec<_>>()
    };
    assert_eq!(told(false).len(), 2);
    assert_eq!(told(true), told(false));
}
