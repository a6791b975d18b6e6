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
    /// Id of the HTTP/1.1 exchange on this connection in which the request was made and the
    /// upgrade to HTTP/2 granted (RFC 7540, section 3.2): this exchange is its answer.
    pub upgraded_from: Option<String>,
    /// `None` where the request was not captured, or was made in the exchange of
    /// `upgraded_from`.
    pub method: Option<String>,
    /// Request target as sent, with secrets of the query string redacted.
    pub target: Option<String>,
    /// Host header or :authority.
    pub host: Option<String>,
    pub url: Option<String>,
    /// Of the final response; 101 where the connection carries another protocol after it.
    pub status: Option<u16>,
    /// Interim responses before the final one (RFC 9110, section 15.2).
    pub informational: Vec<InformationalResponse>,
    /// Name and value in order; secret values are redacted.
    pub request_headers: Vec<(String, String)>,
    pub response_headers: Vec<(String, String)>,
    /// First byte of the request on the wire.
    pub request_at_ns: Option<u64>,
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

impl HttpExchange {
    /// `GET /index.html`, as far as it is known.
    pub fn asked(&self) -> Option<String> {
        let words: Vec<&str> = [&self.method, &self.target]
            .into_iter()
            .filter_map(|word| word.as_deref())
            .collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

/// A response that announces the final one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InformationalResponse {
    /// 100 to 199.
    pub status: u16,
    /// Its first byte on the wire.
    pub at_ns: u64,
}
