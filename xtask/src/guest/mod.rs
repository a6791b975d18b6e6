//! Guests: ordinary kernels under emulation, for what this machine's kernel cannot show.

mod apt;
pub mod fleet;
mod image;
mod modules;
mod qemu;
pub mod release;
pub mod sources;
mod visit;
