//! What the kernel says of TCP beyond its states.

use super::HookKind;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// When the numbers of a socket were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleMoment {
    /// The handshake is complete.
    Established,
    /// A round trip was measured.
    RoundTrip,
    /// The retransmission timer ran out.
    Timeout,
    /// The connection began to close, or is closed.
    Closing,
    /// A segment arrived.
    Segment,
}

impl SampleMoment {
    /// The word used in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::RoundTrip => "round_trip",
            Self::Timeout => "timeout",
            Self::Closing => "closing",
            Self::Segment => "segment",
        }
    }
}

/// The kernel's state of congestion control, `TCP_CA_*` of include/uapi/linux/tcp.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CongestionState {
    Open,
    Disorder,
    Cwr,
    Recovery,
    Loss,
}

impl CongestionState {
    /// The word of the kernel's documentation, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Disorder => "disorder",
            Self::Cwr => "cwr",
            Self::Recovery => "recovery",
            Self::Loss => "loss",
        }
    }

    /// By the kernel's number; `None` for one that has no meaning.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Open,
            1 => Self::Disorder,
            2 => Self::Cwr,
            3 => Self::Recovery,
            4 => Self::Loss,
            _ => return None,
        })
    }
}

/// The numbers of a TCP socket at one moment, as `struct tcp_sock` has them; `None` where
/// this kernel does not, or nothing was measured yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpSample {
    /// Socket cookie.
    pub cookie: Option<u64>,
    pub moment: SampleMoment,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Smoothed round-trip time, nanoseconds.
    pub srtt_ns: Option<u64>,
    /// Mean deviation of the round-trip time, nanoseconds: `rttvar` of ss(8).
    pub rttvar_ns: Option<u64>,
    /// Congestion window, segments.
    pub cwnd: Option<u32>,
    /// Slow start threshold, segments; `None` also while it is infinite.
    pub ssthresh: Option<u32>,
    /// Bytes of this end that the peer has acknowledged; SYN and FIN count.
    pub bytes_acked: u64,
    /// Bytes of the peer that this end has received in order; SYN and FIN count.
    pub bytes_received: u64,
    /// Segments sent again since the socket was made.
    pub retransmits: Option<u32>,
    /// Segments considered lost now.
    pub lost: Option<u32>,
    /// Segments sent and not yet acknowledged.
    pub in_flight: Option<u32>,
    pub congestion: Option<CongestionState>,
    /// inode number of the socket's network namespace, where it is known.
    #[serde(default)]
    pub network_namespace: Option<u32>,
    pub hook: HookKind,
}

/// A TCP socket sent a segment again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpRetransmit {
    /// Socket cookie, `None` where the kernel has not assigned one.
    pub cookie: Option<u64>,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Sequence number of the first byte.
    pub sequence: u32,
    /// Sequence number behind the last byte; SYN and FIN count.
    pub end_sequence: u32,
    pub congestion: Option<CongestionState>,
    /// The timer that led to it was that of a tail loss probe (RFC 8985, section 7).
    /// `None` where this kernel does not say.
    pub probes_for_loss: Option<bool>,
    /// inode number of the socket's network namespace, where it is known.
    #[serde(default)]
    pub network_namespace: Option<u32>,
    pub hook: HookKind,
}

/// Which way a reset went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetAction {
    Sent,
    Received,
}

impl ResetAction {
    /// The word used in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }
}

/// TCP of this host sent or received a reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpReset {
    pub action: ResetAction,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// The kernel's own word (`enum sk_rst_reason`, without its prefix), where it has one.
    pub reason: Option<String>,
    /// inode number of the socket's network namespace, where it is known.
    #[serde(default)]
    pub network_namespace: Option<u32>,
    pub hook: HookKind,
}

/// The kernel gave up a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketDrop {
    /// Socket cookie of the sender of a TCP segment, where it is known.
    #[serde(default)]
    pub cookie: Option<u64>,
    /// The kernel's own word (`enum skb_drop_reason`, without its prefix).
    pub reason: String,
    /// IP protocol number.
    pub protocol: u8,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// Of a TCP segment.
    pub sequence: u32,
    /// The flags of a TCP segment: FIN, SYN, RST, PSH, ACK, URG, ECE, CWR from the lowest
    /// bit on.
    pub flags: u8,
    /// inode number of the network namespace in which that happened, where it is known.
    #[serde(default)]
    pub network_namespace: Option<u32>,
    pub hook: HookKind,
}

/// Counters of the watched network namespace (`/proc/net/netstat`), as far as they grew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenQueue {
    /// The queue of connections that wait for accept(2) was full.
    pub overflows: u64,
    /// SYNs that a listening socket did not take, for this and other reasons.
    pub drops: u64,
}
