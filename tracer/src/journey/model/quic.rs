//! What is particular to QUIC.

use super::End;
use schemars::JsonSchema;
use serde::Serialize;

/// What a QUIC connection (RFC 9000) tells beside its TLS session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Quic {
    /// The version spoken: `1`, `2`, `draft-29`, or a number.
    pub version: String,
    /// The version of the client's first packet.
    pub offered_version: String,
    /// What the server says it speaks, when it refused the offered version.
    pub version_negotiation: Option<Vec<String>>,
    /// The server made the client prove its address first (RFC 9000, section 8.1.2).
    pub retry: bool,
    /// Connection ids in hexadecimal: where the client's first packet went, and how each
    /// end wanted to be addressed at last.
    pub original_destination_id: Option<String>,
    pub client_id: Option<String>,
    pub server_id: Option<String>,
    /// Datagrams of the handshake: those with a long header in them.
    pub datagrams: Vec<QuicDatagram>,
    /// The first CONNECTION_CLOSE that could be read.
    pub close: Option<QuicClose>,
}

/// One datagram of a QUIC handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct QuicDatagram {
    pub at_ns: u64,
    pub end: End,
    /// Payload of UDP.
    pub bytes: u64,
    /// Initial, 0-RTT, Handshake, Retry, Version Negotiation, 1-RTT.
    pub packets: Vec<String>,
    /// Handshake messages that are complete with this datagram.
    pub messages: Vec<String>,
}

/// How a QUIC connection was closed (RFC 9000, section 19.19).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct QuicClose {
    pub at_ns: u64,
    pub end: End,
    /// The application closed it, with a code of its own; else the transport.
    pub application: bool,
    pub code: u64,
    /// Name of a code of the transport.
    pub name: Option<String>,
    pub reason: Option<String>,
}
