//! Sockets that were connected before the capture began, as the kernel's tables and /proc had
//! them then.

use super::model::Endpoint;
use std::collections::HashMap;

/// Sockets remembered; the probe lists no more.
const LIMIT: usize = 65_536;

/// A socket and a process that had it open.
#[derive(Debug, Clone, Copy)]
pub(super) struct OlderSocket {
    pub pid: u32,
    pub cookie: Option<u64>,
    /// inode number of its network namespace.
    pub namespace: Option<u32>,
}

/// By own and remote address.
#[derive(Debug, Default)]
pub(super) struct OlderSockets(HashMap<(Endpoint, Endpoint), OlderSocket>);

impl OlderSockets {
    /// The first one stays: the watched namespace is listed before others.
    pub fn insert(&mut self, local: Endpoint, remote: Endpoint, socket: OlderSocket) {
        if self.0.len() < LIMIT {
            self.0.entry((local, remote)).or_insert(socket);
        }
    }

    pub fn between(&self, local: Endpoint, remote: Endpoint) -> Option<OlderSocket> {
        self.0.get(&(local, remote)).copied()
    }

    /// The addresses are used again: those sockets are gone.
    pub fn forget(&mut self, one: Endpoint, other: Endpoint) {
        if !self.0.is_empty() {
            self.0.remove(&(one, other));
            self.0.remove(&(other, one));
        }
    }
}
