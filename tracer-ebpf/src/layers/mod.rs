//! The way through the kernel: which layer a TCP segment passed, and when.
//!
//! A passage names its segment by addresses and sequence numbers, not by the address of its
//! buffer: buffers are cloned (`__tcp_transmit_skb`), split (GSO), merged (GRO) and used
//! again, bytes of a stream are not. Only segments with payload are told, only those of
//! flows whose frames are wanted, within the same budget, and only in the watched network
//! namespace: another one may route the same segment once more.

mod down;
mod segment;
mod up;

use core::ptr;

use tracer_common::{event::family, record::LayerPassage};

use crate::{
    emit,
    layout::config,
    packet::flow::{self, FLOWS, Flow},
};
use segment::Segment;

/// The flow of this segment, where its frames are captured, and 1 when the source is its upper end.
#[inline(always)]
fn captured(segment: &Segment) -> Option<(*const Flow, usize)> {
    let ports = [segment.source_port, segment.destination_port];
    let (key, end) = flow::tcp_key(segment.family, segment.source, segment.destination, ports);
    Some((FLOWS.get_ptr(&key)?, end))
}

/// Is it within the budget of its flow?
///
/// # Safety
/// `flow` points to an entry of the map; `end` is 0 or 1.
#[inline(always)]
unsafe fn is_within_budget(flow: *const Flow, end: usize, sequence: u32) -> bool {
    if config().full() != 0 {
        return true;
    }
    // SAFETY: as the caller promises.
    let position = unsafe { flow::tcp_place(flow, end, sequence) };
    position < config().payload_budget()
}

/// Is this segment of a captured flow, and within its budget?
#[inline(always)]
fn is_wanted(segment: &Segment) -> bool {
    captured(segment).is_some_and(|(flow, end)| {
        // SAFETY: as `captured` found them.
        unsafe { is_within_budget(flow, end, segment.sequence) }
    })
}

/// Reports a segment with payload, if it is wanted.
#[inline(always)]
fn pass(hook: u8, place: u8, segment: Option<Segment>) {
    if let Some(segment) = segment
        && segment.length != 0
        && is_wanted(&segment)
    {
        tell(hook, place, &segment);
    }
}

#[inline(always)]
fn tell(hook: u8, place: u8, segment: &Segment) {
    let ports = || emit::ports(segment.source_port, segment.destination_port);
    let Some(mut slot) = emit::reserve_of::<LayerPassage>(hook, 0, ports) else {
        return;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `LayerPassage`.
    unsafe {
        (*record).sequence = segment.sequence;
        (*record).length = segment.length;
        (*record).family = segment.family as u16;
        (*record).place = place;
        (*record).reserved = 0;
        (*record).source_port = segment.source_port;
        (*record).destination_port = segment.destination_port;
        write_address(&raw mut (*record).source, segment.family, segment.source);
        write_address(
            &raw mut (*record).destination,
            segment.family,
            segment.destination,
        );
    }
    slot.submit();
}

/// # Safety
/// `into` is valid for writes.
#[inline(always)]
unsafe fn write_address(into: *mut [u8; 16], of_family: u32, words: [u64; 2]) {
    // An IPv4 address is the second word's first half, and stands first in a record.
    let words = if of_family == u32::from(family::INET) {
        [words[1], 0]
    } else {
        words
    };
    // SAFETY: as the caller promises.
    unsafe { ptr::write_unaligned(into.cast::<[u64; 2]>(), words) };
}
