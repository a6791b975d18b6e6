//! From the frame to the ring, through a buffer.
//!
//! A reserve in the ring must be of constant size, so a frame of any length goes through a
//! buffer of its own and `bpf_ringbuf_output`. There is one buffer per CPU: XDP and TC
//! programs run with softirqs disabled, so none of them interrupts another.

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns},
    macros::map,
    maps::Array,
};
use tracer_common::{
    event, limits, loss,
    record::{FrameBuffer, FrameHead},
};

use super::{Arrival, source::Source};
use crate::{bounds, emit};

/// As many entries as CPUs, set before loading. Not a per-CPU array: those end at 32 KiB.
#[map]
static FRAME_BUFFERS: Array<FrameBuffer> = Array::with_max_entries(1, 0);

/// `bpf_xdp_load_bytes` refuses 65536.
const MOST: u64 = limits::FRAME_BYTES as u64 - 1;

#[inline(always)]
pub fn frame(source: &impl Source, arrival: &Arrival, wanted: u32) {
    // SAFETY: no arguments.
    let (at_ns, processor) = unsafe { (bpf_ktime_get_boot_ns(), bpf_get_smp_processor_id()) };
    let original_length = source.length();
    let length = u64::from(original_length.min(wanted)).min(MOST);
    let Some(length) = bounds::from_one(length, MOST) else {
        return;
    };
    let Some(buffer) = FRAME_BUFFERS.get_ptr_mut(processor) else {
        return;
    };
    // SAFETY: this CPU's own buffer; the bound keeps the copy inside it.
    unsafe {
        if !source.copy(0, (&raw mut (*buffer).bytes).cast(), length as u32) {
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
        );
    }
}
