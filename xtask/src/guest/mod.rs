//! Guests: QEMU machines that run the end-to-end program on a distribution's own kernel.

mod apt;
pub mod image;
mod modules;
pub mod qemu;
pub mod release;
mod sources;
