//! Requests of this host on loopback: processes, completeness, many runs.

use std::env;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::journey;
use crate::program::{Tracer, tracing, watching};
use crate::requests;
use crate::scenario::Scenario;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "fetch_of_a_loopback_server_is_complete",
        run: loopback,
    },
    Scenario {
        name: "fetch_of_an_ipv6_loopback_server_is_complete",
        run: loopback_ipv6,
    },
    Scenario {
        name: "first_fetch_after_start_is_captured_every_time",
        run: first_fetch,
    },
    Scenario {
        name: "state_transitions_belong_to_the_right_process_in_1000_requests",
        run: thousand_requests,
    },
    Scenario {
        name: "run_leaves_the_commands_streams_and_code_alone",
        run: streams_and_code,
    },
    Scenario {
        name: "doctor_finds_a_hook_for_every_fact",
        run: doctor,
    },
    Scenario {
        name: "every_hook_that_can_serve_tcp_states_tells_the_same",
        run: tcp_state_hooks,
    },
    Scenario {
        name: "every_hook_that_can_serve_file_opens_tells_the_same",
        run: file_open_hooks,
    },
    Scenario {
        name: "live_prints_each_journey_when_it_ends",
        run: live,
    },
];

/// Guests are emulated: what takes seconds here takes minutes there.
fn emulated() -> bool {
    env::var_os("TRACER_GUEST").is_some()
}

fn check_loopback(ipv6: bool) -> Result<()> {
    let server = requests::server(ipv6)?;
    let url = format!("http://{server}/");
    let outcome = Tracer::new(["fetch", "--format", "json", &url]).run()?;
    let document = outcome.expect_code(0)?.json()?;
    journey::check_invariants(&document)?;
    let told = &document["journeys"][0];
    let connection = journey::connection(&document, told)?;
    ensure!(told["outcome"] == "ok", "{told:#}");
    ensure!(told["resolution"]["source"] == "literal", "{told:#}");
    ensure!(connection["http"][0]["status"] == 200, "{connection:#}");
    let bytes = &connection["bytes"];
    ensure!(bytes["client"].as_u64() > Some(30), "{bytes}");
    ensure!(bytes["server"].as_u64() > Some(90), "{bytes}");
    check_ends(connection, std::process::id())
}

fn loopback() -> Result<()> {
    check_loopback(false)
}

fn loopback_ipv6() -> Result<()> {
    check_loopback(true)
}

/// Both ends went through their states, and each belongs to its own process.
fn check_ends(connection: &Value, server: u32) -> Result<()> {
    let client_states = journey::states(connection, "client");
    let server_states = journey::states(connection, "server");
    let begins = |states: &[String], first: [&str; 2]| {
        let head: Vec<&str> = states.iter().take(2).map(String::as_str).collect();
        head == first
    };
    ensure!(
        begins(&client_states, ["CLOSED>SYN_SENT", "SYN_SENT>ESTABLISHED"]),
        "client: {client_states:?}"
    );
    ensure!(
        begins(&server_states, ["LISTEN>SYN_RECV", "SYN_RECV>ESTABLISHED"]),
        "server: {server_states:?}"
    );
    for states in [&client_states, &server_states] {
        let last = states.last().context("no states")?;
        ensure!(last.ends_with(">CLOSED"), "{states:?}");
    }
    let owner = &connection["server_process"];
    ensure!(owner["pid"] == server, "server {server} expected: {owner}");
    let client = &connection["client_process"];
    ensure!(client["attribution"] == "socket-cookie", "{client}");
    ensure!(client["pid"] != server, "{client}");
    Ok(())
}

fn first_fetch() -> Result<()> {
    let runs = if emulated() { 5 } else { 100 };
    let server = requests::server(false)?;
    let url = format!("http://{server}/");
    for run in 1..=runs {
        let outcome = Tracer::sparing(["fetch", "--format", "json", &url]).run()?;
        let document = outcome.expect_code(0)?.unchecked_json()?;
        let told = &document["journeys"][0];
        let check = || -> Result<()> {
            let connection = journey::connection(&document, told)?;
            for fact in ["syn_at_ns", "syn_ack_at_ns", "ack_at_ns"] {
                ensure!(connection["handshake"][fact].is_u64(), "no {fact}");
            }
            ensure!(told["outcome"] == "ok", "outcome {}", told["outcome"]);
            ensure!(
                connection["close"]["kind"] == "fin",
                "{}",
                connection["close"]
            );
            check_ends(connection, std::process::id())
        };
        check().with_context(|| format!("run {run} of {runs}: {document:#}"))?;
    }
    Ok(())
}

fn thousand_requests() -> Result<()> {
    let count = if emulated() { 100 } else { 1000 };
    let server = requests::server(false)?;
    let (port, wanted) = (server.port().to_string(), count.to_string());
    let tracer = tracing(&[], &[requests::CLIENT, &port, &wanted])?;
    let document = tracer.run()?.expect_code(0)?.json()?;
    journey::check_invariants(&document)?;
    let connections = document["connections"].as_array().context("no list")?;
    let lost = &document["capture"]["lost"];
    ensure!(
        lost.as_object().is_some_and(serde_json::Map::is_empty),
        "lost: {lost}"
    );
    ensure!(
        connections.len() == count,
        "{} of {count} connections",
        connections.len()
    );
    let client = &document["journeys"][0]["process"]["pid"];
    for connection in connections {
        check_ends(connection, std::process::id()).with_context(|| format!("{connection:#}"))?;
        ensure!(
            connection["client_process"]["pid"] == *client,
            "{connection:#}"
        );
    }
    let journeys = document["journeys"].as_array().context("no list")?;
    let fine = journeys
        .iter()
        .filter(|told| told["outcome"] == "ok")
        .count();
    ensure!(fine == count, "{fine} of {count} journeys are ok");
    Ok(())
}

fn streams_and_code() -> Result<()> {
    let script = "echo to-stdout; echo to-stderr >&2; exit 7";
    let outcome = Tracer::new(["run", "--", "sh", "-c", script]).run()?;
    let outcome = outcome.expect_code(7)?;
    ensure!(outcome.stdout == "to-stdout\n", "{}", outcome.describe());
    ensure!(
        outcome.stderr.contains("to-stderr"),
        "{}",
        outcome.describe()
    );
    let outcome = Tracer::new([
        "run", "--format", "json", "-o", "-", "--", "sh", "-c", script,
    ])
    .run()?
    .expect_code(7)?;
    outcome.json()?;
    ensure!(
        outcome.stderr.contains("to-stdout"),
        "{}",
        outcome.describe()
    );
    Ok(())
}

fn doctor() -> Result<()> {
    let outcome = Tracer::new(["doctor"]).run()?.expect_code(0)?;
    ensure!(
        outcome
            .stdout
            .contains("Every fact of the timeline has a hook"),
        "{}",
        outcome.describe()
    );
    if emulated() {
        // Kept in the guest's console, for docs/COMPATIBILITY.md.
        eprintln!("{}", outcome.stdout);
    }
    Ok(())
}

/// Kprobe, fentry, tp_btf and tracepoint: whichever this kernel has, alone, gives all transitions.
fn tcp_state_hooks() -> Result<()> {
    // Which end closes first would otherwise depend on the moment.
    let server = requests::patient_server()?;
    let url = format!("http://{server}/");
    let mut told = Vec::new();
    for hook in ["kprobe", "fentry", "tp_btf", "tracepoint"] {
        let force = format!("tcp_state={hook}");
        let arguments = ["fetch", "--format", "json", "--force-hook", &force, &url];
        let outcome = Tracer::sparing(arguments).run()?;
        if outcome.code() == Some(4) {
            // This kernel does not offer it; the message says so.
            ensure!(outcome.stderr.contains(hook), "{}", outcome.describe());
            continue;
        }
        let document = outcome.expect_code(0)?.json()?;
        let connection = &document["connections"][0];
        check_ends(connection, std::process::id()).context(hook)?;
        let states = connection["states"].as_array().context("no states")?;
        ensure!(
            states.iter().all(|state| state["hook"] == hook),
            "{states:?}"
        );
        told.push((
            hook,
            journey::states(connection, "client"),
            journey::states(connection, "server"),
        ));
    }
    let (first, client, server) = told.first().context("no hook at all")?;
    for (hook, others_client, others_server) in &told {
        ensure!(
            client == others_client,
            "client by {first} and by {hook}: {told:?}"
        );
        ensure!(
            server == others_server,
            "server by {first} and by {hook}: {told:?}"
        );
    }
    Ok(())
}

/// Kprobe, fentry and tracepoint: whichever this kernel has, alone, sees the same files read.
fn file_open_hooks() -> Result<()> {
    let server = requests::server(false)?;
    // A name that is looked up in files.
    let url = format!("http://localhost:{}/", server.port());
    let mut told = Vec::new();
    for (hook, function) in [
        ("kprobe", "do_sys_openat2"),
        ("fentry", "do_sys_openat2"),
        ("uprobe", "fopen"),
        ("tracepoint", "sys_enter"),
    ] {
        let force = format!("file_open={hook}");
        let arguments = ["fetch", "--format", "json", "--force-hook", &force, &url];
        let outcome = Tracer::sparing(arguments).run()?;
        if outcome.code() == Some(4) {
            // This kernel does not offer it; the message says so.
            ensure!(outcome.stderr.contains(hook), "{}", outcome.describe());
            continue;
        }
        let document = outcome.expect_code(0)?.json()?;
        let journey = &document["journeys"][0];
        let files = journey::strings(&journey["resolution"]["files"]);
        ensure!(
            files.iter().any(|file| file == "/etc/hosts"),
            "{hook}: {files:?}"
        );
        let events = journey["timeline"].as_array().context("no timeline")?;
        let seen = events.iter().filter(|event| {
            let summary = event["summary"].as_str().unwrap_or_default();
            summary.starts_with("reads /")
        });
        let evidence: Vec<&Value> = seen.map(|event| &event["evidence"]).collect();
        let expected = format!("{hook} {function}");
        ensure!(
            evidence.len() == files.len() && evidence.iter().all(|said| **said == expected),
            "{expected}: {evidence:?}"
        );
        told.push((hook, files));
    }
    let (first, files) = told.first().context("no hook at all")?;
    for (hook, others) in &told {
        ensure!(files == others, "by {first} and by {hook}: {told:?}");
    }
    Ok(())
}

fn live() -> Result<()> {
    let server = requests::server(false)?;
    let port = server.port();
    let running = watching(&port.to_string())?;
    let program = env::current_exe()?;
    let client = crate::program::Program::new(&program)
        .args([requests::CLIENT, &port.to_string(), "3"])
        .start()?;
    let client_pid = client.pid();
    client.finish()?.expect_code(0)?;
    running.wait_for_stdout("\"id\":\"j3\"")?;
    running.signal(nix::sys::signal::Signal::SIGINT)?;
    let lines = running.finish()?.expect_code(0)?.json_lines()?;
    let journeys: Vec<&Value> = lines.iter().filter(|l| l["type"] == "journey").collect();
    ensure!(journeys.len() == 3, "{} journeys", journeys.len());
    for told in journeys {
        ensure!(told["process"]["pid"] == client_pid, "{told:#}");
        ensure!(told["outcome"] == "ok", "{told:#}");
        check_ends(&told["connection"], std::process::id())?;
    }
    ensure!(
        lines.last().is_some_and(|line| line["type"] == "lost"),
        "{lines:?}"
    );
    Ok(())
}
