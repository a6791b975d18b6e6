//! Routes, own addresses and neighbours.

use schemars::JsonSchema;
use serde::Serialize;

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
    pub prefix_length: Option<u8>,
    pub interface: Option<String>,
    pub mac: Option<String>,
    /// The kernel gave it no end of life: configured by hand or by a network manager that
    /// renews it. False: leased (DHCP) or announced (router advertisement).
    pub permanent: Option<bool>,
    /// Id in `dhcp`: the exchange of this capture that gave the address.
    pub lease: Option<String>,
    /// DNS servers that this journey asked.
    pub resolvers: Vec<std::net::IpAddr>,
}
