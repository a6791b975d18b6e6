//! Every decoder as a [`Target`]: bytes in, and a promise checked about what comes out. The
//! fuzzer (`cargo xtask fuzz NAME`), the property tests and the committed findings run the
//! same bodies, so that what one of them finds the others keep.

/// Real bytes to start from.
pub mod captures;
/// What every document must hold.
mod document;
/// Inputs that were trouble once, and stay tests.
pub mod findings;
/// How time grows with the input.
pub mod growth;
/// Input that is a list.
pub mod pieces;
/// Files through the assembler.
mod play;
/// What a target is and how it is run.
pub mod target;
mod targets;
/// Frames around bytes.
mod wrap;

pub use target::Target;
pub use targets::{TARGETS, named};
