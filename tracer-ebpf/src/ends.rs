//! The two ends of a socket or packet, in the form that flows are known by.

use tracer_common::event::family;

use crate::layout::{offset, read};

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// Who speaks to whom. Addresses as two words in the order they have on the wire; of an
/// IPv4 address, the second word holds it and the first is 0.
#[derive(Clone, Copy)]
pub struct Ends {
    pub source: [u64; 2],
    pub destination: [u64; 2],
    pub family: u16,
    /// Host byte order.
    pub source_port: u16,
    pub destination_port: u16,
    pub protocol: u8,
    /// TCP: the byte of the flags from CWR to FIN.
    pub flags: u8,
    /// TCP.
    pub sequence: u32,
}

/// The ends of a packet in a `struct sk_buff` whose IP header the kernel has found. `None`
/// for what is neither TCP nor UDP right behind the IP header.
#[inline(always)]
pub fn of_buffer(buffer: u64) -> Option<Ends> {
    let head: u64 = read(buffer, offset!(buffer_head))?;
    let place: u16 = read(buffer, offset!(buffer_network_header))?;
    // 0xffff: not set (skb_reset_network_header sets it).
    if head == 0 || place == 0 || place == u16::MAX {
        return None;
    }
    let network = head + u64::from(place);
    let first: u8 = read(network, 0)?;
    let mut ends = Ends {
        source: [0; 2],
        destination: [0; 2],
        family: 0,
        source_port: 0,
        destination_port: 0,
        protocol: 0,
        flags: 0,
        sequence: 0,
    };
    let transport = if first >> 4 == 4 {
        let header: [u32; 5] = read(network, 0)?;
        // Only the first fragment has ports.
        if u32::from_be(header[1]) & 0x1fff != 0 {
            return None;
        }
        ends.family = family::INET;
        ends.protocol = (u32::from_be(header[2]) >> 16) as u8;
        ends.source = [0, u64::from(header[3])];
        ends.destination = [0, u64::from(header[4])];
        network + u64::from(first & 0x0f) * 4
    } else if first >> 4 == 6 {
        ends.family = family::INET6;
        ends.protocol = read(network, 6)?;
        ends.source = read(network, 8)?;
        ends.destination = read(network, 24)?;
        network + 40
    } else {
        return None;
    };
    if ends.protocol != TCP && ends.protocol != UDP {
        return None;
    }
    let ports: [u16; 2] = read(transport, 0)?;
    ends.source_port = u16::from_be(ports[0]);
    ends.destination_port = u16::from_be(ports[1]);
    if ends.protocol == TCP {
        ends.sequence = u32::from_be(read(transport, 4)?);
        ends.flags = read(transport, 13)?;
    }
    Some(ends)
}

/// Writes an address as records have it: an IPv4 address takes the first four bytes.
///
/// # Safety
/// `into` is valid for writes.
#[inline(always)]
pub unsafe fn write_address(into: *mut [u8; 16], of_family: u16, address: [u64; 2]) {
    let into = into.cast::<u32>();
    // SAFETY: as the caller promises; records are aligned to four bytes and more.
    unsafe {
        if of_family == family::INET {
            into.write(address[1] as u32);
            into.add(1).write(0);
            into.add(2).write(0);
            into.add(3).write(0);
        } else {
            into.cast::<u64>().write_unaligned(address[0]);
            into.cast::<u64>().add(1).write_unaligned(address[1]);
        }
    }
}

/// Four words as two.
#[inline(always)]
pub fn words(four: [u32; 4]) -> [u64; 2] {
    // SAFETY: both are sixteen bytes of integers.
    unsafe { core::mem::transmute::<[u32; 4], [u64; 2]>(four) }
}
