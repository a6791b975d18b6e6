//! What watching costs those who are watched: a web server and its clients on loopback, with
//! one observer after the other in turns. What counts is the processor's time, which does not
//! depend on who else uses the machine, unlike the time that passes.

pub mod cost;
pub mod flow;
mod observer;
mod processor;
mod server;

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, unshare};

pub use observer::{OBSERVERS, Observer};
pub use server::{MODES, Mode};

use crate::program::must_run;
use server::Server;

/// Each observer watches each way of asking so often, in turns.
pub const ROUNDS: usize = 5;
/// The clients ask for so long each time: some ten thousands of requests.
const SECONDS: u64 = 1;

/// What one round took, for a request.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    pub requests: f64,
    /// Processor time of server and clients, microseconds.
    pub watched: f64,
    /// Processor time of the observer, from when it was ready to its end, microseconds.
    pub own: f64,
    /// Processor time of the whole machine, microseconds: also what was charged to nobody.
    pub machine: f64,
}

/// Every round of every observer, in the order of [`MODES`] and [`OBSERVERS`].
pub type Rounds = [[Vec<Round>; OBSERVERS.len()]; MODES.len()];

/// Measures all of it, where no other traffic of this machine is seen.
pub fn measure(tracer: &Path) -> Result<Rounds> {
    let tracer = tracer.to_owned();
    alone(move || {
        let server = Server::start()?;
        let mut rounds: Rounds = Default::default();
        for (mode, of_mode) in MODES.iter().zip(&mut rounds) {
            // The first requests of a server are not like those that follow.
            server.ask(*mode, SECONDS)?;
            for _ in 0..ROUNDS {
                for (observer, of_observer) in OBSERVERS.iter().zip(&mut *of_mode) {
                    let round = watch(&tracer, &server, *mode, *observer);
                    let round = round.with_context(|| {
                        format!("{} watched by {}", mode.name(), observer.name())
                    })?;
                    of_observer.push(round);
                }
            }
        }
        Ok(rounds)
    })
}

/// Runs `work` in a network namespace of its own.
pub fn alone<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    // Namespaces belong to threads; the programs it starts inherit this one's.
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
        must_run("ip", &["link", "set", "lo", "up"])?;
        work()
    });
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn watch(tracer: &Path, server: &Server, mode: Mode, observer: Observer) -> Result<Round> {
    let watching = observer.start(tracer, server)?;
    let asked = server.ask(mode, SECONDS)?;
    let own = watching.finish()?;
    ensure!(asked.requests > 0.0, "nothing was asked for");
    let each = |time: Duration| time.as_secs_f64() * 1e6 / asked.requests;
    Ok(Round {
        requests: asked.requests,
        watched: each(asked.watched),
        own: each(own),
        machine: each(asked.machine),
    })
}

/// The rounds of one observer.
pub fn rounds_of(rounds: &Rounds, mode: Mode, observer: Observer) -> &[Round] {
    let of_mode = MODES.iter().zip(rounds).find(|(known, _)| **known == mode);
    let of_observer = of_mode.and_then(|(_, of_mode)| {
        let mut both = OBSERVERS.iter().zip(of_mode);
        both.find(|(known, _)| **known == observer)
    });
    of_observer.map_or(&[], |(_, rounds)| rounds)
}

/// Processor time of the watched, times that of the unwatched in the same round: the median.
pub fn ratio(rounds: &Rounds, mode: Mode, observer: Observer) -> f64 {
    let watched = rounds_of(rounds, mode, observer).iter();
    let unwatched = rounds_of(rounds, mode, Observer::Nobody).iter();
    let both = watched.zip(unwatched);
    median(
        both.map(|(it, without)| it.watched / without.watched)
            .collect(),
    )
}

/// Prints every median, with the smallest and the largest.
pub fn show(rounds: &Rounds) {
    for mode in MODES {
        println!(
            "\n{}: processor time of server and clients for a request",
            mode.name()
        );
        println!(
            "{:<30} {:>9} {:>17} {:>7} {:>9} {:>10} {:>10}",
            "observer", "median", "spread", "ratio", "own", "machine", "requests"
        );
        for observer in OBSERVERS {
            let rounds_here = rounds_of(rounds, mode, observer);
            let all = |of: fn(&Round) -> f64| rounds_here.iter().map(of).collect::<Vec<f64>>();
            let watched = all(|round| round.watched);
            let (least, most) = watched
                .iter()
                .fold((f64::MAX, 0.0_f64), |(l, m), it| (l.min(*it), m.max(*it)));
            println!(
                "{:<30} {:>9} {:>17} {:>7} {:>9} {:>10} {:>10}",
                observer.name(),
                format!("{:.1} µs", median(watched)),
                format!("{least:.1} to {most:.1}"),
                format!("{:.3}", ratio(rounds, mode, observer)),
                format!("{:.2} µs", median(all(|round| round.own))),
                format!("{:.1} µs", median(all(|round| round.machine))),
                format!("{:.0}", median(all(|round| round.requests))),
            );
        }
    }
    println!();
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
