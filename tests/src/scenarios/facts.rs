//! What the kernel tells of TCP beyond its states, by every hook that can tell it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::journey::{self, strings};
use crate::pieces;
use crate::program::{Tracer, tracing};
use crate::requests;
use crate::scenario::Scenario;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "round_trip_times_and_windows_come_from_the_socket_by_either_hook",
        run: samples,
    },
    Scenario {
        name: "a_refusal_is_told_by_the_kernels_at_both_ends",
        run: refusal,
    },
    Scenario {
        name: "a_loss_names_its_cause_and_what_sent_again",
        run: loss,
    },
    Scenario {
        name: "a_segment_lost_in_the_middle_is_sent_again_before_a_timeout",
        run: lost_in_the_middle,
    },
    Scenario {
        name: "a_full_listening_queue_is_found_by_the_journey_that_waited",
        run: full_queue,
    },
    Scenario {
        name: "doctor_as_json_says_what_serves_each_fact_and_saw_it_and_mends_the_rest",
        run: doctor_json,
    },
];

/// Does a hook of this run serve the fact?
pub(super) fn is_served(document: &Value, fact: &str) -> bool {
    let hooks = document["capture"]["hooks"].as_array();
    hooks.is_some_and(|hooks| {
        let mut hooks = hooks.iter();
        hooks.any(|hook| hook["fact"] == fact && hook["status"] == "attached")
    })
}

fn list<'a>(connection: &'a Value, member: &str) -> Result<&'a Vec<Value>> {
    connection[member].as_array().context("no list")
}

fn samples() -> Result<()> {
    let server = requests::server(false)?;
    let url = format!("http://{server}/");
    for hook in ["sock_ops", "tracepoint"] {
        let force = format!("tcp_sample={hook}");
        let arguments = ["fetch", "--format", "json", "--force-hook", &force, &url];
        let document = Tracer::sparing(arguments).run()?.expect_code(0)?.json()?;
        journey::check_invariants(&document)?;
        let connection = &document["connections"][0];
        let srtt_ns = connection["srtt_ns"].as_u64().context("no srtt")?;
        ensure!(
            (1_000..10_000_000_000).contains(&srtt_ns),
            "{hook}: srtt {srtt_ns} ns"
        );
        let samples = list(connection, "tcp_samples")?;
        let of_client: Vec<&Value> = samples.iter().filter(|it| it["end"] == "client").collect();
        ensure!(of_client.len() >= 2, "{hook}: {samples:#?}");
        for sample in &of_client {
            ensure!(sample["hook"] == hook, "{sample:#}");
            ensure!(sample["cwnd"].as_u64() > Some(0), "{hook}: {sample:#}");
            ensure!(sample["rttvar_ns"].is_u64(), "{hook}: {sample:#}");
        }
        // The request and the SYN were acknowledged in the end.
        let last = of_client.last().context("no sample")?;
        let sent = connection["bytes"]["client"].as_u64().context("no bytes")?;
        ensure!(
            last["bytes_acked"].as_u64() > Some(sent),
            "{hook}: {last:#}"
        );
        if hook == "sock_ops" {
            let moments: Vec<String> = of_client
                .iter()
                .filter_map(|sample| sample["moment"].as_str().map(str::to_owned))
                .collect();
            ensure!(
                moments.first().is_some_and(|it| it == "established"),
                "{moments:?}"
            );
            ensure!(moments.contains(&"closing".to_owned()), "{moments:?}");
        }
    }
    Ok(())
}

fn refusal() -> Result<()> {
    // A port that was free a moment ago.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let url = format!("http://127.0.0.1:{port}/");
    let document = Tracer::sparing(["fetch", "--format", "json", &url])
        .run()?
        .expect_code(1)?
        .json()?;
    let connection = &document["connections"][0];
    let resets = list(connection, "resets")?;
    let received = resets
        .iter()
        .any(|reset| reset["end"] == "client" && reset["action"] == "received");
    ensure!(received, "{resets:#?}");
    let drops = list(connection, "drops")?;
    if is_served(&document, "packet_drop") {
        let reasons: Vec<&Value> = drops.iter().map(|dropped| &dropped["reason"]).collect();
        ensure!(reasons == ["NO_SOCKET"], "{drops:#?}");
        ensure!(
            drops[0]["flags"] == "SYN" && drops[0]["end"] == "client",
            "{drops:#?}"
        );
        let findings = list(&document["journeys"][0], "findings")?;
        let told = findings
            .iter()
            .any(|finding| finding["kind"] == "kernel_drop");
        ensure!(told, "{findings:#?}");
    } else {
        ensure!(drops.is_empty(), "{drops:#?}");
    }
    Ok(())
}

fn loss() -> Result<()> {
    let server = requests::server(false)?;
    let port = server.port().to_string();
    let tracer = tracing(&[], &[requests::DEAF_CLIENT, &port])?;
    let document = tracer.run()?.expect_code(0)?.json()?;
    journey::check_invariants(&document)?;
    let connection = &document["connections"][0];
    let again = list(connection, "retransmissions")?;
    let known: Vec<&Value> = again
        .iter()
        .filter(|it| it["kind"] != "syn" && it["kind"] != "fin")
        .collect();
    ensure!(!known.is_empty(), "nothing was sent again: {connection:#}");
    // Timers of TCP run in whatever task they interrupt, and a kernel may tell its tracepoints to
    // no program while a certain task runs (seen on a 6.18 made for small virtual machines: neither perf nor a
    // program hears of anything while its first process is current). Then frames are all there is.
    let (told, guessed): (Vec<&Value>, Vec<&Value>) = known
        .iter()
        .partition(|entry| entry["hook"] == "tracepoint");
    for entry in told {
        let kind = entry["kind"].as_str().context("no kind")?;
        ensure!(["timeout", "tail_loss_probe"].contains(&kind), "{entry:#}");
    }
    for entry in guessed {
        let kind = entry["kind"].as_str().context("no kind")?;
        ensure!(entry["hook"] == "frames", "{entry:#}");
        ensure!(["timeout", "unknown"].contains(&kind), "{entry:#}");
    }
    for end in ["client", "server"] {
        let told = known
            .iter()
            .any(|entry| entry["end"] == end && entry["hook"] == "tracepoint");
        ensure!(
            told,
            "the kernel told of nothing that the {end} sent again: {again:#?}"
        );
    }
    let drops = list(connection, "drops")?;
    if is_served(&document, "packet_drop") {
        let by_filter = drops
            .iter()
            .filter(|it| it["reason"] == "SOCKET_FILTER" && it["end"] == "server")
            .count();
        ensure!(by_filter > 0, "{drops:#?}");
        let findings = list(&document["journeys"][0], "findings")?;
        let told = findings.iter().any(|finding| {
            let message = finding["message"].as_str().unwrap_or_default();
            finding["kind"] == "kernel_drop" && message.contains("SOCKET_FILTER")
        });
        ensure!(told, "{findings:#?}");
    }
    let samples = list(connection, "tcp_samples")?;
    let counted = samples
        .iter()
        .any(|it| it["retransmits"].as_u64() > Some(0));
    ensure!(counted, "{samples:#?}");
    Ok(())
}

fn lost_in_the_middle() -> Result<()> {
    let port = pieces::server()?.to_string();
    let tracer = tracing(&[], &[pieces::REFUSING_CLIENT, &port])?;
    let document = tracer.run()?.expect_code(0)?.json()?;
    journey::check_invariants(&document)?;
    let connection = &document["connections"][0];
    ensure!(connection["http"][0]["status"] == 200, "{connection:#}");
    let again = list(connection, "retransmissions")?;
    let fast = again.iter().find(|it| it["kind"] == "fast");
    let fast = fast.with_context(|| format!("no fast retransmission: {again:#?}"))?;
    ensure!(fast["end"] == "server", "{fast:#}");
    ensure!(
        fast["hook"] == "tracepoint",
        "guessed from frames: {fast:#}"
    );
    ensure!(fast["bytes"] == pieces::PIECE_BYTES, "{fast:#}");
    let samples = list(connection, "tcp_samples")?;
    let of_server = samples.iter().filter(|it| it["end"] == "server");
    let mut counted = of_server.map(|it| it["retransmits"].as_u64());
    ensure!(counted.any(|count| count > Some(0)), "{samples:#?}");
    Ok(())
}

/// How often a listening queue of this namespace was full, by the kernel's own count.
fn overflows() -> Result<u64> {
    pieces::tcp_counter("ListenOverflows")
}

fn full_queue() -> Result<()> {
    let (listener, address) = requests::crowded_listener()?;
    // One connection fits into the queue of such a listener.
    let guest = TcpStream::connect(address)?;
    let before = overflows()?;
    let port = address.port().to_string();
    let running = tracing(&[], &[requests::CLIENT, &port, "1"])?.start()?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while overflows()? == before {
        ensure!(Instant::now() < deadline, "the queue never was full");
        std::thread::yield_now();
    }
    drop(guest);
    requests::serve_in_background(listener);
    let document = running.finish()?.expect_code(0)?.json()?;
    journey::check_invariants(&document)?;
    let told = &document["journeys"][0];
    let findings = list(told, "findings")?;
    for kind in ["syn_retries", "listen_overflow"] {
        let found = findings.iter().any(|finding| finding["kind"] == kind);
        ensure!(found, "no {kind}: {findings:#?}");
    }
    Ok(())
}

fn doctor_json() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("doctor.json");
    let file = file.to_string_lossy();
    Tracer::new(["doctor", "--format", "json", "-o", &file])
        .run()?
        .expect_code(0)?;
    let text = std::fs::read_to_string(&*file)?;
    let diagnosis: Value = serde_json::from_str(&text)?;
    let schema = Tracer::new(["schema", "--format", "doctor"])
        .run()?
        .expect_code(0)?;
    let schema: Value = serde_json::from_str(&schema.stdout)?;
    let validator = jsonschema::draft202012::new(&schema)?;
    ensure!(validator.is_valid(&diagnosis), "{diagnosis:#}");
    ensure!(diagnosis["complete"] == true, "{diagnosis:#}");
    let facts = list(&diagnosis, "facts")?;
    let names: Vec<Value> = facts.iter().map(|fact| fact["fact"].clone()).collect();
    let names = strings(&Value::Array(names));
    for wanted in [
        "tcp_state",
        "tcp_sample",
        "tcp_retransmit",
        "tcp_reset",
        "packet_drop",
    ] {
        ensure!(names.contains(&wanted.to_owned()), "{names:?}");
    }
    let tcp_state = facts.iter().find(|fact| fact["fact"] == "tcp_state");
    ensure!(
        tcp_state.is_some_and(|fact| fact["provoked"] == true),
        "{facts:#?}"
    );
    for fact in facts {
        ensure!(
            fact["chosen"].is_string() || fact["optional"] == true,
            "{fact:#}"
        );
        let provoked = fact["provoked"] == true && fact["chosen"].is_string();
        ensure!(!provoked || fact["runs"].as_u64() > Some(0), "{fact:#}");
        for candidate in list(fact, "candidates")? {
            let refused = candidate["status"] == "unavailable" || candidate["status"] == "failed";
            ensure!(
                !refused || candidate["reason"].is_string() && candidate["mend"].is_string(),
                "{candidate:#}"
            );
        }
    }
    Ok(())
}
