//! The two clocks of a capture, read together.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// The start of a capture on the kernel's clock (which the programs use) and on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    boot_ns: u64,
    unix_ns: u64,
}

impl Clock {
    /// Reads both clocks now. The wall clock is read between two readings of the other and
    /// paired with their middle, so that a preemption in between does not show.
    pub fn now() -> Self {
        let before = boot_ns();
        let unix_ns = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
            });
        let after = boot_ns();
        Self {
            boot_ns: before + after.saturating_sub(before) / 2,
            unix_ns,
        }
    }

    /// Nanoseconds since the Unix epoch at the start.
    pub fn started_unix_nano(&self) -> u64 {
        self.unix_ns
    }

    /// CLOCK_BOOTTIME at the start, in nanoseconds.
    pub fn started_boot_ns(&self) -> u64 {
        self.boot_ns
    }

    /// A kernel time as nanoseconds since the start; 0 for what came before.
    pub fn since_start(&self, boot_ns: u64) -> u64 {
        boot_ns.saturating_sub(self.boot_ns)
    }

    /// Nanoseconds from the start until now.
    pub fn elapsed_ns(&self) -> u64 {
        self.since_start(boot_ns())
    }
}

/// CLOCK_BOOTTIME in nanoseconds: the clock of `bpf_ktime_get_boot_ns`.
pub(super) fn boot_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000
            + u64::try_from(time.tv_nsec()).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_the_start_is_at_its_start() {
        let clock = Clock {
            boot_ns: 100,
            unix_ns: 0,
        };
        assert_eq!((clock.since_start(40), clock.since_start(130)), (0, 30));
    }

    #[test]
    fn the_boot_clock_runs() {
        assert!(boot_ns() > 0);
    }
}
