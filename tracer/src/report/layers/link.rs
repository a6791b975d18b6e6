//! Link layers, VLAN tags and ARP.

use super::layer::{Context, Layer, mac};
use super::network;
use crate::capture::LinkType;
use etherparse::{ArpPacketSlice, Ethernet2HeaderSlice, SingleVlanHeaderSlice, ether_type};

/// More tags than any network stacks; a longer pile is noise.
const MAX_VLAN_TAGS: usize = 8;

pub(super) fn open(link_type: LinkType, data: &[u8], context: &Context<'_>) -> Vec<Layer> {
    let layer = match link_type {
        LinkType::Ethernet => ethernet(data, context),
        LinkType::RawIp => return network::open_ip(data, context),
        LinkType::LinuxCookedV1 => cooked(data, context, "Linux cooked capture (SLL)", 16, 14),
        LinkType::LinuxCookedV2 => cooked(data, context, "Linux cooked capture v2 (SLL2)", 20, 0),
        LinkType::Null | LinkType::Loop => loopback(data, context),
        LinkType::Other(_) => Layer::cut("unknown link layer", data),
    };
    vec![layer]
}

fn ethernet(data: &[u8], context: &Context<'_>) -> Layer {
    let Ok(header) = Ethernet2HeaderSlice::from_slice(data) else {
        return Layer::cut("Ethernet", data);
    };
    let kind = header.ether_type().0;
    let mut layer = Layer::new("Ethernet");
    layer.field("destination", mac(&header.destination()));
    layer.field("source", mac(&header.source()));
    layer.field("type", ether_type_name(kind));
    let payload = data.get(header.slice().len()..).unwrap_or_default();
    layer.inside = open_ether_type(kind, payload, context, MAX_VLAN_TAGS);
    layer
}

/// What an ether type announces.
fn open_ether_type(kind: u16, data: &[u8], context: &Context<'_>, tags: usize) -> Vec<Layer> {
    use ether_type::{
        ARP, IPV4, IPV6, PROVIDER_BRIDGING, VLAN_DOUBLE_TAGGED_FRAME, VLAN_TAGGED_FRAME,
    };
    let tagged = [
        VLAN_TAGGED_FRAME,
        PROVIDER_BRIDGING,
        VLAN_DOUBLE_TAGGED_FRAME,
    ];
    if tagged.iter().any(|tag| tag.0 == kind) {
        return vec![vlan(data, context, tags)];
    }
    match kind {
        _ if kind == IPV4.0 || kind == IPV6.0 => network::open_ip(data, context),
        _ if kind == ARP.0 => vec![arp(data)],
        _ => Layer::payload(&ether_type_name(kind), data, context.show_secrets)
            .into_iter()
            .collect(),
    }
}

/// IEEE 802.1Q.
fn vlan(data: &[u8], context: &Context<'_>, tags: usize) -> Layer {
    let header = SingleVlanHeaderSlice::from_slice(data);
    let (Ok(header), Some(tags)) = (header, tags.checked_sub(1)) else {
        return Layer::cut("VLAN", data);
    };
    let kind = header.ether_type().0;
    let mut layer = Layer::new("VLAN (802.1Q)");
    layer.field("PCP", header.priority_code_point().value());
    layer.field("DEI", u8::from(header.drop_eligible_indicator()));
    layer.field("VID", header.vlan_identifier().value());
    layer.field("type", ether_type_name(kind));
    let payload = data.get(header.slice().len()..).unwrap_or_default();
    layer.inside = open_ether_type(kind, payload, context, tags);
    layer
}

/// RFC 826.
fn arp(data: &[u8]) -> Layer {
    let Ok(packet) = ArpPacketSlice::from_slice(data) else {
        return Layer::cut("ARP", data);
    };
    let operation = packet.operation().0;
    let title = match operation {
        1 => "ARP request: who has the target protocol address?",
        2 => "ARP reply: the sender hardware address is at the sender protocol address",
        _ => "ARP",
    };
    let mut layer = Layer::new(title);
    layer.field("hardware type", packet.hw_addr_type().0);
    layer.field("protocol type", ether_type_name(packet.proto_addr_type().0));
    layer.field("hardware length", packet.hw_addr_size());
    layer.field("protocol length", packet.proto_addr_size());
    layer.field("operation", operation);
    layer.field("sender hardware address", mac(packet.sender_hw_addr()));
    layer.field(
        "sender protocol address",
        ip_or_hex(packet.sender_protocol_addr()),
    );
    layer.field("target hardware address", mac(packet.target_hw_addr()));
    layer.field(
        "target protocol address",
        ip_or_hex(packet.target_protocol_addr()),
    );
    layer
}

fn ip_or_hex(bytes: &[u8]) -> String {
    match <[u8; 4]>::try_from(bytes) {
        Ok(octets) => std::net::Ipv4Addr::from(octets).to_string(),
        Err(_) => mac(bytes),
    }
}

/// LINKTYPE_LINUX_SLL and SLL2: of what `any` captures, only the protocol is sure.
fn cooked(
    data: &[u8],
    context: &Context<'_>,
    title: &str,
    header_length: usize,
    protocol_at: usize,
) -> Layer {
    let protocol = data.get(protocol_at..protocol_at + 2);
    let (Some(&[high, low]), Some(payload)) = (protocol, data.get(header_length..)) else {
        return Layer::cut(title, data);
    };
    let kind = u16::from_be_bytes([high, low]);
    let mut layer = Layer::new(title);
    layer.field("protocol", ether_type_name(kind));
    layer.inside = open_ether_type(kind, payload, context, MAX_VLAN_TAGS);
    layer
}

/// LINKTYPE_NULL and LINKTYPE_LOOP: four bytes of address family, in the writer's order.
fn loopback(data: &[u8], context: &Context<'_>) -> Layer {
    let Some((family, payload)) = data.split_first_chunk::<4>() else {
        return Layer::cut("loopback", data);
    };
    let mut layer = Layer::new("loopback");
    let number = match family {
        [0, 0, _, _] => u32::from_be_bytes(*family),
        _ => u32::from_le_bytes(*family),
    };
    layer.field("address family", number);
    layer.inside = network::open_ip(payload, context);
    layer
}

fn ether_type_name(kind: u16) -> String {
    let name = match kind {
        0x0800 => "IPv4",
        0x0806 => "ARP",
        0x86dd => "IPv6",
        0x8100 => "VLAN (802.1Q)",
        0x88a8 => "VLAN (802.1ad)",
        0x8847 => "MPLS",
        0x8864 => "PPPoE session",
        0x88cc => "LLDP",
        0..0x0600 => return format!("{kind:#06x} (an IEEE 802.3 length)"),
        _ => return format!("{kind:#06x}"),
    };
    format!("{kind:#06x} ({name})")
}
