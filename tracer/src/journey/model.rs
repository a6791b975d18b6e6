//! The model: what tracer knows about journeys, connections, resolutions and neighbours.
//!
//! These types *are* the JSON document (schema version 1): names, units and meaning of
//! the members are a contract with dashboards. All times are nanoseconds: `*_at_ns` since
//! `capture.started_unix_nano`, `*_ns` durations. `null` means "not known".

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
    /// Names of the interfaces that were watched.
    pub interfaces: Vec<String>,
    /// Which hook serves which fact, and which were refused and why.
    pub hooks: Vec<HookReport>,
    /// Lost events per class; empty when nothing was lost.
    pub lost: BTreeMap<String, u64>,
    /// Nothing was lost and every planned fact had a hook.
    pub complete: bool,
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
    /// Why it is not attached.
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

/// How sure the link between a process and what it did is, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Attribution {
    /// The kernel named process and socket in one event, in the process's own context.
    SocketCookie,
    /// Joined by addresses and ports.
    Tuple,
    /// Found in /proc by the socket's inode.
    Procfs,
    /// Not known.
    Unknown,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Process {
    pub pid: u32,
    /// Name of the program as the kernel keeps it (at most 15 bytes).
    pub comm: String,
    /// Path of the executable.
    pub exe: Option<String>,
    /// Command line, redacted.
    pub command: Vec<String>,
    pub uid: Option<u32>,
    /// Path in the cgroup v2 hierarchy.
    pub cgroup: Option<String>,
    pub attribution: Attribution,
}

/// One DNS query with its retries and its answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DnsExchange {
    pub id: String,
    pub at_ns: u64,
    /// From the first query to the answer; null when none came.
    pub duration_ns: Option<u64>,
    pub transport: DnsTransport,
    /// Which of the protocols that share DNS's messages.
    pub protocol: DnsProtocol,
    pub client: Endpoint,
    pub server: Endpoint,
    pub query_id: u16,
    pub question: DnsQuestion,
    /// Times of the query and each retry.
    pub attempts: Vec<u64>,
    pub answered: bool,
    /// NOERROR, NXDOMAIN, SERVFAIL, ...
    pub rcode: Option<String>,
    pub truncated: bool,
    pub answers: Vec<DnsAnswer>,
    pub process: Option<Process>,
}

/// DNS and its relatives on the local link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DnsProtocol {
    /// RFC 1035.
    Dns,
    /// Multicast DNS (RFC 6762).
    Mdns,
    /// Link-local multicast name resolution (RFC 4795).
    Llmnr,
}

impl DnsProtocol {
    /// By the port of either side.
    pub const fn of_ports(one: u16, other: u16) -> Option<Self> {
        match (one, other) {
            (53, _) | (_, 53) => Some(Self::Dns),
            (5353, _) | (_, 5353) => Some(Self::Mdns),
            (5355, _) | (_, 5355) => Some(Self::Llmnr),
            _ => None,
        }
    }
}

/// How a DNS message travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DnsTransport {
    Udp,
    Tcp,
    Tls,
    Https,
}

/// The question of a DNS query.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct DnsQuestion {
    /// Without the final dot.
    pub name: String,
    /// A, AAAA, HTTPS, ...
    #[serde(rename = "type")]
    pub record_type: String,
    pub class: String,
}

/// One resource record of the answer section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DnsAnswer {
    pub name: String,
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// Presentation format of the record data.
    pub data: String,
}

/// One neighbour resolution: ARP who-has / is-at, NDP solicitation / advertisement, or a
/// cached entry that made them unnecessary.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NeighborExchange {
    pub id: String,
    pub at_ns: u64,
    /// From the first request to the answer (or to the failure); null when nothing was asked or nothing came.
    pub duration_ns: Option<u64>,
    pub protocol: NeighborProtocol,
    pub ip: std::net::IpAddr,
    /// Lower-case hexadecimal with colons.
    pub mac: Option<String>,
    pub interface: Option<String>,
    /// Times of the requests on the wire.
    pub attempts: Vec<u64>,
    pub outcome: NeighborOutcome,
    /// State of the kernel's entry before the request, for instance STALE; null when not seen.
    pub cached_state: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NeighborProtocol {
    Arp,
    Ndp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NeighborOutcome {
    Resolved,
    Failed,
    /// The answer was already in the neighbour table.
    Cached,
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
    /// What QUIC itself tells; null over TCP.
    pub quic: Option<Quic>,
    pub tls: Option<Tls>,
    pub http: Vec<HttpExchange>,
}

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

/// A TLS session.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Tls {
    /// The chosen version: `1.3`, `1.2`, ...
    pub version: Option<String>,
    /// Server name indication (RFC 6066).
    pub sni: Option<String>,
    /// The chosen application protocol (RFC 7301); null when unknown.
    pub alpn: Option<String>,
    pub alpn_offered: Vec<String>,
    pub cipher: Option<String>,
    /// Key-exchange group.
    pub group: Option<String>,
    pub resumed: Option<bool>,
    pub early_data: bool,
    /// The server asked for another ClientHello.
    pub hello_retry: bool,
    pub ech: Ech,
    pub client_hello_at_ns: Option<u64>,
    pub server_hello_at_ns: Option<u64>,
    /// The client's Finished.
    pub finished_at_ns: Option<u64>,
    /// From ClientHello to the client's Finished.
    pub handshake_ns: Option<u64>,
    /// Round trips of the handshake.
    pub round_trips: Option<u32>,
    pub records: Vec<TlsRecord>,
    /// The server's chain, leaf first; empty when it is encrypted and no keys are known.
    pub certificates: Vec<Certificate>,
    pub alerts: Vec<TlsAlert>,
    pub decrypted_by: DecryptedBy,
    pub client_hello: Option<ClientHello>,
    pub server_hello: Option<ServerHello>,
}

/// Encrypted ClientHello.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ech {
    #[default]
    None,
    Grease,
    Offered,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecryptedBy {
    #[default]
    None,
    Keylog,
    Uprobe,
}

/// One TLS record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlsRecord {
    /// When its last byte was on the wire.
    pub at_ns: u64,
    pub end: End,
    /// change_cipher_spec, alert, handshake, application_data, heartbeat: the inner type
    /// where the record could be decrypted, the outer one otherwise.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Length on the wire, without the five header bytes.
    pub bytes: u64,
    /// Handshake messages it holds or ends, for instance `ClientHello`; one entry
    /// "Encrypted Handshake Message" when it is sealed.
    pub messages: Vec<String>,
    /// Sealed on the wire (whether or not it could be decrypted here).
    pub encrypted: bool,
}

/// An X.509 certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    /// Subject alternative names.
    pub san: Vec<String>,
    /// RFC 3339, UTC.
    pub not_before: String,
    pub not_after: String,
    /// Lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the DER encoding, lower-case hexadecimal.
    pub sha256: String,
    /// Public key, for instance `EC P-256`, `RSA 2048`.
    pub key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlsAlert {
    pub at_ns: u64,
    pub end: End,
    /// warning or fatal.
    pub level: String,
    /// Name of RFC 8446 section 6, for instance `handshake_failure`.
    pub description: String,
}

/// ClientHello in full (RFC 8446, section 4.1.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClientHello {
    /// For instance `1.2`.
    pub legacy_version: String,
    pub supported_versions: Vec<String>,
    /// Lower-case hexadecimal.
    pub random: String,
    pub session_id: String,
    pub cipher_suites: Vec<String>,
    pub compression_methods: Vec<String>,
    pub groups: Vec<String>,
    pub key_shares: Vec<String>,
    pub signature_algorithms: Vec<String>,
    pub psk: bool,
    pub psk_modes: Vec<String>,
    /// GREASE values (RFC 8701) are present.
    pub grease: bool,
    /// All extensions by name, in order.
    pub extensions: Vec<String>,
}

/// ServerHello in full (RFC 8446, section 4.1.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ServerHello {
    pub legacy_version: String,
    /// Lower-case hexadecimal.
    pub random: String,
    pub session_id: String,
    pub cipher_suite: String,
    pub compression_method: String,
    pub extensions: Vec<String>,
}

/// One HTTP request with its response.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HttpExchange {
    pub id: String,
    /// `1.0`, `1.1`, `2`, `3`.
    pub version: String,
    /// Stream id (HTTP/2, HTTP/3).
    pub stream: Option<u64>,
    pub method: String,
    /// Request target as sent, with secrets of the query string redacted.
    pub target: String,
    /// Host header or :authority.
    pub host: Option<String>,
    pub url: Option<String>,
    pub status: Option<u16>,
    /// Name and value in order; secret values are redacted.
    pub request_headers: Vec<(String, String)>,
    pub response_headers: Vec<(String, String)>,
    /// First byte of the request on the wire.
    pub request_at_ns: u64,
    /// Last byte of the request on the wire.
    pub request_end_at_ns: Option<u64>,
    pub response_at_ns: Option<u64>,
    pub response_end_at_ns: Option<u64>,
    pub request_body_bytes: u64,
    pub response_body_bytes: u64,
    /// Segments that carried the request.
    pub request_segments: u64,
    pub response_segments: u64,
}

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
pub enum ResolutionSource {
    Dns,
    Hosts,
    Cache,
    Literal,
    Unknown,
}

/// How the name became addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Resolution {
    pub source: ResolutionSource,
    /// The call of the resolver library, where it was seen.
    pub getaddrinfo: Option<GetAddrInfo>,
    /// Resolver files the process opened, in order.
    pub files: Vec<String>,
    /// The chain of names from the one asked for to the one with addresses.
    pub chain: Vec<String>,
    pub addresses: Vec<std::net::IpAddr>,
}

/// A call of getaddrinfo(3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GetAddrInfo {
    pub at_ns: u64,
    pub duration_ns: u64,
    pub name: Option<String>,
    pub service: Option<String>,
    /// 0 or an EAI_* code; null when the call did not return.
    pub result: Option<i32>,
}

/// The kernel's decision on where packets to the destination go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Route {
    pub destination: std::net::IpAddr,
    /// The destination is a neighbour; null when not known.
    pub on_link: Option<bool>,
    /// Prefix of the matched route.
    pub prefix: Option<String>,
    pub gateway: Option<std::net::IpAddr>,
    pub interface: Option<String>,
    pub source: Option<std::net::IpAddr>,
    /// Routing table: `main`, `local`, or its number.
    pub table: Option<String>,
    /// Bytes.
    pub mtu: Option<u32>,
    pub at_ns: Option<u64>,
}

/// The client's own address on the way to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OwnAddress {
    pub ip: std::net::IpAddr,
    pub prefix_length: u8,
    pub interface: String,
    pub mac: Option<String>,
    /// The kernel gave it no end of life: configured by hand or by a network manager that
    /// renews it. False: leased (DHCP) or announced (router advertisement).
    pub permanent: Option<bool>,
    /// DNS servers that this journey asked.
    pub resolvers: Vec<std::net::IpAddr>,
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
    /// Class of event, or `payload`.
    pub class: String,
    /// Events, or bytes for `payload`.
    pub count: u64,
    pub at_ns: u64,
    /// What it touches.
    pub message: String,
}

/// One request for one URL, from the process that asked to the last FIN.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Journey {
    pub id: String,
    /// Null where the scheme or host is not known. The path is shown only where it was seen.
    pub url: Option<String>,
    /// `http` or `https`.
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
    /// Decrypted or plain application text that this packet carries, where known; shown
    /// as the innermost box.
    pub application: Option<Vec<u8>>,
}
