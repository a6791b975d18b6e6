//! The records that cross the ring buffer, and the limits both sides agree on.
//!
//! Everything is `repr(C)`, made of plain integers and byte arrays without implicit
//! padding, so that the kernel programs and the tracer read the same bytes. Enumerations
//! travel as integers: userspace converts them and counts what it does not know.
#![no_std]

pub mod config;
pub mod event;
pub mod layout;
pub mod limits;
pub mod loss;
pub mod record;

pub use config::Config;
pub use layout::Layout;
