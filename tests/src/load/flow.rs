//! A steady stream of small requests: does the tracer bear so many events without loss?

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use serde_json::Value;

use super::{alone, cost};
use crate::program::Program;

/// First argument that turns a program into the clients and servers: events a second, seconds.
pub const STREAM: &str = "__stream";

/// Each has a client and a server on loopback.
const CONNECTIONS: usize = 8;
/// Requests that are sent together, each in a segment of its own.
const BATCH: usize = 16;
/// A peer that says nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(20);
const REQUEST: &[u8] = b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// What became of it.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Captured events a second, as the tracer counted them, while requests were sent.
    pub rate: f64,
    pub lost: f64,
    /// Processor time of the tracer for an event, microseconds.
    pub own: f64,
    /// Of the ring, percent.
    pub peak: f64,
}

/// Plays the clients and servers, when the first argument says so.
pub fn part() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1)? != STREAM {
        return None;
    }
    let number = |index: usize| arguments.get(index)?.parse::<u32>().ok();
    let streamed = match (number(2), number(3)) {
        (Some(rate), Some(seconds)) => stream(rate, seconds),
        _ => Err(anyhow::anyhow!("rate and seconds are wanted")),
    };
    Some(match streamed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    })
}

/// Lets the tracer watch about `rate` events a second for some seconds, with its default ring.
pub fn measure(tracer: &Path, rate: u32, seconds: u32) -> Result<Flow> {
    let program = tracer.to_owned();
    alone(move || {
        let folder = tempfile::tempdir()?;
        let report = folder.path().join("flow.ndjson");
        let tracer = cost::watch(&program, &report)?;
        let this = std::env::current_exe()?;
        let began = Instant::now();
        Program::new(this)
            .args([STREAM, &rate.to_string(), &seconds.to_string()])
            .limit(Duration::from_secs(u64::from(seconds) * 3 + 60))
            .run()?
            .expect_code(0)?;
        let took = began.elapsed().as_secs_f64();
        let (cost, lost) = cost::end(tracer, &report)?;
        let lost = lost.as_object().context("no losses")?;
        // Payload beyond the budget is counted there, too, and is no event.
        let lost = lost.iter().filter(|(class, _)| *class != "payload");
        let lost: u64 = lost.filter_map(|(_, count)| count.as_u64()).sum();
        let events = cost["events"].as_object().context("no events")?;
        let events: u64 = events.values().filter_map(Value::as_u64).sum();
        let (events, lost) = (events as f64, lost as f64);
        let number = |name: &str, part: &str| {
            let number = cost[name][part].as_f64();
            number.with_context(|| format!("no {name}.{part} in {cost}"))
        };
        ensure!(events > 0.0, "no event");
        let own = number("tracer", "user_ns")? + number("tracer", "system_ns")?;
        Ok(Flow {
            rate: events / took,
            lost,
            own: own / 1e3 / events,
            peak: number("ring", "peak_bytes")? / number("ring", "bytes")? * 100.0,
        })
    })
}

/// Requests and answers at a steady rate of segments, as events are made of segments.
fn stream(rate: u32, seconds: u32) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    // Of each request and its answer.
    const SEGMENTS: f64 = 2.0;
    let batches = f64::from(rate) / SEGMENTS / BATCH as f64 / CONNECTIONS as f64;
    let pause = Duration::from_secs_f64(1.0 / batches);
    let rounds = (batches * f64::from(seconds)) as u32;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..CONNECTIONS {
            threads.push(scope.spawn(move || ask(address, pause, rounds)));
            let (stream, _) = listener.accept()?;
            threads.push(scope.spawn(move || answer(stream)));
        }
        for thread in threads {
            let done = thread.join();
            done.map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok(())
    })
}

fn ask(address: SocketAddr, pause: Duration, rounds: u32) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut answers = vec![0; ANSWER.len() * BATCH];
    let began = Instant::now();
    for round in 0..rounds {
        for _ in 0..BATCH {
            stream.write_all(REQUEST)?;
        }
        stream.read_exact(&mut answers)?;
        // Behind time: the next follows at once, so that the rate is kept in the long run.
        let next = began + pause * (round + 1);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut requests = vec![0; REQUEST.len() * BATCH];
    let mut held = 0;
    loop {
        let room = requests.get_mut(held..).context("too much was asked")?;
        held += match stream.read(room)? {
            0 if held == 0 => return Ok(()),
            0 => bail!("a request is cut"),
            length => length,
        };
        for _ in 0..held / REQUEST.len() {
            stream.write_all(ANSWER)?;
        }
        held %= REQUEST.len();
    }
}
