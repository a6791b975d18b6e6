//! The packets of a QUIC datagram, as far as their headers are in clear.

use super::layer::Layer;
use crate::protocol::quic::packet::{Packet, packets};
use crate::protocol::quic::version;

/// One box for each packet; none when the datagram is not QUIC. A short header says
/// nothing, so that a datagram is known by a long one in front.
pub(super) fn open(payload: &[u8]) -> Vec<Layer> {
    let mut layers = Vec::new();
    for packet in packets(payload) {
        let layer = match packet {
            Packet::Long(long) => {
                let mut layer = Layer::new(format!("QUIC {}", long.kind.name()));
                layer.field("version", version::name(long.version));
                ids(&mut layer, long.destination_id, long.source_id);
                layer.field("length", format!("{} bytes, sealed", long.bytes.len()));
                layer
            }
            Packet::VersionNegotiation {
                destination_id,
                source_id,
                versions,
            } => {
                let mut layer = Layer::new("QUIC Version Negotiation");
                ids(&mut layer, destination_id, source_id);
                let names: Vec<String> = versions.into_iter().map(version::name).collect();
                layer.list("versions", &names);
                layer
            }
            Packet::Short(bytes) if !layers.is_empty() => {
                let mut layer = Layer::new("QUIC 1-RTT");
                layer.field("length", format!("{} bytes, sealed", bytes.len()));
                layer
            }
            Packet::Short(_) | Packet::Unknown { .. } => return layers,
        };
        layers.push(layer);
    }
    layers
}

fn ids(layer: &mut Layer, destination: &[u8], source: &[u8]) {
    let text = |id: &[u8]| match id.is_empty() {
        true => "none".to_owned(),
        false => hex::encode(id),
    };
    layer.field("destination id", text(destination));
    layer.field("source id", text(source));
}

#[cfg(test)]
mod tests {
    use super::open;

    #[test]
    fn each_packet_of_a_datagram_is_a_box_and_other_datagrams_have_none() {
        let initial = [0xc0, 0, 0, 0, 1, 2, 0xab, 0xcd, 0, 0, 3, 9, 9, 9];
        let handshake = [0xe0, 0, 0, 0, 1, 0, 1, 7, 2, 9, 9];
        let datagram = [&initial[..], &handshake, &[0x41, 1, 2, 3]].concat();
        let titles: Vec<_> = open(&datagram).into_iter().map(|l| l.title).collect();
        assert_eq!(titles, ["QUIC Initial", "QUIC Handshake", "QUIC 1-RTT"]);
        assert!(open(&[0x41, 1, 2, 3]).is_empty());
        assert!(open(b"\x80\x60 a voice").is_empty());
    }
}
