//! Which connections are attempts at the same journey.

use super::{MS, SECOND, Script, server};
use crate::journey::model::{Outcome, Stage};

#[test]
fn two_refused_literal_addresses_are_two_journeys() {
    let mut script = Script::new(false);
    script.refused(40_001, (server(1), 80));
    script.refused(40_002, (server(2), 80));
    let journeys = script.journeys();
    assert_eq!(journeys.len(), 2);
    for (journey, address) in journeys.iter().zip([server(1), server(2)]) {
        assert_eq!(journey.host, Some(address.to_string()));
        assert_eq!(journey.attempts.len(), 1);
        assert_eq!(journey.outcome, Outcome::Failed);
        assert_eq!(
            journey.failure.as_ref().map(|f| f.stage),
            Some(Stage::Connect)
        );
    }
}

#[test]
fn a_refused_address_is_no_attempt_at_another_literal_one() {
    let mut script = Script::new(false);
    script.refused(40_001, (server(1), 80));
    let mut wire = script.connect(40_002, (server(2), 80));
    script.exchange(&mut wire, "10.77.2.2", "/");
    let journeys = script.journeys();
    assert_eq!(journeys.len(), 2);
    assert_eq!(journeys[0].outcome, Outcome::Failed);
    assert_eq!(journeys[1].outcome, Outcome::Ok);
    assert_eq!(journeys[1].attempts.len(), 1);
}

#[test]
fn the_addresses_of_one_answer_are_attempts_at_one_journey() {
    let mut script = Script::new(false);
    script.resolve("www.shop.test", &[server(1), server(2)]);
    script.refused(40_001, (server(1), 80));
    let mut wire = script.connect(40_002, (server(2), 80));
    script.exchange(&mut wire, "www.shop.test", "/");
    let journeys = script.journeys();
    assert_eq!(journeys.len(), 1);
    assert_eq!(journeys[0].attempts.len(), 2);
    assert!(journeys[0].phases.resolve.is_some());
    assert_eq!(journeys[0].outcome, Outcome::Ok);
}

#[test]
fn the_loser_of_a_race_belongs_to_the_winner() {
    let mut script = Script::new(false);
    script.resolve("www.shop.test", &[server(1), server(2)]);
    let mut slow = script.connect_call(40_001, (server(1), 80));
    script.segment(&mut slow, true, super::Flags::Syn, b"");
    script.wait(250 * MS);
    let mut wire = script.connect(40_002, (server(2), 80));
    script.exchange(&mut wire, "www.shop.test", "/");
    let journeys = script.journeys();
    assert_eq!(journeys.len(), 1);
    assert_eq!(journeys[0].attempts.len(), 2);
    assert_eq!(journeys[0].connection.as_ref(), journeys[0].attempts.last());
}

#[test]
fn parallel_requests_to_several_hosts_keep_their_own_names() {
    let mut script = Script::new(false);
    let one = script.query("one.test", super::resolver());
    let two = script.query("two.test", super::resolver());
    script.answer(two, "two.test", &[server(2)]);
    script.answer(one, "one.test", &[server(1)]);
    let mut second = script.connect(40_002, (server(2), 80));
    let mut first = script.connect(40_001, (server(1), 80));
    script.request(&mut second, "two.test", "/2");
    script.request(&mut first, "one.test", "/1");
    script.response(&mut first);
    script.response(&mut second);
    let journeys = script.journeys();
    let of = |url: &str| {
        let journey = journeys.iter().find(|j| j.url.as_deref() == Some(url));
        journey.unwrap().resolution.chain.clone()
    };
    assert_eq!(of("http://one.test/1"), ["one.test"]);
    assert_eq!(of("http://two.test/2"), ["two.test"]);
}

#[test]
fn a_port_that_is_used_again_is_another_connection() {
    let mut script = Script::new(false);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.exchange(&mut wire, "10.77.2.1", "/first");
    script.wait(SECOND);
    let mut again = script.connect_call(40_001, (server(1), 80));
    again.client_next += 100_000;
    script.segment(&mut again, true, super::Flags::Syn, b"");
    script.segment(&mut again, false, super::Flags::SynAck, b"");
    script.segment(&mut again, true, super::Flags::Ack, b"");
    script.exchange(&mut again, "10.77.2.1", "/second");
    let trace = script.finish();
    assert_eq!(trace.document.connections.len(), 2);
    let urls = trace.document.journeys.iter().map(|j| j.url.clone());
    assert_eq!(
        urls.flatten().collect::<Vec<_>>(),
        ["http://10.77.2.1/first", "http://10.77.2.1/second"]
    );
}

#[test]
fn a_server_that_closes_first_is_named() {
    let mut script = Script::new(false);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.request(&mut wire, "10.77.2.1", "/");
    script.segment(&mut wire, false, super::Flags::Fin, b"");
    let journeys = script.journeys();
    let failure = journeys[0].failure.as_ref().unwrap();
    assert_eq!(failure.kind, "closed_early");
    assert!(failure.message.starts_with("the server"));
}
