//! Which frames cross the ring, and how much of each.
//!
//! Always: ARP, NDP, ICMP, DHCP and every kind of DNS. TCP and other UDP only for flows
//! that are known: those of traced sockets, or with the whole host in scope every TCP flow
//! and QUIC.

use tracer_common::{event::direction, limits};

use super::{
    Arrival,
    flow::{self, FLOWS, FRAGMENTED, Flow},
    parse::kind,
    work::{Work, recall},
};
use crate::{layout::config, ports, socket::TRACED_SOCKETS, task, tcp::LISTENERS};

/// Everything there is.
const WHOLE: u32 = u32::MAX;
/// The frame is not wanted at all.
const NOTHING: u32 = 0;
/// SYN, in the fourth word of a TCP header.
const SYN: u32 = 0x0002_0000;

/// Index of the loopback interface in every network namespace (LOOPBACK_IFINDEX,
/// include/net/flow.h).
const LOOPBACK: u32 = 1;

/// Writes down how many bytes of the frame to copy; 0 when it is not wanted at all.
#[inline(always)]
pub fn packet(work: *mut Work, arrival: &Arrival) {
    let wanted = bytes_wanted(work, arrival);
    // SAFETY: `work` is this CPU's entry of the map.
    unsafe { (*work).packet.wanted = wanted };
}

#[inline(always)]
fn bytes_wanted(work: *mut Work, arrival: &Arrival) -> u32 {
    let of_kind = recall!(work.packet.kind);
    if of_kind == kind::OTHER {
        return NOTHING;
    }
    if of_kind == kind::CONTROL {
        return WHOLE;
    }
    // SAFETY: `work` is this CPU's entry of the map.
    let fragments = unsafe { &(*work).packet.fragments };
    if of_kind == kind::FRAGMENT {
        return if FRAGMENTED.get_ptr(fragments).is_some() {
            WHOLE
        } else {
            NOTHING
        };
    }
    let wanted = if of_kind == kind::UDP {
        udp(work, arrival)
    } else {
        tcp(work, arrival)
    };
    // So are then the other fragments, which come without ports (a large DNS answer).
    if wanted != NOTHING && recall!(work.packet.fragmented) != 0 {
        let _ = FRAGMENTED.insert(fragments, &1, 0);
    }
    wanted
}

#[inline(always)]
fn udp(work: *mut Work, arrival: &Arrival) -> u32 {
    let source_port = recall!(work.packet.source_port);
    let destination_port = recall!(work.packet.destination_port);
    if is_service_port(source_port) || is_service_port(destination_port) {
        return WHOLE;
    }
    let is_quic = source_port == 443 || destination_port == 443;
    let Some(flow) = known_flow(work).or_else(|| {
        let of_host = is_quic
            && task::whole_host()
            && ports::may_be_wanted(source_port as u16, destination_port as u16);
        let wanted = of_host || is_of_traced_socket(arrival);
        if wanted { make_flow(work) } else { None }
    }) else {
        return NOTHING;
    };
    let end = recall!(work.packet.end) as usize;
    let slot = end * 2 + usize::from(arrival.direction == direction::IN);
    let length = recall!(work.packet.payload_length);
    // SAFETY: `flow` is an entry of the map.
    let position = unsafe { flow::udp_position(flow, slot, length) };
    within_budget(work, position)
}

#[inline(always)]
fn tcp(work: *mut Work, arrival: &Arrival) -> u32 {
    let source_port = recall!(work.packet.source_port);
    let destination_port = recall!(work.packet.destination_port);
    if source_port == 53 || destination_port == 53 {
        return WHOLE;
    }
    let (own_port, peer_port) = if arrival.direction == direction::IN {
        (destination_port, source_port)
    } else {
        (source_port, destination_port)
    };
    if !ports::may_be_wanted(source_port as u16, destination_port as u16) {
        return NOTHING;
    }
    let Some(flow) = known_flow(work).or_else(|| {
        let wanted = task::whole_host()
            || is_of_traced_socket(arrival)
            || is_of_traced_listener(own_port)
            || is_seen_once(arrival) && is_of_traced_listener(peer_port);
        if wanted { make_flow(work) } else { None }
    }) else {
        return NOTHING;
    };
    let is_syn = recall!(work.packet.control) & SYN != 0;
    let end = recall!(work.packet.end) as usize;
    let sequence = recall!(work.packet.sequence);
    // SAFETY: `flow` is an entry of the map.
    let position = unsafe { flow::tcp_position(flow, end, sequence, is_syn) };
    within_budget(work, position)
}

/// DNS (RFC 1035), DHCP (RFC 2131), DHCPv6 (RFC 8415), mDNS (RFC 6762), LLMNR (RFC 4795).
#[inline(always)]
fn is_service_port(port: u32) -> bool {
    port == 53
        || port == 67
        || port == 68
        || port == 546
        || port == 547
        || port == 5353
        || port == 5355
}

#[inline(always)]
fn is_of_traced_socket(arrival: &Arrival) -> bool {
    arrival.cookie != 0 && TRACED_SOCKETS.get_ptr(arrival.cookie).is_some()
}

/// On loopback what leaves is what arrives, and no hook sees it twice.
#[inline(always)]
fn is_seen_once(arrival: &Arrival) -> bool {
    arrival.interface == LOOPBACK && arrival.direction != direction::IN
}

#[inline(always)]
fn is_of_traced_listener(own_port: u32) -> bool {
    LISTENERS.get_ptr(own_port as u16).is_some()
}

#[inline(always)]
fn known_flow(work: *const Work) -> Option<*mut Flow> {
    // SAFETY: `work` is this CPU's entry of the map.
    FLOWS.get_ptr_mut(unsafe { &(*work).packet.key })
}

#[inline(always)]
fn make_flow(work: *const Work) -> Option<*mut Flow> {
    // SAFETY: `work` is this CPU's entry of the map.
    let key = unsafe { &(*work).packet.key };
    let _ = FLOWS.insert(key, &flow::NEW, 0);
    FLOWS.get_ptr_mut(key)
}

/// The headers, and the part of the payload that the budget still covers.
#[inline(always)]
fn within_budget(work: *const Work, position: u32) -> u32 {
    if config().full() != 0 {
        return WHOLE;
    }
    let rest = config().payload_budget().saturating_sub(position);
    recall!(work.packet.payload_offset)
        .saturating_add(rest)
        .max(limits::FRAME_HEADERS)
}
