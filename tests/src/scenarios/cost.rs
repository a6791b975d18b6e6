//! What watching took: counted by the kernel and by the tracer, and kept in recordings.

use std::{env, fs, net::SocketAddr};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::network::Network;
use crate::program::{Program, Tracer, watching};
use crate::requests;
use crate::scenario::Scenario;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "cost_tells_what_each_program_and_the_tracer_took",
        run: told,
    },
    Scenario {
        name: "cost_on_request_stands_in_the_text_and_in_the_replay_of_its_recording",
        run: replayed,
    },
    Scenario {
        name: "a_live_capture_lets_the_kernel_count_only_when_it_is_asked_to",
        run: not_asked_for,
    },
    Scenario {
        name: "what_concerns_other_ports_than_the_one_asked_for_never_leaves_the_kernel",
        run: || Network::create()?.inside(other_ports),
    },
];

fn number(value: &Value, name: &str) -> Result<u64> {
    let number = value[name].as_u64();
    number.with_context(|| format!("no {name} in {value:#}"))
}

fn told() -> Result<()> {
    let server = requests::server(false)?;
    let url = format!("http://{server}/");
    let document = Tracer::new(["fetch", "--format", "json", &url])
        .run()?
        .expect_code(0)?
        .json()?;
    check(&document["capture"])
}

/// The parts fit each other and the capture.
fn check(capture: &Value) -> Result<()> {
    let cost = &capture["cost"];
    let events = cost["events"].as_object().context("no events")?;
    let total: u64 = events.values().filter_map(Value::as_u64).sum();
    let frames = number(&cost["events"], "frame")?;
    // SYN, SYN-ACK, ACK, request, response, two FINs.
    ensure!(frames >= 7 && total > frames, "{cost:#}");

    let kernel = &cost["kernel"];
    let programs = kernel["programs"].as_array().context("no programs")?;
    let program = |name: &str| {
        let found = programs.iter().find(|program| program["name"] == name);
        found.with_context(|| format!("{name} did not run: {kernel:#}"))
    };
    ensure!(
        number(program("tracer_out")?, "run_count")? >= frames / 2,
        "{kernel:#}"
    );
    ensure!(
        number(program("connect4")?, "run_count")? >= 1,
        "{kernel:#}"
    );
    for part in ["run_count", "run_time_ns"] {
        let sum: u64 = programs.iter().filter_map(|it| it[part].as_u64()).sum();
        ensure!(
            sum == number(kernel, part)? && sum > 0,
            "{part}: {kernel:#}"
        );
    }
    for one in programs {
        let (runs, time) = (number(one, "run_count")?, number(one, "run_time_ns")?);
        ensure!(number(one, "ns_per_run")? == time / runs, "{one:#}");
        let serves = |hook: &Value| hook["fact"] == one["fact"] && hook["status"] == "attached";
        let hooks = capture["hooks"].as_array().context("no hooks")?;
        ensure!(hooks.iter().any(serves), "ran without a hook: {one:#}");
    }
    let time = number(kernel, "run_time_ns")?;
    ensure!(number(kernel, "ns_per_event")? == time / total, "{cost:#}");

    let tracer = &cost["tracer"];
    let own = number(tracer, "user_ns")? + number(tracer, "system_ns")?;
    ensure!(
        own > 0 && number(tracer, "ns_per_event")? == own / total,
        "{cost:#}"
    );
    let ring = &cost["ring"];
    let (bytes, peak) = (number(ring, "bytes")?, number(ring, "peak_bytes")?);
    ensure!(peak > 0 && peak <= bytes, "{ring:#}");
    ensure!(
        number(cost, "duration_ns")? >= number(capture, "duration_ns")?,
        "{cost:#}"
    );
    Ok(())
}

fn replayed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = requests::server(false)?;
    let url = format!("http://{server}/");
    let in_folder = |arguments: &[&str]| {
        Tracer::new(arguments)
            .with(|program| program.folder(folder.path()))
            .run()?
            .expect_code(0)
    };
    in_folder(&[
        "fetch",
        "--cost",
        "--save",
        "it.pcapng",
        "-o",
        "live.txt",
        &url,
    ])?;
    in_folder(&["read", "--cost", "it.pcapng", "-o", "read.txt"])?;
    in_folder(&["read", "it.pcapng", "-o", "short.txt"])?;
    let text = |name: &str| fs::read_to_string(folder.path().join(name));
    let (live, read, short) = (text("live.txt")?, text("read.txt")?, text("short.txt")?);
    ensure!(live == read, "{live}\nreplay:\n{read}");
    ensure!(live.contains("tracer_out (frames_out)"), "{live}");
    ensure!(!short.contains("tracer_out"), "{short}");
    Ok(())
}

/// Twenty connections to another port come first.
fn other_ports() -> Result<()> {
    let (asked_for, another) = (requests::server(false)?, requests::server(false)?);
    let port = |server: SocketAddr| server.port().to_string();
    let request = |server, count| {
        let program = Program::new(env::current_exe()?);
        let client = program.args([requests::CLIENT, &port(server), count]);
        client.run()?.expect_code(0)
    };
    let running = watching(&port(asked_for))?;
    request(another, "20")?;
    request(asked_for, "1")?;
    running.wait_for_stdout("\"type\":\"journey\"")?;
    running.signal(Signal::SIGINT)?;
    let lines = running.finish()?.expect_code(0)?.json_lines()?;
    let journeys = lines.iter().filter(|line| line["type"] == "journey");
    ensure!(journeys.count() == 1, "{lines:?}");
    let last = lines.last().context("no line")?;
    let events = &last["cost"]["events"];
    // Of one connection: more than its handshake, and far less than of twenty-one.
    for class in ["frame", "tcp_state", "tcp_sample", "socket_owner"] {
        let count = number(events, class)?;
        ensure!((1..21).contains(&count), "{class}: {events:#}");
    }
    Ok(())
}

fn not_asked_for() -> Result<()> {
    let server = requests::server(false)?;
    let running = watching(&server.port().to_string())?;
    let url = format!("http://{server}/");
    Tracer::new(["fetch", "-q", &url]).run()?.expect_code(0)?;
    running.wait_for_stdout("\"type\":\"journey\"")?;
    running.signal(Signal::SIGINT)?;
    let lines = running.finish()?.expect_code(0)?.json_lines()?;
    let last = lines.last().context("no line")?;
    ensure!(last["type"] == "lost", "{last}");
    let cost = &last["cost"];
    ensure!(cost["kernel"].is_null(), "{cost:#}");
    ensure!(number(&cost["events"], "frame")? >= 7, "{cost:#}");
    Ok(())
}
