//! A ring that is far too small: who lost something says so, and nobody else does.

use std::collections::{BTreeMap, HashMap};
use std::env;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::journey::{self, states};
use crate::program::Tracer;
use crate::requests;
use crate::scenario::Scenario;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "with_a_tiny_ring_exactly_the_journeys_that_lost_events_are_incomplete",
        run: tiny_ring,
    },
    Scenario {
        name: "a_ring_that_the_kernel_would_refuse_is_refused_with_the_sizes_it_takes",
        run: refused_size,
    },
];

/// Classes whose every loss is told with the connection it is of.
const OF_CONNECTIONS: [&str; 3] = ["frame", "tcp_sample", "kernel_path"];

fn tiny_ring() -> Result<()> {
    // Some 80 events each, a third of them while the tracer is stopped: more than the ring
    // holds, fewer than the kernel tells one by one, so that the counts hold on any machine.
    let count = if env::var_os("TRACER_GUEST").is_some() {
        200
    } else {
        500
    };
    let server = requests::server(false)?;
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report.json");
    let program = env::current_exe()?;
    let (program, report_name) = (program.to_string_lossy(), report.to_string_lossy());
    let (port, wanted) = (server.port().to_string(), count.to_string());
    let arguments = [
        "run",
        "--ring",
        "64K",
        "-o",
        &report_name,
        "--",
        &program,
        requests::FLOOD,
        &port,
        &wanted,
    ];
    let outcome = Tracer::new(arguments).run()?.expect_code(0)?;
    // What the client says it did: the port it had, and the path it asked for.
    let mut truth: HashMap<u64, Vec<&str>> = HashMap::new();
    for line in outcome.stdout.lines() {
        let (port, path) = line.split_once(' ').context("no port and path")?;
        truth.entry(port.parse()?).or_default().push(path);
    }
    let requests: usize = truth.values().map(Vec::len).sum();
    ensure!(requests == count, "{requests} requests");
    let document: Value = serde_json::from_slice(&std::fs::read(&report)?)?;
    crate::schema::validate(&document)?;
    journey::check_invariants(&document)?;
    check_counts(&document, &truth)?;
    check_marks(&document, &truth)
}

/// Nothing is counted that was not lost, and nothing is charged to two journeys but where a
/// port was given out again at once: then a loss between the two may be of either.
fn check_counts(document: &Value, truth: &HashMap<u64, Vec<&str>>) -> Result<()> {
    let capture = &document["capture"];
    ensure!(
        capture["complete"] == false,
        "nothing was lost: {capture:#}"
    );
    let mut places: BTreeMap<&str, u64> = BTreeMap::new();
    for place in capture["losses"].as_array().context("no losses")? {
        let class = place["class"].as_str().context("no class")?;
        *places.entry(class).or_default() += place["count"].as_u64().context("no count")?;
        ensure!(!place["cpu"].is_null(), "on no processor: {place}");
        ensure!(
            place["first_at_ns"].as_u64() <= place["last_at_ns"].as_u64(),
            "{place}"
        );
    }
    let lost = capture["lost"].as_object().context("no lost")?;
    for (class, count) in lost {
        let placed = places.get(class.as_str());
        ensure!(
            placed.copied() == count.as_u64(),
            "{count} {class} lost, {placed:?} of them with a place"
        );
    }
    for class in OF_CONNECTIONS {
        let total = lost.get(class).and_then(Value::as_u64).unwrap_or(0);
        let charged: u64 = journeys(document)?
            .filter(|told| {
                let connection = journey::connection(document, told).ok();
                let port = connection.and_then(|it| it["client"]["port"].as_u64());
                port.and_then(|port| truth.get(&port))
                    .is_some_and(|paths| paths.len() == 1)
            })
            .flat_map(|told| told["gaps"].as_array().into_iter().flatten())
            .filter(|gap| gap["class"] == class)
            .filter_map(|gap| gap["count"].as_u64())
            .sum();
        ensure!(
            charged <= total,
            "{total} {class} events were lost, but journeys claim {charged}"
        );
    }
    Ok(())
}

/// A journey that is not marked is entirely right.
fn check_marks(document: &Value, truth: &HashMap<u64, Vec<&str>>) -> Result<()> {
    let (mut whole, mut marked, mut open) = (Vec::new(), 0, 0);
    for told in journeys(document)? {
        if told["gaps"].as_array().is_some_and(Vec::is_empty) {
            whole.push(told);
        } else {
            marked += 1;
            open += usize::from(told["outcome"] != "ok");
        }
    }
    ensure!(
        marked > 0 && open == marked && !whole.is_empty(),
        "{marked} journeys with gaps, {open} of them not ok, {} without",
        whole.len()
    );
    for told in whole {
        check_whole(document, told, truth).with_context(|| {
            let connection = journey::connection(document, told);
            format!("not marked: {told:#}\n{connection:#?}")
        })?;
    }
    Ok(())
}

fn check_whole(document: &Value, told: &Value, truth: &HashMap<u64, Vec<&str>>) -> Result<()> {
    ensure!(told["outcome"] == "ok", "it is {}", told["outcome"]);
    let connection = journey::connection(document, told)?;
    let port = connection["client"]["port"].as_u64().context("no port")?;
    let paths = truth.get(&port).context("no request had this port")?;
    let http = &connection["http"][0];
    ensure!(
        paths.iter().any(|path| http["target"] == **path),
        "{} for {paths:?}",
        http["target"]
    );
    ensure!(http["status"] == 200, "{http:#}");
    for moment in ["syn_at_ns", "syn_ack_at_ns", "ack_at_ns"] {
        ensure!(!connection["handshake"][moment].is_null(), "no {moment}");
    }
    ensure!(
        connection["close"]["kind"] == "fin",
        "{}",
        connection["close"]
    );
    ensure!(!told["process"].is_null(), "no process");
    ensure!(!told["route"].is_null(), "no route");
    for (end, birth) in [("client", "CLOSED>SYN_SENT"), ("server", "LISTEN>SYN_RECV")] {
        let states = states(connection, end);
        let begins = states.first().is_some_and(|state| state == birth);
        let ends = states
            .last()
            .is_some_and(|state| state.ends_with(">CLOSED"));
        let joined = states.windows(2).all(|pair| {
            let (before, after) = (pair.first(), pair.last());
            let to = before.and_then(|state| state.split('>').nth(1));
            to == after.and_then(|state| state.split('>').next())
        });
        ensure!(begins && ends && joined, "{end}: {states:?}");
    }
    Ok(())
}

fn journeys(document: &Value) -> Result<impl Iterator<Item = &Value>> {
    let list = document["journeys"].as_array().context("no journeys")?;
    Ok(list.iter())
}

fn refused_size() -> Result<()> {
    let outcome = Tracer::new(["run", "--ring", "3M", "--", "true"]).run()?;
    outcome.expect_code(2)?.expect_stderr("2M or 4M").map(drop)
}
