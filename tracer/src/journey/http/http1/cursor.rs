//! A place in one direction of HTTP/1.x, and how the next message is found from there.

use crate::journey::bytes::TimedBytes;
use crate::protocol::http1::{
    Chunk, Framing, MAXIMUM_HEAD, Parsed, RequestHead, ResponseHead, cut_request, cut_response,
    next_chunk, parse_request, parse_response,
};

/// Places after holes that look like the start of a message and are read as one, in one
/// direction.
pub const MAXIMUM_TRIES: usize = 1_000;

/// Bytes after which most of what is no message can be told from one.
const GLANCE: usize = 32;

/// The longest head that is looked for where there may be none, in bytes. It keeps the work
/// for streams that look like HTTP at every place within bounds.
const MAXIMUM_UNSURE_HEAD: usize = 16 * 1024;

/// How the heads of one direction are read: whole ones, and those that the capture cut.
pub struct Grammar<T> {
    whole: fn(&[u8]) -> Parsed<T>,
    cut: fn(&[u8]) -> Option<T>,
}

pub const REQUEST: Grammar<RequestHead> = Grammar {
    whole: parse_request,
    cut: cut_request,
};

pub const RESPONSE: Grammar<ResponseHead> = Grammar {
    whole: parse_response,
    cut: cut_response,
};

/// A head that was found, and where.
pub struct Found<T> {
    pub head: T,
    pub start: usize,
    /// Of a head that was cut, where the capture goes on.
    pub body_start: usize,
    pub is_cut: bool,
}

impl<T> Found<T> {
    pub fn at_ns(&self, stream: &TimedBytes) -> u64 {
        stream.time_of(self.start)
    }
}

impl Found<RequestHead> {
    /// What begins HTTP/2 looks like a request, with a method of its own (RFC 9113,
    /// section 11.6).
    pub fn is_preface(&self) -> bool {
        self.head.method == "PRI" && self.head.target == "*"
    }

    /// Where the body of a head that was cut ends is not known.
    pub fn framing(&self) -> Framing {
        match self.is_cut {
            true => Framing::Length(0),
            false => self.head.framing(),
        }
    }
}

fn found_at<T>(offset: usize, parsed: Parsed<T>) -> Option<Found<T>> {
    match parsed {
        Parsed::Complete(head, length) => Some(Found {
            head,
            start: offset,
            body_start: offset + length,
            is_cut: false,
        }),
        Parsed::Partial | Parsed::Invalid => None,
    }
}

/// Where a body ends and how many bytes it has.
pub struct Body {
    /// First offset after what belongs to the message.
    pub end: usize,
    pub bytes: u64,
    pub complete: bool,
}

/// A place in one direction.
#[derive(Clone)]
pub struct Cursor<'a> {
    pub stream: &'a TimedBytes,
    pub offset: usize,
    /// A part of the stream was lost before `offset`, so that messages may be missing.
    pub resynchronised: bool,
    /// Where the next message begins is not known: the head of the last one was cut.
    boundary_is_lost: bool,
    tries_left: usize,
    /// No message was found to the end of the stream.
    is_exhausted: bool,
}

impl<'a> Cursor<'a> {
    pub const fn new(stream: &'a TimedBytes) -> Self {
        Self {
            stream,
            offset: 0,
            resynchronised: false,
            boundary_is_lost: false,
            tries_left: MAXIMUM_TRIES,
            is_exhausted: false,
        }
    }

    /// The message at the cursor, or after the hole that the cursor is at. The cursor stays
    /// before the message; [`Cursor::body`] moves it behind.
    pub fn next_message<T>(&mut self, grammar: &Grammar<T>) -> Option<Found<T>> {
        if self.is_exhausted {
            return None;
        }
        let found = self.search(grammar);
        self.is_exhausted = found.is_none();
        found
    }

    fn search<T>(&mut self, grammar: &Grammar<T>) -> Option<Found<T>> {
        self.skip_empty_lines();
        let parsed = (grammar.whole)(self.captured(self.offset));
        let partial = matches!(parsed, Parsed::Partial);
        if let Some(found) = found_at(self.offset, parsed) {
            return Some(found);
        }
        let hole = self.stream.next_hole(self.offset);
        let hole = hole.filter(|(hole, _)| *hole < self.offset.saturating_add(MAXIMUM_HEAD));
        if partial && let Some(found) = self.cut_message_at(self.offset, grammar) {
            self.resynchronised = true;
            self.boundary_is_lost = true;
            return Some(found);
        }
        if partial && hole.is_none() && !self.boundary_is_lost {
            return None;
        }
        // Behind a hole, or behind what is no message, the next one begins a segment.
        let from = match hole {
            Some((hole, length)) if !self.boundary_is_lost => hole + length,
            _ => self.offset,
        };
        for piece in self.stream.pieces_in(from, self.stream.len()) {
            if piece.begins < from {
                continue;
            }
            let glance = self.captured(piece.begins);
            let glance = glance.get(..GLANCE).unwrap_or(glance);
            if glance.is_empty() || matches!((grammar.whole)(glance), Parsed::Invalid) {
                continue;
            }
            self.tries_left = self.tries_left.checked_sub(1)?;
            let whole = self.unsure_message_at(piece.begins, grammar);
            let found = whole.or_else(|| self.cut_message_at(piece.begins, grammar));
            if let Some(found) = found {
                self.offset = found.start;
                self.resynchronised = true;
                self.boundary_is_lost = found.is_cut;
                return Some(found);
            }
        }
        None
    }

    pub fn unsure_message_at<T>(&self, offset: usize, grammar: &Grammar<T>) -> Option<Found<T>> {
        let bytes = self.captured(offset);
        let bytes = bytes.get(..MAXIMUM_UNSURE_HEAD).unwrap_or(bytes);
        found_at(offset, (grammar.whole)(bytes))
    }

    /// The message at `offset` whose head ends in a hole.
    fn cut_message_at<T>(&self, offset: usize, grammar: &Grammar<T>) -> Option<Found<T>> {
        let (hole, length) = self.stream.next_hole(offset)?;
        let bytes = self.captured(offset);
        (bytes.len() <= MAXIMUM_UNSURE_HEAD).then_some(())?;
        Some(Found {
            head: (grammar.cut)(bytes)?,
            start: offset,
            body_start: hole + length,
            is_cut: true,
        })
    }

    /// The bytes from `offset` to the next hole or the end.
    fn captured(&self, offset: usize) -> &'a [u8] {
        let end = self
            .stream
            .next_hole(offset)
            .map_or(self.stream.len(), |(hole, _)| hole);
        let bytes = self.stream.bytes_from(offset);
        bytes.get(..end.saturating_sub(offset)).unwrap_or(bytes)
    }

    /// RFC 9112, section 2.2: empty lines before a request are to be ignored.
    fn skip_empty_lines(&mut self) {
        let empty = self
            .captured(self.offset)
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        self.offset += empty;
    }

    /// Steps over a body that starts at `start`. Its bytes may lie in holes as long as
    /// their number is known.
    pub fn body(&mut self, start: usize, framing: Framing) -> Body {
        let length = self.stream.len();
        let body = match framing {
            Framing::Length(bytes) => {
                let wanted = usize::try_from(bytes).unwrap_or(usize::MAX);
                let end = start.saturating_add(wanted).min(length);
                let seen = (end - start.min(end)) as u64;
                Body {
                    end,
                    bytes: seen,
                    complete: seen == bytes,
                }
            }
            Framing::UntilClose => Body {
                end: length,
                bytes: length.saturating_sub(start) as u64,
                complete: true,
            },
            Framing::Chunked => self.chunked(start),
        };
        self.offset = body.end;
        body
    }

    fn chunked(&self, start: usize) -> Body {
        let mut body = Body {
            end: start,
            bytes: 0,
            complete: false,
        };
        loop {
            match next_chunk(self.captured(body.end)) {
                Chunk::Data { line, size } => {
                    let data = body.end + line;
                    let size = usize::try_from(size).unwrap_or(usize::MAX);
                    let end = data.saturating_add(size).min(self.stream.len());
                    body.bytes += (end - data) as u64;
                    body.end = end.saturating_add(2).min(self.stream.len());
                    if !self.captured(end).starts_with(b"\r\n") {
                        return body;
                    }
                }
                Chunk::Last { length } => {
                    body.end += length;
                    body.complete = true;
                    return body;
                }
                Chunk::Broken => return body,
            }
        }
    }
}
