//! Up: from the driver that receives to the process that reads.

use aya_ebpf::{
    macros::{fentry, kprobe, raw_tracepoint},
    programs::{FEntryContext, ProbeContext, RawTracePointContext},
};
use tracer_common::event::{hook, place};

use super::{
    down::function,
    pass,
    segment::{self, Segment},
};
use crate::layout::{offset, read};

/// TP_PROTO(struct sk_buff *skb)
#[raw_tracepoint(tracepoint = "netif_rx")]
pub fn path_netif_rx(context: RawTracePointContext) -> i32 {
    let segment = Segment::in_arriving(context.arg(0));
    pass(hook::TRACEPOINT, place::BACKLOG, segment);
    0
}

/// TP_PROTO(const struct sk_buff *skb)
#[raw_tracepoint(tracepoint = "napi_gro_receive_entry")]
pub fn path_napi_gro_receive_entry(context: RawTracePointContext) -> i32 {
    let segment = Segment::in_arriving(context.arg(0));
    pass(hook::TRACEPOINT, place::GRO, segment);
    0
}

/// TP_PROTO(struct sk_buff *skb)
#[raw_tracepoint(tracepoint = "netif_receive_skb")]
pub fn path_netif_receive_skb(context: RawTracePointContext) -> i32 {
    let segment = Segment::in_arriving(context.arg(0));
    pass(hook::TRACEPOINT, place::RECEIVE, segment);
    0
}

function!(
    path_kprobe_ip_input,
    path_fentry_ip_input,
    by,
    [buffer = 0],
    { pass(by, place::IP_INPUT, Segment::in_buffer(buffer)) }
);
function!(
    path_kprobe_ip6_input,
    path_fentry_ip6_input,
    by,
    [buffer = 0],
    { pass(by, place::IP6_INPUT, Segment::in_buffer(buffer)) }
);
function!(
    path_kprobe_tcp_input,
    path_fentry_tcp_input,
    by,
    [buffer = 0],
    { pass(by, place::TCP_INPUT, Segment::in_buffer(buffer)) }
);
function!(
    path_kprobe_tcp6_input,
    path_fentry_tcp6_input,
    by,
    [buffer = 0],
    { pass(by, place::TCP6_INPUT, Segment::in_buffer(buffer)) }
);
function!(
    path_kprobe_wake_up,
    path_fentry_wake_up,
    by,
    [socket = 0],
    { wake_up(by, socket) }
);

/// TP_PROTO(struct sock *sk, struct sk_buff *skb). In `tcp_rcv_established`.
#[raw_tracepoint(tracepoint = "tcp_probe")]
pub fn path_tcp_probe(context: RawTracePointContext) -> i32 {
    if let Some((sequence, length)) = segment::range_in_control(context.arg(1)) {
        let segment = Segment::received_by(context.arg(0), sequence, length);
        pass(hook::TRACEPOINT, place::TCP_INPUT, segment);
    }
    0
}

/// TP_PROTO(const struct sock *sk)
#[raw_tracepoint(tracepoint = "sk_data_ready")]
pub fn path_sk_data_ready(context: RawTracePointContext) -> i32 {
    let _ = wake_up(hook::TRACEPOINT, context.arg(0));
    0
}

/// Everything that has arrived in order and is not read yet.
#[inline(always)]
fn wake_up(hook: u8, socket: u64) -> Option<()> {
    let sequence = read::<u32>(socket, offset!(tcp_copied_sequence))?;
    let next = read::<u32>(socket, offset!(tcp_receive_next))?;
    let segment = Segment::received_by(socket, sequence, next.wrapping_sub(sequence));
    pass(hook, place::WAKE_UP, segment);
    Some(())
}

/// TP_PROTO(const struct sk_buff *skb, int len): `tcp_recvmsg_locked` copies `len` bytes to
/// its process, and counts them as copied only afterwards.
#[raw_tracepoint(tracepoint = "skb_copy_datagram_iovec")]
pub fn path_skb_copy_datagram_iovec(context: RawTracePointContext) -> i32 {
    let _ = copied(context.arg(0), context.arg(1));
    0
}

#[inline(always)]
fn copied(buffer: u64, length: u64) -> Option<()> {
    let socket = read::<u64>(buffer, offset!(buffer_socket)).filter(|socket| *socket != 0)?;
    let sequence = read::<u32>(socket, offset!(tcp_copied_sequence))?;
    let segment = Segment::received_by(socket, sequence, length as u32);
    pass(hook::TRACEPOINT, place::READ, segment);
    Some(())
}
