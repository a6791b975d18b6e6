//! Network namespaces without names: each lives as long as a descriptor or a process holds
//! it, so that nothing can be left behind, not even by kill -9.

use super::LabError;
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The calling thread's own network namespace.
const THIS_NAMESPACE: &str = "/proc/thread-self/ns/net";

const HINT: &str =
    "check that the kernel has network namespaces (CONFIG_NET_NS) and /proc is mounted";

/// A network namespace.
#[derive(Debug)]
pub struct Namespace(OwnedFd);

impl Namespace {
    /// Makes a new, empty one. The calling thread stays where it is.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN.
    pub fn create() -> Result<Self, LabError> {
        in_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open(THIS_NAMESPACE)
        })
        .map(|file| Self(file.into()))
        .map_err(|error| LabError::kernel("make a network namespace", error, HINT))
    }

    /// Runs `work` in a thread inside the namespace.
    pub(super) fn run<T: Send>(
        &self,
        step: &'static str,
        work: impl FnOnce() -> Result<T, LabError> + Send,
    ) -> Result<T, LabError> {
        in_thread(|| {
            setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        })
        .map_err(|error| LabError::kernel(step, error, HINT))?
    }

    /// Moves the calling thread into the namespace until the result is dropped.
    pub(super) fn enter(&self) -> Result<Inside, LabError> {
        let moved = File::open(THIS_NAMESPACE).and_then(|before| {
            setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET)?;
            Ok(before)
        });
        let before =
            moved.map_err(|error| LabError::kernel("enter the lab's network", error, HINT))?;
        Ok(Inside {
            before: before.into(),
            thread: PhantomData,
        })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(super) fn duplicate(&self) -> Result<OwnedFd, LabError> {
        self.0.try_clone().map_err(|error| {
            LabError::kernel(
                "keep the lab's network open",
                error,
                "raise the limit on open files (ulimit -n)",
            )
        })
    }
}

/// A thread's stay in another network namespace; it returns when this is dropped.
#[must_use = "the thread leaves the namespace again when this is dropped"]
#[derive(Debug)]
pub struct Inside {
    before: OwnedFd,
    /// Not `Send`: it is the thread that was moved that must go back.
    thread: PhantomData<*const ()>,
}

impl Inside {
    /// For a process that has given up the right to return (CAP_SYS_ADMIN) and ends soon.
    pub fn stay(self) {
        std::mem::forget(self);
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // The descriptor is open and the right was there a moment ago: only a bug fails here,
        // and a thread in the wrong network must not go on.
        setns(self.before.as_fd(), CloneFlags::CLONE_NEWNET)
            .expect("a thread can return to its own network namespace");
    }
}

/// Runs `work` in a thread of its own, because unshare and setns change the whole thread.
fn in_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        scope
            .spawn(work)
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a thread of the lab panicked")))
    })
}
