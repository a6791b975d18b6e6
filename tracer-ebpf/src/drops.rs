//! Packets of known flows that the kernel gave up, with its own reason.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use tracer_common::{event::hook, record::PacketDrop};

use crate::{
    emit,
    ends::{self, Ends, write_address},
    layout::{config, network_of_socket, offset, read_or_zero},
    packet::flow,
    ports, socket,
    socket_common::SocketCommon,
};

/// TP_PROTO(struct sk_buff *skb, void *location, enum skb_drop_reason reason, ...)
///
/// The tracer attaches it only where the reason exists. A drop without one
/// (`NOT_SPECIFIED`) is often no drop at all but an older way of freeing; and every closed
/// socket throws away the FIN that it has seen (`QUEUE_PURGE`).
#[raw_tracepoint(tracepoint = "kfree_skb")]
pub fn kfree_skb(context: RawTracePointContext) -> i32 {
    let reason: u32 = context.arg(2);
    if reason == config().drop_not_specified() || reason == config().drop_queue_purge() {
        return 0;
    }
    let buffer: u64 = context.arg(0);
    let Some(packet) = ends::of_buffer(buffer) else {
        return 0;
    };
    let owner = read_or_zero::<u64>(buffer, offset!(buffer_socket));
    let sender = sender(owner, &packet);
    // On its way out (netfilter, a cgroup's program) it was not a frame yet.
    let is_wanted = || {
        ports::may_be_wanted(packet.source_port, packet.destination_port)
            && socket::is_wanted(sender)
    };
    if !flow::is_known(&packet) && !is_wanted() {
        return 0;
    }
    let ports = || match packet.protocol {
        ends::TCP => emit::ports(packet.source_port, packet.destination_port),
        _ => emit::UNKNOWN,
    };
    let Some(mut slot) = emit::reserve_of::<PacketDrop>(hook::TRACEPOINT, 0, ports) else {
        return 0;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `PacketDrop`.
    unsafe {
        (*record).cookie = sender;
        (*record).reason = reason;
        (*record).sequence = packet.sequence;
        (*record).family = packet.family;
        (*record).protocol = packet.protocol;
        (*record).flags = packet.flags;
        // A buffer's device is overwritten in TCP's queues, its socket is not.
        (*record).network = match owner {
            0 => 0,
            _ => network_of_socket(owner),
        };
        (*record).reserved = 0;
        (*record).source_port = packet.source_port;
        (*record).destination_port = packet.destination_port;
        write_address(&raw mut (*record).source, packet.family, packet.source);
        write_address(
            &raw mut (*record).destination,
            packet.family,
            packet.destination,
        );
    }
    slot.submit();
    0
}

/// The cookie of the socket that sent this segment, 0 where that is not known: the socket of
/// an arriving one is its receiver's.
#[inline(always)]
fn sender(socket: u64, packet: &Ends) -> u64 {
    if socket == 0 || packet.protocol != ends::TCP {
        return 0;
    }
    let common = SocketCommon::of(socket);
    if common.local_port() == packet.source_port && common.remote_port() == packet.destination_port
    {
        common.cookie()
    } else {
        0
    }
}
