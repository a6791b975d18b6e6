//! From the frame to the ring, through a buffer.
//!
//! A reserve in the ring must be of constant size, so a frame of any length goes through
//! this CPU's buffer and `bpf_ringbuf_output`.

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use tracer_common::{event, limits, loss, record::FrameHead};

use super::{
    Arrival,
    parse::kind,
    source::{Begun, Source},
    work::{Work, recall},
};
use crate::{bounds, emit};

/// `bpf_xdp_load_bytes` refuses 65536.
const MOST: u64 = limits::FRAME_BYTES as u64 - 1;

#[inline(always)]
pub fn frame<S: Source>(source: &Begun<'_, S>, arrival: &Arrival, work: *mut Work) {
    let wanted = recall!(work.packet.wanted);
    if wanted == 0 {
        return;
    }
    // SAFETY: no arguments.
    let at_ns = unsafe { bpf_ktime_get_boot_ns() };
    let original_length = source.length();
    let length = u64::from(original_length.min(wanted)).min(MOST);
    let Some(length) = bounds::from_one(length, MOST) else {
        return;
    };
    // SAFETY: this CPU's own buffer; the bound keeps the copy inside it.
    unsafe {
        let buffer = &raw mut (*work).frame;
        let is_copied = length <= u64::from(source.copied());
        if !is_copied && !source.copy(0, (&raw mut (*buffer).bytes).cast(), length as u32) {
            return;
        }
        let head = &raw mut (*buffer).head;
        (*head).header.event = event::FRAME;
        (*head).header.hook = arrival.hook;
        (*head).header.flags = 0;
        (*head).header.reserved = 0;
        (*head).header.at_ns = at_ns;
        (*head).cookie = arrival.cookie;
        (*head).original_length = original_length;
        (*head).captured = length as u32;
        (*head).interface = arrival.interface;
        (*head).vlan_protocol = arrival.vlan_protocol;
        (*head).vlan_tag = arrival.vlan_tag;
        (*head).direction = arrival.direction;
        (*head).link = arrival.link;
        emit::output(
            loss::FRAME,
            buffer.cast_const().cast(),
            length + size_of::<FrameHead>() as u64,
            || ports(work),
        );
    }
}

/// The ports of a TCP segment, for when it is lost.
#[inline(always)]
fn ports(work: *const Work) -> u32 {
    if recall!(work.packet.kind) != kind::TCP {
        return emit::UNKNOWN;
    }
    emit::ports(
        recall!(work.packet.source_port) as u16,
        recall!(work.packet.destination_port) as u16,
    )
}
