#![no_std]
//! The records that cross the ring buffer, and the limits both sides agree on.
