//! What the kernel says of a connection whose frames were seen, too.

use super::TrackedConnection;
use crate::capture::{CongestionState, PacketDrop, TcpReset, TcpRetransmit, TcpSample};
use crate::journey::evidence::Mark;
use crate::journey::model::End;
use crate::protocol::frame::Tcp;

/// The kernel tells of a segment after it was handed to the device, within this time.
const SOON_NS: u64 = 50_000_000;

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

    /// The kernel knows why it sent a segment again; frames only let one guess.
    pub fn retransmit_told(&mut self, at_ns: u64, end: End, again: &TcpRetransmit) {
        let Some(kind) = cause(again) else { return };
        self.touched = true;
        let first = self.end(end).stream.relative(again.sequence);
        let behind = self
            .end(end)
            .stream
            .relative(again.end_sequence)
            .max(first + 1);
        let mut newest = self.retransmissions.iter_mut().rev();
        let same = newest.find(|(entry, _)| {
            entry.end == end
                && (first..behind).contains(&entry.seq)
                && entry.at_ns.abs_diff(at_ns) <= SOON_NS
        });
        // SYN and FIN say what was sent again, which tells more.
        if let Some((entry, _)) = same
            && !matches!(entry.kind.as_str(), "syn" | "fin")
        {
            entry.kind = kind.to_owned();
            entry.hook = again.hook.name().to_owned();
        }
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

/// Why a segment was sent again: `tcp_retransmit_timer` enters Loss before it sends,
/// `tcp_fastretrans_alert` Recovery; a tail loss probe is sent from any other state
/// (net/ipv4/tcp_timer.c, tcp_input.c, tcp_output.c).
fn cause(again: &TcpRetransmit) -> Option<&'static str> {
    match (again.probes_for_loss, again.congestion?) {
        (Some(true), _) => Some("tail_loss_probe"),
        (_, CongestionState::Loss) => Some("timeout"),
        (_, CongestionState::Recovery) => Some("fast"),
        (None, _) => Some("tail_loss_probe"),
        (Some(false), _) => None,
    }
}
