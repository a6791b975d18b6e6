//! The sentence beside each bar.

mod http;
mod network;
mod tls;
mod transport;

pub(super) use http::{request, response, wait};
pub(super) use network::{neighbor, resolve, route};
pub(super) use tls::tls;
pub(super) use transport::{close, connect, lost_attempt, traffic};
