//! What a process gives up before it decodes what strangers sent.
//!
//! A capture needs rights to begin, and a fraction of them to go on. Everything that parses
//! bytes from the wire or from a file runs behind this fence.

mod capabilities;

pub use capabilities::{FenceError, keep_only};
pub use caps::Capability;
