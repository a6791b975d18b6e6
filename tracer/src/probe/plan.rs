//! The hook plan: per fact, the candidates in order of preference, as data.
//!
//! The first candidate of a fact whose needs this kernel meets, and whose required parts
//! load and attach, serves the fact. Tracepoints come first: every kernel has them, they cost
//! least, and only a run of the same program keeps one of theirs out, which is counted. Of a
//! kprobe the kernel leaves a run out, in silence before 6.7, while another kprobe, or a system
//! call on a map, is at work on the same processor (`bpf_prog_active`). Kernels that interrupt
//! programs of tracepoints are served by kprobes all the same (`attach::in_order`). The
//! tracepoint of system calls comes last, because it makes every one of the host take a longer
//! way.

mod path;

use super::layout::Sort;
use crate::capture::HookKind;

/// Something the timeline wants to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fact {
    pub name: &'static str,
    pub candidates: &'static [Candidate],
}

/// One way to learn it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub kind: HookKind,
    pub parts: &'static [Part],
    /// Members of kernel structures without which it makes no sense.
    pub needs: &'static [&'static str],
}

/// One program on one hook.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Name of the program in the object.
    pub program: &'static str,
    pub target: Target,
    /// Without this part the candidate does not serve.
    pub required: bool,
    /// Places on the way through the kernel (`tracer_common::event::place`) that it watches.
    /// Alternatives follow each other: a part whose places are watched is not needed.
    pub places: &'static [u8],
}

/// Where a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// A kernel function.
    Function(&'static str),
    /// The first of these functions that the kernel has and lets be probed: what one kernel
    /// keeps, another inlines or renames.
    FirstFunction(&'static [&'static str]),
    /// A kernel tracepoint, by its name without the group.
    Tracepoint {
        group: &'static str,
        name: &'static str,
    },
    /// The root of the cgroup v2 hierarchy.
    Cgroup(&'static str),
    /// A function of every C library found.
    Library(&'static str),
    /// Every watched interface, arriving frames.
    FramesIn,
    /// Every watched interface, leaving frames.
    FramesOut,
}

/// Attached only when it is asked for: it costs time with every packet.
pub(super) const KERNEL_PATH: &str = "kernel_path";
const PACKET_DROP: &str = "packet_drop";
pub(super) const FILE_OPEN: &str = "file_open";
pub(super) const FRAMES_IN: &str = "frames_in";
pub(super) const FRAMES_OUT: &str = "frames_out";

/// By which the GNU C library reads the resolver's files. That of musl does without.
pub(super) const FOPEN: &str = "fopen";

/// The XDP programs; which of the two is used is an option of the run.
pub(super) const XDP_GENERIC: &str = "tracer_xdp";
pub(super) const XDP_NATIVE: &str = "tracer_xdp_frags";

const fn required(program: &'static str, target: Target) -> Part {
    Part {
        program,
        target,
        required: true,
        places: &[],
    }
}

const fn optional(program: &'static str, target: Target) -> Part {
    Part {
        program,
        target,
        required: false,
        places: &[],
    }
}

impl Part {
    pub(super) const fn watching(self, places: &'static [u8]) -> Self {
        Self { places, ..self }
    }

    /// What kind of hook it is, as a part of a candidate of kind `of`.
    pub(super) const fn kind(&self, of: HookKind) -> HookKind {
        match (self.target, of) {
            (Target::Tracepoint { .. }, HookKind::Kprobe | HookKind::Fentry) => {
                HookKind::Tracepoint
            }
            (Target::Cgroup(_), HookKind::Kprobe | HookKind::Fentry | HookKind::Tracepoint) => {
                HookKind::Cgroup
            }
            _ => of,
        }
    }
}

const fn tracepoint(group: &'static str, name: &'static str) -> Target {
    Target::Tracepoint { group, name }
}

/// Members that describe a socket.
const SOCKET: &[&str] = &[
    "sock_common.skc_family",
    "sock_common.skc_state",
    "sock_common.skc_num",
    "sock_common.skc_dport",
    "sock.sk_protocol",
];

/// Members that tell of a round trip.
const SAMPLE: &[&str] = &["tcp_sock.srtt_us", "sock_common.skc_family"];

/// Members that lead to the headers of a packet.
const BUFFER: &[&str] = &["sk_buff.head", "sk_buff.network_header"];

/// Facts that the timeline is complete without: kernels from before drop reasons have
/// nothing that could serve the one, and the other is watched on request.
pub(super) const OPTIONAL: &[&str] = &[PACKET_DROP, KERNEL_PATH];

/// Every fact, in the order of attaching: what must be there before a process starts to
/// talk comes first.
pub(super) const FACTS: &[Fact] = &[
    Fact {
        name: "process",
        candidates: &[
            Candidate {
                kind: HookKind::Tracepoint,
                parts: &[
                    required(
                        "sched_process_fork",
                        tracepoint("sched", "sched_process_fork"),
                    ),
                    required(
                        "sched_process_exec",
                        tracepoint("sched", "sched_process_exec"),
                    ),
                    required(
                        "sched_process_exit",
                        tracepoint("sched", "sched_process_exit"),
                    ),
                ],
                needs: &["task_struct.tgid"],
            },
            Candidate {
                kind: HookKind::Kprobe,
                parts: &[
                    required(
                        "kprobe_wake_up_new_task",
                        Target::Function("wake_up_new_task"),
                    ),
                    required("kprobe_finalize_exec", Target::Function("finalize_exec")),
                    required("kprobe_exit_files", Target::Function("exit_files")),
                ],
                needs: &["task_struct.tgid"],
            },
        ],
    },
    Fact {
        name: "socket_owner",
        candidates: &[Candidate {
            kind: HookKind::Cgroup,
            parts: &[
                required("connect4", Target::Cgroup("connect4")),
                optional("connect6", Target::Cgroup("connect6")),
                required("sendmsg4", Target::Cgroup("sendmsg4")),
                optional("sendmsg6", Target::Cgroup("sendmsg6")),
            ],
            needs: &[],
        }],
    },
    Fact {
        name: "socket_reader",
        candidates: &[
            Candidate {
                kind: HookKind::Tracepoint,
                parts: &[required(
                    "tcp_rcv_space_adjust",
                    tracepoint("tcp", "tcp_rcv_space_adjust"),
                )],
                needs: SOCKET,
            },
            Candidate {
                kind: HookKind::Kprobe,
                parts: &[required(
                    "kprobe_tcp_rcv_space_adjust",
                    Target::Function("tcp_rcv_space_adjust"),
                )],
                needs: SOCKET,
            },
        ],
    },
    Fact {
        name: "tcp_state",
        candidates: &[
            Candidate {
                kind: HookKind::TpBtf,
                parts: &[required(
                    "tp_btf_inet_sock_set_state",
                    tracepoint("sock", "inet_sock_set_state"),
                )],
                needs: SOCKET,
            },
            Candidate {
                kind: HookKind::Tracepoint,
                parts: &[required(
                    "tracepoint_inet_sock_set_state",
                    tracepoint("sock", "inet_sock_set_state"),
                )],
                needs: SOCKET,
            },
            Candidate {
                kind: HookKind::Fentry,
                parts: &[
                    required(
                        "fentry_inet_sk_set_state",
                        Target::Function("inet_sk_set_state"),
                    ),
                    required(
                        "fentry_inet_sk_state_store",
                        Target::Function("inet_sk_state_store"),
                    ),
                ],
                needs: SOCKET,
            },
            Candidate {
                kind: HookKind::Kprobe,
                parts: &[
                    required(
                        "kprobe_inet_sk_set_state",
                        Target::Function("inet_sk_set_state"),
                    ),
                    required(
                        "kprobe_inet_sk_state_store",
                        Target::Function("inet_sk_state_store"),
                    ),
                ],
                needs: SOCKET,
            },
        ],
    },
    Fact {
        name: "tcp_sample",
        candidates: &[
            Candidate {
                kind: HookKind::SockOps,
                parts: &[required("tcp_sock_ops", Target::Cgroup("sock_ops"))],
                needs: SAMPLE,
            },
            Candidate {
                kind: HookKind::Tracepoint,
                parts: &[required("tcp_probe", tracepoint("tcp", "tcp_probe"))],
                needs: SAMPLE,
            },
        ],
    },
    Fact {
        name: "tcp_retransmit",
        candidates: &[Candidate {
            kind: HookKind::Tracepoint,
            parts: &[required(
                "tcp_retransmit_skb",
                tracepoint("tcp", "tcp_retransmit_skb"),
            )],
            needs: &["sk_buff.cb", "tcp_skb_cb.seq", "tcp_skb_cb.end_seq"],
        }],
    },
    Fact {
        name: "tcp_reset",
        candidates: &[Candidate {
            kind: HookKind::Tracepoint,
            parts: &[
                required("tcp_send_reset", tracepoint("tcp", "tcp_send_reset")),
                required("tcp_receive_reset", tracepoint("tcp", "tcp_receive_reset")),
            ],
            needs: BUFFER,
        }],
    },
    Fact {
        name: PACKET_DROP,
        candidates: &[Candidate {
            kind: HookKind::Tracepoint,
            parts: &[required("kfree_skb", tracepoint("skb", "kfree_skb"))],
            needs: BUFFER,
        }],
    },
    Fact {
        name: "route",
        candidates: &[Candidate {
            kind: HookKind::Tracepoint,
            parts: &[
                required("fib_table_lookup", tracepoint("fib", "fib_table_lookup")),
                optional("fib6_table_lookup", tracepoint("fib6", "fib6_table_lookup")),
            ],
            needs: &["flowi4.daddr", "fib_nh_common.nhc_dev"],
        }],
    },
    Fact {
        name: "neighbor",
        candidates: &[Candidate {
            kind: HookKind::Tracepoint,
            parts: &[
                required("neigh_update", tracepoint("neigh", "neigh_update")),
                optional("neigh_create", tracepoint("neigh", "neigh_create")),
                optional(
                    "neigh_timer_handler",
                    tracepoint("neigh", "neigh_timer_handler"),
                ),
                optional(
                    "neigh_event_send_done",
                    tracepoint("neigh", "neigh_event_send_done"),
                ),
                optional(
                    "neigh_event_send_dead",
                    tracepoint("neigh", "neigh_event_send_dead"),
                ),
            ],
            needs: &[
                "neighbour.tbl",
                "neighbour.primary_key",
                "neigh_table.family",
            ],
        }],
    },
    Fact {
        name: "getaddrinfo",
        candidates: &[Candidate {
            kind: HookKind::Uprobe,
            parts: &[
                required("getaddrinfo_entry", Target::Library("getaddrinfo")),
                required("getaddrinfo_return", Target::Library("getaddrinfo")),
            ],
            needs: &[],
        }],
    },
    Fact {
        name: FILE_OPEN,
        candidates: &[
            Candidate {
                kind: HookKind::Kprobe,
                parts: &[required(
                    "kprobe_do_sys_openat2",
                    Target::Function("do_sys_openat2"),
                )],
                needs: &[],
            },
            Candidate {
                kind: HookKind::Fentry,
                parts: &[required(
                    "fentry_do_sys_openat2",
                    Target::Function("do_sys_openat2"),
                )],
                needs: &[],
            },
            Candidate {
                kind: HookKind::Uprobe,
                parts: &[required("fopen_entry", Target::Library(FOPEN))],
                needs: &[],
            },
            Candidate {
                kind: HookKind::Tracepoint,
                parts: &[required(
                    "sys_enter",
                    tracepoint("raw_syscalls", "sys_enter"),
                )],
                needs: ARGUMENTS,
            },
        ],
    },
    Fact {
        name: KERNEL_PATH,
        candidates: path::CANDIDATES,
    },
    Fact {
        name: FRAMES_OUT,
        candidates: &[
            Candidate {
                kind: HookKind::Tcx,
                parts: &[required("tracer_out", Target::FramesOut)],
                needs: &[],
            },
            Candidate {
                kind: HookKind::Clsact,
                parts: &[required("tracer_out", Target::FramesOut)],
                needs: &[],
            },
        ],
    },
    Fact {
        name: FRAMES_IN,
        candidates: &[
            Candidate {
                kind: HookKind::Xdp,
                parts: &[
                    required(XDP_GENERIC, Target::FramesIn),
                    required(XDP_NATIVE, Target::FramesIn),
                ],
                needs: &[],
            },
            Candidate {
                kind: HookKind::Tcx,
                parts: &[required("tracer_in", Target::FramesIn)],
                needs: &[],
            },
            Candidate {
                kind: HookKind::Clsact,
                parts: &[required("tracer_in", Target::FramesIn)],
                needs: &[],
            },
        ],
    },
];

/// Every function and tracepoint of the plan.
pub(super) fn hooks() -> impl Iterator<Item = (Sort, &'static str)> {
    let candidates = FACTS.iter().flat_map(|fact| fact.candidates);
    let parts = candidates.flat_map(|candidate| candidate.parts);
    parts.flat_map(|part| {
        let (sort, one, several): (_, _, &[&str]) = match &part.target {
            Target::Function(name) => (Sort::Function, Some(*name), &[]),
            Target::FirstFunction(names) => (Sort::Function, None, names),
            Target::Tracepoint { name, .. } => (Sort::Tracepoint, Some(*name), &[]),
            _ => (Sort::Function, None, &[]),
        };
        let names = one.into_iter().chain(several.iter().copied());
        names.map(move |name| (sort, name))
    })
}

/// Where the arguments of a system call are saved.
#[cfg(target_arch = "x86_64")]
const ARGUMENTS: &[&str] = &["pt_regs.di", "pt_regs.si"];
#[cfg(not(target_arch = "x86_64"))]
const ARGUMENTS: &[&str] = &["user_pt_regs.regs"];

impl Target {
    /// The word for it in reports. Interfaces and libraries are reported one by one.
    pub(super) fn label(self) -> String {
        match self {
            Self::Function(name) | Self::Library(name) | Self::Cgroup(name) => name.to_owned(),
            Self::FirstFunction(names) => names.first().copied().unwrap_or_default().to_owned(),
            Self::Tracepoint { group, name } => format!("{group}:{name}"),
            Self::FramesIn | Self::FramesOut => "interfaces".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tracer_common::layout::MEMBERS;

    use super::*;

    #[test]
    fn facts_have_one_entry_each_and_candidates_differ_in_kind() {
        let mut facts = HashSet::new();
        for fact in FACTS {
            assert!(facts.insert(fact.name), "{} twice", fact.name);
            let kinds: HashSet<_> = fact.candidates.iter().map(|one| one.kind).collect();
            assert_eq!(kinds.len(), fact.candidates.len(), "{}", fact.name);
        }
    }

    #[test]
    fn every_candidate_has_a_part_it_cannot_do_without() {
        for candidate in FACTS.iter().flat_map(|fact| fact.candidates) {
            assert!(candidate.parts.iter().any(|part| part.required));
        }
    }

    #[test]
    fn needs_name_members_that_are_resolved() {
        let resolved: HashSet<String> = MEMBERS
            .iter()
            .map(|(structure, member)| format!("{structure}.{member}"))
            .collect();
        for candidate in FACTS.iter().flat_map(|fact| fact.candidates) {
            for need in candidate.needs {
                assert!(resolved.contains(*need), "{need} is not in the layout");
            }
        }
    }
}
