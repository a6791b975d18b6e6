//! Which bytes of which stream a socket or a buffer holds.

use tracer_common::event::family;

use crate::{
    layout::{is_another, is_elsewhere, offset, read, read_or_zero},
    socket_common::SocketCommon,
};

/// IPPROTO_TCP.
const TCP: u16 = 6;
/// More bytes than any buffer or socket buffer holds: a number that was not meant.
const TOO_LONG: u32 = 1 << 30;

/// A stretch of one direction of a TCP connection.
#[derive(Clone, Copy)]
pub struct Segment {
    pub family: u32,
    /// In the order they have on the wire; an IPv4 address is in the second word.
    pub source: [u64; 2],
    pub destination: [u64; 2],
    /// Host byte order.
    pub source_port: u16,
    pub destination_port: u16,
    /// Of the first payload byte. Host byte order.
    pub sequence: u32,
    /// Payload bytes.
    pub length: u32,
}

impl Segment {
    /// Bytes that the owner of a TCP socket of the watched namespace sends. `None` for any
    /// other socket.
    #[inline(always)]
    pub fn sent_by(socket: u64, sequence: u32, length: u32) -> Option<Self> {
        if read::<u16>(socket, offset!(sock_protocol))? != TCP {
            return None;
        }
        Self::sent_over(&SocketCommon::of(socket), sequence, length)
    }

    /// The same where it is known to be a TCP socket.
    #[inline(always)]
    pub fn sent_over(common: &SocketCommon, sequence: u32, length: u32) -> Option<Self> {
        if length >= TOO_LONG || is_another(common.network()) {
            return None;
        }
        let ends = common.ends()?;
        Some(Self {
            family: u32::from(ends.family),
            source: ends.source,
            destination: ends.destination,
            source_port: ends.source_port,
            destination_port: ends.destination_port,
            sequence,
            length,
        })
    }

    /// Bytes that such a socket receives.
    #[inline(always)]
    pub fn received_by(socket: u64, sequence: u32, length: u32) -> Option<Self> {
        let sent = Self::sent_by(socket, sequence, length)?;
        Some(Self {
            source: sent.destination,
            destination: sent.source,
            source_port: sent.destination_port,
            destination_port: sent.source_port,
            ..sent
        })
    }

    /// What a buffer holds, by its network header in the watched namespace.
    #[inline(always)]
    pub fn in_buffer(buffer: u64) -> Option<Self> {
        let head = read::<u64>(buffer, offset!(buffer_head))?;
        let network = read::<u16>(buffer, offset!(buffer_network_header))?;
        Self::at(buffer, head + u64::from(network))
    }

    /// The same where the buffer's data begin with the network header.
    #[inline(always)]
    pub fn in_arriving(buffer: u64) -> Option<Self> {
        Self::at(buffer, read::<u64>(buffer, offset!(buffer_data))?)
    }

    #[inline(always)]
    fn at(buffer: u64, network: u64) -> Option<Self> {
        if is_elsewhere(read::<u64>(buffer, offset!(buffer_device))?) {
            return None;
        }
        let version = read::<u8>(network, 0)? >> 4;
        // What a GSO packet too large for the field of the header leaves out.
        let rest = || {
            let data = read::<u64>(buffer, offset!(buffer_data))?;
            let length = read::<u32>(buffer, offset!(buffer_length))?;
            Some(length.wrapping_sub(network.wrapping_sub(data) as u32))
        };
        if version == 4 {
            let header = read::<[u32; 5]>(network, 0)?;
            let packet = Packet::of_ipv4(&header)?;
            let transport = network + u64::from(packet.header_length);
            packet.segment(&read::<[u32; 4]>(transport, 0)?, rest)
        } else if version == 6 {
            let header = read::<[u64; 5]>(network, 0)?;
            let packet = Packet::of_ipv6(&header)?;
            let transport = network + u64::from(packet.header_length);
            packet.segment(&read::<[u32; 4]>(transport, 0)?, rest)
        } else {
            None
        }
    }
}

/// An IP packet that holds TCP.
#[derive(Clone, Copy)]
pub struct Packet {
    family: u32,
    source: [u64; 2],
    destination: [u64; 2],
    pub header_length: u32,
    /// Header and payload; 0 where the field of the header is too small for it.
    total_length: u32,
}

impl Packet {
    /// RFC 791, section 3.1. `None` without TCP, and for all fragments but the first.
    #[inline(always)]
    pub fn of_ipv4(header: &[u32; 5]) -> Option<Self> {
        let first = u32::from_be(header[0]);
        let is_later_fragment = u32::from_be(header[1]) & 0x1fff != 0;
        let protocol = (u32::from_be(header[2]) >> 16) & 0xff;
        if protocol != u32::from(TCP) || is_later_fragment {
            return None;
        }
        Some(Self {
            family: u32::from(family::INET),
            source: [0, u64::from(header[3])],
            destination: [0, u64::from(header[4])],
            header_length: ((first >> 24) & 0x0f) * 4,
            total_length: first & 0xffff,
        })
    }

    /// RFC 8200, section 3. `None` where TCP does not follow at once.
    #[inline(always)]
    pub fn of_ipv6(header: &[u64; 5]) -> Option<Self> {
        let first = u64::from_be(header[0]);
        if (first >> 8) & 0xff != u64::from(TCP) {
            return None;
        }
        let payload = (first >> 16) as u32 & 0xffff;
        Some(Self {
            family: u32::from(family::INET6),
            source: [header[1], header[2]],
            destination: [header[3], header[4]],
            header_length: 40,
            total_length: if payload == 0 { 0 } else { payload + 40 },
        })
    }

    /// With the start of its TCP header (RFC 9293, section 3.1). `rest` is the length of the
    /// packet as its buffer has it.
    #[inline(always)]
    pub fn segment(
        self,
        transport: &[u32; 4],
        rest: impl FnOnce() -> Option<u32>,
    ) -> Option<Segment> {
        let ports = u32::from_be(transport[0]);
        let headers = self.header_length + (u32::from_be(transport[3]) >> 28) * 4;
        let total = if self.total_length == 0 {
            rest()?
        } else {
            self.total_length
        };
        let length = total.wrapping_sub(headers);
        (length < TOO_LONG).then_some(Segment {
            family: self.family,
            source: self.source,
            destination: self.destination,
            source_port: (ports >> 16) as u16,
            destination_port: ports as u16,
            sequence: u32::from_be(transport[1]),
            length,
        })
    }
}

/// Sequence number and payload bytes as TCP's own notes in a buffer have them (`struct
/// tcp_skb_cb`): good from the write queue to IP output, and again in TCP's receiving half.
#[inline(always)]
pub fn range_in_control(buffer: u64) -> Option<(u32, u32)> {
    let control = buffer + u64::from(offset!(buffer_control));
    let sequence = read::<u32>(control, offset!(segment_sequence))?;
    let end = read::<u32>(control, offset!(segment_end_sequence))?;
    // FIN and SYN take a number each (RFC 9293, section 3.4); they are bits 0 and 1.
    let flags = u32::from(read_or_zero::<u8>(control, offset!(segment_flags)));
    let taken = (flags & 1) + (flags >> 1 & 1);
    Some((sequence, end.wrapping_sub(sequence).wrapping_sub(taken)))
}

/// The same by the TCP header, where the buffer's data begin with it.
#[inline(always)]
pub fn range_in_header(buffer: u64) -> Option<(u32, u32)> {
    let head = read::<u64>(buffer, offset!(buffer_head))?;
    let transport = read::<u16>(buffer, offset!(buffer_transport_header))?;
    let header = read::<[u32; 4]>(head + u64::from(transport), 0)?;
    let length = read::<u32>(buffer, offset!(buffer_length))?;
    let header_length = (u32::from_be(header[3]) >> 28) * 4;
    Some((u32::from_be(header[1]), length.wrapping_sub(header_length)))
}
