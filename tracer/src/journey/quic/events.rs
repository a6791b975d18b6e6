//! The lines of a QUIC connection in the timeline.

use super::Reading;
use crate::journey::connection::TrackedConnection;
use crate::journey::evidence::InterfaceNames;
use crate::journey::model::{End, EventDirection, Layer, QuicDatagram, TimelineEvent};

/// Each datagram of the handshake, and the end of the connection when it was seen no later
/// than `until`.
pub(in crate::journey) fn events(
    reading: &Reading,
    connection: &TrackedConnection,
    interfaces: &InterfaceNames,
    until: u64,
) -> Vec<TimelineEvent> {
    let line = |end: End, at_ns: u64, summary: String| TimelineEvent {
        at_ns,
        layer: Layer::Quic,
        direction: match end {
            End::Client => EventDirection::Out,
            End::Server => EventDirection::In,
        },
        summary,
        evidence: connection
            .frame_at(end, at_ns)
            .map_or("QUIC datagrams".to_owned(), |m| interfaces.evidence(m)),
    };
    let quic = &reading.quic;
    let datagrams = quic.datagrams.iter();
    let mut events: Vec<_> = datagrams
        .map(|datagram| {
            let summary = summary(datagram, quic.version_negotiation.as_deref());
            line(datagram.end, datagram.at_ns, summary)
        })
        .collect();
    if let Some(close) = quic.close.as_ref().filter(|close| close.at_ns <= until) {
        let code = close.name.clone();
        let code = code.unwrap_or_else(|| format!("application code {:#x}", close.code));
        let summary = format!("CONNECTION_CLOSE by the {}: {code}", close.end.name());
        events.push(line(close.end, close.at_ns, summary));
    }
    events
}

/// `Initial + Handshake: ServerHello (1200 B)`.
fn summary(datagram: &QuicDatagram, versions: Option<&[String]>) -> String {
    let packets = datagram.packets.join(" + ");
    let refused = packets == "Version Negotiation";
    let told = match versions {
        Some(versions) if refused => format!(": the server speaks {}", versions.join(", ")),
        _ if datagram.messages.is_empty() => String::new(),
        _ => format!(": {}", datagram.messages.join(", ")),
    };
    format!("{packets}{told} ({} B)", datagram.bytes)
}
