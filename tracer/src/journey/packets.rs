//! The frames of a journey's key moments, for the layers view.

use super::connection::TrackedConnection;
use super::evidence::Mark;
use super::model::{End, Packet};
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
    for index in &draft.resolved.queries {
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
        if draft.opens {
            chosen.handshake(connection);
            if let Some(tls) = &carrier.analysed.tls {
                chosen.hellos(connection, &tls.session);
            }
        }
        if let Some(exchange) = carrier.exchange {
            chosen.at(
                connection,
                End::Client,
                exchange.request_at_ns,
                "first request",
            );
            if let Some(at_ns) = exchange.response_at_ns {
                chosen.at(connection, End::Server, at_ns, "first response");
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
            application: None,
        });
    }

    fn number(&mut self, connection: &TrackedConnection, mark: Mark, role: &str) {
        let mut kept = connection.kept_frames.iter();
        if let Some((_, frame)) = kept.find(|(kept, _)| kept.mark.number == mark.number) {
            self.add(mark, frame, role);
        }
    }

    fn at(&mut self, connection: &TrackedConnection, end: End, at_ns: u64, role: &str) {
        if let Some(mark) = connection.frame_at(end, at_ns) {
            self.number(connection, mark, role);
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

    fn hellos(&mut self, connection: &TrackedConnection, session: &Tls) {
        if let Some(at_ns) = session.client_hello_at_ns {
            self.at(connection, End::Client, at_ns, "ClientHello");
        }
        if let Some(at_ns) = session.server_hello_at_ns {
            self.at(connection, End::Server, at_ns, "ServerHello");
        }
    }
}
