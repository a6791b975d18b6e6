//! The frames of a journey's key moments, for the layers view.

use super::connection::TrackedConnection;
use super::evidence::Mark;
use super::model::{End, HttpExchange, Packet};
use super::phases::{Carrier, Path};
use super::resolution;
use super::story::Story;
use super::{drafts::Draft, model::Tls};
use crate::capture::Frame;

/// Chooses the packets that tell the journey's story, in time order.
pub(super) fn packets(
    story: &Story<'_>,
    draft: &Draft,
    carrier: Option<Carrier<'_>>,
    path: &Path<'_>,
    journey: &str,
) -> Vec<Packet> {
    let mut chosen = Chosen {
        story,
        journey,
        packets: Vec::new(),
    };
    let asked = draft.resolved.queries.iter();
    for index in asked.filter(|_| !draft.resolved.remembered) {
        if let Some(query) = resolution::query(story, *index) {
            for ((mark, frame), role) in query.kept_frames.iter().zip(["DNS query", "DNS answer"]) {
                chosen.add(*mark, frame, role);
            }
        }
    }
    if let Some(exchange) = path.neighbor {
        for ((mark, frame), role) in exchange
            .kept_frames
            .iter()
            .zip(["neighbour request", "neighbour answer"])
        {
            chosen.add(*mark, frame, role);
        }
    }
    if let Some(carrier) = carrier {
        let connection = carrier.connection;
        let requester = carrier.analysed.requester;
        if draft.opens {
            chosen.handshake(connection);
            if let Some(tls) = &carrier.analysed.tls {
                chosen.hellos(connection, requester, &tls.session);
            }
        }
        if let Some(exchange) = carrier.exchange {
            let asked = carrier.asked.and_then(|asked| asked.request_at_ns);
            let answered = exchange.response_at_ns;
            if let Some(at_ns) = asked {
                chosen.at(connection, requester, at_ns, "first request");
            }
            if let Some(at_ns) = answered {
                chosen.at(connection, requester.peer(), at_ns, "first response");
            }
            if carrier.analysed.tls.is_some() {
                chosen.open(connection, requester, exchange);
            }
        }
        if draft.closes {
            for (message, mark) in &connection.close_messages {
                let role = match message.kind.as_str() {
                    "fin" => "FIN",
                    "rst" => "RST",
                    _ => continue,
                };
                chosen.number(connection, *mark, role);
            }
        }
    }
    chosen.packets.sort_by_key(|packet| packet.number);
    chosen.packets
}

struct Chosen<'a> {
    story: &'a Story<'a>,
    journey: &'a str,
    packets: Vec<Packet>,
}

impl Chosen<'_> {
    /// A packet with two roles is opened once and named for both.
    fn add(&mut self, mark: Mark, frame: &Frame, role: &str) {
        let mut present = self.packets.iter_mut();
        if let Some(packet) = present.find(|packet| packet.number == mark.number) {
            packet.role = format!("{}, {role}", packet.role);
            return;
        }
        let interfaces = &self.story.memory.interfaces;
        self.packets.push(Packet {
            at_ns: mark.at_ns,
            number: mark.number,
            journey: self.journey.to_owned(),
            role: role.to_owned(),
            interface: interfaces.name(mark.interface).map(str::to_owned),
            frame: frame.clone(),
            kernel_path: None,
            application: None,
        });
    }

    fn number(&mut self, connection: &TrackedConnection, mark: Mark, role: &str) {
        let mut kept = connection.kept_frames.iter();
        if let Some((_, frame)) = kept.find(|(kept, _)| kept.mark.number == mark.number) {
            self.add(mark, frame, role);
            if let Some(packet) = self.packets.iter_mut().find(|p| p.number == mark.number) {
                packet.kernel_path = connection.path_of_frame(mark, frame);
            }
        }
    }

    fn at(&mut self, connection: &TrackedConnection, end: End, at_ns: u64, role: &str) {
        if let Some(mark) = connection.frame_at(end, at_ns) {
            self.number(connection, mark, role);
        }
    }

    /// Puts the decrypted message into the packet that carried it sealed.
    fn open(&mut self, connection: &TrackedConnection, requester: End, exchange: &HttpExchange) {
        let version = &exchange.version;
        let request = format!("{} HTTP/{version}", exchange.asked().unwrap_or_default());
        let status = exchange.status.map_or(String::new(), |s| s.to_string());
        let response = format!("HTTP/{version} {status}");
        let messages = [
            (
                requester,
                exchange.request_at_ns,
                head(&request, &exchange.request_headers),
            ),
            (
                requester.peer(),
                exchange.response_at_ns,
                head(&response, &exchange.response_headers),
            ),
        ];
        for (end, at_ns, text) in messages {
            let mark = at_ns.and_then(|at_ns| connection.frame_at(end, at_ns));
            let mut packets = self.packets.iter_mut();
            if let Some(packet) = packets.find(|p| Some(p.number) == mark.map(|m| m.number)) {
                packet.application = Some(text.into_bytes());
            }
        }
    }

    fn handshake(&mut self, connection: &TrackedConnection) {
        let marks = [
            (connection.syns.first().copied(), "SYN"),
            (connection.syn_ack, "SYN-ACK"),
            (connection.ack, "ACK"),
        ];
        for (mark, role) in marks {
            if let Some(mark) = mark {
                self.number(connection, mark, role);
            }
        }
    }

    fn hellos(&mut self, connection: &TrackedConnection, requester: End, session: &Tls) {
        if let Some(at_ns) = session.client_hello_at_ns {
            self.at(connection, requester, at_ns, "ClientHello");
        }
        if let Some(at_ns) = session.server_hello_at_ns {
            self.at(connection, requester.peer(), at_ns, "ServerHello");
        }
    }
}

/// A message's head as HTTP/1.1 would write it (RFC 9112, section 2.1).
fn head(first: &str, headers: &[(String, String)]) -> String {
    let mut text = format!("{first}\r\n");
    for (name, value) in headers {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text
}
