//! Who has which socket open, and the socket tables of other network namespaces, by /proc.

use std::collections::{HashMap, HashSet, hash_map::Entry};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use procfs::net::{TcpState, UdpState};
use procfs::process::{FDTarget, Process, all_processes};

use super::{Socket, TCP, UDP, ends};

/// Processes that are looked at.
const MOST_PROCESSES: usize = 32_768;
/// Open sockets that are remembered.
const MOST_HELD: usize = 262_144;
/// Network namespaces whose tables are read.
const MOST_NAMESPACES: usize = 1024;

/// A process that has a socket open.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub pid: u32,
    pub uid: u32,
    pub comm: String,
    /// Clock ticks since boot.
    started: u64,
}

/// Processes by the inode number of a socket that they have open. Of several the oldest: who
/// opened it was there before those that inherited it.
#[derive(Debug, Default)]
pub(super) struct Holders(HashMap<u64, Holder>);

impl Holders {
    /// Looks at every process; the tables of namespaces other than the watched one are handed
    /// out when the first process of each is met.
    pub fn look(watched: Option<u32>, mut others: impl FnMut(Vec<Socket>)) -> Self {
        let mut holders = Self::default();
        let mut known: HashSet<u32> = watched.into_iter().collect();
        let processes = all_processes().into_iter().flatten();
        for process in processes.flatten().take(MOST_PROCESSES) {
            let namespace = namespace_of(&process);
            if let Some(namespace) = namespace
                && watched.is_some()
                && known.len() <= MOST_NAMESPACES
                && known.insert(namespace)
            {
                let sockets = tables(&process, Some(namespace)).into_iter();
                // Those that no other namespace ever meets.
                others(sockets.filter(|it| !it.local.ip().is_loopback()).collect());
            }
            holders.add(&process);
        }
        holders
    }

    pub fn of(&self, inode: u64) -> Option<&Holder> {
        self.0.get(&inode)
    }

    fn add(&mut self, process: &Process) {
        let mut holder = None;
        for inode in open_sockets(process) {
            if self.0.len() >= MOST_HELD {
                return;
            }
            // Most processes have no socket: only then is the rest asked for.
            if holder.is_none() {
                holder = describe(process);
            }
            let Some(holder) = &holder else { return };
            match self.0.entry(inode) {
                Entry::Vacant(free) => {
                    free.insert(holder.clone());
                }
                Entry::Occupied(mut other) if holder.started < other.get().started => {
                    other.insert(holder.clone());
                }
                Entry::Occupied(_) => {}
            }
        }
    }
}

/// inode numbers of the sockets that a process has open.
pub(super) fn inodes(pid: u32) -> Vec<u64> {
    let process = i32::try_from(pid)
        .ok()
        .and_then(|pid| Process::new(pid).ok());
    process.map_or_else(Vec::new, |process| open_sockets(&process).collect())
}

/// The tables of the calling thread's network namespace.
pub(super) fn own_tables(namespace: Option<u32>) -> Vec<Socket> {
    let own = format!("/proc/self/task/{}", nix::unistd::gettid());
    Process::new_with_root(PathBuf::from(own))
        .map_or_else(|_| Vec::new(), |own| tables(&own, namespace))
}

fn describe(process: &Process) -> Option<Holder> {
    let stat = process.stat().ok()?;
    Some(Holder {
        pid: u32::try_from(stat.pid).ok()?,
        uid: process.uid().ok()?,
        comm: stat.comm,
        started: stat.starttime,
    })
}

fn open_sockets(process: &Process) -> impl Iterator<Item = u64> {
    let descriptors = process.fd().into_iter().flatten().flatten();
    descriptors.filter_map(|descriptor| match descriptor.target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    })
}

fn namespace_of(process: &Process) -> Option<u32> {
    let namespace = fs::metadata(format!("/proc/{}/ns/net", process.pid())).ok()?;
    u32::try_from(namespace.ino()).ok()
}

/// The TCP and UDP sockets in the network namespace of a process that belong to a process.
fn tables(process: &Process, namespace: Option<u32>) -> Vec<Socket> {
    let socket = |protocol, inode, local: SocketAddr, remote: SocketAddr| {
        let (local, remote) = ends(local, remote);
        Socket {
            protocol,
            inode,
            cookie: None,
            local,
            remote,
            namespace,
        }
    };
    let streams = [process.tcp(), process.tcp6()];
    let streams = streams.into_iter().flatten().flatten();
    let streams = streams
        .filter(|it| it.inode != 0 && it.state != TcpState::TimeWait)
        .map(|it| socket(TCP, it.inode, it.local_address, it.remote_address));
    let datagrams = [process.udp(), process.udp6()];
    let datagrams = datagrams.into_iter().flatten().flatten();
    let datagrams = datagrams
        .filter(|it| it.inode != 0 && matches!(it.state, UdpState::Established | UdpState::Close))
        .map(|it| socket(UDP, it.inode, it.local_address, it.remote_address));
    streams.chain(datagrams).collect()
}
