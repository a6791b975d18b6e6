//! Does time grow as the input does? Measured, so not a test: `cargo xtask fuzz --growth`.

use crate::captures::Capture;
use crate::target::Target;
use std::time::{Duration, Instant};

/// Bytes of the shortest input.
const SHORTEST: usize = 32 << 10;
/// How much longer each of the next two is.
const FACTOR: usize = 4;
/// Slower than in proportion by this much, twice in a row, is a finding. What is quadratic
/// is slower by [`FACTOR`]; caches, and a machine with other work, cost something, too.
const SLACK: f64 = 2.5;
/// What is over sooner than this is not worth a judgement.
const NOTHING: Duration = Duration::from_millis(5);
/// The quickest of so many runs is the one that was not disturbed.
const RUNS: usize = 3;
/// Seeds of each target that are made longer.
const SEEDS: usize = 12;

/// How time grew with one shape of input.
#[derive(Debug, Clone)]
pub struct Growth {
    /// Which seed, or which byte where there is none.
    pub shape: String,
    /// Of the shortest input to the longest.
    pub times: [Duration; 3],
}

impl Growth {
    /// Time of an input over that of the shorter one, divided by their lengths, of the step
    /// where it grew less: 1 where time grows as the input does. A single jump is no growth:
    /// a message that is complete only in the longer input makes one.
    pub fn factor(&self) -> f64 {
        let [short, middle, long] = self.times.map(|time| time.as_secs_f64().max(1e-6));
        (middle / short).min(long / middle) / FACTOR as f64
    }

    pub fn longest(&self) -> Duration {
        self.times[2]
    }

    pub fn is_linear(&self) -> bool {
        self.longest() < NOTHING || self.factor() < SLACK
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
    for byte in [0, 1, b' ', b'\n', 0xff] {
        shapes.push((format!("byte {byte:#04x}"), vec![byte]));
    }
    let grown = shapes.into_iter().map(|(shape, seed)| {
        let lengths = [1, FACTOR, FACTOR * FACTOR].map(|times| SHORTEST * times);
        let times = lengths.map(|length| time(target, &repeated(target, &seed, length)));
        Growth { shape, times }
    });
    grown.max_by(|one, other| {
        let linear = other.is_linear().cmp(&one.is_linear());
        linear.then(one.factor().total_cmp(&other.factor()))
    })
}

/// What stands once in front, then the rest of the seed again and again.
fn repeated(target: &Target, seed: &[u8], length: usize) -> Vec<u8> {
    // The header of a pcap file; of pcapng any number of sections may follow each other.
    let is_pcap = matches!(
        seed,
        [0xd4 | 0x4d, 0xc3 | 0x3c, 0xb2, 0xa1, ..] | [0xa1, 0xb2, ..]
    );
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
