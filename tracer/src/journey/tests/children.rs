//! Children of a listener, of which a connection needs one.

use super::{CLIENT, Script, server};
use crate::capture::{Fact, HookKind, TcpState, TcpStateChange};
use std::net::{Ipv4Addr, SocketAddr};

const PORT: u16 = 40_001;

/// A change of a child's state. Its addresses are written after it has left LISTEN.
fn changes(script: &mut Script, socket: u64, from: TcpState, to: TcpState) {
    let (local, remote) = match from {
        TcpState::Listen => (
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80)),
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        ),
        _ => (
            SocketAddr::from((server(1), 80)),
            SocketAddr::from((CLIENT, PORT)),
        ),
    };
    script.fact(Fact::TcpState(TcpStateChange {
        socket,
        cookie: None,
        network_namespace: None,
        from,
        to,
        local,
        remote,
        current_pid: 0,
        hook: HookKind::Tracepoint,
    }));
    script.wait(1_000);
}

fn told(changes_of: &[(u64, TcpState, TcpState)]) -> Vec<String> {
    let mut script = Script::new(false);
    let mut wire = script.wire(PORT, (server(1), 80));
    script.open(&mut wire);
    for (socket, from, to) in changes_of {
        changes(&mut script, *socket, *from, *to);
    }
    script.exchange(&mut wire, "shop.test", "/");
    let connection = script.finish().document.connections.remove(0);
    let states = connection.states.iter();
    states.map(|it| format!("{}>{}", it.from, it.to)).collect()
}

#[test]
fn a_child_that_lost_the_race_for_its_connection_is_not_told() {
    use TcpState::{Close, Established, Listen, SynRecv};
    let (winner, loser) = (1, 2);
    let born = |child| (child, Listen, SynRecv);
    let fails = (loser, SynRecv, Close);
    let lives = (winner, SynRecv, Established);
    for order in [
        [born(winner), born(loser), fails, lives],
        [born(winner), lives, born(loser), fails],
        [born(loser), born(winner), lives, fails],
        [born(loser), fails, born(winner), lives],
    ] {
        assert_eq!(told(&order), ["LISTEN>SYN_RECV", "SYN_RECV>ESTABLISHED"]);
    }
}

#[test]
fn a_handshake_that_fails_has_the_states_of_its_only_child() {
    use TcpState::{Close, Listen, SynRecv};
    let order = [(2, Listen, SynRecv), (2, SynRecv, Close)];
    assert_eq!(told(&order), ["LISTEN>SYN_RECV", "SYN_RECV>CLOSED"]);
}
