//! TLS sessions.

use super::End;
use schemars::JsonSchema;
use serde::Serialize;

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
