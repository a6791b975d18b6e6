//! The way through the kernel: for each layer the hooks that may watch it, in order.
//!
//! Functions first, because they are there for every layer; a hardened kernel has neither
//! kprobes nor fentry, and its tracepoints leave out TCP's transmitting half, the neighbour
//! and IP's receiving half. Where a layer has a tracepoint at the very place, functions have
//! no advantage, and all candidates share it.

use tracer_common::event::place;

use super::{Candidate, Part, Target, optional, required, tracepoint};
use crate::capture::HookKind;

pub(super) const CANDIDATES: &[Candidate] = &[
    Candidate {
        kind: HookKind::Kprobe,
        parts: &with_shared::<FUNCTIONS, ALL>(&KPROBES),
        needs: NEEDS,
    },
    Candidate {
        kind: HookKind::Fentry,
        parts: &with_shared::<FUNCTIONS, ALL>(&FENTRIES),
        needs: NEEDS,
    },
    Candidate {
        kind: HookKind::Tracepoint,
        parts: &with_shared::<0, SHARED>(&[]),
        needs: NEEDS,
    },
];

/// Members that name the bytes.
const NEEDS: &[&str] = &[
    "sk_buff.head",
    "sk_buff.data",
    "sk_buff.len",
    "sk_buff.network_header",
    "sk_buff.dev",
    "sk_buff.cb",
    "tcp_skb_cb.seq",
    "tcp_skb_cb.end_seq",
    "sock.sk_protocol",
];

const FUNCTIONS: usize = 11;
const SHARED: usize = 11;
const ALL: usize = FUNCTIONS + SHARED;

/// Programs on functions, one set for each kind of hook.
macro_rules! functions {
    ($prefix:literal) => {
        [
            required(
                concat!($prefix, "_write"),
                Target::FirstFunction(&["tcp_sendmsg"]),
            )
            .watching(&[place::SOCKET_WRITE]),
            // The checksum is the last thing that TCP does to a segment.
            optional(
                concat!($prefix, "_transmit"),
                Target::FirstFunction(&["__tcp_transmit_skb", "tcp_v4_send_check"]),
            )
            .watching(&[place::TCP_TRANSMIT]),
            optional(
                concat!($prefix, "_ip_output"),
                Target::FirstFunction(&["__ip_queue_xmit", "ip_queue_xmit"]),
            )
            .watching(&[place::IP_OUTPUT]),
            optional(
                concat!($prefix, "_ip6_output"),
                Target::FirstFunction(&["inet6_csk_xmit"]),
            )
            .watching(&[place::IP6_OUTPUT]),
            optional(
                concat!($prefix, "_neighbor"),
                Target::FirstFunction(&["ip_finish_output2", "ip_finish_output"]),
            )
            .watching(&[place::NEIGHBOR]),
            optional(
                concat!($prefix, "_neighbor6"),
                Target::FirstFunction(&["ip6_finish_output2", "ip6_finish_output"]),
            )
            .watching(&[place::NEIGHBOR6]),
            // Packets in lists pass ip_rcv_core but not ip_rcv.
            optional(
                concat!($prefix, "_ip_input"),
                Target::FirstFunction(&["ip_rcv_core", "ip_rcv"]),
            )
            .watching(&[place::IP_INPUT]),
            optional(
                concat!($prefix, "_ip6_input"),
                Target::FirstFunction(&["ip6_rcv_core", "ipv6_rcv"]),
            )
            .watching(&[place::IP6_INPUT]),
            optional(
                concat!($prefix, "_tcp_input"),
                Target::FirstFunction(&["tcp_v4_rcv"]),
            )
            .watching(&[place::TCP_INPUT]),
            optional(
                concat!($prefix, "_tcp6_input"),
                Target::FirstFunction(&["tcp_v6_rcv"]),
            )
            .watching(&[place::TCP6_INPUT]),
            optional(
                concat!($prefix, "_wake_up"),
                Target::FirstFunction(&["sock_def_readable"]),
            )
            .watching(&[place::WAKE_UP]),
        ]
    };
}

const KPROBES: [Part; FUNCTIONS] = functions!("path_kprobe");
const FENTRIES: [Part; FUNCTIONS] = functions!("path_fentry");

/// Tracepoints, and the cgroup hook, for what no function watches.
const TRACEPOINTS: [Part; SHARED] = [
    required("path_net_dev_queue", tracepoint("net", "net_dev_queue")).watching(&[place::QUEUE]),
    optional(
        "path_tcp_sendmsg_locked",
        tracepoint("tcp", "tcp_sendmsg_locked"),
    )
    .watching(&[place::SOCKET_WRITE]),
    optional("path_cgroup_egress", Target::Cgroup("skb_egress"))
        .watching(&[place::IP_OUTPUT, place::IP6_OUTPUT]),
    optional(
        "path_net_dev_start_xmit",
        tracepoint("net", "net_dev_start_xmit"),
    )
    .watching(&[place::DEVICE]),
    optional("path_net_dev_xmit", tracepoint("net", "net_dev_xmit")).watching(&[place::SENT]),
    optional("path_netif_rx", tracepoint("net", "netif_rx")).watching(&[place::BACKLOG]),
    optional(
        "path_napi_gro_receive_entry",
        tracepoint("net", "napi_gro_receive_entry"),
    )
    .watching(&[place::GRO]),
    optional(
        "path_netif_receive_skb",
        tracepoint("net", "netif_receive_skb"),
    )
    .watching(&[place::RECEIVE]),
    optional("path_tcp_probe", tracepoint("tcp", "tcp_probe"))
        .watching(&[place::TCP_INPUT, place::TCP6_INPUT]),
    optional("path_sk_data_ready", tracepoint("sock", "sk_data_ready")).watching(&[place::WAKE_UP]),
    optional(
        "path_skb_copy_datagram_iovec",
        tracepoint("skb", "skb_copy_datagram_iovec"),
    )
    .watching(&[place::READ]),
];

/// `functions`, then what all candidates share.
const fn with_shared<const N: usize, const M: usize>(functions: &[Part; N]) -> [Part; M] {
    let mut parts = [TRACEPOINTS[0]; M];
    let mut index = 0;
    while index < M {
        parts[index] = if index < N {
            functions[index]
        } else {
            TRACEPOINTS[index - N]
        };
        index += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_candidate_ends_with_all_that_is_shared() {
        for candidate in CANDIDATES {
            let programs: HashSet<_> = candidate.parts.iter().map(|part| part.program).collect();
            assert_eq!(programs.len(), candidate.parts.len(), "a program twice");
            for part in TRACEPOINTS {
                assert!(programs.contains(part.program), "{}", part.program);
            }
        }
    }

    #[test]
    fn functions_watch_every_layer_and_tracepoints_both_ends_of_each_way() {
        let watched = |candidate: &Candidate| -> HashSet<u8> {
            let parts = candidate.parts.iter();
            parts.flat_map(|part| part.places).copied().collect()
        };
        let all: HashSet<u8> = (place::SOCKET_WRITE..=place::SENT)
            .chain(place::BACKLOG..=place::READ)
            .collect();
        let [kprobe, fentry, tracepoint] = CANDIDATES else {
            panic!("three kinds");
        };
        assert_eq!(watched(kprobe), all);
        assert_eq!(watched(fentry), all);
        for end in [
            place::SOCKET_WRITE,
            place::SENT,
            place::RECEIVE,
            place::READ,
        ] {
            assert!(watched(tracepoint).contains(&end));
        }
    }
}
