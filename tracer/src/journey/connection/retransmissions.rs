//! Segments that were sent again: recognised by their numbers, explained by the kernel.

use super::TrackedConnection;
use super::numbers::{Cause, Numbers, Order};
use crate::capture::{CongestionState, TcpRetransmit};
use crate::journey::evidence::Mark;
use crate::journey::model::{End, Retransmission};
use crate::protocol::frame::Tcp;
use std::collections::VecDeque;

/// Listed of one connection; more are only counted.
const LISTED: usize = 65_536;
/// Segments behind their order that the kernel may still explain: what it tells of one follows
/// within microseconds.
const BEHIND: usize = 16;
/// The kernel tells of a segment after it was handed to the device, within this time.
const SOON_NS: u64 = 50_000_000;

/// The segments of both ends that were sent again.
#[derive(Debug, Default)]
pub(in crate::journey) struct Retransmissions {
    /// In order of time.
    listed: Vec<(Retransmission, Mark)>,
    /// How many more there were.
    unlisted: u64,
    /// Came behind what was sent after them, but so soon that they may only have been overtaken.
    behind: VecDeque<(Retransmission, Mark)>,
}

impl Retransmissions {
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(Retransmission, Mark)> {
        self.listed.iter()
    }

    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// How many there were beyond those that are listed.
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// Client and server were taken for each other.
    pub fn turn(&mut self) {
        let all = self.listed.iter_mut().chain(&mut self.behind);
        all.for_each(|(entry, _)| entry.end = entry.end.peer());
    }

    fn list(&mut self, entry: Retransmission, mark: Mark) {
        if self.listed.len() >= LISTED {
            self.unlisted += 1;
            return;
        }
        let later = |(other, _): &(Retransmission, Mark)| other.at_ns <= entry.at_ns;
        let place = self.listed.partition_point(later);
        self.listed.insert(place, (entry, mark));
    }

    fn remember_behind(&mut self, entry: Retransmission, mark: Mark) {
        if self.behind.len() == BEHIND {
            self.behind.pop_front();
        }
        self.behind.push_back((entry, mark));
    }

    /// What the kernel says it sent again, which `matches` tells by its place and time.
    fn explain(&mut self, kind: &str, hook: &str, matches: impl Fn(&Retransmission) -> bool) {
        if let Some(place) = self.behind.iter().rposition(|(entry, _)| matches(entry))
            && let Some((entry, mark)) = self.behind.remove(place)
        {
            self.list(entry, mark);
        }
        let mut newest = self.listed.iter_mut().rev();
        // SYN and FIN say what was sent again, which tells more.
        if let Some((entry, _)) = newest.find(|(entry, _)| matches(entry))
            && !matches!(entry.kind.as_str(), "syn" | "fin")
        {
            entry.kind = kind.to_owned();
            entry.hook = hook.to_owned();
        }
    }
}

impl TrackedConnection {
    /// Tells what was sent again, before the segment is counted as sent.
    pub(super) fn recognise_retransmission(&mut self, end: End, tcp: &Tcp<'_>, mark: Mark) {
        let segment = Numbers::of(tcp);
        let peer = self.end(end.peer()).sent;
        let sent = &self.end(end).sent;
        let round_trip_ns = self.first_round_trip.ns();
        let order = sent.order(&segment, &peer, round_trip_ns, mark.at_ns);
        self.end_mut(end).sent.sent(&segment, &peer, mark.at_ns);
        let cause = match order {
            Order::New => return,
            Order::Overtaken => Cause::Unknown,
            Order::Again(cause) => cause,
        };
        let kind = if tcp.flags.syn {
            "syn"
        } else if tcp.payload_length == 0 {
            "fin"
        } else {
            cause.name()
        };
        let seq = match tcp.flags.syn {
            true => 0,
            false => self.end(end).stream.relative(tcp.sequence),
        };
        let entry = Retransmission {
            at_ns: mark.at_ns,
            end,
            seq,
            bytes: tcp.payload_length.into(),
            kind: kind.to_owned(),
            hook: "frames".to_owned(),
        };
        match order {
            Order::Overtaken => self.retransmissions.remember_behind(entry, mark),
            _ => self.retransmissions.list(entry, mark),
        }
    }

    /// The kernel knows that it sent a segment again, and why; frames only let one guess.
    pub fn retransmit_told(&mut self, at_ns: u64, end: End, again: &TcpRetransmit) {
        let Some(kind) = cause(again) else { return };
        self.touched = true;
        let stream = &self.end(end).stream;
        let first = stream.relative(again.sequence);
        let behind = stream.relative(again.end_sequence).max(first + 1);
        self.retransmissions
            .explain(kind, again.hook.name(), |entry| {
                entry.end == end
                    && (first..behind).contains(&entry.seq)
                    && entry.at_ns.abs_diff(at_ns) <= SOON_NS
            });
    }
}

/// Why a segment was sent again: `tcp_retransmit_timer` enters Loss before it sends,
/// `tcp_fastretrans_alert` Recovery; a tail loss probe is sent from any other state
/// (net/ipv4/tcp_timer.c, tcp_input.c, tcp_output.c). Its timer alone proves nothing: it still
/// runs while the acknowledgement is read that asks for a fast retransmission.
fn cause(again: &TcpRetransmit) -> Option<&'static str> {
    match (again.congestion?, again.probes_for_loss) {
        (CongestionState::Loss, _) => Some("timeout"),
        (CongestionState::Recovery, _) => Some("fast"),
        (_, Some(true) | None) => Some("tail_loss_probe"),
        (_, Some(false)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Direction, HookKind};

    #[test]
    fn what_is_too_much_for_the_list_is_counted() {
        let mut all = Retransmissions::default();
        let more = 3;
        for number in 0..u64::try_from(LISTED).unwrap() + more {
            let entry = Retransmission {
                at_ns: number,
                end: End::Client,
                seq: 0,
                bytes: 1,
                kind: "timeout".to_owned(),
                hook: "frames".to_owned(),
            };
            let mark = Mark {
                at_ns: number,
                number,
                hook: HookKind::Pcap,
                interface: 0,
                direction: Direction::Unknown,
            };
            all.list(entry, mark);
        }
        assert_eq!((all.len(), all.unlisted()), (LISTED, more));
    }
}
