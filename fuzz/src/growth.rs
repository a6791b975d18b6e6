//! Does time grow as the input does? Measured, so not a test: `cargo xtask fuzz --growth`.

use crate::captures::Capture;
use crate::target::Target;
use std::time::{Duration, Instant};

/// Bytes of the shorter input.
const SHORT: usize = 32 << 10;
/// How much longer the longer one is.
const FACTOR: usize = 8;
/// Slower than in proportion by this much is a finding. What is quadratic is slower by
/// [`FACTOR`]; caches, and a machine with other work, cost something, too.
const SLACK: f64 = 3.0;
/// What is over sooner than this is not worth a judgement.
const NOTHING: Duration = Duration::from_millis(5);
/// The quickest of so many runs is the one that was not disturbed.
const RUNS: usize = 3;
/// Seeds of each target that are made longer.
const SEEDS: usize = 24;

/// The input whose time grew most.
#[derive(Debug, Clone)]
pub struct Growth {
    /// Which seed, or which byte where there is none.
    pub shape: String,
    pub short: Duration,
    pub long: Duration,
}

impl Growth {
    /// Time of the long input over that of the short one, divided by their lengths: 1 where
    /// time grows as the input does.
    pub fn factor(&self) -> f64 {
        let short = self.short.max(Duration::from_micros(1)).as_secs_f64();
        self.long.as_secs_f64() / short / FACTOR as f64
    }

    pub fn is_linear(&self) -> bool {
        self.long < NOTHING || self.factor() < SLACK
    }
}

/// The worst growth of a target over seeds that repeat and bytes that repeat.
pub fn worst(target: &Target, captures: &[Capture]) -> Option<Growth> {
    let seeds = (target.seeds)(captures);
    let step = seeds.len().div_ceil(SEEDS).max(1);
    let mut shapes: Vec<(String, Vec<u8>)> = Vec::new();
    for (number, seed) in seeds.into_iter().enumerate().step_by(step) {
        shapes.push((format!("seed {}", number + 1), seed));
    }
    for byte in [0, 1, b'a', b' ', b'\n', 0x80, 0xff] {
        shapes.push((format!("byte {byte:#04x}"), vec![byte]));
    }
    let grown = shapes.into_iter().map(|(shape, seed)| Growth {
        shape,
        short: time(target, &repeated(target, &seed, SHORT)),
        long: time(target, &repeated(target, &seed, SHORT * FACTOR)),
    });
    let measured: Vec<_> = grown.collect();
    let rank = |growth: &Growth| (!growth.is_linear(), growth.factor());
    measured.into_iter().max_by(|one, other| {
        rank(one)
            .partial_cmp(&rank(other))
            .unwrap_or(std::cmp::Ordering::Equal)
    })
}

/// What stands once in front, then the rest of the seed again and again.
fn repeated(target: &Target, seed: &[u8], length: usize) -> Vec<u8> {
    let is_pcap = seed.len() > 24 && matches!(seed[..4], [0xd4 | 0x4d, ..] | [0xa1, ..]);
    let head = if is_pcap { 24 } else { target.head };
    let (head, rest) = seed.split_at_checked(head).unwrap_or((&[], seed));
    if rest.is_empty() {
        return head.to_vec();
    }
    let times = length.div_ceil(rest.len());
    [head, &rest.repeat(times)].concat()
}

fn time(target: &Target, input: &[u8]) -> Duration {
    let once = || {
        let begun = Instant::now();
        (target.run)(input);
        begun.elapsed()
    };
    (0..RUNS).map(|_| once()).min().unwrap_or_default()
}
