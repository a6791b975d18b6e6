//! Down: from the process that writes to the driver that sends.

use aya_ebpf::{
    EbpfContext,
    helpers::generated,
    macros::{cgroup_skb, fentry, kprobe, map, raw_tracepoint},
    maps::PerCpuArray,
    programs::{FEntryContext, ProbeContext, RawTracePointContext, SkBuffContext},
};
use tracer_common::event::{hook, place};

use super::{
    captured, is_wanted, is_within_budget, pass,
    segment::{self, Packet, Segment},
    tell,
};
use crate::{
    layout::{number_of, offset, read, read_or_zero},
    socket::{TRACED_SOCKETS, writes},
    socket_common::SocketCommon,
    task,
};

/// What `net_dev_start_xmit` showed last on this CPU, until the driver has it: bottom halves
/// are off from one to the other. By then the buffer may be gone, so it cannot be read again.
#[map]
static LEAVING: PerCpuArray<Leaving> = PerCpuArray::with_max_entries(1, 0);

#[repr(C)]
#[derive(Clone, Copy)]
struct Leaving {
    /// Address of the buffer, 0 when it is of no interest.
    buffer: u64,
    segment: Segment,
}

/// `int tcp_sendmsg(struct sock *sk, struct msghdr *msg, size_t size)`: the bytes follow
/// those that are written already. Who writes is told also beyond the budget.
#[inline(always)]
fn socket_write(context: &impl EbpfContext, hook: u8, socket: u64, bytes: u64) -> Option<()> {
    let sequence = read::<u32>(socket, offset!(tcp_write_sequence))?;
    let length = u32::try_from(bytes).ok().filter(|length| *length != 0)?;
    let common = SocketCommon::of(socket);
    let written = Segment::sent_over(&common, sequence, length)?;
    let (flow, end) = captured(&written)?;
    // SAFETY: as `captured` found them.
    if unsafe { is_within_budget(flow, end, sequence) } {
        tell(hook, place::SOCKET_WRITE, &written);
    }
    writes(context, hook, &common);
    Some(())
}

#[kprobe]
pub fn path_kprobe_write(context: ProbeContext) -> u32 {
    if let (Some(socket), Some(bytes)) = (context.arg(0), context.arg(2)) {
        let _ = socket_write(&context, hook::KPROBE, socket, bytes);
    }
    0
}

#[fentry]
pub fn path_fentry_write(context: FEntryContext) -> i32 {
    let socket = number_of(context.arg::<*const u8>(0));
    let _ = socket_write(&context, hook::FENTRY, socket, context.arg(2));
    0
}

/// `__tcp_transmit_skb(struct sock *sk, struct sk_buff *skb, ...)`
#[inline(always)]
fn tcp_transmit(hook: u8, socket: u64, buffer: u64) -> Option<()> {
    let (sequence, length) = segment::range_in_control(buffer)?;
    let sent = Segment::sent_by(socket, sequence, length);
    pass(hook, place::TCP_TRANSMIT, sent);
    Some(())
}

/// `ip_queue_xmit(struct sock *sk, struct sk_buff *skb, ...)`, and its like for IPv6.
#[inline(always)]
fn ip_output(hook: u8, at: u8, socket: u64, buffer: u64) -> Option<()> {
    let (sequence, length) = segment::range_in_header(buffer)?;
    pass(hook, at, Segment::sent_by(socket, sequence, length));
    Some(())
}

/// A kernel function by kprobe and by fentry: the same arguments, the same work.
macro_rules! function {
    ($kprobe:ident, $fentry:ident, $hook:ident, [$($argument:ident = $number:literal),*], $work:expr) => {
        #[kprobe]
        pub fn $kprobe(context: ProbeContext) -> u32 {
            $(let Some($argument) = context.arg::<u64>($number) else { return 0 };)*
            let $hook = hook::KPROBE;
            let _ = $work;
            0
        }

        #[fentry]
        pub fn $fentry(context: FEntryContext) -> i32 {
            $(let $argument: u64 = context.arg($number);)*
            let $hook = hook::FENTRY;
            let _ = $work;
            0
        }
    };
}
pub(super) use function;

function!(
    path_kprobe_transmit,
    path_fentry_transmit,
    by,
    [socket = 0, buffer = 1],
    { tcp_transmit(by, socket, buffer) }
);
function!(
    path_kprobe_ip_output,
    path_fentry_ip_output,
    by,
    [socket = 0, buffer = 1],
    { ip_output(by, place::IP_OUTPUT, socket, buffer) }
);
function!(
    path_kprobe_ip6_output,
    path_fentry_ip6_output,
    by,
    [socket = 0, buffer = 1],
    { ip_output(by, place::IP6_OUTPUT, socket, buffer) }
);
// `ip_finish_output2(struct net *net, struct sock *sk, struct sk_buff *skb)`
function!(
    path_kprobe_neighbor,
    path_fentry_neighbor,
    by,
    [buffer = 2],
    { pass(by, place::NEIGHBOR, Segment::in_buffer(buffer)) }
);
function!(
    path_kprobe_neighbor6,
    path_fentry_neighbor6,
    by,
    [buffer = 2],
    { pass(by, place::NEIGHBOR6, Segment::in_buffer(buffer)) }
);

/// TP_PROTO(const struct sock *sk, const struct msghdr *msg, const struct sk_buff *skb,
/// int size_goal). Once for each buffer that a write fills: what is left of the message.
#[raw_tracepoint(tracepoint = "tcp_sendmsg_locked")]
pub fn path_tcp_sendmsg_locked(context: RawTracePointContext) -> i32 {
    let left = read_or_zero::<u64>(context.arg(1), offset!(message_bytes));
    let _ = socket_write(&context, hook::TRACEPOINT, context.arg(0), left);
    0
}

/// IP output where functions cannot be probed: cgroup programs run in `ip_finish_output`
/// (`BPF_CGROUP_RUN_PROG_INET_EGRESS`), on packets that begin with their IP header. It
/// cannot tell the namespace, but whose socket it is.
#[cgroup_skb]
pub fn path_cgroup_egress(context: SkBuffContext) -> i32 {
    const PROCEED: i32 = 1;
    // SAFETY: the helper takes this program's own context.
    let cookie = unsafe { generated::bpf_get_socket_cookie(context.as_ptr()) };
    if task::whole_host() || TRACED_SOCKETS.get_ptr(cookie).is_some() {
        let _ = leaving_cgroup(&context);
    }
    PROCEED
}

#[inline(always)]
fn leaving_cgroup(context: &SkBuffContext) -> Option<()> {
    let version = context.load::<u8>(0).ok()? >> 4;
    let (at, packet) = if version == 4 {
        let header = context.load::<[u32; 5]>(0).ok()?;
        (place::IP_OUTPUT, Packet::of_ipv4(&header)?)
    } else {
        let header = context.load::<[u64; 5]>(0).ok()?;
        (place::IP6_OUTPUT, Packet::of_ipv6(&header)?)
    };
    let transport = context
        .load::<[u32; 4]>(packet.header_length as usize)
        .ok()?;
    let segment = packet.segment(&transport, || Some(context.len()));
    pass(hook::CGROUP, at, segment);
    Some(())
}

/// TP_PROTO(struct sk_buff *skb)
#[raw_tracepoint(tracepoint = "net_dev_queue")]
pub fn path_net_dev_queue(context: RawTracePointContext) -> i32 {
    let segment = Segment::in_buffer(context.arg(0));
    pass(hook::TRACEPOINT, place::QUEUE, segment);
    0
}

/// TP_PROTO(const struct sk_buff *skb, const struct net_device *dev)
#[raw_tracepoint(tracepoint = "net_dev_start_xmit")]
pub fn path_net_dev_start_xmit(context: RawTracePointContext) -> i32 {
    let Some(leaving) = LEAVING.get_ptr_mut(0) else {
        return 0;
    };
    let buffer: u64 = context.arg(0);
    let segment = Segment::in_buffer(buffer).filter(|segment| segment.length != 0);
    // SAFETY: the entry is this CPU's own.
    unsafe {
        (*leaving).buffer = 0;
        if let Some(segment) = segment
            && is_wanted(&segment)
        {
            (*leaving).segment = segment;
            (*leaving).buffer = buffer;
            tell(hook::TRACEPOINT, place::DEVICE, &segment);
        }
    }
    0
}

/// TP_PROTO(struct sk_buff *skb, int rc, struct net_device *dev, unsigned int skb_len)
#[raw_tracepoint(tracepoint = "net_dev_xmit")]
pub fn path_net_dev_xmit(context: RawTracePointContext) -> i32 {
    let Some(leaving) = LEAVING.get_ptr_mut(0) else {
        return 0;
    };
    let buffer: u64 = context.arg(0);
    // SAFETY: the entry is this CPU's own.
    unsafe {
        if buffer != 0 && (*leaving).buffer == buffer {
            (*leaving).buffer = 0;
            tell(hook::TRACEPOINT, place::SENT, &(*leaving).segment);
        }
    }
    0
}
