//! The kernel side of tracer.
//!
//! Programs stay small: filter, time stamp, socket cookie, bytes. Everything is parsed
//! once, in userspace. One file per concern; what all of them use is in `emit` (the ring
//! and its loss counters), `bounds` (lengths the verifier believes), `layout` (where the
//! kernel's members are), `words` (memory by the word), `socket_common` (what a socket says of
//! itself), `memory` (tables that forget), `ports` (those of which anything is wanted) and `task`
//! (who is running, and whether it is traced).
#![no_std]
#![no_main]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a key or value passed by value is first copied to the stack, of which there are 512 bytes"
)]

mod bounds;
mod drops;
mod emit;
mod ends;
mod layers;
mod layout;
mod memory;
mod neighbor;
mod packet;
mod ports;
mod process;
mod resolver;
mod retransmit;
mod route;
mod sample;
mod socket;
mod socket_common;
mod task;
mod tcp;
mod words;

/// A reachable panic becomes an endless loop, which the verifier refuses: it can never run.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// SAFETY: nothing else defines these symbols; the kernel reads them as the licence that
// allows GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
