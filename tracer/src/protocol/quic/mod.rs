//! QUIC versions 1 and 2 (RFC 9000, RFC 9001, RFC 9369) and the last drafts before them:
//! packets of a datagram, their protection, frames, and the handshake in CRYPTO frames.
//!
//! Initial packets are sealed with keys that everyone who sees the first packet can derive
//! (RFC 9001, section 5.2); Handshake and 1-RTT packets need the secrets of a key log.

/// The stream that CRYPTO frames are parts of.
pub mod crypto;
/// Frames inside a packet in clear.
pub mod frame;
mod google;
/// Keys, and packets opened with them.
pub mod keys;
/// Packets as their headers describe them.
pub mod packet;
/// Versions and what differs between them.
pub mod version;

#[cfg(test)]
pub(crate) mod tests;
