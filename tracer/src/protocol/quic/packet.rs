//! Packets as their headers describe them, still sealed.

use super::version::{self, V2};
use crate::protocol::reader::Reader;

/// The longest connection id of versions 1 and 2 (RFC 9000, section 17.2). Others may have
/// longer ones (RFC 8999, section 5.1), but their packets are not read.
pub const MAXIMUM_ID: usize = 20;

/// Versions of a Version Negotiation packet that are kept.
const MAXIMUM_VERSIONS: usize = 64;

/// What a long header announces (RFC 9000, section 17.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
}

impl Kind {
    /// Version 2 numbers them differently (RFC 9369, section 3.2).
    const fn of(first: u8, version: u32) -> Self {
        let number = first >> 4 & 3;
        let number = if version == V2 {
            number.wrapping_sub(1) & 3
        } else {
            number
        };
        match number {
            0 => Self::Initial,
            1 => Self::ZeroRtt,
            2 => Self::Handshake,
            _ => Self::Retry,
        }
    }

    /// The name in RFC 9000.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initial => "Initial",
            Self::ZeroRtt => "0-RTT",
            Self::Handshake => "Handshake",
            Self::Retry => "Retry",
        }
    }
}

/// A packet with a long header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Long<'a> {
    pub kind: Kind,
    pub version: u32,
    pub destination_id: &'a [u8],
    pub source_id: &'a [u8],
    /// The whole packet from its first byte on; of a Retry, to the end of the datagram.
    pub bytes: &'a [u8],
    /// Where the packet number begins, under header protection. 0 for a Retry.
    pub number_offset: usize,
}

/// One packet of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    Long(Long<'a>),
    /// The server speaks none but these versions (RFC 8999, section 6).
    VersionNegotiation {
        destination_id: &'a [u8],
        source_id: &'a [u8],
        versions: Vec<u32>,
    },
    /// A long header of a version that is not known.
    Unknown {
        version: u32,
        destination_id: &'a [u8],
        source_id: &'a [u8],
    },
    /// A 1-RTT packet: its header does not say how long the connection id is.
    Short(&'a [u8]),
}

/// The packets of one datagram, in order (RFC 9000, section 12.2). Ends at the first byte
/// that is no packet.
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
    first: bool,
}

/// The packets of `datagram`, the payload of UDP.
pub const fn packets(datagram: &[u8]) -> Packets<'_> {
    Packets {
        rest: datagram,
        first: true,
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let bytes = std::mem::take(&mut self.rest);
        let coalesced = !std::mem::take(&mut self.first);
        let first = *bytes.first()?;
        if first & 0x80 == 0 {
            // The fixed bit tells a packet from the zeros that pad some datagrams. A peer
            // may clear it in version 1 (RFC 9287), but never in what follows a handshake.
            let packet = !coalesced || first & 0x40 != 0;
            return packet.then_some(Packet::Short(bytes));
        }
        let (packet, rest) = long(bytes)?;
        if coalesced && !matches!(packet, Packet::Long(_)) {
            return None;
        }
        self.rest = rest;
        Some(packet)
    }
}

/// The packet with a long header at the start of `bytes`, and what follows it.
fn long(bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let mut reader = Reader::new(bytes);
    let first = reader.u8()?;
    let version = reader.u32()?;
    let destination_id = reader.vector8()?;
    let source_id = reader.vector8()?;
    if version == 0 {
        let listed = reader.rest().chunks_exact(4).take(MAXIMUM_VERSIONS);
        let versions = listed.filter_map(|four| Some(u32::from_be_bytes(four.try_into().ok()?)));
        let packet = Packet::VersionNegotiation {
            destination_id,
            source_id,
            versions: versions.collect(),
        };
        return Some((packet, &[]));
    }
    if !version::is_known(version) {
        let packet = Packet::Unknown {
            version,
            destination_id,
            source_id,
        };
        return Some((packet, &[]));
    }
    if destination_id.len() > MAXIMUM_ID || source_id.len() > MAXIMUM_ID {
        return None;
    }
    let kind = Kind::of(first, version);
    let mut packet = Long {
        kind,
        version,
        destination_id,
        source_id,
        bytes,
        number_offset: 0,
    };
    if kind == Kind::Retry {
        return Some((Packet::Long(packet), &[]));
    }
    if kind == Kind::Initial {
        reader.vector()?;
    }
    let length = reader.variable()?;
    packet.number_offset = bytes.len() - reader.rest().len();
    // A frame that was cut keeps the header of its last packet; the seal does not open.
    let rest = reader.rest().len();
    reader.take(usize::try_from(length).map_or(rest, |length| length.min(rest)))?;
    packet.bytes = bytes.get(..bytes.len() - reader.rest().len())?;
    Some((Packet::Long(packet), reader.rest()))
}
