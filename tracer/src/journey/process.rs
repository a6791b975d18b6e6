//! Processes and the sockets they own.

use super::container;
use super::model::{Attribution, Endpoint, Process};
use crate::capture::{ProcessEvent, SocketOwner, SocketUse};
use std::collections::{BTreeMap, HashMap};

/// Processes and sockets remembered; beyond this the oldest are dropped.
const LIMIT: usize = 65_536;

/// What is known of a process.
#[derive(Debug, Clone, Default)]
struct Known {
    comm: String,
    exe: Option<String>,
    command: Vec<String>,
    uid: Option<u32>,
    cgroup: Option<String>,
    namespace_pid: Option<u32>,
    /// The name of one of its threads, where that of the process never was known.
    thread: String,
}

/// Who owns a socket, and how we know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    pub pid: u32,
    pub attribution: Attribution,
}

/// One event in the life of a traced process.
#[derive(Debug, Clone)]
pub(super) struct LifeEvent {
    pub at_ns: u64,
    pub pid: u32,
    pub summary: String,
    pub evidence: &'static str,
}

/// The process table of a capture.
#[derive(Debug, Default)]
pub(super) struct Processes {
    known: HashMap<u32, Known>,
    parents: HashMap<u32, u32>,
    owners: HashMap<u64, Owner>,
    /// By network namespace (inode number, where known) and port; a port may be shared by
    /// several processes.
    listeners: BTreeMap<(Option<u32>, u16), Owner>,
    pub life: Vec<LifeEvent>,
}

impl Processes {
    pub fn event(&mut self, at_ns: u64, event: ProcessEvent) {
        if self.known.len() > LIMIT {
            self.known.clear();
        }
        match event {
            ProcessEvent::Fork {
                parent,
                child,
                comm,
            } => {
                let mut inherited = self.known.get(&parent).cloned().unwrap_or_default();
                inherited.comm.clone_from(&comm);
                // The child may be the first one of a pid namespace.
                inherited.namespace_pid = None;
                self.known.insert(child, inherited);
                self.parents.insert(child, parent);
                let summary = format!("{comm}[{parent}] forks [{child}]");
                self.remember(at_ns, child, summary, "tracepoint sched_process_fork");
            }
            ProcessEvent::Exec {
                pid,
                uid,
                comm,
                filename,
                executable,
                command,
                cgroup,
                namespace_pid,
            } => {
                let shown = if command.is_empty() {
                    filename
                } else {
                    command.join(" ")
                };
                let summary = format!("{comm}[{pid}] runs {shown}");
                self.remember(at_ns, pid, summary, "tracepoint sched_process_exec");
                let known = Known {
                    comm,
                    exe: executable,
                    command,
                    uid: Some(uid),
                    cgroup,
                    namespace_pid,
                    ..Known::default()
                };
                self.known.insert(pid, known);
            }
            ProcessEvent::Exit { pid, comm, code } => {
                let how = match (code >> 8 & 0xff, code & 0x7f) {
                    (exit, 0) => format!("exits with code {exit}"),
                    (_, signal) => format!("is ended by signal {signal}"),
                };
                let summary = format!("{comm}[{pid}] {how}");
                if let Some(known) = self.known.get_mut(&pid)
                    && known.comm.is_empty()
                {
                    known.comm = comm;
                }
                self.remember(at_ns, pid, summary, "tracepoint sched_process_exit");
            }
            ProcessEvent::Seen {
                pid,
                uid,
                comm,
                executable,
                command,
                cgroup,
                namespace_pid,
            } => {
                // Whoever was gone when it was looked up keeps what its fork and exec told.
                let known = self.known.entry(pid).or_default();
                known.uid = Some(uid);
                known.exe = executable.or(known.exe.take());
                known.cgroup = cgroup.or(known.cgroup.take());
                known.namespace_pid = namespace_pid.or(known.namespace_pid);
                if !comm.is_empty() {
                    known.comm = comm;
                }
                if !command.is_empty() {
                    known.command = command;
                }
            }
        }
    }

    fn remember(&mut self, at_ns: u64, pid: u32, summary: String, evidence: &'static str) {
        if self.life.len() >= LIMIT {
            self.life.drain(..LIMIT / 2);
        }
        self.life.push(LifeEvent {
            at_ns,
            pid,
            summary,
            evidence,
        });
    }

    pub fn owner(&mut self, owner: &SocketOwner) {
        let known = self.known.entry(owner.pid).or_default();
        if known.comm.is_empty() {
            let name = owner.process_name().cloned();
            known.comm = name.unwrap_or_default();
        }
        known.thread.clone_from(&owner.comm);
        known.uid.get_or_insert(owner.uid);
        let attribution = match owner.usage {
            SocketUse::Seeded => Attribution::Procfs,
            _ => Attribution::SocketCookie,
        };
        let entry = Owner {
            pid: owner.pid,
            attribution,
        };
        if let Some(cookie) = owner.cookie.filter(|_| owner.usage != SocketUse::Send) {
            if self.owners.len() > LIMIT {
                self.owners.clear();
            }
            self.name(cookie, entry, owner.usage);
        }
        let listening = owner.local.filter(|_| {
            owner.usage == SocketUse::Listen
                || owner.usage == SocketUse::Seeded && owner.remote.is_none()
        });
        if let Some(local) = listening {
            let place = (owner.network_namespace, local.port());
            let known = self.listeners.get(&place);
            // What /proc told of the past is no news of a socket that was seen to listen.
            if known.is_none_or(|known| attribution <= known.attribution) {
                self.listeners.insert(place, entry);
            }
        }
    }

    /// A socket belongs to the process that opened it. One that reads from it, or that holds
    /// it as /proc has it, may have inherited it or been passed it: it is the owner only where
    /// nobody better is known. One that writes is never named here: few captures watch writes, and
    /// must not tell another owner than the others where somebody reads.
    fn name(&mut self, cookie: u64, owner: Owner, usage: SocketUse) {
        let known = self.owners.get(&cookie);
        let opens = !matches!(usage, SocketUse::Receive | SocketUse::Seeded);
        if opens || known.is_none_or(|known| owner.attribution < known.attribution) {
            self.owners.insert(cookie, owner);
        }
    }

    /// Who owns the socket with this cookie.
    pub fn of_cookie(&self, cookie: Option<u64>) -> Option<Owner> {
        self.owners.get(&cookie?).copied()
    }

    /// Who listens on the port of `address` in this network namespace. A shared listener makes
    /// this a guess between its processes, so it never claims more than `tuple`.
    pub fn of_listener(&self, address: Endpoint, namespace: Option<u32>) -> Option<Owner> {
        let there = self.listeners.get(&(namespace, address.port));
        let owner = there.or_else(|| self.listeners.get(&(None, address.port)))?;
        Some(Owner {
            pid: owner.pid,
            attribution: owner.attribution.max(Attribution::Tuple),
        })
    }

    pub fn describe(&self, pid: u32, attribution: Attribution) -> Process {
        let known = self.known.get(&pid).cloned().unwrap_or_default();
        Process {
            pid,
            comm: if known.comm.is_empty() {
                known.thread
            } else {
                known.comm
            },
            namespace_pid: known.namespace_pid,
            exe: known.exe,
            command: known.command,
            uid: known.uid,
            container: known.cgroup.as_deref().and_then(container::of_cgroup),
            cgroup: known.cgroup,
            attribution,
        }
    }

    /// `pid` itself, its parent, grandparent, ... as far as forks were seen.
    pub fn line_of(&self, pid: u32) -> Vec<u32> {
        let mut line = vec![pid];
        while let Some(parent) = line.last().and_then(|last| self.parents.get(last)) {
            if line.contains(parent) || line.len() >= 16 {
                break;
            }
            line.push(*parent);
        }
        line
    }
}
