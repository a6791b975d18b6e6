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
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The one that opened the connection.
    #[default]
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
    /// Processes other than `client_process` that read what arrived at the client's end, in
    /// order: they inherited its socket, or were passed it.
    pub client_readers: Vec<Process>,
    /// The same of the server's end.
    pub server_readers: Vec<Process>,
    /// Processes other than `client_process` that wrote what the client's end sends, in order;
    /// null where no write was seen, as where the way through the kernel is not watched.
    pub client_writers: Option<Vec<Process>>,
    /// The same of the server's end.
    pub server_writers: Option<Vec<Process>>,
    pub handshake: Handshake,
    /// State transitions of each end that is on this host, in time order.
    pub states: Vec<StateTransition>,
    /// Payload bytes sent by each end; retransmitted bytes count once.
    pub bytes: PerEnd,
    /// Segments sent by each end, pure acknowledgements included.
    pub segments: PerEnd,
    pub retransmissions: Vec<Retransmission>,
    /// How many there were beyond those 65,536 that are listed at most.
    pub retransmissions_unlisted: u64,
    /// Smoothed round-trip time at the end, from the kernel's own socket.
    pub srtt_ns: Option<u64>,
    pub drops: Vec<Drop>,
    /// Round-trip time and congestion window over time: the first ones, then every so many,
    /// and the last one of each end.
    pub tcp_samples: Vec<TcpSample>,
    /// Resets as the kernels' TCP sent and received them.
    pub resets: Vec<Reset>,
    pub zero_windows: Vec<ZeroWindow>,
    /// What somebody wrote of its packets in a pcapng file; left out where nobody did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
    pub close: Close,
    /// The payload's way through the layers of this host's kernel; null where it was not
    /// watched.
    pub kernel_path: Option<KernelPath>,
    /// The end that asks: that sends the ClientHello and the requests. `server` where it
    /// accepted a connection and then turned it round, as agents behind a firewall want it.
    pub requester: End,
    /// What QUIC itself tells; null over TCP.
    pub quic: Option<Box<Quic>>,
    pub tls: Option<Box<Tls>>,
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
    /// syn, fin, timeout, fast, tail_loss_probe, unknown.
    pub kind: String,
    /// What the kind is known by: the kind of hook by which the kernel told it, or `frames`.
    pub hook: String,
}

/// A packet the kernel gave up, with its own reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Drop {
    pub at_ns: u64,
    /// The end that had sent the packet.
    pub end: End,
    /// The kernel's word (`enum skb_drop_reason`, without its prefix).
    pub reason: String,
    /// Flags of the TCP segment, for instance `SYN` or `PSH ACK`; empty for a datagram.
    pub flags: String,
    pub hook: String,
}

/// A reset, as the TCP of the end that sent or received it saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reset {
    pub at_ns: u64,
    pub end: End,
    /// sent, received.
    pub action: String,
    /// The kernel's word (`enum sk_rst_reason`, without its prefix), where it gives one.
    pub reason: Option<String>,
    pub hook: String,
}

/// The numbers of one end's socket at one moment, from the kernel's own `struct tcp_sock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TcpSample {
    pub at_ns: u64,
    pub end: End,
    /// established, round_trip, timeout, closing, segment.
    pub moment: String,
    /// Smoothed round-trip time (RFC 6298).
    pub srtt_ns: Option<u64>,
    /// Mean deviation of the round-trip time: `rttvar` of ss(8).
    pub rttvar_ns: Option<u64>,
    /// Congestion window, segments.
    pub cwnd: Option<u32>,
    /// Slow start threshold, segments; null also while it is infinite.
    pub ssthresh: Option<u32>,
    /// Bytes of this end that the peer has acknowledged; SYN and FIN count.
    pub bytes_acked: u64,
    /// Bytes of the peer that arrived in order; SYN and FIN count.
    pub bytes_received: u64,
    /// Segments sent again so far.
    pub retransmits: Option<u32>,
    /// Segments considered lost at this moment.
    pub lost: Option<u32>,
    /// Segments sent and not yet acknowledged.
    pub in_flight: Option<u32>,
    /// open, disorder, cwr, recovery, loss.
    pub congestion: Option<String>,
    pub hook: String,
}

/// An end said that it has no room for more data (RFC 9293, section 3.8.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ZeroWindow {
    pub at_ns: u64,
    /// The end that has no room.
    pub end: End,
}

/// What somebody wrote of one packet of the connection (opt_comment of pcapng).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Comment {
    pub at_ns: u64,
    /// The end that had sent the packet.
    pub end: End,
    /// Number of the packet in the file, from 1.
    pub frame: u64,
    /// At most 1000 characters of it, on one line.
    pub text: String,
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
