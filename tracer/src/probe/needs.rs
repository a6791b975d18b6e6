//! What a program needs of the kernel beyond its hook, and what it can do without. Asked of
//! the running kernel (its types, and a tiny program loaded for each helper), never of its
//! version.

use aya::{
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported},
};

use super::layout::{KernelTypes, Offsets};

/// Something without which a program makes no sense.
enum Need {
    /// An argument of a tracepoint (counted from 1) that older kernels do not pass.
    Argument {
        tracepoint: &'static str,
        number: u32,
        meaning: &'static str,
    },
    /// A helper, callable from this type of program.
    Helper {
        caller: ProgramType,
        helper: BpfHelper,
        name: &'static str,
    },
}

/// By the name of the program.
const NEEDS: &[(&str, &[Need])] = &[
    (
        "kfree_skb",
        &[Need::Argument {
            tracepoint: "kfree_skb",
            number: 3,
            meaning: "the reason of a drop",
        }],
    ),
    (
        "tcp_sock_ops",
        &[
            Need::Helper {
                caller: ProgramType::SockOps,
                helper: BpfHelper::BPF_FUNC_probe_read_kernel,
                name: "bpf_probe_read_kernel",
            },
            Need::Helper {
                caller: ProgramType::SockOps,
                helper: BpfHelper::BPF_FUNC_sock_ops_cb_flags_set,
                name: "bpf_sock_ops_cb_flags_set",
            },
        ],
    ),
];

/// Members that a program can do without: name, and what is then not told.
const OPTIONAL: &[(&str, &[(&str, &str)])] = &[
    ("tcp_sock_ops", SAMPLES),
    ("tcp_probe", SAMPLES),
    (
        "tcp_retransmit_skb",
        &[
            (
                "inet_connection_sock.icsk_ca_state",
                "whether a timeout or duplicate ACKs led to it",
            ),
            (
                "inet_connection_sock.icsk_pending",
                "tail loss probes for certain",
            ),
        ],
    ),
];

const SAMPLES: &[(&str, &str)] = &[
    ("tcp_sock.mdev_us", "rttvar"),
    ("tcp_sock.snd_cwnd", "cwnd"),
    ("tcp_sock.snd_ssthresh", "ssthresh"),
    ("tcp_sock.bytes_acked", "bytes acknowledged"),
    ("tcp_sock.bytes_received", "bytes received"),
    ("tcp_sock.total_retrans", "retransmits"),
    ("tcp_sock.lost_out", "segments lost"),
    ("tcp_sock.packets_out", "segments in flight"),
    ("inet_connection_sock.icsk_ca_state", "congestion state"),
];

/// Programs that see less than others that serve the same fact, on every kernel.
const PARTIAL: &[(&str, &str)] = &[(
    "fopen_entry",
    "programs that read the resolver's files without the GNU C library are not told; \
     --force-hook file_open=tracepoint tells of them",
)];

/// Why this kernel cannot run the program, `None` when it can.
pub(super) fn unmet(program: &str, types: &KernelTypes) -> Option<String> {
    of(NEEDS, program).iter().find_map(|need| match need {
        Need::Argument {
            tracepoint,
            number,
            meaning,
        } => (types.tracepoint_arguments(tracepoint) < Some(*number))
            .then(|| format!("its tracepoint {tracepoint} does not tell {meaning}")),
        // Where the kernel does not even answer, loading will tell.
        Need::Helper {
            caller,
            helper,
            name,
        } => matches!(is_helper_supported(*caller, *helper), Ok(false))
            .then(|| format!("this kernel has no helper {name} for {caller:?} programs")),
    })
}

/// What an attached program cannot tell on this kernel, `None` when it tells everything.
pub(super) fn left_out(program: &str, types: &KernelTypes, offsets: &Offsets) -> Option<String> {
    if let Some((_, left_out)) = PARTIAL.iter().find(|(name, _)| *name == program) {
        return Some((*left_out).to_owned());
    }
    let members = of(OPTIONAL, program);
    let names: Vec<&str> = members.iter().map(|(member, _)| *member).collect();
    let missing = offsets.missing(&names);
    let mut without: Vec<&str> = members
        .iter()
        .filter(|(member, _)| missing.iter().any(|one| one == member))
        .map(|(_, meaning)| *meaning)
        .collect();
    if program == "tcp_send_reset" && !super::reasons::of_resets_are_told(types) {
        without.push("the reason of a reset");
    }
    (!without.is_empty()).then(|| format!("this kernel does not tell {}", without.join(", ")))
}

fn of<T>(table: &'static [(&str, &'static [T])], program: &str) -> &'static [T] {
    let mut rows = table.iter();
    rows.find_map(|(name, row)| (*name == program).then_some(*row))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tracer_common::layout::MEMBERS;

    use super::*;
    use crate::probe::plan::FACTS;

    #[test]
    fn every_row_is_about_a_program_of_the_plan() {
        let is_planned = |name: &str| {
            let candidates = FACTS.iter().flat_map(|fact| fact.candidates);
            let mut parts = candidates.flat_map(|candidate| candidate.parts);
            parts.any(|part| part.program == name)
        };
        let rows = NEEDS.iter().map(|(name, _)| *name);
        let rows = rows.chain(PARTIAL.iter().map(|(name, _)| *name));
        for program in rows.chain(OPTIONAL.iter().map(|(name, _)| *name)) {
            assert!(is_planned(program), "{program} is not in the plan");
        }
    }

    #[test]
    fn optional_members_are_resolved_ones() {
        for (member, _) in OPTIONAL.iter().flat_map(|(_, members)| *members) {
            let mut resolved = MEMBERS.iter().map(|(s, m)| format!("{s}.{m}"));
            assert!(resolved.any(|one| one == *member), "{member}");
        }
    }
}
