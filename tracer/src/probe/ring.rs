//! The reader's end of the ring.

use std::time::Duration;

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{Interval, MissedTickBehavior, interval},
};

use super::error::{self, ProbeError};

/// The kernel wakes us only when the ring fills up: below, we look this often.
const PERIOD: Duration = Duration::from_millis(10);
/// Bytes handled before other tasks of this thread get their turn.
const MOST_BYTES: usize = 4 << 20;

/// What stands before each record, BPF_RINGBUF_HDR_SZ.
const RECORD_HEADER: usize = 8;

/// What one look at the ring gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// Room that the records took.
    pub bytes: usize,
    /// The ring was read to its end.
    pub is_whole: bool,
}

/// The ring and when to look at it.
pub(super) struct Reader {
    ring: AsyncFd<RingBuf<MapData>>,
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
        Ok(Self { ring, period })
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

    /// Hands every record to `each`.
    pub(super) fn read(&mut self, mut each: impl FnMut(&[u8])) -> Reading {
        let ring = self.ring.get_mut();
        let mut bytes = 0;
        while let Some(record) = ring.next() {
            each(&record);
            // As the kernel places them, kernel/bpf/ringbuf.c.
            bytes += (record.len() + RECORD_HEADER).next_multiple_of(8);
            if bytes >= MOST_BYTES {
                return Reading {
                    bytes,
                    is_whole: false,
                };
            }
        }
        Reading {
            bytes,
            is_whole: true,
        }
    }
}
