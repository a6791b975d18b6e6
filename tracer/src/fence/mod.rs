//! What a process gives up before it decodes what strangers sent.
//!
//! A capture needs rights to begin, and a fraction of them to go on. Everything that parses
//! bytes from the wire or from a file runs behind this fence.

mod calls;
mod capabilities;
mod files;

pub use capabilities::{FenceError, keep_only};
pub use caps::Capability;

use std::path::PathBuf;

/// Refuses every system call that a running capture does without. A kernel without seccomp is
/// no failure: the result says in a few words what came of it.
#[must_use]
pub fn around_capture() -> String {
    match calls::refuse() {
        Ok(count) => format!("{count} system calls are refused (seccomp)"),
        Err(reason) => format!("no system call is refused: {reason}"),
    }
}

/// The same for a process that reads capture files: of all files, it opens only `inputs`.
#[must_use]
pub fn around_reading(inputs: &[PathBuf]) -> String {
    let files = match files::keep_only(inputs) {
        Ok(told) => told.to_owned(),
        Err(reason) => format!("no file is out of reach: {reason}"),
    };
    format!("{files}; {}", around_capture())
}

/// Does something in a thread that cannot open a file, and hands back what came of it. Where
/// the kernel has no seccomp, it can.
pub fn without_files<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // The thread alone is behind this filter, and ends with its work.
            let _ = calls::refuse_opening();
            work()
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
