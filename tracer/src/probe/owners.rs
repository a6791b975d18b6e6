//! Who a process is: what /proc adds to what the kernel's events say.
//!
//! Asked right after the event, because a short-lived process is soon gone; what is gone
//! stays unknown.

use std::collections::HashSet;

use procfs::process::Process;

use crate::capture::{Fact, Observation, ProcessEvent, SocketOwner};

/// Processes that have been described already; forgotten when there are too many.
const MOST_KNOWN: usize = 16384;

/// Adds descriptions to observations.
#[derive(Debug, Default)]
pub(super) struct Owners {
    known: HashSet<u32>,
}

impl Owners {
    /// Completes an observation; a process met for the first time is described before it.
    pub(super) fn complete(&mut self, observation: &mut Observation) -> Option<Observation> {
        match &mut observation.fact {
            Fact::Process(event) => {
                self.follow(event);
                None
            }
            Fact::SocketOwner(owner) => self
                .first_meeting(owner.pid)
                .then(|| seen(observation.at_ns, owner)),
            _ => None,
        }
    }

    fn follow(&mut self, event: &mut ProcessEvent) {
        match event {
            ProcessEvent::Exec {
                pid,
                comm,
                executable,
                command,
                cgroup,
                namespace_pid,
                ..
            } => {
                let found = Description::of(*pid);
                self.first_meeting(*pid);
                *cgroup = found.cgroup;
                *namespace_pid = found.namespace_pid;
                // A script's interpreter may have replaced itself again by now.
                if found.comm.as_ref() == Some(comm) {
                    *executable = found.executable;
                }
                if continues(&found.command, command) {
                    *command = found.command;
                }
            }
            // A child has its parent's program, but is not described until it is met; a
            // number may be used again.
            ProcessEvent::Fork { child, .. } => {
                self.known.remove(child);
            }
            ProcessEvent::Exit { pid, .. } => {
                self.known.remove(pid);
            }
            ProcessEvent::Seen { .. } => {}
        }
    }

    /// True once per process. Process 0 is the idle task: nobody.
    fn first_meeting(&mut self, pid: u32) -> bool {
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        pid != 0 && self.known.insert(pid)
    }
}

/// Does /proc tell the same command line to its end? The kernel's copy is cut at 1 KiB,
/// which can hit the last argument; but /proc may tell of the next program already.
fn continues(longer: &[String], command: &[String]) -> bool {
    let whole = command.split_last().map_or(command, |(_, whole)| whole);
    longer.len() >= command.len() && longer.starts_with(whole)
}

fn seen(at_ns: u64, owner: &SocketOwner) -> Observation {
    let found = Description::of(owner.pid);
    let told = || owner.process_name().cloned();
    Observation {
        at_ns,
        fact: Fact::Process(ProcessEvent::Seen {
            pid: owner.pid,
            uid: owner.uid,
            comm: found.comm.or_else(told).unwrap_or_default(),
            executable: found.executable,
            command: found.command,
            cgroup: found.cgroup,
            namespace_pid: found.namespace_pid,
        }),
    }
}

/// What /proc says of a process, as far as it is still there.
#[derive(Debug, Default)]
struct Description {
    comm: Option<String>,
    executable: Option<String>,
    command: Vec<String>,
    cgroup: Option<String>,
    namespace_pid: Option<u32>,
}

impl Description {
    fn of(pid: u32) -> Self {
        let Some(process) = i32::try_from(pid)
            .ok()
            .and_then(|pid| Process::new(pid).ok())
        else {
            return Self::default();
        };
        Self {
            comm: process.stat().ok().map(|stat| stat.comm),
            executable: process
                .exe()
                .ok()
                .map(|path| path.to_string_lossy().into_owned()),
            command: process.cmdline().unwrap_or_default(),
            cgroup: process.cgroups().ok().and_then(unified),
            namespace_pid: process.status().ok().and_then(innermost),
        }
    }
}

/// The last of the numbers that a process has, one for each pid namespace from this one
/// inwards, where there are several.
fn innermost(status: procfs::process::Status) -> Option<u32> {
    let numbers = status.nspid?;
    let (inner, outer) = numbers.split_last()?;
    u32::try_from(*inner).ok().filter(|_| !outer.is_empty())
}

/// The cgroup v2 path, which has hierarchy number 0; else the first one that says more
/// than `/`.
fn unified(groups: procfs::ProcessCGroups) -> Option<String> {
    let groups = groups.0;
    groups
        .iter()
        .find(|group| group.hierarchy == 0)
        .or_else(|| groups.iter().find(|group| group.pathname != "/"))
        .map(|group| group.pathname.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{HookKind, SocketUse};

    fn use_of_socket(pid: u32) -> Observation {
        Observation {
            at_ns: 5,
            fact: Fact::SocketOwner(SocketOwner {
                cookie: Some(1),
                usage: SocketUse::Connect,
                pid,
                tid: pid,
                uid: 0,
                comm: "test".to_owned(),
                protocol: 6,
                local: None,
                remote: None,
                network_namespace: None,
                hook: HookKind::Cgroup,
            }),
        }
    }

    #[test]
    fn a_process_is_described_when_its_first_socket_is_seen_and_only_then() {
        let mut owners = Owners::default();
        let own = std::process::id();
        let seen = owners.complete(&mut use_of_socket(own)).expect("first");
        let Fact::Process(ProcessEvent::Seen { executable, .. }) = seen.fact else {
            panic!("{seen:?}");
        };
        let expected = std::env::current_exe().ok();
        assert_eq!(executable.map(std::path::PathBuf::from), expected);
        assert_eq!(owners.complete(&mut use_of_socket(own)), None);
    }

    #[test]
    fn a_number_that_is_used_again_is_described_again() {
        let mut owners = Owners::default();
        assert!(owners.complete(&mut use_of_socket(1)).is_some());
        let mut exit = Observation {
            at_ns: 6,
            fact: Fact::Process(ProcessEvent::Exit {
                pid: 1,
                comm: String::new(),
                code: 0,
            }),
        };
        assert_eq!(owners.complete(&mut exit), None);
        assert!(owners.complete(&mut use_of_socket(1)).is_some());
    }

    #[test]
    fn a_process_that_is_gone_keeps_what_the_kernel_said() {
        let mut exec = Observation {
            at_ns: 7,
            fact: Fact::Process(ProcessEvent::Exec {
                pid: u32::MAX,
                uid: 0,
                comm: "gone".to_owned(),
                filename: "/bin/gone".to_owned(),
                executable: None,
                command: vec!["gone".to_owned(), "-v".to_owned()],
                cgroup: None,
                namespace_pid: None,
            }),
        };
        let before = exec.clone();
        assert_eq!(Owners::default().complete(&mut exec), None);
        assert_eq!(exec, before);
    }
}
