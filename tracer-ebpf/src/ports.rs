//! Ports that traced processes speak to or listen on, or that somebody asked for.
//!
//! When processes are traced, nearly everything that the hooks see belongs to somebody else.
//! Most of that is told apart by its ports, which costs a look into an array, where its
//! addresses or its socket would cost a search in a hash table.

use aya_ebpf::{macros::map, maps::Array};

use crate::{layout::config, task};

/// One entry for each port, not 0 once it was used. Never taken back: a port too many costs a
/// search.
#[map]
static PORTS: Array<u8> = Array::with_max_entries(1 << 16, 0);

/// A traced process uses this port, of its own or of its peer; 0 is none.
#[inline(always)]
pub fn note(port: u16) {
    if port == 0 {
        return;
    }
    if let Some(entry) = PORTS.get_ptr_mut(u32::from(port)) {
        // SAFETY: an entry of the map; whoever writes it writes the same.
        unsafe { *entry = 1 };
    }
}

/// Is the whole host wanted, with all its ports?
#[inline(always)]
pub fn all_are_wanted() -> bool {
    task::whole_host() && config().ports_only() == 0
}

/// May something between these two ports be wanted?
#[inline(always)]
pub fn may_be_wanted(one: u16, other: u16) -> bool {
    all_are_wanted() || is_noted(one) || is_noted(other)
}

#[inline(always)]
fn is_noted(port: u16) -> bool {
    match PORTS.get_ptr(u32::from(port)) {
        // SAFETY: an entry of the map.
        Some(entry) => unsafe { *entry != 0 },
        None => false,
    }
}
