//! Journeys: requests for one URL each.

use super::{OwnAddress, Process, Resolution, Route};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    Failed,
    /// The capture ended, or lost events, before the end of the story.
    Incomplete,
}

/// Stage at which a journey failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Resolve,
    Route,
    Neighbor,
    Connect,
    Tls,
    Http,
}

/// Why a journey failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    pub stage: Stage,
    /// nxdomain, dns_timeout, refused, unreachable, neighbor_failed, timeout, reset, alert, certificate, closed_early, ...
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// What shows it.
    pub evidence: Vec<String>,
}

/// A part of a journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Phase {
    pub at_ns: u64,
    pub duration_ns: u64,
}

/// The parts of a journey; null when a part did not happen. What remains of the total is
/// the client's own time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Phases {
    pub resolve: Option<Phase>,
    pub route: Option<Phase>,
    pub neighbor: Option<Phase>,
    pub connect: Option<Phase>,
    pub tls: Option<Phase>,
    /// To the last request byte on the wire.
    pub request: Option<Phase>,
    /// From there to the first response byte.
    pub wait: Option<Phase>,
    /// To the last response byte.
    pub response: Option<Phase>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    Process,
    Dns,
    Route,
    Link,
    Tcp,
    Quic,
    Tls,
    Http,
}

impl Layer {
    /// The word used in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Dns => "dns",
            Self::Route => "route",
            Self::Link => "link",
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Tls => "tls",
            Self::Http => "http",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventDirection {
    Out,
    In,
    Local,
}

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TimelineEvent {
    pub at_ns: u64,
    pub layer: Layer,
    pub direction: EventDirection,
    pub summary: String,
    /// The hook or frame that shows it, for instance `xdp eth0 frame 12`.
    pub evidence: String,
}

/// A remark worth a line: a retransmission, a slow phase, an expired certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    pub kind: String,
    pub message: String,
}

/// Something that is missing from a journey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Gap {
    /// Class of event; `payload`; `capture` where the capture was cut, `connections` where a
    /// connection was not followed to its end, `namespace` where it was not seen because its
    /// client is in another network namespace.
    pub class: String,
    /// Events, or bytes for `payload`; 0 where it is not known how many are missing.
    pub count: u64,
    pub at_ns: u64,
    /// From the first to the last of them; 0 where only one moment is known.
    pub duration_ns: u64,
    /// What it touches.
    pub message: String,
}

/// One request for one URL, from the process that asked to the last FIN.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Journey {
    pub id: String,
    /// Null where the scheme or host is not known. The path is shown only where it was seen.
    pub url: Option<String>,
    /// `http` or `https`; of a sealed connection that is no web traffic the service's name
    /// (`imaps`, `smtp`, ...), else `tls` or `quic`.
    pub scheme: Option<String>,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub process: Option<Process>,
    pub outcome: Outcome,
    pub failure: Option<Failure>,
    pub findings: Vec<Finding>,
    pub started_at_ns: u64,
    pub duration_ns: u64,
    pub phases: Phases,
    pub resolution: Resolution,
    /// Ids in `dns`.
    pub dns: Vec<String>,
    pub route: Option<Route>,
    /// The address the client spoke from; null where the host's interfaces are not known.
    pub own_address: Option<OwnAddress>,
    /// Id in `neighbors`.
    pub neighbor: Option<String>,
    /// Ids of every connection tried, in order.
    pub attempts: Vec<String>,
    /// Id of the connection that carried it.
    pub connection: Option<String>,
    /// Id in the connection's `http`.
    pub http: Option<String>,
    pub reused_connection: bool,
    /// The journey that caused this one (a redirect).
    pub caused_by: Option<String>,
    pub timeline: Vec<TimelineEvent>,
    pub gaps: Vec<Gap>,
}
