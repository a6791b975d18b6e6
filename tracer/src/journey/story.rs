//! What the parts of a story share while it is composed: the memory of the capture and
//! the analysed streams of its connections.

use super::assemble::Assembler;
use super::connection::TrackedConnection;
use super::dns::TrackedQuery;
use super::model::{Attribution, End, Endpoint, HttpExchange, Process, Source};
use super::neighbor::TrackedNeighbor;
use super::payload::analyse;
use super::process::Owner;
use super::quic;
use super::resolution::QueryIndex;
use super::tls::TlsAnalysis;
use crate::capture::SocketUse;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// A datagram socket that was connected or sent through this long before a query, and to
/// the same server, may be the query's; longer ago it may be anybody's.
const DATAGRAM_OWNER_WINDOW_NS: u64 = 50_000_000;

/// What the payload of a connection says.
#[derive(Debug, Clone, Default)]
pub(super) struct Analysed {
    /// The end that asks, mostly the one that opened the connection.
    pub requester: End,
    // Boxed, both: what is neither is mostly what there are many of.
    pub tls: Option<Box<TlsAnalysis>>,
    pub http: Vec<HttpExchange>,
    pub quic: Option<Box<quic::Reading>>,
    /// Which of the exchanges opened a tunnel, once that was asked: every journey asks.
    pub tunnel: OnceLock<Option<usize>>,
}

/// What a connection costs when it is told, with its journey and without its lists, bytes: about.
const TOLD_BYTES: usize = 2280;
/// What one entry of each list costs with its strings, bytes: about, from the 1 GB captures
/// of the bench.
const EXCHANGE_BYTES: usize = 1500;
const RECORD_BYTES: usize = 160;
const CERTIFICATE_BYTES: usize = 1000;
const DATAGRAM_BYTES: usize = 200;

impl Analysed {
    /// The exchange that has the request of the one at `index`: itself, or where that answers
    /// an upgrade to HTTP/2, the one before it.
    pub fn asked(&self, index: usize) -> Option<&HttpExchange> {
        let exchange = self.http.get(index)?;
        match &exchange.upgraded_from {
            Some(_) => self.http.get(index.checked_sub(1)?),
            None => Some(exchange),
        }
    }

    /// Whether the request of the exchange at `index` has its answer in the next one.
    pub fn is_upgraded(&self, index: usize) -> bool {
        let next = self.http.get(index.saturating_add(1));
        next.is_some_and(|next| next.upgraded_from.is_some())
    }

    /// Memory that it takes, in bytes, about.
    pub fn weight(&self) -> usize {
        let tls = self.tls.as_ref().map_or(0, |tls| {
            let session = &tls.session;
            session.records.len() * RECORD_BYTES + session.certificates.len() * CERTIFICATE_BYTES
        });
        let quic = self.quic.as_ref().map_or(0, |reading| {
            reading.quic.datagrams.len() * DATAGRAM_BYTES
                + reading.application.len() * size_of::<(End, u64)>()
        });
        TOLD_BYTES + tls + quic + self.http.len() * EXCHANGE_BYTES
    }
}

/// The memory of the capture and the analysed connections.
pub(super) struct Story<'a> {
    pub memory: &'a Assembler,
    pub analysed: BTreeMap<u64, Arc<Analysed>>,
    query_index: OnceCell<QueryIndex>,
    neighbor_index: OnceCell<HashMap<IpAddr, Vec<usize>>>,
}

impl<'a> Story<'a> {
    /// Reads the streams of the chosen connections.
    pub fn new(memory: &'a Assembler, chosen: impl Fn(&TrackedConnection) -> bool) -> Self {
        let connections = memory.connections.iter().filter(|c| chosen(c));
        let analysed = connections.map(|connection| {
            let settled = connection.settled.clone();
            let analysed = settled.unwrap_or_else(|| Arc::new(analyse(memory, connection)));
            (connection.number, analysed)
        });
        Self {
            memory,
            analysed: analysed.collect(),
            query_index: OnceCell::new(),
            neighbor_index: OnceCell::new(),
        }
    }

    pub fn query_index(&self) -> &QueryIndex {
        let queries = &self.memory.resolutions.queries;
        self.query_index.get_or_init(|| QueryIndex::new(queries))
    }

    /// The neighbour exchanges about an address, in order.
    pub fn neighbors_of(&self, ip: IpAddr) -> impl DoubleEndedIterator<Item = &'a TrackedNeighbor> {
        let exchanges = &self.memory.neighbors.exchanges;
        let index = self.neighbor_index.get_or_init(|| {
            let mut index: HashMap<IpAddr, Vec<usize>> = HashMap::new();
            for (position, exchange) in exchanges.iter().enumerate() {
                index.entry(exchange.ip).or_default().push(position);
            }
            index
        });
        let found = index.get(&ip).map_or(&[][..], Vec::as_slice).iter();
        found.filter_map(|position| exchanges.get(*position))
    }

    /// The chosen connections, in order of their numbers.
    pub fn connections(&self) -> impl Iterator<Item = (&'a TrackedConnection, &Analysed)> {
        self.analysed
            .iter()
            .filter_map(|(number, a)| Some((self.memory.connections.get(*number)?, a.as_ref())))
    }

    pub fn connection(&self, number: u64) -> Option<(&'a TrackedConnection, &Analysed)> {
        let analysed = self.analysed.get(&number)?;
        Some((self.memory.connections.get(number)?, analysed.as_ref()))
    }

    /// The streams, for those who need nothing else of the story any more.
    pub fn into_analysed(self) -> BTreeMap<u64, Arc<Analysed>> {
        self.analysed
    }

    pub fn is_file(&self) -> bool {
        self.memory.options.source == Source::File
    }

    /// The process at one end, by its socket; for a server by its listening port where its
    /// own socket was never met.
    pub fn owner(&self, connection: &TrackedConnection, end: End) -> Option<Owner> {
        if let (Some(_), End::Client) = (&connection.quic, end) {
            let cookie = connection.end(end).cookie;
            let ends = (connection.client, connection.server);
            return self.datagram_owner(cookie, ends, connection.first_at_ns);
        }
        let processes = &self.memory.processes;
        let state = connection.end(end);
        let with = |attribution| move |pid| Owner { pid, attribution };
        let by_cookie = processes.of_cookie(state.cookie);
        let caller = connection.connect.as_ref().map(|call| call.pid);
        let opened = caller
            .filter(|_| end == End::Client)
            .map(with(Attribution::SocketCookie));
        let mut users = [&state.readers, &state.writers].into_iter();
        let user = users.find_map(|users| users.pids().first().copied());
        let user = user.map(with(Attribution::Tuple));
        let holder = state.holder.map(with(Attribution::Procfs));
        let found = [by_cookie, opened, user, holder].into_iter().flatten();
        let surest = found.min_by_key(|owner| owner.attribution);
        surest.or_else(|| {
            // Only when the server's socket is on this host; a listener on the same
            // port says nothing of a remote one.
            let here = connection.states.iter().any(|s| s.end == End::Server);
            let is_server = end == End::Server && here;
            is_server.then(|| processes.of_listener(connection.server, state.network_namespace))?
        })
    }

    /// What is known of an owner.
    fn describe(&self, owner: Owner) -> Process {
        let Owner { pid, attribution } = owner;
        self.memory.processes.describe(pid, attribution)
    }

    /// [`Story::owner`], else the one that the capture file names. A file's word tells who it
    /// was, but joins nothing: other facts of a file name no processes to be joined with.
    pub fn named_process(&self, connection: &TrackedConnection, end: End) -> Option<Process> {
        let owner = self.owner(connection, end);
        owner.map(|owner| self.describe(owner)).or_else(|| {
            let (process, ..) = connection.remarks.as_ref()?.process(end)?;
            Some(process)
        })
    }

    /// Processes other than the owner that read from this end: the socket was inherited, or
    /// passed on.
    pub fn readers(&self, connection: &TrackedConnection, end: End) -> Vec<Process> {
        self.but_the_owner(connection, end, connection.end(end).readers.pids())
    }

    /// The same of those that wrote to it. `None` where no write was told, of the owner neither:
    /// then nothing is known.
    pub fn writers(&self, connection: &TrackedConnection, end: End) -> Option<Vec<Process>> {
        let writers = connection.end(end).writers.pids();
        let is_told = !writers.is_empty();
        is_told.then(|| self.but_the_owner(connection, end, writers))
    }

    fn but_the_owner(
        &self,
        connection: &TrackedConnection,
        end: End,
        users: &[u32],
    ) -> Vec<Process> {
        let owner = self.owner(connection, end).map(|owner| owner.pid);
        let others = users.iter().filter(|pid| Some(**pid) != owner);
        let processes = &self.memory.processes;
        others
            .map(|pid| processes.describe(*pid, Attribution::Tuple))
            .collect()
    }

    /// The client's socket is in another network namespace than the watched one.
    pub fn is_of_another_namespace(&self, connection: &TrackedConnection) -> bool {
        let namespace = connection.end(End::Client).network_namespace;
        self.memory.connections.watched.is_another(namespace)
    }

    /// None of its frames can have passed a watched interface.
    pub fn is_out_of_sight(&self, connection: &TrackedConnection) -> bool {
        !connection.has_frames() && self.is_of_another_namespace(connection)
    }

    pub fn pid(&self, connection: &TrackedConnection) -> Option<u32> {
        self.owner(connection, End::Client).map(|owner| owner.pid)
    }

    /// Who sent a DNS query: by its socket, else by the only process that used a datagram
    /// socket towards that server just before.
    pub fn query_process(&self, query: &TrackedQuery) -> Option<Process> {
        let ends = (query.client, query.server);
        let owner = self.datagram_owner(query.cookie, ends, query.first_at_ns);
        owner.map(|owner| self.describe(owner))
    }

    /// Who sent a datagram from `client` to `server`, through the socket with this cookie where
    /// it is known.
    fn datagram_owner(
        &self,
        cookie: Option<u64>,
        (client, server): (Endpoint, Endpoint),
        at_ns: u64,
    ) -> Option<Owner> {
        let processes = &self.memory.processes;
        if let Some(owner) = processes.of_cookie(cookie) {
            return Some(owner);
        }
        let from = at_ns.saturating_sub(DATAGRAM_OWNER_WINDOW_NS);
        let watched = &self.memory.connections.watched;
        let owners = &self.memory.datagram_owners;
        let since = owners.partition_point(|(at, _)| *at < from);
        let near = owners.iter().skip(since);
        let near = near.take_while(|(at, _)| *at <= at_ns);
        let recent = near.filter(|(_, owner)| {
            owner.usage != SocketUse::Receive
                && owner.remote.map(Endpoint::from) == Some(server)
                && !watched.is_double(owner.network_namespace, client.ip)
        });
        let mut pids: Vec<u32> = recent.map(|(_, owner)| owner.pid).collect();
        pids.dedup();
        match pids.as_slice() {
            [only] => Some(Owner {
                pid: *only,
                attribution: Attribution::Tuple,
            }),
            _ => None,
        }
    }
}
