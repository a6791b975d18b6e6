//! Transport connections.

use super::{HttpExchange, KernelPath, Process, Quic, Tls};
use schemars::JsonSchema;
use serde::Serialize;

/// An address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Endpoint {
    pub ip: std::net::IpAddr,
    pub port: u16,
}

impl From<std::net::SocketAddr> for Endpoint {
    fn from(address: std::net::SocketAddr) -> Self {
        Self {
            ip: address.ip().to_canonical(),
            port: address.port(),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::net::SocketAddr::new(self.ip, self.port).fmt(formatter)
    }
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum End {
    Client,
    Server,
}

impl End {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The word used in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Tcp,
    Quic,
}

/// One transport connection.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Connection {
    pub id: String,
    pub transport: Transport,
    pub client: Endpoint,
    pub server: Endpoint,
    pub interface: Option<String>,
    pub client_process: Option<Process>,
    /// The process at the other end, when it is on this host.
    pub server_process: Option<Process>,
    pub handshake: Handshake,
    /// State transitions of each end that is on this host, in time order.
    pub states: Vec<StateTransition>,
    /// Payload bytes sent by each end; retransmitted bytes count once.
    pub bytes: PerEnd,
    /// Segments sent by each end, pure acknowledgements included.
    pub segments: PerEnd,
    pub retransmissions: Vec<Retransmission>,
    /// Smoothed round-trip time at the end, from the kernel's own socket.
    pub srtt_ns: Option<u64>,
    pub drops: Vec<Drop>,
    pub close: Close,
    /// The payload's way through the layers of this host's kernel; null where it was not
    /// watched.
    pub kernel_path: Option<KernelPath>,
    /// What QUIC itself tells; null over TCP.
    pub quic: Option<Quic>,
    pub tls: Option<Tls>,
    pub http: Vec<HttpExchange>,
}

/// A number for each end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PerEnd {
    pub client: u64,
    pub server: u64,
}

/// The three-way handshake (RFC 9293, section 3.5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Handshake {
    /// The first SYN.
    pub syn_at_ns: Option<u64>,
    pub syn_ack_at_ns: Option<u64>,
    /// The ACK that completes it.
    pub ack_at_ns: Option<u64>,
    /// From the last SYN before the SYN-ACK to the SYN-ACK.
    pub rtt_ns: Option<u64>,
    pub syn_retries: u32,
    /// Initial sequence numbers.
    pub client_isn: Option<u32>,
    pub server_isn: Option<u32>,
    pub client_options: Option<TcpOptions>,
    pub server_options: Option<TcpOptions>,
}

/// Options of a SYN or SYN-ACK.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TcpOptions {
    /// Maximum segment size in bytes.
    pub mss: Option<u16>,
    /// Shift count (RFC 7323).
    pub window_scale: Option<u8>,
    pub sack_permitted: bool,
    pub timestamps: bool,
    /// A TCP Fast Open cookie or cookie request (RFC 7413) is present.
    pub fast_open: bool,
}

/// One change of TCP state, as this host's kernel made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StateTransition {
    pub at_ns: u64,
    pub end: End,
    pub from: String,
    pub to: String,
    /// Kind of hook that saw it, or `frames` where the kernel has no event and the
    /// exchange on the wire proves it.
    pub hook: String,
}

/// A segment sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Retransmission {
    pub at_ns: u64,
    pub end: End,
    /// Sequence number relative to the initial one.
    pub seq: u64,
    pub bytes: u64,
    /// syn, fin, timeout, fast, unknown.
    pub kind: String,
}

/// A packet the kernel gave up, with its own reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Drop {
    pub at_ns: u64,
    pub reason: String,
}

/// How the connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Close {
    pub kind: CloseKind,
    /// Who sent the first FIN or the reset.
    pub first: Option<End>,
    /// The first FIN or the reset.
    pub at_ns: Option<u64>,
    /// Times of the messages of the close: first FIN, its ACK, second FIN, its ACK.
    pub messages: Vec<CloseMessage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CloseKind {
    Fin,
    Rst,
    Timeout,
    /// Still open when the capture ended.
    Open,
}

/// One message of a close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CloseMessage {
    pub at_ns: u64,
    pub end: End,
    /// fin, ack, rst.
    pub kind: String,
}
