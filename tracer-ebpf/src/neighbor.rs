//! The neighbour table: created, updated, used, given up.

use aya_ebpf::{EbpfContext, macros::raw_tracepoint, programs::RawTracePointContext};
use tracer_common::{
    event::{family, hook, neighbor},
    record::Neighbor,
};

use crate::{
    emit,
    layout::{offset, read, read_into},
    task,
};

/// Where the link-layer address of a record comes from.
enum Mac {
    /// The entry's own.
    Entry,
    /// An update's argument; null means that the update does not change it.
    Given(u64),
}

/// TP_PROTO(struct neigh_table *tbl, struct net_device *dev, const void *pkey,
/// const struct neighbour *n, bool exempt_from_gc)
#[raw_tracepoint(tracepoint = "neigh_create")]
pub fn neigh_create(context: RawTracePointContext) -> i32 {
    report(&context, context.arg(3), neighbor::CREATE, None, Mac::Entry)
}

/// TP_PROTO(struct neighbour *n, const u8 *lladdr, u8 new, u32 flags, u32 nlmsg_pid)
#[raw_tracepoint(tracepoint = "neigh_update")]
pub fn neigh_update(context: RawTracePointContext) -> i32 {
    let state: u64 = context.arg(2);
    report(
        &context,
        context.arg(0),
        neighbor::UPDATE,
        Some(state as u8),
        Mac::Given(context.arg(1)),
    )
}

/// TP_PROTO(struct neighbour *neigh, int err)
#[raw_tracepoint(tracepoint = "neigh_timer_handler")]
pub fn neigh_timer_handler(context: RawTracePointContext) -> i32 {
    report(&context, context.arg(0), neighbor::TIMER, None, Mac::Entry)
}

/// TP_PROTO(struct neighbour *neigh, int err)
#[raw_tracepoint(tracepoint = "neigh_event_send_done")]
pub fn neigh_event_send_done(context: RawTracePointContext) -> i32 {
    report(&context, context.arg(0), neighbor::USED, None, Mac::Entry)
}

/// TP_PROTO(struct neighbour *neigh, int err)
#[raw_tracepoint(tracepoint = "neigh_event_send_dead")]
pub fn neigh_event_send_dead(context: RawTracePointContext) -> i32 {
    report(&context, context.arg(0), neighbor::DEAD, None, Mac::Entry)
}

/// NUD_NONE, INCOMPLETE and FAILED: what is in `ha` is not an address yet.
const WITHOUT_ADDRESS: u8 = !(0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80);

#[inline(always)]
fn report(
    context: &impl EbpfContext,
    entry: u64,
    action: u8,
    new_state: Option<u8>,
    mac: Mac,
) -> i32 {
    let table_family = read::<u64>(entry, offset!(neighbor_table))
        .and_then(|table| read::<u32>(table, offset!(neighbor_table_family)));
    let address_family = match table_family {
        Some(2) => family::INET,
        Some(10) => family::INET6,
        _ => return 0,
    };
    let old_state = read::<u8>(entry, offset!(neighbor_state)).unwrap_or(0);
    let device = read::<u64>(entry, offset!(neighbor_device)).unwrap_or(0);
    let Some(mut slot) = emit::reserve::<Neighbor>(hook::TRACEPOINT, context) else {
        return 0;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `Neighbor`.
    unsafe {
        (*record).tgid = task::current().0;
        (*record).family = address_family;
        (*record).action = action;
        (*record).state = new_state.unwrap_or(old_state);
        (*record).reserved = 0;
        let has_old = old_state & !WITHOUT_ADDRESS != 0;
        match mac {
            Mac::Given(address) if address != 0 => {
                (*record).has_mac = 1;
                read_into(&raw mut (*record).mac, address, 0);
            }
            _ => {
                (*record).has_mac = u8::from(has_old);
                read_into(&raw mut (*record).mac, entry, offset!(neighbor_address));
            }
        }
        if address_family == family::INET6 {
            read_into(&raw mut (*record).ip, entry, offset!(neighbor_key));
        } else {
            core::ptr::write_bytes(&raw mut (*record).ip, 0, 1);
            let first = (&raw mut (*record).ip).cast::<[u8; 4]>();
            read_into(first, entry, offset!(neighbor_key));
        }
        read_into(&raw mut (*record).interface, device, offset!(device_name));
    }
    slot.submit();
    0
}
