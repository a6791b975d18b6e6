//! What this machine has and lacks: compiler for the kernel programs, linker, other programs.

mod backports;
pub mod linker;
mod llvm;
mod nightly;
pub mod packages;
pub mod toolchain;
pub mod tools;
