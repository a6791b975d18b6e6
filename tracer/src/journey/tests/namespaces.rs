//! Sockets of other network namespaces, and sockets that do not stay with one process.

use super::{CLIENT, PID, SECOND, Script, cookie_of, server};
use crate::capture::{
    Fact, HookKind, Interface, ProcessEvent, SocketOwner, SocketUse, TcpState, TcpStateChange,
};
use crate::journey::model::{Attribution, Outcome};
use std::net::{Ipv4Addr, SocketAddr};

const HERE: u32 = 7;
const THERE: u32 = 8;
const PORT: u16 = 40_001;

fn of_client(usage: SocketUse, pid: u32, namespace: u32) -> SocketOwner {
    SocketOwner {
        cookie: Some(cookie_of(PORT)),
        usage,
        pid,
        tid: pid,
        uid: 0,
        comm: format!("process-{pid}"),
        protocol: 6,
        local: Some(SocketAddr::from((CLIENT, PORT))),
        remote: Some(SocketAddr::from((server(1), 80))),
        network_namespace: Some(namespace),
        hook: HookKind::Tracepoint,
    }
}

/// A capture of this namespace, in which `CLIENT` is an address.
fn script(live: bool) -> Script {
    let mut script = Script::new(live);
    script.fact(Fact::NetworkNamespace(HERE));
    script.fact(Fact::Interface(Interface {
        index: 2,
        name: "eth0".to_owned(),
        mac: None,
        mtu: 1500,
        addresses: vec![(CLIENT.into(), 24)],
        temporary: Vec::new(),
        loopback: false,
    }));
    script
}

fn state(script: &mut Script, socket: u64, namespace: u32, local: Ipv4Addr) {
    script.fact(Fact::TcpState(TcpStateChange {
        socket,
        cookie: None,
        network_namespace: Some(namespace),
        from: TcpState::SynSent,
        to: TcpState::Established,
        local: SocketAddr::from((local, PORT)),
        remote: SocketAddr::from((server(1), 80)),
        current_pid: 0,
        hook: HookKind::Tracepoint,
    }));
}

#[test]
fn a_socket_elsewhere_with_an_address_of_this_namespace_is_another_one() {
    let mut script = script(false);
    let mut wire = script.connect(PORT, (server(1), 80));
    state(&mut script, 100, THERE, CLIENT);
    script.fact(Fact::SocketOwner(SocketOwner {
        cookie: None,
        ..of_client(SocketUse::Receive, 99, THERE)
    }));
    state(&mut script, 101, HERE, CLIENT);
    script.exchange(&mut wire, "10.77.2.1", "/");
    let connection = script.finish().document.connections.remove(0);
    assert_eq!(connection.states.len(), 1, "{:?}", connection.states);
    assert!(connection.client_readers.is_empty(), "{connection:?}");
}

#[test]
fn the_first_namespace_of_an_end_is_the_only_one() {
    // The client is not here: its packets come from the namespace of a container.
    let mut script = Script::new(false);
    script.fact(Fact::NetworkNamespace(HERE));
    let mut wire = script.wire(PORT, (server(1), 80));
    script.open(&mut wire);
    state(&mut script, 100, THERE, CLIENT);
    state(&mut script, 101, THERE + 1, CLIENT);
    script.exchange(&mut wire, "10.77.2.1", "/");
    let connection = script.finish().document.connections.remove(0);
    assert_eq!(connection.states.len(), 1, "{:?}", connection.states);
}

#[test]
fn what_others_do_elsewhere_is_told_of_a_command_and_not_of_the_host() {
    for live in [false, true] {
        let mut script = script(live);
        let local = None;
        script.fact(Fact::SocketOwner(SocketOwner {
            local,
            ..of_client(SocketUse::Connect, PID, THERE)
        }));
        script.wait(SECOND);
        if live {
            assert!(script.assembler.take_remaining().journeys.is_empty());
            continue;
        }
        let journey = script.finish().document.journeys.remove(0);
        assert_eq!(journey.outcome, Outcome::Incomplete);
        assert_eq!((&journey.failure, &journey.route), (&None, &None));
        assert_eq!(journey.gaps[0].class, "namespace");
    }
}

#[test]
fn a_connection_older_than_the_tracer_belongs_to_who_held_it_then() {
    for cookie in [Some(cookie_of(PORT)), None] {
        let mut script = script(true);
        script.fact(Fact::SocketOwner(SocketOwner {
            cookie,
            ..of_client(SocketUse::Seeded, 55, HERE)
        }));
        let mut unseen = Script::new(true);
        let mut wire = unseen.connect(PORT, (server(1), 80));
        script.request(&mut wire, "10.77.2.1", "/");
        script.response(&mut wire);
        script.wait(2 * SECOND);
        let process = script.finished().remove(0).process.expect("known");
        assert_eq!(process.pid, 55);
        assert_eq!(process.attribution, Attribution::Procfs);
    }
}

#[test]
fn an_address_that_is_used_again_is_not_the_older_socket() {
    let mut script = script(false);
    script.fact(Fact::SocketOwner(SocketOwner {
        cookie: None,
        ..of_client(SocketUse::Seeded, 55, HERE)
    }));
    let mut wire = script.wire(PORT, (server(1), 80));
    script.open(&mut wire);
    script.exchange(&mut wire, "10.77.2.1", "/");
    let connection = script.finish().document.connections.remove(0);
    assert_eq!(connection.client_process, None);
}

#[test]
fn who_opened_a_connection_stays_its_owner_and_who_reads_is_named() {
    let mut script = script(false);
    let mut wire = script.connect(PORT, (server(1), 80));
    script.fact(Fact::SocketOwner(of_client(SocketUse::Receive, PID, HERE)));
    script.fact(Fact::SocketOwner(of_client(SocketUse::Receive, 66, HERE)));
    script.exchange(&mut wire, "10.77.2.1", "/");
    let connection = script.finish().document.connections.remove(0);
    let owner = connection.client_process.expect("known");
    assert_eq!(
        (owner.pid, owner.attribution),
        (PID, Attribution::SocketCookie)
    );
    let readers: Vec<u32> = connection.client_readers.iter().map(|it| it.pid).collect();
    assert_eq!(readers, [66]);
}

#[test]
fn who_writes_is_named_beside_the_owner_where_writes_are_told() {
    let mut script = script(false);
    let mut wire = script.connect(PORT, (server(1), 80));
    script.fact(Fact::SocketOwner(of_client(SocketUse::Send, PID, HERE)));
    script.fact(Fact::SocketOwner(of_client(SocketUse::Send, 66, HERE)));
    script.exchange(&mut wire, "10.77.2.1", "/");
    let connection = script.finish().document.connections.remove(0);
    assert_eq!(connection.client_process.map(|owner| owner.pid), Some(PID));
    let writers = connection.client_writers.expect("told");
    assert_eq!(writers.len(), 1, "{writers:?}");
    assert_eq!(writers[0].pid, 66);
    assert!(connection.client_readers.is_empty());
    assert_eq!(connection.server_writers, None, "nobody is known to write");
}

#[test]
fn nobody_beside_the_owner_is_another_word_than_nothing_is_known() {
    let mut script = script(false);
    let mut wire = script.connect(PORT, (server(1), 80));
    script.fact(Fact::SocketOwner(of_client(SocketUse::Send, PID, HERE)));
    script.exchange(&mut wire, "10.77.2.1", "/");
    let connection = script.finish().document.connections.remove(0);
    assert_eq!(connection.client_writers, Some(Vec::new()));
}

#[test]
fn who_reads_is_the_owner_also_where_somebody_else_wrote_before() {
    let mut script = script(false);
    let mut wire = script.wire(PORT, (server(1), 80));
    script.open(&mut wire);
    script.fact(Fact::SocketOwner(of_client(SocketUse::Send, 66, HERE)));
    script.request(&mut wire, "10.77.2.1", "/");
    script.fact(Fact::SocketOwner(of_client(SocketUse::Receive, 55, HERE)));
    script.response(&mut wire);
    let connection = script.finish().document.connections.remove(0);
    assert_eq!(connection.client_process.map(|owner| owner.pid), Some(55));
    let writers = connection.client_writers.expect("told");
    assert_eq!(writers.first().map(|writer| writer.pid), Some(66));
}

#[test]
fn who_writes_is_the_owner_where_nobody_reads() {
    let mut script = script(false);
    let mut wire = script.wire(PORT, (server(1), 80));
    script.open(&mut wire);
    script.fact(Fact::SocketOwner(of_client(SocketUse::Send, 66, HERE)));
    script.exchange(&mut wire, "10.77.2.1", "/");
    let connection = script.finish().document.connections.remove(0);
    let owner = connection.client_process.expect("known");
    assert_eq!((owner.pid, owner.attribution), (66, Attribution::Tuple));
    assert_eq!(connection.client_writers, Some(Vec::new()));
}

#[test]
fn a_reader_is_surer_than_who_held_the_socket_before() {
    let mut script = script(false);
    script.fact(Fact::SocketOwner(of_client(SocketUse::Seeded, 55, HERE)));
    let mut unseen = Script::new(true);
    let mut wire = unseen.connect(PORT, (server(1), 80));
    script.request(&mut wire, "10.77.2.1", "/");
    script.fact(Fact::SocketOwner(of_client(SocketUse::Receive, 66, HERE)));
    script.response(&mut wire);
    let connection = script.finish().document.connections.remove(0);
    let owner = connection.client_process.expect("known");
    assert_eq!(
        (owner.pid, owner.attribution),
        (66, Attribution::SocketCookie)
    );
}

#[test]
fn a_thread_s_name_gives_way_to_that_of_the_process() {
    let mut script = script(false);
    let mut wire = script.wire(PORT, (server(1), 80));
    script.fact(Fact::SocketOwner(SocketOwner {
        tid: 78,
        comm: "worker".to_owned(),
        hook: HookKind::Cgroup,
        ..of_client(SocketUse::Connect, 77, HERE)
    }));
    script.open(&mut wire);
    script.exchange(&mut wire, "10.77.2.1", "/");
    script.fact(Fact::Process(ProcessEvent::Exit {
        pid: 77,
        comm: "program".to_owned(),
        code: 0,
    }));
    let connection = script.finish().document.connections.remove(0);
    assert_eq!(connection.client_process.expect("known").comm, "program");
}

/// The port of a listener says whose server it is in its own namespace only.
#[test]
fn a_listener_elsewhere_with_the_same_port_is_not_the_server() {
    let mut script = script(false);
    for (pid, namespace) in [(10, THERE), (11, HERE)] {
        script.fact(Fact::SocketOwner(SocketOwner {
            cookie: Some(u64::from(pid)),
            local: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80))),
            remote: None,
            ..of_client(SocketUse::Listen, pid, namespace)
        }));
    }
    let mut wire = script.connect(PORT, (server(1), 80));
    script.fact(Fact::TcpState(TcpStateChange {
        socket: 5,
        cookie: None,
        network_namespace: Some(THERE),
        from: TcpState::SynRecv,
        to: TcpState::Established,
        local: SocketAddr::from((server(1), 80)),
        remote: SocketAddr::from((CLIENT, PORT)),
        current_pid: 0,
        hook: HookKind::Tracepoint,
    }));
    script.exchange(&mut wire, "10.77.2.1", "/");
    let connection = script.finish().document.connections.remove(0);
    let owner = connection.server_process.expect("known");
    assert_eq!((owner.pid, owner.attribution), (10, Attribution::Tuple));
}
