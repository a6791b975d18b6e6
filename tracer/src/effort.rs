//! How much work something is, for tests that guard against more than linear work: the
//! processor's time of this thread, which other programs of the machine do not add to.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Processor time that `work` takes.
pub fn of(work: impl FnOnce()) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
        Duration::from(time.expect("every Linux has this clock"))
    };
    let begun = now();
    work();
    now() - begun
}
