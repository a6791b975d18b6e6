//! HTTP exchanges.

use schemars::JsonSchema;
use serde::Serialize;

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
