//! How a connection opens: SYN, SYN-ACK, ACK.
//!
//! There may be two answers to one SYN, with different numbers: one is of somebody on the way
//! who pretends to be the server, or the server forgot the first. The other end says which one
//! it takes.

use super::{Sent, TrackedConnection};
use crate::journey::evidence::Mark;
use crate::journey::model::{End, Handshake, TcpOptions};
use crate::protocol::frame::{Tcp, TcpSegmentOptions};

/// SYNs remembered as evidence: the kernel sends seven at most unless it is told otherwise
/// (tcp_syn_retries, ip-sysctl).
const SYNS: usize = 64;

/// A SYN-ACK with another number than the first one.
#[derive(Debug)]
pub(in crate::journey) struct OtherAnswer {
    sequence: u32,
    options: TcpOptions,
    mark: Mark,
}

impl TrackedConnection {
    /// Usually the client's SYN and the server's SYN-ACK. Where both ends open at once, and
    /// in a handshake of four messages, the server sends a SYN, too (RFC 9293, section 3.5).
    pub(super) fn synchronize(&mut self, end: End, tcp: &Tcp<'_>, mark: Mark) {
        let state = self.end_mut(end);
        if state.initial_sequence.is_none() {
            state.initial_sequence = Some(tcp.sequence);
            state.stream.set_initial_sequence(tcp.sequence);
            state.options = Some(options(&tcp.options));
        }
        if tcp.flags.ack {
            if self.syn_ack.is_none() {
                self.syn_ack = Some(mark);
                self.syn_ack_by = end;
            } else {
                self.other_answer(end, tcp, mark);
            }
        } else if end == End::Client && self.syns.len() < SYNS {
            self.syns.push(mark);
        }
    }

    /// SYN, SYN-ACK, ACK.
    pub fn handshake(&self) -> Handshake {
        let answered_syn = self.syn_ack.and_then(|answer| {
            let before = self.syns.iter().rev();
            before.map(|syn| syn.at_ns).find(|at| *at <= answer.at_ns)
        });
        Handshake {
            syn_at_ns: self.syns.first().map(|mark| mark.at_ns),
            syn_ack_at_ns: self.syn_ack.map(|mark| mark.at_ns),
            ack_at_ns: self.ack.map(|mark| mark.at_ns),
            rtt_ns: self.syn_ack.zip(answered_syn).map(|(a, syn)| a.at_ns - syn),
            syn_retries: u32::try_from(self.syns.len().saturating_sub(1)).unwrap_or(u32::MAX),
            client_isn: self.client_end.initial_sequence,
            server_isn: self.server_end.initial_sequence,
            client_options: self.client_end.options.clone(),
            server_options: self.server_end.options.clone(),
        }
    }

    /// Remembers the last answer that is not the first one again, until one is taken.
    fn other_answer(&mut self, end: End, tcp: &Tcp<'_>, mark: Mark) {
        let known = self.end(end).initial_sequence;
        if self.ack.is_none() && self.syn_ack_by == end && known != Some(tcp.sequence) {
            self.other_answer = Some(Box::new(OtherAnswer {
                sequence: tcp.sequence,
                options: options(&tcp.options),
                mark,
            }));
        }
    }

    /// The first acknowledgement of an answer: the stream begins where it says.
    pub(super) fn choose_answer(&mut self, tcp: &Tcp<'_>) {
        let Some(other) = self.other_answer.take() else {
            return;
        };
        let answering = self.syn_ack_by;
        let state = self.end_mut(answering);
        let taken = tcp.acknowledgment == other.sequence.wrapping_add(1);
        if taken && state.stream.highest() == 0 {
            state.initial_sequence = Some(other.sequence);
            state.options = Some(other.options);
            state.stream.restart(other.sequence);
            state.sent = Sent::default();
            self.syn_ack = Some(other.mark);
        }
    }
}

fn options(options: &TcpSegmentOptions) -> TcpOptions {
    TcpOptions {
        mss: options.mss,
        window_scale: options.window_scale,
        sack_permitted: options.sack_permitted,
        timestamps: options.timestamps.is_some(),
        fast_open: options.fast_open.is_some(),
    }
}
