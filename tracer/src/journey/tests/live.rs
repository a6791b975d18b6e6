//! Journeys told while the capture goes on: each once, when it is over.

use super::{MS, SECOND, Script, check, server};
use crate::journey::model::{Journey, Outcome, ResolutionSource};
use crate::journey::part::Part;
use crate::journey::wanted::Wanted;

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

/// Three requests on one connection and one on another, told to somebody who wants these.
fn two_connections(wanted: Wanted) -> (Part, u64) {
    let mut script = Script::new(true);
    script.assembler.tell_only(wanted);
    let mut kept = script.connect(40_001, (server(1), 80));
    for path in ["/1", "/2", "/3"] {
        script.exchange(&mut kept, "10.77.2.1", path);
    }
    let mut other = script.connect(40_002, (server(2), 8080));
    script.exchange(&mut other, "10.77.2.2", "/other");
    script.wait(2 * SECOND);
    let told = script.assembler.take_finished(script.at_ns);
    let later = script.assembler.take_remaining();
    assert_eq!(later.journeys.len(), 0, "what is not wanted is over, too");
    (told, script.assembler.journeys_over())
}

#[test]
fn journeys_that_are_over_together_share_their_connection() {
    let (told, _) = two_connections(Wanted::default());
    assert_eq!(told.journeys.len(), 4);
    let exchanges: Vec<usize> = told.connections.iter().map(|it| it.http.len()).collect();
    assert_eq!(exchanges, [3, 1]);
}

#[test]
fn what_nobody_wants_is_not_told_and_what_is_wanted_is_told_the_same() {
    let (all, over) = two_connections(Wanted::default());
    let process = all.journeys[3].process.clone().unwrap();
    let port = |port| Wanted {
        port: Some(port),
        ..Wanted::default()
    };
    let host = |pattern: &str| Wanted {
        host: Some(pattern.to_owned()),
        ..Wanted::default()
    };
    let pid = |pid| Wanted {
        pid: Some(pid),
        ..Wanted::default()
    };
    let comm = |comm: &str| Wanted {
        comm: Some(comm.to_owned()),
        ..Wanted::default()
    };
    for (wanted, expected) in [
        (port(8080), 3..4),
        (port(80), 0..3),
        (host("*.2.2"), 3..4),
        (pid(process.pid), 0..4),
        (pid(process.pid + 1), 0..0),
        (comm(&process.comm), 0..4),
        (comm("another"), 0..0),
    ] {
        let (told, over_too) = two_connections(wanted.clone());
        let words = |journeys: &[Journey]| serde_json::to_string(journeys).unwrap();
        let expected = words(&all.journeys[expected]);
        assert_eq!(words(&told.journeys), expected, "{wanted:?}");
        assert_eq!(over_too, over);
        let mut carried: Vec<_> = told.journeys.iter().flat_map(|it| &it.attempts).collect();
        carried.dedup();
        let connections: Vec<_> = told.connections.iter().map(|it| &it.id).collect();
        assert_eq!(connections, carried, "{wanted:?}");
    }
}
