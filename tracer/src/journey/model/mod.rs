//! The model: what tracer knows about journeys, connections, resolutions and neighbours.
//!
//! These types *are* the JSON document (schema version 1): names, units and meaning of
//! the members are a contract with dashboards. All times are nanoseconds: `*_at_ns` since
//! `capture.started_unix_nano`, `*_ns` durations. `null` means "not known".

mod connection;
mod cost;
mod dhcp;
mod document;
mod http;
mod journey;
mod kernel_path;
mod network;
mod process;
mod quic;
mod resolution;
mod tls;

pub use connection::*;
pub use cost::*;
pub use dhcp::*;
pub use document::*;
pub use http::*;
pub use journey::*;
pub use kernel_path::*;
pub use network::*;
pub use process::*;
pub use quic::*;
pub use resolution::*;
pub use tls::*;
