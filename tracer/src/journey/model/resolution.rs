//! Names becoming addresses.

use super::{Endpoint, Process};
use schemars::JsonSchema;
use serde::Serialize;

/// One DNS query with its retries and its answer. An answer that is seen again is an entry of
/// its own each time, without attempts.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DnsExchange {
    /// `d` and a number; of an answer that is seen again the id of its exchange, a dot, and
    /// how many were seen so far: `d5.2`.
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
    /// The answer broke off (the capture cut it, or it lies about a length): what was read
    /// until there is told.
    pub malformed: bool,
    /// Records in the answer section as its header counts them; null when none came.
    pub answer_count: Option<u16>,
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

/// The question of a DNS query; all of it `...` where an answer does not say what was asked,
/// and nobody was seen to ask.
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
