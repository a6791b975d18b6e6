//! What holds of every document (TIMELINE.md): references lead somewhere, time goes forward,
//! phases lie inside their journey.

use std::collections::BTreeSet;
use tracer::journey::model::{Document, Journey, Phase};

/// Panics with `name` and what does not hold.
pub fn check(name: &str, document: &Document) {
    let ids = |list: Vec<&String>| -> BTreeSet<String> { list.into_iter().cloned().collect() };
    let dns = ids(document.dns.iter().map(|it| &it.id).collect());
    let neighbors = ids(document.neighbors.iter().map(|it| &it.id).collect());
    let connections = ids(document.connections.iter().map(|it| &it.id).collect());
    let journeys = ids(document.journeys.iter().map(|it| &it.id).collect());
    assert_eq!(dns.len(), document.dns.len(), "{name}: ids are unique");
    assert_eq!(connections.len(), document.connections.len(), "{name}");
    assert_eq!(journeys.len(), document.journeys.len(), "{name}");
    for journey in &document.journeys {
        let about = format!("{name} {}", journey.id);
        assert!(journey.dns.iter().all(|id| dns.contains(id)), "{about}");
        let mut used = journey.attempts.iter().chain(&journey.connection);
        assert!(used.all(|id| connections.contains(id)), "{about}");
        assert!(
            journey.neighbor.iter().all(|id| neighbors.contains(id)),
            "{about}"
        );
        assert!(
            journey.caused_by.iter().all(|id| journeys.contains(id)),
            "{about}"
        );
        if let Some(http) = &journey.http {
            let mut exchanges = document.connections.iter().flat_map(|it| &it.http);
            assert!(exchanges.any(|exchange| exchange.id == *http), "{about}");
        }
        check_times(&about, journey);
    }
    for exchange in document.connections.iter().flat_map(|it| &it.http) {
        let ordered =
            |from: Option<u64>, to: Option<u64>| from.zip(to).is_none_or(|(from, to)| from <= to);
        let sent = ordered(exchange.request_at_ns, exchange.request_end_at_ns);
        let read = ordered(exchange.response_at_ns, exchange.response_end_at_ns);
        assert!(sent && read, "{name} {}", exchange.id);
    }
}

fn check_times(about: &str, journey: &Journey) {
    let end = journey.started_at_ns + journey.duration_ns;
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
    for phase in phases.into_iter().flatten() {
        assert!(phase.at_ns >= cursor, "{about}: phases overlap");
        cursor = phase.at_ns + phase.duration_ns;
    }
    assert!(cursor <= end, "{about}: a phase leaves its journey");
    let mut last = journey.started_at_ns;
    for event in &journey.timeline {
        assert!(event.at_ns >= last, "{about}: the timeline goes back");
        last = event.at_ns;
    }
    assert!(last <= end, "{about}: the timeline leaves its journey");
}
