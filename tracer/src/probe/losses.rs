//! What did not fit into the ring, as the kernel programs tell it.

use std::collections::BTreeMap;

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray, RingBuf},
};
use tracer_common::{loss, record};

use super::{
    clock::Clock,
    decode,
    error::{self, ProbeError},
};
use crate::capture::{Fact, LossPlace, Observation};

/// Losses of one kind that follow each other within this are told as one: no request takes
/// less, so none lies between them.
const TOGETHER_NS: u64 = 20_000;

/// Reads the ring of losses, and the counters of what did not even fit there.
pub(super) struct Losses {
    told: RingBuf<MapData>,
    untold: PerCpuArray<MapData, loss::Counters>,
    /// The counters as they were last read, per processor.
    known: Vec<loss::Counters>,
    /// When they were, nanoseconds since the start.
    known_at_ns: u64,
}

/// Class, processor and ports as the kernel has them.
type Kind = (u32, u32, u32);

/// Losses of one kind, close together.
struct Stretch {
    first_ns: u64,
    last_ns: u64,
    count: u64,
}

impl Losses {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        let failed = |error: aya::maps::MapError| ProbeError::Map {
            operation: "open the records of losses",
            reason: error::chain(&error),
        };
        Ok(Self {
            told: RingBuf::try_from(super::take_map(ebpf, "LOSSES")?).map_err(failed)?,
            untold: PerCpuArray::try_from(super::take_map(ebpf, "LOST")?).map_err(failed)?,
            known: Vec::new(),
            known_at_ns: 0,
        })
    }

    /// Hands over every loss since the last call. The counters are a system call on a map, and
    /// whoever gets the processor in the middle of one runs no program of a kprobe (seen on 7.2
    /// under load): they are looked at where there are losses, and at the `end`.
    pub(super) fn since_last(
        &mut self,
        end: bool,
        clock: &Clock,
        mut each: impl FnMut(Observation),
    ) {
        let mut open: BTreeMap<Kind, Stretch> = BTreeMap::new();
        let mut any = false;
        while let Some(bytes) = self.told.next() {
            any = true;
            let Ok(lost) = decode::lost(&bytes) else {
                continue;
            };
            note(&mut open, &lost, clock, &mut each);
        }
        for (kind, stretch) in open {
            each(stretch.observation(kind));
        }
        // There is always one that was told before the first that was not.
        if any || end {
            self.count_untold(clock, each);
        }
    }

    /// Those can have happened at any time since the last look.
    fn count_untold(&mut self, clock: &Clock, mut each: impl FnMut(Observation)) {
        let since = std::mem::replace(&mut self.known_at_ns, clock.elapsed_ns());
        let Ok(now) = self.untold.get(&0, 0) else {
            return;
        };
        self.known.resize(now.len(), [0; loss::CLASSES]);
        for ((processor, counters), known) in (0_u32..).zip(now.iter()).zip(&mut self.known) {
            for ((class, counter), known) in (0_u32..).zip(counters).zip(known) {
                let count = counter.saturating_sub(*known);
                *known = *counter;
                if count != 0 {
                    let stretch = Stretch {
                        first_ns: since,
                        last_ns: clock.elapsed_ns(),
                        count,
                    };
                    each(stretch.observation((class, processor, 0)));
                }
            }
        }
    }
}

fn note(
    open: &mut BTreeMap<Kind, Stretch>,
    lost: &record::Lost,
    clock: &Clock,
    each: &mut impl FnMut(Observation),
) {
    let kind = (lost.class, lost.processor, lost.ports);
    let at_ns = clock.since_start(lost.at_ns);
    let new = Stretch {
        first_ns: at_ns,
        last_ns: at_ns,
        count: 1,
    };
    match open.get_mut(&kind) {
        Some(stretch) if at_ns.saturating_sub(stretch.last_ns) <= TOGETHER_NS => {
            stretch.last_ns = stretch.last_ns.max(at_ns);
            stretch.count += 1;
        }
        Some(stretch) => each(std::mem::replace(stretch, new).observation(kind)),
        None => {
            open.insert(kind, new);
        }
    }
}

impl Stretch {
    fn observation(self, (class, processor, ports): Kind) -> Observation {
        let ports = (ports != 0).then(|| {
            let half = |word: u32| u16::try_from(word & 0xffff).unwrap_or(0);
            (half(ports >> 16), half(ports))
        });
        Observation {
            at_ns: self.first_ns,
            fact: Fact::Lost {
                class: loss::name(class).unwrap_or("other"),
                count: self.count,
                place: Some(LossPlace {
                    lasted_ns: self.last_ns.saturating_sub(self.first_ns),
                    processor: Some(processor),
                    ports,
                }),
            },
        }
    }
}
