//! Reads a conversation: opens its packets, level by level, and lets the handshake tell
//! the TLS session.

use super::{Conversation, Datagram};
use crate::journey::connection::TrackedConnection;
use crate::journey::model::{self, Close, CloseKind, DecryptedBy, End};
use crate::journey::tls::{KeyLog, Session, TlsAnalysis};
use crate::protocol::quic::crypto::CryptoStream;
use crate::protocol::quic::frame::{self, Frame, frames};
use crate::protocol::quic::keys::Keys;
use crate::protocol::quic::packet::{Kind, Packet, packets};
use crate::protocol::quic::version;
use crate::protocol::text::printable;
use crate::protocol::tls::handshake::Message;
use std::collections::HashMap;

/// Datagrams of the handshake that are listed.
const MAXIMUM_LISTED: usize = 200;

/// Connection ids that keys of Initial packets are derived from.
const MAXIMUM_IDS: usize = 8;

/// Labels of the secrets of Handshake and of 1-RTT packets: the client's, the server's.
pub(super) const HANDSHAKE_SECRETS: [&str; 2] = [
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
];
pub(super) const TRAFFIC_SECRETS: [&str; 2] =
    ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"];

/// What the datagrams of a connection hold.
#[derive(Debug, Clone)]
pub(in crate::journey) struct Reading {
    pub quic: model::Quic,
    pub tls: Option<TlsAnalysis>,
    /// Requests, responses and what cannot be told from them: who sent when.
    pub application: Vec<(End, u64)>,
    pub close: Option<Close>,
}

/// Reads the connection; `None` when it is not QUIC.
pub(in crate::journey) fn read(
    connection: &TrackedConnection,
    secrets: &KeyLog,
) -> Option<Reading> {
    let conversation = connection.quic.as_deref()?;
    let mut reader = Reader::new(conversation);
    reader.headers();
    reader.initial();
    reader.handshake(secrets);
    reader.application(secrets);
    Some(reader.finish(secrets))
}

/// The keys that one end seals with, once both hellos are there and the key log has them.
pub(super) fn level_keys(
    conversation: &Conversation,
    labels: [&str; 2],
    end: End,
    secrets: &KeyLog,
) -> Option<Keys> {
    let mut reader = Reader::new(conversation);
    reader.headers();
    reader.initial();
    reader.traffic_keys(labels, end, reader.version, secrets)
}

/// Who sent a packet of which version.
type KeyName = (End, u32);

struct Reader<'a> {
    conversation: &'a Conversation,
    session: Session,
    /// Handshake messages of each end: client, server.
    messages: [Vec<Message>; 2],
    listed: Vec<model::QuicDatagram>,
    /// For each datagram, its place in `listed`.
    places: Vec<Option<usize>>,
    version: u32,
    version_negotiation: Option<Vec<u32>>,
    retry: bool,
    /// Times of 1-RTT packets, and of those that carry requests or responses.
    short: Vec<(End, u64)>,
    streams: Vec<(End, u64)>,
    opened_short: bool,
    close: Option<model::QuicClose>,
}

pub(super) const fn side(end: End) -> usize {
    match end {
        End::Client => 0,
        End::Server => 1,
    }
}

impl<'a> Reader<'a> {
    fn new(conversation: &'a Conversation) -> Self {
        Self {
            conversation,
            session: Session::default(),
            messages: [Vec::new(), Vec::new()],
            listed: Vec::new(),
            places: Vec::new(),
            version: conversation.offered_version,
            version_negotiation: None,
            retry: false,
            short: Vec::new(),
            streams: Vec::new(),
            opened_short: false,
            close: None,
        }
    }

    /// What the headers say in clear.
    fn headers(&mut self) {
        for datagram in &self.conversation.datagrams {
            let (end, at_ns) = (datagram.end, datagram.mark.at_ns);
            let mut names = Vec::new();
            let mut short_only = true;
            for packet in packets(&datagram.payload) {
                short_only &= matches!(packet, Packet::Short(_));
                names.push(match packet {
                    Packet::Long(long) => {
                        self.retry |= long.kind == Kind::Retry;
                        if end == End::Server && long.kind != Kind::Retry {
                            self.version = long.version;
                        }
                        long.kind.name().to_owned()
                    }
                    Packet::VersionNegotiation { versions, .. } => {
                        self.version_negotiation.get_or_insert(versions);
                        "Version Negotiation".to_owned()
                    }
                    Packet::Unknown { version, .. } => {
                        format!("version {}", version::name(version))
                    }
                    Packet::Short(_) => {
                        self.short.push((end, at_ns));
                        "1-RTT".to_owned()
                    }
                });
            }
            let listed = !short_only && self.listed.len() < MAXIMUM_LISTED;
            self.places.push(listed.then_some(self.listed.len()));
            if listed {
                self.listed.push(model::QuicDatagram {
                    at_ns,
                    end,
                    bytes: u64::from(datagram.length),
                    packets: names,
                    messages: Vec::new(),
                });
            }
        }
    }

    /// Initial packets, sealed with keys that everybody knows. After a Retry the client
    /// starts over with other keys; each packet opens with those of one id at most.
    fn initial(&mut self) {
        let conversation = self.conversation;
        let mut ids: Vec<&[u8]> = conversation.initial_ids.iter().map(Vec::as_slice).collect();
        let mut keys: HashMap<(KeyName, usize), Keys> = HashMap::new();
        let mut streams = [CryptoStream::default(), CryptoStream::default()];
        for (index, datagram) in conversation.datagrams.iter().enumerate() {
            for long in long_packets(datagram, Kind::Initial) {
                // What the client wanted of a version that was to be refused, it said again.
                if version::is_reserved(long.version) && !version::is_reserved(self.version) {
                    continue;
                }
                // The Retry that gave the client this id may not have been captured.
                let unknown = datagram.end == End::Client && !ids.contains(&long.destination_id);
                if unknown && ids.len() < MAXIMUM_IDS {
                    ids.push(long.destination_id);
                }
                let payload = ids.iter().enumerate().find_map(|(position, id)| {
                    let name = ((datagram.end, long.version), position);
                    let keys = match keys.entry(name) {
                        std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                        std::collections::hash_map::Entry::Vacant(place) => {
                            let client = datagram.end == End::Client;
                            place.insert(Keys::initial(long.version, id, client)?)
                        }
                    };
                    keys.open(long.bytes, long.number_offset)
                });
                if let Some(opened) = payload {
                    let packet = (long.version, opened.payload.as_slice());
                    self.control(index, datagram, packet, &mut streams);
                }
            }
        }
        for end in [End::Client, End::Server] {
            if let Some(messages) = self.messages.get_mut(side(end)) {
                for message in std::mem::take(messages) {
                    self.session.message(end, &message);
                }
            }
        }
    }

    /// Handshake packets, for which the key log must have the secrets.
    fn handshake(&mut self, secrets: &KeyLog) {
        let conversation = self.conversation;
        let mut keys: HashMap<KeyName, Option<Keys>> = HashMap::new();
        let mut streams = [CryptoStream::default(), CryptoStream::default()];
        for (index, datagram) in conversation.datagrams.iter().enumerate() {
            for long in long_packets(datagram, Kind::Handshake) {
                let end = datagram.end;
                let keys = keys.entry((end, long.version)).or_insert_with(|| {
                    self.traffic_keys(HANDSHAKE_SECRETS, end, long.version, secrets)
                });
                let opened = keys
                    .as_mut()
                    .and_then(|keys| keys.open(long.bytes, long.number_offset));
                if let Some(opened) = opened {
                    self.session.decrypted(DecryptedBy::Keylog);
                    let packet = (long.version, opened.payload.as_slice());
                    self.control(index, datagram, packet, &mut streams);
                }
            }
        }
        // The server speaks first at this level.
        for end in [End::Server, End::Client] {
            if let Some(messages) = self.messages.get_mut(side(end)) {
                for message in std::mem::take(messages) {
                    self.session.message(end, &message);
                }
            }
        }
    }

    /// 1-RTT packets: requests and responses travel on streams that the client opened for
    /// both directions (RFC 9000, section 2.1), whose ids are multiples of four.
    fn application(&mut self, secrets: &KeyLog) {
        let conversation = self.conversation;
        for end in [End::Client, End::Server] {
            let Some(mut keys) = self.traffic_keys(TRAFFIC_SECRETS, end, self.version, secrets)
            else {
                continue;
            };
            let number_offset = conversation.short_number_offset(end);
            for datagram in conversation.datagrams.iter().filter(|d| d.end == end) {
                let short = packets(&datagram.payload).find_map(|packet| match packet {
                    Packet::Short(bytes) => Some(bytes),
                    _ => None,
                });
                let Some(opened) = short.and_then(|bytes| keys.open(bytes, number_offset)) else {
                    continue;
                };
                self.opened_short = true;
                for frame in frames(self.version, &opened.payload) {
                    match frame {
                        Frame::Stream { id, .. } if id % 4 == 0 => {
                            self.streams.push((end, datagram.mark.at_ns));
                        }
                        other => self.end_of_connection(datagram, other),
                    }
                }
            }
        }
        self.streams.sort_by_key(|(_, at_ns)| *at_ns);
    }

    fn traffic_keys(
        &self,
        labels: [&str; 2],
        end: End,
        version: u32,
        secrets: &KeyLog,
    ) -> Option<Keys> {
        let random = &self.session.client_hello()?.random;
        let suite = self.session.server_hello()?.cipher_suite;
        let secret = secrets.secret(labels.get(side(end))?, random)?;
        Keys::traffic(version, suite, secret)
    }

    /// The frames of an Initial or Handshake packet.
    fn control(
        &mut self,
        index: usize,
        datagram: &Datagram,
        (version, payload): (u32, &[u8]),
        streams: &mut [CryptoStream; 2],
    ) {
        let at_ns = datagram.mark.at_ns;
        for frame in frames(version, payload) {
            let Frame::Crypto { offset, data } = frame else {
                self.end_of_connection(datagram, frame);
                continue;
            };
            let Some(stream) = streams.get_mut(side(datagram.end)) else {
                continue;
            };
            for message in stream.push(offset, data, at_ns) {
                let place = self.places.get(index).copied().flatten();
                if let Some(row) = place.and_then(|place| self.listed.get_mut(place)) {
                    row.messages.push(message.name());
                }
                if let Some(messages) = self.messages.get_mut(side(datagram.end)) {
                    messages.push(message);
                }
            }
        }
    }

    fn end_of_connection(&mut self, datagram: &Datagram, frame: Frame<'_>) {
        let Frame::Close {
            application,
            code,
            reason,
        } = frame
        else {
            return;
        };
        let at_ns = datagram.mark.at_ns;
        if self
            .close
            .as_ref()
            .is_some_and(|known| known.at_ns <= at_ns)
        {
            return;
        }
        // An alert of TLS ends the connection with its own number (RFC 9001, section 4.8).
        if let (false, 0x100..=0x1ff) = (application, code)
            && let Ok(description) = u8::try_from(code & 0xff)
        {
            const FATAL: u8 = 2;
            self.session.alert(datagram.end, FATAL, description, at_ns);
        }
        self.close = Some(model::QuicClose {
            at_ns,
            end: datagram.end,
            application,
            code,
            name: (!application).then(|| frame::error_name(code)),
            reason: (!reason.is_empty()).then(|| printable(reason)),
        });
    }

    fn finish(mut self, secrets: &KeyLog) -> Reading {
        // A client has 1-RTT keys when it has verified the server's Finished, and sends its
        // own before anything else (RFC 9001, section 4.1.1).
        let first_short = self.short.iter().find(|(end, _)| *end == End::Client);
        if let Some((_, at_ns)) = first_short.filter(|_| self.session.server_hello().is_some()) {
            self.session.finished(*at_ns);
        }
        let application = if self.opened_short {
            self.streams
        } else {
            self.short
        };
        let span = |end: End| {
            let mut times = application.iter().filter(|(from, _)| *from == end);
            let first = times.next()?.1;
            Some((first, times.next_back().map_or(first, |(_, last)| *last)))
        };
        let hello = self.session.client_hello().is_some() || self.session.server_hello().is_some();
        let tls = hello.then(|| TlsAnalysis {
            client_plaintext: None,
            server_plaintext: None,
            client_application_data: span(End::Client),
            server_application_data: span(End::Server),
            session: {
                let mut session = self.session.clone().into_model(secrets);
                let more = u32::from(self.retry) + u32::from(self.version_negotiation.is_some());
                session.round_trips = session.round_trips.map(|trips| trips + more);
                session
            },
        });
        let hex = |id: &Vec<u8>| hex::encode(id);
        let conversation = self.conversation;
        Reading {
            quic: model::Quic {
                version: version::name(self.version),
                offered_version: version::name(conversation.offered_version),
                version_negotiation: self
                    .version_negotiation
                    .map(|versions| versions.into_iter().map(version::name).collect()),
                retry: self.retry,
                original_destination_id: conversation.initial_ids.first().map(hex),
                client_id: conversation.client_id.as_ref().map(hex),
                server_id: conversation.server_id.as_ref().map(hex),
                datagrams: self.listed,
                close: self.close.clone(),
            },
            tls,
            application,
            close: self.close.map(|close| Close {
                kind: CloseKind::Fin,
                first: Some(close.end),
                at_ns: Some(close.at_ns),
                messages: Vec::new(),
            }),
        }
    }
}

/// The packets of a datagram with a long header of this kind.
fn long_packets(
    datagram: &Datagram,
    kind: Kind,
) -> impl Iterator<Item = crate::protocol::quic::packet::Long<'_>> {
    packets(&datagram.payload).filter_map(move |packet| match packet {
        Packet::Long(long) if long.kind == kind => Some(long),
        _ => None,
    })
}
