//! Which name resolution led to a connection.

use super::connection::TrackedConnection;
use super::dns::TrackedQuery;
use super::drafts::Draft;
use super::model::{GetAddrInfo, Resolution, ResolutionSource};
use super::story::Story;
use crate::capture::FileOpen;
use std::collections::HashMap;
use std::net::IpAddr;

/// Answers with the right address that are looked at for one with the right name.
const CANDIDATES: usize = 256;

/// Answers with the right address that are looked at at all: a whole network may have been
/// told the same address, and each of its connections looks for its own host's query.
const LOOKED_AT: usize = 4096;

/// Queries of one host for one name before and behind the chosen one that may belong to the
/// same resolution: a few types, each to a few servers.
const SIBLINGS: usize = 16;

/// The A and AAAA queries of one resolution leave together; later ones are another.
const SIBLINGS_NS: u64 = 5_000_000_000;

/// Calls of one process that are tried for a connection, the latest first: an address is
/// used soon after it was asked for, and a browser makes thousands of calls.
const CALLS: usize = 256;

/// A program with a resolver of its own (static, musl, Go) reads the resolver's files just before
/// it asks a server or connects.
const READ_BEFORE_NS: u64 = 100_000_000;

/// A resolution: the library call, where it was seen, and the queries it made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    /// Index in `resolutions.calls`.
    pub call: Option<usize>,
    /// Indexes in `resolutions.queries`.
    pub queries: Vec<usize>,
    /// It was made for an earlier journey, and the program still knew the address: no time
    /// of this one went into it.
    pub remembered: bool,
}

impl Resolved {
    pub fn is_empty(&self) -> bool {
        self.call.is_none() && self.queries.is_empty()
    }
}

/// The resolution that gave a process the address it connected to. `host`: the name that
/// the request itself carried, if any.
pub(super) fn of_connection(
    story: &Story<'_>,
    connection: &TrackedConnection,
    pid: Option<u32>,
    host: Option<&str>,
) -> Resolved {
    let address = connection.server.ip;
    let before = connection
        .connect
        .as_ref()
        .map_or(connection.first_at_ns, |c| c.at_ns);
    if let Some(call) = pid.and_then(|pid| call_for(story, pid, address, before, host)) {
        return of_call(story, call);
    }
    let queries = &story.memory.resolutions.queries;
    let usable = |query: &TrackedQuery| {
        query.end_at_ns().is_some_and(|end| end <= before)
            && same_host(story, query.client.ip, connection.client.ip)
            && pid.is_none_or(|pid| {
                story
                    .query_process(query)
                    .is_none_or(|owner| owner.pid == pid)
            })
    };
    let index = story.query_index();
    let time_of = |position: &usize| queries.get(*position).map_or(0, |query| query.first_at_ns);
    let candidates = || {
        let giving = index
            .by_address
            .get(&address)
            .map_or(&[][..], Vec::as_slice);
        let asked = giving.partition_point(|position| time_of(position) <= before);
        let earlier = giving.get(..asked).unwrap_or_default().iter().rev();
        let found = earlier
            .take(LOOKED_AT)
            .filter_map(|position| queries.get(*position));
        found.filter(|query| usable(query)).take(CANDIDATES)
    };
    let named =
        candidates().find(|query| host.is_some_and(|host| same_name(&query.question.name, host)));
    let Some(chosen) = named.or_else(|| candidates().next()) else {
        return Resolved::default();
    };
    let name = chosen.question.name.to_ascii_lowercase();
    let of_name = index.by_name.get(&(chosen.client.ip, name));
    let of_name = of_name.map_or(&[][..], Vec::as_slice);
    let from = chosen.first_at_ns.saturating_sub(SIBLINGS_NS);
    let first = of_name.partition_point(|position| time_of(position) <= from);
    let own = of_name.partition_point(|position| time_of(position) < chosen.first_at_ns);
    let first = first.max(own.saturating_sub(SIBLINGS));
    let near = of_name.get(first..).unwrap_or_default().iter().copied();
    let same = near
        .take(own + SIBLINGS - first)
        .filter_map(|position| Some((position, queries.get(position)?)))
        .take_while(|(_, query)| {
            query.first_at_ns <= before
                && query.first_at_ns < chosen.first_at_ns.saturating_add(SIBLINGS_NS)
        });
    Resolved {
        call: None,
        queries: same.map(|(position, _)| position).collect(),
        remembered: false,
    }
}

/// Queries by what their answers give and by what they ask for, in order of time: a
/// connection finds its resolution without looking at all others.
#[derive(Debug, Default)]
pub(super) struct QueryIndex {
    by_address: HashMap<IpAddr, Vec<usize>>,
    /// By the host that asked, and the name in lower case.
    by_name: HashMap<(IpAddr, String), Vec<usize>>,
}

impl QueryIndex {
    pub fn new(queries: &[TrackedQuery]) -> Self {
        let mut index = Self::default();
        for (position, query) in queries.iter().enumerate() {
            for address in query.addresses() {
                let known = index.by_address.entry(address).or_default();
                if known.last() != Some(&position) {
                    known.push(position);
                }
            }
            let name = query.question.name.to_ascii_lowercase();
            let asked = (query.client.ip, name);
            index.by_name.entry(asked).or_default().push(position);
        }
        // Those over TCP were read when their streams were over.
        let lists = index.by_address.values_mut();
        for list in lists.chain(index.by_name.values_mut()) {
            list.sort_by_key(|position| queries.get(*position).map_or(0, |it| it.first_at_ns));
        }
        index
    }
}

/// A capture may hold several hosts, told apart by their addresses; a host may ask over
/// IPv4 for the address it reaches over IPv6.
fn same_host(story: &Story<'_>, asker: IpAddr, client: IpAddr) -> bool {
    !story.is_file() || asker == client || asker.is_ipv4() != client.is_ipv4()
}

/// The last successful call of `pid` before `before` that can have given `address`.
fn call_for(
    story: &Story<'_>,
    pid: u32,
    address: IpAddr,
    before: u64,
    host: Option<&str>,
) -> Option<usize> {
    let calls = story.memory.resolutions.calls.iter().enumerate().rev();
    let fitting = calls
        .filter(|(_, (at_ns, call))| call.pid == pid && *at_ns <= before && call.result == Some(0));
    let mut silent = None;
    for (index, (_, call)) in fitting.take(CALLS) {
        let resolved = of_call(story, index);
        let answers = || resolved.queries.iter().filter_map(|q| query(story, *q));
        if answers().any(|q| q.addresses().any(|found| found == address)) {
            return Some(index);
        }
        let name = call.name.as_deref();
        let literal: Option<IpAddr> = name.and_then(|name| name.parse().ok());
        let fits = match (host, literal) {
            (_, Some(literal)) => address == literal,
            (Some(host), None) => name.is_some_and(|name| same_name(name, host)),
            (None, None) => true,
        };
        // No packet: hosts file, a cache, or a literal. The name must agree then.
        if fits && answers().next().is_none() && silent.is_none() {
            silent = Some(index);
        }
    }
    silent
}

/// A name with and without the root's dot (RFC 1034, section 3.1), in any case.
fn same_name(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim_end_matches('.'), other.trim_end_matches('.'));
    one.eq_ignore_ascii_case(other)
}

/// A call with the queries it made: those of the same process, in its time.
pub(super) fn of_call(story: &Story<'_>, index: usize) -> Resolved {
    let Some((returned, call)) = story.memory.resolutions.calls.get(index) else {
        return Resolved::default();
    };
    let name = call.name.as_deref().unwrap_or_default();
    let queries = story.memory.resolutions.queries.iter().enumerate();
    let made = queries.filter(|(_, query)| {
        let inside = (call.entered_at_ns..=*returned).contains(&query.first_at_ns);
        inside
            && match story.query_process(query) {
                Some(process) => process.pid == call.pid && extends(&query.question.name, name),
                None => extends(&query.question.name, name),
            }
    });
    Resolved {
        call: Some(index),
        queries: made.map(|(index, _)| index).collect(),
        remembered: false,
    }
}

/// The question is the name itself or the name with a search domain (resolv.conf(5)).
fn extends(question: &str, name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let Some(head) = question.get(..name.len()) else {
        return false;
    };
    let rest = question.get(name.len()..).unwrap_or_default();
    head.eq_ignore_ascii_case(name) && (rest.is_empty() || rest.starts_with('.'))
}

pub(super) fn query<'a>(story: &Story<'a>, index: usize) -> Option<&'a TrackedQuery> {
    story.memory.resolutions.queries.get(index)
}

/// The span of a resolution, as far as it is part of this journey.
pub(super) fn span(story: &Story<'_>, resolved: &Resolved) -> Option<(u64, u64)> {
    (!resolved.remembered).then(|| made(story, resolved))?
}

/// When a resolution was made, for whichever journey.
pub(super) fn made(story: &Story<'_>, resolved: &Resolved) -> Option<(u64, u64)> {
    if let Some((returned, call)) = resolved
        .call
        .and_then(|index| story.memory.resolutions.calls.get(index))
    {
        return Some((call.entered_at_ns, *returned));
    }
    let queries = || resolved.queries.iter().filter_map(|q| query(story, *q));
    let start = queries().map(|q| q.first_at_ns).min()?;
    let end = queries().map(TrackedQuery::last_at_ns).max()?;
    Some((start, end))
}

/// Resolver files that were opened for a journey, in order, each once: within the call of the
/// library, or just before what a program without one asked or connected to.
pub(super) fn files<'a>(story: &Story<'a>, draft: &Draft) -> Vec<(u64, &'a FileOpen)> {
    let Some((from, to)) = reading(story, draft) else {
        return Vec::new();
    };
    let files = &story.memory.resolutions.files;
    let first = files.partition_point(|(at_ns, _)| *at_ns < from);
    let later = files.iter().skip(first);
    let mut found: Vec<(u64, &FileOpen)> = Vec::new();
    for (at_ns, file) in later.take_while(|(at_ns, _)| *at_ns <= to) {
        let is_new = !found.iter().any(|(_, known)| known.path == file.path);
        if Some(file.pid) == draft.pid && is_new {
            found.push((*at_ns, file));
        }
    }
    found
}

/// When files were read for a journey, if any were.
fn reading(story: &Story<'_>, draft: &Draft) -> Option<(u64, u64)> {
    let resolved = &draft.resolved;
    if resolved.call.is_some() {
        return span(story, resolved);
    }
    let asked = match span(story, resolved) {
        Some(asked) => asked,
        None if draft.opens && !resolved.remembered => {
            let (connection, _) = story.connection(*draft.attempts.first()?)?;
            let connecting = connection.connect.as_ref()?.at_ns;
            (connecting, connecting)
        }
        None => return None,
    };
    Some((asked.0.saturating_sub(READ_BEFORE_NS), asked.1))
}

/// The resolution in the words of the model.
pub(super) fn describe(story: &Story<'_>, draft: &Draft, host: Option<&str>) -> Resolution {
    let resolved = &draft.resolved;
    let call = resolved
        .call
        .and_then(|index| story.memory.resolutions.calls.get(index));
    let files: Vec<String> = files(story, draft)
        .into_iter()
        .map(|(_, file)| file.path.clone())
        .collect();
    let queries = || resolved.queries.iter().filter_map(|q| query(story, *q));
    let answered = queries().any(|q| q.addresses().next().is_some());
    // Programs hand literal addresses to getaddrinfo(3), too.
    let asked = call.and_then(|(_, call)| call.name.as_deref());
    let literal = [host, asked].into_iter().flatten().any(|name| {
        name.trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok()
    });
    let succeeded = match call {
        Some((_, call)) => call.result == Some(0),
        // Who connects to a name without having asked anybody knew its address.
        None => host.is_some() && !files.is_empty(),
    };
    let source = if literal {
        ResolutionSource::Literal
    } else if resolved.remembered {
        ResolutionSource::Cache
    } else if answered || queries().next().is_some() {
        ResolutionSource::Dns
    } else if succeeded && files.iter().any(|path| path == "/etc/hosts") {
        ResolutionSource::Hosts
    } else if succeeded {
        ResolutionSource::Cache
    } else {
        ResolutionSource::Unknown
    };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in queries().flat_map(TrackedQuery::addresses) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let chain = queries().map(TrackedQuery::chain).max_by_key(Vec::len);
    Resolution {
        source,
        getaddrinfo: call
            .filter(|_| !resolved.remembered)
            .map(|(returned, call)| GetAddrInfo {
                at_ns: call.entered_at_ns,
                duration_ns: returned.saturating_sub(call.entered_at_ns),
                name: call.name.clone(),
                service: call.service.clone(),
                result: call.result,
            }),
        files,
        chain: chain.unwrap_or_default(),
        addresses,
    }
}
