//! Sequence numbers of one end, and which of its segments were sent again.
//!
//! An analyser in the middle does not see why something was sent twice, so the rules are
//! those that people know from Wireshark (User's Guide, "TCP Analysis"): what does not
//! advance the sequence numbers was sent again, unless it came too soon behind what
//! overtook it.

use crate::protocol::frame::Tcp;

/// Without a round trip that was seen, segments overtake each other within this.
const REORDERING_NS: u64 = 3_000_000;
/// A lost segment that duplicate acknowledgements ask for follows on them within this.
const FAST_NS: u64 = 20_000_000;
/// Duplicate acknowledgements after which a sender may believe in a loss: one fewer than
/// RFC 5681, section 3.2, asks for, as one may be missing from the capture.
const DUPLICATES: u32 = 2;
/// A retransmission later than this after the original is a timeout: the smallest
/// retransmission timeout of Linux (TCP_RTO_MIN, include/net/tcp.h).
const RTO_MIN_NS: u64 = 200_000_000;

/// What made a sender repeat itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Fast,
    Timeout,
    Unknown,
}

impl Cause {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a segment stands among those that its end has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// It brings what was not sent before, or asks for an acknowledgement only.
    New,
    /// It came behind what was sent after it, too soon to have been sent again for that.
    Overtaken,
    /// It was sent before.
    Again(Cause),
}

/// A segment as far as sequence numbers go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    sequence: u32,
    /// Payload, SYN and FIN (RFC 9293, section 3.4).
    length: u32,
    payload_length: u32,
    acknowledgment: Option<u32>,
    window: u16,
    /// SYN, FIN or RST.
    control: bool,
    reset: bool,
}

impl Numbers {
    pub fn of(tcp: &Tcp<'_>) -> Self {
        let flags = tcp.flags;
        let counted = u32::from(flags.syn) + u32::from(flags.fin);
        Self {
            sequence: tcp.sequence,
            length: tcp.payload_length.saturating_add(counted),
            payload_length: tcp.payload_length,
            acknowledgment: flags.ack.then_some(tcp.acknowledgment),
            window: tcp.window,
            control: flags.syn || flags.fin || flags.rst,
            reset: flags.rst,
        }
    }

    const fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.length)
    }

    /// A segment without meaning that asks for an acknowledgement (RFC 9293, section 3.8.4).
    fn keeps_alive(&self, next: u32) -> bool {
        self.payload_length <= 1 && !self.control && self.sequence == next.wrapping_sub(1)
    }

    /// The next byte, sent to an end without room to hear of it when there is some (RFC
    /// 9293, section 3.8.6.1). It is sent again with the data that follows.
    fn probes_window(&self, next: u32, peer: &Sent) -> bool {
        self.payload_length == 1 && self.sequence == next && peer.window == Some(0)
    }
}

/// The first round trip of a connection: how far segments may fall behind on the way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RoundTrip {
    /// When the last SYN without an ACK was seen, of either end.
    syn_at_ns: Option<u64>,
    /// It was answered: an ACK without that is no end of a round trip.
    answered: bool,
    /// From there to the first segment that acknowledges and opens nothing.
    ns: Option<u64>,
}

impl RoundTrip {
    /// Takes a segment of either end. A SYN that comes later measures nothing any more.
    pub fn segment(&mut self, tcp: &Tcp<'_>, at_ns: u64) {
        match (tcp.flags.syn, tcp.flags.ack) {
            (true, false) => self.syn_at_ns = Some(at_ns),
            (true, true) => self.answered = true,
            (false, true) if self.answered && self.ns.is_none() => {
                let since = |syn: u64| at_ns.saturating_sub(syn).max(1);
                self.ns = self.syn_at_ns.map(since);
            }
            _ => {}
        }
    }

    /// `None` where no handshake was seen.
    pub const fn ns(self) -> Option<u64> {
        self.ns
    }
}

/// What one end has sent so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sent {
    /// The sequence number after the highest one, and when it was reached.
    next: Option<(u32, u64)>,
    /// The last acknowledgement, and when it was sent.
    acknowledgment: Option<(u32, u64)>,
    duplicates: u32,
    /// As last said, not scaled.
    window: Option<u16>,
    /// The last segment asked for an acknowledgement only.
    keeps_alive: bool,
}

impl Sent {
    /// Whether `segment` of this end was sent before, and why. `peer` acknowledged; segments
    /// overtake each other within `reordering_ns`.
    pub fn order(
        &self,
        segment: &Numbers,
        peer: &Self,
        reordering_ns: Option<u64>,
        at_ns: u64,
    ) -> Order {
        let alive = self.next.is_some_and(|(next, _)| segment.keeps_alive(next));
        if segment.length == 0 || alive {
            return Order::New;
        }
        let late_ns = self.next.map(|(_, reached)| at_ns.saturating_sub(reached));
        let timeout = late_ns.is_some_and(|late_ns| late_ns >= RTO_MIN_NS);
        let cause = if timeout {
            Cause::Timeout
        } else {
            Cause::Unknown
        };
        // What was acknowledged had been there before.
        let payload_end = segment.sequence.wrapping_add(segment.payload_length);
        let acknowledged = peer.acknowledgment.map(|(number, _)| number);
        if segment.payload_length > 0
            && acknowledged.is_some_and(|number| !before(number, payload_end))
        {
            return Order::Again(cause);
        }
        let Some((next, _)) = self.next else {
            return Order::New;
        };
        // The byte of a probe of a closed window goes on with data.
        let probed = segment.payload_length > 1 && segment.sequence == next.wrapping_sub(1);
        if probed || !before(segment.sequence, next) {
            return Order::New;
        }
        let asked_for = peer.duplicates >= DUPLICATES
            && peer.acknowledgment.is_some_and(|(number, asked_at_ns)| {
                number == segment.sequence && at_ns.saturating_sub(asked_at_ns) < FAST_NS
            });
        let overtaken =
            late_ns < Some(reordering_ns.unwrap_or(REORDERING_NS)) && segment.end() != next;
        match (asked_for, overtaken) {
            (true, _) => Order::Again(Cause::Fast),
            (false, true) => Order::Overtaken,
            (false, false) => Order::Again(cause),
        }
    }

    /// Counts a segment of this end.
    pub fn sent(&mut self, segment: &Numbers, peer: &Self, at_ns: u64) {
        let duplicate = segment.length == 0
            && !segment.control
            && segment.window != 0
            && self.window == Some(segment.window)
            && !peer.keeps_alive
            && self.next.is_some_and(|(next, _)| next == segment.sequence);
        if let Some(number) = segment.acknowledgment {
            let repeated = self.acknowledgment.is_some_and(|(last, _)| last == number);
            match (repeated, duplicate) {
                (true, true) => self.duplicates = self.duplicates.saturating_add(1),
                (true, false) => {}
                (false, _) => self.duplicates = 0,
            }
            self.acknowledgment = Some((number, at_ns));
        }
        self.window = Some(segment.window);
        self.keeps_alive = self.next.is_some_and(|(next, _)| segment.keeps_alive(next));
        let advances = match self.next {
            Some((next, _)) => before(next, segment.end()) && !segment.probes_window(next, peer),
            // Who refuses a connection has no numbers yet (RFC 9293, section 3.10.7.1).
            None => !segment.reset,
        };
        if advances {
            self.next = Some((segment.end(), at_ns));
        }
    }
}

/// Order modulo 2^32 (RFC 9293, section 3.4).
const fn before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn data(sequence: u32, length: u32) -> Numbers {
        Numbers {
            sequence,
            length,
            payload_length: length,
            acknowledgment: Some(1),
            window: 100,
            control: false,
            reset: false,
        }
    }

    fn acknowledges(acknowledgment: u32) -> Numbers {
        Numbers {
            acknowledgment: Some(acknowledgment),
            ..data(1, 0)
        }
    }

    /// 1000 bytes from 1000 on, sent at 0.
    fn sent() -> Sent {
        let mut sent = Sent::default();
        sent.sent(&data(1000, 1000), &Sent::default(), 0);
        sent
    }

    #[test]
    fn what_does_not_advance_was_sent_again_unless_it_was_overtaken() {
        let (sent, peer) = (sent(), Sent::default());
        let again = |segment, at_ns| sent.order(&segment, &peer, None, at_ns);
        assert_eq!(again(data(2000, 10), MS), Order::New);
        assert_eq!(again(data(1000, 500), MS), Order::Overtaken);
        assert_eq!(again(data(1000, 500), 5 * MS), Order::Again(Cause::Unknown));
        assert_eq!(again(data(1000, 1000), MS), Order::Again(Cause::Unknown));
        assert_eq!(
            again(data(1000, 1000), 300 * MS),
            Order::Again(Cause::Timeout)
        );
        let long_way = Some(50 * MS);
        assert_eq!(
            sent.order(&data(1000, 500), &peer, long_way, 5 * MS),
            Order::Overtaken
        );
    }

    #[test]
    fn a_refusal_says_nothing_of_the_numbers_that_follow() {
        let refusal = Numbers {
            control: true,
            reset: true,
            ..data(0, 0)
        };
        let (mut sent, peer) = (Sent::default(), Sent::default());
        sent.sent(&refusal, &peer, 0);
        let opening = data(4_000_000_000, 1);
        assert_eq!(sent.order(&opening, &peer, None, 900 * MS), Order::New);
    }

    #[test]
    fn what_was_asked_for_twice_is_a_fast_retransmission() {
        let mut peer = Sent::default();
        for at_ns in [1, 2, 3] {
            peer.sent(&acknowledges(1000), &Sent::default(), at_ns * MS);
        }
        let again = |at_ns| sent().order(&data(1000, 500), &peer, None, at_ns);
        assert_eq!(again(4 * MS), Order::Again(Cause::Fast));
        assert_eq!(again(300 * MS), Order::Again(Cause::Timeout));
    }

    #[test]
    fn what_was_acknowledged_had_been_sent_before() {
        let mut peer = Sent::default();
        peer.sent(&acknowledges(3000), &Sent::default(), 0);
        let again = sent().order(&data(2000, 1000), &peer, None, 0);
        assert_eq!(again, Order::Again(Cause::Unknown));
    }

    #[test]
    fn probes_are_not_sent_again() {
        let (sent, peer) = (sent(), Sent::default());
        for probe in [data(1999, 0), data(1999, 1), data(1999, 500)] {
            assert_eq!(sent.order(&probe, &peer, None, 900 * MS), Order::New);
        }
    }

    #[test]
    fn a_probe_of_a_closed_window_is_sent_again_with_its_data() {
        let mut peer = Sent::default();
        let closed = Numbers {
            window: 0,
            ..acknowledges(2000)
        };
        peer.sent(&closed, &Sent::default(), 0);
        let mut sent = sent();
        sent.sent(&data(2000, 1), &peer, MS);
        assert_eq!(
            sent.order(&data(2000, 500), &peer, None, 900 * MS),
            Order::New,
            "it is new"
        );
        peer.sent(&acknowledges(2001), &sent, 2 * MS);
        let again = sent.order(&data(2000, 1), &peer, None, 3 * MS);
        assert_eq!(again, Order::Again(Cause::Unknown), "and was acknowledged");
    }

    #[test]
    fn answers_to_those_that_keep_alive_ask_for_nothing() {
        let mut sender = sent();
        let mut peer = Sent::default();
        peer.sent(&acknowledges(1000), &sender, 0);
        for at_ns in [1, 2, 3] {
            sender.sent(&data(1999, 0), &peer, at_ns);
            peer.sent(&acknowledges(1000), &sender, at_ns);
        }
        let again = sender.order(&data(1000, 500), &peer, None, MS);
        assert_eq!(again, Order::Overtaken);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut sent = Sent::default();
        sent.sent(&data(u32::MAX - 9, 20), &Sent::default(), 0);
        let peer = Sent::default();
        assert_eq!(sent.order(&data(10, 20), &peer, None, 900 * MS), Order::New);
        let old = sent.order(&data(u32::MAX - 9, 20), &peer, None, 900 * MS);
        assert_eq!(old, Order::Again(Cause::Timeout));
    }
}
