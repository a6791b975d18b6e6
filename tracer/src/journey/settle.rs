//! Connections of a file that are over: their payload is read and its bytes are forgotten
//! while the file is read on, so that memory is bounded by the connections that live.

use super::assemble::Assembler;
use super::dns::{self, DnsPacket};
use super::model::{DnsProtocol, DnsTransport, End, Source};
use super::payload;

/// After the close late and repeated segments are waited for.
const SETTLE_NS: u64 = 2_000_000_000;

impl Assembler {
    /// Settles the connections that were over some time ago.
    pub(super) fn settle(&mut self, now_ns: u64) {
        // The layers view opens kept frames with the streams around them.
        if self.options.source != Source::File || self.options.keep_frames {
            return;
        }
        while let Some(number) = self.connections.take_over(now_ns.saturating_sub(SETTLE_NS)) {
            self.prepare(number);
            let analysed = self
                .connections
                .get(number)
                .map(|it| payload::analyse(self, it));
            let connection = self.connections.get_mut(number);
            if let Some((connection, analysed)) = connection.zip(analysed) {
                connection.settle(analysed);
            }
        }
    }

    /// Makes a connection ready to be analysed: nothing more will come.
    pub(super) fn prepare(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(number) else {
            return;
        };
        if connection.settled.is_some() {
            return;
        }
        connection.close_gaps();
        connection.settle_roles();
        if connection.has_unread_dns() {
            self.dns_over_tcp(number);
        }
    }

    /// DNS over TCP is read from the streams, once they are whole.
    pub(super) fn dns_over_tcp(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(number) else {
            return;
        };
        connection.dns_read = true;
        let connection = &*connection;
        let mut messages = Vec::new();
        for end in [End::Client, End::Server] {
            let found = dns::in_stream(connection.end(end).stream.bytes());
            messages.extend(found.into_iter().map(|(at_ns, range)| (at_ns, end, range)));
        }
        // Both ends in order of time, so that an answer does not come before its query.
        messages.sort_by_key(|(at_ns, _, _)| *at_ns);
        for (at_ns, end, range) in messages {
            let stream = connection.end(end).stream.bytes().as_slice();
            let (Some(mark), Some(bytes)) = (connection.frame_at(end, at_ns), stream.get(range))
            else {
                // More segments than are remembered as evidence: told as lost, not hidden.
                self.lost.push((at_ns, "dns", 1));
                continue;
            };
            let packet = DnsPacket {
                protocol: DnsProtocol::Dns,
                transport: DnsTransport::Tcp,
                source: connection.address(end),
                destination: connection.address(end.peer()),
                bytes,
            };
            self.resolutions.message(&packet, mark, None);
        }
    }
}
