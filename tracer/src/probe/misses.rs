//! Runs of programs that the kernel skipped.
//!
//! A program does not interrupt itself: when an interrupt arrives while it runs on a CPU
//! and leads to the same hook, the kernel skips the second run and counts it (Linux 5.12).
//! Newer kernels (seen on 7.2) let another task take the CPU in the middle of a program, and
//! skip the runs that this one would cause. Such an event never reached the ring, so the
//! ring's own counters do not know of it.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use aya::Ebpf;

use super::{information, plan::FACTS};

/// Facts of which a skipped run is a lost event, and the class of that. The others look at
/// many events of which few matter: there a skipped run says nothing.
const COUNTED: &[(&str, &str)] = &[
    ("tcp_state", "tcp_state"),
    ("process", "process"),
    ("socket_reader", "socket_owner"),
];

/// A program whose skipped runs are watched.
#[derive(Debug)]
struct Watched {
    class: &'static str,
    program: OwnedFd,
    told: u64,
}

/// The skipped runs of all programs that matter.
#[derive(Debug, Default)]
pub(super) struct Misses(Vec<Watched>);

impl Misses {
    /// Of the programs that are loaded now.
    pub(super) fn of(ebpf: &Ebpf) -> Self {
        let class_of = |fact: &str| COUNTED.iter().find(|(counted, _)| *counted == fact);
        let parts = FACTS
            .iter()
            .filter_map(|fact| Some((fact, class_of(fact.name)?.1)))
            .flat_map(|(fact, class)| {
                let parts = fact.candidates.iter().flat_map(|one| one.parts);
                parts.map(move |part| (class, part.program))
            });
        Self(
            parts
                .filter_map(|(class, name)| {
                    let program = ebpf.program(name)?.fd().ok()?;
                    Some(Watched {
                        class,
                        program: program.as_fd().try_clone_to_owned().ok()?,
                        told: 0,
                    })
                })
                .collect(),
        )
    }

    /// Classes and numbers of runs skipped since the last call.
    pub(super) fn since_last(&mut self) -> Vec<(&'static str, u64)> {
        self.0
            .iter_mut()
            .filter_map(|watched| {
                let now = skipped_runs(watched.program.as_fd())?;
                let count = now.saturating_sub(watched.told);
                watched.told = now;
                (count != 0).then_some((watched.class, count))
            })
            .collect()
    }

    /// Lets go of the programs, so that they can leave the kernel.
    pub(super) fn release(&mut self) {
        self.0.clear();
    }
}

/// `recursion_misses` of a program; 0 on kernels that do not count.
fn skipped_runs(program: BorrowedFd<'_>) -> Option<u64> {
    Some(information::of(program)?.recursion_misses)
}
