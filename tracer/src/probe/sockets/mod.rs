//! Sockets that were there before the capture: the kernel's tables say which, and /proc who
//! has them open.
//!
//! Those of the watched network namespace are asked for by sock_diag, which also gives each
//! its cookie. Of other namespaces, whose sockets may be the other end of what passes here (a
//! container's), and where sock_diag is missing, the tables in /proc tell all but that.

mod diag;
mod holders;

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::capture::{Fact, HookKind, Observation, SocketOwner, SocketUse};
use holders::{Holder, Holders};

/// Sockets that are listed: what the journeys can remember.
const MOST_SOCKETS: usize = 65_536;

/// IP protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A socket as a table of the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    protocol: u8,
    inode: u64,
    cookie: Option<u64>,
    local: SocketAddr,
    /// `None` while it is connected to nobody.
    remote: Option<SocketAddr>,
    /// inode number of its network namespace.
    namespace: Option<u32>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Older {
    /// Sockets and the processes that have them open.
    pub owners: Vec<SocketOwner>,
    /// By inode number, for what a traced process inherits.
    pub inherited: HashMap<u64, Inherited>,
}

/// A socket that a traced process may have been given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inherited {
    pub cookie: Option<u64>,
    /// Its own port.
    pub port: u16,
    /// A TCP socket that is connected to nobody: what arrives at its port may be for it.
    pub listens: bool,
}

/// Lists the sockets of this host, those of the calling thread's network namespace, which has
/// this inode number, before others.
pub(super) fn list(watched: Option<u32>) -> Older {
    let mut sockets = diag::sockets(watched).unwrap_or_else(|_| holders::own_tables(watched));
    let holders = Holders::look(watched, |other| {
        let room = MOST_SOCKETS.saturating_sub(sockets.len());
        sockets.extend(other.into_iter().take(room));
    });
    sockets.truncate(MOST_SOCKETS);
    Older {
        inherited: sockets
            .iter()
            .filter(|socket| watched.is_none() || socket.namespace == watched)
            .map(|socket| (socket.inode, inherited(socket)))
            .collect(),
        owners: sockets
            .iter()
            .filter_map(|socket| Some(owner(socket, holders.of(socket.inode)?)))
            .collect(),
    }
}

fn inherited(socket: &Socket) -> Inherited {
    Inherited {
        cookie: socket.cookie,
        port: socket.local.port(),
        listens: socket.protocol == TCP && socket.remote.is_none(),
    }
}

/// inode numbers of the sockets that a process has open.
pub(super) fn of_process(pid: u32) -> Vec<u64> {
    holders::inodes(pid)
}

/// As an observation at the start of the capture.
pub(super) fn observation(owner: SocketOwner) -> Observation {
    Observation {
        at_ns: 0,
        fact: Fact::SocketOwner(owner),
    }
}

fn owner(socket: &Socket, holder: &Holder) -> SocketOwner {
    SocketOwner {
        cookie: socket.cookie,
        usage: SocketUse::Seeded,
        pid: holder.pid,
        tid: holder.pid,
        uid: holder.uid,
        comm: holder.comm.clone(),
        protocol: socket.protocol,
        local: Some(socket.local),
        remote: socket.remote,
        network_namespace: socket.namespace,
        hook: HookKind::Netlink,
    }
}

/// An IPv4 address in an IPv6 socket is the IPv4 address it is; the unspecified one is none.
fn ends(local: SocketAddr, remote: SocketAddr) -> (SocketAddr, Option<SocketAddr>) {
    let canonical = |it: SocketAddr| SocketAddr::new(it.ip().to_canonical(), it.port());
    let remote = canonical(remote);
    (canonical(local), (remote.port() != 0).then_some(remote))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};

    fn found(owners: &[SocketOwner], protocol: u8, local: SocketAddr) -> Vec<&SocketOwner> {
        owners
            .iter()
            .filter(|it| it.protocol == protocol && it.local == Some(local))
            .collect()
    }

    #[test]
    fn listening_connected_and_datagram_sockets_are_found_with_this_process() {
        for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
            let ip: std::net::IpAddr = ip;
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let server = listener.local_addr().unwrap();
            let client = TcpStream::connect(server).unwrap();
            let (_accepted, address) = listener.accept().unwrap();
            let datagrams = UdpSocket::bind((ip, 0)).unwrap();
            let connected = UdpSocket::bind((ip, 0)).unwrap();
            connected.connect(datagrams.local_addr().unwrap()).unwrap();
            let older = list(None);
            let one = |protocol, local, remote: Option<SocketAddr>| {
                let sockets = found(&older.owners, protocol, local);
                let mut same = sockets.iter().filter(|it| it.remote == remote);
                let socket = same
                    .next()
                    .unwrap_or_else(|| panic!("{local} {remote:?}: {sockets:?}"));
                assert_eq!(socket.pid, std::process::id(), "{socket:?}");
                assert_eq!(same.next(), None);
            };
            one(TCP, server, None);
            one(TCP, server, Some(address));
            one(TCP, client.local_addr().unwrap(), Some(server));
            let to = datagrams.local_addr().unwrap();
            one(UDP, to, None);
            one(UDP, connected.local_addr().unwrap(), Some(to));
        }
    }

    #[test]
    fn both_kinds_of_tables_tell_the_same() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let of_this = |sockets: Vec<Socket>| {
            let mut sockets = sockets.into_iter();
            sockets.find(|socket| socket.local == address).unwrap()
        };
        let by_proc = of_this(holders::own_tables(Some(7)));
        // A kernel may have no sock_diag (CONFIG_INET_DIAG).
        if let Ok(sockets) = diag::sockets(Some(7)) {
            let by_diag = of_this(sockets);
            assert!(by_diag.cookie.is_some(), "{by_diag:?}");
            let cookie = None;
            assert_eq!(Socket { cookie, ..by_diag }, by_proc);
        }
    }
}
