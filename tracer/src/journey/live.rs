//! Journeys reported while the capture goes on.

use super::assemble::Assembler;
use super::compose::{self, Told};
use super::connection::TrackedConnection;
use super::drafts::Draft;
use super::model::{Connection, DnsExchange, Journey, NeighborExchange, Packet};
use super::story::Story;
use std::collections::BTreeSet;

/// A connection without traffic for this long has nothing more to say for now.
const QUIET_NS: u64 = 1_000_000_000;
/// After the last message of a close the kernel's own state changes still come in.
const SETTLE_NS: u64 = 100_000_000;
/// Connections followed at once; beyond this the least recently used are dropped and counted.
const CONNECTIONS: usize = 8192;

/// A finished journey with everything it refers to.
#[derive(Debug, Clone)]
pub struct FinishedJourney {
    pub journey: Journey,
    pub connections: Vec<Connection>,
    pub dns: Vec<DnsExchange>,
    pub neighbors: Vec<NeighborExchange>,
    /// For the layers view.
    pub packets: Vec<Packet>,
}

/// What was already reported, so that nothing is reported twice.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// Failed resolutions: process and time of the call or of the first query.
    failures: BTreeSet<(u64, u32)>,
}

impl Assembler {
    /// Whether [`Self::take_finished`] would look at any connection or drop one. Failed
    /// resolutions are not counted: they only matter when they are returned.
    pub fn is_anything_due(&self, now_ns: u64) -> bool {
        let mut touched = self.connections.iter().filter(|c| c.touched);
        touched.any(|connection| self.is_due(connection, now_ns))
            || self.connections.iter().count() > CONNECTIONS
    }

    /// The journeys that are over at `now_ns` and were not returned before. What is no
    /// longer needed is forgotten.
    pub fn take_finished(&mut self, now_ns: u64) -> Vec<FinishedJourney> {
        let touched = self.connections.iter().filter(|c| c.touched);
        let due = touched.filter(|connection| self.is_due(connection, now_ns));
        let due = due.map(|connection| connection.number).collect();
        self.take(&due, now_ns)
    }

    /// Every journey that was not returned before, at the end of the capture.
    pub fn take_remaining(&mut self) -> Vec<FinishedJourney> {
        let touched = self.connections.iter().filter(|c| c.touched);
        let due = touched.map(|connection| connection.number).collect();
        self.options.live = false;
        self.take(&due, self.last_at_ns)
    }

    fn take(&mut self, due: &BTreeSet<u64>, now_ns: u64) -> Vec<FinishedJourney> {
        for number in due {
            if let Some(connection) = self.connections.get_mut(*number) {
                connection.close_gaps();
            }
        }
        let story = Story::new(self, |connection| due.contains(&connection.number));
        let mut finished = Vec::new();
        let mut failures = Vec::new();
        let mut number = self.next_journey;
        for draft in super::drafts::drafts(&story) {
            if !is_news(&story, &draft) {
                continue;
            }
            if draft.attempts.is_empty() {
                failures.push((draft.at_ns, draft.pid.unwrap_or(0)));
            }
            let told = compose::tell(&story, &draft, format!("j{number}"));
            number += 1;
            finished.push(refer(&story, told));
        }
        let counts: Vec<(u64, usize)> = story
            .connections()
            .map(|(connection, analysed)| (connection.number, reportable(connection, analysed)))
            .collect();
        drop(story);
        self.next_journey = number;
        self.forget(now_ns, counts, failures);
        finished
    }

    fn forget(&mut self, now_ns: u64, counts: Vec<(u64, usize)>, failures: Vec<(u64, u32)>) {
        for (number, reported) in counts {
            let over = self
                .connections
                .get(number)
                .is_some_and(TrackedConnection::is_closed);
            if over {
                self.connections.remove(number);
                continue;
            }
            if let Some(connection) = self.connections.get_mut(number) {
                connection.reported = reported;
                connection.touched = false;
            }
        }
        self.reported.failures.extend(failures);
        while self.reported.failures.len() > CONNECTIONS {
            self.reported.failures.pop_first();
        }
        let dropped = self.connections.bound(CONNECTIONS);
        if dropped > 0 {
            self.lost.push((now_ns, "connections", dropped));
        }
    }

    fn is_due(&self, connection: &TrackedConnection, now_ns: u64) -> bool {
        let idle = now_ns.saturating_sub(connection.last_at_ns);
        let bytes = connection.bytes();
        if bytes.client + bytes.server > 0 {
            return idle >= QUIET_NS || connection.is_closed() && idle >= SETTLE_NS;
        }
        // An attempt that failed may be one of several: it waits for a younger one of the
        // same process to the same port.
        let pid = connection.connect.as_ref().map(|call| call.pid);
        let younger = self.connections.iter().any(|other| {
            other.number > connection.number
                && other.server.port == connection.server.port
                && other.connect.as_ref().map(|call| call.pid) == pid
                && now_ns.saturating_sub(other.last_at_ns) < QUIET_NS
                && !other.is_closed()
        });
        connection.is_closed() && idle >= SETTLE_NS && !younger
    }
}

fn is_news(story: &Story<'_>, draft: &Draft) -> bool {
    let last = draft.attempts.last();
    let Some((connection, analysed)) = last.and_then(|number| story.connection(*number)) else {
        let key = (draft.at_ns, draft.pid.unwrap_or(0));
        return !story.memory.reported.failures.contains(&key);
    };
    let position = draft.exchange.unwrap_or(0);
    let ended = !story.memory.options.live;
    let over = position < reportable(connection, analysed).max(1);
    connection.reported <= position && (over || ended)
}

/// How many exchanges of a connection are over: all of a closed one, the answered ones of
/// an open one. A sealed connection is one.
fn reportable(connection: &TrackedConnection, analysed: &super::story::Analysed) -> usize {
    if analysed.http.is_empty() {
        return 1;
    }
    if connection.is_closed() {
        return analysed.http.len();
    }
    let answered = analysed.http.iter();
    answered
        .take_while(|exchange| exchange.response_end_at_ns.is_some())
        .count()
}

fn refer(story: &Story<'_>, told: Told) -> FinishedJourney {
    let journey = told.journey;
    let connections = story
        .connections()
        .filter(|(connection, _)| journey.attempts.contains(&connection.id()))
        .map(|(connection, analysed)| compose::describe(story, connection, analysed))
        .collect();
    let dns = compose::dns_exchanges(story)
        .into_iter()
        .filter(|exchange| journey.dns.contains(&exchange.id))
        .collect();
    let neighbors = compose::neighbor_exchanges(story)
        .into_iter()
        .chain(told.cached_neighbor)
        .filter(|exchange| journey.neighbor.as_ref() == Some(&exchange.id))
        .collect();
    FinishedJourney {
        journey,
        connections,
        dns,
        neighbors,
        packets: told.packets,
    }
}
