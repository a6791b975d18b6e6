//! State transitions of TCP sockets: one fact, four kinds of hook.
//!
//! Two functions make all of them: `inet_csk_clone_lock` moves the child from LISTEN to
//! SYN_RECV through `inet_sk_set_state`, and `inet_sk_state_store` is the last step of
//! `tcp_set_state` and the way of `inet_csk_listen_start` into LISTEN. The tracepoint
//! `sock:inet_sock_set_state` sits in those two.

use aya_ebpf::{
    EbpfContext,
    helpers::bpf_get_current_uid_gid,
    macros::{btf_tracepoint, fentry, kprobe, map, raw_tracepoint},
    maps::HashMap,
    programs::{BtfTracePointContext, FEntryContext, ProbeContext, RawTracePointContext},
};
use tracer_common::{event::hook, layout::ABSENT, limits, record::TcpState};

use crate::{
    emit,
    layout::{offset, read},
    ports,
    socket_common::{self, SocketCommon},
    task, words,
};

// include/net/tcp_states.h
const SYN_SENT: u8 = 2;
const LISTEN: u8 = 10;
/// IPPROTO_TCP.
const TCP: u16 = 6;

/// Ports on which traced processes listen: what arrives there belongs to them, before any
/// socket of theirs has answered.
#[map]
pub static LISTENERS: HashMap<u16, u32> = HashMap::with_max_entries(1024, 0);

#[kprobe]
pub fn kprobe_inet_sk_set_state(context: ProbeContext) -> u32 {
    probe(&context, hook::KPROBE, context.arg(0), context.arg(1));
    0
}

#[kprobe]
pub fn kprobe_inet_sk_state_store(context: ProbeContext) -> u32 {
    probe(&context, hook::KPROBE, context.arg(0), context.arg(1));
    0
}

#[fentry(function = "inet_sk_set_state")]
pub fn fentry_inet_sk_set_state(context: FEntryContext) -> i32 {
    let (socket, to) = (context.arg(0), context.arg(1));
    probe(&context, hook::FENTRY, Some(socket), Some(to));
    0
}

#[fentry(function = "inet_sk_state_store")]
pub fn fentry_inet_sk_state_store(context: FEntryContext) -> i32 {
    let (socket, to) = (context.arg(0), context.arg(1));
    probe(&context, hook::FENTRY, Some(socket), Some(to));
    0
}

/// As [`tracepoint_inet_sock_set_state`]. The verifier knows the types of the arguments here,
/// so that what tells most transitions apart is loaded without a helper.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn tp_btf_inet_sock_set_state(context: BtfTracePointContext) -> i32 {
    let socket: *const u8 = context.arg(0);
    let from: u32 = context.arg(1);
    let to: u32 = context.arg(2);
    let is_tcp = typed_member(socket, offset!(sock_protocol)) == Some(TCP);
    if is_tcp && !is_of_others(socket, to as u8) {
        transition(&context, hook::TP_BTF, socket as u64, from as u8, to as u8);
    }
    0
}

/// Is this certainly a transition between ports of which none is wanted? As [`transition`] finds
/// once more by other means.
#[inline(always)]
fn is_of_others(socket: *const u8, to: u8) -> bool {
    if ports::all_are_wanted() || to == LISTEN || to == SYN_SENT {
        return false;
    }
    let local = typed_member(socket, offset!(sock_local_port)).unwrap_or(0);
    let remote = typed_member(socket, offset!(sock_remote_port)).unwrap_or(0);
    // A closed socket has given its port back.
    local != 0 && !ports::may_be_wanted(local, u16::from_be(remote))
}

/// A member of a `struct sock` that the verifier knows to be one.
#[inline(always)]
fn typed_member(socket: *const u8, place: u16) -> Option<u16> {
    // SAFETY: the verifier checks that the structure holds a member of this size at this
    // constant offset, and the kernel survives a load through a stale pointer.
    (place != ABSENT)
        .then(|| unsafe { core::ptr::read_volatile(socket.add(place as usize).cast::<u16>()) })
}

/// TP_PROTO(const struct sock *sk, const int oldstate, const int newstate)
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn tracepoint_inet_sock_set_state(context: RawTracePointContext) -> i32 {
    let from: u32 = context.arg(1);
    let to: u32 = context.arg(2);
    let socket: u64 = context.arg(0);
    if is_tcp(socket) {
        transition(&context, hook::TRACEPOINT, socket, from as u8, to as u8);
    }
    0
}

/// At the entry of a function that sets a state, the old one is still in the socket.
#[inline(always)]
fn probe(context: &impl EbpfContext, hook: u8, socket: Option<u64>, to: Option<u32>) {
    let (Some(socket), Some(to)) = (socket, to) else {
        return;
    };
    if !is_tcp(socket) {
        return;
    }
    if let Some(from) = read::<u8>(socket, offset!(sock_state)) {
        transition(context, hook, socket, from, to as u8);
    }
}

#[inline(always)]
fn is_tcp(socket: u64) -> bool {
    read::<u16>(socket, offset!(sock_protocol)) == Some(TCP)
}

/// The server of a traced client may be any process in any namespace, and a child's addresses
/// are not yet set when it leaves LISTEN: what is wanted is told by its ports, of which the
/// child has its listener's.
#[inline(always)]
fn transition(context: &impl EbpfContext, hook: u8, socket: u64, from: u8, to: u8) {
    // tcp_done sets CLOSE on sockets that are closed already.
    if from == to {
        return;
    }
    let (tgid, tid) = task::current();
    if !ports::all_are_wanted() {
        let (local, remote) = socket_common::ports_of(socket);
        if !task::whole_host() && (to == LISTEN || to == SYN_SENT) && task::is_traced(tgid) {
            if to == LISTEN {
                // A full table only means that flows start with the answer to them.
                let _ = LISTENERS.insert(local, tgid, 0);
                ports::note(local);
            } else {
                ports::note(remote);
            }
        }
        // Listening is told of all: it says who is a server.
        if to != LISTEN && !ports::may_be_wanted(local, remote) {
            return;
        }
    }
    // Whose it is, is told of listeners only: nobody else is in its own system call for sure.
    let flags = if to == LISTEN {
        task::context_flags(context)
    } else {
        0
    };
    let socket = SocketCommon::of(socket);
    let ports = || emit::ports(socket.local_port(), socket.remote_port());
    let Some(mut slot) = emit::reserve_of::<TcpState>(hook, flags, ports) else {
        return;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `TcpState`.
    unsafe {
        (*record).socket = socket.address();
        (*record).from = from;
        (*record).to = to;
        (*record).tgid = tgid;
        (*record).tid = tid;
        (*record).uid = bpf_get_current_uid_gid() as u32;
        if to == LISTEN {
            task::write_name(&raw mut (*record).comm);
        } else {
            words::clear::<{ limits::COMM / 4 }>((&raw mut (*record).comm).cast());
        }
        (*record).cookie = socket.cookie();
        (*record).network = socket.network();
        socket.write_ends(
            &raw mut (*record).family,
            &raw mut (*record).local,
            &raw mut (*record).remote,
            [
                &raw mut (*record).local_port,
                &raw mut (*record).remote_port,
            ],
        );
    }
    slot.submit();
}
