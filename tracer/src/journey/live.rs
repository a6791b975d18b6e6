//! Journeys reported while the capture goes on.

use super::assemble::Assembler;
use super::compose::{self, Told};
use super::connection::TrackedConnection;
use super::drafts::{self, Draft};
use super::model::{Connection, Journey};
use super::part::Part;
use super::resolution;
use super::story::{Analysed, Story};
use super::wanted::Wanted;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A connection without traffic for this long has nothing more to say for now.
const QUIET_NS: u64 = 1_000_000_000;
/// A client of QUIC repeats its first datagram after longer and longer pauses.
const UNANSWERED_NS: u64 = 5_000_000_000;
/// After the last message of a close the kernel's own state changes still come in.
const SETTLE_NS: u64 = 100_000_000;
/// A sealed connection that has answered may be in the middle of a slow response, or have
/// sent session tickets only: without a close it is taken for done after this silence.
const SEALED_QUIET_NS: u64 = 5_000_000_000;
/// So little sealed data of a server may be session tickets (RFC 8446, section 4.6.1)...
const TICKETS_BYTES: u64 = 2048;
/// ... and the answer is waited for that much longer.
const SEALED_ANSWER_NS: u64 = 60_000_000_000;
/// A failed resolution is settled at the latest this long after its last message.
const FAILURES_NS: u64 = 60_000_000_000;
/// Payload remembered of all connections together; beyond this the least recently used
/// are dropped and counted.
const PAYLOAD_BYTES: u64 = 256 << 20;
/// Connections followed at once; beyond this the least recently used are dropped and counted.
const CONNECTIONS: usize = 8192;

/// What was already reported, so that nothing is reported twice.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// Failed resolutions: process and time of the call or of the first query.
    failures: BTreeSet<(u64, u32)>,
    /// Resolutions that led to a journey: when they began, whose they were, and when the
    /// first connection they led to was settled.
    used: BTreeMap<(u64, u32), u64>,
    /// Failed resolutions that ended before this time were all reported.
    pub settled_before: u64,
}

impl Reported {
    /// This failed resolution was reported already.
    pub fn has_failure(&self, start: u64, pid: u32) -> bool {
        self.failures.contains(&(start, pid))
    }

    /// These resolutions led to a journey, which was told.
    pub fn note_used(&mut self, used: Vec<((u64, u32), u64)>) {
        for (key, settled_at) in used {
            self.used.entry(key).or_insert(settled_at);
        }
        while self.used.len() > CONNECTIONS {
            self.used.pop_first();
        }
    }

    /// When the first connection of the resolution that `pid` began at `start` was settled,
    /// if it was reported already.
    pub fn used_at(&self, start: u64, pid: Option<u32>) -> Option<u64> {
        self.used.get(&(start, pid.unwrap_or(0))).copied()
    }
}

impl Assembler {
    /// Journeys that are not `wanted` are left out of what is taken from now on. They are over
    /// all the same, and keep their numbers.
    pub fn tell_only(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    /// How many journeys are over, wanted or not.
    pub fn journeys_over(&self) -> u64 {
        self.next_journey - 1
    }

    /// The journeys that are over at `now_ns` and were not returned before, with what they
    /// refer to. What is no longer needed is forgotten.
    pub fn take_finished(&mut self, now_ns: u64) -> Part {
        compose::dns_over_tcp(self, TrackedConnection::is_closed);
        let youngest = self.youngest_attempts(now_ns);
        let touched = self.connections.iter().filter(|c| c.touched);
        let due = touched.filter(|connection| is_due(connection, now_ns, &youngest));
        let due = due.map(|connection| connection.number).collect();
        self.take(&due, now_ns)
    }

    /// Every journey that was not returned before, at the end of the capture.
    pub fn take_remaining(&mut self) -> Part {
        compose::dns_over_tcp(self, |_| true);
        // Nothing follows: what is under way is told as far as it went.
        let due = self.connections.iter().map(|c| c.number).collect();
        self.options.live = false;
        self.take(&due, self.last_at_ns)
    }

    fn take(&mut self, due: &BTreeSet<u64>, now_ns: u64) -> Part {
        for number in due {
            if let Some(connection) = self.connections.get_mut(*number) {
                connection.close_gaps();
            }
        }
        let story = Story::new(self, |connection| due.contains(&connection.number));
        let mut finished = Part::default();
        let mut failures = Vec::new();
        let mut used = Vec::new();
        let mut number = self.next_journey;
        for draft in drafts::drafts(&story) {
            if !is_news(&story, &draft, now_ns) {
                continue;
            }
            used.extend(use_of(&story, &draft));
            if draft.attempts.is_empty() {
                failures.push((draft.at_ns, draft.pid.unwrap_or(0)));
            }
            let id = format!("j{number}");
            number += 1;
            if compose::is_wanted(&story, &draft) {
                refer(&story, compose::tell(&story, &draft, id), &mut finished);
            }
        }
        let counts: Vec<(u64, usize, Option<u64>)> = story
            .connections()
            .map(|(connection, analysed)| {
                let count = reportable(connection, analysed, now_ns);
                let wait_until_ns = done_at(connection, analysed).filter(|_| count == 0);
                (connection.number, count, wait_until_ns)
            })
            .collect();
        finished.connections = referred(story, &finished.journeys);
        self.next_journey = number;
        self.reported.failures.extend(failures);
        self.reported.note_used(used);
        self.forget(now_ns, counts);
        finished
    }

    fn forget(&mut self, now_ns: u64, counts: Vec<(u64, usize, Option<u64>)>) {
        for (number, reported, wait_until_ns) in counts {
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
                if let Some(conversation) = connection.quic.as_mut().filter(|_| reported > 0) {
                    conversation.forget();
                }
                connection.touched = wait_until_ns.is_some();
                connection.wait_until_ns = wait_until_ns.unwrap_or(0);
            }
        }
        // Older failures are not looked at any more, so that they need not be known.
        self.reported.settled_before = now_ns.saturating_sub(FAILURES_NS);
        let kept = self.reported.settled_before.saturating_sub(FAILURES_NS);
        self.reported.failures.retain(|(at_ns, _)| *at_ns >= kept);
        let dropped = self.connections.bound(CONNECTIONS, PAYLOAD_BYTES);
        if dropped > 0 {
            self.losses.push(now_ns, "connections", dropped, None);
        }
    }

    /// The youngest attempt of each process to each port that may still succeed.
    fn youngest_attempts(&self, now_ns: u64) -> HashMap<Purpose, u64> {
        let open = self.connections.iter().filter(|connection| {
            now_ns.saturating_sub(connection.last_at_ns) < QUIET_NS && !connection.is_closed()
        });
        // In order of their numbers: the last one stays.
        open.map(|connection| (purpose(connection), connection.number))
            .collect()
    }
}

/// Process and port: what attempts at the same journey have in common.
type Purpose = (Option<u32>, u16);

fn purpose(connection: &TrackedConnection) -> Purpose {
    let pid = connection.connect.as_ref().map(|call| call.pid);
    (pid, connection.server.port)
}

fn is_due(connection: &TrackedConnection, now_ns: u64, youngest: &HashMap<Purpose, u64>) -> bool {
    let idle = now_ns.saturating_sub(connection.last_at_ns);
    let settled = connection.is_closed() && idle >= SETTLE_NS;
    let bytes = connection.bytes();
    if connection.quic.is_some() && bytes.server == 0 {
        return idle >= UNANSWERED_NS;
    }
    if bytes.client + bytes.server > 0 {
        return settled || idle >= QUIET_NS && now_ns >= connection.wait_until_ns;
    }
    // An attempt that failed may be one of several: it waits for a younger one of the same
    // process to the same port.
    let younger = youngest.get(&purpose(connection));
    settled && younger.is_none_or(|number| *number < connection.number)
}

fn is_news(story: &Story<'_>, draft: &Draft, now_ns: u64) -> bool {
    let last = draft.attempts.last();
    let Some((connection, analysed)) = last.and_then(|number| story.connection(*number)) else {
        let key = (draft.at_ns, draft.pid.unwrap_or(0));
        return !story.memory.reported.failures.contains(&key);
    };
    let position = draft.exchange.unwrap_or(0);
    let ended = !story.memory.options.live;
    let over = position < reportable(connection, analysed, now_ns);
    connection.reported <= position && (over || ended)
}

/// The resolution of a journey, and when its first connection was settled.
pub(super) fn use_of(story: &Story<'_>, draft: &Draft) -> Option<((u64, u32), u64)> {
    let (start, _) = resolution::span(story, &draft.resolved).filter(|_| draft.opens)?;
    let (connection, _) = story.connection(*draft.attempts.first()?)?;
    let key = (start, draft.pid.unwrap_or(0));
    Some((key, drafts::settled_at(connection)))
}

/// How many exchanges of a connection are over: all of a closed one, the answered ones of
/// an open one. A sealed connection is one.
fn reportable(connection: &TrackedConnection, analysed: &Analysed, now_ns: u64) -> usize {
    if connection.quic.as_ref().is_some_and(|q| q.is_forgotten()) {
        return connection.reported;
    }
    if analysed.http.is_empty() {
        let done = done_at(connection, analysed).is_some_and(|at_ns| at_ns <= now_ns);
        return usize::from(connection.is_closed() || done);
    }
    if connection.is_closed() {
        return analysed.http.len();
    }
    let answered = analysed.http.iter();
    answered
        .take_while(|exchange| exchange.response_end_at_ns.is_some())
        .count()
}

/// When an open connection whose content is sealed may be taken for done; `None` while its
/// server has said nothing over TCP. Over QUIC silence is all the end there may be.
fn done_at(connection: &TrackedConnection, analysed: &Analysed) -> Option<u64> {
    if connection.quic.is_some() {
        let tls = analysed.tls.as_ref();
        let answered = tls.is_some_and(|tls| {
            tls.client_application_data.is_some() && tls.server_application_data.is_some()
        });
        let quiet = match connection.bytes().server {
            0 => UNANSWERED_NS,
            _ if answered => SEALED_QUIET_NS,
            _ => SEALED_ANSWER_NS,
        };
        return Some(connection.last_at_ns.saturating_add(quiet));
    }
    let tls = analysed.tls.as_ref().filter(|_| analysed.http.is_empty())?;
    tls.client_application_data?;
    tls.server_application_data?;
    let records = tls.session.records.iter().filter(|record| {
        record.end == analysed.requester.peer()
            && record.record_type == "application_data"
            && record.messages.is_empty()
    });
    let answered: u64 = records.map(|record| record.bytes).sum();
    let quiet = if answered > TICKETS_BYTES {
        SEALED_QUIET_NS
    } else {
        SEALED_ANSWER_NS
    };
    Some(connection.last_at_ns.saturating_add(quiet))
}

/// Adds a journey with what it alone refers to.
fn refer(story: &Story<'_>, told: Told, finished: &mut Part) {
    let journey = told.journey;
    let on_wire = compose::neighbor_on_wire(story, &journey);
    let neighbors = on_wire.into_iter().chain(told.cached_neighbor);
    for exchange in neighbors.filter(|one| journey.neighbor.as_ref() == Some(&one.id)) {
        if finished
            .neighbors
            .iter()
            .all(|known| known.id != exchange.id)
        {
            finished.neighbors.push(exchange);
        }
    }
    for exchange in compose::dns_of(story, &journey) {
        if finished.dns.iter().all(|known| known.id != exchange.id) {
            finished.dns.push(exchange);
        }
    }
    finished.packets.extend(told.packets);
    finished.journeys.push(journey);
}

/// The connections of journeys, each once however many of them it carried.
fn referred(mut story: Story<'_>, journeys: &[Journey]) -> Vec<Connection> {
    let attempts = journeys.iter().flat_map(|journey| &journey.attempts);
    let wanted: HashSet<&String> = attempts.collect();
    let analysed = std::mem::take(&mut story.analysed).into_iter();
    analysed
        .filter_map(|(number, analysed)| {
            let connection = story.memory.connections.get(number)?;
            let is_wanted = wanted.contains(&connection.id());
            is_wanted.then(|| compose::describe(&story, connection, analysed))
        })
        .collect()
}
