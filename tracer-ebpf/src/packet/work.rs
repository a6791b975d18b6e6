//! Where a frame is taken apart and put together: one place per CPU, in a map.
//!
//! In a map and not on the stack for two reasons. The verifier follows every combination
//! of branches as long as what it knows of the values differs; but it knows nothing of
//! what a program reads back from a map, so that the paths join again after each stage
//! (142,000 instructions were verified before this, 2,500 now). And the stack is
//! 512 bytes.
//!
//! XDP and TC programs run with softirqs disabled: none of them interrupts another, so a
//! place per CPU is enough.

use aya_ebpf::{helpers::bpf_get_smp_processor_id, macros::map, maps::Array};
use tracer_common::record::FrameBuffer;

use super::flow::FlowKey;

/// As many entries as CPUs, set before loading. Not a per-CPU array: those end at 32 KiB.
#[map]
static FRAME_BUFFERS: Array<Work> = Array::with_max_entries(1, 0);

#[repr(C)]
pub struct Work {
    pub network: Network,
    pub packet: Packet,
    /// Bytes at the beginning of `frame` that are the frame's, see `Begun`.
    pub begun: u32,
    pub reserved: u32,
    pub frame: FrameBuffer,
}

/// An IP packet.
#[repr(C)]
pub struct Network {
    /// In the order they have on the wire.
    pub source: [u64; 2],
    pub destination: [u64; 2],
    pub family: u32,
    pub protocol: u32,
    /// Where the upper layer starts in the frame.
    pub offset: u32,
    /// Where the IP packet ends in the frame: Ethernet pads short ones.
    pub end: u32,
    /// Not 0: a later fragment, without an upper-layer header.
    pub fragment_offset: u32,
    /// Not 0: one of several fragments.
    pub fragmented: u32,
    /// Of the packet that the fragments make up.
    pub identification: u32,
    /// Of the link layer, host byte order.
    pub ethertype: u32,
}

/// What the filter needs to know.
#[repr(C)]
pub struct Packet {
    /// One of the numbers of `parse::kind`.
    pub kind: u32,
    /// Bytes of the frame that are wanted.
    pub wanted: u32,
    pub key: FlowKey,
    /// The fragments' key, where `fragmented` is not 0.
    pub fragments: FlowKey,
    pub fragmented: u32,
    /// 0: sent by the lower end of the key, 1: by the upper.
    pub end: u32,
    pub source_port: u32,
    pub destination_port: u32,
    /// Where the payload begins in the frame.
    pub payload_offset: u32,
    pub payload_length: u32,
    /// TCP.
    pub sequence: u32,
    /// TCP: data offset and flags, the fourth word of the header.
    pub control: u32,
}

/// This CPU's place.
#[inline(always)]
pub fn place() -> Option<*mut Work> {
    // SAFETY: no arguments.
    let processor = unsafe { bpf_get_smp_processor_id() };
    FRAME_BUFFERS.get_ptr_mut(processor)
}

/// Reads a member back, so that neither LLVM nor the verifier remembers what was written.
macro_rules! recall {
    ($place:ident . $part:ident . $($member:tt)+) => {
        $crate::packet::work::read_back(
            // SAFETY: only an address is taken, within an entry of the map (see `place`).
            unsafe { &raw const (*$place).$part.$($member)+ },
        )
    };
}
pub(crate) use recall;

/// For [`recall`] only, which passes the address of a member.
#[inline(always)]
pub fn read_back<T: Copy>(member: *const T) -> T {
    // SAFETY: as said there.
    unsafe { core::ptr::read_volatile(member) }
}
