//! What the kernel tells of sockets: whose they are, who reads and writes, and their states.

use super::{Connections, tuple};
use crate::capture::{PacketDrop, SocketOwner, SocketUse, TcpState, TcpStateChange};
use crate::journey::connection::{ConnectCall, FailedChild, TrackedConnection};
use crate::journey::model::{End, Endpoint, StateTransition};
use crate::journey::older::OlderSocket;
use std::net::SocketAddr;

/// IP protocol number of TCP.
const TCP: u8 = 6;
/// State changes of one socket kept until its addresses are complete.
const PENDING_STATES: usize = 8;
/// Sockets whose addresses are not complete yet; beyond this the oldest knowledge is dropped.
const PENDING_SOCKETS: usize = 16_384;

/// A kernel socket (`struct sock`) and the connection end it is, once that is known.
#[derive(Debug, Default)]
pub(super) struct Socket {
    end: Option<(u64, End)>,
    pending: Vec<(u64, TcpStateChange)>,
    /// It is a listener's child, made then.
    born_at_ns: Option<u64>,
}

impl Connections {
    /// A connection that began before the capture: its sockets were listed when that began.
    pub(super) fn recognise_older(&mut self, number: u64, client: Endpoint, server: Endpoint) {
        let ends = [(End::Client, client, server), (End::Server, server, client)];
        for (end, local, remote) in ends {
            let Some(older) = self.older.between(local, remote) else {
                continue;
            };
            let (holder, cookie) = (older.pid, older.cookie);
            if let Some(connection) = self.tracked.get_mut(&number)
                && connection.is_in(end, older.namespace)
            {
                let state = connection.end_mut(end);
                state.holder = Some(holder);
                state.cookie = state.cookie.or(cookie);
            }
        }
    }

    /// Takes what a process did with a TCP socket.
    pub fn owner(&mut self, at_ns: u64, owner: &SocketOwner) {
        if matches!(owner.usage, SocketUse::Receive | SocketUse::Send) {
            self.user(owner);
        }
        if let (SocketUse::Seeded, Some(local), Some(remote)) =
            (owner.usage, owner.local, owner.remote)
            && !self.watched.is_double(owner.network_namespace, local.ip())
        {
            let socket = OlderSocket {
                pid: owner.pid,
                cookie: owner.cookie,
                namespace: owner.network_namespace,
            };
            self.older.insert(local.into(), remote.into(), socket);
        }
        let listens = owner.usage == SocketUse::Listen
            || owner.usage == SocketUse::Seeded && owner.remote.is_none();
        if let Some(local) = owner.local.filter(|_| listens && owner.protocol == TCP) {
            self.listening.insert(local.port());
        }
        let (Some(cookie), SocketUse::Connect, TCP) = (owner.cookie, owner.usage, owner.protocol)
        else {
            return;
        };
        let Some(remote) = owner.remote.map(Endpoint::from) else {
            return;
        };
        let repeated = self.by_cookie.get(&cookie).and_then(|n| self.get(*n));
        if repeated.is_some_and(|c| c.server == remote && !c.is_closed()) {
            return;
        }
        let unspecified = match remote.ip {
            std::net::IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            std::net::IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let local = owner.local.map(Endpoint::from).unwrap_or(Endpoint {
            ip: unspecified,
            port: 0,
        });
        let number = self.create(local, remote, at_ns);
        self.by_cookie.insert(cookie, number);
        if let Some(connection) = self.tracked.get_mut(&number) {
            connection.cookies.push(cookie);
            let _ = connection.is_in(End::Client, owner.network_namespace);
            connection.end_mut(End::Client).cookie = Some(cookie);
            connection.connect = Some(ConnectCall {
                at_ns,
                pid: owner.pid,
            });
        }
    }

    /// A socket that was never asked for its cookie (a server's child) has none; who reads
    /// from it or writes to it is joined by the addresses.
    fn user(&mut self, owner: &SocketOwner) {
        let addresses = owner.local.zip(owner.remote);
        let Some(ends) = addresses else { return };
        let found = self.end_of_socket(ends, owner.network_namespace);
        if let Some((connection, end)) = found {
            let state = connection.end_mut(end);
            if owner.usage == SocketUse::Send {
                state.writers.add(owner.pid);
            } else {
                state.readers.add(owner.pid);
            }
        }
    }

    /// The connection of a socket in this network namespace, and which end of it that is.
    pub fn end_of_socket(
        &mut self,
        (local, remote): (SocketAddr, SocketAddr),
        namespace: Option<u32>,
    ) -> Option<(&mut TrackedConnection, End)> {
        if self.watched.is_double(namespace, local.ip()) {
            return None;
        }
        let (connection, end) = self.end_between(local, remote)?;
        connection
            .is_in(end, namespace)
            .then_some((connection, end))
    }

    /// The connection of a packet that the kernel gave up, and the end that sent it.
    pub fn sender_of_drop(
        &mut self,
        dropped: &PacketDrop,
    ) -> Option<(&mut TrackedConnection, End)> {
        let (source, destination) = (dropped.source, dropped.destination);
        // What leaves the watched namespace may be lost in another one.
        let stays = self.watched.is_own(destination.ip());
        if stays
            && self
                .watched
                .is_double(dropped.network_namespace, source.ip())
        {
            return None;
        }
        self.attempt_of(source.into(), destination.into(), dropped.cookie);
        self.end_between(source, destination)
    }

    /// A SYN that is given up on its way out was no frame: the attempt that it belongs to learns
    /// its source port from it.
    fn attempt_of(&mut self, source: Endpoint, destination: Endpoint, cookie: Option<u64>) {
        if self.between(source, destination).is_none()
            && let Some(number) = self.adopt(source, destination, cookie)
        {
            self.by_tuple.insert(tuple(source, destination), number);
        }
    }

    /// Takes a change of state. The source port of a client is chosen after SYN_SENT, the
    /// addresses of a server's child are written after SYN_RECV (inet_csk_clone_lock), so
    /// a change waits until its socket's connection is known.
    pub fn state(&mut self, at_ns: u64, change: TcpStateChange) {
        let identity = change.socket;
        let over = change.to == TcpState::Close;
        let fails = over && change.from == TcpState::SynRecv;
        let is_born = change.from == TcpState::Listen && !over;
        if self.sockets.len() >= PENDING_SOCKETS && !self.sockets.contains_key(&identity) {
            self.sockets.retain(|_, socket| {
                let end = socket.end.as_ref();
                end.is_some_and(|(number, _)| self.tracked.contains_key(number))
            });
            if self.sockets.len() >= PENDING_SOCKETS {
                self.sockets.clear();
            }
        }
        if matches!(change.from, TcpState::Close | TcpState::Listen) {
            // A new life at an address of the kernel's: the end of the last one was lost.
            self.sockets.remove(&identity);
        }
        let found = self.end_of(&change);
        let known = self.sockets.get(&identity).and_then(|it| it.end);
        let is_on_the_wire = match (known, found) {
            (Some((attempt, _)), Some((seen, End::Client))) => self.join(attempt, seen),
            _ => false,
        };
        let socket = self.sockets.entry(identity).or_default();
        socket.end = if is_on_the_wire {
            found
        } else {
            known.or(found)
        };
        if is_born {
            socket.born_at_ns = Some(at_ns);
        }
        let failed = socket.born_at_ns.filter(|_| fails);
        if socket.pending.len() < PENDING_STATES {
            socket.pending.push((at_ns, change));
        }
        if let Some((number, end)) = socket.end {
            let pending = std::mem::take(&mut socket.pending);
            self.apply(number, end, pending);
            if let (Some(born_at_ns), Some(connection)) = (failed, self.tracked.get_mut(&number)) {
                connection.child_failed(FailedChild {
                    born_at_ns,
                    closed_at_ns: at_ns,
                });
            }
        }
        if over {
            self.sockets.remove(&identity);
        }
    }

    /// An attempt known by its socket's cookie alone turns out to be a connection that was
    /// seen: frames that come out of another network namespace name no socket. False where
    /// the two are not the same.
    fn join(&mut self, attempt: u64, seen: u64) -> bool {
        let is_same = attempt != seen
            && self.get(attempt).zip(self.get(seen)).is_some_and(|(a, s)| {
                !a.has_frames() && a.server == s.server && s.connect.is_none()
            });
        if !is_same {
            return false;
        }
        let Some(mut attempt) = self.tracked.remove(&attempt) else {
            return false;
        };
        self.unname(attempt.number, &attempt);
        for cookie in std::mem::take(&mut attempt.cookies) {
            self.name(seen, cookie);
        }
        if let Some(connection) = self.tracked.get_mut(&seen) {
            connection.take_attempt(*attempt);
        }
        true
    }

    fn end_of(&self, change: &TcpStateChange) -> Option<(u64, End)> {
        let (local, remote) = (Endpoint::from(change.local), Endpoint::from(change.remote));
        if local.port != 0
            && remote.port != 0
            && !self.watched.is_double(change.network_namespace, local.ip)
            && let Some(number) = self.between(local, remote)
        {
            let connection = self.get(number)?;
            let client = connection.client == local;
            let end = if client { End::Client } else { End::Server };
            let first = connection.end(end).network_namespace;
            let other = first.zip(change.network_namespace);
            if other.is_none_or(|(first, this)| first == this) {
                return Some((number, end));
            }
        }
        let number = *self.by_cookie.get(&change.cookie?)?;
        let connection = self.get(number)?;
        let client = connection.end(End::Client).cookie == change.cookie;
        Some((number, if client { End::Client } else { End::Server }))
    }

    fn apply(&mut self, number: u64, end: End, changes: Vec<(u64, TcpStateChange)>) {
        let Some(connection) = self.tracked.get_mut(&number) else {
            return;
        };
        connection.touched = true;
        let mut cookies = Vec::new();
        for (at_ns, change) in changes {
            if let Some(cookie) = change.cookie {
                connection.end_mut(end).cookie.get_or_insert(cookie);
                cookies.push(cookie);
            }
            let _ = connection.is_in(end, change.network_namespace);
            connection.last_at_ns = connection.last_at_ns.max(at_ns);
            complete_client(connection, end, &change.local);
            connection.states.push(StateTransition {
                at_ns,
                end,
                from: change.from.name().to_owned(),
                to: change.to.name().to_owned(),
                hook: change.hook.name().to_owned(),
            });
        }
        connection.states.sort_by_key(|state| state.at_ns);
        connection.forget_failed_child();
        for cookie in cookies {
            self.name(number, cookie);
        }
    }
}

/// An attempt without frames learns its source address from the kernel.
fn complete_client(connection: &mut TrackedConnection, end: End, local: &SocketAddr) {
    if end == End::Client && connection.client.port == 0 && local.port() != 0 {
        connection.client = Endpoint::from(*local);
    }
}
