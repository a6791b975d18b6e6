//! Which segments a connection takes, and which of its ends is the client.

use super::TrackedConnection;
use crate::journey::model::{End, Endpoint};
use crate::journey::stream::StreamAssembler;
use crate::protocol::frame::Tcp;
use crate::protocol::http1::{Parsed, parse_request, parse_response};
use crate::protocol::http2::PREFACE;

/// A SYN that was overtaken by its own data lies at most this far before it: the first
/// flight of a sender, generously.
const OVERTAKING: u32 = 1 << 20;

impl TrackedConnection {
    /// Whether a segment between the same addresses belongs to this connection rather than
    /// to a later one that uses the ports again.
    pub fn takes(&mut self, source: Endpoint, tcp: &Tcp<'_>) -> bool {
        if !tcp.flags.syn {
            return true;
        }
        let end = if self.client == source {
            End::Client
        } else {
            End::Server
        };
        let sender = self.end(end);
        if let Some(isn) = sender.initial_sequence {
            return isn == tcp.sequence || tcp.flags.ack && !self.is_closed();
        }
        if !self.has_frames() {
            return true;
        }
        if !overtaken(&sender.stream, tcp.sequence) {
            return false;
        }
        let peer_opened = self.end(end.peer()).initial_sequence.is_some();
        let expected = (end == End::Server) == tcp.flags.ack;
        if !expected && !peer_opened {
            // The roles were a guess: the first SYN says who is who.
            self.swap_ends();
            return true;
        }
        // A SYN of both ends: at once, or in a handshake of four messages.
        expected || !self.is_closed() && self.syn_ack.is_none()
    }

    /// Whether a socket of this network namespace can be this end: the first one told decides.
    pub fn is_in(&mut self, end: End, namespace: Option<u32>) -> bool {
        let known = &mut self.end_mut(end).network_namespace;
        match (*known, namespace) {
            (Some(known), Some(other)) => known == other,
            (None, Some(_)) => {
                *known = namespace;
                true
            }
            (_, None) => true,
        }
    }

    /// What was known of the attempt before its frames were seen.
    pub fn take_attempt(&mut self, attempt: Self) {
        self.first_at_ns = self.first_at_ns.min(attempt.first_at_ns);
        self.connect = self.connect.take().or(attempt.connect);
        self.states.extend(attempt.states);
        self.states.sort_by_key(|state| state.at_ns);
        let client = self.end_mut(End::Client);
        client.cookie = client.cookie.or(attempt.client_end.cookie);
    }

    /// Decides who the client is where no handshake was seen: the one that asks.
    pub fn settle_roles(&mut self) {
        let known = [End::Client, End::Server]
            .iter()
            .any(|end| self.end(*end).initial_sequence.is_some());
        if known || self.connect.is_some() {
            return;
        }
        let client = self.end(End::Client).stream.bytes().as_slice();
        let server = self.end(End::Server).stream.bytes().as_slice();
        if asks(client) || answers(server) {
            return;
        }
        if asks(server) || answers(client) {
            self.swap_ends();
        }
    }

    /// The end that makes the requests. Whoever opened the connection, unless its streams say
    /// without a doubt that the other one asks.
    pub fn requester(&self) -> End {
        let client = self.end(End::Client).stream.bytes().as_slice();
        let server = self.end(End::Server).stream.bytes().as_slice();
        let turned = asks(server) && (client.is_empty() || answers(client));
        if turned { End::Server } else { End::Client }
    }

    fn swap_ends(&mut self) {
        std::mem::swap(&mut self.client, &mut self.server);
        std::mem::swap(&mut self.client_end, &mut self.server_end);
        let turn = |end: &mut End| *end = end.peer();
        self.passages.swap_ends();
        turn(&mut self.syn_ack_by);
        self.states.iter_mut().for_each(|it| turn(&mut it.end));
        self.retransmissions.turn();
        let messages = self.close_messages.iter_mut().map(|(it, _)| it);
        let messages = messages.chain(&mut self.later_resets);
        messages.for_each(|it| turn(&mut it.end));
        let marks = self.payload_marks.iter_mut().chain(&mut self.reset);
        let marks = marks.chain(self.kept_frames.iter_mut().map(|(it, _)| it));
        marks.for_each(|it| turn(&mut it.end));
    }
}

/// Whether a SYN may be that of a stream of which later bytes came first.
fn overtaken(stream: &StreamAssembler, isn: u32) -> bool {
    let first = isn.wrapping_add(1);
    let begins = stream.begins();
    begins.is_none_or(|begins| begins.wrapping_sub(first) < OVERTAKING)
}

/// TLS handshake record with a hello of this type (RFC 8446, sections 4 and 5.1).
fn hello(bytes: &[u8], kind: u8) -> bool {
    matches!(bytes, [0x16, 3, 0..=4, _, _, found, ..] if *found == kind)
}

fn asks(bytes: &[u8]) -> bool {
    let head = bytes.get(..16 * 1024).unwrap_or(bytes);
    hello(bytes, 1)
        || bytes.starts_with(PREFACE)
        || matches!(parse_request(head), Parsed::Complete(..))
}

fn answers(bytes: &[u8]) -> bool {
    let head = bytes.get(..16 * 1024).unwrap_or(bytes);
    hello(bytes, 2) || matches!(parse_response(head), Parsed::Complete(..))
}
