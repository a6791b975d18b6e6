//! Files that do not fit into memory: what is told when, once, and what is counted.

use super::{MS, SECOND, Script, resolver, server};
use crate::journey::limits::Limits;
use crate::journey::model::{CloseKind, Document, Outcome};
use crate::journey::part::Part;
use std::collections::BTreeSet;

const ROUNDS: u16 = 1000;

/// Every object has an id of its own, and there are so many of them.
fn once<'a>(ids: impl Iterator<Item = &'a String>, expected: usize) {
    let ids: Vec<&String> = ids.collect();
    let distinct: BTreeSet<&String> = ids.iter().copied().collect();
    assert_eq!((ids.len(), distinct.len()), (expected, expected));
}

fn syn(script: &mut Script, port: u16) {
    let mut wire = script.wire(port, (server(1), 80));
    script.segment(&mut wire, true, super::Flags::Syn, b"");
}

#[test]
fn a_scan_is_bounded_counted_and_told() {
    let limits = Limits {
        connections: 100,
        untold: 100_000,
        ..Limits::default()
    };
    let mut script = Script::of_file(limits);
    for round in 0..ROUNDS {
        syn(&mut script, 10_000 + round);
        let tracked = script.assembler.connections.count();
        assert!(tracked <= 300, "{tracked} connections in memory");
    }
    let document = script.finish().document;
    once(document.connections.iter().map(|it| &it.id), ROUNDS.into());
    assert!(document.capture.lost["connections"] >= 900 - 25);
    assert!(!document.capture.complete);
}

#[test]
fn what_was_silent_beyond_every_timeout_is_not_lost() {
    let limits = Limits {
        connections: 100,
        ..Limits::default()
    };
    let mut script = Script::of_file(limits);
    for round in 0..ROUNDS {
        syn(&mut script, 10_000 + round);
        script.wait(10 * SECOND);
    }
    let document = script.finish().document;
    once(document.connections.iter().map(|it| &it.id), ROUNDS.into());
    assert!(document.capture.complete, "{:?}", document.capture.lost);
}

#[test]
fn unanswered_queries_are_bounded_counted_and_told() {
    let limits = Limits {
        resolutions: 60_000,
        ..Limits::default()
    };
    let mut script = Script::of_file(limits);
    for round in 0..ROUNDS {
        script.query(&format!("host{round}.test"), resolver());
        let remembered = script.assembler.resolutions.queries.len();
        assert!(remembered <= 100, "{remembered} queries in memory");
    }
    let document = script.finish().document;
    once(document.dns.iter().map(|it| &it.id), ROUNDS.into());
    assert!(document.capture.lost["dns"] >= 900);
}

#[test]
fn payload_is_bounded_and_a_stream_that_was_let_go_is_counted() {
    let limits = Limits {
        payload: 10_000,
        ..Limits::default()
    };
    let mut script = Script::of_file(limits);
    let mut wires = Vec::new();
    for port in 0..20 {
        let mut wire = script.wire(40_000 + port, (server(1), 80));
        script.open(&mut wire);
        script.segment(&mut wire, true, super::Flags::Ack, &[b'x'; 1000]);
        wires.push(wire);
        let connections = script.assembler.connections.iter();
        let held: u64 = connections.map(|it| it.held_bytes()).sum();
        assert!(held <= 10_000, "{held} bytes in memory");
    }
    for mut wire in wires {
        script.close(&mut wire);
    }
    let document = script.finish().document;
    assert!(document.capture.lost["payload"] >= 10);
    let mut closes = document.connections.iter().map(|it| it.close.kind);
    assert!(closes.all(|kind| kind == CloseKind::Fin), "followed on");
    assert!(
        document
            .connections
            .iter()
            .all(|it| it.bytes.client == 1000)
    );
}

#[test]
fn what_is_closed_is_read_before_anything_open_is_let_go() {
    let limits = Limits {
        payload: 10_000,
        late_ns: u64::MAX,
        ..Limits::default()
    };
    let mut script = Script::of_file(limits);
    let mut open = script.wire(39_999, (server(1), 80));
    script.open(&mut open);
    script.request(&mut open, "www.shop.test", "/open");
    for port in 0..40 {
        let mut wire = script.wire(40_000 + port, (server(1), 80));
        script.open(&mut wire);
        script.segment(&mut wire, true, super::Flags::Ack, &[b'x'; 1000]);
        script.close(&mut wire);
        let connections = script.assembler.connections.iter();
        let held: u64 = connections.map(|it| it.held_bytes()).sum();
        assert!(held <= 10_000, "{held} bytes in memory");
    }
    script.response(&mut open);
    let document = script.finish().document;
    assert!(document.capture.complete, "{:?}", document.capture.lost);
    assert_eq!(document.connections[0].http[0].status, Some(200));
}

#[test]
fn sealed_payload_is_held_only_where_secrets_may_still_come() {
    for come in [true, false] {
        let mut script = Script::of_file(Limits::default());
        if !come {
            script.assembler.expect_no_secrets();
        }
        for port in 0..40 {
            let mut wire = script.wire(40_000 + port, (server(1), 443));
            script.open(&mut wire);
            script.segment(&mut wire, true, super::Flags::Ack, &[22; 1000]);
            script.close(&mut wire);
            script.wait(SECOND);
        }
        let connections = script.assembler.connections.iter();
        let held: u64 = connections.map(|it| it.held_bytes()).sum();
        let expected = if come { 40_000 } else { 1000 };
        assert_eq!(held, expected, "secrets may come: {come}");
    }
}

#[test]
fn sealed_payload_that_waits_for_secrets_is_bounded() {
    let mut script = Script::of_file(Limits {
        sealed: 10_000,
        ..Limits::default()
    });
    for port in 0..40 {
        let mut wire = script.wire(40_000 + port, (server(1), 443));
        script.open(&mut wire);
        script.segment(&mut wire, true, super::Flags::Ack, &[22; 600]);
        // Room for 1200 bytes by now, which is given back when it is closed.
        script.segment(&mut wire, true, super::Flags::Ack, &[22; 100]);
        script.close(&mut wire);
        script.wait(SECOND);
    }
    let connections = script.assembler.connections.iter();
    let held: Vec<u64> = connections.map(|it| it.held_bytes()).collect();
    // The last one was closed a second ago, which is known with the next packet only.
    let expected = [[0; 25].as_slice(), &[700; 14], &[1200]].concat();
    assert_eq!(held, expected);
}

fn told(untold: u64) -> (Document, usize) {
    let mut script = Script::of_file(Limits {
        untold,
        ..Limits::default()
    });
    let mut parts = Vec::new();
    for round in 0..100 {
        script.resolve(&format!("www{round}.test"), &[server(1)]);
        let mut wire = script.wire(40_000 + round, (server(1), 80));
        script.open(&mut wire);
        script.exchange(&mut wire, &format!("www{round}.test"), "/");
        script.wait(100 * MS);
        parts.extend(script.assembler.take_told());
    }
    let count = parts.len();
    parts.push(script.assembler.last_part());
    let mut document = super::document();
    script.assembler.conclude(&mut document);
    (Part::whole(parts, document).document, count)
}

#[test]
fn parts_say_what_the_whole_says() {
    let (whole, none) = told(u64::MAX);
    let (parted, parts) = told(40_000);
    assert_eq!(none, 0);
    assert!(parts > 3, "{parts} parts");
    let text = |document: &Document| serde_json::to_string_pretty(document).unwrap();
    assert_eq!(text(&whole), text(&parted));
}

#[test]
fn the_cut_of_a_capture_marks_what_was_open() {
    for cut in [false, true] {
        let mut script = Script::of_file(Limits::default());
        let mut whole = script.wire(40_001, (server(1), 80));
        script.open(&mut whole);
        script.exchange(&mut whole, "www.shop.test", "/whole");
        let mut kept = script.wire(40_002, (server(1), 80));
        script.open(&mut kept);
        script.request(&mut kept, "www.shop.test", "/kept");
        script.response(&mut kept);
        let mut open = script.wire(40_003, (server(1), 80));
        script.open(&mut open);
        script.request(&mut open, "www.shop.test", "/open");
        if cut {
            script.assembler.cut();
        }
        let journeys = script.journeys();
        assert_eq!(journeys.len(), 3);
        for journey in &journeys {
            let touched = cut && journey.url.as_deref() == Some("http://www.shop.test/open");
            let gaps: Vec<&str> = journey.gaps.iter().map(|it| it.class.as_str()).collect();
            let expected: &[&str] = if touched { &["capture"] } else { &[] };
            assert_eq!(gaps, expected, "{:?}", journey.url);
            assert!(!touched || journey.outcome == Outcome::Incomplete);
        }
    }
}
