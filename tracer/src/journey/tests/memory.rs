//! What is remembered, and what is forgotten.

use super::{SECOND, Script, server};
use crate::capture::{Direction, Fact, Frame, HookKind, LinkType, SocketOwner, SocketUse};
use crate::journey::model::NeighborOutcome;
use etherparse::{ArpEthIpv4Packet, ArpOperation, PacketBuilder};
use std::net::{Ipv4Addr, SocketAddr};

#[test]
fn a_closed_connection_is_forgotten_and_its_port_can_be_used_again() {
    let mut script = Script::new(true);
    for round in 0..3_u32 {
        let mut wire = script.connect_call(40_001, (server(1), 80));
        wire.client_next += round * 100_000;
        script.segment(&mut wire, true, super::Flags::Syn, b"");
        script.segment(&mut wire, false, super::Flags::SynAck, b"");
        script.segment(&mut wire, true, super::Flags::Ack, b"");
        script.exchange(&mut wire, "10.77.2.1", "/");
        script.wait(SECOND);
        assert_eq!(script.finished().len(), 1);
        assert_eq!(script.assembler.connections.iter().count(), 0);
    }
}

#[test]
fn the_least_recently_used_go_first_when_there_is_too_much_payload() {
    let mut script = Script::new(true);
    for port in 40_001..40_005 {
        let mut wire = script.connect(port, (server(1), 80));
        script.request(&mut wire, "10.77.2.1", "/");
    }
    let connections = &mut script.assembler.connections;
    let held: u64 = connections.iter().map(|c| c.held_bytes()).sum();
    assert!(held > 0);
    assert_eq!(connections.bound(100, held), 0);
    assert_eq!(connections.bound(100, held / 2), 2);
    let left: Vec<u16> = connections.iter().map(|c| c.client.port).collect();
    assert_eq!(left, [40_003, 40_004]);
    assert_eq!(connections.bound(1, held), 1);
}

#[test]
fn who_is_listened_to_is_the_server_of_an_older_connection() {
    let mut script = Script::new(true);
    script.fact(Fact::SocketOwner(SocketOwner {
        cookie: None,
        usage: SocketUse::Seeded,
        pid: 7,
        tid: 7,
        uid: 0,
        comm: "server".to_owned(),
        protocol: 6,
        local: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 45_000))),
        remote: None,
        network_namespace: None,
        hook: HookKind::Netlink,
    }));
    let mut unseen = Script::new(true);
    let mut wire = unseen.connect(33_000, (server(1), 45_000));
    script.response(&mut wire);
    let connection = script.assembler.connections.iter().next().unwrap();
    assert_eq!(connection.server.port, 45_000);
}

fn arp(script: &mut Script, out: bool, operation: ArpOperation, from: Ipv4Addr, to: Ipv4Addr) {
    let packet = ArpEthIpv4Packet {
        operation,
        sender_mac: [2, 0, 0, 0, 0, from.octets()[3]],
        sender_ipv4: from.octets(),
        target_mac: [0; 6],
        target_ipv4: to.octets(),
    };
    let mut data = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).arp(packet.into());
    builder.write(&mut data).unwrap();
    script.fact(Fact::Frame(Frame {
        interface: 2,
        direction: if out { Direction::Out } else { Direction::In },
        hook: HookKind::Xdp,
        link_type: LinkType::Ethernet,
        cookie: None,
        original_length: u32::try_from(data.len()).unwrap(),
        data,
        note: None,
    }));
}

#[test]
fn the_question_of_another_host_of_the_link_is_not_this_journey_s() {
    let mut script = Script::new(false);
    let (own, other) = (super::CLIENT, Ipv4Addr::new(10, 77, 1, 99));
    let wanted = server(1);
    let mut wire = script.connect_call(40_001, (wanted, 80));
    arp(&mut script, true, ArpOperation::REQUEST, own, wanted);
    arp(&mut script, false, ArpOperation::REQUEST, other, wanted);
    arp(&mut script, false, ArpOperation::REPLY, wanted, own);
    script.segment(&mut wire, true, super::Flags::Syn, b"");
    script.segment(&mut wire, false, super::Flags::SynAck, b"");
    script.segment(&mut wire, true, super::Flags::Ack, b"");
    script.exchange(&mut wire, "10.77.2.1", "/");
    let document = script.finish().document;
    let journey = &document.journeys[0];
    let exchange = document
        .neighbors
        .iter()
        .find(|exchange| Some(&exchange.id) == journey.neighbor.as_ref())
        .unwrap();
    assert_eq!(exchange.outcome, NeighborOutcome::Resolved);
    assert_eq!(exchange.mac.as_deref(), Some("02:00:00:00:00:01"));
    assert!(journey.phases.neighbor.is_some());
}

/// Found by measuring growth of the fuzz target `conversation`: what stood behind the 4096th
/// segment was left out without a word.
#[test]
fn dns_over_tcp_in_many_small_segments_is_read_to_its_end() {
    let question = |id: u16| {
        let mut message = vec![0, 24];
        message.extend(id.to_be_bytes());
        message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        message.extend(b"\x01x\x04test\x00\x00\x01\x00\x01");
        message
    };
    let mut script = Script::new(false);
    let mut wire = script.connect(40_001, (server(1), 53));
    for id in 0..500 {
        for part in question(id).chunks(2) {
            script.segment(&mut wire, true, super::Flags::Ack, part);
        }
    }
    let document = script.finish().document;
    assert_eq!(document.dns.len(), 500);
    assert!(document.capture.lost.is_empty());
}
