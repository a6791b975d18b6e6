//! Round-trip time, congestion window and totals of TCP sockets of known flows.
//!
//! A sock_ops program on the root of the cgroup v2 hierarchy is called when a handshake
//! completes; for a wanted socket it then asks for the callbacks that tell of each round
//! trip, of each timeout and of the close. Others are never called again. Where there is no
//! such hierarchy, the tracepoint of arriving segments takes its place.

use core::ptr::read_volatile;

use aya_ebpf::{
    EbpfContext,
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
        BPF_SOCK_OPS_RTO_CB, BPF_SOCK_OPS_RTO_CB_FLAG, BPF_SOCK_OPS_RTT_CB,
        BPF_SOCK_OPS_RTT_CB_FLAG, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG,
    },
    helpers::{bpf_ktime_get_boot_ns, generated},
    macros::{map, raw_tracepoint, sock_ops},
    maps::Array,
    programs::{RawTracePointContext, SockOpsContext},
};
use tracer_common::{
    event::{hook, sample},
    limits,
    record::{TcpSample, UNKNOWN},
};

use crate::{
    emit,
    ends::{Ends, write_address},
    layout::{number_of, offset, read, read_into, read_or_zero},
    memory::{self, Row},
    packet::flow,
    ports, retransmit,
    socket::TRACED_SOCKETS,
    socket_common::{SocketCommon, ports_of},
    task,
};

/// Sockets that are sampled, by cookie.
#[map]
static SAMPLED: Array<Row<u64, Sampling>> = Array::with_max_entries(ROWS, 0);
const ROWS: u32 = limits::TRACED_SOCKETS / 4;

/// What was told of a socket so far.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sampling {
    last_at_ns: u64,
    count: u64,
}

/// The first round trips of traced processes are told one by one: handshake and slow start.
const ALL_OF_THE_FIRST: u64 = 32;
/// Later ones at most this often: newer kernels call for every acknowledgement.
const PERIOD_NS: u64 = 10_000_000;
/// Proceed: what a sock_ops program returns that answers nothing.
const PROCEED: u32 = 1;

/// include/net/tcp_states.h. The totals are final then, also of a socket that was closed for
/// one direction first.
const CLOSE: u32 = 7;

const CALLBACKS: u32 =
    BPF_SOCK_OPS_RTT_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTO_CB_FLAG;

#[sock_ops]
pub fn tcp_sock_ops(context: SockOpsContext) -> u32 {
    if let Some(moment) = moment(&context) {
        called(&context, moment);
    }
    PROCEED
}

/// What this call tells of, where it is something that is told.
#[inline(always)]
fn moment(context: &SockOpsContext) -> Option<u8> {
    let operation = context.op();
    if operation == BPF_SOCK_OPS_RTT_CB {
        return Some(sample::ROUND_TRIP);
    }
    if operation == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB
        || operation == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB
    {
        return Some(sample::ESTABLISHED);
    }
    if operation == BPF_SOCK_OPS_RTO_CB {
        return Some(sample::TIMEOUT);
    }
    // SAFETY: the verifier lets this program read its arguments: old and new state.
    let closes = operation == BPF_SOCK_OPS_STATE_CB
        && unsafe { (*context.ops).__bindgen_anon_1.args[1] } == CLOSE;
    closes.then_some(sample::CLOSING)
}

/// A callback that was asked for, by this program or by somebody else's; that of a complete
/// handshake nobody has to ask for.
#[inline(always)]
fn called(context: &SockOpsContext, moment: u8) {
    let is_new = moment == sample::ESTABLISHED;
    let cookie = cookie(context);
    if is_new && is_of_others(context, cookie) {
        return;
    }
    let sampling = if is_new { None } else { sampling_of(cookie) };
    if moment == sample::ROUND_TRIP && sampling.is_some_and(|it| !is_due(it)) {
        return;
    }
    let socket = SocketCommon::of(socket(context));
    let Some(ends) = socket.ends() else {
        return;
    };
    if sampling.is_none() {
        if !is_wanted(cookie, &ends) {
            return;
        }
        begin(cookie);
    }
    if is_new {
        // Another program may have asked for other callbacks.
        let _ = context.set_cb_flags((context.cb_flags() | CALLBACKS) as i32);
    }
    take((hook::SOCK_OPS, moment), &socket, cookie, &ends, |record| {
        numbers_of_context(context, record);
    });
}

/// Is this certainly a connection of nobody who is traced?
#[inline(always)]
fn is_of_others(context: &SockOpsContext, cookie: u64) -> bool {
    // In network byte order, in the upper half (sock_ops_convert_ctx_access, net/core/filter.c).
    let remote_port = u32::from_be(context.remote_port()) as u16;
    !ports::may_be_wanted(context.local_port() as u16, remote_port)
        && TRACED_SOCKETS.get_ptr(cookie).is_none()
}

#[inline(always)]
fn is_wanted(cookie: u64, ends: &Ends) -> bool {
    let of_host =
        task::whole_host() && ports::may_be_wanted(ends.source_port, ends.destination_port);
    of_host || TRACED_SOCKETS.get_ptr(cookie).is_some() || flow::is_known(ends)
}

/// TP_PROTO(struct sock *sk, const struct sk_buff *skb). In `tcp_rcv_established`, before
/// the segment is looked at.
#[raw_tracepoint(tracepoint = "tcp_probe")]
pub fn tcp_probe(context: RawTracePointContext) -> i32 {
    let socket: u64 = context.arg(0);
    let cookie = read_or_zero::<u64>(socket, offset!(sock_cookie));
    if !is_wanted_socket(cookie, socket) {
        return 0;
    }
    match sampling_of(cookie) {
        Some(sampling) if !is_due(sampling) => return 0,
        Some(_) => {}
        None => begin(cookie),
    }
    let socket = SocketCommon::of(socket);
    if let Some(ends) = socket.ends() {
        take(
            (hook::TRACEPOINT, sample::SEGMENT),
            &socket,
            cookie,
            &ends,
            |record| numbers_of_socket(socket.address(), record),
        );
    }
    0
}

/// The same of a socket whose ends are not read yet.
#[inline(always)]
fn is_wanted_socket(cookie: u64, socket: u64) -> bool {
    if cookie == 0 {
        return false;
    }
    if !task::whole_host() {
        return TRACED_SOCKETS.get_ptr(cookie).is_some();
    }
    ports::all_are_wanted() || {
        let (local_port, remote_port) = ports_of(socket);
        ports::may_be_wanted(local_port, remote_port)
    }
}

#[inline(always)]
fn sampling_of(cookie: u64) -> Option<*mut Sampling> {
    let row = memory::row(&SAMPLED, ROWS, &cookie)?;
    // SAFETY: an entry of the map.
    unsafe { memory::find(row, &cookie) }
}

/// A new entry. With the whole host in scope the first round trips are like all others: most
/// connections are over within a few, and each sample costs as much as a frame.
#[inline(always)]
fn begin(cookie: u64) {
    let count = if task::whole_host() {
        ALL_OF_THE_FIRST
    } else {
        0
    };
    if let Some(row) = memory::row(&SAMPLED, ROWS, &cookie) {
        // SAFETY: no arguments; an entry of the map.
        unsafe {
            let last_at_ns = bpf_ktime_get_boot_ns();
            memory::put(row, cookie, Sampling { last_at_ns, count });
        }
    }
}

/// Counts a sample that may be left out, and says whether it is to be taken.
#[inline(always)]
fn is_due(sampling: *mut Sampling) -> bool {
    // SAFETY: no arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    // SAFETY: an entry of the map; two CPUs at once can only take one sample too many.
    unsafe {
        if (*sampling).count >= ALL_OF_THE_FIRST
            && now.wrapping_sub((*sampling).last_at_ns) < PERIOD_NS
        {
            return false;
        }
        (*sampling).count += 1;
        (*sampling).last_at_ns = now;
    }
    true
}

#[inline(always)]
fn cookie(context: &SockOpsContext) -> u64 {
    // SAFETY: the helper takes this program's own context.
    unsafe { generated::bpf_get_socket_cookie(context.as_ptr()) }
}

#[inline(always)]
fn socket(context: &SockOpsContext) -> u64 {
    // SAFETY: the verifier lets this program read the member of its context.
    number_of(unsafe { (*context.ops).__bindgen_anon_2.sk })
}

/// What a sock_ops program is shown without a helper.
#[inline(always)]
fn numbers_of_context(context: &SockOpsContext, record: *mut TcpSample) {
    // SAFETY: the verifier lets this program read these members of its context, one by one
    // and in their own size; `take` passes a record.
    unsafe {
        (*record).bytes_acked = read_volatile(&raw const (*context.ops).bytes_acked);
        (*record).bytes_received = read_volatile(&raw const (*context.ops).bytes_received);
        (*record).srtt = read_volatile(&raw const (*context.ops).srtt_us);
        (*record).cwnd = read_volatile(&raw const (*context.ops).snd_cwnd);
        (*record).ssthresh = read_volatile(&raw const (*context.ops).snd_ssthresh);
        (*record).total_retrans = read_volatile(&raw const (*context.ops).total_retrans);
        (*record).lost = read_volatile(&raw const (*context.ops).lost_out);
        (*record).packets_out = read_volatile(&raw const (*context.ops).packets_out);
    }
}

/// The same for hooks that know nothing but the socket.
#[inline(always)]
fn numbers_of_socket(socket: u64, record: *mut TcpSample) {
    let number = |offset: u16| read::<u32>(socket, offset).unwrap_or(UNKNOWN);
    // SAFETY: `take` passes a record.
    unsafe {
        read_into(
            &raw mut (*record).bytes_acked,
            socket,
            offset!(tcp_bytes_acked),
        );
        read_into(
            &raw mut (*record).bytes_received,
            socket,
            offset!(tcp_bytes_received),
        );
        (*record).srtt = number(offset!(tcp_srtt));
        (*record).cwnd = number(offset!(tcp_cwnd));
        (*record).ssthresh = number(offset!(tcp_ssthresh));
        (*record).total_retrans = number(offset!(tcp_total_retrans));
        (*record).lost = number(offset!(tcp_lost_out));
        (*record).packets_out = number(offset!(tcp_packets_out));
    }
}

#[inline(always)]
fn take(
    (hook, moment): (u8, u8),
    socket: &SocketCommon,
    cookie: u64,
    ends: &Ends,
    numbers: impl FnOnce(*mut TcpSample),
) {
    let ports = || emit::ports(ends.source_port, ends.destination_port);
    let Some(mut slot) = emit::reserve_of::<TcpSample>(hook, 0, ports) else {
        return;
    };
    let record = slot.record();
    numbers(record);
    // SAFETY: `record` points to reserved memory of a `TcpSample`.
    unsafe {
        (*record).cookie = cookie;
        (*record).moment = moment;
        (*record).mdev = read(socket.address(), offset!(tcp_mdev)).unwrap_or(UNKNOWN);
        (*record).ca_state = retransmit::congestion_state(socket.address());
        (*record).network = socket.network();
        (*record).family = ends.family;
        (*record).local_port = ends.source_port;
        (*record).remote_port = ends.destination_port;
        write_address(&raw mut (*record).local, ends.family, ends.source);
        write_address(&raw mut (*record).remote, ends.family, ends.destination);
    }
    slot.submit();
}
