//! Events that the kernel could not hand over: who is told, and who is not.

use super::{CLIENT, MS, SECOND, Script, server};
use crate::capture::{Fact, HookKind, TcpState, TcpStateChange};
use crate::journey::model::Outcome;
use std::net::SocketAddr;

/// Three requests a second apart, with frames lost while the second one was under way.
fn script() -> Script {
    let mut script = Script::new(false);
    for (port, last) in [(40_001, 1), (40_002, 2), (40_003, 3)] {
        let mut wire = script.connect(port, (server(last), 80));
        script.request(&mut wire, "shop.test", "/");
        if last == 2 {
            script.fact(Fact::Lost {
                class: "frame",
                count: 7,
                place: None,
            });
        }
        script.response(&mut wire);
        script.close(&mut wire);
        script.wait(SECOND);
    }
    script
}

#[test]
fn a_loss_marks_the_journey_it_touches_and_no_other() {
    let journeys = script().journeys();
    let outcomes: Vec<Outcome> = journeys.iter().map(|journey| journey.outcome).collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Incomplete, Outcome::Ok]);
    let gaps: Vec<(&str, u64)> = journeys[1]
        .gaps
        .iter()
        .map(|gap| (gap.class.as_str(), gap.count))
        .collect();
    assert_eq!(gaps, [("frame", 7)]);
    assert!(journeys[0].gaps.is_empty() && journeys[2].gaps.is_empty());
}

#[test]
fn a_loss_is_counted_in_the_capture_and_makes_it_incomplete() {
    let capture = script().finish().document.capture;
    assert_eq!(capture.lost.get("frame"), Some(&7));
    assert!(!capture.complete);
    let mut quiet = Script::new(false);
    let mut wire = quiet.connect(40_001, (server(1), 80));
    quiet.exchange(&mut wire, "shop.test", "/");
    let capture = quiet.finish().document.capture;
    assert!(capture.complete && capture.lost.is_empty());
}

/// A request whose client told these states, a tenth of a second after something was lost.
fn marked(states: &[(TcpState, TcpState)]) -> bool {
    let mut script = Script::new(false);
    script.fact(Fact::Lost {
        class: "tcp_state",
        count: 1,
        place: None,
    });
    script.wait(100 * MS);
    let mut wire = script.connect(40_001, (server(1), 80));
    for (from, to) in states {
        script.fact(Fact::TcpState(TcpStateChange {
            socket: 1,
            cookie: None,
            network_namespace: None,
            from: *from,
            to: *to,
            local: SocketAddr::from((CLIENT, 40_001)),
            remote: SocketAddr::from((server(1), 80)),
            current_pid: 0,
            hook: HookKind::Tracepoint,
        }));
    }
    script.exchange(&mut wire, "shop.test", "/");
    !script.journeys()[0].gaps.is_empty()
}

#[test]
fn a_client_without_its_first_state_lost_it_however_long_ago() {
    use TcpState::{Close, Established, SynSent};
    let (first, second) = ((Close, SynSent), (SynSent, Established));
    assert!(!marked(&[first, second]));
    assert!(marked(&[second]));
}
