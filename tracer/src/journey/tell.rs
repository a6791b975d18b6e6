//! Telling what is over, a part of the capture at a time.

use super::assemble::Assembler;
use super::compose::{self, dns_exchanges};
use super::connection::TrackedConnection;
use super::dns::{RETRY_WINDOW_NS, TrackedQuery};
use super::drafts::{self, Draft, NEXT_ATTEMPT_NS};
use super::live;
use super::model::{Document, NeighborExchange, Trace};
use super::neighbor::SAME_EXCHANGE_NS;
use super::part::Part;
use super::phases;
use super::redirect::Redirects;
use super::story::Story;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

/// What was told so far, as far as later parts depend on it.
#[derive(Debug, Default)]
pub(super) struct Past {
    redirects: Redirects,
    /// Numbers of queries and neighbour exchanges in memory to which a journey refers.
    claimed_queries: BTreeSet<u64>,
    claimed_neighbors: BTreeSet<u64>,
}

impl Assembler {
    /// What was not told yet, at the end of the capture.
    pub fn last_part(&mut self) -> Part {
        let numbers: BTreeSet<u64> = self.connections.iter().map(|it| it.number).collect();
        for number in &numbers {
            self.prepare(*number);
        }
        let mut part = Part::default();
        let cached = self.tell_chosen(&numbers, |_| true, |_, _| BTreeSet::new(), &mut part);
        self.tell_queries(|_| true, &mut part);
        self.tell_neighbors(usize::MAX, &mut part);
        part.neighbors.extend(cached);
        part
    }

    /// The whole story: what was told and not taken, and the rest. `document` comes with
    /// what only the caller knows: tracer, host, capture.
    pub fn finish(mut self, mut document: Document) -> Trace {
        let told = self.take_told();
        let last = self.last_part();
        self.conclude(&mut document);
        Part::whole(told.into_iter().chain([last]), document)
    }

    /// Tells those of the chosen settled connections that wait for nothing younger, and
    /// forgets them; `patient`: what may be an attempt at a journey that is under way waits
    /// for it. Returns how many were told.
    pub(super) fn tell_of(
        &mut self,
        chosen: &BTreeSet<u64>,
        patient: bool,
        part: &mut Part,
    ) -> usize {
        let settled: HashSet<u64> = self.settled_numbers().collect();
        let open = if patient {
            self.open_now()
        } else {
            Open::new()
        };
        let mut told = BTreeSet::new();
        let begins = part.journeys.len();
        let cached = self.tell_chosen(
            chosen,
            |connection| settled.contains(&connection.number),
            |story, drafts| {
                let waiting = waiting(story, drafts, chosen, &open);
                told = chosen.difference(&waiting).copied().collect();
                waiting
            },
            part,
        );
        part.neighbors.extend(cached);
        self.refer(begins, part);
        self.forget_told(&told);
        told.len()
    }

    /// Tells the chosen connections in the light of those of `scope`, but for those that
    /// `wait`. Returns neighbour entries that were in the kernel's table already.
    fn tell_chosen(
        &mut self,
        chosen: &BTreeSet<u64>,
        scope: impl Fn(&TrackedConnection) -> bool,
        wait: impl FnOnce(&Story<'_>, &[Draft]) -> BTreeSet<u64>,
        part: &mut Part,
    ) -> Vec<NeighborExchange> {
        let mut redirects = std::mem::take(&mut self.settling.past.redirects);
        let mut number = self.next_journey;
        let mut used = Vec::new();
        let mut cached: Vec<NeighborExchange> = Vec::new();
        let mut seen = BTreeSet::new();
        let story = Story::new(self, scope);
        let mut drafts = drafts::drafts(&story);
        let waiting = wait(&story, &drafts);
        drafts.retain(|draft| draft.attempts.iter().all(|it| !waiting.contains(it)));
        // Both are large: lists that grow by themselves take up to three times their room.
        part.journeys.reserve_exact(drafts.len());
        for draft in &drafts {
            let mut told = compose::tell(&story, draft, format!("j{number}"));
            number += 1;
            used.extend(live::use_of(&story, draft));
            if let Some(url) = &told.journey.url {
                told.journey.caused_by = redirects.cause(draft.pid, url);
            }
            let carrier = phases::carrier(&story, draft);
            if let Some(exchange) = carrier.and_then(|carrier| carrier.exchange) {
                redirects.note(draft.pid, exchange, &told.journey.id);
            }
            let entries = told.cached_neighbor.into_iter();
            cached.extend(entries.filter(|entry| seen.insert(entry.id.clone())));
            part.packets.extend(told.packets);
            part.journeys.push(told.journey);
        }
        let mut analysed = story.into_analysed();
        for number in chosen.difference(&waiting) {
            if let Some(connection) = self.connections.get_mut(*number) {
                // Told now, and forgotten.
                connection.settled = None;
            }
        }
        let story = Story::new(self, |_| false);
        part.connections
            .reserve_exact(analysed.len().min(chosen.len()));
        for number in chosen.difference(&waiting) {
            let connection = self.connections.get(*number);
            if let Some((connection, analysed)) = connection.zip(analysed.remove(number)) {
                let described = compose::describe(&story, connection, analysed);
                part.connections.push(described);
            }
        }
        drop(story);
        self.next_journey = number;
        self.settling.past.redirects = redirects;
        self.reported.note_used(used);
        cached
    }

    /// Adds what the journeys of `part` from `begins` on refer to and what stays in memory.
    fn refer(&mut self, begins: usize, part: &mut Part) {
        let journeys = part.journeys.get(begins..).unwrap_or_default();
        let number = |id: &str, kind| id.strip_prefix(kind)?.parse::<u64>().ok();
        let queries = journeys.iter().flat_map(|journey| &journey.dns);
        let queries: BTreeSet<u64> = queries.filter_map(|id| number(id, 'd')).collect();
        let neighbors = journeys
            .iter()
            .filter_map(|journey| journey.neighbor.as_ref());
        let neighbors: BTreeSet<u64> = neighbors.filter_map(|id| number(id, 'n')).collect();
        let story = Story::new(self, |_| false);
        let found = self.resolutions.queries.iter();
        let found = found.filter(|query| queries.contains(&query.number));
        let found = found.flat_map(|query| dns_exchanges(&story, query));
        part.beside.dns.extend(found);
        let found = self.neighbors.exchanges.iter();
        let found = found.filter(|exchange| neighbors.contains(&exchange.number));
        let found = found.map(|exchange| exchange.exchange(&self.interfaces));
        part.beside.neighbors.extend(found);
        self.settling.past.claimed_queries.extend(queries);
        self.settling.past.claimed_neighbors.extend(neighbors);
    }

    /// Tells the oldest DNS exchanges until they take half of `limit`, and forgets them,
    /// but for those that an open connection may have come from.
    pub(super) fn tell_oldest_queries(&mut self, now_ns: u64, limit: usize, part: &mut Part) {
        let servers: HashSet<IpAddr> = self.connections.iter().map(|it| it.server.ip).collect();
        let mut weight = self.resolutions.weight();
        let mut wanted = 0;
        let mut forgotten = BTreeSet::new();
        let mut unanswered = 0;
        for query in &self.resolutions.queries {
            if weight <= limit / 2 {
                break;
            }
            if wanted < limit / 4 && query.addresses().any(|ip| servers.contains(&ip)) {
                wanted += query.weight();
                continue;
            }
            weight = weight.saturating_sub(query.weight());
            forgotten.insert(query.number);
            let may_be_answered = query.answer.is_none()
                && now_ns.saturating_sub(query.last_at_ns()) < RETRY_WINDOW_NS;
            unanswered += u64::from(may_be_answered);
        }
        self.tell_queries(|query| forgotten.contains(&query.number), part);
        self.resolutions.forget(&forgotten);
        self.overflowed("dns", unanswered);
    }

    fn tell_queries(&mut self, chosen: impl Fn(&TrackedQuery) -> bool, part: &mut Part) {
        let mut claimed = std::mem::take(&mut self.settling.past.claimed_queries);
        let story = Story::new(self, |_| false);
        for query in self.resolutions.queries.iter().filter(|it| chosen(it)) {
            if claimed.remove(&query.number) {
                part.claimed.insert(query.id());
            }
            part.dns.extend(dns_exchanges(&story, query));
        }
        drop(story);
        self.settling.past.claimed_queries = claimed;
    }

    /// Tells the older half of `limit` neighbour exchanges and forgets them.
    pub(super) fn tell_oldest_neighbors(&mut self, now_ns: u64, limit: usize, part: &mut Part) {
        let count = self.neighbors.exchanges.len().saturating_sub(limit / 2);
        let oldest = self.neighbors.exchanges.iter().take(count);
        let unanswered = oldest.filter(|exchange| {
            let last = exchange.requests.last().map_or(0, |mark| mark.at_ns);
            exchange.end_at_ns().is_none() && now_ns.saturating_sub(last) < SAME_EXCHANGE_NS
        });
        let unanswered = unanswered.count() as u64;
        self.tell_neighbors(count, part);
        self.neighbors.forget_oldest(count);
        self.overflowed("neighbor", unanswered);
    }

    fn tell_neighbors(&mut self, count: usize, part: &mut Part) {
        let claimed = &mut self.settling.past.claimed_neighbors;
        for exchange in self.neighbors.exchanges.iter().take(count) {
            if claimed.remove(&exchange.number) {
                part.claimed.insert(exchange.id());
            }
            part.neighbors.push(exchange.exchange(&self.interfaces));
        }
    }

    /// Connections that are open: when they began, by the client's address and the port
    /// they lead to.
    fn open_now(&self) -> Open {
        let mut open = Open::new();
        for connection in self.connections.iter().filter(|it| !it.over) {
            let key = (connection.client.ip, connection.server.port);
            open.entry(key).or_default().insert(connection.first_at_ns);
        }
        open
    }
}

type Open = BTreeMap<(IpAddr, u16), BTreeSet<u64>>;

/// The connections that must be told later: those that share a journey with one that is not
/// chosen, and attempts after which another one is open.
fn waiting(
    story: &Story<'_>,
    drafts: &[Draft],
    chosen: &BTreeSet<u64>,
    open: &Open,
) -> BTreeSet<u64> {
    let mut waiting = BTreeSet::new();
    loop {
        let before = waiting.len();
        for draft in drafts {
            let waits = draft
                .attempts
                .iter()
                .any(|number| !chosen.contains(number) || waiting.contains(number))
                || !draft.carried && is_followed(story, draft, open);
            if waits {
                waiting.extend(draft.attempts.iter().copied());
            }
        }
        if waiting.len() == before {
            return waiting;
        }
    }
}

/// An open connection may be the next attempt of a draft that led nowhere so far.
fn is_followed(story: &Story<'_>, draft: &Draft, open: &Open) -> bool {
    let attempts = || draft.attempts.iter().filter_map(|it| story.connection(*it));
    let Some((first, _)) = attempts().next() else {
        return false;
    };
    let last = attempts()
        .map(|(connection, _)| connection.last_at_ns)
        .max();
    let until = last
        .unwrap_or(first.last_at_ns)
        .saturating_add(NEXT_ATTEMPT_NS);
    let others = open.get(&(first.client.ip, first.server.port));
    others.is_some_and(|begun| begun.range(first.first_at_ns..=until).next().is_some())
}
