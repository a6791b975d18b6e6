//! How far attaching is.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counted while [`Probe::attach`](super::Probe::attach) works, for somebody who waits. Clones
/// count together.
#[derive(Debug, Clone, Default)]
pub struct Steps(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    interfaces: AtomicU64,
    hooks: AtomicU64,
}

impl Steps {
    /// Interfaces that are going to be watched; 0 before that is known.
    #[must_use]
    pub fn interfaces(&self) -> u64 {
        self.0.interfaces.load(Ordering::Relaxed)
    }

    /// Hooks that are attached by now.
    #[must_use]
    pub fn hooks(&self) -> u64 {
        self.0.hooks.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self, interfaces: usize) {
        let interfaces = u64::try_from(interfaces).unwrap_or(u64::MAX);
        self.0.interfaces.store(interfaces, Ordering::Relaxed);
    }

    pub(crate) fn attached(&self) {
        self.0.hooks.fetch_add(1, Ordering::Relaxed);
    }
}
