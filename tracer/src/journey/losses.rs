//! Events that were lost: how many, where, and whose.
//!
//! Most losses are known to the nanosecond and by the ports of their connection, because the
//! kernel programs tell what they could not hand over. Such a loss touches the journeys of that
//! connection and no other. One of no connection touches whatever went on at that time.

use super::model::{Gap, LossReport};
use crate::capture::LossPlace;
use std::collections::{BTreeMap, HashMap};

/// Stretches that are remembered one by one; a later one makes the last one of its kind longer.
const STRETCHES: usize = 1 << 17;
/// A loss whose place is not known is told within this time after it happened.
const TOLD_LATE_NS: u64 = 20_000_000;
/// A connection whose first or last events were lost began or ended at most this long before or
/// after what was seen of it. The kernel does not give its ports away sooner.
const UNSEEN_NS: u64 = 1_000_000_000;
/// What a process does for a connection before the first event that carries its ports.
const LEAD_NS: u64 = 2_000_000;
/// Between one use of a connection and the next.
const BETWEEN_NS: u64 = 1_000_000;
/// Ports of name resolution: what was lost there is missing in other journeys.
const NAMES: [u16; 2] = [53, 853];

/// Both ports of a connection, the lower one first.
type Ports = (u16, u16);

/// Everything that was lost so far.
#[derive(Debug, Default)]
pub(super) struct Losses {
    totals: BTreeMap<&'static str, u64>,
    reports: BTreeMap<(&'static str, Option<u32>), Stretch>,
    of_connections: HashMap<Ports, Vec<Stretch>>,
    /// The same by either port, for connections of which only the server's is known.
    of_ports: HashMap<u16, Vec<Stretch>>,
    of_nobody: Vec<Stretch>,
    stretches: usize,
    longest_ns: u64,
}

/// Some events of one class that were lost after another.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    class: &'static str,
    count: u64,
    from_ns: u64,
    until_ns: u64,
}

/// The time of a journey and its connections.
pub(super) struct Touched {
    pub from_ns: u64,
    pub until_ns: u64,
    /// It was the first, and the last, to use its connections.
    pub opens: bool,
    pub closes: bool,
    pub connections: Vec<Used>,
}

/// A connection of a journey.
pub(super) struct Used {
    /// The lower one is 0 where the client's was not seen: it is chosen after SYN_SENT
    /// (tcp_v4_connect, net/ipv4/tcp_ipv4.c), and all that came next may have been lost.
    pub ports: Ports,
    /// Its first SYN, and its end, were seen: nothing of it was lost before and long after.
    pub saw_begin: bool,
    /// The client's first state was seen, where it was to be: before that it had no port.
    pub saw_first_state: bool,
    pub saw_end: bool,
}

/// Ports in the order in which losses name them.
pub(super) fn ports(one: u16, other: u16) -> Ports {
    (one.min(other), one.max(other))
}

impl Losses {
    /// Takes note of `count` events. `at_ns` is when the first was lost, or when it was told
    /// that they had been.
    pub fn push(&mut self, at_ns: u64, class: &'static str, count: u64, place: Option<LossPlace>) {
        let total = self.totals.entry(class).or_default();
        *total = total.saturating_add(count);
        let lasted_ns = place.map_or(0, |place| place.lasted_ns);
        let early_ns = place.map_or(TOLD_LATE_NS, |_| 0);
        let stretch = Stretch {
            class,
            count,
            from_ns: at_ns.saturating_sub(early_ns),
            until_ns: at_ns.saturating_add(lasted_ns),
        };
        let processor = place.and_then(|place| place.processor);
        let report = self.reports.entry((class, processor));
        report
            .and_modify(|known| known.extend(&stretch))
            .or_insert(stretch);
        let ports = place
            .and_then(|place| place.ports)
            .filter(|(lower, upper)| !NAMES.contains(lower) && !NAMES.contains(upper));
        let is_full = self.stretches >= STRETCHES;
        // What is not remembered one by one touches everything.
        let known = ports.filter(|_| !is_full);
        for port in known.into_iter().flat_map(|(one, other)| [one, other]) {
            self.of_ports.entry(port).or_default().push(stretch);
        }
        let list = match ports {
            Some(ports) if !is_full => self.of_connections.entry(ports).or_default(),
            _ => &mut self.of_nobody,
        };
        match list.iter_mut().rev().find(|known| known.class == class) {
            // Longer than it was: it may touch a journey too many, but never one too few.
            Some(known) if is_full => known.extend(&stretch),
            _ => {
                list.push(stretch);
                self.stretches += 1;
            }
        }
        let last = list.iter().rev().find(|known| known.class == class);
        let length = last.map_or(0, |known| known.until_ns - known.from_ns);
        self.longest_ns = self.longest_ns.max(length);
    }

    /// Events per class.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.totals.iter().map(|(class, count)| (*class, *count))
    }

    /// Per class and processor, with the time in which they were lost.
    pub fn reports(&self) -> Vec<LossReport> {
        let reports = self.reports.iter();
        reports
            .map(|((class, cpu), stretch)| LossReport {
                class: (*class).to_owned(),
                cpu: *cpu,
                count: stretch.count,
                first_at_ns: stretch.from_ns,
                last_at_ns: stretch.until_ns,
            })
            .collect()
    }

    /// What of it a journey may miss, one gap per class.
    pub fn touching(&self, journey: &Touched) -> Vec<Gap> {
        let mut found: BTreeMap<&'static str, Stretch> = BTreeMap::new();
        let mut add = |stretch: &Stretch| {
            found
                .entry(stretch.class)
                .and_modify(|known| known.extend(stretch))
                .or_insert(*stretch);
        };
        let is_known = |used: &Used| used.ports.0 != 0;
        let any_is_known = journey.connections.iter().any(is_known);
        for used in &journey.connections {
            let before = match (journey.opens, used.saw_begin) {
                (true, true) => 0,
                (true, false) => UNSEEN_NS,
                (false, _) => BETWEEN_NS,
            };
            let after = match (journey.closes, used.saw_end) {
                (true, false) => UNSEEN_NS,
                _ => BETWEEN_NS,
            };
            let from_ns = journey.from_ns.saturating_sub(before);
            let until_ns = journey.until_ns.saturating_add(after);
            // What was lost of others at this port counts, too: only where nothing else can.
            if let (0, port) = used.ports
                && !any_is_known
            {
                let until_ns = journey.until_ns.saturating_add(LEAD_NS);
                let list = self.of_ports.get(&port).map_or(&[][..], Vec::as_slice);
                self.within(list, journey.from_ns, until_ns)
                    .for_each(&mut add);
                continue;
            }
            let stretches = self.of_connections.get(&used.ports).into_iter().flatten();
            stretches
                .filter(|one| one.overlaps(from_ns, until_ns))
                .for_each(&mut add);
        }
        let lead = match journey.opens {
            true if journey.connections.iter().all(|used| used.saw_first_state) => LEAD_NS,
            true => UNSEEN_NS,
            false => 0,
        };
        let from_ns = journey.from_ns.saturating_sub(lead);
        self.within(&self.of_nobody, from_ns, journey.until_ns)
            .for_each(&mut add);
        found.into_values().map(Stretch::gap).collect()
    }

    /// Those that overlap this time, of a list in order of their beginnings, but for what was
    /// told late.
    fn within<'a>(
        &self,
        list: &'a [Stretch],
        from_ns: u64,
        until_ns: u64,
    ) -> impl Iterator<Item = &'a Stretch> {
        let earliest = from_ns.saturating_sub(self.longest_ns);
        let begin = list.partition_point(|one| one.from_ns.saturating_add(TOLD_LATE_NS) < earliest);
        list.iter()
            .skip(begin)
            .take_while(move |one| one.from_ns <= until_ns.saturating_add(TOLD_LATE_NS))
            .filter(move |one| one.overlaps(from_ns, until_ns))
    }
}

impl Stretch {
    fn extend(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.from_ns = self.from_ns.min(other.from_ns);
        self.until_ns = self.until_ns.max(other.until_ns);
    }

    fn overlaps(&self, from_ns: u64, until_ns: u64) -> bool {
        self.from_ns <= until_ns && from_ns <= self.until_ns
    }

    fn gap(self) -> Gap {
        Gap {
            class: self.class.to_owned(),
            count: self.count,
            at_ns: self.from_ns,
            duration_ns: self.until_ns - self.from_ns,
            message: format!(
                "{} {} events were lost in this time",
                self.count, self.class
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(ports: Option<Ports>) -> Option<LossPlace> {
        Some(LossPlace {
            lasted_ns: 1_000,
            processor: Some(1),
            ports,
        })
    }

    fn journey(from_ns: u64, until_ns: u64, connection: Ports) -> Touched {
        Touched {
            from_ns,
            until_ns,
            opens: true,
            closes: true,
            connections: vec![Used {
                ports: ports(connection.0, connection.1),
                saw_begin: false,
                saw_first_state: true,
                saw_end: false,
            }],
        }
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_loss_of_a_connection_touches_its_journeys_and_none_beside_them() {
        let mut losses = Losses::default();
        losses.push(5 * SECOND, "frame", 3, place(Some(ports(40_000, 80))));
        let touched = journey(5 * SECOND + 10_000, 5 * SECOND + 20_000, (80, 40_000));
        let gaps = losses.touching(&touched);
        assert_eq!(
            (gaps.len(), gaps[0].count, gaps[0].duration_ns),
            (1, 3, 1_000)
        );
        let beside = journey(5 * SECOND - 1_000, 5 * SECOND + 20_000, (80, 40_001));
        assert!(losses.touching(&beside).is_empty());
        let later_with_the_same_ports = journey(7 * SECOND, 8 * SECOND, (80, 40_000));
        assert!(losses.touching(&later_with_the_same_ports).is_empty());
    }

    #[test]
    fn what_was_lost_before_a_seen_syn_was_of_an_earlier_connection() {
        let mut losses = Losses::default();
        losses.push(5 * SECOND, "frame", 3, place(Some(ports(40_000, 80))));
        let mut next = journey(5 * SECOND + 4_000_000, 6 * SECOND, (80, 40_000));
        assert_eq!(losses.touching(&next).len(), 1);
        next.connections[0].saw_begin = true;
        assert!(losses.touching(&next).is_empty());
    }

    #[test]
    fn a_loss_of_no_connection_touches_whatever_went_on() {
        let mut losses = Losses::default();
        losses.push(5 * SECOND, "route", 1, place(None));
        let during = journey(5 * SECOND + 500, 6 * SECOND, (80, 40_000));
        assert_eq!(losses.touching(&during).len(), 1);
        let before = journey(4 * SECOND, 5 * SECOND - 1, (80, 40_000));
        assert!(losses.touching(&before).is_empty());
        let after = journey(5 * SECOND + 10 * LEAD_NS, 6 * SECOND, (80, 40_000));
        assert!(losses.touching(&after).is_empty());
    }

    #[test]
    fn an_attempt_that_was_lost_before_its_port_was_known_is_touched_by_its_server_s() {
        let mut losses = Losses::default();
        losses.push(5 * SECOND, "frame", 3, place(Some(ports(40_000, 80))));
        let attempt = |from_ns, server| journey(from_ns, from_ns + 2_000, (0, server));
        assert_eq!(losses.touching(&attempt(5 * SECOND - 20_000, 80)).len(), 1);
        assert!(
            losses
                .touching(&attempt(5 * SECOND - 20_000, 81))
                .is_empty()
        );
        let long_before = 5 * SECOND - 2 * LEAD_NS;
        assert!(losses.touching(&attempt(long_before, 80)).is_empty());
        assert!(
            losses
                .touching(&attempt(5 * SECOND + 10_000, 80))
                .is_empty()
        );
    }

    #[test]
    fn where_a_client_s_first_state_is_missing_what_was_lost_before_is_its_own() {
        let mut losses = Losses::default();
        losses.push(5 * SECOND, "tcp_state", 1, place(None));
        let mut late = journey(5 * SECOND + 10 * LEAD_NS, 6 * SECOND, (80, 40_000));
        assert!(losses.touching(&late).is_empty());
        late.connections[0].saw_first_state = false;
        assert_eq!(losses.touching(&late).len(), 1);
    }

    #[test]
    fn what_is_lost_of_name_resolution_over_tcp_is_missing_elsewhere() {
        let mut losses = Losses::default();
        losses.push(SECOND, "frame", 1, place(Some((53, 40_000))));
        let gaps = losses.touching(&journey(SECOND, 2 * SECOND, (443, 40_001)));
        assert_eq!(gaps.len(), 1);
    }

    #[test]
    fn more_losses_than_can_be_remembered_touch_too_many_and_not_too_few() {
        let mut losses = Losses::default();
        for number in 0..u64::try_from(STRETCHES).expect("small") + 1_000 {
            losses.push(number * 1_000, "frame", 1, place(None));
        }
        assert_eq!(losses.stretches, STRETCHES);
        let total: u64 = losses.totals().map(|(_, count)| count).sum();
        assert_eq!(total, u64::try_from(STRETCHES).expect("small") + 1_000);
        let last = 1_000 * (u64::try_from(STRETCHES).expect("small") + 998);
        assert_eq!(losses.touching(&journey(last, last, (1, 2))).len(), 1);
    }

    #[test]
    fn losses_are_told_per_class_and_processor() {
        let mut losses = Losses::default();
        losses.push(10, "frame", 2, place(None));
        losses.push(50, "frame", 3, place(Some((1, 2))));
        losses.push(90, "connections", 1, None);
        let told: Vec<_> = losses
            .reports()
            .into_iter()
            .map(|one| {
                (
                    one.class,
                    one.cpu,
                    one.count,
                    one.first_at_ns,
                    one.last_at_ns,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("connections".to_owned(), None, 1, 0, 90),
                ("frame".to_owned(), Some(1), 5, 10, 1_050),
            ]
        );
    }
}
