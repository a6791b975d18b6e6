//! One direction of a connection, record by record.

use super::plaintext::Plaintext;
use super::records::{Records, body, header};
use super::session::Session;
use crate::journey::bytes::TimedBytes;
use crate::journey::model::{DecryptedBy, End, TlsRecord};
use crate::protocol::tls::decrypt::{Opened, Opener, Phase};
use crate::protocol::tls::handshake::{Message, Reassembly, message_type};
use crate::protocol::tls::record::{Record, content_type, content_type_name};

/// Records kept of each direction; those after them are still decrypted and counted.
const MAXIMUM_RECORDS: usize = 100_000;

/// What is said of handshake messages that stay sealed.
pub const SEALED_HANDSHAKE: &str = "Encrypted Handshake Message";

/// A record with what the report does not show but the order of records needs.
#[derive(Debug, Clone)]
pub struct Row {
    pub record: TlsRecord,
    pub first_at_ns: u64,
    pub content: Content,
}

/// What a record turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Handshake, alerts, change of cipher: in clear, opened, or proven by the type.
    Control,
    /// Application data, opened or proven by the type (TLS 1.2) or by a Finished before.
    Application,
    /// Sealed by TLS 1.3, where the type says nothing.
    Sealed,
}

/// First and last wire time of something.
pub type Span = (u64, u64);

/// Lengthens a span by a record.
pub fn extend(span: &mut Option<Span>, first_at_ns: u64, last_at_ns: u64) {
    let first = span.map_or(first_at_ns, |(first, _)| first.min(first_at_ns));
    let last = span.map_or(last_at_ns, |(_, last)| last.max(last_at_ns));
    *span = Some((first, last));
}

/// What one direction holds.
#[derive(Debug, Default)]
pub struct Outcome {
    pub rows: Vec<Row>,
    /// Application data that did not need the order of both directions to be recognised.
    pub application: Option<Span>,
    /// Sealed records past [`MAXIMUM_RECORDS`].
    pub sealed_beyond: Option<Span>,
    pub plaintext: Option<TimedBytes>,
    /// Time of the last byte of the stream, where the bytes after the last record were on
    /// the wire but were not captured.
    pub continues_until: Option<u64>,
}

/// Reads all records of one direction. `opener` holds its keys, where they are known.
pub fn read(
    end: End,
    stream: &TimedBytes,
    opener: Option<Opener>,
    tls13: bool,
    session: &mut Session,
) -> Outcome {
    let mut direction = Direction {
        end,
        stream,
        opener,
        tls13,
        session,
        reassembly: Reassembly::default(),
        cipher_changes: 0,
        finished: false,
        opened: false,
        plaintext: Plaintext::default(),
        outcome: Outcome::default(),
    };
    let mut records = Records::new(stream);
    for record in records.by_ref() {
        direction.take(&record);
    }
    direction.finish(records.offset())
}

struct Direction<'a> {
    end: End,
    stream: &'a TimedBytes,
    opener: Option<Opener>,
    tls13: bool,
    session: &'a mut Session,
    reassembly: Reassembly,
    /// ChangeCipherSpec messages of TLS 1.2 and before: after the first, records are sealed.
    cipher_changes: usize,
    /// This end's Finished was read.
    finished: bool,
    /// At least one record was opened.
    opened: bool,
    plaintext: Plaintext,
    outcome: Outcome,
}

/// When the first byte of a record was seen, and when all of it had been: behind a segment
/// that was lost, the bytes of a record may have come long before it could be read.
#[derive(Clone, Copy)]
struct Times {
    first: u64,
    last: u64,
}

impl Direction<'_> {
    fn take(&mut self, record: &Record) {
        let times = Times {
            first: self.stream.time_of(record.offset),
            last: self.stream.readable_at(record.end().saturating_sub(1)),
        };
        let sealed = if self.tls13 {
            record.content_type == content_type::APPLICATION_DATA
        } else {
            self.cipher_changes > 0 || record.content_type == content_type::APPLICATION_DATA
        };
        if record.content_type == content_type::CHANGE_CIPHER_SPEC {
            self.change_cipher(record, times);
        } else if sealed {
            self.take_sealed(record, times);
        } else {
            self.take_clear(record, times);
        }
    }

    /// In TLS 1.3 the record means nothing (RFC 8446, appendix D.4).
    fn change_cipher(&mut self, record: &Record, times: Times) {
        if !self.tls13 {
            self.cipher_changes += 1;
            self.reassembly.reset();
            if self.cipher_changes > 1 {
                // Renegotiated: the key log has the new secret under a random that was
                // sealed, and the old key is of no use any more.
                self.opener = None;
            }
            if self.end == End::Server {
                self.session.abbreviated();
            }
        }
        self.push(record, times, Content::Control, false, Vec::new());
    }

    fn take_clear(&mut self, record: &Record, times: Times) {
        let Some(fragment) = body(self.stream, record) else {
            self.reassembly.reset();
            self.session.lost();
            self.push(record, times, Content::Control, false, Vec::new());
            return;
        };
        let messages = if record.ssl2 {
            self.session.ssl2_client_hello(fragment, times.first);
            vec!["ClientHello".to_owned()]
        } else {
            self.control(record.content_type, fragment, times)
        };
        self.push(record, times, Content::Control, false, messages);
    }

    fn take_sealed(&mut self, record: &Record, times: Times) {
        let opened = match (body(self.stream, record), self.opener.as_mut()) {
            (Some(sealed), Some(opener)) => opener.open(header(record), sealed),
            (None, Some(opener)) => {
                opener.skip(record.length);
                None
            }
            (_, None) => None,
        };
        match opened {
            Some(opened) => self.take_opened(record, times, &opened),
            None => self.take_unopened(record, times),
        }
    }

    fn take_opened(&mut self, record: &Record, times: Times, opened: &Opened) {
        self.opened = true;
        self.session.decrypted(DecryptedBy::Keylog);
        self.finished |= self.tls13 && opened.phase == Phase::Application;
        let mut content = Content::Control;
        let mut messages = Vec::new();
        if opened.content_type == content_type::APPLICATION_DATA {
            content = Content::Application;
            self.plaintext.push(
                self.stream,
                record.body_start() + opened.body_offset,
                record.end(),
                &opened.plaintext,
            );
        } else {
            messages = self.control(opened.content_type, &opened.plaintext, times);
        }
        let inner = Record {
            content_type: opened.content_type,
            ..*record
        };
        self.push(&inner, times, content, true, messages);
    }

    fn take_unopened(&mut self, record: &Record, times: Times) {
        self.reassembly.reset();
        let application = record.content_type == content_type::APPLICATION_DATA;
        let content = match (application, self.tls13 && !self.finished) {
            (true, true) => Content::Sealed,
            (true, false) => Content::Application,
            (false, _) => Content::Control,
        };
        let mut messages = Vec::new();
        if record.content_type == content_type::HANDSHAKE {
            messages.push(SEALED_HANDSHAKE.to_owned());
            // The first handshake message after ChangeCipherSpec can only be Finished
            // (RFC 5246, section 7.4.9).
            if self.end == End::Client {
                self.session.finished(times.last);
            }
        }
        if let (Content::Application, Some(opener)) = (content, &self.opener) {
            let length = record.length.saturating_sub(opener.overhead());
            self.plaintext.push_hole(length, times.last);
        }
        self.push(record, times, content, true, messages);
    }

    /// Handshake messages and alerts in clear; returns the names of the messages.
    fn control(&mut self, kind: u8, fragment: &[u8], times: Times) -> Vec<String> {
        match (kind, fragment) {
            (content_type::HANDSHAKE, _) => self
                .reassembly
                .push(fragment, times.first, times.last)
                .iter()
                .map(|message| self.handshake(message))
                .collect(),
            (content_type::ALERT, &[level, description]) => {
                self.session.alert(self.end, level, description, times.last);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn handshake(&mut self, message: &Message) -> String {
        self.session.message(self.end, message);
        if let Some(opener) = self.opener.as_mut().filter(|_| self.tls13) {
            match message.kind {
                message_type::END_OF_EARLY_DATA => opener.leave(Phase::Early),
                message_type::FINISHED => opener.leave(Phase::Handshake),
                message_type::KEY_UPDATE => opener.update_key(),
                _ => {}
            }
        }
        self.finished |= message.kind == message_type::FINISHED;
        message.name()
    }

    fn push(
        &mut self,
        record: &Record,
        times: Times,
        content: Content,
        encrypted: bool,
        messages: Vec<String>,
    ) {
        if content == Content::Application {
            extend(&mut self.outcome.application, times.first, times.last);
        }
        if self.outcome.rows.len() >= MAXIMUM_RECORDS {
            if content == Content::Sealed {
                extend(&mut self.outcome.sealed_beyond, times.first, times.last);
            }
            return;
        }
        self.outcome.rows.push(Row {
            record: TlsRecord {
                at_ns: times.last,
                end: self.end,
                record_type: content_type_name(record.content_type).to_owned(),
                bytes: record.length as u64,
                messages,
                encrypted,
            },
            first_at_ns: times.first,
            content,
        });
    }

    fn finish(mut self, stopped_at: usize) -> Outcome {
        let length = self.stream.len();
        // The next header lies, wholly or in part, in a hole.
        let hole = self
            .stream
            .next_hole(stopped_at)
            .is_some_and(|(start, _)| start < stopped_at + 5);
        if hole {
            self.outcome.continues_until = Some(self.stream.readable_at(length.saturating_sub(1)));
        }
        self.outcome.plaintext = self.opened.then(|| self.plaintext.finish());
        self.outcome
    }
}
