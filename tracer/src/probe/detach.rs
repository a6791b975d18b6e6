//! The end of a capture: every program leaves the kernel.
//!
//! A uprobe waits for about 100 ms until nobody can be running it any more, a classifier for a
//! grace period. The report does not have to wait for that: what was seen is known by then.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use aya::Ebpf;

use super::{attach, cleanup};

/// All that is in the kernel.
pub(super) struct Attached {
    pub ebpf: Ebpf,
    pub qdiscs: Vec<cleanup::Qdisc>,
}

impl Attached {
    pub(super) fn take_away(mut self) {
        attach::unload_all(&mut self.ebpf);
        cleanup::remove_qdiscs(self.qdiscs);
    }
}

/// How the end went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachReport {
    /// From the call to the moment when nothing of ours was in the kernel any more.
    pub duration: Duration,
}

/// Programs on their way out of the kernel. Dropping it waits for them.
#[derive(Debug)]
#[must_use = "the programs are gone when it was waited for"]
pub struct Detaching {
    begun: Instant,
    running: Option<JoinHandle<Instant>>,
}

impl Detaching {
    pub(super) fn begin(attached: Option<Attached>) -> Self {
        let begun = Instant::now();
        let running = attached.map(|attached| {
            // It stays in the network namespace of its maker.
            thread::spawn(|| {
                attached.take_away();
                Instant::now()
            })
        });
        Self { begun, running }
    }

    /// Waits until nothing is left.
    pub fn wait(mut self) -> DetachReport {
        DetachReport {
            duration: self.join().saturating_duration_since(self.begun),
        }
    }

    /// When it was over.
    fn join(&mut self) -> Instant {
        let ended = self.running.take().map(JoinHandle::join);
        ended.and_then(Result::ok).unwrap_or_else(Instant::now)
    }
}

impl Drop for Detaching {
    fn drop(&mut self) {
        self.join();
    }
}
