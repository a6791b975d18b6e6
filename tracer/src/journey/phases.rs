//! The parts of a journey: when each began and ended.

use super::connection::TrackedConnection;
use super::drafts::Draft;
use super::model::{End, Endpoint, HttpExchange, Phase, Phases, Route};
use super::neighbor::TrackedNeighbor;
use super::resolution;
use super::story::{Analysed, Story};
use crate::capture::RouteLookup;
use std::net::IpAddr;

/// A close that follows the response within this time belongs to the journey; a connection
/// that stayed idle longer was kept open for reuse, and its end is nobody's waiting time.
const CLOSE_BELONGS_NS: u64 = 1_000_000_000;

/// The longest sealed record taken for a session ticket.
const TICKET_BYTES: u64 = 512;

/// A stretch of time, ends included.
pub(super) type Span = (u64, u64);

/// The connection of a journey with its parsed payload.
#[derive(Clone, Copy)]
pub(super) struct Carrier<'a> {
    pub connection: &'a TrackedConnection,
    pub analysed: &'a Analysed,
    pub exchange: Option<&'a HttpExchange>,
    /// Where the request is: `exchange`, or the one in HTTP/1.1 that it answers.
    pub asked: Option<&'a HttpExchange>,
}

impl Carrier<'_> {
    /// The end that is asked.
    pub fn responder(&self) -> Endpoint {
        self.connection.address(self.analysed.requester.peer())
    }

    /// The port that was asked for. Where the end that listened asks itself, the other one has
    /// a port that nobody chose.
    pub fn port(&self) -> Option<u16> {
        let chosen = self.analysed.requester == End::Client;
        chosen.then_some(self.connection.server.port)
    }
}

/// What led up to the first packet of the connection.
#[derive(Default)]
pub(super) struct Path<'a> {
    pub lookups: Vec<&'a (u64, RouteLookup)>,
    pub route: Option<Route>,
    /// The neighbour exchange for the next hop, in the time of this journey.
    pub neighbor: Option<&'a TrackedNeighbor>,
    pub next_hop: Option<IpAddr>,
}

/// Unclipped parts of a journey.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Milestones {
    pub resolve: Option<Span>,
    pub route: Option<Span>,
    pub neighbor: Option<Span>,
    pub connect: Option<Span>,
    pub tls: Option<Span>,
    pub request: Option<Span>,
    pub wait: Option<Span>,
    pub response: Option<Span>,
}

/// The connection that carried a draft, or its last attempt.
pub(super) fn carrier<'a>(story: &'a Story<'_>, draft: &Draft) -> Option<Carrier<'a>> {
    let (connection, analysed) = story.connection(*draft.attempts.last()?)?;
    let exchange = draft.exchange.and_then(|index| analysed.http.get(index));
    Some(Carrier {
        connection,
        analysed,
        exchange,
        asked: draft.exchange.and_then(|index| analysed.asked(index)),
    })
}

/// When the process asked the kernel to connect, or the first SYN where that was not seen.
fn asked_at(connection: &TrackedConnection) -> u64 {
    let call = connection.connect.as_ref().map(|call| call.at_ns);
    call.unwrap_or(connection.first_at_ns)
}

/// When the first SYN left; for an attempt whose SYN never left, when it was over.
fn left_at(connection: &TrackedConnection) -> u64 {
    let syn = connection.syns.first().map(|mark| mark.at_ns);
    let datagram = connection.quic.as_ref().map(|_| connection.first_at_ns);
    let syn = syn.or(datagram);
    syn.unwrap_or(connection.last_at_ns)
}

/// Route and neighbour of the first attempt.
pub(super) fn path<'a>(story: &'a Story<'_>, draft: &Draft) -> Path<'a> {
    let memory = story.memory;
    let Some((connection, _)) = draft.attempts.first().and_then(|n| story.connection(*n)) else {
        return Path::default();
    };
    // The tables of the watched network namespace say nothing of the way out of another one.
    if story.is_of_another_namespace(connection) {
        return Path::default();
    }
    let destination = connection.server.ip;
    let resolved_at = resolution::span(story, &draft.resolved).map_or(0, |(_, end)| end);
    let (asked, left) = (asked_at(connection), left_at(connection));
    let lookups: Vec<_> = draft
        .pid
        .map(|pid| {
            // The hook of connect(2) runs before the kernel looks for a route
            // (inet_stream_connect, net/ipv4/af_inet.c); without it the name's answer is
            // the earliest cause of a lookup.
            let from = match connection.connect {
                Some(_) => asked,
                None => resolved_at.min(asked).max(draft.at_ns.min(asked)),
            };
            memory
                .routes
                .lookups(pid, destination, from, left)
                .collect()
        })
        .unwrap_or_default();
    let route = memory.routes.route(destination, &lookups);
    let loopback = route.as_ref().is_some_and(|r| {
        let device = r.interface.as_deref();
        memory
            .interfaces
            .iter()
            .any(|i| i.loopback && Some(i.name.as_str()) == device)
    });
    let next_hop = match &route {
        _ if loopback || destination.is_loopback() => None,
        Some(route) => Some(route.gateway.unwrap_or(destination)),
        None => Some(destination),
    };
    let neighbor = next_hop.and_then(|ip| {
        let from = draft.at_ns;
        let mut fitting = story.neighbors_of(ip).filter(|exchange| {
            let start = exchange.first_at_ns();
            let own_question = story.is_file() || exchange.asker != ip && exchange.asked_here();
            own_question && (from..=left.max(asked)).contains(&start)
        });
        fitting.next_back()
    });
    Path {
        lookups,
        route,
        neighbor,
        next_hop,
    }
}

/// Finds every part of the journey.
pub(super) fn milestones(
    story: &Story<'_>,
    draft: &Draft,
    carrier: Option<Carrier<'_>>,
    path: &Path<'_>,
) -> Milestones {
    let mut found = Milestones::default();
    if draft.opens {
        found.resolve = resolution::span(story, &draft.resolved);
        found.route = span_of(path.lookups.iter().map(|(at_ns, _)| *at_ns));
        let resolved_at = found.resolve.map_or(0, |(_, end)| end);
        // A neighbour asked for while the name was being resolved (the resolver sits
        // behind the same gateway) is part of that time, not of its own.
        found.neighbor = path
            .neighbor
            .filter(|exchange| exchange.first_at_ns() >= resolved_at)
            .map(|n| (n.first_at_ns(), neighbor_end(n)));
        found.connect = connect_span(story, draft);
    }
    let Some(carrier) = carrier else { return found };
    if draft.opens {
        found.tls = carrier.analysed.tls.as_ref().and_then(|tls| {
            let session = &tls.session;
            let start = session.client_hello_at_ns?;
            let last = session.records.last().map_or(start, |r| r.at_ns);
            Some((start, session.finished_at_ns.unwrap_or(last)))
        });
    }
    match carrier.exchange {
        Some(exchange) => exchange_spans(carrier.asked.unwrap_or(exchange), exchange, &mut found),
        None => sealed_spans(carrier.analysed, &mut found),
    }
    found
}

fn neighbor_end(exchange: &TrackedNeighbor) -> u64 {
    let last_request = exchange.requests.last().map_or(0, |mark| mark.at_ns);
    exchange.end_at_ns().unwrap_or(last_request)
}

fn span_of(times: impl Iterator<Item = u64>) -> Option<Span> {
    times.fold(None, |span, at| match span {
        None => Some((at, at)),
        Some((start, end)) => Some((at.min(start), at.max(end))),
    })
}

/// From the first SYN of any attempt to the last answer: the ACK of the one that
/// succeeded, or the end of the last that did not.
fn connect_span(story: &Story<'_>, draft: &Draft) -> Option<Span> {
    let attempts = || {
        draft
            .attempts
            .iter()
            .filter_map(|number| story.connection(*number))
            .map(|(connection, _)| connection)
    };
    let start = attempts()
        .filter_map(|c| c.syns.first())
        .map(|m| m.at_ns)
        .min()?;
    let last = attempts().next_back()?;
    let end = match last.ack.or(last.syn_ack) {
        Some(mark) => mark.at_ns,
        None => last.last_at_ns,
    };
    Some((start, end.max(start)))
}

fn exchange_spans(asked: &HttpExchange, exchange: &HttpExchange, found: &mut Milestones) {
    let request_end = asked.request_end_at_ns;
    let began = asked.request_at_ns;
    found.request = began.map(|began| (began, request_end.unwrap_or(began)));
    let Some(first) = exchange.response_at_ns else {
        return;
    };
    found.wait = found.request.map(|(_, sent)| (sent.min(first), first));
    found.response = exchange.response_end_at_ns.map(|end| (first, end));
}

/// Request and response of a sealed connection: its first application data each way.
fn sealed_spans(analysed: &Analysed, found: &mut Milestones) {
    let Some(tls) = &analysed.tls else { return };
    let Some((request_at, _)) = tls.client_application_data else {
        return;
    };
    let over_quic = |end: End| {
        let times = analysed.quic.iter().flat_map(|quic| &quic.application);
        let times = times.filter(move |(from, at_ns)| *from == end && *at_ns >= request_at);
        // A datagram is never taken for a session ticket.
        times.map(|(_, at_ns)| (*at_ns, u64::MAX))
    };
    let data = |end: End| {
        let records = tls.session.records.iter();
        let records = records.filter(move |record| {
            record.end == end
                && record.record_type == "application_data"
                && record.messages.is_empty()
        });
        over_quic(end).chain(records.map(|record| (record.at_ns, record.bytes)))
    };
    let requester = analysed.requester;
    let said: Vec<(u64, u64)> = data(requester.peer()).collect();
    let mut spoken = said.iter().skip(tickets(&said)).map(|(at_ns, _)| *at_ns);
    let answer = spoken.find(|at_ns| *at_ns > request_at);
    let sent = data(requester)
        .map(|(at_ns, _)| at_ns)
        .filter(|at| *at >= request_at)
        .take_while(|at| answer.is_none_or(|answer| *at <= answer))
        .last()
        .unwrap_or(request_at);
    found.request = Some((request_at, sent));
    if let Some(answer) = answer {
        found.wait = Some((sent.min(answer), answer));
        let last = tls
            .server_application_data
            .map_or(answer, |(_, last)| last.max(answer));
        found.response = Some((answer, last));
    }
}

/// How many of a server's first sealed records (time, bytes) are session tickets: servers
/// send a pair of equal length when the handshake is over (RFC 8446, section 4.6.1), which
/// crosses the request. Only two equal ones before something else are taken for tickets.
fn tickets(records: &[(u64, u64)]) -> usize {
    match records {
        [(_, one), (_, other), _, ..] if one == other && *one <= TICKET_BYTES => 2,
        _ => 0,
    }
}

/// Lays the parts one behind the other: where two overlap, the later one begins when the
/// earlier one ends, so that they sum up.
pub(super) fn clip(found: &Milestones, start: u64, end: u64) -> Phases {
    let mut cursor = start;
    let mut lay = |span: Option<Span>| {
        let (from, to) = span?;
        let from = from.clamp(cursor, end.max(cursor));
        let to = to.clamp(from, end.max(from));
        cursor = to;
        Some(Phase {
            at_ns: from,
            duration_ns: to - from,
        })
    };
    Phases {
        resolve: lay(found.resolve),
        route: lay(found.route),
        neighbor: lay(found.neighbor),
        connect: lay(found.connect),
        tls: lay(found.tls),
        request: lay(found.request),
        wait: lay(found.wait),
        response: lay(found.response),
    }
}

impl Milestones {
    /// The end of the last part.
    pub fn last(&self) -> Option<u64> {
        let spans = [
            self.resolve,
            self.route,
            self.neighbor,
            self.connect,
            self.tls,
            self.request,
            self.wait,
            self.response,
        ];
        spans.iter().flatten().map(|(_, end)| *end).max()
    }
}

/// When the close of the connection was complete, if it belongs to this journey.
pub(super) fn closed_at(
    draft: &Draft,
    connection: &TrackedConnection,
    done_at: u64,
) -> Option<u64> {
    if !draft.closes {
        return None;
    }
    let last_message = connection.closed_at_ns();
    let first_message = connection.close().at_ns;
    let last_state = connection.states.last().map(|state| state.at_ns);
    let begins = first_message.or(last_state)?;
    let belongs = begins <= done_at.saturating_add(CLOSE_BELONGS_NS);
    belongs.then(|| {
        let end = last_message.max(last_state);
        end.unwrap_or(begins)
    })
}

#[cfg(test)]
mod tests {
    use super::tickets;

    #[test]
    fn a_pair_of_equal_small_records_before_others_is_tickets() {
        assert_eq!(tickets(&[(1, 250), (2, 250), (9, 80)]), 2);
        // Nothing follows: it may be the answer.
        assert_eq!(tickets(&[(1, 250), (2, 250)]), 0);
        assert_eq!(tickets(&[(1, 250), (2, 300), (9, 80)]), 0);
        assert_eq!(tickets(&[(1, 16_401), (2, 16_401), (3, 90)]), 0);
    }
}
