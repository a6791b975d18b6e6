//! What of a stream nobody is going to read, told while its bytes come in, so that they need
//! not be kept: bodies of HTTP/1 and the chunks of such, and TLS records that no key opens.
//!
//! Who reads a stream in the end (`http`, `tls`) steps over these by their lengths. So that
//! they step over the very same stretches, what is passed over here is only what follows
//! from the start of both streams without a doubt: at the first one (a hole, a CONNECT, an
//! upgrade, an answer before its request) everything from there on is kept.

#[cfg(test)]
mod tests;

use super::bytes::TimedBytes;
use super::model::End;
use super::stream::StreamAssembler;
use crate::protocol::http1::{
    Chunk, Framing, Parsed, RequestHead, next_chunk, parse_request, parse_response,
};
use crate::protocol::tls::record::{content_type, first_record, record_at};
use std::collections::VecDeque;

/// A shorter stretch costs more to remember than to keep, bytes.
const WORTHWHILE: usize = 128;
/// A head that is longer is not waited for, bytes: each segment of it is a try.
const MAXIMUM_HEAD: usize = 16 * 1024;
/// Requests that wait for their answers; more of them are no pipeline of anybody's.
const MAXIMUM_REQUESTS: usize = 1000;
/// What HTTP/2 begins with (RFC 9113, section 3.4), as far as it looks like a request.
const PREFACE: &[u8] = b"PRI ";
/// What every response begins with.
const RESPONSE: &[u8] = b"HTTP/";

/// Follows both streams of a connection.
#[derive(Debug)]
pub(super) struct Skimmer {
    /// Records of TLS stay sealed: all keys are known, and there are none.
    seals_stay: bool,
    protocol: Protocol,
    client: Walk,
    server: Walk,
    requests: VecDeque<Request>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Unknown,
    Tls,
    Http,
    /// Or a doubt: everything is kept.
    Other,
}

/// Where the walk through a stream is.
#[derive(Debug, Default)]
struct Walk {
    /// Of what is to be looked at next.
    offset: usize,
    place: Place,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A record, or a head.
    #[default]
    Message,
    /// The line of a chunk.
    Chunk,
    /// The line end behind the data of a chunk.
    ChunkEnd,
}

/// A request that was not answered yet.
#[derive(Debug)]
struct Request {
    at_ns: u64,
    is_head: bool,
}

/// What a look at a stream came to.
enum Step {
    /// There may be more to see.
    On,
    /// More bytes are needed.
    Wait,
    Doubt,
}

impl Skimmer {
    pub const fn new(seals_stay: bool) -> Self {
        Self {
            seals_stay,
            protocol: Protocol::Unknown,
            client: Walk {
                offset: 0,
                place: Place::Message,
            },
            server: Walk {
                offset: 0,
                place: Place::Message,
            },
            requests: VecDeque::new(),
        }
    }

    /// Looks at what came in of the stream of `end`, and passes over what is not needed.
    pub fn follow(&mut self, end: End, client: &mut StreamAssembler, server: &mut StreamAssembler) {
        let (stream, offset) = match end {
            End::Client => (&*client, self.client.offset),
            End::Server => (&*server, self.server.offset),
        };
        // Most segments are the middle of something.
        if self.protocol == Protocol::Other || stream.bytes().len() <= offset {
            return;
        }
        if self.protocol == Protocol::Unknown {
            if !(client.begins_for_certain() && server.begins_for_certain()) {
                return;
            }
            self.recognise(client.bytes());
        }
        loop {
            let step = match (self.protocol, end) {
                (Protocol::Tls, End::Client) => self.client.record(client),
                (Protocol::Tls, End::Server) => self.server.record(server),
                (Protocol::Http, End::Client) => self.request(client, server.bytes()),
                (Protocol::Http, End::Server) => self.response(server),
                (Protocol::Unknown | Protocol::Other, _) => return,
            };
            match step {
                Step::On => {}
                Step::Wait => return,
                Step::Doubt => self.give_up(),
            }
        }
    }

    fn give_up(&mut self) {
        self.protocol = Protocol::Other;
        self.requests = VecDeque::new();
    }

    fn recognise(&mut self, client: &TimedBytes) {
        let bytes = captured(client, 0);
        self.protocol = match (first_record(bytes), parse_request(head(bytes))) {
            (Some(hello), _) if hello.content_type != content_type::HANDSHAKE || hello.ssl2 => {
                Protocol::Other
            }
            (Some(_), _) if !self.seals_stay => Protocol::Other,
            // Until its first record is whole it may be something else.
            (Some(hello), _) if hello.end() > client.len() => Protocol::Unknown,
            (Some(_), _) => Protocol::Tls,
            (None, _) if bytes.starts_with(PREFACE) => Protocol::Other,
            (None, Parsed::Complete(..)) => Protocol::Http,
            (None, Parsed::Partial) if bytes.len() < MAXIMUM_HEAD => Protocol::Unknown,
            (None, _) if bytes.len() < 5 && client.len() < 5 => Protocol::Unknown,
            (None, _) => Protocol::Other,
        };
    }

    fn request(&mut self, client: &mut StreamAssembler, server: &TimedBytes) -> Step {
        // A server that speaks first, and something else, makes this no HTTP at all.
        let answer = server.as_slice();
        if !answer.starts_with(RESPONSE.get(..answer.len()).unwrap_or(RESPONSE)) {
            return Step::Doubt;
        }
        if self.client.place != Place::Message {
            return self.client.chunk(client);
        }
        let found = match self.client.head(client.bytes(), parse_request) {
            Ok(found) => found,
            Err(step) => return step,
        };
        let (head, body) = found;
        if is_odd(&head) || self.requests.len() >= MAXIMUM_REQUESTS {
            return Step::Doubt;
        }
        self.requests.push_back(Request {
            at_ns: client.bytes().time_of(self.client.offset),
            is_head: head.method == "HEAD",
        });
        self.client.body(client, body, head.framing())
    }

    fn response(&mut self, server: &mut StreamAssembler) -> Step {
        if self.server.place != Place::Message {
            return self.server.chunk(server);
        }
        let (head, body) = match self.server.head(server.bytes(), parse_response) {
            Ok(found) => found,
            Err(step) => return step,
        };
        let at_ns = server.bytes().time_of(self.server.offset);
        let asked = self.requests.front().filter(|asked| asked.at_ns <= at_ns);
        let Some(asked) = asked.filter(|_| head.status != 101) else {
            return Step::Doubt;
        };
        if head.is_interim() {
            self.server.offset = body;
            return Step::On;
        }
        let framing = head.framing(if asked.is_head { "HEAD" } else { "GET" });
        self.requests.pop_front();
        self.server.body(server, body, framing)
    }
}

/// What follows may not be HTTP/1, or not what the head says.
fn is_odd(head: &RequestHead) -> bool {
    head.method == "CONNECT" || head.expects_continue() || head.upgrades_to_http2()
}

impl Walk {
    /// The record here: if it is application data, which only a key would open, its body is
    /// passed over.
    fn record(&mut self, stream: &mut StreamAssembler) -> Step {
        let bytes = captured(stream.bytes(), self.offset);
        let Some(record) = record_at(bytes, 0) else {
            return match bytes.len() < 5 && !is_before_hole(stream.bytes(), self.offset) {
                true => Step::Wait,
                false => Step::Doubt,
            };
        };
        let start = self.offset + record.body_start();
        let end = self.offset + record.end();
        if record.content_type == content_type::APPLICATION_DATA {
            pass(stream, start, end);
        }
        self.offset = end;
        Step::On
    }

    /// The head here, and where it ends.
    fn head<T>(
        &mut self,
        stream: &TimedBytes,
        parse: impl Fn(&[u8]) -> Parsed<T>,
    ) -> Result<(T, usize), Step> {
        let bytes = captured(stream, self.offset);
        // RFC 9112, section 2.2: empty lines before a message are to be ignored.
        let empty = bytes
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let bytes = bytes.get(empty..).unwrap_or_default();
        self.offset += empty;
        match parse(head(bytes)) {
            Parsed::Complete(head, length) => Ok((head, self.offset + length)),
            Parsed::Partial
                if bytes.len() < MAXIMUM_HEAD && !is_before_hole(stream, self.offset) =>
            {
                Err(Step::Wait)
            }
            Parsed::Partial | Parsed::Invalid => Err(Step::Doubt),
        }
    }

    /// Passes over a body that begins at `start`.
    fn body(&mut self, stream: &mut StreamAssembler, start: usize, framing: Framing) -> Step {
        let end = match framing {
            Framing::Length(bytes) => {
                start.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX))
            }
            Framing::UntilClose => usize::MAX,
            Framing::Chunked => {
                self.place = Place::Chunk;
                start
            }
        };
        pass(stream, start, end);
        self.offset = end;
        Step::On
    }

    /// Passes over the data of a chunk, or goes behind the last one.
    fn chunk(&mut self, stream: &mut StreamAssembler) -> Step {
        let bytes = captured(stream.bytes(), self.offset);
        let incomplete = bytes.len() < MAXIMUM_HEAD && !is_before_hole(stream.bytes(), self.offset);
        if self.place == Place::ChunkEnd {
            return match bytes {
                [b'\r', b'\n', ..] => {
                    self.offset += 2;
                    self.place = Place::Chunk;
                    Step::On
                }
                [] | [b'\r'] if incomplete => Step::Wait,
                _ => Step::Doubt,
            };
        }
        match next_chunk(bytes) {
            Chunk::Data { line, size } => {
                let start = self.offset + line;
                let end = start.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
                pass(stream, start, end);
                self.offset = end;
                self.place = Place::ChunkEnd;
                Step::On
            }
            Chunk::Last { length } => {
                self.offset += length;
                self.place = Place::Message;
                Step::On
            }
            // It may have no end yet.
            Chunk::Broken if incomplete => Step::Wait,
            Chunk::Broken => Step::Doubt,
        }
    }
}

fn pass(stream: &mut StreamAssembler, start: usize, end: usize) {
    if end.saturating_sub(start) >= WORTHWHILE {
        stream.pass(start, end);
    }
}

/// The bytes from `offset` to the next hole or the end.
fn captured(stream: &TimedBytes, offset: usize) -> &[u8] {
    let bytes = stream.bytes_from(offset);
    let hole = stream.next_hole(offset);
    let length = hole.map_or(bytes.len(), |(hole, _)| hole.saturating_sub(offset));
    bytes.get(..length).unwrap_or(bytes)
}

/// What follows on the captured bytes from `offset` on was not captured.
fn is_before_hole(stream: &TimedBytes, offset: usize) -> bool {
    stream.next_hole(offset).is_some()
}

/// As much as a head is looked for in.
fn head(bytes: &[u8]) -> &[u8] {
    bytes.get(..MAXIMUM_HEAD).unwrap_or(bytes)
}
