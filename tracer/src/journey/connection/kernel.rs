//! What the kernel says of a connection whose frames were seen, too.

use super::TrackedConnection;
use crate::capture::{PacketDrop, TcpReset, TcpSample};
use crate::journey::evidence::Mark;
use crate::journey::model::End;
use crate::protocol::frame::Tcp;

impl TrackedConnection {
    pub fn sample(&mut self, at_ns: u64, end: End, sample: &TcpSample) {
        self.touched = true;
        self.told.sample(at_ns, end, sample);
    }

    pub fn dropped(&mut self, at_ns: u64, end: End, dropped: &PacketDrop) {
        self.touched = true;
        self.told.dropped(at_ns, end, dropped);
    }

    pub fn reset_told(&mut self, at_ns: u64, end: End, reset: &TcpReset) {
        self.touched = true;
        self.told.reset(at_ns, end, reset);
    }

    /// Follows the window that `end` offers. One of a SYN is not scaled yet, that of a reset
    /// means nothing.
    pub(super) fn window(&mut self, end: End, tcp: &Tcp<'_>, mark: Mark) {
        if tcp.flags.syn || tcp.flags.rst {
            return;
        }
        let state = self.end_mut(end);
        let closes = tcp.window == 0 && !state.window_is_closed;
        state.window_is_closed = tcp.window == 0;
        if closes {
            self.told.zero_window(mark.at_ns, end);
        }
    }
}
