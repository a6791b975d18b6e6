//! Files: what is over is settled and, when memory is short, told, while the file is read
//! on, so that memory is bounded by what lives and not by the length of the file.
//!
//! A connection that was closed is *settled* after a while: its payload is read and the
//! bytes are forgotten. One that may be TLS, or is QUIC, is held a little longer, because a
//! key-log block may stand behind it in the file. What is settled is *told* ([`super::part::Part`]) when
//! [`Limits`] are reached, the oldest first; it can no longer change then.

use super::assemble::Assembler;
use super::connection::{Cut, CutBy, TrackedConnection};
use super::dns::{self, DnsPacket};
use super::limits::Limits;
use super::model::{DnsProtocol, DnsTransport, Document, End, LossReport, Source};
use super::part::{Part, note_lost};
use super::payload;
use super::tell::Past;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Closed connections held at once for secrets that may still come.
const HELD: usize = 2048;
/// A SYN without an answer is given up after 127 s (tcp_syn_retries, ip-sysctl).
const UNANSWERED_NS: u64 = 130_000_000_000;
/// QUIC whose end cannot be read ends by silence; browsers and servers offer 30 s (RFC 9000, section 10.1).
const QUIC_SILENT_NS: u64 = 60_000_000_000;
/// An established connection of TCP may be silent for this long before a network forgets it
/// (RFC 5382, REQ-5).
const SILENT_NS: u64 = 7_440_000_000_000;

/// What of a file is over, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// All secrets are known: TLS is read as soon as it is over.
    no_secrets_come: bool,
    /// Closed, and not read: their secrets may still come. With the bytes of their payload; the
    /// first was closed first.
    held: VecDeque<(u64, u64)>,
    /// Bytes of payload that these take.
    sealed: u64,
    /// Read, and not told, in the order in which they were settled.
    settled: VecDeque<u64>,
    /// Memory that the settled ones take, in bytes.
    untold: u64,
    /// Payload in memory as last counted, and what may have come since, in bytes.
    payload: u64,
    /// Told, and not fetched yet.
    ready: Option<Part>,
    pub past: Past,
    /// What did not fit into memory, by class.
    overflow: BTreeMap<&'static str, u64>,
}

impl Assembler {
    /// Settles the connections that were over some time before `now_ns`.
    pub(super) fn settle_closed(&mut self, now_ns: u64) {
        if self.options.source != Source::File {
            return;
        }
        if let Some(before_ns) = now_ns.checked_sub(self.options.limits.late_ns) {
            while let Some(number) = self.connections.take_over(before_ns) {
                self.closed(number);
            }
        }
    }

    /// Settles and tells what does not fit into memory. `bytes`: what the last frame may have
    /// added.
    pub(super) fn keep_within_limits(&mut self, now_ns: u64, bytes: usize) {
        if self.options.source != Source::File {
            return;
        }
        let limits = self.options.limits;
        self.settling.payload += bytes as u64;
        if self.settling.payload > limits.payload {
            self.relieve_payload(now_ns, &limits);
        }
        if self.live() > limits.connections {
            self.relieve_connections(now_ns, limits.connections);
        }
        if self.settling.untold > limits.untold {
            let part = self.tell_settled(limits.untold / 2);
            self.ready(part);
        }
        if self.resolutions.weight() > limits.resolutions {
            let mut part = self.tell_settled(0);
            self.tell_oldest_queries(now_ns, limits.resolutions, &mut part);
            self.ready(part);
        }
        if self.neighbors.exchanges.len() > limits.neighbors {
            let mut part = self.tell_settled(0);
            self.tell_oldest_neighbors(now_ns, limits.neighbors, &mut part);
            self.ready(part);
        }
    }

    /// No TLS secret stands behind the packets that it opens.
    pub fn expect_no_secrets(&mut self) {
        self.settling.no_secrets_come = true;
        if self.secrets.is_empty() {
            self.connections.seals_stay();
        }
    }

    /// What was told since this was asked last.
    pub fn take_told(&mut self) -> Option<Part> {
        self.settling.ready.take()
    }

    fn ready(&mut self, part: Part) {
        match &mut self.settling.ready {
            Some(ready) => ready.append(part),
            None => self.settling.ready = Some(part),
        }
    }

    /// Connections that are open, as far as is known.
    fn live(&self) -> usize {
        let over = self.settling.settled.len() + self.settling.held.len();
        let waiting = over + self.connections.waiting();
        self.connections.count().saturating_sub(waiting)
    }

    /// Reads a connection that was closed, or holds it while its secrets may come.
    fn closed(&mut self, number: u64) {
        let closed = self.connections.get(number);
        let closed = closed.filter(|_| !self.settling.no_secrets_come);
        if !closed.is_some_and(payload::may_be_sealed) {
            return self.settled(number);
        }
        if let Some(connection) = self.connections.get_mut(number) {
            connection.fit();
        }
        let bytes = self.held_bytes(number);
        self.settling.sealed += bytes;
        self.settling.held.push_back((number, bytes));
        while self.settling.holds_too_much(&self.options.limits)
            && let Some(oldest) = self.settling.next_held()
        {
            self.settled(oldest);
        }
    }

    /// A connection that is over is read, and waits to be told.
    fn settled(&mut self, number: u64) {
        self.read(number);
        if let Some(connection) = self.connections.get_mut(number) {
            connection.over = true;
            self.settling.untold += connection.weight();
            self.settling.settled.push_back(number);
        }
    }

    /// Reads the payload of a connection and forgets its bytes.
    fn read(&mut self, number: u64) {
        self.prepare(number);
        let unread = self.connections.get(number);
        let unread = unread.filter(|connection| connection.settled.is_none());
        let analysed = unread.map(|connection| payload::analyse(self, connection));
        if let Some((connection, analysed)) = self.connections.get_mut(number).zip(analysed) {
            connection.settle(analysed);
        }
    }

    /// Reads payload until a quarter of the room is free: of closed connections, of those
    /// that are silent for long, then of those with the most.
    fn relieve_payload(&mut self, now_ns: u64, limits: &Limits) {
        let room = limits.payload - limits.payload / 4;
        let counted = self.connections.iter();
        let mut total: u64 = counted.map(TrackedConnection::held_bytes).sum();
        while total > room
            && let Some(number) = self.next_closed()
        {
            total -= self.held_bytes(number);
            self.settled(number);
        }
        if total > limits.payload {
            let mut live: Vec<_> = self
                .connections
                .iter()
                .filter(|connection| !connection.over)
                .map(|it| {
                    (
                        !is_silent(it, now_ns),
                        u64::MAX - it.held_bytes(),
                        it.number,
                    )
                })
                .collect();
            live.sort_unstable();
            for (speaks, _, number) in live {
                if total <= room {
                    break;
                }
                total -= self.held_bytes(number);
                self.read(number);
                if speaks {
                    self.cut_off(number, now_ns, CutBy::Payload);
                }
            }
        }
        self.settling.payload = total;
    }

    /// The next of the closed connections that still have their payload: those that wait for
    /// secrets, then those that wait for late segments.
    fn next_closed(&mut self) -> Option<u64> {
        let held = self.settling.next_held();
        held.or_else(|| self.connections.take_over(u64::MAX))
    }

    fn held_bytes(&self, number: u64) -> u64 {
        let connection = self.connections.get(number);
        connection.map_or(0, TrackedConnection::held_bytes)
    }

    /// Takes the connections that are silent for the longest time for over, until a quarter
    /// of the room is free.
    fn relieve_connections(&mut self, now_ns: u64, limit: usize) {
        let excess = self.live().saturating_sub(limit - limit / 4);
        let mut live: Vec<_> = self
            .connections
            .iter()
            .filter(|connection| !connection.over)
            .map(|it| (it.last_at_ns, it.number, is_silent(it, now_ns)))
            .collect();
        live.sort_unstable();
        for (_, number, silent) in live.into_iter().take(excess) {
            if !silent {
                self.cut_off(number, now_ns, CutBy::Connections);
            }
            self.settled(number);
        }
    }

    /// A connection is not followed to its end, which is counted.
    fn cut_off(&mut self, number: u64, at_ns: u64, why: CutBy) {
        let Some(connection) = self.connections.get_mut(number) else {
            return;
        };
        connection.cut.get_or_insert(Cut { at_ns, why });
        let class = match why {
            CutBy::Payload => "payload",
            CutBy::Connections => "connections",
        };
        self.overflowed(class, 1);
    }

    /// Counts what did not fit into memory.
    pub(super) fn overflowed(&mut self, class: &'static str, count: u64) {
        if count > 0 {
            *self.settling.overflow.entry(class).or_default() += count;
        }
    }

    /// Tells settled connections, the oldest first, until those that are left take at most
    /// `keep` bytes.
    fn tell_settled(&mut self, keep: u64) -> Part {
        let mut chosen = BTreeSet::new();
        let mut left = self.settling.untold;
        for number in &self.settling.settled {
            if left <= keep {
                break;
            }
            let connection = self.connections.get(*number);
            left = left.saturating_sub(connection.map_or(0, TrackedConnection::weight));
            chosen.insert(*number);
        }
        let mut part = Part::default();
        let told = self.tell_of(&chosen, true, &mut part);
        if told * 2 < chosen.len() {
            // Most wait for something younger: too much to wait for.
            let all: BTreeSet<u64> = self.settled_numbers().collect();
            self.tell_of(&all, false, &mut part);
        }
        part
    }

    pub(super) fn settled_numbers(&self) -> impl Iterator<Item = u64> {
        self.settling.settled.iter().copied()
    }

    /// Adds to `document` what is known of the capture as a whole.
    pub fn conclude(&self, document: &mut Document) {
        document.dhcp = self.dhcp();
        document.capture.comments = self.remarks.comments();
        document.capture.losses = self.losses.reports();
        note_lost(&mut document.capture, self.lost());
    }

    /// Lost events per class and processor, so far.
    pub fn loss_reports(&self) -> Vec<LossReport> {
        self.losses.reports()
    }

    /// Lost events per class, so far.
    pub fn lost(&self) -> BTreeMap<String, u64> {
        let mut lost = BTreeMap::new();
        let overflow = self.settling.overflow.iter();
        let overflow = overflow.map(|(class, count)| (*class, *count));
        let events = self.losses.totals();
        let dropped = self.leases.dropped();
        let leases = (dropped > 0).then_some(("dhcp", dropped));
        for (class, count) in events.chain(overflow).chain(leases) {
            *lost.entry(class.to_owned()).or_default() += count;
        }
        lost
    }

    /// Forgets settled connections that were told.
    pub(super) fn forget_told(&mut self, numbers: &BTreeSet<u64>) {
        self.connections.remove_all(numbers);
        let settling = &mut self.settling;
        settling.settled.retain(|number| !numbers.contains(number));
        let left = settling.settled.iter();
        let left = left.filter_map(|number| self.connections.get(*number));
        settling.untold = left.map(TrackedConnection::weight).sum();
    }

    /// Makes a connection ready to be analysed: nothing more will come.
    pub(super) fn prepare(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(number) else {
            return;
        };
        if connection.settled.is_some() {
            return;
        }
        connection.close_gaps();
        connection.settle_roles();
        if connection.has_unread_dns() {
            self.dns_over_tcp(number);
        }
    }

    /// DNS over TCP is read from the streams, once they are whole.
    pub(super) fn dns_over_tcp(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(number) else {
            return;
        };
        connection.dns_read = true;
        let connection = &*connection;
        let mut messages = Vec::new();
        for end in [End::Client, End::Server] {
            let found = dns::in_stream(connection.end(end).stream.bytes());
            messages.extend(found.into_iter().map(|(at_ns, range)| (at_ns, end, range)));
        }
        // Both ends in order of time, so that an answer does not come before its query.
        messages.sort_by_key(|(at_ns, _, _)| *at_ns);
        for (at_ns, end, range) in messages {
            let stream = connection.end(end).stream.bytes().as_slice();
            let (Some(mark), Some(bytes)) = (connection.frame_at(end, at_ns), stream.get(range))
            else {
                // More segments than are remembered as evidence: told as lost, not hidden.
                self.losses.push(at_ns, "dns", 1, None);
                continue;
            };
            let packet = DnsPacket {
                protocol: DnsProtocol::Dns,
                transport: DnsTransport::Tcp,
                source: connection.address(end),
                destination: connection.address(end.peer()),
                bytes,
            };
            self.resolutions.message(&packet, mark, None);
        }
    }
}

impl Settling {
    fn holds_too_much(&self, limits: &Limits) -> bool {
        self.held.len() > HELD || self.sealed > limits.sealed
    }

    /// The one that waits for its secrets for the longest time; it waits no more.
    fn next_held(&mut self) -> Option<u64> {
        let (number, bytes) = self.held.pop_front()?;
        self.sealed -= bytes;
        Some(number)
    }
}

/// So long without a segment that the connection is taken for over.
fn is_silent(connection: &TrackedConnection, now_ns: u64) -> bool {
    let patience = match (&connection.quic, connection.bytes().server) {
        (Some(_), _) => QUIC_SILENT_NS,
        (None, 0) if connection.syn_ack.is_none() => UNANSWERED_NS,
        (None, _) => SILENT_NS,
    };
    now_ns.saturating_sub(connection.last_at_ns) > patience
}
