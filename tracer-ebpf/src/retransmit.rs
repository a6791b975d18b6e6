//! Segments sent again, and resets sent and received, of known flows.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use tracer_common::{
    event::{hook, reset},
    layout::ABSENT,
    record::{TcpReset, TcpRetransmit, UNKNOWN},
};

use crate::{
    emit,
    ends::{self, Ends, write_address},
    layout::{config, network_of_socket, offset, read, read_into},
    packet::flow,
    socket_common::SocketCommon,
};

/// The five bits of `icsk_ca_state` hold no more than TCP_CA_Loss (4).
const CA_STATE: u8 = 0x07;

/// TP_PROTO(const struct sock *sk, const struct sk_buff *skb, ...)
#[raw_tracepoint(tracepoint = "tcp_retransmit_skb")]
pub fn tcp_retransmit_skb(context: RawTracePointContext) -> i32 {
    let socket: u64 = context.arg(0);
    let buffer: u64 = context.arg(1);
    let common = SocketCommon::of(socket);
    let Some(ends) = common.ends() else {
        return 0;
    };
    if !flow::is_known(&ends) || offset!(buffer_control) == ABSENT {
        return 0;
    }
    let ports = || emit::ports(ends.source_port, ends.destination_port);
    let Some(mut slot) = emit::reserve_of::<TcpRetransmit>(hook::TRACEPOINT, 0, ports) else {
        return 0;
    };
    // Until it is sent, TCP keeps what it knows of a segment in the buffer's control block.
    let segment = buffer + u64::from(offset!(buffer_control));
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `TcpRetransmit`.
    unsafe {
        (*record).cookie = common.cookie();
        read_into(
            &raw mut (*record).sequence,
            segment,
            offset!(segment_sequence),
        );
        read_into(
            &raw mut (*record).end_sequence,
            segment,
            offset!(segment_end_sequence),
        );
        (*record).state = common.state();
        (*record).ca_state = congestion_state(socket);
        (*record).pending = read(socket, offset!(connection_pending)).unwrap_or(u8::MAX);
        (*record).reserved[0] = 0;
        (*record).reserved[1] = 0;
        (*record).reserved[2] = 0;
        (*record).network = common.network();
        (*record).family = ends.family;
        (*record).local_port = ends.source_port;
        (*record).remote_port = ends.destination_port;
        write_address(&raw mut (*record).local, ends.family, ends.source);
        write_address(&raw mut (*record).remote, ends.family, ends.destination);
    }
    slot.submit();
    0
}

/// `TCP_CA_*` of a socket, 0xff where unknown.
#[inline(always)]
pub fn congestion_state(socket: u64) -> u8 {
    read::<u8>(socket, offset!(connection_ca_state)).map_or(u8::MAX, |byte| byte & CA_STATE)
}

/// TP_PROTO(const struct sock *sk, const struct sk_buff *skb[, enum sk_rst_reason reason])
///
/// The packet that is answered says who is meant where there is no socket, or only one that
/// listens; a socket that resets of its own accord answers none.
#[raw_tracepoint(tracepoint = "tcp_send_reset")]
pub fn tcp_send_reset(context: RawTracePointContext) -> i32 {
    let (socket, buffer): (u64, u64) = (context.arg(0), context.arg(1));
    let reason = if config().reset_reason() != 0 {
        context.arg(2)
    } else {
        UNKNOWN
    };
    let ends = if buffer != 0 {
        ends::of_buffer(buffer).map(answer_to)
    } else {
        SocketCommon::of(socket).ends()
    };
    let network = if socket != 0 {
        network_of_socket(socket)
    } else {
        0
    };
    report(reset::SENT, ends, network, reason);
    0
}

/// TP_PROTO(struct sock *sk)
#[raw_tracepoint(tracepoint = "tcp_receive_reset")]
pub fn tcp_receive_reset(context: RawTracePointContext) -> i32 {
    let socket: u64 = context.arg(0);
    let network = network_of_socket(socket);
    report(
        reset::RECEIVED,
        SocketCommon::of(socket).ends(),
        network,
        UNKNOWN,
    );
    0
}

/// This end of a packet that arrived is its destination.
#[inline(always)]
fn answer_to(packet: Ends) -> Ends {
    Ends {
        source: packet.destination,
        destination: packet.source,
        source_port: packet.destination_port,
        destination_port: packet.source_port,
        ..packet
    }
}

#[inline(always)]
fn report(action: u8, ends: Option<Ends>, network: u32, reason: u32) {
    let Some(ends) = ends.filter(flow::is_known) else {
        return;
    };
    let ports = || emit::ports(ends.source_port, ends.destination_port);
    let Some(mut slot) = emit::reserve_of::<TcpReset>(hook::TRACEPOINT, 0, ports) else {
        return;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `TcpReset`.
    unsafe {
        (*record).reason = reason;
        (*record).family = ends.family;
        (*record).action = action;
        (*record).reserved = 0;
        (*record).local_port = ends.source_port;
        (*record).remote_port = ends.destination_port;
        (*record).network = network;
        write_address(&raw mut (*record).local, ends.family, ends.source);
        write_address(&raw mut (*record).remote, ends.family, ends.destination);
    }
    slot.submit();
}
