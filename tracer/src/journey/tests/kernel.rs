//! What the kernel tells of a connection beyond its states.

use super::{CLIENT, Flags, MS, SECOND, Script, Wire, cookie_of, server};
use crate::capture::{
    CongestionState, Fact, HookKind, Interface, ListenQueue, PacketDrop, ResetAction, SocketOwner,
    SocketUse, TcpReset, TcpRetransmit,
};
use crate::journey::model::{Attribution, Connection, End, Journey};
use std::net::{IpAddr, SocketAddr};

fn ends(wire: &Wire) -> (SocketAddr, SocketAddr) {
    let client = SocketAddr::from((CLIENT, wire.port));
    (client, SocketAddr::from(wire.server))
}

/// A request that is sent again, and what the kernel says of it.
fn sent_again(congestion: CongestionState, probes_for_loss: Option<bool>) -> Connection {
    let mut script = Script::new(false);
    let mut wire = script.connect(40_001, (server(1), 80));
    let sequence = wire.client_next;
    script.request(&mut wire, "shop.test", "/");
    let end_sequence = wire.client_next;
    script.wait(10 * MS);
    wire.client_next = sequence;
    script.request(&mut wire, "shop.test", "/");
    let (local, remote) = ends(&wire);
    script.fact(Fact::TcpRetransmit(TcpRetransmit {
        cookie: None,
        local,
        remote,
        sequence,
        end_sequence,
        congestion: Some(congestion),
        probes_for_loss,
        network_namespace: None,
        hook: HookKind::Tracepoint,
    }));
    script.response(&mut wire);
    script.close(&mut wire);
    script.finish().document.connections.remove(0)
}

#[test]
fn the_kernel_knows_why_a_segment_was_sent_again() {
    use CongestionState::{Disorder, Loss, Open, Recovery};
    for (congestion, probe, kind) in [
        (Loss, Some(false), "timeout"),
        (Recovery, Some(false), "fast"),
        (Recovery, Some(true), "fast"),
        (Open, Some(true), "tail_loss_probe"),
        (Disorder, None, "tail_loss_probe"),
    ] {
        let connection = sent_again(congestion, probe);
        let [entry] = connection.retransmissions.as_slice() else {
            panic!("{:?}", connection.retransmissions);
        };
        assert_eq!(
            (entry.kind.as_str(), entry.hook.as_str()),
            (kind, "tracepoint")
        );
    }
    // Nothing is made up where the kernel's state explains nothing.
    let connection = sent_again(Open, Some(false));
    assert_eq!(connection.retransmissions[0].hook, "frames");
}

/// Three requests, of which the first is sent again so soon behind the others that frames
/// alone do not tell it from one that was overtaken.
fn sent_again_soon(kernel_tells: bool) -> Connection {
    let mut script = Script::new(false);
    let mut wire = script.connect(40_001, (server(1), 80));
    let sequence = wire.client_next;
    script.request(&mut wire, "shop.test", "/");
    let end_sequence = wire.client_next;
    script.request(&mut wire, "shop.test", "/");
    script.request(&mut wire, "shop.test", "/");
    let next = std::mem::replace(&mut wire.client_next, sequence);
    script.request(&mut wire, "shop.test", "/");
    wire.client_next = next;
    let (local, remote) = ends(&wire);
    if kernel_tells {
        script.fact(Fact::TcpRetransmit(TcpRetransmit {
            cookie: None,
            local,
            remote,
            sequence,
            end_sequence,
            congestion: Some(CongestionState::Recovery),
            probes_for_loss: Some(false),
            network_namespace: None,
            hook: HookKind::Tracepoint,
        }));
    }
    script.close(&mut wire);
    script.finish().document.connections.remove(0)
}

#[test]
fn the_kernel_tells_what_was_sent_again_from_what_was_overtaken() {
    let connection = sent_again_soon(true);
    let [entry] = connection.retransmissions.as_slice() else {
        panic!("{:?}", connection.retransmissions);
    };
    assert_eq!((entry.kind.as_str(), entry.seq), ("fast", 0));
    assert_eq!(entry.hook, "tracepoint");
    assert!(sent_again_soon(false).retransmissions.is_empty());
}

#[test]
fn what_the_kernel_says_of_another_connection_changes_nothing() {
    let mut script = Script::new(false);
    let mut wire = script.connect(40_001, (server(1), 80));
    let (local, remote) = ends(&Wire {
        port: 40_002,
        ..wire
    });
    script.fact(Fact::TcpReset(TcpReset {
        action: ResetAction::Received,
        local,
        remote,
        reason: None,
        network_namespace: None,
        hook: HookKind::Tracepoint,
    }));
    script.exchange(&mut wire, "shop.test", "/");
    let connection = script.finish().document.connections.remove(0);
    assert!(connection.resets.is_empty());
}

fn refused(reason: &str) -> (Connection, Journey) {
    let mut script = Script::new(false);
    let mut wire = script.connect_call(40_001, (server(1), 80));
    script.segment(&mut wire, true, Flags::Syn, b"");
    let (source, destination) = ends(&wire);
    script.fact(Fact::PacketDrop(PacketDrop {
        cookie: None,
        reason: reason.to_owned(),
        protocol: 6,
        source,
        destination,
        sequence: wire.client_next.wrapping_sub(1),
        flags: 0x02,
        network_namespace: None,
        hook: HookKind::Tracepoint,
    }));
    script.segment(&mut wire, false, Flags::Reset, b"");
    let mut document = script.finish().document;
    (document.connections.remove(0), document.journeys.remove(0))
}

#[test]
fn a_drop_explains_the_failure_it_belongs_to() {
    let (connection, journey) = refused("NO_SOCKET");
    assert_eq!(connection.drops.len(), 1);
    assert_eq!(connection.drops[0].flags, "SYN");
    let finding = journey.findings.iter().find(|it| it.kind == "kernel_drop");
    let finding = finding.expect("a finding");
    assert!(finding.message.contains("NO_SOCKET"), "{}", finding.message);
    let mut lines = journey.timeline.iter();
    assert!(lines.any(|line| line.evidence == "tracepoint kfree_skb"));
}

#[test]
fn a_segment_that_the_kernel_sends_for_a_closed_socket_changes_no_owner() {
    let mut script = Script::new(false);
    let mut wire = script.connect(40_000, (server(1), 80));
    let (client, peer) = ends(&wire);
    script.request(&mut wire, "shop.test", "/");
    script.response(&mut wire);
    script.fact(Fact::SocketOwner(SocketOwner {
        cookie: Some(cookie_of(wire.port)),
        usage: SocketUse::Receive,
        pid: super::PID,
        tid: super::PID,
        uid: 1000,
        comm: "client".to_owned(),
        protocol: 6,
        local: Some(client),
        remote: Some(peer),
        network_namespace: None,
        hook: HookKind::Tracepoint,
    }));
    script.close(&mut wire);
    // The control socket of this processor.
    script.segment_of(&mut wire, true, Flags::Reset, b"", Some(99));
    let journeys = script.journeys();
    let process = journeys[0].process.as_ref().expect("a process");
    assert_eq!(process.attribution, Attribution::SocketCookie);
}

#[test]
fn a_reset_that_was_obeyed_is_not_a_drop() {
    let (connection, journey) = refused("TCP_RESET");
    assert!(connection.drops.is_empty());
    assert!(journey.findings.iter().all(|it| it.kind != "kernel_drop"));
}

#[test]
fn a_window_that_stays_closed_is_told_once() {
    let mut script = Script::new(false);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.request(&mut wire, "shop.test", "/");
    script.response(&mut wire);
    script.window = 0;
    script.segment(&mut wire, true, Flags::Ack, b"");
    script.segment(&mut wire, true, Flags::Ack, b"");
    script.window = 1000;
    script.segment(&mut wire, true, Flags::Ack, b"");
    script.close(&mut wire);
    let document = script.finish().document;
    assert_eq!(document.connections[0].zero_windows.len(), 1);
    let findings = &document.journeys[0].findings;
    assert!(
        findings.iter().any(|it| it.kind == "zero_window"),
        "{findings:?}"
    );
}

/// A SYN that is answered only when it comes again, while some listening queue was full.
fn waited(server_is_here: bool) -> Journey {
    let mut script = Script::new(false);
    if server_is_here {
        script.fact(Fact::Interface(Interface {
            index: 2,
            name: "eth0".to_owned(),
            mac: None,
            mtu: 1500,
            addresses: vec![(IpAddr::V4(server(1)), 24)],
            temporary: Vec::new(),
            loopback: false,
        }));
    }
    let mut wire = script.connect_call(40_001, (server(1), 80));
    let first = wire;
    script.segment(&mut wire, true, Flags::Syn, b"");
    script.wait(SECOND);
    script.fact(Fact::ListenQueue(ListenQueue {
        overflows: 3,
        drops: 3,
    }));
    wire = first;
    script.segment(&mut wire, true, Flags::Syn, b"");
    script.segment(&mut wire, false, Flags::SynAck, b"");
    script.segment(&mut wire, true, Flags::Ack, b"");
    script.exchange(&mut wire, "shop.test", "/");
    script.journeys().remove(0)
}

#[test]
fn a_full_listening_queue_is_told_where_the_server_is_on_this_host() {
    let is_told = |journey: Journey| {
        let mut findings = journey.findings.iter();
        findings.any(|finding| finding.kind == "listen_overflow")
    };
    assert!(is_told(waited(true)));
    assert!(!is_told(waited(false)));
}

/// A SYN that never became a frame, of the socket of this port.
fn dropped_on_its_way_out(port: u16) -> Fact {
    Fact::PacketDrop(PacketDrop {
        cookie: Some(cookie_of(port)),
        reason: "NETFILTER_DROP".to_owned(),
        protocol: 6,
        source: (CLIENT, port).into(),
        destination: (server(1), 80).into(),
        sequence: 1,
        flags: 0x02,
        network_namespace: None,
        hook: HookKind::Tracepoint,
    })
}

#[test]
fn a_segment_dropped_before_it_was_a_frame_is_known_by_its_socket() {
    let mut script = Script::new(false);
    let mut wire = script.connect_call(40_001, (server(1), 80));
    script.fact(dropped_on_its_way_out(40_001));
    // Somebody else's.
    script.fact(dropped_on_its_way_out(40_002));
    // The next one leaves, and is the same attempt.
    script.open(&mut wire);
    script.exchange(&mut wire, "shop.test", "/");
    let document = script.finish().document;
    let [connection] = &document.connections[..] else {
        panic!("{:#?}", document.connections);
    };
    let reasons: Vec<_> = connection.drops.iter().map(|it| &it.reason[..]).collect();
    assert_eq!(reasons, ["NETFILTER_DROP"]);
    assert_eq!(connection.drops[0].end, End::Client);
    assert_eq!(connection.client.port, 40_001);
}

#[test]
fn an_attempt_of_which_every_segment_was_dropped_has_its_source_port() {
    let mut script = Script::new(false);
    script.connect_call(40_001, (server(1), 80));
    script.fact(dropped_on_its_way_out(40_001));
    let document = script.finish().document;
    let connection = &document.connections[0];
    assert_eq!(
        (connection.client.port, connection.drops.len()),
        (40_001, 1)
    );
}
