//! All connections: which frame, which kernel event belongs to which.

use super::connection::TrackedConnection;
use super::evidence::Mark;
use super::model::{End, Endpoint};
use super::older::OlderSockets;
use super::quic::Flows;
use super::skim::Skimmer;
use super::tls::KeyLog;
use super::watched::Watched;
use crate::capture::{Frame, LayerPassage};
use crate::protocol::frame::{Tcp, Udp};
use foldhash::fast::RandomState;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;

mod sockets;

use sockets::Socket;

/// Connections that are over and may wait for late segments at a time.
const WAITING: usize = 1024;

/// The connections of a capture.
#[derive(Debug)]
pub(super) struct Connections {
    /// Boxed: a node of the tree has room for eleven and is half empty.
    tracked: BTreeMap<u64, Box<TrackedConnection>>,
    /// Asked for every segment. Its hasher is quick, and seeded anew in every process, so that
    /// no capture can be made for its collisions.
    by_tuple: HashMap<(Endpoint, Endpoint), u64, RandomState>,
    by_cookie: HashMap<u64, u64>,
    quic: Flows,
    sockets: HashMap<u64, Socket>,
    pub watched: Watched,
    older: OlderSockets,
    /// Ports on which somebody on this host listens.
    listening: HashSet<u16>,
    next_number: u64,
    stream_limit: usize,
    keep_frames: bool,
    /// A segment without payload makes a connection, too. Not in live mode, where it is
    /// the rest of one that was reported and forgotten.
    every_segment: bool,
    /// What nobody is going to read is not kept.
    skims: bool,
    /// All keys are known, and there are none: what is sealed stays sealed.
    seals_stay: bool,
    /// Connections of a file that are over, in order of their end, which was then.
    over: VecDeque<(u64, u64)>,
}

impl Connections {
    /// `stream_limit`: bytes of payload kept per direction. `keep_frames`: whole frames of
    /// the key moments are kept for the layers view.
    pub fn new(stream_limit: usize, keep_frames: bool, every_segment: bool) -> Self {
        Self {
            tracked: BTreeMap::new(),
            by_tuple: HashMap::default(),
            by_cookie: HashMap::new(),
            quic: Flows::default(),
            sockets: HashMap::new(),
            watched: Watched::default(),
            older: OlderSockets::default(),
            listening: HashSet::new(),
            next_number: 1,
            stream_limit,
            keep_frames,
            every_segment,
            skims: false,
            seals_stay: false,
            over: VecDeque::new(),
        }
    }

    /// From now on what nobody is going to read is not kept. Not in a live capture: keys, and
    /// readers of streams that go on, may come at any time there.
    pub fn skim(&mut self) {
        self.skims = true;
    }

    /// No key will ever open anything.
    pub fn seals_stay(&mut self) {
        self.seals_stay = true;
    }

    pub fn iter(&self) -> impl Iterator<Item = &TrackedConnection> {
        self.tracked.values().map(Box::as_ref)
    }

    pub fn get_mut(&mut self, number: u64) -> Option<&mut TrackedConnection> {
        self.tracked.get_mut(&number).map(Box::as_mut)
    }

    pub fn get(&self, number: u64) -> Option<&TrackedConnection> {
        self.tracked.get(&number).map(Box::as_ref)
    }

    /// Forgets a connection that was reported and is over.
    pub fn remove(&mut self, number: u64) {
        let Some(connection) = self.tracked.remove(&number) else {
            return;
        };
        if let Some(conversation) = &connection.quic {
            self.quic.remove(number, conversation);
        }
        self.unname(number, &connection);
    }

    /// Nothing is found by the keys of a connection that is forgotten.
    fn unname(&mut self, number: u64, connection: &TrackedConnection) {
        // Both keys may have passed to a younger connection: ports and sockets are used again.
        let key = tuple(connection.client, connection.server);
        if self.by_tuple.get(&key) == Some(&number) {
            self.by_tuple.remove(&key);
        }
        for cookie in &connection.cookies {
            if self.by_cookie.get(cookie) == Some(&number) {
                self.by_cookie.remove(cookie);
            }
        }
    }

    /// Forgets connections that were told.
    pub fn remove_all(&mut self, numbers: &BTreeSet<u64>) {
        let mut conversations = false;
        for number in numbers {
            let Some(mut connection) = self.tracked.remove(number) else {
                continue;
            };
            conversations |= connection.quic.is_some();
            if let Some(conversation) = connection.quic.take() {
                self.quic.count_out(&conversation);
            }
            self.unname(*number, &connection);
        }
        if conversations {
            self.quic.remove_all(numbers);
        }
    }

    /// Connections in memory.
    pub fn count(&self) -> usize {
        self.tracked.len()
    }

    /// Connections that are over and wait for late segments.
    pub fn waiting(&self) -> usize {
        self.over.len()
    }

    /// A connection that is over since `before_ns` and not yet settled.
    pub fn take_over(&mut self, before_ns: u64) -> Option<u64> {
        loop {
            let (number, over_at_ns) = *self.over.front()?;
            let crowded = self.over.len() > WAITING;
            // Asked behind every frame: what came later only makes it later.
            if !crowded && over_at_ns > before_ns {
                return None;
            }
            let last_at_ns = self.tracked.get(&number).map(|it| it.last_at_ns);
            if !crowded && last_at_ns.is_some_and(|last| last > before_ns) {
                return None;
            }
            self.over.pop_front();
            if last_at_ns.is_some() {
                return Some(number);
            }
        }
    }

    /// Forgets the least recently used connections until at most `limit` are left, with at
    /// most `payload` bytes of their streams. Returns how many were forgotten.
    pub fn bound(&mut self, limit: usize, payload: u64) -> u64 {
        let mut excess = self.tracked.len().saturating_sub(limit);
        let mut held: u64 = self.iter().map(TrackedConnection::held_bytes).sum();
        if excess == 0 && held <= payload {
            return 0;
        }
        let mut by_age: Vec<_> = self
            .iter()
            .map(|c| (c.last_at_ns, c.number, c.held_bytes()))
            .collect();
        by_age.sort_unstable();
        let mut dropped = 0;
        for (_, number, bytes) in by_age {
            if excess == 0 && held <= payload {
                break;
            }
            self.remove(number);
            excess = excess.saturating_sub(1);
            held -= bytes;
            dropped += 1;
        }
        dropped
    }

    /// The connection between two addresses, whichever is the client.
    pub fn between(&self, one: Endpoint, other: Endpoint) -> Option<u64> {
        self.by_tuple.get(&tuple(one, other)).copied()
    }

    /// The QUIC connection between two addresses, whichever is the client.
    pub fn quic_between(&self, one: Endpoint, other: Endpoint) -> Option<u64> {
        self.quic.between(one, other)
    }

    fn create(&mut self, client: Endpoint, server: Endpoint, at_ns: u64) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        let mut connection =
            TrackedConnection::new(number, client, server, at_ns, self.stream_limit);
        // All of DNS is read.
        if self.skims && server.port != super::dns::PORT {
            connection.skimmer = Some(Box::new(Skimmer::new(self.seals_stay)));
        }
        self.tracked.insert(number, Box::new(connection));
        number
    }

    /// Takes one TCP segment from `source` to `destination`.
    pub fn segment(
        &mut self,
        source: Endpoint,
        destination: Endpoint,
        tcp: &Tcp<'_>,
        mark: Mark,
        frame: &Frame,
    ) -> bool {
        let Some(number) = self.connection_of(source, destination, tcp, mark, frame.cookie) else {
            return false;
        };
        let keep = self.keep_frames;
        let Some(connection) = self.tracked.get_mut(&number) else {
            return false;
        };
        let end = if connection.client == source {
            End::Client
        } else {
            End::Server
        };
        connection.segment(end, tcp, mark, frame, keep);
        if self.every_segment && !connection.over && connection.is_closed() {
            connection.over = true;
            self.over.push_back((number, connection.last_at_ns));
        }
        if let Some(cookie) = frame.cookie {
            self.name(number, cookie);
        }
        true
    }

    /// From now on the connection is found by this socket cookie, unless another one is.
    fn name(&mut self, number: u64, cookie: u64) {
        if let Entry::Vacant(free) = self.by_cookie.entry(cookie)
            && let Some(connection) = self.tracked.get_mut(&number)
        {
            free.insert(number);
            connection.cookies.push(cookie);
        }
    }

    /// Takes one UDP datagram, if it belongs to a QUIC connection or opens one; returns the
    /// connection, and whether it was opened by it.
    pub fn datagram(
        &mut self,
        source: Endpoint,
        destination: Endpoint,
        udp: &Udp<'_>,
        mark: Mark,
        frame: &Frame,
    ) -> Option<(u64, bool)> {
        let known = self.quic.find(source, destination, udp.payload);
        let known = known.filter(|number| {
            let connection = self.get(*number);
            connection
                .and_then(|connection| connection.quic.as_ref())
                .is_some_and(|conversation| !conversation.is_foreign(udp.payload))
        });
        let opened = || {
            let (limit, length) = (self.stream_limit, udp.payload_length);
            let conversation = self
                .quic
                .open(udp.payload, length, destination.port, limit)?;
            let number = self.create(source, destination, mark.at_ns);
            self.tracked.get_mut(&number)?.quic = Some(Box::new(conversation));
            self.quic.tie(source, destination, number);
            Some(number)
        };
        let number = known.or_else(opened)?;
        let keep = self.keep_frames;
        let connection = self.tracked.get_mut(&number)?;
        let end = if connection.server == source {
            End::Server
        } else {
            End::Client
        };
        let payload = (udp.payload, udp.payload_length);
        connection.datagram(end, payload, mark, frame, keep);
        if let (End::Server, Some(conversation)) = (end, &connection.quic) {
            self.quic.learn(source, conversation, number);
        }
        Some((number, known.is_none()))
    }

    /// Takes the QUIC connection of a datagram of a file for over when the datagram, as far as
    /// `secrets` open it, says so.
    pub fn look_for_close(
        &mut self,
        source: Endpoint,
        destination: Endpoint,
        payload: &[u8],
        secrets: &KeyLog,
    ) {
        let number = self.quic_between(source, destination);
        let Some(number) = number.filter(|_| self.every_segment) else {
            return;
        };
        let Some(connection) = self.tracked.get_mut(&number).filter(|it| !it.over) else {
            return;
        };
        let end = if connection.server == source {
            End::Server
        } else {
            End::Client
        };
        let conversation = connection.quic.as_mut();
        if conversation.is_some_and(|it| it.is_closed_by(end, payload, secrets)) {
            connection.over = true;
            self.over.push_back((number, connection.last_at_ns));
        }
    }

    fn connection_of(
        &mut self,
        source: Endpoint,
        destination: Endpoint,
        tcp: &Tcp<'_>,
        mark: Mark,
        cookie: Option<u64>,
    ) -> Option<u64> {
        let known = self.between(source, destination);
        let opens = tcp.flags.syn && !tcp.flags.ack;
        if let Some(number) = known
            && (!tcp.flags.syn || self.tracked.get_mut(&number)?.takes(source, tcp))
        {
            return Some(number);
        }
        let number = if opens {
            self.older.forget(source, destination);
            self.adopt(source, destination, cookie)
                .unwrap_or_else(|| self.create(source, destination, mark.at_ns))
        } else if tcp.flags.syn {
            self.create(destination, source, mark.at_ns)
        } else if tcp.payload_length > 0 || self.every_segment {
            let (client, server) = self.roles(source, destination);
            let number = self.create(client, server, mark.at_ns);
            self.recognise_older(number, client, server);
            number
        } else {
            return None;
        };
        self.by_tuple.insert(tuple(source, destination), number);
        Some(number)
    }

    /// Client and server of a connection that began before the capture: who is listened to
    /// on this host, else the lower port, on which servers sit in nearly every protocol with
    /// assigned ports (RFC 6335, section 6).
    fn roles(&self, source: Endpoint, destination: Endpoint) -> (Endpoint, Endpoint) {
        let listened = |end: Endpoint| self.listening.contains(&end.port);
        let to_server = match (listened(source), listened(destination)) {
            (true, false) => false,
            (false, true) => true,
            _ => source.port >= destination.port,
        };
        if to_server {
            (source, destination)
        } else {
            (destination, source)
        }
    }

    /// The attempt announced by connect(2) on the same socket, now that its source port is known.
    fn adopt(
        &mut self,
        source: Endpoint,
        destination: Endpoint,
        cookie: Option<u64>,
    ) -> Option<u64> {
        let number = *self.by_cookie.get(&cookie?)?;
        let connection = self.tracked.get_mut(&number)?;
        if connection.has_frames() || connection.server != destination {
            return None;
        }
        connection.client = source;
        Some(number)
    }

    /// Takes the passage of a segment through a layer of this host's kernel.
    pub fn passage(&mut self, at_ns: u64, passage: LayerPassage) {
        if let Some((connection, sender)) = self.end_between(passage.source, passage.destination) {
            connection.passage(at_ns, sender, passage);
        }
    }

    /// The connection between two addresses, and which end the first one is.
    pub fn end_between(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<(&mut TrackedConnection, End)> {
        let (local, remote) = (Endpoint::from(local), Endpoint::from(remote));
        let number = self
            .between(local, remote)
            .or_else(|| self.quic_between(local, remote))?;
        let connection = self.tracked.get_mut(&number)?;
        let end = if connection.client == local {
            End::Client
        } else {
            End::Server
        };
        Some((connection, end))
    }
}

pub(super) fn tuple(one: Endpoint, other: Endpoint) -> (Endpoint, Endpoint) {
    if one <= other {
        (one, other)
    } else {
        (other, one)
    }
}
