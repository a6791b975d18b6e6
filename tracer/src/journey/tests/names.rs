//! Which name resolution led to which connection.

use super::{MS, SECOND, Script, resolver, server, v4};
use crate::capture::HookKind;
use crate::journey::model::{Journey, Outcome, ResolutionSource, Stage};
use std::net::Ipv4Addr;

#[test]
fn a_remembered_address_costs_the_later_journey_no_time() {
    let mut script = Script::new(false);
    script.resolve("www.shop.test", &[server(1)]);
    let mut first = script.connect(40_001, (server(1), 80));
    script.exchange(&mut first, "www.shop.test", "/1");
    script.wait(2 * SECOND);
    let begun = script.at_ns;
    let mut second = script.connect(40_002, (server(1), 80));
    script.exchange(&mut second, "www.shop.test", "/2");
    let journeys = script.journeys();
    assert_eq!(journeys[0].resolution.source, ResolutionSource::Dns);
    let later = &journeys[1];
    assert!(later.started_at_ns >= begun && later.duration_ns < SECOND);
    assert_eq!(later.phases.resolve, None);
    assert_eq!(later.resolution.source, ResolutionSource::Cache);
    assert_eq!(later.resolution.addresses, [v4(server(1))]);
    assert!(later.dns.is_empty());
}

#[test]
fn connections_that_waited_for_the_same_answer_share_it() {
    let mut script = Script::new(false);
    script.resolve("www.shop.test", &[server(1)]);
    let mut first = script.connect_call(40_001, (server(1), 80));
    let mut second = script.connect_call(40_002, (server(1), 80));
    for wire in [&mut first, &mut second] {
        script.segment(wire, true, super::Flags::Syn, b"");
        script.segment(wire, false, super::Flags::SynAck, b"");
        script.segment(wire, true, super::Flags::Ack, b"");
    }
    script.request(&mut first, "www.shop.test", "/1");
    script.request(&mut second, "www.shop.test", "/2");
    script.response(&mut first);
    script.response(&mut second);
    for journey in script.journeys() {
        assert_eq!(journey.resolution.source, ResolutionSource::Dns);
        assert!(journey.phases.resolve.is_some());
    }
}

#[test]
fn a_name_asked_for_all_the_time_gives_no_journey_every_query() {
    let mut script = Script::new(false);
    for number in 0..300 {
        script.resolve("www.shop.test", &[server(1)]);
        let mut wire = script.connect(30_000 + number, (server(1), 80));
        script.exchange(&mut wire, "www.shop.test", "/");
    }
    assert!(
        script.at_ns < 5 * SECOND,
        "all within one resolution's time"
    );
    let journeys = script.journeys();
    assert_eq!(journeys.len(), 300);
    let queries: Vec<usize> = journeys.iter().map(|it| it.dns.len()).collect();
    assert!(queries.iter().all(|count| *count <= 32), "{queries:?}");
    assert!(queries.iter().any(|count| *count > 0), "{queries:?}");
}

#[test]
fn a_second_server_that_answers_belongs_to_the_same_resolution() {
    let mut script = Script::new(false);
    let entered = script.at_ns;
    script.query("www.shop.test", Ipv4Addr::new(10, 77, 1, 52));
    script.wait(5 * SECOND);
    script.resolve("www.shop.test", &[server(1)]);
    script.getaddrinfo("www.shop.test", entered, 0);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.exchange(&mut wire, "www.shop.test", "/");
    let journeys = script.journeys();
    assert_eq!(journeys.len(), 1);
    assert_eq!(journeys[0].dns.len(), 2);
    let resolve = journeys[0].phases.resolve.as_ref().unwrap();
    assert!(resolve.duration_ns > 5 * SECOND);
}

#[test]
fn a_call_for_another_literal_address_did_not_give_this_one() {
    let mut script = Script::new(false);
    let entered = script.at_ns;
    script.getaddrinfo("10.77.2.9", entered, 0);
    script.refused(40_001, (server(1), 80));
    let journeys = script.journeys();
    assert_eq!(journeys[0].resolution.getaddrinfo, None);
}

#[test]
fn a_call_for_the_literal_address_itself_resolved_nothing() {
    let mut script = Script::new(false);
    let entered = script.at_ns;
    script.getaddrinfo("10.77.2.1", entered, 0);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.exchange(&mut wire, "www.shop.test", "/");
    let journeys = script.journeys();
    assert_eq!(journeys[0].resolution.source, ResolutionSource::Literal);
}

#[test]
fn the_answer_of_a_search_domain_is_the_call_s() {
    let mut script = Script::new(false);
    let entered = script.at_ns;
    script.resolve("www.corp.test", &[]);
    script.resolve("www.shop.test", &[server(1)]);
    script.getaddrinfo("www", entered, 0);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.exchange(&mut wire, "www", "/");
    let journeys = script.journeys();
    assert_eq!(journeys.len(), 1);
    assert_eq!(journeys[0].dns.len(), 2);
}

#[test]
fn a_name_that_fails_again_much_later_fails_twice() {
    let mut script = Script::new(true);
    script.resolve("gone.shop.test", &[]);
    script.wait(SECOND);
    assert_eq!(script.finished().len(), 1);
    assert_eq!(script.finished().len(), 0);
    script.wait(30 * SECOND);
    script.resolve("gone.shop.test", &[]);
    let again = script.finished();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].outcome, Outcome::Failed);
    assert_eq!(
        again[0].failure.as_ref().map(|f| f.stage),
        Some(Stage::Resolve)
    );
    script.wait(200 * SECOND);
    assert_eq!(script.finished().len(), 0);
    assert_eq!(script.assembler.take_remaining().journeys.len(), 0);
}

#[test]
fn a_query_that_nobody_answers_is_reported_while_the_capture_goes_on() {
    let mut script = Script::new(true);
    script.query("www.shop.test", resolver());
    script.wait(SECOND);
    assert_eq!(script.finished().len(), 0);
    script.wait(15 * SECOND);
    // Something else happens, so that time is known to have passed.
    script.resolve("other.test", &[server(1)]);
    script.wait(MS);
    let finished = script.finished();
    assert_eq!(finished.len(), 1);
    assert_eq!(finished[0].host.as_deref(), Some("www.shop.test"));
    assert_eq!(script.finished().len(), 0);
}

#[test]
fn a_file_of_the_resolver_has_the_hook_that_saw_it_as_its_evidence() {
    for (hook, evidence) in [
        (HookKind::Kprobe, "kprobe do_sys_openat2"),
        (HookKind::Fentry, "fentry do_sys_openat2"),
        (HookKind::Uprobe, "uprobe fopen"),
        (HookKind::Tracepoint, "tracepoint sys_enter"),
    ] {
        let mut script = Script::new(false);
        let entered = script.at_ns;
        script.wait(MS);
        script.open_file("/etc/hosts", hook);
        script.getaddrinfo("www.shop.test", entered, 0);
        let mut wire = script.connect(40_001, (server(1), 80));
        script.exchange(&mut wire, "www.shop.test", "/");
        let journeys = script.journeys();
        assert_eq!(journeys[0].resolution.files, ["/etc/hosts"]);
        let mut lines = journeys[0].timeline.iter();
        let line = lines.find(|line| line.summary == "reads /etc/hosts");
        assert_eq!(line.unwrap().evidence, evidence);
    }
}

/// A program with a resolver of its own reads the hosts file and, some time later, connects.
fn connects_after(read_before_ns: u64) -> Journey {
    let mut script = Script::new(false);
    script.open_file("/etc/hosts", HookKind::Tracepoint);
    script.wait(read_before_ns);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.exchange(&mut wire, "shop.test", "/");
    script.close(&mut wire);
    script.journeys().remove(0)
}

#[test]
fn files_read_just_before_a_connection_without_a_call_tell_where_its_name_came_from() {
    let journey = connects_after(2 * MS);
    assert_eq!(journey.resolution.files, ["/etc/hosts"]);
    assert_eq!(journey.resolution.source, ResolutionSource::Hosts);
    let summaries = journey.timeline.iter().map(|event| &event.summary);
    assert!(summaries.into_iter().any(|it| it == "reads /etc/hosts"));

    let journey = connects_after(400 * MS);
    assert_eq!(journey.resolution.files, Vec::<String>::new());
    assert_eq!(journey.resolution.source, ResolutionSource::Unknown);
}

#[test]
fn files_read_just_before_a_query_without_a_call_belong_to_its_resolution() {
    let mut script = Script::new(false);
    script.open_file("/etc/resolv.conf", HookKind::Tracepoint);
    script.wait(MS);
    script.resolve("shop.test", &[server(1)]);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.exchange(&mut wire, "shop.test", "/");
    script.close(&mut wire);
    let journey = script.journeys().remove(0);
    assert_eq!(journey.resolution.files, ["/etc/resolv.conf"]);
    assert_eq!(journey.resolution.source, ResolutionSource::Dns);
}
