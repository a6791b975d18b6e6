//! Sockets that the kernel made for one connection and did not need.
//!
//! Two segments that complete a handshake may be at work on two processors at once
//! (`tcp_check_req`, net/ipv4/tcp_minisocks.c): each makes a child of the listener, one of them
//! becomes the connection, the other is closed again before anybody could see it.

use super::TrackedConnection;
use crate::capture::TcpState;

/// Life of a child that was never established.
#[derive(Debug, Clone, Copy)]
pub(in crate::journey) struct FailedChild {
    /// It left LISTEN.
    pub born_at_ns: u64,
    pub closed_at_ns: u64,
}

impl TrackedConnection {
    pub fn child_failed(&mut self, child: FailedChild) {
        self.failed_child = Some(child);
        self.forget_failed_child();
    }

    /// Takes the states of a child that failed away, once there is another one: a handshake that
    /// fails as a whole has that child only.
    pub fn forget_failed_child(&mut self) {
        let Some(child) = self.failed_child else {
            return;
        };
        let listen = TcpState::Listen.name();
        let mut births = self.states.iter().filter(|it| it.from == listen);
        if !births.any(|birth| birth.at_ns != child.born_at_ns) {
            return;
        }
        let received = TcpState::SynRecv.name();
        self.states.retain(|it| {
            let is_birth = it.from == listen && it.at_ns == child.born_at_ns;
            let is_end = it.from == received && it.at_ns == child.closed_at_ns;
            !is_birth && !is_end
        });
        self.failed_child = None;
    }
}
