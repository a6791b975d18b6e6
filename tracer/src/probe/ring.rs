//! The reader's end of the ring, and the kernel's count of what did not fit.

use std::time::Duration;

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray, RingBuf},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{Interval, MissedTickBehavior, interval},
};
use tracer_common::loss;

use super::error::{self, ProbeError};

/// The kernel wakes us only when the ring fills up: below, we look this often.
const PERIOD: Duration = Duration::from_millis(5);
/// Bytes handled before other tasks of this thread get their turn.
const MOST_BYTES: usize = 4 << 20;

/// The ring and its counters.
pub(super) struct Reader {
    ring: AsyncFd<RingBuf<MapData>>,
    lost: PerCpuArray<MapData, loss::Counters>,
    /// Losses already told.
    told: loss::Counters,
    period: Interval,
}

impl Reader {
    /// Takes the maps out of the object. Needs a tokio runtime.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        let ring = RingBuf::try_from(super::take_map(ebpf, "EVENTS")?).map_err(|error| {
            ProbeError::Map {
                operation: "open the ring buffer",
                reason: error::chain(&error),
            }
        })?;
        let lost = PerCpuArray::try_from(super::take_map(ebpf, "LOST")?).map_err(|error| {
            ProbeError::Map {
                operation: "open the loss counters",
                reason: error::chain(&error),
            }
        })?;
        // Only reading is of interest: a ring buffer is writable at all times.
        // SAFETY: the ring buffer keeps its one descriptor for as long as it lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }.map_err(
            |error| ProbeError::System {
                operation: "wait for the ring buffer",
                source: error.into(),
            },
        )?;
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            ring,
            lost,
            told: [0; loss::CLASSES],
            period,
        })
    }

    /// Waits until there may be something. Cancel-safe: it takes nothing.
    pub(super) async fn wait(&mut self) -> Result<(), ProbeError> {
        tokio::select! {
            _ = self.period.tick() => Ok(()),
            ready = self.ring.readable_mut() => match ready {
                Ok(mut guard) => {
                    guard.clear_ready();
                    Ok(())
                }
                Err(source) => Err(ProbeError::System {
                    operation: "wait for the ring buffer",
                    source,
                }),
            },
        }
    }

    /// Hands every record to `each`; true when the ring was read to its end.
    pub(super) fn read(&mut self, mut each: impl FnMut(&[u8])) -> bool {
        let ring = self.ring.get_mut();
        let mut bytes = 0;
        while let Some(record) = ring.next() {
            each(&record);
            bytes += record.len();
            if bytes >= MOST_BYTES {
                return false;
            }
        }
        true
    }

    /// Classes and numbers of events lost since the last call.
    pub(super) fn losses(&mut self) -> Vec<(&'static str, u64)> {
        let Ok(per_processor) = self.lost.get(&0, 0) else {
            return Vec::new();
        };
        let mut now = [0_u64; loss::CLASSES];
        for counters in per_processor.iter() {
            for (sum, count) in now.iter_mut().zip(counters) {
                *sum = sum.wrapping_add(*count);
            }
        }
        let told = std::mem::replace(&mut self.told, now);
        (0_u32..)
            .zip(now.iter().zip(told))
            .filter_map(|(class, (now, told))| {
                let count = now.saturating_sub(told);
                Some((loss::name(class)?, count)).filter(|_| count != 0)
            })
            .collect()
    }
}
