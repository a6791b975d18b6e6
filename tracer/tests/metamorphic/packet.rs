//! Where the headers of a frame are, and how to write them anew.

use tracer::capture::{Frame, LinkType};

/// Ether types (registry "IEEE 802 Numbers").
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Tags of 802.1Q and 802.1ad, and the number that QinQ had before.
pub const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// Protocol numbers (registry "Protocol Numbers").
pub const TCP: u8 = 6;
pub const FRAGMENT: u8 = 44;
/// Headers that stand before a fragment header, if any does (RFC 8200, section 4.1).
const BEFORE_FRAGMENT: [u8; 3] = [0, 43, 60];

/// A wholly captured IP packet in a frame.
#[derive(Debug, Clone, Copy)]
pub struct Packet {
    /// Offset of the IP header in the frame.
    pub start: usize,
    /// Offset of what the IP header carries.
    pub payload: usize,
    /// End of the packet: behind it there is padding at most.
    pub end: usize,
    pub ipv6: bool,
    pub protocol: u8,
    pub fragment: bool,
}

pub fn word(data: &[u8], at: usize) -> Option<u16> {
    let bytes = data.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

impl Packet {
    /// `None` for what is no IP packet, and for packets that the capture cut.
    pub fn of(frame: &Frame) -> Option<Self> {
        if frame.data.len() != frame.original_length as usize {
            return None;
        }
        let data = &frame.data;
        let start = network(frame)?;
        match data.get(start)? >> 4 {
            4 => {
                let header = usize::from(data[start] & 15) * 4;
                let end = start + usize::from(word(data, start + 2)?);
                let fragment = word(data, start + 6)? & 0x3fff != 0;
                let packet = Self {
                    start,
                    payload: start + header,
                    end,
                    ipv6: false,
                    protocol: *data.get(start + 9)?,
                    fragment,
                };
                packet.fits(data)
            }
            6 => {
                let protocol = *data.get(start + 6)?;
                let packet = Self {
                    start,
                    payload: start + 40,
                    end: start + 40 + usize::from(word(data, start + 4)?),
                    ipv6: true,
                    protocol,
                    fragment: protocol == FRAGMENT || BEFORE_FRAGMENT.contains(&protocol),
                };
                packet.fits(data)
            }
            _ => None,
        }
    }

    fn fits(self, data: &[u8]) -> Option<Self> {
        (self.payload <= self.end && self.end <= data.len()).then_some(self)
    }

    /// The frame with another payload of the IP packet; `header` may change its header.
    pub fn with(&self, frame: &Frame, payload: &[u8], header: impl FnOnce(&mut [u8])) -> Frame {
        let mut changed = frame.clone();
        changed.data.truncate(self.payload);
        let head = &mut changed.data[self.start..];
        let length = if self.ipv6 { 0 } else { head.len() } + payload.len();
        let length = u16::try_from(length).expect("no longer than before");
        let at = if self.ipv6 { 4 } else { 2 };
        head[at..at + 2].copy_from_slice(&length.to_be_bytes());
        header(head);
        if !self.ipv6 {
            head[10..12].fill(0);
            let sum = checksum(head);
            head[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        changed.data.extend_from_slice(payload);
        changed.original_length = u32::try_from(changed.data.len()).expect("a frame");
        changed
    }
}

/// Offset of the network layer's header, where it is IP.
fn network(frame: &Frame) -> Option<usize> {
    let data = &frame.data;
    let (mut kind, mut at) = match frame.link_type {
        LinkType::Ethernet => (word(data, 12)?, 14),
        LinkType::LinuxCookedV2 => (word(data, 0)?, 20),
        _ => return None,
    };
    while TAGS.contains(&kind) {
        kind = word(data, at + 2)?;
        at += 4;
    }
    [IPV4, IPV6].contains(&kind).then_some(at)
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}

/// A TCP segment in a packet that is no fragment.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    pub packet: Packet,
    pub ports: (u16, u16),
    pub sequence: u32,
    pub flags: u8,
    /// Offset of the data in the frame.
    pub data: usize,
}

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const URG: u8 = 32;

impl Segment {
    pub fn of(frame: &Frame) -> Option<Self> {
        let packet = Packet::of(frame)?;
        let tcp = frame.data.get(packet.payload..packet.end)?;
        if packet.protocol != TCP || packet.fragment || tcp.len() < 20 {
            return None;
        }
        let header = usize::from(tcp[12] >> 4) * 4;
        (20..=tcp.len()).contains(&header).then_some(Self {
            packet,
            ports: (word(tcp, 0)?, word(tcp, 2)?),
            sequence: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
            flags: tcp[13],
            data: packet.payload + header,
        })
    }

    pub fn length(&self) -> usize {
        self.packet.end - self.data
    }

    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// Sequence number behind the data.
    pub fn next(&self) -> u32 {
        let length = u32::try_from(self.length()).expect("a segment");
        self.sequence.wrapping_add(length)
    }
}
