//! What every document promises, whatever it was made from: references lead somewhere, time
//! goes forward, phases lie inside their journey. Property tests and the fuzzer hold every
//! document against it.

use super::model::{Document, Journey, Phase};
use std::collections::BTreeSet;

/// Checks all promises of a whole document (TIMELINE.md, "Rules").
///
/// # Errors
/// The first promise that does not hold, with the object it is about.
pub fn check(document: &Document) -> Result<(), String> {
    let known = Known::of(document)?;
    for journey in &document.journeys {
        known.references(journey)?;
        times(journey)?;
    }
    exchanges(document)
}

/// The ids of a document.
struct Known<'a> {
    dns: BTreeSet<&'a str>,
    neighbors: BTreeSet<&'a str>,
    connections: BTreeSet<&'a str>,
    journeys: BTreeSet<&'a str>,
    exchanges: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    /// Each id of a kind is there once.
    fn of(document: &'a Document) -> Result<Self, String> {
        let exchanges = document.connections.iter().flat_map(|it| &it.http);
        Ok(Self {
            dns: unique("DNS exchange", document.dns.iter().map(|it| &it.id))?,
            neighbors: unique("neighbor", document.neighbors.iter().map(|it| &it.id))?,
            connections: unique("connection", document.connections.iter().map(|it| &it.id))?,
            journeys: unique("journey", document.journeys.iter().map(|it| &it.id))?,
            exchanges: unique("HTTP exchange", exchanges.map(|it| &it.id))?,
        })
    }

    /// What a journey refers to is there.
    fn references(&self, journey: &Journey) -> Result<(), String> {
        fn all<'b>(
            about: &str,
            what: &str,
            known: &BTreeSet<&str>,
            ids: impl IntoIterator<Item = &'b String>,
        ) -> Result<(), String> {
            let mut ids = ids.into_iter();
            match ids.find(|id| !known.contains(id.as_str())) {
                Some(id) => Err(format!("{about}: there is no {what} {id}")),
                None => Ok(()),
            }
        }
        let about = &journey.id;
        let used = journey.attempts.iter().chain(&journey.connection);
        all(about, "connection", &self.connections, used)?;
        all(about, "DNS exchange", &self.dns, &journey.dns)?;
        all(about, "neighbor", &self.neighbors, &journey.neighbor)?;
        all(about, "journey", &self.journeys, &journey.caused_by)?;
        all(about, "HTTP exchange", &self.exchanges, &journey.http)
    }
}

fn unique<'a>(
    what: &str,
    ids: impl Iterator<Item = &'a String>,
) -> Result<BTreeSet<&'a str>, String> {
    let mut known = BTreeSet::new();
    for id in ids {
        if !known.insert(id.as_str()) {
            return Err(format!("{what} {id} is there twice"));
        }
    }
    Ok(known)
}

/// Phases follow each other inside their journey and sum up to no more than it; so do the
/// events of its timeline.
fn times(journey: &Journey) -> Result<(), String> {
    let about = &journey.id;
    let start = journey.started_at_ns;
    let end = start
        .checked_add(journey.duration_ns)
        .ok_or_else(|| format!("{about}: it ends after the end of time"))?;
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
    let mut cursor = start;
    for phase in phases.into_iter().flatten() {
        ensure(phase.at_ns >= cursor, about, "phases overlap")?;
        cursor = phase.at_ns.saturating_add(phase.duration_ns);
    }
    // Without overlap, what lies inside sums up to no more than the whole.
    ensure(cursor <= end, about, "a phase leaves its journey")?;
    let mut last = start;
    for event in &journey.timeline {
        ensure(event.at_ns >= last, about, "the timeline goes back")?;
        ensure(
            !event.evidence.is_empty(),
            about,
            "an event has no evidence",
        )?;
        last = event.at_ns;
    }
    ensure(last <= end, about, "the timeline leaves its journey")
}

/// Nothing ends before it begins.
fn exchanges(document: &Document) -> Result<(), String> {
    let ordered =
        |from: Option<u64>, to: Option<u64>| from.zip(to).is_none_or(|(from, to)| from <= to);
    for exchange in document.connections.iter().flat_map(|it| &it.http) {
        let sent = ordered(exchange.request_at_ns, exchange.request_end_at_ns);
        let read = ordered(exchange.response_at_ns, exchange.response_end_at_ns);
        ensure(sent && read, &exchange.id, "it ends before it begins")?;
    }
    Ok(())
}

fn ensure(holds: bool, about: &str, broken: &str) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(format!("{about}: {broken}")),
    }
}
