//! The model of a traced request and the one assembler that builds it from observations.
//! Pure: no I/O and no clock, so that a recording replays into the same journeys.

/// Bytes of a stream with the time each was on the wire.
pub mod bytes;
/// HTTP exchanges from plaintext streams.
pub mod http;
/// The model, which is also the JSON document.
pub mod model;
/// TCP reassembly.
pub mod stream;
/// TLS sessions from reassembled streams.
pub mod tls;
