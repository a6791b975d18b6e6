//! Figures that must stay small, measured and printed as a table; `cargo xtask bench` runs it.

use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use nix::sys::signal::Signal;
use tracer_tests::load;
use tracer_tests::load::flow::Flow;
use tracer_tests::load::{Mode, Observer, Rounds, median};
use tracer_tests::program::Program;
use tracer_tests::reading::mix::Shape;
use tracer_tests::reading::{self, Captures, Cost};
use tracer_tests::requests;

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
    measure: fn(&Bench) -> Result<f64>,
}

/// Packets of the capture that is read.
const PACKETS: u32 = 1_000_000;
/// tshark gets a tenth: it takes several times as long for a packet, and remembers every one.
const TSHARK_PACKETS: u32 = PACKETS / 10;
/// Each program reads so often, in turns.
const ROUNDS: usize = 3;
/// Ten times the packets may take this much more than ten times the time of a packet.
const GROWTH: f64 = 1.5;

/// What is measured, and what was measured already.
struct Bench {
    arguments: Arguments,
    captures: Captures,
    /// Of each reader, the median.
    readings: OnceCell<[Reading; READERS.len()]>,
    /// What watching a web server took.
    watched: OnceCell<Rounds>,
    /// What the kernel programs took.
    kernel: RefCell<Vec<(Mode, load::cost::Kernel)>>,
    /// What became of a steady stream of events.
    flow: OnceCell<Flow>,
}

/// What reading a packet takes.
#[derive(Debug, Clone, Copy)]
struct Reading {
    microseconds: f64,
    /// Of the whole capture.
    megabytes: f64,
}

/// Who reads the capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Text,
    Json,
    Tcpdump,
    Tshark,
}

const READERS: [Reader; 4] = [Reader::Text, Reader::Json, Reader::Tcpdump, Reader::Tshark];

impl Bench {
    /// Microseconds of processor time for a packet.
    fn read(&self, reader: Reader) -> Result<f64> {
        Ok(self.reading(reader)?.microseconds)
    }

    fn reading(&self, reader: Reader) -> Result<Reading> {
        let readings = match self.readings.get() {
            Some(known) => known,
            None => {
                let measured = self.read_in_turns()?;
                self.readings.get_or_init(|| measured)
            }
        };
        let place = READERS.iter().position(|known| *known == reader);
        let found = place.and_then(|place| readings.get(place));
        found.copied().context("no such reader")
    }

    /// All read in every round, so that a slow moment of the machine meets all of them.
    fn read_in_turns(&self) -> Result<[Reading; READERS.len()]> {
        let mut measured = [const { Vec::new() }; READERS.len()];
        for _ in 0..ROUNDS {
            for (reader, values) in READERS.iter().zip(&mut measured) {
                values.push(self.cost(*reader)?);
            }
        }
        Ok(measured.map(|costs| Reading {
            microseconds: median(costs.iter().map(Cost::microseconds_per_packet).collect()),
            megabytes: median(costs.iter().map(|cost| cost.megabytes).collect()),
        }))
    }

    fn cost(&self, reader: Reader) -> Result<Cost> {
        let tracer = self.arguments.tracer.as_path();
        let (program, arguments, packets): (_, &[&str], _) = match reader {
            Reader::Text => (tracer, &["read", "--format", "text"], PACKETS),
            Reader::Json => (tracer, &["read", "--format", "json"], PACKETS),
            Reader::Tcpdump => (Path::new("tcpdump"), &["-n", "-r"], PACKETS),
            Reader::Tshark => (Path::new("tshark"), &["-n", "-r"], TSHARK_PACKETS),
        };
        let captures = &self.captures;
        captures.cost(program, arguments, Shape::Mix, packets)
    }

    fn watched(&self) -> Result<&Rounds> {
        if let Some(known) = self.watched.get() {
            return Ok(known);
        }
        let rounds = load::measure(&self.arguments.tracer)?;
        load::show(&rounds);
        Ok(self.watched.get_or_init(|| rounds))
    }

    /// Processor time of the watched, times that of the unwatched.
    fn times(&self, mode: Mode, observer: Observer) -> Result<f64> {
        let rounds = self.watched()?;
        Ok(load::ratio(rounds, mode, observer))
    }

    /// What the tracer adds to a request beyond what tcpdump adds, points of percent.
    fn above_tcpdump(&self, mode: Mode) -> Result<f64> {
        let of = |observer| self.times(mode, observer);
        Ok((of(Observer::Live)? - of(Observer::Tcpdump)?) * 100.0)
    }

    fn own(&self, mode: Mode, observer: Observer) -> Result<f64> {
        let rounds = load::rounds_of(self.watched()?, mode, observer);
        Ok(median(rounds.iter().map(|round| round.own).collect()))
    }

    fn kernel(&self, mode: Mode) -> Result<load::cost::Kernel> {
        let mut known = self.kernel.borrow_mut();
        if let Some((_, cost)) = known.iter().find(|(of, _)| *of == mode) {
            return Ok(*cost);
        }
        let cost = load::cost::of_kernel(&self.arguments.tracer, mode)?;
        known.push((mode, cost));
        Ok(cost)
    }

    fn flow(&self) -> Result<Flow> {
        if let Some(known) = self.flow.get() {
            return Ok(*known);
        }
        let flow = load::flow::measure(&self.arguments.tracer, EVENTS, SECONDS)?;
        Ok(*self.flow.get_or_init(|| flow))
    }

    /// How many times the time of a packet a packet takes when there are ten times as many.
    fn growth(&self, shape: Shape, packets: u32) -> Result<f64> {
        let cost = |packets| {
            let arguments = ["read", "--format", "text"];
            let tracer = &self.arguments.tracer;
            let mut times = Vec::new();
            for _ in 0..ROUNDS {
                let cost = self.captures.cost(tracer, &arguments, shape, packets)?;
                times.push(cost.microseconds_per_packet());
            }
            anyhow::Ok(median(times))
        };
        Ok(cost(packets)? / cost(packets / 10)?)
    }
}

/// Times the processor time of an unwatched request, of server and client together.
const NOTHING_MATCHES: f64 = 1.05;
const MATCHES: f64 = 1.08;
/// Points of percent.
const ABOVE_TCPDUMP: f64 = 3.0;
/// Processor time of the tracer for a request, microseconds.
const OWN: f64 = 2.5;
/// Processor time of the kernel programs for an event, nanoseconds. On kept-alive connections each
/// frame carries payload, on new ones few events do.
const EVENT: f64 = 250.0;
const EVENT_WITH_PAYLOAD: f64 = 400.0;
/// Captured events that the default ring must bear, a second, and for how long.
const EVENTS: u32 = 100_000;
const SECONDS: u32 = 60;

const fn figure(
    name: &'static str,
    unit: &'static str,
    limit: f64,
    measure: fn(&Bench) -> Result<f64>,
) -> Figure {
    Figure {
        name,
        unit,
        limit,
        measure,
    }
}

const FIGURES: &[Figure] = &[
    figure("start of the program", "ms", 100.0, start_of_the_program),
    figure("from start to all hooks attached", "ms", 300.0, attach),
    figure("detaching all hooks", "ms", 300.0, detach),
    figure(
        "a whole traced fetch on loopback",
        "ms",
        1000.0,
        whole_fetch,
    ),
    figure(
        "resident memory of a live capture",
        "MB",
        60.0,
        resident_memory,
    ),
    figure("read to text, per packet", "µs", 2.0, |bench| {
        bench.read(Reader::Text)
    }),
    figure("read to JSON, per packet", "µs", 4.0, |bench| {
        bench.read(Reader::Json)
    }),
    figure("read to text, resident memory", "MB", 200.0, |bench| {
        Ok(bench.reading(Reader::Text)?.megabytes)
    }),
    figure("read to JSON, resident memory", "MB", 200.0, |bench| {
        Ok(bench.reading(Reader::Json)?.megabytes)
    }),
    figure(
        "read by tcpdump, per packet",
        "µs",
        f64::INFINITY,
        |bench| bench.read(Reader::Tcpdump),
    ),
    figure(
        "read by tshark, per packet of a tenth",
        "µs",
        f64::INFINITY,
        |bench| bench.read(Reader::Tshark),
    ),
    figure("read to text, times tcpdump", "x", f64::INFINITY, |bench| {
        Ok(bench.read(Reader::Text)? / bench.read(Reader::Tcpdump)?)
    }),
    figure("read to text, times tshark", "x", 0.1, |bench| {
        Ok(bench.read(Reader::Text)? / bench.read(Reader::Tshark)?)
    }),
    figure("read the mix, times a tenth of it", "x", GROWTH, |bench| {
        bench.growth(Shape::Mix, 1_000_000)
    }),
    figure(
        "read one connection, times a tenth of it",
        "x",
        GROWTH,
        |bench| bench.growth(Shape::OneConnection, 500_000),
    ),
    figure(
        "read a port scan, times a tenth of it",
        "x",
        GROWTH,
        |bench| bench.growth(Shape::Scan, 200_000),
    ),
    figure(
        "read unanswered queries, times a tenth of it",
        "x",
        GROWTH,
        |bench| bench.growth(Shape::Unanswered, 100_000),
    ),
    figure(
        "live: keep-alive, nothing matches",
        "x",
        NOTHING_MATCHES,
        |bench| bench.times(Mode::KeepAlive, Observer::Elsewhere),
    ),
    figure("live: keep-alive, it matches", "x", MATCHES, |bench| {
        bench.times(Mode::KeepAlive, Observer::Live)
    }),
    figure(
        "live: keep-alive, it matches, above tcpdump",
        "points",
        ABOVE_TCPDUMP,
        |bench| bench.above_tcpdump(Mode::KeepAlive),
    ),
    figure(
        "live: keep-alive, own time, nothing matches",
        "µs",
        OWN,
        |bench| bench.own(Mode::KeepAlive, Observer::Elsewhere),
    ),
    figure(
        "live: keep-alive, own time, it matches",
        "µs",
        OWN,
        |bench| bench.own(Mode::KeepAlive, Observer::Live),
    ),
    figure(
        "live: keep-alive, kernel, per event",
        "ns",
        EVENT_WITH_PAYLOAD,
        |bench| Ok(bench.kernel(Mode::KeepAlive)?.per_event),
    ),
    figure(
        "live: keep-alive, kernel, per frame",
        "ns",
        EVENT_WITH_PAYLOAD,
        |bench| Ok(bench.kernel(Mode::KeepAlive)?.per_frame),
    ),
    figure(
        "live: new connections, nothing matches",
        "x",
        NOTHING_MATCHES,
        |bench| bench.times(Mode::Close, Observer::Elsewhere),
    ),
    figure("live: new connections, it matches", "x", MATCHES, |bench| {
        bench.times(Mode::Close, Observer::Live)
    }),
    figure(
        "live: new connections, it matches, above tcpdump",
        "points",
        ABOVE_TCPDUMP,
        |bench| bench.above_tcpdump(Mode::Close),
    ),
    figure(
        "live: new connections, own time, nothing matches",
        "µs",
        OWN,
        |bench| bench.own(Mode::Close, Observer::Elsewhere),
    ),
    figure(
        "live: new connections, own time, it matches",
        "µs",
        OWN,
        |bench| bench.own(Mode::Close, Observer::Live),
    ),
    figure(
        "live: new connections, kernel, per event",
        "ns",
        EVENT,
        |bench| Ok(bench.kernel(Mode::Close)?.per_event),
    ),
    figure(
        "live: new connections, kernel, per frame",
        "ns",
        EVENT,
        |bench| Ok(bench.kernel(Mode::Close)?.per_frame),
    ),
    figure(
        "live: TLS, nothing matches",
        "x",
        NOTHING_MATCHES,
        |bench| bench.times(Mode::Tls, Observer::Elsewhere),
    ),
    figure("live: TLS, it matches", "x", MATCHES, |bench| {
        bench.times(Mode::Tls, Observer::Live)
    }),
    figure(
        "live: TLS, it matches, above tcpdump",
        "points",
        ABOVE_TCPDUMP,
        |bench| bench.above_tcpdump(Mode::Tls),
    ),
    figure("live: TLS, own time, it matches", "µs", OWN, |bench| {
        bench.own(Mode::Tls, Observer::Live)
    }),
    figure(
        "events: reached a second",
        "events",
        f64::INFINITY,
        |bench| Ok(bench.flow()?.rate),
    ),
    figure("events: lost in a minute", "events", 0.0, |bench| {
        Ok(bench.flow()?.lost)
    }),
    figure(
        "events: own time, per event",
        "µs",
        f64::INFINITY,
        |bench| Ok(bench.flow()?.own),
    ),
    figure("events: most in the ring", "%", f64::INFINITY, |bench| {
        Ok(bench.flow()?.peak)
    }),
];

fn main() -> Result<ExitCode> {
    let part = requests::part().or_else(reading::part);
    if let Some(code) = part.or_else(load::flow::part) {
        return Ok(code);
    }
    let bench = Bench {
        arguments: Arguments::parse(),
        captures: Captures::new()?,
        readings: OnceCell::new(),
        watched: OnceCell::new(),
        kernel: RefCell::default(),
        flow: OnceCell::new(),
    };
    let arguments = &bench.arguments;
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
        let measured =
            (figure.measure)(&bench).with_context(|| format!("cannot measure: {}", figure.name))?;
        let fits = measured <= figure.limit;
        within &= fits;
        // Of a ratio the bar is a matter of hundredths.
        let decimals = if figure.unit == "x" { 2 } else { 1 };
        let remark = if fits { "" } else { "  too much" };
        println!(
            "{:<44} {:>12} {:>12}{remark}",
            figure.name,
            format!("{measured:.decimals$} {}", figure.unit),
            format!("{} {}", figure.limit, figure.unit)
        );
    }
    Ok(if within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Loading and linking the binary, which every other figure includes. Median of eleven.
fn start_of_the_program(bench: &Bench) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..11 {
        let program = Program::new(&bench.arguments.tracer).args(["--version"]);
        let started = Instant::now();
        program.run()?.expect_code(0)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

/// What `tracer fetch -v` of a loopback server says of itself: the number before ` ms` in
/// the line that holds `words`. Median of eleven.
fn said(bench: &Bench, words: &str) -> Result<f64> {
    let server = requests::server(false)?;
    let url = format!("http://{server}/");
    let mut times = Vec::new();
    for _ in 0..11 {
        let program = Program::new(&bench.arguments.tracer).args(["fetch", "-v", &url]);
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

fn attach(bench: &Bench) -> Result<f64> {
    said(bench, "hooks attached in")
}

fn detach(bench: &Bench) -> Result<f64> {
    said(bench, "detached in")
}

/// Start, attach, fetch, close, report, detach. Median of eleven.
fn whole_fetch(bench: &Bench) -> Result<f64> {
    let server = requests::server(false)?;
    let url = format!("http://{server}/");
    let mut times = Vec::new();
    for _ in 0..11 {
        let program = Program::new(&bench.arguments.tracer).args(["fetch", &url]);
        let started = Instant::now();
        program.run()?.expect_code(0)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

/// High-water mark (VmHWM of proc(5)) after a thousand requests were watched.
fn resident_memory(bench: &Bench) -> Result<f64> {
    let server = requests::server(false)?;
    let port = server.port().to_string();
    let running = Program::new(&bench.arguments.tracer)
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
