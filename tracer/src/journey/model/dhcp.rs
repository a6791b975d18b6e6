//! How a host got its address.

use schemars::JsonSchema;
use serde::Serialize;
use std::net::IpAddr;

/// One exchange of DHCP or DHCPv6: the messages of one client with one transaction id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DhcpExchange {
    pub id: String,
    pub at_ns: u64,
    /// From the first message to the one that decided; null when none did.
    pub duration_ns: Option<u64>,
    /// IP version: 4 (DHCP) or 6 (DHCPv6).
    pub version: u8,
    pub transaction_id: u32,
    /// Lower-case hexadecimal with colons.
    pub client_mac: Option<String>,
    /// The name the client gave itself.
    pub host_name: Option<String>,
    pub interface: Option<String>,
    /// In order, the first 64.
    pub messages: Vec<DhcpMessage>,
    pub outcome: DhcpOutcome,
    /// Server identifier (DHCP), or the address that answered.
    pub server: Option<IpAddr>,
    /// The address as the last message had it: given, offered or asked for.
    pub address: Option<IpAddr>,
    pub prefix_length: Option<u8>,
    /// Default gateways, in order of preference.
    pub routers: Vec<IpAddr>,
    /// Name servers, in order of preference.
    pub dns: Vec<IpAddr>,
    /// How long the address may be used; 4294967295 s stand for ever.
    pub lease_ns: Option<u64>,
}

/// One message of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DhcpMessage {
    pub at_ns: u64,
    /// Message type in lower case: `discover`, `offer`, `request`, `ack`, `nak`, ...;
    /// `solicit`, `advertise`, `request`, `reply`, ... of DHCPv6.
    pub kind: String,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Number of the frame in the capture, from 1.
    pub frame: u64,
}

/// What an exchange came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DhcpOutcome {
    /// A server acknowledged (ack, reply).
    Acknowledged,
    /// A server refused (nak).
    Refused,
    /// A server offered, and nothing followed.
    Offered,
    /// The client gave the address up, or declined it.
    Released,
    /// Nobody answered.
    Unanswered,
}
