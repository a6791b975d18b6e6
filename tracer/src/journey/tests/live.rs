//! Journeys told while the capture goes on: each once, when it is over.

use super::{MS, SECOND, Script, check, server};
use crate::journey::model::{Outcome, ResolutionSource};
use crate::journey::part::Part;

#[test]
fn a_slow_answer_is_waited_for() {
    let mut script = Script::new(true);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.request(&mut wire, "10.77.2.1", "/slow");
    script.wait(3 * SECOND);
    assert_eq!(script.finished().len(), 0);
    script.response(&mut wire);
    script.close(&mut wire);
    script.wait(200 * MS);
    let finished = script.finished();
    assert_eq!(finished.len(), 1);
    assert_eq!(finished[0].outcome, Outcome::Ok);
    check(&finished[0]);
    script.wait(5 * SECOND);
    assert_eq!(script.finished().len(), 0);
    assert_eq!(script.assembler.take_remaining().journeys.len(), 0);
}

#[test]
fn an_answer_that_never_came_is_told_at_the_end() {
    let mut script = Script::new(true);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.request(&mut wire, "10.77.2.1", "/never");
    script.wait(3 * SECOND);
    assert_eq!(script.finished().len(), 0);
    let rest = script.assembler.take_remaining().journeys;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].outcome, Outcome::Incomplete);
}

#[test]
fn each_request_of_a_kept_connection_is_told_once() {
    let mut script = Script::new(true);
    let mut wire = script.connect(40_001, (server(1), 80));
    for path in ["/1", "/2", "/3"] {
        script.request(&mut wire, "10.77.2.1", path);
        script.response(&mut wire);
        script.wait(2 * SECOND);
        let finished = script.finished();
        let url = format!("http://10.77.2.1{path}");
        assert_eq!(finished.len(), 1);
        assert_eq!(finished[0].url.as_ref(), Some(&url));
        assert_eq!(finished[0].reused_connection, path != "/1");
    }
    assert_eq!(script.assembler.take_remaining().journeys.len(), 0);
}

#[test]
fn an_address_is_remembered_after_its_first_journey_was_told() {
    let mut script = Script::new(true);
    script.resolve("www.shop.test", &[server(1)]);
    let mut first = script.connect(40_001, (server(1), 80));
    script.exchange(&mut first, "www.shop.test", "/1");
    script.wait(SECOND);
    let told = script.finished();
    assert_eq!(told[0].resolution.source, ResolutionSource::Dns);
    let mut second = script.connect(40_002, (server(1), 80));
    script.exchange(&mut second, "www.shop.test", "/2");
    script.wait(SECOND);
    let told = script.finished();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].resolution.source, ResolutionSource::Cache);
    assert!(told[0].duration_ns < SECOND);
}

#[test]
fn a_connection_older_than_the_tracer_is_told_from_its_first_seen_request() {
    let mut script = Script::new(true);
    // Nothing of it was observed until now.
    let mut unseen = Script::new(true);
    let mut wire = unseen.connect(40_001, (server(1), 8080));
    script.request(&mut wire, "10.77.2.1:8080", "/old");
    script.response(&mut wire);
    script.wait(2 * SECOND);
    let finished = script.finished();
    assert_eq!(finished.len(), 1);
    assert_eq!(
        finished[0].url.as_deref(),
        Some("http://10.77.2.1:8080/old")
    );
    assert_eq!(finished[0].phases.connect, None);
}

#[test]
fn a_told_journey_brings_what_it_refers_to() {
    let mut script = Script::new(true);
    script.resolve("other.test", &[server(9)]);
    script.resolve("www.shop.test", &[server(1)]);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.exchange(&mut wire, "www.shop.test", "/");
    script.wait(SECOND);
    let told = script.assembler.take_finished(script.at_ns);
    assert_eq!(told.journeys.len(), 1);
    let ids: Vec<_> = told.dns.iter().map(|exchange| &exchange.id).collect();
    assert_eq!(ids, told.journeys[0].dns.iter().collect::<Vec<_>>());
    assert_eq!(told.dns[0].question.name, "www.shop.test");
    assert_eq!(told.connections.len(), 1);
}

#[test]
fn journeys_that_are_over_together_share_their_connection() {
    let mut script = Script::new(true);
    let mut kept = script.connect(40_001, (server(1), 80));
    for path in ["/1", "/2", "/3"] {
        script.exchange(&mut kept, "10.77.2.1", path);
    }
    let mut other = script.connect(40_002, (server(2), 80));
    script.exchange(&mut other, "10.77.2.2", "/other");
    script.wait(2 * SECOND);
    let mut told = script.assembler.take_finished(script.at_ns);
    assert_eq!(told.journeys.len(), 4);
    let exchanges = |told: &Part| -> Vec<usize> {
        let connections = told.connections.iter();
        connections.map(|it| it.http.len()).collect()
    };
    assert_eq!(exchanges(&told), [3, 1]);
    told.keep(|journey| journey.host.as_deref() == Some("10.77.2.2"));
    assert_eq!(told.journeys.len(), 1);
    assert_eq!(exchanges(&told), [1]);
}
