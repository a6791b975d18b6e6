//! Lookups in the forwarding tables.
//!
//! A connect makes several of them, one per table and purpose; userspace collapses them.
//! A lookup in softirq (an answer, a forwarded packet) belongs to no process and is left
//! out.

use aya_ebpf::{
    EbpfContext,
    helpers::bpf_ktime_get_boot_ns,
    macros::{map, raw_tracepoint},
    maps::LruHashMap,
    programs::RawTracePointContext,
};
use tracer_common::{
    event::{family, hook},
    record::Route,
};

use crate::{
    emit,
    layout::{config, is_elsewhere, network_inode, offset, read, read_into, read_or_zero},
    task, words,
};

/// When a process last looked up a destination: with the whole host in scope, a busy
/// server would otherwise report the same decision for every packet.
#[map]
static RECENT: LruHashMap<Lookup, u64> = LruHashMap::with_max_entries(4096, 0);

#[repr(C)]
#[derive(Clone, Copy)]
struct Lookup {
    destination: [u32; 4],
    tgid: u32,
    table: u32,
}

/// The same decision of the same process is reported again after this time.
const REPEAT_NS: u64 = 1_000_000_000;

/// TP_PROTO(u32 tb_id, const struct flowi4 *flp, const struct fib_nh_common *nhc, int err)
#[raw_tracepoint(tracepoint = "fib_table_lookup")]
pub fn fib_table_lookup(context: RawTracePointContext) -> i32 {
    let table: u32 = context.arg(0);
    let flow: u64 = context.arg(1);
    let next_hop: u64 = context.arg(2);
    let error: i32 = context.arg(3);
    if !may_be_wanted() {
        return 0;
    }
    let word = read_or_zero::<u32>(flow, offset!(flow4_destination));
    let destination = [word, 0, 0, 0];
    if !is_news(destination, table) {
        return 0;
    }
    let device = device_of(next_hop);
    if is_elsewhere(device) || !is_wanted(&context, destination, table) {
        return 0;
    }
    let Some(mut slot) = emit::reserve::<Route>(hook::TRACEPOINT, &context) else {
        return 0;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `Route`.
    unsafe {
        start(record, table, family::INET);
        (*record).error = error;
        (&raw mut (*record).destination)
            .cast::<[u32; 4]>()
            .write(destination);
        let source = (&raw mut (*record).source).cast::<[u8; 4]>();
        read_into(source, flow, offset!(flow4_source));
        by_way_of(record, next_hop, device);
    }
    slot.submit();
    0
}

/// TP_PROTO(const struct net *net, const struct fib6_result *res, struct fib6_table *table,
/// const struct flowi6 *flp)
#[raw_tracepoint(tracepoint = "fib6_table_lookup")]
pub fn fib6_table_lookup(context: RawTracePointContext) -> i32 {
    let network: u64 = context.arg(0);
    let result: u64 = context.arg(1);
    let table: u64 = context.arg(2);
    let flow: u64 = context.arg(3);
    if !may_be_wanted() {
        return 0;
    }
    let table = read_or_zero::<u32>(table, offset!(fib6_table_id));
    let destination = read_or_zero::<[u32; 4]>(flow, offset!(flow6_destination));
    if !is_news(destination, table)
        || is_other_network(network)
        || !is_wanted(&context, destination, table)
    {
        return 0;
    }
    let next_hop = read_or_zero::<u64>(result, offset!(fib6_result_next_hop));
    let route = read_or_zero::<u64>(result, offset!(fib6_result_route));
    let null_entry = read::<u64>(network, offset!(network_fib6_null_entry));
    let Some(mut slot) = emit::reserve::<Route>(hook::TRACEPOINT, &context) else {
        return 0;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `Route`.
    unsafe {
        start(record, table, family::INET6);
        (*record).route_type = read_or_zero::<u8>(result, offset!(fib6_result_type));
        (*record).no_match = u8::from(null_entry == Some(route));
        (&raw mut (*record).destination)
            .cast::<[u32; 4]>()
            .write(destination);
        read_into(&raw mut (*record).source, flow, offset!(flow6_source));
        let common = offset!(fib6_next_hop_common);
        let common = if next_hop == 0 || common == tracer_common::layout::ABSENT {
            0
        } else {
            next_hop + u64::from(common)
        };
        by_way_of(record, common, device_of(common));
    }
    slot.submit();
    0
}

/// May a lookup of the current task be wanted? Asked first, because most are not.
#[inline(always)]
fn may_be_wanted() -> bool {
    task::whole_host() || task::is_traced(task::current().0)
}

/// Was the same lookup not told just now?
#[inline(always)]
fn is_news(destination: [u32; 4], table: u32) -> bool {
    if !task::whole_host() {
        return true;
    }
    let tgid = task::current().0;
    let Some(last) = RECENT.get_ptr(Lookup {
        destination,
        tgid,
        table,
    }) else {
        return true;
    };
    // SAFETY: no arguments; a value of an LRU map may be replaced while it is read, and a
    // wrong time costs or saves one record.
    unsafe { bpf_ktime_get_boot_ns().wrapping_sub(*last) >= REPEAT_NS }
}

/// A lookup that [`is_news`], in this network namespace: made by the process itself?
#[inline(always)]
fn is_wanted(context: &impl EbpfContext, destination: [u32; 4], table: u32) -> bool {
    if !task::runs_on_own_stack(context) {
        return false;
    }
    if task::whole_host() {
        let lookup = Lookup {
            destination,
            tgid: task::current().0,
            table,
        };
        // SAFETY: no arguments.
        let _ = RECENT.insert(lookup, unsafe { bpf_ktime_get_boot_ns() }, 0);
    }
    true
}

/// Fills what both families share and clears the rest.
///
/// # Safety
/// `record` is valid for writes.
#[inline(always)]
unsafe fn start(record: *mut Route, table: u32, address_family: u16) {
    // SAFETY: as the caller promises.
    unsafe {
        (*record).tgid = task::current().0;
        (*record).table = table;
        (*record).error = 0;
        (*record).family = address_family;
        (*record).gateway_family = 0;
        (*record).route_type = 0;
        (*record).no_match = 0;
        words::clear_six((&raw mut (*record).reserved).cast());
        words::clear::<4>((&raw mut (*record).source).cast());
        words::clear::<4>((&raw mut (*record).gateway).cast());
        words::clear::<4>((&raw mut (*record).interface).cast());
    }
}

/// Device of a `struct fib_nh_common`, which may be null.
#[inline(always)]
fn device_of(next_hop: u64) -> u64 {
    if next_hop == 0 {
        return 0;
    }
    read_or_zero(next_hop, offset!(next_hop_device))
}

/// Gateway and device of a `struct fib_nh_common`, either of which may be null.
///
/// # Safety
/// `record` is valid for writes.
#[inline(always)]
unsafe fn by_way_of(record: *mut Route, next_hop: u64, device: u64) {
    if next_hop == 0 {
        return;
    }
    let gateway = read_or_zero::<u8>(next_hop, offset!(next_hop_gateway_family));
    // SAFETY: as the caller promises.
    unsafe {
        (*record).gateway_family = u16::from(gateway);
        if gateway != 0 {
            read_into(
                &raw mut (*record).gateway,
                next_hop,
                offset!(next_hop_gateway),
            );
        }
        if device != 0 {
            read_into(&raw mut (*record).interface, device, offset!(device_name));
        }
    }
}

/// Is this network namespace certainly not the watched one?
#[inline(always)]
fn is_other_network(network: u64) -> bool {
    let watched = config().network();
    let inode = network_inode(network);
    watched != 0 && inode != 0 && inode != watched
}
