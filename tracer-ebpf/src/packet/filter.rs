//! Which frames cross the ring, and how much of each.
//!
//! Always: ARP, NDP, ICMP, DHCP and every kind of DNS. TCP and other UDP only for flows
//! that are known: those of traced sockets, or with the whole host in scope every TCP flow
//! and QUIC.

use tracer_common::{event::direction, limits};

use super::{
    Arrival,
    flow::{self, FLOWS, FRAGMENTED, Flow, FlowKey},
    parse::{Packet, kind},
};
use crate::{layout::config, socket::TRACED_SOCKETS, task, tcp::LISTENERS};

/// Everything there is.
const WHOLE: u32 = u32::MAX;
/// The frame is not wanted at all.
const NOTHING: u32 = 0;

/// How many bytes of the frame to copy; 0 when it is not wanted at all.
#[inline(always)]
pub fn bytes_wanted(packet: &Packet, arrival: &Arrival) -> u32 {
    if packet.kind == kind::OTHER {
        return NOTHING;
    }
    if packet.kind == kind::CONTROL {
        return WHOLE;
    }
    if packet.kind == kind::FRAGMENT {
        let key = packet.key.of_fragments(packet.identification);
        return if FRAGMENTED.get_ptr(key).is_some() {
            WHOLE
        } else {
            NOTHING
        };
    }
    let wanted = if packet.kind == kind::UDP {
        udp(packet, arrival)
    } else {
        tcp(packet, arrival)
    };
    // So are then the other fragments, which come without ports (a large DNS answer).
    if wanted != NOTHING && packet.is_fragmented {
        let key = packet.key.of_fragments(packet.identification);
        let _ = FRAGMENTED.insert(key, 1, 0);
    }
    wanted
}

#[inline(always)]
fn udp(packet: &Packet, arrival: &Arrival) -> u32 {
    if is_service_port(packet.source_port) || is_service_port(packet.destination_port) {
        return WHOLE;
    }
    let flow = match FLOWS.get_ptr_mut(packet.key) {
        Some(flow) => flow,
        None => {
            let is_quic = packet.source_port == 443 || packet.destination_port == 443;
            if !(task::whole_host() && is_quic) && !is_of_traced_socket(arrival) {
                return NOTHING;
            }
            match make_flow(&packet.key) {
                Some(flow) => flow,
                None => return NOTHING,
            }
        }
    };
    let slot = usize::from(packet.end) * 2 + usize::from(arrival.direction == direction::IN);
    // SAFETY: `flow` is an entry of the map, `slot` is below 4.
    let position = unsafe { flow::udp_position(flow, slot, packet.payload_length) };
    within_budget(packet, position)
}

#[inline(always)]
fn tcp(packet: &Packet, arrival: &Arrival) -> u32 {
    if packet.source_port == 53 || packet.destination_port == 53 {
        return WHOLE;
    }
    let flow = match FLOWS.get_ptr_mut(packet.key) {
        Some(flow) => flow,
        None => {
            if !task::whole_host()
                && !is_of_traced_socket(arrival)
                && !is_of_traced_listener(packet, arrival)
            {
                return NOTHING;
            }
            match make_flow(&packet.key) {
                Some(flow) => flow,
                None => return NOTHING,
            }
        }
    };
    let end = usize::from(packet.end);
    // SAFETY: `flow` is an entry of the map, `end` is 0 or 1.
    let position = unsafe { flow::tcp_position(flow, end, packet.sequence, packet.is_syn) };
    within_budget(packet, position)
}

/// DNS (RFC 1035), DHCP (RFC 2131), DHCPv6 (RFC 8415), mDNS (RFC 6762), LLMNR (RFC 4795).
#[inline(always)]
fn is_service_port(port: u16) -> bool {
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

#[inline(always)]
fn is_of_traced_listener(packet: &Packet, arrival: &Arrival) -> bool {
    let own_port = if arrival.direction == direction::IN {
        packet.destination_port
    } else {
        packet.source_port
    };
    LISTENERS.get_ptr(own_port).is_some()
}

#[inline(always)]
fn make_flow(key: &FlowKey) -> Option<*mut Flow> {
    let _ = FLOWS.insert(key, &Flow::NEW, 0);
    FLOWS.get_ptr_mut(key)
}

/// The headers, and the part of the payload that the budget still covers.
#[inline(always)]
fn within_budget(packet: &Packet, position: u32) -> u32 {
    if config().full() != 0 {
        return WHOLE;
    }
    let rest = config().payload_budget().saturating_sub(position);
    packet
        .payload_offset
        .saturating_add(rest)
        .max(limits::FRAME_HEADERS)
}
