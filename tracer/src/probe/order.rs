//! Puts observations into the order of their times.
//!
//! Programs on several processors reserve, take the time and submit independently, so that
//! records in the ring can be swapped by microseconds. They are held back for a moment that
//! is longer than any such swap; equal times keep the order of the ring, so that the result
//! is the same for the same records.

use crate::capture::Observation;

/// Observations waiting for older ones.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    /// In the order of the ring; `None` is only what is being handed out. Nearly all are in the
    /// order of their times: sorting their places moves no more than two numbers each, where a
    /// heap of observations moved each of them as often as it is deep.
    waiting: Vec<Option<Observation>>,
    newest: u64,
    released_until: u64,
}

impl Reorder {
    pub(super) fn push(&mut self, observation: Observation) {
        self.newest = self.newest.max(observation.at_ns);
        self.waiting.push(Some(observation));
    }

    /// Hands out everything up to a time, which the caller knows to be complete.
    pub(super) fn release(&mut self, until: u64) -> Vec<Observation> {
        let times = self.waiting.iter().flatten().map(|one| one.at_ns);
        let due = times.enumerate().filter(|(_, at_ns)| *at_ns <= until);
        let mut due: Vec<(u64, usize)> = due.map(|(place, at_ns)| (at_ns, place)).collect();
        due.sort_unstable();
        let mut released = Vec::with_capacity(due.len());
        for (_, place) in due {
            let Some(mut observation) = self.waiting.get_mut(place).and_then(Option::take) else {
                continue;
            };
            // A straggler (a program preempted for longer than we wait) cannot go back in
            // time: who listens relies on the order.
            self.released_until = self.released_until.max(observation.at_ns);
            observation.at_ns = self.released_until;
            released.push(observation);
        }
        self.waiting.retain(Option::is_some);
        released
    }

    /// As [`Self::release`], up to `distance` before the newest that has arrived: for when
    /// the ring was not read to its end, and the clock says nothing.
    pub(super) fn release_behind_newest(&mut self, distance: u64) -> Vec<Observation> {
        self.release(self.newest.saturating_sub(distance))
    }

    /// Hands out everything.
    pub(super) fn finish(&mut self) -> Vec<Observation> {
        self.release(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Reorder;
    use crate::capture::{Fact, Observation};

    fn seen(at_ns: u64, count: u64) -> Observation {
        Observation {
            at_ns,
            fact: Fact::Lost {
                class: "test",
                count,
                place: None,
            },
        }
    }

    fn shown(observations: Vec<Observation>) -> Vec<(u64, u64)> {
        observations
            .into_iter()
            .map(|one| match one.fact {
                Fact::Lost { count, .. } => (one.at_ns, count),
                other => panic!("unexpected {other:?}"),
            })
            .collect()
    }

    #[test]
    fn swapped_records_come_out_in_order_and_equal_times_as_they_came() {
        let mut order = Reorder::default();
        for (at, count) in [(30, 1), (10, 2), (20, 3), (20, 4)] {
            order.push(seen(at, count));
        }
        assert_eq!(shown(order.finish()), [(10, 2), (20, 3), (20, 4), (30, 1)]);
    }

    #[test]
    fn what_may_still_be_overtaken_is_held_back() {
        let mut order = Reorder::default();
        order.push(seen(10, 1));
        order.push(seen(30, 2));
        assert_eq!(shown(order.release(20)), [(10, 1)]);
        order.push(seen(25, 3));
        assert_eq!(shown(order.release(40)), [(25, 3), (30, 2)]);
    }

    #[test]
    fn a_straggler_does_not_go_back_in_time() {
        let mut order = Reorder::default();
        order.push(seen(30, 1));
        assert_eq!(shown(order.release(30)), [(30, 1)]);
        order.push(seen(12, 2));
        assert_eq!(shown(order.finish()), [(30, 2)]);
    }
}
