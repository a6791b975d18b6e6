//! TLS (RFC 8446, RFC 5246 and predecessors) read from reassembled streams: records,
//! handshake messages, names, and decryption with the secrets of a key log.
//!
//! Cipher suites come from tls-parser. Its message parsers refuse a message as a whole when
//! one length lies and know neither certificates nor ServerHello of TLS 1.3 in full, so the
//! messages are read here, keeping what came before the break.

/// Bodies of handshake messages that carry certificates and key exchange.
pub mod credentials;
/// From key-log secrets to plaintext.
pub mod decrypt;
/// Handshake messages over records.
pub mod handshake;
/// ClientHello and ServerHello.
pub mod hello;
/// Names of registries.
pub mod names;
/// The record layer.
pub mod record;
