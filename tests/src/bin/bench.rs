//! Figures that must stay small, measured and printed as a table; `cargo xtask bench` runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use nix::sys::signal::Signal;
use tracer_tests::program::Program;
use tracer_tests::{reading, requests};

#[derive(Debug, Parser)]
struct Arguments {
    /// The tracer to measure.
    #[arg(long, value_name = "FILE")]
    tracer: PathBuf,
    /// Only the figures whose name holds one of these words.
    words: Vec<String>,
}

/// One figure: how it is measured, and what it may be at most.
struct Figure {
    name: &'static str,
    unit: &'static str,
    limit: f64,
    measure: fn(&Arguments) -> Result<f64>,
}

const FIGURES: &[Figure] = &[
    Figure {
        name: "start of the program",
        unit: "ms",
        limit: 100.0,
        measure: start_of_the_program,
    },
    Figure {
        name: "from start to all hooks attached",
        unit: "ms",
        limit: 300.0,
        measure: attach,
    },
    Figure {
        name: "detaching all hooks",
        unit: "ms",
        limit: 300.0,
        measure: detach,
    },
    Figure {
        name: "a whole traced fetch on loopback",
        unit: "ms",
        limit: 1000.0,
        measure: whole_fetch,
    },
    Figure {
        name: "resident memory of a live capture",
        unit: "MB",
        limit: 60.0,
        measure: resident_memory,
    },
    Figure {
        name: "read to text, per packet",
        unit: "µs",
        limit: 2.0,
        measure: |arguments| read(&arguments.tracer, &["read", "--format", "text"]),
    },
    Figure {
        name: "read to JSON, per packet",
        unit: "µs",
        limit: 4.0,
        measure: |arguments| read(&arguments.tracer, &["read", "--format", "json"]),
    },
    Figure {
        name: "read by tshark, per packet",
        unit: "µs",
        limit: f64::INFINITY,
        measure: |_| read(Path::new("tshark"), &["-n", "-r"]),
    },
    Figure {
        name: "read by tcpdump, per packet",
        unit: "µs",
        limit: f64::INFINITY,
        measure: |_| read(Path::new("tcpdump"), &["-n", "-r"]),
    },
];

fn main() -> Result<ExitCode> {
    if let Some(code) = requests::part() {
        return Ok(code);
    }
    let arguments = Arguments::parse();
    let wanted = |figure: &&Figure| {
        arguments.words.is_empty()
            || arguments
                .words
                .iter()
                .any(|word| figure.name.contains(word.as_str()))
    };
    if !FIGURES.iter().any(|figure| wanted(&figure)) {
        bail!("no figure has such a name: run without words to see all");
    }
    let mut within = true;
    println!("{:<44} {:>12} {:>12}", "figure", "measured", "at most");
    for figure in FIGURES.iter().filter(wanted) {
        let measured = (figure.measure)(&arguments)
            .with_context(|| format!("cannot measure: {}", figure.name))?;
        let fits = measured <= figure.limit;
        within &= fits;
        let remark = if fits { "" } else { "  too much" };
        println!(
            "{:<44} {:>12} {:>12}{remark}",
            figure.name,
            format!("{measured:.1} {}", figure.unit),
            format!("{} {}", figure.limit, figure.unit)
        );
    }
    reading::clean();
    Ok(if within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Loading and linking the binary, which every other figure includes. Median of eleven.
fn start_of_the_program(arguments: &Arguments) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..11 {
        let program = Program::new(&arguments.tracer).args(["--version"]);
        let started = Instant::now();
        program.run()?.expect_code(0)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

/// What `tracer fetch -v` of a loopback server says of itself: the number before ` ms` in
/// the line that holds `words`. Median of eleven.
fn said(arguments: &Arguments, words: &str) -> Result<f64> {
    let server = requests::server(false)?;
    let url = format!("http://{server}/");
    let mut times = Vec::new();
    for _ in 0..11 {
        let program = Program::new(&arguments.tracer).args(["fetch", "-v", &url]);
        let outcome = program.run()?.expect_code(0)?;
        let mut lines = outcome.stderr.lines();
        let line = lines.find(|line| line.contains(words));
        let line = line.with_context(|| format!("no {words:?}\n{}", outcome.describe()))?;
        let before = line.split(" ms").next().unwrap_or_default();
        let number = before.rsplit(' ').next().unwrap_or_default();
        times.push(
            number
                .parse()
                .with_context(|| format!("no number in {line:?}"))?,
        );
    }
    Ok(median(times))
}

/// Reading a capture of a million packets of mixed HTTP and TLS.
fn read(program: &Path, arguments: &[&str]) -> Result<f64> {
    reading::microseconds_per_packet(program, arguments)
}

fn attach(arguments: &Arguments) -> Result<f64> {
    said(arguments, "hooks attached in")
}

fn detach(arguments: &Arguments) -> Result<f64> {
    said(arguments, "detached in")
}

/// Start, attach, fetch, close, report, detach. Median of eleven.
fn whole_fetch(arguments: &Arguments) -> Result<f64> {
    let server = requests::server(false)?;
    let url = format!("http://{server}/");
    let mut times = Vec::new();
    for _ in 0..11 {
        let program = Program::new(&arguments.tracer).args(["fetch", &url]);
        let started = Instant::now();
        program.run()?.expect_code(0)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

/// High-water mark (VmHWM of proc(5)) after a thousand requests were watched.
fn resident_memory(arguments: &Arguments) -> Result<f64> {
    let server = requests::server(false)?;
    let port = server.port().to_string();
    let running = Program::new(&arguments.tracer)
        .args(["live", "--format", "ndjson", "--port", &port])
        .start()?;
    running.wait_for_stdout("\"type\":\"capture\"")?;
    let this = std::env::current_exe()?;
    let client = Program::new(this).args([requests::CLIENT, &port, "1000"]);
    client.run()?.expect_code(0)?;
    running.wait_for_stdout("\"id\":\"j1000\"")?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid()))?;
    running.signal(Signal::SIGINT)?;
    running.finish()?.expect_code(0)?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let words = line.context("no VmHWM in /proc/PID/status")?;
    let number = words.split_whitespace().nth(1).context("no number")?;
    Ok(number.parse::<f64>()? / 1024.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
