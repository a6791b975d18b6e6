//! Bytes to typed messages. Pure: no I/O, no clock, no state beyond the arguments, and
//! no input may panic, loop or allocate without bound.

/// DNS messages.
pub mod dns;
/// IP packets from their fragments.
pub mod fragments;
/// Ethernet, VLAN, cooked and loopback link layers down to the transport.
pub mod frame;
/// Text that is safe to show.
pub mod text;
