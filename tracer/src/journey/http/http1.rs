//! HTTP/1.x: requests and responses are paired by their order (RFC 9112, section 9.3.2).

use super::exchange::{Exchange, Headers};
use super::{MAXIMUM_EXCHANGES, http2};
use crate::journey::bytes::TimedBytes;
use crate::protocol::http1::{
    Chunk, Framing, MAXIMUM_HEAD, Parsed, RequestHead, ResponseHead, header, next_chunk,
    parse_request, parse_response,
};

/// Places after holes that are looked at for the start of a message, in one direction.
const MAXIMUM_TRIES: usize = 1_000;

/// The longest head that is looked for where there may be none, in bytes. It keeps the work
/// for streams that look like HTTP at every place within bounds.
const MAXIMUM_UNSURE_HEAD: usize = 16 * 1024;

/// Reads both streams to their end, or to where they become something else.
pub fn read(client: &TimedBytes, server: &TimedBytes) -> Vec<Exchange> {
    let mut reader = Reader {
        client: Cursor::new(client),
        server: Cursor::new(server),
        exchanges: Vec::new(),
    };
    while reader.exchanges.len() < MAXIMUM_EXCHANGES {
        let Some(request) = reader.client.next_message(parse_request) else {
            break;
        };
        match reader.exchange(request) {
            After::Http1 => {}
            After::Other => break,
            After::Http2 => return reader.upgraded(),
        }
    }
    reader.exchanges
}

/// What the connection carries after an exchange.
enum After {
    Http1,
    Http2,
    Other,
}

struct Reader<'a> {
    client: Cursor<'a>,
    server: Cursor<'a>,
    exchanges: Vec<Exchange>,
}

/// A head that was found, and where.
struct Found<T> {
    head: T,
    start: usize,
    body_start: usize,
}

impl<T> Found<T> {
    fn at_ns(&self, stream: &TimedBytes) -> u64 {
        stream.time_of(self.start)
    }
}

impl Reader<'_> {
    fn exchange(&mut self, request: Found<RequestHead>) -> After {
        let mut exchange = describe_request(&request);
        let response = self.response_to(&request);
        self.read_request_body(&request, response.as_ref(), &mut exchange);
        let after = self.read_response(&request.head, response, &mut exchange);
        self.exchanges.push(exchange);
        after
    }

    /// The final response; interim ones (100 Continue) are stepped over, because they do
    /// not answer the request.
    fn response_to(&mut self, request: &Found<RequestHead>) -> Option<(Found<ResponseHead>, bool)> {
        let mut continued = false;
        loop {
            let response = self.server.next_message(parse_response)?;
            let lossy = self.client.resynchronised || self.server.resynchronised;
            if lossy && !self.belongs(request, &response) {
                // After a hole a response may be to a request that was lost, or later.
                if response.at_ns(self.server.stream) < request.at_ns(self.client.stream) {
                    self.server.skip(&response, "GET");
                    continue;
                }
                self.server.offset = response.start;
                return None;
            }
            if !response.head.is_interim() {
                return Some((response, continued));
            }
            continued |= response.head.status == 100;
            self.server.offset = response.body_start;
        }
    }

    /// Whether a response may answer a request: it comes after it, and, since nothing is
    /// known of pipelining after a hole, before the next request.
    fn belongs(&self, request: &Found<RequestHead>, response: &Found<ResponseHead>) -> bool {
        let answered_at = response.at_ns(self.server.stream);
        let mut following = self.client.clone();
        following.body(request.body_start, request.head.framing());
        let next = following.unsure_message_at(following.offset, parse_request);
        let next_at = next.map_or(u64::MAX, |next| next.at_ns(self.client.stream));
        (request.at_ns(self.client.stream)..=next_at).contains(&answered_at)
    }

    fn read_request_body(
        &mut self,
        request: &Found<RequestHead>,
        response: Option<&(Found<ResponseHead>, bool)>,
        exchange: &mut Exchange,
    ) {
        // A client that was refused before it got its 100 Continue may go on with its next
        // request instead of the body (RFC 9110, section 10.1.1).
        let refused = request.head.expects_continue()
            && response
                .is_some_and(|(response, continued)| !continued && response.head.status >= 300)
            && self
                .client
                .unsure_message_at(request.body_start, parse_request)
                .is_some();
        let framing = if refused {
            Framing::Length(0)
        } else {
            request.head.framing()
        };
        let body = self.client.body(request.body_start, framing);
        let side = &mut exchange.request;
        side.carried(self.client.stream, request.start, body.end);
        side.body_bytes = body.bytes;
        if body.complete {
            side.complete(self.client.stream, body.end);
        }
    }

    fn read_response(
        &mut self,
        request: &RequestHead,
        response: Option<(Found<ResponseHead>, bool)>,
        exchange: &mut Exchange,
    ) -> After {
        let Some((response, _)) = response else {
            // What follows CONNECT without an answer is not known to be HTTP.
            return if request.method == "CONNECT" {
                After::Other
            } else {
                After::Http1
            };
        };
        let framing = response.head.framing(&request.method);
        let body = self.server.body(response.body_start, framing);
        if response.head.status == 101 && request.upgrades_to_http2() {
            return After::Http2;
        }
        exchange.status = Some(response.head.status);
        exchange.response_headers = names_as_bytes(&response.head.headers);
        let side = &mut exchange.response;
        side.carried(self.server.stream, response.start, body.end);
        side.body_bytes = body.bytes;
        if body.complete {
            side.complete(self.server.stream, body.end);
        }
        if response.head.switches(&request.method) {
            After::Other
        } else {
            After::Http1
        }
    }

    /// The last request became stream 1 of HTTP/2.
    fn upgraded(mut self) -> Vec<Exchange> {
        if let Some(upgrade) = self.exchanges.last_mut() {
            upgrade.version = "2";
            upgrade.stream = Some(1);
        }
        let client = self.client.stream;
        let mut start = self.client.offset;
        let preface = crate::protocol::http2::PREFACE;
        if client
            .as_slice()
            .get(start..)
            .is_some_and(|rest| rest.starts_with(preface))
        {
            start += preface.len();
        }
        http2::read(
            client,
            start,
            self.server.stream,
            self.server.offset,
            self.exchanges,
        )
    }
}

fn describe_request(request: &Found<RequestHead>) -> Exchange {
    let head = &request.head;
    Exchange {
        version: head.version,
        method: head.method.clone().into_bytes(),
        target: head.target.clone().into_bytes(),
        host: header(&head.headers, "host").map(<[u8]>::to_vec),
        request_headers: names_as_bytes(&head.headers),
        ..Exchange::default()
    }
}

fn names_as_bytes(headers: &crate::protocol::http1::Headers) -> Headers {
    headers
        .iter()
        .map(|(name, value)| (name.clone().into_bytes(), value.clone()))
        .collect()
}

fn found_at<T>(offset: usize, parsed: Parsed<T>) -> Option<Found<T>> {
    match parsed {
        Parsed::Complete(head, length) => Some(Found {
            head,
            start: offset,
            body_start: offset + length,
        }),
        Parsed::Partial | Parsed::Invalid => None,
    }
}

/// Where a body ends and how many bytes it has.
struct Body {
    /// First offset after what belongs to the message.
    end: usize,
    bytes: u64,
    complete: bool,
}

/// A place in one direction.
#[derive(Clone)]
struct Cursor<'a> {
    stream: &'a TimedBytes,
    offset: usize,
    /// A part of the stream was lost before `offset`, so that messages may be missing.
    resynchronised: bool,
    tries_left: usize,
}

impl<'a> Cursor<'a> {
    const fn new(stream: &'a TimedBytes) -> Self {
        Self {
            stream,
            offset: 0,
            resynchronised: false,
            tries_left: MAXIMUM_TRIES,
        }
    }

    /// The message at the cursor, or after the hole that the cursor is at. The cursor stays
    /// before the message; [`Cursor::body`] moves it behind.
    fn next_message<T>(&mut self, parse: impl Fn(&[u8]) -> Parsed<T>) -> Option<Found<T>> {
        self.skip_empty_lines();
        if let Some(found) = found_at(self.offset, parse(self.captured(self.offset))) {
            return Some(found);
        }
        let (hole, length) = self.stream.next_hole(self.offset)?;
        // Without a hole in the head it is not HTTP any more.
        (hole < self.offset.saturating_add(MAXIMUM_HEAD)).then_some(())?;
        for piece in self.stream.pieces_in(hole + length, self.stream.len()) {
            self.tries_left = self.tries_left.checked_sub(1)?;
            if let Some(found) = self.unsure_message_at(piece.begins, &parse) {
                self.offset = found.start;
                self.resynchronised = true;
                return Some(found);
            }
        }
        None
    }

    fn unsure_message_at<T>(
        &self,
        offset: usize,
        parse: impl Fn(&[u8]) -> Parsed<T>,
    ) -> Option<Found<T>> {
        let bytes = self.captured(offset);
        found_at(
            offset,
            parse(bytes.get(..MAXIMUM_UNSURE_HEAD).unwrap_or(bytes)),
        )
    }

    /// The bytes from `offset` to the next hole or the end.
    fn captured(&self, offset: usize) -> &'a [u8] {
        let end = self
            .stream
            .next_hole(offset)
            .map_or(self.stream.len(), |(hole, _)| hole);
        self.stream.as_slice().get(offset..end).unwrap_or_default()
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

    fn skip(&mut self, response: &Found<ResponseHead>, request_method: &str) {
        self.body(response.body_start, response.head.framing(request_method));
    }

    /// Steps over a body that starts at `start`. Its bytes may lie in holes as long as
    /// their number is known.
    fn body(&mut self, start: usize, framing: Framing) -> Body {
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

#[cfg(test)]
mod tests;
