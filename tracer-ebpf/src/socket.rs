//! Who owns a socket, written down in the owner's own context.
//!
//! Sockets own, tasks do not: a frame or a state transition is attributed by its socket,
//! and the socket by what is recorded here. connect(2) and sendmsg(2) give the client's
//! side, the first read the server's. Who writes is told by the program that watches writes
//! anyway ([`crate::layers`]): a hook on every write of the host would cost all of them.

use aya_ebpf::{
    EbpfContext,
    bindings::bpf_sock_addr,
    helpers::{bpf_get_current_uid_gid, generated},
    macros::{cgroup_sock_addr, kprobe, map, raw_tracepoint},
    maps::{Array, LruHashMap},
    programs::{ProbeContext, RawTracePointContext, SockAddrContext},
};
use tracer_common::{
    event::{family, flag, hook, usage},
    limits,
    record::SocketOwner,
};

use crate::{
    emit,
    layout::{network_of_socket, number_of},
    memory::{self, Key, Row},
    ports,
    socket_common::{self, SocketCommon},
    task,
};

/// Cookies of the sockets that traced processes connected or sent from.
#[map]
pub static TRACED_SOCKETS: LruHashMap<u64, u32> =
    LruHashMap::with_max_entries(limits::TRACED_SOCKETS, 0);

/// Are events of the socket with this cookie wanted in this run? 0 is none.
#[inline(always)]
pub fn is_wanted(cookie: u64) -> bool {
    cookie != 0 && (task::whole_host() || TRACED_SOCKETS.get_ptr(cookie).is_some())
}

/// What was reported: one record per socket, process and kind of use is enough.
#[map]
static USES: Array<Row<Use, ()>> = Array::with_max_entries(ROWS, 0);
const ROWS: u32 = limits::TRACED_SOCKETS / 4;

/// A socket without a cookie is known by its address and ports, because addresses are
/// used again for the next socket.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
struct Use {
    socket: u64,
    cookie: u64,
    ports: u32,
    /// Process id (`PID_MAX_LIMIT` is 2^22), above it one of [`usage`].
    who: u32,
}

impl Key for Use {
    #[inline(always)]
    fn hash(&self) -> u64 {
        // Sockets are larger than 64 bytes, and at addresses that are multiples of it.
        self.socket >> 6 ^ self.cookie << 20 ^ u64::from(self.who) << 40
    }
}

const PROCEED: i32 = 1;
const TCP: u8 = 6;

/// States in which TCP takes what is written (`tcp_sendmsg_locked`), include/net/tcp_states.h:
/// ESTABLISHED, SYN_RECV (a server's Fast Open) and CLOSE_WAIT.
const TAKES_DATA: u32 = 1 << 1 | 1 << 3 | 1 << 8;

#[cgroup_sock_addr(connect4)]
pub fn connect4(context: SockAddrContext) -> i32 {
    used(&context, family::INET, usage::CONNECT)
}

#[cgroup_sock_addr(connect6)]
pub fn connect6(context: SockAddrContext) -> i32 {
    used(&context, family::INET6, usage::CONNECT)
}

#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(context: SockAddrContext) -> i32 {
    used(&context, family::INET, usage::SEND_MESSAGE)
}

#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(context: SockAddrContext) -> i32 {
    used(&context, family::INET6, usage::SEND_MESSAGE)
}

#[inline(always)]
fn used(context: &SockAddrContext, address_family: u16, used_for: u8) -> i32 {
    let address: *mut bpf_sock_addr = context.sock_addr;
    let (tgid, tid) = task::current();
    let whole_host = task::whole_host();
    if !whole_host && !task::is_traced(tgid) {
        return PROCEED;
    }
    // SAFETY: the verifier lets this program read these members of its context.
    let (port, protocol) = unsafe { ((*address).user_port, (*address).protocol) };
    let (port, protocol) = (u16::from_be(port as u16), protocol as u8);
    if !whole_host {
        ports::note(port);
    } else if protocol == TCP && !ports::may_be_wanted(port, port) {
        return PROCEED;
    }
    // SAFETY: the helper takes this program's own context.
    let cookie = unsafe { generated::bpf_get_socket_cookie(context.as_ptr()) };
    // With the whole host in scope nobody asks whose a TCP socket is.
    if !(whole_host && protocol == TCP) && TRACED_SOCKETS.get_ptr(cookie).is_none() {
        // Full tables give up their oldest entry, so this cannot fail for lack of room.
        let _ = TRACED_SOCKETS.insert(cookie, tgid, 0);
    }
    let Some(mut slot) = emit::reserve_flagged::<SocketOwner>(hook::CGROUP, flag::PROCESS_CONTEXT)
    else {
        return PROCEED;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `SocketOwner`, and `address` is the
    // context, whose members the verifier lets this program read one by one.
    unsafe {
        (*record).cookie = cookie;
        (*record).tgid = tgid;
        (*record).tid = tid;
        (*record).uid = bpf_get_current_uid_gid() as u32;
        (*record).family = address_family;
        (*record).usage = used_for;
        (*record).protocol = protocol;
        (*record).local_port = 0;
        (*record).remote_port = port;
        (*record).network = network_of_socket(socket_of(address));
        (*record).local = [0; 16];
        let remote = (&raw mut (*record).remote).cast::<u32>();
        if address_family == family::INET {
            remote.write((*address).user_ip4);
            remote.add(1).write(0);
            remote.add(2).write(0);
            remote.add(3).write(0);
        } else {
            let words = &raw const (*address).user_ip6;
            remote.write(core::ptr::read_volatile(&raw const (*words)[0]));
            remote
                .add(1)
                .write(core::ptr::read_volatile(&raw const (*words)[1]));
            remote
                .add(2)
                .write(core::ptr::read_volatile(&raw const (*words)[2]));
            remote
                .add(3)
                .write(core::ptr::read_volatile(&raw const (*words)[3]));
        }
        task::write_thread_name(&raw mut (*record).comm);
    }
    slot.submit();
    PROCEED
}

#[inline(always)]
fn socket_of(address: *const bpf_sock_addr) -> u64 {
    // SAFETY: the verifier lets this program read the member of its context.
    number_of(unsafe { (*address).__bindgen_anon_1.sk })
}

/// TP_PROTO(struct sock *sk). Called from `tcp_recvmsg_locked` for every buffer a reader
/// takes, in the reader's own context.
#[raw_tracepoint(tracepoint = "tcp_rcv_space_adjust")]
pub fn tcp_rcv_space_adjust(context: RawTracePointContext) -> i32 {
    reads(&context, hook::TRACEPOINT, context.arg(0));
    0
}

/// void tcp_rcv_space_adjust(struct sock *sk): its tracepoint is the first thing in it.
#[kprobe]
pub fn kprobe_tcp_rcv_space_adjust(context: ProbeContext) -> u32 {
    if let Some(socket) = context.arg(0) {
        reads(&context, hook::KPROBE, socket);
    }
    0
}

/// The current task reads from a socket.
#[inline(always)]
fn reads(context: &impl EbpfContext, hook: u8, socket: u64) {
    if !ports::all_are_wanted() {
        let (local_port, remote_port) = socket_common::ports_of(socket);
        if !ports::may_be_wanted(local_port, remote_port) && !task::is_traced(task::current().0) {
            return;
        }
    }
    uses(context, hook, &SocketCommon::of(socket), usage::RECEIVE);
}

/// The current task writes to a socket of a captured flow.
#[inline(always)]
pub fn writes(context: &impl EbpfContext, hook: u8, socket: &SocketCommon) {
    if TAKES_DATA >> (socket.state() & 31) & 1 != 0 {
        uses(context, hook, socket, usage::SEND);
    }
}

/// Says so once per socket, process and kind of use.
#[inline(always)]
fn uses(context: &impl EbpfContext, hook: u8, common: &SocketCommon, used_for: u8) {
    let (tgid, tid) = task::current();
    let (local_port, remote_port) = (common.local_port(), common.remote_port());
    let this = Use {
        socket: common.address(),
        cookie: common.cookie(),
        ports: u32::from(local_port) << 16 | u32::from(remote_port),
        who: u32::from(used_for) << 24 | tgid,
    };
    // A parser of kernel TLS or sockmap reads in softirq, on the back of some task.
    let Some(row) = memory::row(&USES, ROWS, &this) else {
        return;
    };
    // SAFETY: an entry of the map.
    let is_known = unsafe { memory::find(row, &this) }.is_some();
    if is_known || !task::runs_on_own_stack(context) {
        return;
    }
    let ports = || emit::ports(local_port, remote_port);
    let flags = flag::PROCESS_CONTEXT;
    let Some(mut slot) = emit::reserve_of::<SocketOwner>(hook, flags, ports) else {
        // Reported at the next one instead.
        return;
    };
    // SAFETY: an entry of the map.
    unsafe { memory::put(row, this, ()) };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `SocketOwner`.
    unsafe {
        (*record).tgid = tgid;
        (*record).tid = tid;
        (*record).uid = bpf_get_current_uid_gid() as u32;
        (*record).usage = used_for;
        (*record).protocol = TCP;
        (*record).network = common.network();
        task::write_name(&raw mut (*record).comm);
        (*record).cookie = common.cookie();
        common.write_ends(
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
