//! The targets, one file each.

mod capture_file;
mod conversation;
mod dhcp;
mod dns;
mod facts;
mod fragments;
mod frame;
mod hpack;
mod http1;
mod http_stream;
mod keylog;
mod quic_frames;
mod quic_packets;
mod quic_sealed;
mod recording;
mod tcp_stream;
mod text;
mod tls_messages;
mod tls_stream;

use crate::Target;

/// Every target, in the order of the layers.
pub const TARGETS: &[Target] = &[
    frame::TARGET,
    fragments::TARGET,
    tcp_stream::TARGET,
    dns::TARGET,
    dhcp::TARGET,
    tls_messages::TARGET,
    tls_stream::TARGET,
    keylog::TARGET,
    http1::TARGET,
    http_stream::HTTP1,
    http_stream::HTTP2,
    hpack::TARGET,
    quic_packets::TARGET,
    quic_frames::TARGET,
    quic_sealed::TARGET,
    text::TARGET,
    facts::TARGET,
    recording::TARGET,
    capture_file::PCAP,
    capture_file::PCAPNG,
    conversation::TARGET,
    capture_file::REPLAY,
];

/// The target called `name`.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
