//! HTTP/2: exchanges are streams (RFC 9113, section 8.1).

use super::MAXIMUM_EXCHANGES;
use super::exchange::{Exchange, Side};
use crate::journey::bytes::TimedBytes;
use crate::journey::model::{End, InformationalResponse};
use crate::protocol::http2::{FrameHeader, HEADER_LENGTH, HeaderDecoder, RawHeaders, frame_type};
use std::collections::HashMap;

/// The longest header block that is put together, in bytes.
const MAXIMUM_BLOCK: usize = 1 << 20;

/// Interim responses kept of one exchange.
const MAXIMUM_INTERIM: usize = 64;

/// Reads the frames of both directions from the given offsets on. `exchanges` are those
/// before HTTP/2 began; the last of them may be stream 1.
pub fn read(
    client: &TimedBytes,
    client_start: usize,
    server: &TimedBytes,
    server_start: usize,
    exchanges: Vec<Exchange>,
) -> Vec<Exchange> {
    let streams = exchanges
        .iter()
        .enumerate()
        .filter_map(|(index, exchange)| Some((u32::try_from(exchange.stream?).ok()?, index)))
        .collect();
    let mut connection = Connection { exchanges, streams };
    Direction::new(End::Client, client).read(client_start, &mut connection);
    Direction::new(End::Server, server).read(server_start, &mut connection);
    connection.exchanges
}

struct Connection {
    exchanges: Vec<Exchange>,
    /// Index in `exchanges` by stream.
    streams: HashMap<u32, usize>,
}

impl Connection {
    fn exchange(&mut self, stream: u32) -> Option<&mut Exchange> {
        self.exchanges.get_mut(*self.streams.get(&stream)?)
    }

    /// The exchange that the server answers; the request may not have been captured.
    fn answered(&mut self, stream: u32) -> Option<&mut Exchange> {
        if !self.streams.contains_key(&stream) {
            self.open(stream, RawHeaders::new());
        }
        self.exchange(stream)
    }

    /// A request on a stream: of the client, or promised by the server. `None` when the
    /// stream is known already (these are trailers) or there are too many.
    fn open(&mut self, stream: u32, headers: RawHeaders) -> Option<&mut Exchange> {
        if self.exchanges.len() >= MAXIMUM_EXCHANGES || self.streams.contains_key(&stream) {
            return None;
        }
        self.streams.insert(stream, self.exchanges.len());
        self.exchanges.push(describe_request(stream, headers));
        self.exchanges.last_mut()
    }
}

/// A block that is spread over HEADERS or PUSH_PROMISE and CONTINUATION.
struct Block {
    stream: u32,
    promised: Option<u32>,
    bytes: Vec<u8>,
    /// Offset of the first frame.
    start: usize,
    ends_stream: bool,
}

struct Direction<'a> {
    end: End,
    bytes: &'a TimedBytes,
    decoder: HeaderDecoder,
    block: Option<Block>,
}

/// Where a frame lies.
#[derive(Clone, Copy)]
struct Range {
    start: usize,
    end: usize,
}

impl<'a> Direction<'a> {
    fn new(end: End, bytes: &'a TimedBytes) -> Self {
        Self {
            end,
            bytes,
            decoder: HeaderDecoder::default(),
            block: None,
        }
    }

    /// Frame after frame. Payloads may be missing: their length is known. Where a header is
    /// missing, the next frame that is found begins a segment.
    fn read(mut self, start: usize, connection: &mut Connection) {
        let mut offset = start;
        loop {
            let Some(header) = self.header_at(offset).and_then(FrameHeader::parse) else {
                let Some(next) = self.resume(offset) else {
                    return;
                };
                self.give_up_block(next, connection);
                self.decoder.lose();
                offset = next;
                continue;
            };
            let end = offset + HEADER_LENGTH + header.length;
            let whole = end <= self.bytes.len();
            let range = Range {
                start: offset,
                end: end.min(self.bytes.len()),
            };
            self.take(&header, range, whole, connection);
            offset = end;
        }
    }

    fn header_at(&self, offset: usize) -> Option<&'a [u8]> {
        self.captured(offset, offset.checked_add(HEADER_LENGTH)?)
    }

    /// The first segment behind the hole at `offset` that begins with a frame.
    fn resume(&self, offset: usize) -> Option<usize> {
        let (hole, length) = self.bytes.next_hole(offset)?;
        let mut pieces = self.bytes.pieces_in(hole + length, self.bytes.len());
        let found = pieces.find(|piece| {
            let header = self.header_at(piece.begins);
            piece.begins >= hole + length && header.and_then(FrameHeader::parse_unsure).is_some()
        });
        found.map(|piece| piece.begins)
    }

    /// The rest of a block was lost.
    fn give_up_block(&mut self, end: usize, connection: &mut Connection) {
        if let Some(block) = self.block.take() {
            let headers = self.decoder.decode_cut(&block.bytes);
            self.finish_block(&block, end, Some(headers), connection);
        }
    }

    fn captured(&self, start: usize, end: usize) -> Option<&'a [u8]> {
        let hole = self
            .bytes
            .next_hole(start)
            .map_or(usize::MAX, |hole| hole.0);
        (hole >= end)
            .then(|| self.bytes.bytes_between(start, end))
            .flatten()
    }

    fn take(
        &mut self,
        header: &FrameHeader,
        range: Range,
        whole: bool,
        connection: &mut Connection,
    ) {
        let payload = self.captured(range.start + HEADER_LENGTH, range.end);
        match header.kind {
            frame_type::DATA => self.take_data(header, range, whole, connection),
            frame_type::HEADERS | frame_type::PUSH_PROMISE | frame_type::CONTINUATION => {
                let block = payload.filter(|_| whole);
                match block.and_then(|payload| header.block(payload)) {
                    Some((part, promised)) => {
                        self.take_block(header, range, part, promised, connection);
                    }
                    None => self.take_cut_block(header, range, connection),
                }
            }
            _ => {}
        }
    }

    fn take_data(
        &self,
        header: &FrameHeader,
        range: Range,
        whole: bool,
        connection: &mut Connection,
    ) {
        let Some(exchange) = connection.exchange(header.stream) else {
            return;
        };
        let side = side(self.end, exchange);
        side.carried(self.bytes, range.start, range.end);
        // The first byte says how much padding there is; only it is needed.
        let start = range.start + HEADER_LENGTH;
        let first = self.captured(start, start + 1).unwrap_or_default();
        let seen = range.end.saturating_sub(start);
        side.body_bytes += header.data_length(first).min(seen) as u64;
        if whole && header.ends_stream() {
            side.complete(self.bytes, range.end);
        }
    }

    fn take_block(
        &mut self,
        header: &FrameHeader,
        range: Range,
        part: &[u8],
        promised: Option<u32>,
        connection: &mut Connection,
    ) {
        self.put_block(header, range, part, promised);
        let too_long = self
            .block
            .as_ref()
            .is_some_and(|block| block.bytes.len() > MAXIMUM_BLOCK);
        if too_long {
            self.block = None;
            self.decoder.lose();
        } else if header.ends_headers()
            && let Some(block) = self.block.take()
        {
            let headers = self.decoder.decode(&block.bytes);
            self.finish_block(&block, range.end, headers, connection);
        }
    }

    /// Begins a block, or adds to the one that is open.
    fn put_block(
        &mut self,
        header: &FrameHeader,
        range: Range,
        part: &[u8],
        promised: Option<u32>,
    ) {
        let mut block = match self.block.take() {
            Some(block) if header.kind == frame_type::CONTINUATION => block,
            _ => Block {
                stream: header.stream,
                promised,
                bytes: Vec::new(),
                start: range.start,
                ends_stream: header.ends_stream(),
            },
        };
        block.bytes.extend_from_slice(part);
        self.block = Some(block);
    }

    /// A part of a block of which only the beginning was captured.
    fn take_cut_block(&mut self, header: &FrameHeader, range: Range, connection: &mut Connection) {
        let start = range.start + HEADER_LENGTH;
        let hole = self.bytes.next_hole(start).map(|hole| hole.0);
        let hole = hole.filter(|hole| *hole < range.end);
        let captured = hole.and_then(|hole| self.captured(start, hole));
        // Where padding begins is not known: nothing that may be padding is read.
        let captured = captured.filter(|_| !header.is_padded());
        let part = captured.and_then(|payload| header.block(payload));
        match part {
            Some((part, promised)) => {
                self.put_block(header, range, part, promised);
                self.give_up_block(range.end, connection);
            }
            None => {
                self.give_up_block(range.start, connection);
                self.decoder.lose();
            }
        }
    }

    fn finish_block(
        &self,
        block: &Block,
        end: usize,
        headers: Option<RawHeaders>,
        connection: &mut Connection,
    ) {
        let range = Range {
            start: block.start,
            end,
        };
        if let Some(promised) = block.promised {
            // The server makes the request itself (RFC 9113, section 8.4).
            if let Some(pushed) = headers.and_then(|headers| connection.open(promised, headers)) {
                pushed.request.carried(self.bytes, range.start, range.end);
                pushed.request.complete(self.bytes, range.end);
            }
            return;
        }
        let exchange = match self.end {
            End::Client if !connection.streams.contains_key(&block.stream) => headers
                // After a loss trailers may look like a request of which nothing is known.
                .filter(|headers| headers.iter().any(|(name, _)| name.starts_with(b":")))
                .and_then(|headers| connection.open(block.stream, headers)),
            End::Client => connection.exchange(block.stream),
            End::Server => {
                let at_ns = self.bytes.time_of(range.start);
                let known = connection.streams.contains_key(&block.stream);
                let exchange = (known || headers.is_some())
                    .then(|| connection.answered(block.stream))
                    .flatten();
                exchange.and_then(|exchange| {
                    describe_response(exchange, headers, at_ns).then_some(exchange)
                })
            }
        };
        if let Some(exchange) = exchange {
            let side = side(self.end, exchange);
            side.carried(self.bytes, range.start, range.end);
            if block.ends_stream {
                side.complete(self.bytes, range.end);
            }
        }
    }
}

fn side(end: End, exchange: &mut Exchange) -> &mut Side {
    match end {
        End::Client => &mut exchange.request,
        End::Server => &mut exchange.response,
    }
}

/// Pseudo-headers (RFC 9113, section 8.3.1) have members of their own.
fn describe_request(stream: u32, headers: RawHeaders) -> Exchange {
    let mut exchange = Exchange {
        version: "2",
        stream: Some(u64::from(stream)),
        ..Exchange::default()
    };
    for (name, value) in headers {
        match name.as_slice() {
            b":method" => exchange.method = value,
            b":path" => exchange.target = value,
            b":scheme" => exchange.scheme = Some(value),
            b":authority" => exchange.host = Some(value),
            _ => {
                if name.eq_ignore_ascii_case(b"host") && exchange.host.is_none() {
                    exchange.host = Some(value.clone());
                }
                exchange.request_headers.push((name, value));
            }
        }
    }
    if exchange.target.is_empty() && exchange.method == b"CONNECT" {
        // It has an authority only (RFC 9113, section 8.5).
        exchange.target = exchange.host.clone().unwrap_or_default();
    }
    exchange
}

/// Takes status and headers of the final response; trailers change nothing. False for an
/// interim response, which is not the answer.
fn describe_response(exchange: &mut Exchange, headers: Option<RawHeaders>, at_ns: u64) -> bool {
    let headers = headers.unwrap_or_default();
    let status = headers
        .iter()
        .find(|(name, _)| name == b":status")
        .and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<u16>().ok());
    if let Some(status) = status.filter(|status| (100..200).contains(status)) {
        let known = exchange.informational.len();
        if known < MAXIMUM_INTERIM {
            let interim = InformationalResponse { status, at_ns };
            exchange.informational.push(interim);
        }
        return false;
    }
    if exchange.status.is_none() && status.is_some() {
        exchange.status = status;
        exchange.response_headers = headers
            .into_iter()
            .filter(|(name, _)| !name.starts_with(b":"))
            .collect();
    }
    true
}

#[cfg(test)]
mod tests;
