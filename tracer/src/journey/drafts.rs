//! Which connections, resolutions and client reports belong to one journey.

use super::connection::TrackedConnection;
use super::dns::PORT as DNS_PORT;
use super::model::HttpExchange;
use super::resolution::{self, Resolved};
use super::story::{Analysed, Story};
use crate::capture::ClientEvent;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Ports on which a connection without any payload is still taken for a web request when
/// the capture is not limited to one command (RFC 9110 section 4.2, and their usual alternatives).
const WEB_PORTS: [u16; 4] = [80, 443, 8080, 8443];
/// The next address is tried as soon as one has failed, or 250 ms after it in a race
/// (RFC 8305, section 5); what comes later than this is another try.
pub(super) const NEXT_ATTEMPT_NS: u64 = 1_000_000_000;
/// An address used later than this after it was asked for came out of the program's memory.
const FRESH_NS: u64 = 5_000_000_000;
/// A program with a resolver of its own asks again within seconds (RFC 1035, section
/// 4.2.1); a query of the same name later than this is another resolution.
const SAME_RESOLUTION_NS: u64 = 10_000_000_000;
/// getaddrinfo(3) results that mean that the name could not be resolved (netdb.h):
/// EAI_NONAME, EAI_AGAIN, EAI_FAIL, EAI_NODATA.
const UNRESOLVED: [i32; 4] = [-2, -3, -4, -5];

/// The parts of one journey, by where they are remembered.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub pid: Option<u32>,
    /// Connections tried, in order; the last one carried the journey if any did.
    pub attempts: Vec<u64>,
    pub carried: bool,
    /// Index in the connection's exchanges.
    pub exchange: Option<usize>,
    /// It was the first and the last to use its connection.
    pub opens: bool,
    pub closes: bool,
    pub resolved: Resolved,
    /// Index in `client_reports` of the `Started` report.
    pub report: Option<usize>,
    /// When its first known event was, for the order of journeys.
    pub at_ns: u64,
}

/// All journeys that the chosen connections and the rest of the capture tell of.
pub(super) fn drafts(story: &Story<'_>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for group in groups(story).into_values() {
        connection_drafts(story, group, &mut drafts);
    }
    unresolved(story, &mut drafts);
    reported(story, &mut drafts);
    drafts.sort_by_key(|draft| (draft.at_ns, draft.attempts.clone(), draft.exchange));
    drafts
}

/// A connection with what led to it.
struct Candidate<'a> {
    connection: &'a TrackedConnection,
    analysed: &'a Analysed,
    resolved: Resolved,
    pid: Option<u32>,
}

impl Candidate<'_> {
    /// Something was said on it, so that it is not one of several attempts.
    fn carries(&self) -> bool {
        let bytes = self.connection.bytes();
        // The first datagram of QUIC is as much an attempt as a SYN.
        if self.connection.quic.is_some() {
            return bytes.server > 0;
        }
        bytes.client + bytes.server > 0
    }
}

/// Process, port, library call, first query; and where a file knows neither process nor
/// name, the two hosts.
type GroupKey = (
    Option<u32>,
    u16,
    Option<usize>,
    Option<usize>,
    Option<IpAddr>,
    Option<IpAddr>,
);

/// Connections of one process to one port after one resolution: one journey, or several
/// attempts at it.
fn groups<'a>(story: &'a Story<'_>) -> BTreeMap<GroupKey, Vec<Candidate<'a>>> {
    let mut groups: BTreeMap<GroupKey, Vec<Candidate<'a>>> = BTreeMap::new();
    for (connection, analysed) in story.connections() {
        if !is_web(story, connection, analysed) {
            continue;
        }
        let pid = story.pid(connection);
        let host = request_host(analysed.http.first(), analysed);
        let resolved = resolution::of_connection(story, connection, pid, host.as_deref());
        let first_query = resolved.queries.first().copied();
        let unnamed = resolved.is_empty() && story.is_file();
        let key = (
            pid,
            connection.server.port,
            resolved.call,
            first_query,
            Some(connection.client.ip).filter(|_| pid.is_none()),
            Some(connection.server.ip).filter(|_| unnamed),
        );
        groups.entry(key).or_default().push(Candidate {
            connection,
            analysed,
            resolved,
            pid,
        });
    }
    groups
}

fn is_web(story: &Story<'_>, connection: &TrackedConnection, analysed: &Analysed) -> bool {
    let port = connection.server.port;
    if port == DNS_PORT {
        return false;
    }
    // What others do elsewhere is none of this host's journeys; a command may be anywhere.
    if story.memory.of_whole_host && story.is_out_of_sight(connection) {
        return false;
    }
    let spoken = analysed.quic.is_some() || analysed.tls.is_some() || !analysed.http.is_empty();
    let ours = !story.is_file() && !story.memory.options.live && connection.connect.is_some();
    spoken || ours || WEB_PORTS.contains(&port) && connection.handshake().syn_at_ns.is_some()
}

/// The name that the request itself carried: Host or :authority, else SNI.
pub(super) fn request_host(exchange: Option<&HttpExchange>, analysed: &Analysed) -> Option<String> {
    let header = exchange.and_then(|exchange| exchange.host.as_deref());
    let host = header.map(|host| without_port(host).to_owned());
    host.or_else(|| analysed.tls.as_ref()?.session.sni.clone())
}

/// `www.shop.test:8080` -> `www.shop.test`, `[::1]:80` -> `::1`.
pub(super) fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
            name
        }
        _ => host,
    }
}

fn connection_drafts(story: &Story<'_>, group: Vec<Candidate<'_>>, drafts: &mut Vec<Draft>) {
    let waiters_until = waiters_until(story, &group);
    let (carriers, mut failed): (Vec<_>, Vec<_>) = group.into_iter().partition(Candidate::carries);
    let mut lost_to: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    // A carrier beats the attempts that began before it did, or before it was established.
    let mut winners: Vec<(u64, &Candidate<'_>)> = carriers
        .iter()
        .map(|carrier| {
            let established = carrier.connection.ack.map_or(0, |ack| ack.at_ns);
            let reach = established.max(carrier.connection.first_at_ns);
            (reach, carrier)
        })
        .collect();
    winners.sort_by_key(|(reach, carrier)| (*reach, carrier.connection.number));
    failed.retain(|candidate| {
        let started = candidate.connection.first_at_ns;
        let first = winners.partition_point(|(reach, _)| *reach < started);
        let later = winners.get(first..).unwrap_or_default();
        let winner = later
            .iter()
            .find(|(_, carrier)| is_fallback(candidate, carrier));
        let Some((_, winner)) = winner else {
            return true;
        };
        let losers = lost_to.entry(winner.connection.number).or_default();
        losers.push(candidate.connection.number);
        false
    });
    for carrier in &carriers {
        let losers = lost_to
            .remove(&carrier.connection.number)
            .unwrap_or_default();
        let attempts = losers.iter().filter_map(|n| story.connection(*n));
        let begun = attempts
            .map(|(connection, _)| begun_at(connection))
            .chain([begun_at(carrier.connection)])
            .min();
        let begun = begun.unwrap_or_default();
        let resolved = resolved_for(story, &carrier.resolved, begun, waiters_until);
        carrier_drafts(story, carrier, (losers, begun, resolved), drafts);
    }
    for attempts in failures(story, &failed) {
        let Some(first) = attempts.first() else {
            continue;
        };
        let begun = begun_at(first.connection);
        let resolved = resolved_for(story, &first.resolved, begun, waiters_until);
        drafts.push(Draft {
            pid: first.pid,
            attempts: attempts.iter().map(|c| c.connection.number).collect(),
            opens: true,
            closes: true,
            at_ns: start_of(story, &resolved, begun),
            resolved,
            ..Draft::default()
        });
    }
}

/// A failed attempt and the connection that carried the request belong together after one
/// resolution. Where none was seen, the program may have had the addresses from elsewhere
/// (a cache, an encrypted resolver), unless the request asked for its address itself.
fn is_fallback(failed: &Candidate<'_>, carrier: &Candidate<'_>) -> bool {
    if !failed.resolved.is_empty() || failed.connection.server == carrier.connection.server {
        return true;
    }
    let host = request_host(carrier.analysed.http.first(), carrier.analysed);
    let named = host.is_some_and(|host| host.parse::<IpAddr>().is_err());
    let over = failed.connection.last_at_ns;
    named && begun_at(carrier.connection) <= over.saturating_add(NEXT_ATTEMPT_NS)
}

/// Attempts that all failed, one list for each journey. After one resolution, or between
/// two statements of a cooperating client, they are one journey; else nothing but the same
/// address shows that two attempts had the same purpose.
fn failures<'c, 'a>(story: &Story<'_>, failed: &'c [Candidate<'a>]) -> Vec<Vec<&'c Candidate<'a>>> {
    let reports = &story.memory.client_reports;
    let mut journeys: Vec<Vec<&Candidate<'_>>> = Vec::new();
    for candidate in failed {
        let explained = !candidate.resolved.is_empty()
            || reports.iter().any(|(_, r)| Some(r.pid) == candidate.pid);
        let last = journeys.last_mut().filter(|journey| {
            journey.last().is_some_and(|last| {
                let soon = last.connection.last_at_ns.saturating_add(NEXT_ATTEMPT_NS);
                let same = last.connection.server == candidate.connection.server
                    && begun_at(candidate.connection) <= soon;
                explained || same
            })
        });
        match last {
            Some(journey) => journey.push(candidate),
            None => journeys.push(vec![candidate]),
        }
    }
    journeys
}

/// Until when connections of this group can have waited for its resolution: the first of
/// them was established or given up then.
fn waiters_until(story: &Story<'_>, group: &[Candidate<'_>]) -> u64 {
    let first = group.iter().min_by_key(|c| begun_at(c.connection));
    let Some(first) = first else { return 0 };
    let seen = resolution::made(story, &first.resolved);
    let reported = seen.and_then(|(start, _)| story.memory.reported.used_at(start, first.pid));
    reported.unwrap_or_else(|| settled_at(first.connection))
}

/// When an attempt had succeeded or failed.
pub(super) fn settled_at(connection: &TrackedConnection) -> u64 {
    let established = connection.ack.map(|mark| mark.at_ns);
    established.unwrap_or(connection.last_at_ns)
}

/// The resolution of a connection that began at `begun`: its own, or remembered.
fn resolved_for(
    story: &Story<'_>,
    resolved: &Resolved,
    begun: u64,
    waiters_until: u64,
) -> Resolved {
    let answered = resolution::made(story, resolved).map_or(begun, |(_, end)| end);
    Resolved {
        remembered: !resolved.is_empty()
            && (begun > waiters_until || begun > answered.saturating_add(FRESH_NS)),
        ..resolved.clone()
    }
}

fn begun_at(connection: &TrackedConnection) -> u64 {
    let connecting = connection.connect.as_ref().map(|call| call.at_ns);
    connection.first_at_ns.min(connecting.unwrap_or(u64::MAX))
}

fn carrier_drafts(
    story: &Story<'_>,
    carrier: &Candidate<'_>,
    (losers, begun, resolved): (Vec<u64>, u64, Resolved),
    drafts: &mut Vec<Draft>,
) {
    let (analysed, count) = (carrier.analysed, carrier.analysed.http.len());
    // An upgrade to HTTP/2 is one request, told by the exchange that has its answer.
    let exchanges = (0..count).filter(|index| !analysed.is_upgraded(*index));
    let exchanges = exchanges.map(Some).chain((count == 0).then_some(None));
    let mut exchanges = exchanges.enumerate().peekable();
    while let Some((position, exchange)) = exchanges.next() {
        let opens = position == 0;
        let mut attempts = if opens { losers.clone() } else { Vec::new() };
        attempts.push(carrier.connection.number);
        let request_at = exchange
            .and_then(|index| analysed.asked(index))
            .and_then(|exchange| exchange.request_at_ns.or(exchange.response_at_ns));
        let opening_at = start_of(story, &resolved, begun);
        drafts.push(Draft {
            pid: carrier.pid,
            attempts,
            carried: true,
            exchange,
            opens,
            closes: exchanges.peek().is_none(),
            resolved: resolved.clone(),
            report: None,
            at_ns: request_at.filter(|_| !opens).unwrap_or(opening_at),
        });
    }
}

fn start_of(story: &Story<'_>, resolved: &Resolved, begun: u64) -> u64 {
    let resolving = resolution::span(story, resolved).map(|(start, _)| start);
    begun.min(resolving.unwrap_or(u64::MAX))
}

/// Resolutions that failed: a journey that ended there.
fn unresolved(story: &Story<'_>, drafts: &mut Vec<Draft>) {
    let used: BTreeSet<usize> = drafts.iter().filter_map(|d| d.resolved.call).collect();
    let told = &story.memory.reported;
    for (index, (returned, call)) in story.memory.resolutions.calls.iter().enumerate() {
        if *returned < told.settled_before || told.has_failure(call.entered_at_ns, call.pid) {
            continue;
        }
        let failed = call
            .result
            .is_none_or(|result| UNRESOLVED.contains(&result));
        if failed && !used.contains(&index) && call.name.is_some() {
            let resolved = resolution::of_call(story, index);
            drafts.push(Draft {
                pid: Some(call.pid),
                opens: true,
                closes: true,
                at_ns: call.entered_at_ns,
                resolved,
                ..Draft::default()
            });
        }
    }
    if !story.is_file() {
        unanswered(story, drafts);
    }
}

/// When its last message was, and the queries of one resolution.
type QueryRun = (u64, Vec<usize>);

/// Programs with a resolver of their own: queries that failed outside any library call.
fn unanswered(story: &Story<'_>, drafts: &mut Vec<Draft>) {
    let used: BTreeSet<usize> = drafts
        .iter()
        .flat_map(|draft| draft.resolved.queries.iter().copied())
        .collect();
    let calls = &story.memory.resolutions.calls;
    let in_call = |at: u64| {
        calls
            .iter()
            .any(|(end, c)| (c.entered_at_ns..=*end).contains(&at))
    };
    let settled_before = story.memory.reported.settled_before;
    // Each name of a process with its resolutions, told apart by time.
    let mut by_name: BTreeMap<(u32, String), Vec<QueryRun>> = BTreeMap::new();
    for (index, query) in story.memory.resolutions.queries.iter().enumerate() {
        let last = query.last_at_ns();
        if last < settled_before || used.contains(&index) || in_call(query.first_at_ns) {
            continue;
        }
        let Some(process) = story.query_process(query) else {
            continue;
        };
        let key = (process.pid, query.question.name.to_ascii_lowercase());
        let resolutions = by_name.entry(key).or_default();
        match resolutions.last_mut() {
            Some((until, queries))
                if query.first_at_ns <= until.saturating_add(SAME_RESOLUTION_NS) =>
            {
                *until = last.max(*until);
                queries.push(index);
            }
            _ => resolutions.push((last, vec![index])),
        }
    }
    let resolutions = by_name
        .into_iter()
        .flat_map(|((pid, _), resolutions)| resolutions.into_iter().map(move |one| (pid, one)));
    for (pid, (until, queries)) in resolutions {
        let all = || queries.iter().filter_map(|q| resolution::query(story, *q));
        let failed = all().all(|query| query.rcode() != Some("NOERROR"));
        let Some(at_ns) = all().map(|query| query.first_at_ns).min() else {
            continue;
        };
        // While the capture goes on, an answer may still come.
        let settled = !story.memory.options.live
            || all().all(|query| query.answer.is_some())
            || until.saturating_add(SAME_RESOLUTION_NS) < story.memory.last_at_ns;
        if failed && settled {
            drafts.push(Draft {
                pid: Some(pid),
                opens: true,
                closes: true,
                at_ns,
                resolved: Resolved {
                    queries,
                    ..Resolved::default()
                },
                ..Draft::default()
            });
        }
    }
}

/// Ties each report of a cooperating client to the journey it announced; a report without
/// one is a journey of its own, known only by the client's word.
fn reported(story: &Story<'_>, drafts: &mut Vec<Draft>) {
    let reports = &story.memory.client_reports;
    let started = reports
        .iter()
        .enumerate()
        .filter(|(_, (_, report))| report.event == ClientEvent::Started);
    for (index, (at_ns, report)) in started {
        let next = reports
            .iter()
            .skip(index + 1)
            .find(|(_, later)| later.pid == report.pid && later.event == ClientEvent::Started)
            .map_or(u64::MAX, |(at, _)| *at);
        let announced = drafts
            .iter_mut()
            .filter(|draft| draft.pid == Some(report.pid) && draft.report.is_none())
            .filter(|draft| (*at_ns..next).contains(&draft.at_ns))
            .min_by_key(|draft| draft.at_ns);
        match announced {
            Some(draft) => {
                draft.report = Some(index);
                draft.at_ns = *at_ns;
            }
            None => drafts.push(Draft {
                pid: Some(report.pid),
                opens: true,
                closes: true,
                report: Some(index),
                at_ns: *at_ns,
                ..Draft::default()
            }),
        }
    }
}

/// What the same client said next about the journey that report `started` announced.
pub(super) fn verdict<'a>(story: &Story<'a>, started: usize) -> Option<(u64, &'a ClientEvent)> {
    let reports = &story.memory.client_reports;
    let (_, announced) = reports.get(started)?;
    let mut later = reports.iter().skip(started + 1);
    let (at_ns, report) = later.find(|(_, report)| report.pid == announced.pid)?;
    (report.event != ClientEvent::Started).then_some((*at_ns, &report.event))
}
