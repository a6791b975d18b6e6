//! Route decisions: the kernel's lookups, completed by what rtnetlink says of them.

use super::model::Route;
use crate::capture::{RouteDetail, RouteLookup};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Lookups and details remembered; beyond this the oldest are dropped.
const LIMIT: usize = 16_384;

/// Route knowledge of a capture.
#[derive(Debug, Default)]
pub(super) struct Routes {
    lookups: Vec<(u64, RouteLookup)>,
    details: BTreeMap<IpAddr, RouteDetail>,
}

impl Routes {
    pub fn lookup(&mut self, at_ns: u64, lookup: RouteLookup) {
        if self.lookups.len() >= LIMIT {
            self.lookups.drain(..LIMIT / 2);
        }
        self.lookups.push((at_ns, lookup));
    }

    pub fn detail(&mut self, detail: RouteDetail) {
        if self.details.len() >= LIMIT {
            self.details.pop_first();
        }
        self.details.insert(detail.destination, detail);
    }

    /// The lookups that `pid` caused for `destination` in a span of time. One connect(2)
    /// makes several (per table, and again once the source port is known).
    pub fn lookups(
        &self,
        pid: u32,
        destination: IpAddr,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = &(u64, RouteLookup)> {
        self.lookups.iter().filter(move |(at_ns, lookup)| {
            lookup.pid == pid
                && lookup.in_process_context
                && lookup.destination == destination
                && (from..=to).contains(at_ns)
        })
    }

    /// The rtnetlink answer for `destination`.
    pub fn detail_of(&self, destination: IpAddr) -> Option<&RouteDetail> {
        self.details.get(&destination)
    }

    /// Where packets to `destination` go first, as far as lookups or rtnetlink told.
    pub fn next_hop(&self, destination: IpAddr) -> IpAddr {
        let mut lookups = self.lookups.iter().rev();
        let seen = lookups.find(|(_, l)| l.destination == destination && l.error == 0);
        let gateway = seen.and_then(|(_, lookup)| lookup.gateway);
        let listed = || {
            self.detail_of(destination)
                .and_then(|detail| detail.gateway)
        };
        gateway.or_else(listed).unwrap_or(destination)
    }

    /// The decision in the words of the model; `None` when neither source knows anything.
    pub fn route(&self, destination: IpAddr, lookups: &[&(u64, RouteLookup)]) -> Option<Route> {
        let detail = self.detail_of(destination);
        // The last successful lookup is the one that counted: earlier ones asked tables
        // (local) that had no answer.
        let last = lookups.iter().rev().find(|(_, lookup)| lookup.error == 0);
        let first_at_ns = lookups.first().map(|(at_ns, _)| *at_ns);
        if detail.is_none() && last.is_none() {
            return None;
        }
        let gateway = last
            .and_then(|(_, lookup)| lookup.gateway)
            .or(detail.and_then(|detail| detail.gateway));
        // Without rules of its own a namespace keeps main and local in one trie, and the
        // tracepoint names whichever table owns the trie (fib_trie_unmerge,
        // net/ipv4/fib_trie.c); rtnetlink names the one that holds the route.
        let table = detail
            .map(|detail| detail.table)
            .or(last.map(|(_, lookup)| lookup.table));
        Some(Route {
            destination,
            on_link: Some(gateway.is_none()),
            prefix: detail
                .and_then(|detail| detail.prefix)
                .map(|(address, length)| format!("{address}/{length}")),
            gateway,
            interface: last
                .and_then(|(_, lookup)| lookup.interface.clone())
                .or(detail.and_then(|detail| detail.interface.clone())),
            source: detail
                .and_then(|detail| detail.source)
                .or(last.and_then(|(_, lookup)| lookup.source)),
            table: table.map(table_name),
            mtu: detail.and_then(|detail| detail.mtu),
            at_ns: first_at_ns,
        })
    }
}

/// Reserved tables of include/uapi/linux/rtnetlink.h by name, others by number.
fn table_name(table: u32) -> String {
    match table {
        253 => "default".to_owned(),
        254 => "main".to_owned(),
        255 => "local".to_owned(),
        other => other.to_string(),
    }
}

/// The errno of a route refusal in words.
pub(super) fn error_words(error: i32) -> &'static str {
    match error.unsigned_abs() {
        101 => "network is unreachable (ENETUNREACH)",
        113 => "no route to host (EHOSTUNREACH)",
        13 => "prohibited (EACCES)",
        22 => "dropped by a blackhole route (EINVAL)",
        11 => "no route in this table",
        _ => "refused by the routing table",
    }
}
