//! Looking things up in a document, and the rules that every document must keep.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The phases of a journey, in order.
pub const PHASES: [&str; 8] = [
    "resolve", "route", "neighbor", "connect", "tls", "request", "wait", "response",
];

/// All strings of an array.
pub fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some(item.as_str()?.to_owned()))
        .collect()
}

fn by_id<'a>(list: &'a Value, id: &Value) -> Option<&'a Value> {
    list.as_array()?.iter().find(|item| item["id"] == *id)
}

/// The connection that carried a journey.
pub fn connection<'a>(document: &'a Value, journey: &Value) -> Result<&'a Value> {
    by_id(&document["connections"], &journey["connection"])
        .with_context(|| format!("no connection {}: {document:#}", journey["connection"]))
}

/// The neighbour of a journey's next hop.
pub fn neighbor<'a>(document: &'a Value, journey: &Value) -> Result<&'a Value> {
    by_id(&document["neighbors"], &journey["neighbor"])
        .with_context(|| format!("no neighbour {}: {document:#}", journey["neighbor"]))
}

/// The DNS exchanges of a journey.
pub fn dns<'a>(document: &'a Value, journey: &Value) -> Result<Vec<&'a Value>> {
    let ids = journey["dns"].as_array().context("dns is no list")?;
    ids.iter()
        .map(|id| by_id(&document["dns"], id).with_context(|| format!("no DNS exchange {id}")))
        .collect()
}

/// State transitions of one end as `FROM>TO`.
pub fn states(connection: &Value, end: &str) -> Vec<String> {
    let states = connection["states"].as_array().into_iter().flatten();
    states
        .filter(|state| state["end"] == end)
        .map(|state| {
            let word = |name: &str| state[name].as_str().unwrap_or("?").to_owned();
            format!("{}>{}", word("from"), word("to"))
        })
        .collect()
}

/// The rules of the contract: nothing lies outside what holds it, references resolve,
/// every event has evidence.
pub fn check_invariants(document: &Value) -> Result<()> {
    let journeys = document["journeys"].as_array().context("no journeys")?;
    for journey in journeys {
        check_journey(document, journey).with_context(|| format!("{journey:#}"))?;
    }
    Ok(())
}

fn check_journey(document: &Value, journey: &Value) -> Result<()> {
    let start = journey["started_at_ns"].as_u64().context("no start")?;
    let duration = journey["duration_ns"].as_u64().context("no duration")?;
    let end = start + duration;
    let (mut cursor, mut sum) = (start, 0);
    for name in PHASES {
        let phase = &journey["phases"][name];
        if phase.is_null() {
            continue;
        }
        let at = phase["at_ns"].as_u64().context("no at_ns")?;
        let length = phase["duration_ns"].as_u64().context("no duration_ns")?;
        ensure!(
            at >= cursor,
            "{name} begins before the phase before it ends"
        );
        ensure!(at + length <= end, "{name} ends after its journey");
        cursor = at + length;
        sum += length;
    }
    ensure!(sum <= duration, "phases are longer than their journey");
    let timeline = journey["timeline"].as_array().context("no timeline")?;
    let mut last = 0;
    for event in timeline {
        let at = event["at_ns"].as_u64().context("no at_ns")?;
        ensure!((start..=end).contains(&at), "outside its journey: {event}");
        ensure!(at >= last, "out of order: {event}");
        let evidence = event["evidence"].as_str().unwrap_or_default();
        ensure!(!evidence.is_empty(), "no evidence: {event}");
        last = at;
    }
    for id in journey["attempts"].as_array().into_iter().flatten() {
        ensure!(
            by_id(&document["connections"], id).is_some(),
            "no connection {id}"
        );
    }
    if !journey["neighbor"].is_null() {
        neighbor(document, journey)?;
    }
    dns(document, journey).map(drop)
}
