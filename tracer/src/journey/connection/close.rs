//! How a connection ends: FIN and its acknowledgement, RST, or nothing at all.

use super::TrackedConnection;
use crate::journey::evidence::{EndMark, Mark};
use crate::journey::model::{Close, CloseKind, CloseMessage, End};
use crate::protocol::frame::Tcp;

/// Resets listed after the first.
const LATER_RESETS: usize = 65_536;

impl TrackedConnection {
    pub(super) fn acknowledge(&mut self, end: End, tcp: &Tcp<'_>, mark: Mark) {
        let peer = self.end_mut(end.peer());
        let Some(fin) = peer.fin else { return };
        // A FIN occupies one sequence number (RFC 9293, section 3.4).
        let acknowledged = peer.stream.relative(tcp.acknowledgment) > fin;
        if acknowledged && !peer.fin_acknowledged {
            // Data or the peer's own FIN may carry the acknowledgement, too.
            peer.fin_acknowledged = true;
            self.close_message(end, "ack", mark);
        }
    }

    pub(super) fn finish(&mut self, end: End, tcp: &Tcp<'_>, mark: Mark) {
        let state = self.end_mut(end);
        let position = state
            .stream
            .relative(tcp.sequence.wrapping_add(tcp.payload_length));
        if state.fin.is_some() {
            return;
        }
        state.fin = Some(position);
        self.close_message(end, "fin", mark);
    }

    pub(super) fn reset(&mut self, end: End, mark: Mark) {
        if self.reset.is_none() {
            self.reset = Some(EndMark { end, mark });
            self.close_message(end, "rst", mark);
        } else if self.later_resets.len() < LATER_RESETS {
            self.later_resets.push(CloseMessage {
                at_ns: mark.at_ns,
                end,
                kind: "rst".to_owned(),
            });
        }
    }

    fn close_message(&mut self, end: End, kind: &str, mark: Mark) {
        let message = CloseMessage {
            at_ns: mark.at_ns,
            end,
            kind: kind.to_owned(),
        };
        self.close_messages.push((message, mark));
    }

    /// Both ends have finished and acknowledged, or one has reset.
    pub fn is_closed(&self) -> bool {
        self.reset.is_some()
            || self.client_end.fin_acknowledged && self.server_end.fin_acknowledged
            || self
                .states
                .iter()
                .any(|state| state.end == End::Client && state.to == "CLOSED")
    }

    /// Is the first state of a client on this host among those that the kernel told? It has no
    /// port yet then, so that what was lost of it is known by its time only.
    pub fn saw_first_state(&self) -> bool {
        let is_here = self.connect.is_some() || self.client_end.cookie.is_some();
        match self.states.iter().find(|state| state.end == End::Client) {
            Some(first) => first.from == "CLOSED",
            None => self.states.is_empty() || !is_here,
        }
    }

    /// Of each end of which the kernel told states, is the last one among them?
    pub fn saw_last_states(&self) -> bool {
        [End::Client, End::Server].iter().all(|end| {
            let last = self.states.iter().rev().find(|state| state.end == *end);
            last.is_none_or(|state| state.to == "CLOSED")
        })
    }

    /// How it ended, by what was on the wire.
    pub fn close(&self) -> Close {
        let first = self.close_messages.first().map(|(message, _)| message);
        let kind = match (first, self.reset) {
            (_, Some(_)) => CloseKind::Rst,
            (Some(_), None) => CloseKind::Fin,
            (None, None) if self.gave_up() => CloseKind::Timeout,
            (None, None) => CloseKind::Open,
        };
        Close {
            kind,
            first: first.map(|message| message.end),
            at_ns: first.map(|message| message.at_ns),
            messages: self
                .close_messages
                .iter()
                .map(|(message, _)| message.clone())
                .chain(self.later_resets.iter().cloned())
                .collect(),
        }
    }

    /// The kernel closed the client's socket without any closing message.
    fn gave_up(&self) -> bool {
        self.states
            .iter()
            .any(|state| state.end == End::Client && state.to == "CLOSED")
    }

    /// When the last message of the close was seen.
    pub fn closed_at_ns(&self) -> Option<u64> {
        self.close_messages.last().map(|(message, _)| message.at_ns)
    }
}
