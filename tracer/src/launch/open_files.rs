//! The limit on open files: an interface takes two or three descriptors, and hosts full of
//! containers have more interfaces than the usual limit allows.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::sync::OnceLock;

/// The limit that this process was started with.
static BEFORE: OnceLock<(u64, u64)> = OnceLock::new();

/// Allows this process as many open files as it may allow itself. Commands it launches get
/// the limit it was started with, because programs that use select(2) rely on it.
///
/// Not being allowed to is no failure: most hosts have few interfaces.
pub fn raise_open_files() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        let _ = BEFORE.set((soft, hard));
    }
}

/// What [`raise_open_files`] changed, for a child to change back.
pub(super) fn limit_before() -> Option<u64> {
    BEFORE.get().map(|(soft, _)| *soft)
}

/// In a child: back to the limit of before.
pub(super) fn restore_open_files(soft: u64) {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Lowering is always allowed; a lower hard limit than that needs nothing.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
    }
}
