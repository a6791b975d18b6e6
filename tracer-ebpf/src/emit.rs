//! The way out: reserve a record, fill it in place, hand it over; count what did not fit.
//!
//! Records are never built on the stack (512 bytes for the whole call chain), and the time
//! is taken after the reserve, so that no record later in the ring can be older than the
//! moment the reader found the ring empty.

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns},
    macros::map,
    maps::{PerCpuArray, RingBuf, ring_buf::RingBufEntry},
};
use tracer_common::{
    event, limits, loss,
    record::{Header, Lost},
};

use crate::{layout, task};

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(limits::RING_BYTES, 0);

/// What did not fit into `EVENTS`: when, where, and of which connection, so that only the
/// journeys that it touches are marked. Never wakes the reader, who looks by its timer.
#[map]
static LOSSES: RingBuf = RingBuf::with_byte_size(limits::LOSSES_BYTES, 0);

/// Failed reserves per class of which `LOSSES` had no room to tell. Per CPU, so that counting
/// needs no atomic operation; one value for all classes, so that the tracer reads them with
/// one system call.
#[map]
static LOST: PerCpuArray<loss::Counters> = PerCpuArray::with_max_entries(1, 0);

/// A record in the ring that is not yet handed over.
pub struct Slot<T: 'static> {
    entry: RingBufEntry<T>,
}

/// Every record starts with a header.
///
/// # Safety
/// The implementor is `repr(C)` with a [`Header`] as its first member.
pub unsafe trait Record: Sized + 'static {
    const EVENT: u16;
    /// Under which it is counted when it is lost.
    const CLASS: u32 = match event::class(Self::EVENT) {
        Some(class) => class,
        None => panic!("an event without a class"),
    };
}

macro_rules! records {
    ($($record:ident: $event:ident;)*) => {$(
        // SAFETY: each of these starts with a `Header`, see tracer_common::record.
        unsafe impl Record for tracer_common::record::$record {
            const EVENT: u16 = event::$event;
        }
    )*};
}

records! {
    TcpState: TCP_STATE;
    SocketOwner: SOCKET_OWNER;
    LayerPassage: LAYER_PASSAGE;
    TcpSample: TCP_SAMPLE;
    TcpRetransmit: TCP_RETRANSMIT;
    TcpReset: TCP_RESET;
    PacketDrop: PACKET_DROP;
    Route: ROUTE;
    Neighbor: NEIGHBOR;
    GetAddrInfo: GET_ADDR_INFO;
    FileOpen: FILE_OPEN;
    ProcessFork: PROCESS_FORK;
    ProcessExec: PROCESS_EXEC;
    ProcessExit: PROCESS_EXIT;
}

/// Reserves a record and writes its header; counts it as lost when the ring is full.
#[inline(always)]
pub fn reserve<T: Record>(hook: u8, context: &impl EbpfContext) -> Option<Slot<T>> {
    reserve_flagged(hook, task::context_flags(context))
}

/// As [`reserve`], for hooks that know their context: cgroup programs may not look at the
/// current task on every kernel, and always run in a system call.
#[inline(always)]
pub fn reserve_flagged<T: Record>(hook: u8, flags: u8) -> Option<Slot<T>> {
    reserve_of(hook, flags, || UNKNOWN)
}

/// As [`reserve`], for what is known to be of one TCP connection: its [`ports`], which are
/// asked for only when the record is lost.
#[inline(always)]
pub fn reserve_of<T: Record>(hook: u8, flags: u8, ports: impl FnOnce() -> u32) -> Option<Slot<T>> {
    let Some(mut entry) = EVENTS.reserve::<T>(0) else {
        lose(T::CLASS, ports());
        return None;
    };
    let header: *mut Header = entry.as_mut_ptr().cast();
    // SAFETY: a `Record` starts with a header, and the reserved memory holds a record.
    unsafe {
        (*header).event = T::EVENT;
        (*header).hook = hook;
        (*header).flags = flags;
        (*header).reserved = 0;
        (*header).at_ns = bpf_ktime_get_boot_ns();
    }
    Some(Slot { entry })
}

impl<T> Slot<T> {
    /// Where to write. Plain members are assigned through it; never a whole record.
    #[inline(always)]
    pub fn record(&mut self) -> *mut T {
        self.entry.as_mut_ptr()
    }

    /// Hands the record over. The reader finds it within its timer's period.
    #[inline(always)]
    pub fn submit(self) {
        self.entry.submit(wakeup(size_of::<T>() as u64));
    }

    /// Hands the record over and wakes the reader, because what it describes may be gone
    /// within the timer's period (a short-lived process in /proc).
    #[inline(always)]
    pub fn submit_now(self) {
        self.entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
    }
}

/// Copies `length` bytes, at least 1 and within what is behind `from`, into the ring.
///
/// # Safety
/// `from` points to a map value of at least `length` bytes.
#[inline(always)]
pub unsafe fn output(class: u32, from: *const u8, length: u64, ports: impl FnOnce() -> u32) {
    // SAFETY: the caller vouches for the memory, the map is a ring buffer.
    let result = unsafe {
        aya_ebpf::helpers::generated::bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            from.cast_mut().cast(),
            length,
            wakeup(length),
        )
    };
    if result != 0 {
        lose(class, ports());
    }
}

/// Waking the reader costs about twenty times what a record does: it has a timer, and is
/// woken only when the ring fills faster than that. Not by each record that finds it full,
/// because the reader is at work then, but by the one with which another step of
/// `wakeup_bytes` is full. `length` is that of the record. When two processors write at the
/// same time none of the two may take the step for its own: then the next step wakes the
/// reader, or its timer.
#[inline(always)]
fn wakeup(length: u64) -> u64 {
    let step = u64::from(layout::config().wakeup_bytes()).max(1);
    let behind = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    if behind / step != behind.saturating_sub(length) / step {
        u64::from(BPF_RB_FORCE_WAKEUP)
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}

/// A child of a traced process could not be followed.
#[inline(always)]
pub fn lose_process() {
    lose(loss::PROCESS, UNKNOWN);
}

/// [`ports`] of what is of no connection, or of one that cannot be told here.
pub const UNKNOWN: u32 = 0;

/// The ports of a TCP connection, host byte order, in an order that is the same for both of
/// its ends; [`UNKNOWN`] where one is.
#[inline(always)]
pub fn ports(one: u16, other: u16) -> u32 {
    if one == 0 || other == 0 {
        UNKNOWN
    } else if one < other {
        u32::from(one) << 16 | u32::from(other)
    } else {
        u32::from(other) << 16 | u32::from(one)
    }
}

/// Tells of a record for which there was no room; counts it where there is not even room
/// for that.
#[inline(always)]
fn lose(class: u32, ports: u32) {
    let Some(mut entry) = LOSSES.reserve::<Lost>(0) else {
        count_loss(class);
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points to reserved memory of a `Lost`; the helpers take no arguments.
    unsafe {
        (*record).at_ns = bpf_ktime_get_boot_ns();
        (*record).class = class;
        (*record).processor = bpf_get_smp_processor_id();
        (*record).ports = ports;
        (*record).reserved = 0;
    }
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
}

#[inline(always)]
fn count_loss(class: u32) {
    if let Some(counters) = LOST.get_ptr_mut(0) {
        // SAFETY: the slot is this CPU's own, and classes are below their number.
        unsafe { *counters.cast::<u64>().add(class as usize) += 1 };
    }
}
