//! DHCP and DHCPv6 messages.

use crate::Target;
use crate::captures::Capture;
use crate::document::printable;
use crate::target::Memory;
use tracer::protocol::dhcp;

pub const TARGET: Target = Target {
    name: "dhcp",
    about: "a DHCP, BOOTP or DHCPv6 message; the first byte chooses the version",
    run,
    seeds,
    head: 1,
    longest: 2048,
    memory: Memory {
        fixed: 16 << 10,
        per_byte: 64,
    },
};

fn run(input: &[u8]) {
    let Some((choice, payload)) = input.split_first() else {
        return;
    };
    let version = if choice % 2 == 0 { 4 } else { 6 };
    let Some(message) = dhcp::parse(version, payload) else {
        return;
    };
    assert_eq!(message.version, version);
    let listed = message.routers.len() + message.dns.len();
    assert!(listed * 4 <= payload.len(), "more addresses than fit");
    if let Some(name) = &message.host_name {
        printable(name, true);
    }
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for capture in captures {
        for datagram in capture.datagrams() {
            let ports = (datagram.source_port, datagram.destination_port);
            let Some(version) = dhcp::version_of_ports(ports.0, ports.1) else {
                continue;
            };
            seeds.push([vec![u8::from(version == 6)], datagram.payload].concat());
        }
    }
    seeds.push([vec![0], acknowledgement()].concat());
    seeds.push([vec![1], reply()].concat());
    seeds
}

/// An acknowledgement with its usual options (RFC 2131, table 3).
fn acknowledgement() -> Vec<u8> {
    let mut message = vec![2, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0];
    message.extend([0, 0, 0, 0, 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]);
    message.extend([2, 0, 0, 0, 0, 9]);
    message.resize(236, 0);
    message.extend([99, 130, 83, 99, 53, 1, 5, 54, 4, 10, 0, 0, 1]);
    message.extend([
        51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1,
    ]);
    message.extend([6, 8, 10, 0, 0, 1, 10, 0, 0, 2, 12, 2, b'p', b'c', 255]);
    message
}

/// A reply with one address and one resolver (RFC 8415, sections 8, 21.4, 21.6; RFC 3646).
fn reply() -> Vec<u8> {
    let address = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let mut message = vec![7, 1, 2, 3, 0, 3, 0, 40, 0, 0, 0, 1];
    message.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 24]);
    message.extend(address);
    message.extend([0, 0, 14, 16, 0, 0, 28, 32, 0, 23, 0, 16]);
    message.extend(address);
    message
}
