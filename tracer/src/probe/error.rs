//! What can go wrong before the first event.

use std::io;

/// Why the probe cannot do its work. Each says what failed, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A capability is missing (exit code 3).
    #[error("not permitted: {capability} is needed {purpose}: {mend}")]
    NotPermitted {
        /// For instance `CAP_NET_ADMIN`.
        capability: String,
        /// What it is for.
        purpose: String,
        mend: String,
    },
    /// The tracer is inside a pid namespace.
    #[error(
        "cannot name processes from inside a pid namespace: the kernel tells their numbers on the host, and /proc here has others: run tracer on the host, or its container with the host's (docker run --pid=host)"
    )]
    PidNamespace,
    /// The kernel lacks something without which nothing works (exit code 4).
    #[error("this kernel lacks {what}: {reason}: {mend}")]
    Unsupported {
        what: String,
        reason: String,
        mend: String,
    },
    /// The binary holds the stub of `build.rs` instead of the programs.
    #[error("this tracer was built without its kernel programs: run `cargo xtask build`")]
    NotBuilt,
    /// The embedded object cannot be used at all: a fault of the build.
    #[error("cannot load the kernel programs: {reason}: rebuild with `cargo xtask build`")]
    Object { reason: String },
    /// The caller asked for something that does not exist.
    #[error("cannot watch interface {name}: {reason}: `ip link` lists what there is")]
    Interface { name: String, reason: String },
    /// The kernel refused an operation on a map of ours.
    #[error(
        "cannot {operation}: {reason}: this is a fault of tracer or of this kernel; please report it"
    )]
    Map {
        operation: &'static str,
        reason: String,
    },
    /// The operating system refused an ordinary request.
    #[error("cannot {operation}: {source}: `tracer doctor` shows what this host allows")]
    System {
        operation: &'static str,
        source: io::Error,
    },
}

impl ProbeError {
    /// A fault of the kernel's own description of itself.
    pub(super) fn no_types(reason: impl Into<String>) -> Self {
        Self::Unsupported {
            what: "a description of its own structures (BTF)".to_owned(),
            reason: reason.into(),
            mend: "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y".to_owned(),
        }
    }
}

/// An error and everything that caused it, as one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

/// The errno somewhere in the chain of causes.
pub(super) fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(code) = current
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error)
        {
            return Some(code);
        }
        cause = current.source();
    }
    None
}
