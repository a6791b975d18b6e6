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
}

/// Who owns a socket, and how we know.
#[derive(Debug, Clone, Copy)]
struct Owner {
    pid: u32,
    attribution: Attribution,
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
    /// Listening addresses; a port may be shared by several processes.
    listeners: BTreeMap<u16, Owner>,
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
            } => {
                let shown = if command.is_empty() {
                    filename
                } else {
                    command.join(" ")
                };
                let summary = format!("{comm}[{pid}] runs {shown}");
                self.remember(at_ns, pid, summary, "tracepoint sched_process_exec");
                self.insert(pid, uid, comm, executable, command, cgroup);
            }
            ProcessEvent::Exit { pid, comm, code } => {
                let how = match (code >> 8 & 0xff, code & 0x7f) {
                    (exit, 0) => format!("exits with code {exit}"),
                    (_, signal) => format!("is ended by signal {signal}"),
                };
                let summary = format!("{comm}[{pid}] {how}");
                self.remember(at_ns, pid, summary, "tracepoint sched_process_exit");
            }
            ProcessEvent::Seen {
                pid,
                uid,
                comm,
                executable,
                command,
                cgroup,
            } => self.insert(pid, uid, comm, executable, command, cgroup),
        }
    }

    fn insert(
        &mut self,
        pid: u32,
        uid: u32,
        comm: String,
        exe: Option<String>,
        command: Vec<String>,
        cgroup: Option<String>,
    ) {
        let known = Known {
            comm,
            exe,
            command,
            uid: Some(uid),
            cgroup,
        };
        self.known.insert(pid, known);
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
            known.comm.clone_from(&owner.comm);
        }
        known.uid.get_or_insert(owner.uid);
        let attribution = match owner.usage {
            SocketUse::Seeded => Attribution::Procfs,
            _ => Attribution::SocketCookie,
        };
        let entry = Owner {
            pid: owner.pid,
            attribution,
        };
        if let Some(cookie) = owner.cookie {
            if self.owners.len() > LIMIT {
                self.owners.clear();
            }
            self.owners.insert(cookie, entry);
        }
        let listening = owner.local.filter(|_| {
            owner.usage == SocketUse::Listen
                || owner.usage == SocketUse::Seeded && owner.remote.is_none()
        });
        if let Some(local) = listening {
            self.listeners.insert(local.port(), entry);
        }
    }

    /// Who owns the socket with this cookie.
    pub fn of_cookie(&self, cookie: Option<u64>) -> Option<Process> {
        let owner = self.owners.get(&cookie?)?;
        Some(self.describe(owner.pid, owner.attribution))
    }

    /// Who listens on the port of `address`. A shared listener makes this a guess between
    /// its processes, so it never claims more than `tuple`.
    pub fn of_listener(&self, address: Endpoint) -> Option<Process> {
        let owner = self.listeners.get(&address.port)?;
        Some(self.describe(owner.pid, owner.attribution.max(Attribution::Tuple)))
    }

    pub fn describe(&self, pid: u32, attribution: Attribution) -> Process {
        let known = self.known.get(&pid).cloned().unwrap_or_default();
        Process {
            pid,
            comm: known.comm,
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
