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
use tracer_common::{
    event::{family, hook},
    layout::ABSENT,
    record::TcpState,
};

use crate::{
    emit,
    layout::{network_of_socket, offset, read, read_into, read_or_zero},
    ports, task,
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
/// so that what decides whether a transition is one of TCP is loaded without a helper.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn tp_btf_inet_sock_set_state(context: BtfTracePointContext) -> i32 {
    let socket: *const u8 = context.arg(0);
    let from: u32 = context.arg(1);
    let to: u32 = context.arg(2);
    let place = offset!(sock_protocol);
    if place == ABSENT {
        return 0;
    }
    // SAFETY: the verifier has checked that a `struct sock` holds a member of this size at
    // this constant offset, and the kernel survives a load through a stale pointer.
    let protocol = unsafe { core::ptr::read_volatile(socket.add(place as usize).cast::<u16>()) };
    if protocol == TCP {
        transition(&context, hook::TP_BTF, socket as u64, from as u8, to as u8);
    }
    0
}

/// TP_PROTO(const struct sock *sk, const int oldstate, const int newstate)
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn tracepoint_inet_sock_set_state(context: RawTracePointContext) -> i32 {
    let from: u32 = context.arg(1);
    let to: u32 = context.arg(2);
    transition(
        &context,
        hook::TRACEPOINT,
        context.arg(0),
        from as u8,
        to as u8,
    );
    0
}

/// At the entry of a function that sets a state, the old one is still in the socket.
#[inline(always)]
fn probe(context: &impl EbpfContext, hook: u8, socket: Option<u64>, to: Option<u32>) {
    let (Some(socket), Some(to)) = (socket, to) else {
        return;
    };
    if let Some(from) = read::<u8>(socket, offset!(sock_state)) {
        transition(context, hook, socket, from, to as u8);
    }
}

/// The server of a traced client may be any process in any namespace, and a child's addresses
/// are not yet set when it leaves LISTEN: what is wanted is told by its ports, of which the
/// child has its listener's.
#[inline(always)]
fn transition(context: &impl EbpfContext, hook: u8, socket: u64, from: u8, to: u8) {
    // tcp_done sets CLOSE on sockets that are closed already.
    if from == to || read::<u16>(socket, offset!(sock_protocol)) != Some(TCP) {
        return;
    }
    let (tgid, tid) = task::current();
    if !task::whole_host() {
        let remote = u16::from_be(read::<u16>(socket, offset!(sock_remote_port)).unwrap_or(0));
        let traced = task::is_traced(tgid);
        if to == LISTEN && traced {
            // A full table only means that flows start with the answer to them.
            let _ = LISTENERS.insert(local_port(socket), tgid, 0);
            ports::note(local_port(socket));
        }
        if to == SYN_SENT && traced {
            ports::note(remote);
        }
        // Listening is told of all: it says who is a server.
        if to != LISTEN && !ports::may_be_wanted(local_port(socket), remote) {
            return;
        }
    }
    let flags = task::context_flags(context);
    let Some(mut slot) = emit::reserve_of::<TcpState>(hook, flags, || ports(socket)) else {
        return;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `TcpState`.
    unsafe {
        (*record).socket = socket;
        (*record).from = from;
        (*record).to = to;
        (*record).tgid = tgid;
        (*record).tid = tid;
        (*record).uid = bpf_get_current_uid_gid() as u32;
        task::write_name(&raw mut (*record).comm);
        read_into(&raw mut (*record).cookie, socket, offset!(sock_cookie));
        (*record).network = network_of_socket(socket);
        endpoints(
            socket,
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

/// Local port, host byte order, 0 where none is chosen yet. `inet_sport` stays when a closed
/// socket has given its port back, but before listen(2) only `skc_num` may be set.
#[inline(always)]
pub fn local_port(socket: u64) -> u16 {
    let port = u16::from_be(read_or_zero::<u16>(socket, offset!(sock_source_port)));
    if port == 0 {
        read_or_zero::<u16>(socket, offset!(sock_local_port))
    } else {
        port
    }
}

/// Local and remote port of a connected socket, by one read where they stand side by side.
#[inline(always)]
pub fn connected_ports(socket: u64) -> (u16, u16) {
    let place = offset!(sock_remote_port);
    if offset!(sock_local_port) == place.wrapping_add(2) {
        let [remote, local] = read::<[u16; 2]>(socket, place).unwrap_or_default();
        // A closed socket has given it back.
        if local != 0 {
            return (local, u16::from_be(remote));
        }
    }
    let remote = read::<u16>(socket, place).unwrap_or(0);
    (local_port(socket), u16::from_be(remote))
}

/// The ports of a socket's connection, for when a record of it is lost.
#[inline(always)]
fn ports(socket: u64) -> u32 {
    let remote = read_or_zero::<u16>(socket, offset!(sock_remote_port));
    emit::ports(local_port(socket), u16::from_be(remote))
}

/// Writes both ends of a socket: family, addresses, `[local, remote]` ports.
///
/// # Safety
/// All pointers are valid for writes.
#[inline(always)]
pub unsafe fn endpoints(
    socket: u64,
    family_into: *mut u16,
    local: *mut [u8; 16],
    remote: *mut [u8; 16],
    ports: [*mut u16; 2],
) {
    let socket_family = read_or_zero::<u16>(socket, offset!(sock_family));
    // SAFETY: as the caller promises; an IPv4 address takes the first four bytes.
    unsafe {
        *family_into = socket_family;
        *ports[0] = local_port(socket);
        *ports[1] = u16::from_be(read_or_zero::<u16>(socket, offset!(sock_remote_port)));
        if socket_family == family::INET6 {
            read_into(local, socket, offset!(sock_local_v6));
            read_into(remote, socket, offset!(sock_remote_v6));
        } else {
            core::ptr::write_bytes(local, 0, 1);
            core::ptr::write_bytes(remote, 0, 1);
            read_into(local.cast::<[u8; 4]>(), socket, offset!(sock_local_v4));
            read_into(remote.cast::<[u8; 4]>(), socket, offset!(sock_remote_v4));
        }
    }
}
