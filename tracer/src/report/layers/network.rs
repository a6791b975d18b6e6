//! IPv4 (RFC 791, 2474, 3168) and IPv6 (RFC 8200).

use super::layer::{Context, Layer, mac};
use super::transport::{self, Addressed};
use etherparse::{
    Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
};

/// Extension headers of one packet; a longer chain is noise (RFC 8504, section 5.3).
const MAX_EXTENSIONS: usize = 16;

/// The packet's own version field tells which it is.
pub(super) fn open_ip(data: &[u8], context: &Context<'_>) -> Vec<Layer> {
    vec![match data.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(data, context),
        Some(6) => ipv6(data, context),
        _ => Layer::cut("IP", data),
    }]
}

fn ipv4(data: &[u8], context: &Context<'_>) -> Layer {
    let Ok(header) = Ipv4HeaderSlice::from_slice(data) else {
        return Layer::cut("IPv4", data);
    };
    let length = header.slice().len();
    let protocol = header.protocol().0;
    let fragment = header.fragments_offset().value();
    let mut layer = Layer::new("IPv4");
    layer.field("version", header.version());
    layer.field("header length", format!("{length} bytes"));
    layer.field("DSCP", header.dcp().value());
    layer.field("ECN", header.ecn().value());
    layer.field("total length", header.total_len());
    layer.field(
        "identification",
        format!("{:#06x}", header.identification()),
    );
    layer.field("flags", ipv4_flags(&header));
    layer.field("fragment offset", u32::from(fragment) * 8);
    layer.field("time to live", header.ttl());
    layer.field("protocol", transport::protocol_name(protocol));
    layer.field("header checksum", ipv4_checksum(&header));
    layer.field("source", header.source_addr());
    layer.field("destination", header.destination_addr());
    if !header.options().is_empty() {
        layer.field("options", mac(header.options()));
    }
    // Padding of short Ethernet frames is no payload. A total length of 0 is what
    // segmentation offload leaves in packets of more than 64 KiB.
    let end = match usize::from(header.total_len()) {
        0 => data.len(),
        total => total.min(data.len()),
    };
    let payload = data.get(length..end).unwrap_or_default();
    let addressed = Addressed {
        protocol,
        fragment: fragment != 0,
    };
    layer.inside = transport::open(addressed, payload, context);
    layer
}

fn ipv4_flags(header: &Ipv4HeaderSlice<'_>) -> String {
    let names = [
        (header.dont_fragment(), "DF"),
        (header.more_fragments(), "MF"),
    ];
    let set: Vec<&str> = names
        .iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| *name)
        .collect();
    match set.is_empty() {
        true => "none".into(),
        false => set.join(" "),
    }
}

fn ipv4_checksum(header: &Ipv4HeaderSlice<'_>) -> String {
    let written = header.header_checksum();
    let verdict = match header.to_header().calc_header_checksum() == written {
        true => "correct",
        // On the way out a device may still have to fill it in.
        false if written == 0 => "not filled in yet",
        false => "wrong",
    };
    format!("{written:#06x} ({verdict})")
}

fn ipv6(data: &[u8], context: &Context<'_>) -> Layer {
    let Ok(header) = Ipv6HeaderSlice::from_slice(data) else {
        return Layer::cut("IPv6", data);
    };
    let length = header.slice().len();
    let mut layer = Layer::new("IPv6");
    layer.field("version", header.version());
    layer.field("DSCP", header.dscp().value());
    layer.field("ECN", header.ecn().value());
    layer.field(
        "flow label",
        format!("{:#07x}", header.flow_label().value()),
    );
    layer.field("payload length", header.payload_length());
    layer.field(
        "next header",
        transport::protocol_name(header.next_header().0),
    );
    layer.field("hop limit", header.hop_limit());
    layer.field("source", header.source_addr());
    layer.field("destination", header.destination_addr());
    // As with IPv4: 0 is a jumbogram or an offloaded packet.
    let end = match usize::from(header.payload_length()) {
        0 => data.len(),
        payload => length.saturating_add(payload).min(data.len()),
    };
    let payload = data.get(length..end).unwrap_or_default();
    layer.inside = extensions(header.next_header().0, payload, context);
    layer
}

/// Extension headers beside each other, then what they lead to.
fn extensions(mut next: u8, mut data: &[u8], context: &Context<'_>) -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut fragment = false;
    for _ in 0..MAX_EXTENSIONS {
        let opened = match next {
            // Hop-by-hop options, routing, destination options.
            0 | 43 | 60 => Ipv6RawExtHeaderSlice::from_slice(data).ok().map(|header| {
                let mut layer = Layer::new(format!("IPv6 {}", extension_name(next)));
                layer.field(
                    "next header",
                    transport::protocol_name(header.next_header().0),
                );
                layer.field("length", format!("{} bytes", header.slice().len()));
                (layer, header.next_header().0, header.slice().len())
            }),
            44 => Ipv6FragmentHeaderSlice::from_slice(data)
                .ok()
                .map(|header| {
                    let offset = header.fragment_offset().value();
                    fragment |= offset != 0;
                    let mut layer = Layer::new("IPv6 fragment");
                    layer.field(
                        "next header",
                        transport::protocol_name(header.next_header().0),
                    );
                    layer.field("fragment offset", u32::from(offset) * 8);
                    layer.field("more fragments", u8::from(header.more_fragments()));
                    layer.field(
                        "identification",
                        format!("{:#010x}", header.identification()),
                    );
                    (layer, header.next_header().0, header.slice().len())
                }),
            _ => break,
        };
        let Some((layer, following, length)) = opened else {
            layers.push(Layer::cut(extension_name(next), data));
            return layers;
        };
        layers.push(layer);
        next = following;
        data = data.get(length..).unwrap_or_default();
    }
    let addressed = Addressed {
        protocol: next,
        fragment,
    };
    layers.extend(transport::open(addressed, data, context));
    layers
}

fn extension_name(number: u8) -> &'static str {
    match number {
        0 => "hop-by-hop options",
        43 => "routing",
        44 => "fragment",
        _ => "destination options",
    }
}
