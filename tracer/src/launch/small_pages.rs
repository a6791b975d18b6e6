//! Pages of memory: a capture starts a dozen threads, and each of them touches a little memory
//! of its own in several places. As huge pages these are 2 MiB each, which the kernel clears:
//! half of the time that the start took.

use nix::sys::prctl;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set when this process has changed what it was started with.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// Keeps the kernel from giving this process huge pages from now on. The setting outlives
/// execve(2), so commands are launched with what this process was started with.
///
/// Reading files is better off with huge pages. Not being allowed to is no failure.
pub fn use_small_pages() {
    if prctl::get_thp_disable() == Ok(false) && prctl::set_thp_disable(true).is_ok() {
        CHANGED.store(true, Ordering::Relaxed);
    }
}

/// Must a child change back what [`use_small_pages`] changed?
pub(super) fn were_huge() -> bool {
    CHANGED.load(Ordering::Relaxed)
}

/// In a child: huge pages are allowed again.
pub(super) fn allow_huge_pages() {
    // What was changed once can be changed back.
    let _ = prctl::set_thp_disable(false);
}
