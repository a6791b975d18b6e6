//! What this machine has and lacks: compiler for the kernel programs, linker, other programs.

pub mod linker;
pub mod packages;
pub mod toolchain;
