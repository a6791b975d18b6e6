//! Frames of the captures that are made: Ethernet, IPv4 and TCP or UDP, in a pcap file.

use std::io::{self, Write};
use std::net::Ipv4Addr;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const PUSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// One frame every ten microseconds: a link of a gigabit a second, well used.
const PACE_US: u64 = 10;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Options of a SYN: MSS 1460, SACK permitted, timestamps, window scale 7.
const SYN_OPTIONS: [u8; 20] = [
    2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
];
/// Options of every other segment: timestamps.
const OPTIONS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 1];

/// Addresses and ports of one packet.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    pub from: (Ipv4Addr, u16),
    pub to: (Ipv4Addr, u16),
}

/// What a segment says besides its data.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    pub sequence: u32,
    pub acknowledgment: u32,
    pub flags: u8,
}

/// Writes frames, one behind the other.
pub struct Packets<W> {
    writer: W,
    pub count: u32,
    frame: Vec<u8>,
}

impl<W: Write> Packets<W> {
    pub fn new(mut writer: W) -> io::Result<Self> {
        // Microseconds, version 2.4, snapshot length 256 KiB, Ethernet.
        writer.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        writer.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        writer.write_all(&0x0004_0000_u32.to_le_bytes())?;
        writer.write_all(&1_u32.to_le_bytes())?;
        Ok(Self {
            writer,
            count: 0,
            frame: Vec::new(),
        })
    }

    pub fn segment(&mut self, way: Way, segment: Segment, data: &[u8]) -> io::Result<()> {
        let options: &[u8] = if segment.flags & SYN != 0 {
            &SYN_OPTIONS
        } else {
            &OPTIONS
        };
        let header_length = 20 + options.len();
        self.begin(way, TCP, header_length + data.len());
        self.frame.extend(segment.sequence.to_be_bytes());
        self.frame.extend(segment.acknowledgment.to_be_bytes());
        let words = (header_length / 4) as u8;
        self.frame.extend([words << 4, segment.flags, 0xff, 0xff]);
        // No checksum, as when the network card fills it in; nothing is urgent.
        self.frame.extend([0; 4]);
        self.frame.extend(options);
        self.frame.extend(data);
        self.write()
    }

    pub fn datagram(&mut self, way: Way, data: &[u8]) -> io::Result<()> {
        let length = 8 + data.len();
        self.begin(way, UDP, length);
        self.frame.extend((length as u16).to_be_bytes());
        self.frame.extend([0; 2]);
        self.frame.extend(data);
        self.write()
    }

    pub fn finish(mut self) -> io::Result<u32> {
        self.writer.flush()?;
        Ok(self.count)
    }

    /// Ethernet and IPv4, and the ports.
    fn begin(&mut self, way: Way, protocol: u8, length: usize) {
        self.frame.clear();
        self.frame
            .extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        self.frame.extend([0x45, 0]);
        self.frame.extend((20 + length as u16).to_be_bytes());
        self.frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        self.frame.extend(way.from.0.octets());
        self.frame.extend(way.to.0.octets());
        let checksum = checksum(self.frame.get(14..).unwrap_or_default());
        if let Some(place) = self.frame.get_mut(24..26) {
            place.copy_from_slice(&checksum.to_be_bytes());
        }
        self.frame.extend(way.from.1.to_be_bytes());
        self.frame.extend(way.to.1.to_be_bytes());
    }

    fn write(&mut self) -> io::Result<()> {
        let at_us = u64::from(self.count) * PACE_US;
        let length = self.frame.len() as u32;
        let seconds = (at_us / 1_000_000) as u32;
        let header = [seconds, (at_us % 1_000_000) as u32, length, length];
        for word in header {
            self.writer.write_all(&word.to_le_bytes())?;
        }
        self.writer.write_all(&self.frame)?;
        self.count += 1;
        Ok(())
    }
}

/// Of an IPv4 header (RFC 791, section 3.1).
fn checksum(header: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in header.chunks_exact(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
