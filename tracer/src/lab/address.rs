//! Addresses and names of the lab.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The client's interface, and that of the servers.
pub const CLIENT_INTERFACE: &str = "eth0";
pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 10);
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, 0x10);
pub const CLIENT_MAC: [u8; 6] = [0x02, 0x42, 0x0a, 0x4d, 0x01, 0x0a];

/// The gateway as the client sees it.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, 1);
pub const GATEWAY_MAC: [u8; 6] = [0x02, 0x42, 0x0a, 0x4d, 0x01, 0x01];

/// The gateway as the servers see it.
pub(super) const SERVICES_GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);
pub(super) const SERVICES_GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 2, 0, 0, 0, 0, 0, 1);
pub(super) const SERVICES_GATEWAY_MAC: [u8; 6] = [0x02, 0x42, 0x0a, 0x4d, 0x02, 0x01];

/// The DNS server, on the client's link.
pub const DNS_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 53);
pub const DNS_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, 0x53);

/// The web server.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 80);
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 2, 0, 0, 0, 0, 0, 0x80);
pub const SERVER_MAC: [u8; 6] = [0x02, 0x42, 0x0a, 0x4d, 0x02, 0x50];

/// A host that is up and has no open port (`refused.test`).
pub const CLOSED_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 81);
/// An address on the client's own link that nobody has (`unreachable.test`).
pub const NOBODY_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 99);

/// Prefix lengths of both links.
pub const PREFIX_V4: u8 = 24;
pub const PREFIX_V6: u8 = 64;

/// The aliases of `www.shop.test` up to the name that has addresses.
pub const SHOP_CHAIN: [&str; 3] = ["www.shop.test", "shop.cdn.test", "edge7.gslb.test"];

/// Addresses on which the web server listens.
pub(super) fn web_addresses(ipv6: bool) -> Vec<IpAddr> {
    both(SERVER_V4, SERVER_V6, ipv6)
}

/// Addresses on which the DNS server listens.
pub(super) fn dns_addresses(ipv6: bool) -> Vec<IpAddr> {
    both(DNS_V4, DNS_V6, ipv6)
}

fn both(v4: Ipv4Addr, v6: Ipv6Addr, ipv6: bool) -> Vec<IpAddr> {
    let mut addresses = vec![IpAddr::V4(v4)];
    addresses.extend(ipv6.then_some(IpAddr::V6(v6)));
    addresses
}
