//! Frames around bytes: Ethernet, IPv4, TCP or UDP, as a client at 10.0.0.1 and a server at
//! 10.0.0.2 would exchange them. Checksums are not read by anyone downstream and stay 0.

use tracer::capture::{Direction, Fact, Frame, HookKind, LinkType, Observation};

const CLIENT_PORT: u16 = 40_000;
const IP_HEADER: usize = 20;
const TCP: u8 = 6;
const UDP: u8 = 17;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const ACK: u8 = 0x10;

/// A frame as a file would give it.
pub fn frame(link_type: LinkType, original_length: u32, data: Vec<u8>) -> Frame {
    Frame {
        interface: 0,
        direction: Direction::Unknown,
        hook: HookKind::Pcap,
        link_type,
        cookie: None,
        original_length,
        data,
        note: None,
    }
}

pub fn observation(at_ns: u64, frame: Frame) -> Observation {
    Observation {
        at_ns,
        fact: Fact::Frame(frame),
    }
}

/// A TCP segment of one end.
pub fn segment(
    by_client: bool,
    server_port: u16,
    (sequence, acknowledged): (u32, u32),
    flags: u8,
    payload: &[u8],
) -> Frame {
    let mut upper = Vec::with_capacity(20 + payload.len());
    upper.extend(ports(by_client, server_port));
    upper.extend(sequence.to_be_bytes());
    upper.extend(acknowledged.to_be_bytes());
    upper.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    upper.extend(payload);
    packet(by_client, TCP, &upper)
}

/// A UDP datagram of one end.
pub fn datagram(by_client: bool, server_port: u16, payload: &[u8]) -> Frame {
    let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let mut upper = Vec::with_capacity(8 + payload.len());
    upper.extend(ports(by_client, server_port));
    upper.extend(length.to_be_bytes());
    upper.extend([0, 0]);
    upper.extend(payload);
    packet(by_client, UDP, &upper)
}

fn ports(by_client: bool, server_port: u16) -> [u8; 4] {
    let [from, to] = match by_client {
        true => [CLIENT_PORT, server_port],
        false => [server_port, CLIENT_PORT],
    }
    .map(u16::to_be_bytes);
    [from[0], from[1], to[0], to[1]]
}

fn packet(by_client: bool, protocol: u8, upper: &[u8]) -> Frame {
    let (from, to) = if by_client { (1, 2) } else { (2, 1) };
    let total = u16::try_from(IP_HEADER + upper.len()).unwrap_or(u16::MAX);
    let mut data = Vec::with_capacity(14 + usize::from(total));
    data.extend([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 0x08, 0x00, 0x45, 0]);
    data.extend(total.to_be_bytes());
    data.extend([
        0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, from, 10, 0, 0, to,
    ]);
    data.extend(upper);
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    frame(LinkType::Ethernet, length, data)
}
