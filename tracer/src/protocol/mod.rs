//! Bytes to typed messages. Pure: no I/O, no clock, no state beyond the arguments, and
//! no input may panic, loop or allocate without bound.

/// DHCP and DHCPv6 messages.
pub mod dhcp;
/// DNS messages.
pub mod dns;
/// IP packets from their fragments.
pub mod fragments;
/// Ethernet, VLAN, cooked and loopback link layers down to the transport.
pub mod frame;
/// HTTP/1.0 and HTTP/1.1.
pub mod http1;
/// HTTP/2 frames and header blocks.
pub mod http2;
/// QUIC packets, their protection, and the handshake they carry.
pub mod quic;
/// Checked reading of wire formats.
mod reader;
/// Text that is safe to show.
pub mod text;
/// TLS records, handshake messages and decryption.
pub mod tls;
