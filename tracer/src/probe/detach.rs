//! The end of a capture: every program leaves the kernel.
//!
//! A uprobe waits for up to 100 ms until nobody can be running it any more, a classifier for a
//! grace period. The report does not have to wait for that: what was seen is known by then.

use std::{
    os::fd::{AsFd as _, BorrowedFd},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use aya::Ebpf;

use super::{attach, cleanup};

/// All that is in the kernel.
pub(super) struct Attached {
    pub ebpf: Ebpf,
    pub linked: Vec<attach::LinkedProgram>,
    pub qdiscs: Vec<cleanup::Qdisc>,
}

impl Attached {
    /// A program that is in the kernel.
    pub(super) fn program(&self, name: &str) -> Option<BorrowedFd<'_>> {
        let linked = self.linked.iter().find(|program| program.name == name);
        match linked {
            Some(program) => Some(program.as_fd()),
            None => Some(self.ebpf.program(name)?.fd().ok()?.as_fd()),
        }
    }

    pub(super) fn take_away(mut self) {
        attach::take_away(&mut self.ebpf, self.linked, self.qdiscs);
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
        match attached {
            Some(attached) => Self::by(|| attached.take_away()),
            None => Self {
                begun: Instant::now(),
                running: None,
            },
        }
    }

    /// Begins what `take_away` does, and does not wait for it.
    pub(crate) fn by(take_away: impl FnOnce() + Send + 'static) -> Self {
        let begun = Instant::now();
        // It stays in the network namespace of its maker.
        let running = thread::spawn(|| {
            take_away();
            Instant::now()
        });
        Self {
            begun,
            running: Some(running),
        }
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

#[cfg(test)]
mod tests {
    use super::Detaching;
    use std::{sync::mpsc, time::Duration};

    /// More than any machine takes for a channel.
    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn its_beginning_does_not_wait_and_its_end_does() {
        let (go, word) = mpsc::channel();
        let (said, done) = mpsc::channel();
        let detaching = Detaching::by(move || {
            let told = word.recv_timeout(LIMIT);
            said.send(told.is_ok()).unwrap();
        });
        // Where the beginning waited, nobody could have said go.
        go.send(()).unwrap();
        let report = detaching.wait();
        assert_eq!(done.try_recv(), Ok(true));
        assert!(report.duration < LIMIT);
    }

    #[test]
    fn forgetting_it_waits_for_its_end() {
        let (said, done) = mpsc::channel();
        drop(Detaching::by(move || said.send(()).unwrap()));
        assert_eq!(done.try_recv(), Ok(()));
    }

    #[test]
    fn where_nothing_was_attached_nothing_is_waited_for() {
        assert!(Detaching::begin(None).wait().duration < LIMIT);
    }
}
