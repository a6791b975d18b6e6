//! Which flows are known, and how much of each has been copied.

use aya_ebpf::{macros::map, maps::LruHashMap};
use tracer_common::limits;

use super::work::{Work, recall};
use crate::ends::Ends;

/// IPPROTO_TCP.
const TCP: u8 = 6;

/// Both directions of a flow share one entry: the lower end comes first.
#[map]
pub static FLOWS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(limits::FLOWS, 0);

/// Packets of which the first fragment was wanted.
#[map]
pub static FRAGMENTED: LruHashMap<FlowKey, u32> = LruHashMap::with_max_entries(1024, 0);

/// Addresses as two words in the order they have on the wire; the comparison that makes a
/// key canonical only has to be the same every time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FlowKey {
    lower: [u64; 2],
    upper: [u64; 2],
    lower_port: u16,
    upper_port: u16,
    /// Address family and IP protocol.
    kind: u32,
}

/// Progress of a flow, per end that sends.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Flow {
    /// TCP: sequence number of the first payload byte.
    base: [u32; 2],
    /// TCP: `base` is set. An integer and not a bool, for the verifier's sake.
    begun: [u32; 2],
    /// UDP: payload bytes seen, per end and per direction of the hook, because on loopback
    /// each packet is seen twice.
    bytes: [u32; 4],
}

/// Where a flow starts.
pub static NEW: Flow = Flow {
    base: [0; 2],
    begun: [0; 2],
    bytes: [0; 4],
};

/// The key of the TCP flow between two ends, and 1 when the source is the upper one. For
/// programs that know the addresses from elsewhere than a frame.
#[inline(always)]
pub fn tcp_key(
    family: u32,
    source: [u64; 2],
    destination: [u64; 2],
    ports: [u16; 2],
) -> (FlowKey, usize) {
    let source_is_upper = if source[0] != destination[0] {
        source[0] > destination[0]
    } else if source[1] != destination[1] {
        source[1] > destination[1]
    } else {
        ports[0] > ports[1]
    };
    let kind = family << 16 | u32::from(TCP);
    let key = if source_is_upper {
        FlowKey {
            lower: destination,
            upper: source,
            lower_port: ports[1],
            upper_port: ports[0],
            kind,
        }
    } else {
        FlowKey {
            lower: source,
            upper: destination,
            lower_port: ports[0],
            upper_port: ports[1],
            kind,
        }
    };
    (key, usize::from(source_is_upper))
}

/// Bytes of payload that come before `sequence` in the direction of `end`, 0 where the
/// beginning was not seen. As [`tcp_position`], without taking note of anything.
///
/// # Safety
/// `flow` points to an entry of the map; `end` is 0 or 1.
#[inline(always)]
pub unsafe fn tcp_place(flow: *const Flow, end: usize, sequence: u32) -> u32 {
    let end = end & 1;
    // SAFETY: as the caller promises.
    unsafe {
        let begun = *(&raw const (*flow).begun).cast::<u32>().add(end);
        let base = *(&raw const (*flow).base).cast::<u32>().add(end);
        let position = sequence.wrapping_sub(base);
        if begun == 0 || position > 0xffff_0000 {
            0
        } else {
            position
        }
    }
}

/// Writes the key of the flow between two ends; 1 when the source is the upper one. For
/// fragments the identification takes the place of the ports: then both ends are compared
/// by address only, and a packet between a host and itself keeps its order.
///
/// # Safety
/// `key` is valid for writes, `work` is this CPU's entry of the map.
#[inline(always)]
pub unsafe fn write_key(
    key: *mut FlowKey,
    work: *const Work,
    source_port: u32,
    destination_port: u32,
) -> u32 {
    let source = [
        recall!(work.network.source[0]),
        recall!(work.network.source[1]),
    ];
    let destination = [
        recall!(work.network.destination[0]),
        recall!(work.network.destination[1]),
    ];
    let source_is_upper = if source[0] != destination[0] {
        source[0] > destination[0]
    } else if source[1] != destination[1] {
        source[1] > destination[1]
    } else {
        source_port > destination_port
    };
    let kind = recall!(work.network.family) << 16 | recall!(work.network.protocol);
    // SAFETY: as the caller promises.
    unsafe {
        (*key).kind = kind;
        if source_is_upper {
            (*key).lower = destination;
            (*key).upper = source;
            (*key).lower_port = destination_port as u16;
            (*key).upper_port = source_port as u16;
            1
        } else {
            (*key).lower = source;
            (*key).upper = destination;
            (*key).lower_port = source_port as u16;
            (*key).upper_port = destination_port as u16;
            0
        }
    }
}

/// Is the flow between these two ends known?
#[inline(always)]
pub fn is_known(ends: &Ends) -> bool {
    let (from, to) = (ends.source, ends.destination);
    let source_is_upper = if from[0] != to[0] {
        from[0] > to[0]
    } else if from[1] != to[1] {
        from[1] > to[1]
    } else {
        ends.source_port > ends.destination_port
    };
    let (lower, upper, ports) = if source_is_upper {
        (to, from, [ends.destination_port, ends.source_port])
    } else {
        (from, to, [ends.source_port, ends.destination_port])
    };
    let key = FlowKey {
        lower,
        upper,
        lower_port: ports[0],
        upper_port: ports[1],
        kind: u32::from(ends.family) << 16 | u32::from(ends.protocol),
    };
    FLOWS.get_ptr(&key).is_some()
}

/// Bytes of payload that come before this segment in its direction.
///
/// Counted in sequence numbers and not in packets: a retransmission or a second sight of
/// the same segment (loopback, veth, bridge) uses up nothing.
///
/// # Safety
/// `flow` points to an entry of the map; `end` is 0 or 1.
#[inline(always)]
pub unsafe fn tcp_position(flow: *mut Flow, end: usize, sequence: u32, is_syn: bool) -> u32 {
    let end = end & 1;
    // SYN takes one sequence number, RFC 9293 section 3.4.
    let first = if is_syn {
        sequence.wrapping_add(1)
    } else {
        sequence
    };
    // SAFETY: as the caller promises.
    unsafe {
        let base = (&raw mut (*flow).base).cast::<u32>().add(end);
        let begun = (&raw mut (*flow).begun).cast::<u32>().add(end);
        if is_syn || *begun == 0 {
            *base = first;
            *begun = 1;
        }
        let position = first.wrapping_sub(*base);
        // A little before the first byte we know of: an old retransmission, a keep-alive.
        if position > 0xffff_0000 { 0 } else { position }
    }
}

/// Bytes of UDP payload that came before this datagram, at this hook.
///
/// # Safety
/// `flow` points to an entry of the map; `slot` is below 4.
#[inline(always)]
pub unsafe fn udp_position(flow: *mut Flow, slot: usize, length: u32) -> u32 {
    // SAFETY: as the caller promises.
    unsafe {
        let bytes = (&raw mut (*flow).bytes).cast::<u32>().add(slot & 3);
        let position = *bytes;
        *bytes = position.saturating_add(length);
        position
    }
}
