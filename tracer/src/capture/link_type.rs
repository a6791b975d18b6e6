//! libpcap's registry of link-layer header types, as far as files meet us.

use serde::{Deserialize, Serialize};

/// How the first bytes of a frame are to be read.
/// Source: the registry of link-layer header types of libpcap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkType {
    /// LINKTYPE_ETHERNET (1).
    Ethernet,
    /// LINKTYPE_RAW (101): starts with the IP header.
    RawIp,
    /// LINKTYPE_LINUX_SLL (113).
    LinuxCookedV1,
    /// LINKTYPE_LINUX_SLL2 (276).
    LinuxCookedV2,
    /// LINKTYPE_NULL (0): four bytes of address family, host order of the writer.
    Null,
    /// LINKTYPE_LOOP (108): four bytes of address family, network order.
    Loop,
    /// Any other type, by its number. Frames of those that are not read are kept so that
    /// frame numbers stay those of the file.
    Other(u16),
}

/// Types that are read without a name in [`LinkType`].
pub mod number {
    pub const IEEE802_5: u16 = 6;
    pub const PPP: u16 = 9;
    pub const FDDI: u16 = 10;
    pub const PPP_HDLC: u16 = 50;
    pub const PPP_ETHER: u16 = 51;
    pub const ATM_RFC1483: u16 = 100;
    pub const C_HDLC: u16 = 104;
    pub const IEEE802_11: u16 = 105;
    pub const FRELAY: u16 = 107;
    pub const ENC: u16 = 109;
    pub const PFLOG: u16 = 117;
    pub const PRISM: u16 = 119;
    pub const RADIOTAP: u16 = 127;
    pub const AVS: u16 = 163;
    pub const PPI: u16 = 192;
    pub const MPLS: u16 = 219;
    pub const NFLOG: u16 = 239;
    pub const NETANALYZER: u16 = 240;
    pub const IPOIB: u16 = 242;
    pub const PKTAP: u16 = 258;

    /// All of them.
    pub const READ: [u16; 20] = [
        IEEE802_5,
        PPP,
        FDDI,
        PPP_HDLC,
        PPP_ETHER,
        ATM_RFC1483,
        C_HDLC,
        IEEE802_11,
        FRELAY,
        ENC,
        PFLOG,
        PRISM,
        RADIOTAP,
        AVS,
        PPI,
        MPLS,
        NFLOG,
        NETANALYZER,
        IPOIB,
        PKTAP,
    ];
}

/// Stands for a packet on an interface that its file never described.
pub(super) const UNDECLARED: u16 = u16::MAX;

impl LinkType {
    /// The type with this number in the registry.
    pub const fn from_number(number: u16) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            // 12 and 14 are what BSD and OpenBSD call it; 228 and 229 say which version.
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxCookedV1,
            276 => Self::LinuxCookedV2,
            other => Self::Other(other),
        }
    }

    /// Whether frames of this type are read.
    pub fn is_read(self) -> bool {
        match self {
            Self::Other(number) => number::READ.contains(&number),
            _ => true,
        }
    }
}

/// What people call a type that is not read.
pub(super) fn name(number: u16) -> &'static str {
    match number {
        147..=162 => "private use",
        187 | 201 => "Bluetooth HCI",
        189 | 220 | 249 => "USB",
        195 | 215 | 230 => "IEEE 802.15.4",
        226 => "Solaris IPNET",
        227 => "CAN",
        248 => "SCTP",
        251 | 272 => "Bluetooth Low Energy",
        253 => "Linux netlink",
        UNDECLARED => "undeclared interface",
        _ => "unknown link type",
    }
}
