//! The network namespace whose interfaces are watched, and which sockets of other ones can be
//! an end of what passes there: that of a container, whose packets come through a veth pair.
//!
//! The kernel tells of the sockets of every namespace, and addresses are unique in none but
//! their own: any two of them have a 127.0.0.1.

use crate::capture::Interface;
use std::collections::HashSet;
use std::net::IpAddr;

#[derive(Debug, Default)]
pub(super) struct Watched {
    /// inode number; unknown of a capture file.
    namespace: Option<u32>,
    addresses: HashSet<IpAddr>,
}

impl Watched {
    pub fn is(&mut self, namespace: u32) {
        self.namespace = Some(namespace);
    }

    pub fn has(&mut self, interface: &Interface) {
        let addresses = interface.addresses.iter();
        self.addresses
            .extend(addresses.map(|(ip, _)| ip.to_canonical()));
    }

    /// Certainly another namespace than the watched one.
    pub fn is_another(&self, namespace: Option<u32>) -> bool {
        self.namespace
            .zip(namespace)
            .is_some_and(|(watched, other)| watched != other)
    }

    /// An address of this namespace itself.
    pub fn is_own(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_loopback() || self.addresses.contains(&ip)
    }

    /// A socket of another namespace that has an address of this one: none of its packets was
    /// seen here, however much they look like those that were.
    pub fn is_double(&self, namespace: Option<u32>, local: IpAddr) -> bool {
        self.is_another(namespace) && self.is_own(local)
    }
}
