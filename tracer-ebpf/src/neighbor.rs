//! The neighbour table: created, updated, used, given up.

use aya_ebpf::{EbpfContext, macros::raw_tracepoint, programs::RawTracePointContext};
use tracer_common::{
    event::{family, hook, neighbor},
    record::Neighbor,
};

use crate::{
    emit,
    layout::{is_elsewhere, offset, read_into, read_or_zero},
    task, words,
};

/// What is known of an entry: most of it from the entry itself, the rest from the arguments
/// of the tracepoint.
struct Sighting {
    action: u8,
    /// `struct neigh_table`, which says the address family.
    table: u64,
    /// `struct net_device`.
    device: u64,
    /// Where the IP address is.
    key: u64,
    /// NUD_* after it.
    state: u8,
    /// Where the link-layer address is, 0 when none is known.
    mac: u64,
}

/// TP_PROTO(struct neigh_table *tbl, struct net_device *dev, const void *pkey,
/// const struct neighbour *n, bool exempt_from_gc). The entry itself is still empty.
#[raw_tracepoint(tracepoint = "neigh_create")]
pub fn neigh_create(context: RawTracePointContext) -> i32 {
    let sighting = Sighting {
        action: neighbor::CREATE,
        table: context.arg(0),
        device: context.arg(1),
        key: context.arg(2),
        state: 0,
        mac: 0,
    };
    report(&context, &sighting)
}

/// TP_PROTO(struct neighbour *n, const u8 *lladdr, u8 new, u32 flags, u32 nlmsg_pid)
#[raw_tracepoint(tracepoint = "neigh_update")]
pub fn neigh_update(context: RawTracePointContext) -> i32 {
    let mut sighting = entry(context.arg(0), neighbor::UPDATE);
    let given: u64 = context.arg(1);
    let state: u64 = context.arg(2);
    sighting.state = state as u8;
    // Null means that the address stays as it is.
    if given != 0 {
        sighting.mac = given;
    }
    report(&context, &sighting)
}

/// TP_PROTO(struct neighbour *neigh, int err)
#[raw_tracepoint(tracepoint = "neigh_timer_handler")]
pub fn neigh_timer_handler(context: RawTracePointContext) -> i32 {
    report(&context, &entry(context.arg(0), neighbor::TIMER))
}

/// TP_PROTO(struct neighbour *neigh, int err)
#[raw_tracepoint(tracepoint = "neigh_event_send_done")]
pub fn neigh_event_send_done(context: RawTracePointContext) -> i32 {
    report(&context, &entry(context.arg(0), neighbor::USED))
}

/// TP_PROTO(struct neighbour *neigh, int err)
#[raw_tracepoint(tracepoint = "neigh_event_send_dead")]
pub fn neigh_event_send_dead(context: RawTracePointContext) -> i32 {
    report(&context, &entry(context.arg(0), neighbor::DEAD))
}

/// NUD_REACHABLE, STALE, DELAY, PROBE, NOARP, PERMANENT: the entry has an address.
const WITH_ADDRESS: u8 = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;

/// What an entry says of itself.
#[inline(always)]
fn entry(address: u64, action: u8) -> Sighting {
    let state = read_or_zero::<u8>(address, offset!(neighbor_state));
    Sighting {
        action,
        table: read_or_zero::<u64>(address, offset!(neighbor_table)),
        device: read_or_zero::<u64>(address, offset!(neighbor_device)),
        key: address.wrapping_add(u64::from(offset!(neighbor_key))),
        state,
        mac: if state & WITH_ADDRESS == 0 {
            0
        } else {
            address.wrapping_add(u64::from(offset!(neighbor_address)))
        },
    }
}

#[inline(always)]
fn report(context: &impl EbpfContext, sighting: &Sighting) -> i32 {
    let table_family = read_or_zero::<u32>(sighting.table, offset!(neighbor_table_family));
    if table_family != u32::from(family::INET) && table_family != u32::from(family::INET6) {
        return 0;
    }
    // Another namespace's entries would look like our own: it may use the same names and
    // addresses.
    if is_elsewhere(sighting.device) {
        return 0;
    }
    let Some(mut slot) = emit::reserve::<Neighbor>(hook::TRACEPOINT, context) else {
        return 0;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `Neighbor`.
    unsafe {
        (*record).tgid = task::current().0;
        (*record).family = table_family as u16;
        (*record).action = sighting.action;
        (*record).state = sighting.state;
        (*record).has_mac = u8::from(sighting.mac != 0);
        (*record).reserved = 0;
        words::clear_six((&raw mut (*record).mac).cast());
        words::clear::<4>((&raw mut (*record).ip).cast());
        if sighting.mac != 0 {
            read_into(&raw mut (*record).mac, sighting.mac, 0);
        }
        if table_family == u32::from(family::INET6) {
            read_into(&raw mut (*record).ip, sighting.key, 0);
        } else {
            read_into((&raw mut (*record).ip).cast::<[u8; 4]>(), sighting.key, 0);
        }
        read_into(
            &raw mut (*record).interface,
            sighting.device,
            offset!(device_name),
        );
    }
    slot.submit();
    0
}
