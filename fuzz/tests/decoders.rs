//! Every decoder, on inputs that were trouble once, on real bytes, on real bytes damaged
//! and on anything at all: it never panics, what it makes keeps its promises, and the heap
//! it holds grows no faster than the input.
//!
//! The heap is counted for the whole process, so the tests take turns.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tracer_fuzz::{TARGETS, Target, captures, findings};

fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The seeds of each target, in their order.
fn seeds() -> &'static [Vec<Vec<u8>>] {
    static SEEDS: OnceLock<Vec<Vec<Vec<u8>>>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let captures = captures::all();
        let of = |target: &Target| {
            // Tables that live on are not the memory of an input.
            (target.run)(b"");
            (target.seeds)(&captures)
        };
        TARGETS.iter().map(of).collect()
    })
}

#[test]
fn what_was_found_once_stays_mended() {
    let _turn = alone();
    seeds();
    for target in TARGETS {
        for (name, input) in findings::of(target.name).expect("findings can be read") {
            println!("{} {name}", target.name);
            target.check(&input);
        }
    }
}

#[test]
fn every_finding_belongs_to_a_target() {
    let folders = std::fs::read_dir(findings::folder("")).expect("the folder of findings");
    for folder in folders {
        let name = folder.expect("an entry").file_name();
        let known = TARGETS.iter().any(|target| *target.name == *name);
        assert!(known, "{} is the name of no target", name.display());
    }
}

#[test]
fn real_bytes_are_decoded() {
    let _turn = alone();
    for (target, seeds) in TARGETS.iter().zip(seeds()) {
        assert!(!seeds.is_empty(), "{} starts from nothing", target.name);
        for (number, seed) in seeds.iter().enumerate() {
            println!("{} seed {number}", target.name);
            target.check(seed);
        }
    }
}

/// Bytes changed, a part cut out, a part sent twice.
#[derive(Debug, Clone)]
struct Damage {
    changes: Vec<(Index, u8)>,
    cut: Option<(Index, Index)>,
    twice: Option<(Index, Index)>,
}

fn damage() -> impl Strategy<Value = (Index, Damage)> {
    let part = || prop::option::weighted(0.3, any::<(Index, Index)>());
    let changes = prop::collection::vec(any::<(Index, u8)>(), 0..8);
    (any::<Index>(), changes, part(), part()).prop_map(|(seed, changes, cut, twice)| {
        let damage = Damage {
            changes,
            cut,
            twice,
        };
        (seed, damage)
    })
}

impl Damage {
    fn done_to(&self, seed: &[u8]) -> Vec<u8> {
        let mut input = seed.to_vec();
        for (place, value) in &self.changes {
            if !input.is_empty() {
                let place = place.index(input.len());
                input[place] = *value;
            }
        }
        let range = |(one, other): &(Index, Index), length: usize| {
            let (one, other) = (one.index(length + 1), other.index(length + 1));
            one.min(other)..one.max(other)
        };
        if let Some(part) = &self.twice {
            let again = input[range(part, input.len())].to_vec();
            input.extend(again);
        }
        if let Some(part) = &self.cut {
            input.drain(range(part, input.len()));
        }
        input
    }
}

/// Runs `cases` inputs of `strategy` through every target.
fn every_target<S: Strategy>(
    cases: u32,
    strategy: impl Fn(usize) -> S,
    input: impl Fn(usize, &S::Value) -> Vec<u8>,
) {
    let _turn = alone();
    seeds();
    for (number, target) in TARGETS.iter().enumerate() {
        let config = Config {
            failure_persistence: None,
            ..Config::with_cases(cases)
        };
        let mut runner = TestRunner::new(config);
        let result = runner.run(&strategy(number), |value| {
            let input = input(number, &value);
            let outcome = std::panic::catch_unwind(|| target.check(&input));
            outcome
                .map(drop)
                .map_err(|_| TestCaseError::fail(format!("{} fails on {input:02x?}", target.name)))
        });
        if let Err(error) = result {
            panic!("{}: {error}", target.name);
        }
    }
}

#[test]
fn damaged_real_bytes_break_nothing() {
    every_target(
        150,
        |_| damage(),
        |number, (seed, damage)| {
            let seeds = &seeds()[number];
            damage.done_to(&seeds[seed.index(seeds.len())])
        },
    );
}

#[test]
fn arbitrary_bytes_break_nothing() {
    every_target(
        150,
        |_| prop::collection::vec(any::<u8>(), 0..600),
        |_, bytes| bytes.clone(),
    );
}

/// A long run of the same bytes is what makes careless code quadratic or greedy.
#[test]
fn repeated_bytes_hold_no_more_memory_than_their_share() {
    every_target(
        20,
        |_| (prop::collection::vec(any::<u8>(), 1..12), 1..4000_usize),
        |_, (unit, times)| unit.repeat(*times),
    );
}
