//! The model of a traced request and the one assembler that builds it from observations.
//! Pure: no I/O and no clock, so that a recording replays into the same journeys.

/// The assembler: observations in, journeys out.
pub mod assemble;
/// Bytes of a stream with the time each was on the wire.
pub mod bytes;
mod compose;
mod connection;
mod connections;
mod container;
mod dhcp;
mod dns;
mod drafts;
mod evidence;
mod failure;
/// HTTP exchanges from plaintext streams.
pub mod http;
/// What every document promises.
pub mod invariants;
mod kernel_path;
/// How much is remembered of a file.
pub mod limits;
/// Journeys reported while the capture goes on.
pub mod live;
mod losses;
/// The model, which is also the JSON document.
pub mod model;
mod neighbor;
mod older;
mod packets;
/// What a stretch of a capture told.
pub mod part;
mod payload;
mod phases;
mod place;
mod process;
mod proxy;
mod quic;
mod redirect;
mod remarks;
mod resolution;
mod route;
mod scheme;
mod settle;
mod skim;
mod story;
/// TCP reassembly.
pub mod stream;
mod tell;
#[cfg(test)]
mod tests;
mod timeline;
/// TLS sessions from reassembled streams.
pub mod tls;
mod told;
/// Which journeys somebody wants to be told.
pub mod wanted;
mod watched;
