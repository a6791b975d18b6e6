//! What every document must hold, whatever it was made from.

use std::collections::BTreeSet;
use tracer::journey::model::{Document, Journey, Phase, Trace};
use tracer::report::style::Style;
use tracer::report::text::{self, TextOptions};
use tracer::report::{json, ndjson};

/// Checks the invariants of the contract, and that every format can be written and obeys
/// nothing that came from the wire.
pub fn check(trace: &Trace) {
    let document = &trace.document;
    references(document);
    document.journeys.iter().for_each(times);
    exchanges(document);
    let mut written = Vec::new();
    json::write(document, false, &mut written).expect("memory takes everything");
    let mut lines = ndjson::Writer::new(&mut written);
    lines.document(document).expect("memory takes everything");
    for unicode in [true, false] {
        let style = Style {
            color: false,
            unicode,
            width: 80,
        };
        let options = TextOptions {
            cost: true,
            style,
            verbose: 2,
            layers: true,
            show_secrets: unicode,
        };
        printable(&text::render(trace, &options), unicode);
    }
}

/// Ids are unique, and what is referred to is there.
fn references(document: &Document) {
    fn unique<'a>(what: &str, ids: impl Iterator<Item = &'a String>) -> BTreeSet<&'a String> {
        let mut known = BTreeSet::new();
        for id in ids {
            assert!(known.insert(id), "{what} {id} is there twice");
        }
        known
    }
    let dns = unique("dns", document.dns.iter().map(|it| &it.id));
    let neighbors = unique("neighbor", document.neighbors.iter().map(|it| &it.id));
    let connections = unique("connection", document.connections.iter().map(|it| &it.id));
    let journeys = unique("journey", document.journeys.iter().map(|it| &it.id));
    let exchanges = document.connections.iter().flat_map(|it| &it.http);
    let exchanges = unique("http", exchanges.map(|it| &it.id));
    for journey in &document.journeys {
        let about = &journey.id;
        let mut used = journey.attempts.iter().chain(&journey.connection);
        assert!(
            used.all(|id| connections.contains(id)),
            "{about}: connection"
        );
        assert!(
            journey.dns.iter().all(|id| dns.contains(id)),
            "{about}: dns"
        );
        let mut neighbor = journey.neighbor.iter();
        assert!(
            neighbor.all(|id| neighbors.contains(id)),
            "{about}: neighbor"
        );
        let mut cause = journey.caused_by.iter();
        assert!(cause.all(|id| journeys.contains(id)), "{about}: cause");
        let mut http = journey.http.iter();
        assert!(http.all(|id| exchanges.contains(id)), "{about}: http");
    }
}

/// Phases follow each other inside their journey, and sum up to no more than it.
fn times(journey: &Journey) {
    let about = &journey.id;
    let end = journey.started_at_ns.checked_add(journey.duration_ns);
    let end = end.unwrap_or_else(|| panic!("{about}: it ends after the end of time"));
    let phases = &journey.phases;
    let phases: [&Option<Phase>; 8] = [
        &phases.resolve,
        &phases.route,
        &phases.neighbor,
        &phases.connect,
        &phases.tls,
        &phases.request,
        &phases.wait,
        &phases.response,
    ];
    let mut cursor = journey.started_at_ns;
    let mut sum = 0;
    for phase in phases.into_iter().flatten() {
        assert!(phase.at_ns >= cursor, "{about}: phases overlap");
        cursor = phase.at_ns + phase.duration_ns;
        sum += phase.duration_ns;
    }
    assert!(cursor <= end, "{about}: a phase leaves its journey");
    assert!(sum <= journey.duration_ns, "{about}: phases sum up to more");
    let mut last = journey.started_at_ns;
    for event in &journey.timeline {
        assert!(event.at_ns >= last, "{about}: the timeline goes back");
        last = event.at_ns;
    }
    assert!(last <= end, "{about}: the timeline leaves its journey");
}

/// Nothing ends before it begins.
fn exchanges(document: &Document) {
    let ordered =
        |from: Option<u64>, to: Option<u64>| from.zip(to).is_none_or(|(from, to)| from <= to);
    for exchange in document.connections.iter().flat_map(|it| &it.http) {
        let sent = ordered(exchange.request_at_ns, exchange.request_end_at_ns);
        let read = ordered(exchange.response_at_ns, exchange.response_end_at_ns);
        assert!(sent && read, "{} ends before it begins", exchange.id);
    }
}

/// No character that a terminal would obey.
pub fn printable(text: &str, unicode: bool) {
    for character in text.chars() {
        let allowed = character == '\n' || !character.is_control();
        assert!(allowed, "{character:?} would reach the terminal");
        assert!(
            unicode || character.is_ascii(),
            "{character:?} is not ASCII"
        );
    }
}
