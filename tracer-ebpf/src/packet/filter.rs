//! Which frames cross the ring, and how much of each.
//!
//! Always: ARP, NDP, ICMP, DHCP and every kind of DNS. TCP and other UDP only for flows
//! that are known: those of traced sockets, or with the whole host in scope every TCP flow
//! and QUIC.

use tracer_common::{event::direction, limits};

use super::{
    Arrival,
    flow::{self, FLOWS, FRAGMENTED, Flow, FlowKey},
    parse::{Packet, Segment, TcpSegment},
};
use crate::{layout::config, socket::TRACED_SOCKETS, task, tcp::LISTENERS};

/// Everything there is.
const WHOLE: u32 = u32::MAX;

/// How many bytes of the frame to copy, `None` when it is not wanted at all.
#[inline(always)]
pub fn bytes_wanted(packet: &Packet, arrival: &Arrival) -> Option<u32> {
    match packet {
        Packet::Control => Some(WHOLE),
        Packet::Fragment(key) => FRAGMENTED.get_ptr(key).map(|_| WHOLE),
        Packet::Udp(segment) => {
            let wanted = udp(segment, arrival)?;
            expect_fragments(segment);
            Some(wanted)
        }
        Packet::Tcp(tcp_segment) => {
            let wanted = tcp(tcp_segment, arrival)?;
            expect_fragments(&tcp_segment.segment);
            Some(wanted)
        }
    }
}

/// The first fragment of a packet is wanted: so are the others, which come without ports
/// (a large DNS answer, for instance).
#[inline(always)]
fn expect_fragments(segment: &Segment) {
    if let Some(identification) = segment.fragments {
        let _ = FRAGMENTED.insert(segment.key.of_fragments(identification), 1, 0);
    }
}

#[inline(always)]
fn udp(segment: &Segment, arrival: &Arrival) -> Option<u32> {
    if is_name_or_address_service(segment) {
        return Some(WHOLE);
    }
    let flow = match FLOWS.get_ptr_mut(segment.key) {
        Some(flow) => flow,
        None => {
            let is_quic = segment.source_port == 443 || segment.destination_port == 443;
            if !(task::whole_host() && is_quic) && !is_of_traced_socket(arrival) {
                return None;
            }
            make_flow(&segment.key)?
        }
    };
    let slot = segment.end * 2 + usize::from(arrival.direction == direction::IN);
    // SAFETY: `flow` is an entry of the map, `slot` is below 4.
    let position = unsafe { flow::udp_position(flow, slot, segment.payload_length) };
    Some(within_budget(segment, position))
}

#[inline(always)]
fn tcp(tcp: &TcpSegment, arrival: &Arrival) -> Option<u32> {
    let segment = &tcp.segment;
    if segment.source_port == 53 || segment.destination_port == 53 {
        return Some(WHOLE);
    }
    let flow = match FLOWS.get_ptr_mut(segment.key) {
        Some(flow) => flow,
        None => {
            if !task::whole_host()
                && !is_of_traced_socket(arrival)
                && !is_of_traced_listener(segment, arrival)
            {
                return None;
            }
            make_flow(&segment.key)?
        }
    };
    // SAFETY: `flow` is an entry of the map, `end` is 0 or 1.
    let position = unsafe { flow::tcp_position(flow, segment.end, tcp.sequence, tcp.is_syn) };
    Some(within_budget(segment, position))
}

/// DNS (RFC 1035), DHCP (RFC 2131), DHCPv6 (RFC 8415), mDNS (RFC 6762), LLMNR (RFC 4795).
#[inline(always)]
fn is_name_or_address_service(segment: &Segment) -> bool {
    is_service_port(segment.source_port) || is_service_port(segment.destination_port)
}

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
fn is_of_traced_listener(segment: &Segment, arrival: &Arrival) -> bool {
    let own_port = if arrival.direction == direction::IN {
        segment.destination_port
    } else {
        segment.source_port
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
fn within_budget(segment: &Segment, position: u32) -> u32 {
    if config().full() != 0 {
        return WHOLE;
    }
    let rest = config().payload_budget().saturating_sub(position);
    segment
        .payload_offset
        .saturating_add(rest)
        .max(limits::FRAME_HEADERS)
}
