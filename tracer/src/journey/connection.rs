//! One TCP connection, followed from its frames and from the kernel's socket events.

use super::evidence::{EndMark, Mark};
use super::kernel_path::Passages;
use super::model::{CloseMessage, End, Endpoint, PerEnd, StateTransition, TcpOptions};
use super::quic::Conversation;
use super::skim::Skimmer;
use super::story::Analysed;
use super::stream::{SegmentKind, StreamAssembler};
use super::told::Told;
use crate::capture::Frame;
use crate::protocol::frame::Tcp;
use std::sync::Arc;

mod children;
mod close;
mod kernel;
mod numbers;
mod opening;
mod remarks;
mod retransmissions;
mod roles;

pub(super) use children::FailedChild;
use numbers::{RoundTrip, Sent};
use opening::OtherAnswer;
use remarks::Remarks;
use retransmissions::Retransmissions;

/// Frames remembered as evidence for the bytes of a stream.
const PAYLOAD_MARKS: usize = 4096;
/// What an entry of a list costs beside its own bytes, about.
const MARK_BYTES: usize = 100;
/// The same of DNS over TCP, where each message stands on a frame of its own.
const DNS_MARKS: usize = 65_536;
/// Frames kept whole for the layers view.
const KEPT_FRAMES: usize = 64;
/// Processes that read from one socket, or write to it, remembered.
const USERS: usize = 16;

/// connect(2) as the calling process made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConnectCall {
    pub at_ns: u64,
    pub pid: u32,
}

/// A stretch of payload that was not captured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hole {
    pub offset: usize,
    pub length: usize,
    pub at_ns: u64,
}

/// Why and when a connection was not followed to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub at_ns: u64,
    pub why: CutBy,
}

/// What ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutBy {
    /// Room for payload: segments are counted on, their bytes are not kept.
    Payload,
    /// Room for connections: what comes later is another connection.
    Connections,
}

/// Processes that used a socket in one way, in order.
#[derive(Debug, Default)]
pub(super) struct Users(Vec<u32>);

impl Users {
    pub fn add(&mut self, pid: u32) {
        if self.0.len() < USERS && !self.0.contains(&pid) {
            self.0.push(pid);
        }
    }

    pub fn pids(&self) -> &[u32] {
        &self.0
    }
}

/// What is known of one end.
#[derive(Debug)]
pub(super) struct EndState {
    pub stream: StreamAssembler,
    pub initial_sequence: Option<u32>,
    pub options: Option<TcpOptions>,
    pub segments: u64,
    /// Socket cookie of this end, when it is on this host.
    pub cookie: Option<u64>,
    /// Processes that read from this end's socket.
    pub readers: Users,
    /// Those that wrote to it; nobody where writes were not watched.
    pub writers: Users,
    /// The process that had this end's socket open when the capture began.
    pub holder: Option<u32>,
    /// inode number of the network namespace of this end's socket, once it is known.
    pub network_namespace: Option<u32>,
    /// The interface on which this end's frames were first seen: the same packet seen on
    /// a second interface (bridge, veth pair) must not count twice.
    interface: Option<u32>,
    /// Relative sequence number of the FIN.
    fin: Option<u64>,
    fin_acknowledged: bool,
    /// The first stretch that was not captured, once the bytes are forgotten.
    hole: Option<Hole>,
    sent: Sent,
    /// It has said that it has no room, and nothing else since.
    window_is_closed: bool,
}

impl EndState {
    fn new(limit: usize) -> Self {
        Self {
            stream: StreamAssembler::new(limit),
            initial_sequence: None,
            options: None,
            segments: 0,
            cookie: None,
            readers: Users::default(),
            writers: Users::default(),
            holder: None,
            network_namespace: None,
            interface: None,
            fin: None,
            fin_acknowledged: false,
            hole: None,
            sent: Sent::default(),
            window_is_closed: false,
        }
    }
}

/// One connection, or an attempt that never got as far as a frame.
#[derive(Debug)]
pub(super) struct TrackedConnection {
    pub number: u64,
    pub client: Endpoint,
    pub server: Endpoint,
    pub interface: Option<u32>,
    client_end: EndState,
    server_end: EndState,
    /// Every SYN of the client, retries included.
    pub syns: Vec<Mark>,
    pub syn_ack: Option<Mark>,
    /// Who sent it: the client where both ends opened the connection.
    syn_ack_by: End,
    /// While it is not known which one the other end takes.
    other_answer: Option<Box<OtherAnswer>>,
    pub ack: Option<Mark>,
    first_round_trip: RoundTrip,
    pub states: Vec<StateTransition>,
    failed_child: Option<FailedChild>,
    pub retransmissions: Retransmissions,
    pub close_messages: Vec<(CloseMessage, Mark)>,
    pub reset: Option<EndMark>,
    /// Resets after the first: they close nothing any more.
    later_resets: Vec<CloseMessage>,
    /// What the kernel told of it beyond its states.
    pub told: Told,
    /// What a capture file says of its packets.
    pub remarks: Option<Box<Remarks>>,
    /// An ICMP error that quoted this connection: version, type, code.
    pub icmp_error: Option<(u8, u8, u8, Mark)>,
    pub connect: Option<ConnectCall>,
    /// The datagrams, when it is QUIC; nothing of TCP is known then.
    pub quic: Option<Box<Conversation>>,
    pub payload_marks: Vec<EndMark>,
    pub kept_frames: Vec<(EndMark, Frame)>,
    pub first_at_ns: u64,
    pub last_at_ns: u64,
    /// Where not all of the streams is kept.
    pub skimmer: Option<Box<Skimmer>>,
    /// The payload's way through this host's kernel.
    pub passages: Passages,
    /// What the payload was, once its bytes are forgotten.
    pub settled: Option<Arc<Analysed>>,
    /// It is over, and waits to be settled.
    pub over: bool,
    /// It was not followed to its end.
    pub cut: Option<Cut>,
    /// How many exchanges of this connection were already reported (live mode).
    pub reported: usize,
    /// Something came in since the last report (live mode).
    pub touched: bool,
    /// Not looked at again before this time, unless it closes (live mode).
    pub wait_until_ns: u64,
    /// Its DNS messages were read.
    pub dns_read: bool,
    /// Every socket cookie by which this connection can be found.
    pub cookies: Vec<u64>,
}

impl TrackedConnection {
    pub fn new(
        number: u64,
        client: Endpoint,
        server: Endpoint,
        at_ns: u64,
        stream_limit: usize,
    ) -> Self {
        Self {
            number,
            client,
            server,
            interface: None,
            client_end: EndState::new(stream_limit),
            server_end: EndState::new(stream_limit),
            syns: Vec::new(),
            syn_ack: None,
            syn_ack_by: End::Server,
            other_answer: None,
            ack: None,
            first_round_trip: RoundTrip::default(),
            states: Vec::new(),
            failed_child: None,
            retransmissions: Retransmissions::default(),
            close_messages: Vec::new(),
            reset: None,
            later_resets: Vec::new(),
            told: Told::default(),
            remarks: None,
            icmp_error: None,
            connect: None,
            quic: None,
            payload_marks: Vec::new(),
            kept_frames: Vec::new(),
            first_at_ns: at_ns,
            last_at_ns: at_ns,
            skimmer: None,
            passages: Passages::default(),
            settled: None,
            over: false,
            cut: None,
            reported: 0,
            touched: true,
            wait_until_ns: 0,
            dns_read: false,
            cookies: Vec::new(),
        }
    }

    /// The name of the connection in every output.
    pub fn id(&self) -> String {
        format!("c{}", self.number)
    }

    pub fn end(&self, end: End) -> &EndState {
        match end {
            End::Client => &self.client_end,
            End::Server => &self.server_end,
        }
    }

    pub fn end_mut(&mut self, end: End) -> &mut EndState {
        match end {
            End::Client => &mut self.client_end,
            End::Server => &mut self.server_end,
        }
    }

    pub fn address(&self, end: End) -> Endpoint {
        match end {
            End::Client => self.client,
            End::Server => self.server,
        }
    }

    /// A frame of this connection was seen at least once.
    pub fn has_frames(&self) -> bool {
        self.client_end.segments + self.server_end.segments > 0
    }

    /// Takes one segment sent by `end`.
    pub fn segment(&mut self, end: End, tcp: &Tcp<'_>, mark: Mark, frame: &Frame, keep: bool) {
        if !self.seen(end, mark, frame) {
            return;
        }
        let key_frame = tcp.flags.syn || tcp.flags.fin || tcp.flags.rst || tcp.payload_length > 0;
        if keep && (key_frame || self.syn_ack.is_some() && self.ack.is_none()) {
            self.keep(end, mark, frame);
        }
        self.recognise_retransmission(end, tcp, mark);
        self.first_round_trip.segment(tcp, mark.at_ns);
        if tcp.flags.syn {
            self.synchronize(end, tcp, mark);
        } else if end != self.syn_ack_by && tcp.flags.ack && self.syn_ack.is_some() {
            self.choose_answer(tcp);
            self.ack.get_or_insert(mark);
        }
        if tcp.payload_length > 0 {
            self.payload(end, tcp, mark);
        }
        if tcp.flags.ack {
            self.acknowledge(end, tcp, mark);
        }
        if tcp.flags.fin {
            self.finish(end, tcp, mark);
        }
        if tcp.flags.rst {
            self.reset(end, mark);
        }
        self.window(end, tcp, mark);
    }

    /// Takes one QUIC datagram sent by `end`, `length` bytes on the wire.
    pub fn datagram(
        &mut self,
        end: End,
        (payload, length): (&[u8], u32),
        mark: Mark,
        frame: &Frame,
        keep: bool,
    ) {
        if !self.seen(end, mark, frame) {
            return;
        }
        if keep {
            self.keep(end, mark, frame);
        }
        if self.payload_marks.len() < PAYLOAD_MARKS {
            self.payload_marks.push(EndMark { end, mark });
        }
        if let Some(conversation) = &mut self.quic {
            conversation.datagram(end, payload, length, mark);
        }
    }

    /// Counts a frame sent by `end`; false when it was counted on another interface.
    fn seen(&mut self, end: End, mark: Mark, frame: &Frame) -> bool {
        if let Some(note) = &frame.note {
            let remarks = self.remarks.get_or_insert_default();
            remarks.frame(end, mark, note);
        }
        // For a socket that is gone the kernel answers from a socket of its own
        // (tcp_v4_send_reset, tcp_v4_send_ack: ipv4_tcp_sk), which nobody owns. Until then a
        // server's child takes over from the listener that sent the SYN-ACK.
        let connected = end == End::Client && self.connect.is_some();
        let is_settled = connected || self.reset.is_some();
        let state = self.end_mut(end);
        if *state.interface.get_or_insert(mark.interface) != mark.interface {
            return false;
        }
        state.segments += 1;
        if frame.cookie.is_some() && !(is_settled || state.fin.is_some()) {
            state.cookie = frame.cookie;
        }
        self.interface.get_or_insert(mark.interface);
        self.last_at_ns = self.last_at_ns.max(mark.at_ns);
        self.touched = true;
        true
    }

    fn keep(&mut self, end: End, mark: Mark, frame: &Frame) {
        if self.kept_frames.len() < KEPT_FRAMES {
            self.kept_frames
                .push((EndMark { end, mark }, frame.clone()));
        }
    }

    fn payload(&mut self, end: End, tcp: &Tcp<'_>, mark: Mark) {
        // Data in a SYN (Fast Open, RFC 7413) begins one after the SYN's own number.
        let sequence = tcp.sequence.wrapping_add(u32::from(tcp.flags.syn));
        let stream = &mut self.end_mut(end).stream;
        let kind = stream.segment(sequence, tcp.payload, tcp.payload_length, mark.at_ns);
        let brought = !matches!(
            kind,
            SegmentKind::Retransmission { .. } | SegmentKind::KeepAlive
        );
        let remembered = match self.has_unread_dns() {
            true => DNS_MARKS,
            false => PAYLOAD_MARKS,
        };
        if brought && self.payload_marks.len() < remembered {
            self.payload_marks.push(EndMark { end, mark });
        }
        if let Some(skimmer) = &mut self.skimmer {
            let streams = (&mut self.client_end.stream, &mut self.server_end.stream);
            skimmer.follow(end, streams.0, streams.1);
        }
    }

    pub fn bytes(&self) -> PerEnd {
        if let Some(conversation) = &self.quic {
            return conversation.bytes();
        }
        PerEnd {
            client: self.client_end.stream.highest(),
            server: self.server_end.stream.highest(),
        }
    }

    pub fn segments(&self) -> PerEnd {
        PerEnd {
            client: self.client_end.segments,
            server: self.server_end.segments,
        }
    }

    /// Remembers what the payload was and forgets its bytes.
    pub fn settle(&mut self, analysed: Analysed) {
        self.settled = Some(Arc::new(analysed));
        self.skimmer = None;
        for end in [End::Client, End::Server] {
            let hole = self.first_hole(end);
            let state = self.end_mut(end);
            state.hole = hole;
            state.stream.release();
        }
        if let Some(conversation) = &mut self.quic {
            conversation.forget();
        }
        self.payload_marks.shrink_to_fit();
    }

    /// Memory that it takes once it is settled, in bytes, about: by the sizes of what it holds.
    pub fn weight(&self) -> u64 {
        let frames = self.kept_frames.iter();
        let frames: usize = frames.map(|(_, frame)| frame.data.len() + MARK_BYTES).sum();
        let marks = self.payload_marks.len() * size_of::<EndMark>();
        let retransmissions = self.retransmissions.len() * MARK_BYTES;
        let told = self
            .settled
            .as_ref()
            .map_or(0, |analysed| analysed.weight());
        let remarks = self.remarks.as_ref().map_or(0, |remarks| remarks.weight());
        let total = size_of::<Self>() + frames + marks + retransmissions + told + remarks;
        u64::try_from(total).unwrap_or(u64::MAX)
    }

    /// The first stretch of payload that was not captured.
    pub fn first_hole(&self, end: End) -> Option<Hole> {
        let state = self.end(end);
        let stream = state.stream.bytes();
        let found = stream.next_hole(0).map(|(offset, length)| Hole {
            offset,
            length,
            at_ns: stream.time_of(offset),
        });
        found.or(state.hole)
    }

    /// DNS over TCP whose messages were not read yet.
    pub fn has_unread_dns(&self) -> bool {
        self.server.port == super::dns::PORT && !self.dns_read
    }

    /// Payload bytes in memory.
    pub fn held_bytes(&self) -> u64 {
        let ends = [&self.client_end, &self.server_end];
        let held = ends.map(|end| end.stream.held_bytes());
        let datagrams = self.quic.as_ref().map_or(0, |quic| quic.held_bytes());
        held.iter().sum::<u64>() + datagrams
    }

    /// Gives back room beyond what it holds: it is over, and not yet read.
    pub fn fit(&mut self) {
        self.client_end.stream.fit();
        self.server_end.stream.fit();
        self.payload_marks.shrink_to_fit();
    }

    /// Nothing can fill a gap any more: what lies behind it becomes readable.
    pub fn close_gaps(&mut self) {
        self.client_end.stream.close_gaps();
        self.server_end.stream.close_gaps();
    }

    /// The frame that carried the byte of `end` seen at `at_ns`.
    pub fn frame_at(&self, end: End, at_ns: u64) -> Option<Mark> {
        let start = self
            .payload_marks
            .partition_point(|entry| entry.mark.at_ns < at_ns);
        self.payload_marks
            .iter()
            .skip(start)
            .take_while(|entry| entry.mark.at_ns == at_ns)
            .find(|entry| entry.end == end)
            .map(|entry| entry.mark)
    }
}
