//! What watching takes of this host: the kernel's statistics of our programs, the processor
//! time of this process, and how much there was to read.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use aya::sys::{Stats, enable_stats};
use nix::sys::{
    resource::{Usage, UsageWho, getrusage},
    time::TimeVal,
};
use tracer_common::{event, loss};

use super::{detach::Attached, information, plan::FACTS};
use crate::journey::model::{Cost, KernelCost, ProgramCost, RingCost, TracerCost};

/// Numbers of events are below this.
const EVENTS: usize = 0x100;

/// Counts from the moment when it is made.
pub(super) struct Meter {
    /// While this is open, the kernel counts runs and their time, of every program of the
    /// host. It closes with the process, however that ends.
    statistics: Option<OwnedFd>,
    /// Events read, by their numbers.
    events: [u64; EVENTS],
    ring_bytes: u64,
    peak_bytes: u64,
    since: Instant,
    /// User and system time of this process until then.
    before: (Duration, Duration),
}

impl Meter {
    /// `statistics`: the kernel is to count, too.
    pub fn start(statistics: bool, ring_bytes: u32) -> Self {
        // Refused without CAP_SYS_ADMIN, and by kernels before 5.8: then it is not known.
        let statistics = statistics.then(|| enable_stats(Stats::RunTime).ok());
        Self {
            statistics: statistics.flatten(),
            events: [0; EVENTS],
            ring_bytes: u64::from(ring_bytes),
            peak_bytes: 0,
            since: Instant::now(),
            before: processor_time(),
        }
    }

    /// Takes note of a record of the ring.
    pub fn count(&mut self, record: &[u8]) {
        // Every record starts with the number of its event.
        let number = record
            .first_chunk()
            .map(|number| u16::from_ne_bytes(*number));
        let number = number.map(usize::from);
        if let Some(count) = number.and_then(|number| self.events.get_mut(number)) {
            *count += 1;
        }
    }

    /// Takes note of how much was in the ring.
    pub fn found(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.peak_bytes = self.peak_bytes.max(bytes.min(self.ring_bytes));
    }

    /// All of it, until now.
    pub(super) fn read(&self, attached: &Attached) -> Cost {
        let duration = self.since.elapsed();
        let total: u64 = self.events.iter().sum();
        let (user, system) = processor_time();
        let user = user.saturating_sub(self.before.0);
        let system = system.saturating_sub(self.before.1);
        let statistics = self.statistics.as_ref();
        Cost {
            duration_ns: nanoseconds(duration),
            events: by_class(&self.events),
            events_per_second: per_second(total, duration),
            kernel: statistics.map(|_| kernel(programs(attached), total)),
            tracer: TracerCost {
                user_ns: nanoseconds(user),
                system_ns: nanoseconds(system),
                ns_per_event: nanoseconds(user + system).checked_div(total),
            },
            ring: RingCost {
                bytes: self.ring_bytes,
                peak_bytes: self.peak_bytes,
            },
        }
    }
}

/// Those of our programs that ran.
fn programs(attached: &Attached) -> Vec<ProgramCost> {
    let parts = FACTS.iter().flat_map(|fact| {
        let parts = fact.candidates.iter().flat_map(|one| one.parts);
        parts.map(move |part| (part.program, fact.name))
    });
    // Several candidates of a fact may share a program.
    let parts: BTreeMap<&str, &str> = parts.collect();
    let ran = parts.into_iter().filter_map(|(name, fact)| {
        let information = information::of(attached.program(name)?)?;
        let (run_count, run_time_ns) = (information.run_cnt, information.run_time_ns);
        Some(ProgramCost {
            name: name.to_owned(),
            fact: fact.to_owned(),
            run_count,
            run_time_ns,
            ns_per_run: run_time_ns.checked_div(run_count)?,
        })
    });
    ran.collect()
}

fn kernel(mut programs: Vec<ProgramCost>, events: u64) -> KernelCost {
    programs.sort_by_key(|program| std::cmp::Reverse(program.run_time_ns));
    let run_time_ns: u64 = programs.iter().map(|program| program.run_time_ns).sum();
    KernelCost {
        run_count: programs.iter().map(|program| program.run_count).sum(),
        run_time_ns,
        ns_per_event: run_time_ns.checked_div(events),
        programs,
    }
}

/// Events per class, as losses name it.
fn by_class(events: &[u64; EVENTS]) -> BTreeMap<String, u64> {
    let mut classes = BTreeMap::new();
    for (number, count) in (0_u16..).zip(events).filter(|(_, count)| **count > 0) {
        let class = event::class(number).and_then(loss::name);
        *classes
            .entry(class.unwrap_or("other").to_owned())
            .or_default() += count;
    }
    classes
}

/// User and system time of all threads of this process.
fn processor_time() -> (Duration, Duration) {
    let usage = getrusage(UsageWho::RUSAGE_SELF);
    let time = |of: fn(&Usage) -> TimeVal| {
        let time = usage.as_ref().map(of).unwrap_or(TimeVal::new(0, 0));
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let microseconds = u64::try_from(time.tv_usec()).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(microseconds)
    };
    (time(Usage::user_time), time(Usage::system_time))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn per_second(count: u64, duration: Duration) -> u64 {
    let each = u128::from(count) * 1_000_000_000;
    let rate = each.checked_div(duration.as_nanos()).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str, run_count: u64, run_time_ns: u64) -> ProgramCost {
        ProgramCost {
            name: name.to_owned(),
            fact: "frames_out".to_owned(),
            run_count,
            run_time_ns,
            ns_per_run: run_time_ns / run_count,
        }
    }

    #[test]
    fn the_longest_program_comes_first_and_all_are_summed_up() {
        let cost = kernel(vec![program("short", 3, 30), program("long", 1, 270)], 4);
        assert_eq!((cost.run_count, cost.run_time_ns), (4, 300));
        assert_eq!(cost.ns_per_event, Some(75));
        let names: Vec<&str> = cost.programs.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["long", "short"]);
        assert_eq!(kernel(Vec::new(), 0).ns_per_event, None);
    }

    #[test]
    fn records_are_counted_by_their_class() {
        let mut meter = Meter::start(false, 4096);
        let record = |event: u16| event.to_ne_bytes();
        meter.count(&record(event::FRAME));
        for process in [event::PROCESS_EXEC, event::PROCESS_EXIT] {
            meter.count(&record(process));
        }
        meter.count(&record(0xfff));
        meter.count(&[1]);
        meter.count(&record(0xff));
        let counted = by_class(&meter.events);
        let expected = [("frame", 1), ("process", 2), ("other", 1)];
        assert_eq!(
            counted,
            expected
                .map(|(class, count)| (class.to_owned(), count))
                .into()
        );
    }

    #[test]
    fn a_rate_without_time_is_none() {
        assert_eq!(per_second(10, Duration::ZERO), 0);
        assert_eq!(per_second(10, Duration::from_millis(500)), 20);
    }
}
