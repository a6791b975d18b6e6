//! libpcap's registry of link-layer header types, as far as files meet us.

use crate::capture::LinkType;

/// Stands for a packet on an interface that its file never described.
pub(super) const UNDECLARED: u16 = u16::MAX;

pub(super) fn from_number(number: u16) -> LinkType {
    match number {
        0 => LinkType::Null,
        1 => LinkType::Ethernet,
        // 12 and 14 are what BSD and OpenBSD call it; 228 and 229 say which version.
        12 | 14 | 101 | 228 | 229 => LinkType::RawIp,
        108 => LinkType::Loop,
        113 => LinkType::LinuxCookedV1,
        276 => LinkType::LinuxCookedV2,
        other => LinkType::Other(other),
    }
}

/// Whether frames of this type are read. PPP (9 and 50) is, though it has no name in
/// [`LinkType`].
pub(super) fn is_read(link_type: LinkType) -> bool {
    !matches!(link_type, LinkType::Other(number) if number != 9 && number != 50)
}

/// What people call a type that is not read.
pub(super) fn name(number: u16) -> &'static str {
    match number {
        6 => "IEEE 802.5 Token Ring",
        10 => "FDDI",
        51 => "PPP over Ethernet",
        105 => "IEEE 802.11",
        117 => "OpenBSD pflog",
        119 => "IEEE 802.11 with Prism header",
        127 => "IEEE 802.11 with radiotap header",
        147..=162 => "private use",
        187 | 201 => "Bluetooth HCI",
        189 | 220 => "USB",
        195 | 215 | 230 => "IEEE 802.15.4",
        227 => "CAN",
        239 => "Linux netfilter log",
        251 | 272 => "Bluetooth Low Energy",
        253 => "Linux netlink",
        UNDECLARED => "undeclared interface",
        _ => "unknown link type",
    }
}
