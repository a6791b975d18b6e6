//! The document and how its capture was made.

use super::{Connection, Cost, DhcpExchange, DnsExchange, Journey, NeighborExchange};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the JSON contract.
pub const SCHEMA_VERSION: u32 = 1;

/// The result of one capture.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Document {
    /// Version of this format.
    pub schema_version: u32,
    /// The program that wrote it.
    pub tracer: TracerInfo,
    /// The host on which it was captured.
    pub host: HostInfo,
    /// How it was captured and what was lost.
    pub capture: CaptureInfo,
    /// DNS queries with their answers.
    pub dns: Vec<DnsExchange>,
    /// Neighbour (ARP, NDP) resolutions.
    pub neighbors: Vec<NeighborExchange>,
    /// DHCP exchanges: how hosts got their addresses.
    pub dhcp: Vec<DhcpExchange>,
    /// Transport connections.
    pub connections: Vec<Connection>,
    /// Requests for one URL each, in order of their start.
    pub journeys: Vec<Journey>,
}

/// The program that wrote the document.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TracerInfo {
    pub version: String,
    /// The command line, redacted like everything else.
    pub command: Vec<String>,
}

/// The host on which the capture was made.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct HostInfo {
    pub hostname: Option<String>,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: Option<String>,
}

/// Where the observations came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Live,
    File,
}

/// How the capture was made and what it lacks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CaptureInfo {
    pub source: Source,
    /// Start of the capture in nanoseconds since 1970 (UTC), as a decimal string because
    /// JSON numbers lose digits there.
    pub started_unix_nano: String,
    pub duration_ns: u64,
    /// The network namespace that was watched, by the name or pid that the command line gave;
    /// null where it was that of the tracer.
    #[serde(default)]
    pub network_namespace: Option<String>,
    /// Names of the interfaces that were watched.
    pub interfaces: Vec<String>,
    /// Which hook serves which fact, and which were refused and why.
    pub hooks: Vec<HookReport>,
    /// Lost events per class; empty when nothing was lost.
    pub lost: BTreeMap<String, u64>,
    /// Where and when they were lost, per class and processor. What this capture gave up
    /// itself (payload, connections) is only in `lost`.
    #[serde(default)]
    pub losses: Vec<LossReport>,
    /// What watching took of this host; null in files that are no recordings, and until the
    /// end of a capture.
    #[serde(default)]
    pub cost: Option<Cost>,
    /// What a capture file says of itself, of its interfaces and of frames that no connection
    /// has; what it says of a connection's frames is in the connection.
    #[serde(default)]
    pub comments: Vec<CaptureComment>,
    /// Nothing was lost and every planned fact had a hook.
    pub complete: bool,
}

/// A comment in a capture file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureComment {
    /// The interface that it is about: its name, or its number in the file, from 1, where it
    /// has none. Null where it is about a frame or the whole capture.
    pub interface: Option<String>,
    /// Number of the frame that it is about, from 1; null where it is about no frame.
    pub frame: Option<u64>,
    /// When that frame was captured.
    pub at_ns: Option<u64>,
    pub text: String,
}

/// Events of one class that were lost on one processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LossReport {
    /// As in `lost`.
    pub class: String,
    /// Number of the processor; null where that is not known.
    pub cpu: Option<u32>,
    pub count: u64,
    /// They were lost between these two times.
    pub first_at_ns: u64,
    pub last_at_ns: u64,
}

/// One candidate of the hook plan and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HookReport {
    /// The fact it would serve, for instance `frames_in`, `tcp_state`, `neighbor`.
    pub fact: String,
    /// xdp, tcx, clsact, kprobe, fentry, tp_btf, tracepoint, uprobe, sock_ops, cgroup, netlink, pcap.
    pub hook: String,
    /// What it is attached to: a kernel function, a tracepoint, an interface, a library.
    pub target: String,
    pub status: HookStatus,
    /// Why it is not attached, or what it cannot tell on this kernel.
    pub reason: Option<String>,
}

/// What became of a candidate hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HookStatus {
    Attached,
    /// This kernel does not offer it.
    Unavailable,
    /// The kernel offers it but refused.
    Failed,
    /// A better candidate already serves the fact.
    NotNeeded,
}

/// A document with the packets that `--layers` can open. The packets are not part of the
/// JSON contract.
#[derive(Debug, Clone)]
pub struct Trace {
    pub document: Document,
    pub packets: Vec<Packet>,
}

/// A frame kept because a journey's key moment travelled in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub at_ns: u64,
    /// Number of the frame in the capture, from 1.
    pub number: u64,
    pub journey: String,
    /// What it carries: `DNS query`, `ARP request`, `SYN`, `SYN-ACK`, `ACK`,
    /// `ClientHello`, `ServerHello`, `first request`, `first response`, `FIN`.
    pub role: String,
    pub interface: Option<String>,
    pub frame: crate::capture::Frame,
    /// The way of its payload through this host's kernel, where that was watched.
    pub kernel_path: Option<super::SegmentPath>,
    /// Decrypted or plain application text that this packet carries, where known; shown
    /// as the innermost box.
    pub application: Option<Vec<u8>>,
}
