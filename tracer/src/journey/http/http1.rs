//! HTTP/1.x: requests and responses are paired by their order (RFC 9112, section 9.3.2).

mod cursor;

use super::exchange::{Exchange, Headers};
use super::{MAXIMUM_EXCHANGES, http2};
use crate::journey::bytes::TimedBytes;
use crate::journey::model::InformationalResponse;
use crate::protocol::http1::{Framing, RequestHead, ResponseHead, header};
use crate::protocol::http2::PREFACE;
use cursor::{Cursor, Found, MAXIMUM_TRIES, REQUEST, RESPONSE};

/// Reads both streams to their end, or to where they become something else.
pub fn read(client: &TimedBytes, server: &TimedBytes) -> Vec<Exchange> {
    let mut reader = Reader::new(client, server);
    if greets(client, server) {
        return Vec::new();
    }
    while reader.exchanges.len() < MAXIMUM_EXCHANGES {
        let Some(request) = reader.client.next_message(&REQUEST) else {
            break;
        };
        if request.is_preface() {
            return reader.prior_knowledge(request.start);
        }
        match reader.exchange(request) {
            After::Http1 => {}
            After::Other => return reader.exchanges,
            After::Http2 => return reader.upgraded(),
        }
    }
    match reader.rest() {
        After::Http2 => reader.upgraded(),
        After::Http1 | After::Other => reader.exchanges,
    }
}

/// Whether the server speaks first, as those of SMTP, FTP, POP3, IMAP and SSH do: what looks
/// like HTTP after that is the content of a message.
fn greets(client: &TimedBytes, server: &TimedBytes) -> bool {
    let greetings: [&[u8]; 5] = [b"220", b"+OK", b"* OK", b"SSH-", b"* PREAUTH"];
    let first = client.is_empty() || !server.is_empty() && server.time_of(0) < client.time_of(0);
    let bytes = server.as_slice();
    first && greetings.iter().any(|greeting| bytes.starts_with(greeting))
}

/// Where a tunnel begins in both streams: after a CONNECT that the proxy granted (RFC 9110,
/// section 9.3.6), which may follow some that it did not.
pub fn tunnel(client: &TimedBytes, server: &TimedBytes) -> Option<(usize, usize)> {
    let mut reader = Reader::new(client, server);
    // A proxy that asks for a password refuses a few times at most.
    for _ in 0..8 {
        let request = reader.client.next_message(&REQUEST)?;
        (request.head.method == "CONNECT").then_some(())?;
        let after = reader.exchange(request);
        let granted = matches!(after, After::Other) && reader.exchanges.last()?.status.is_some();
        if granted {
            return Some((reader.client.offset, reader.server.offset));
        }
    }
    None
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
    /// Interim responses whose final one was not reached yet.
    interim: Vec<InformationalResponse>,
}

impl<'a> Reader<'a> {
    const fn new(client: &'a TimedBytes, server: &'a TimedBytes) -> Self {
        Self {
            client: Cursor::new(client),
            server: Cursor::new(server),
            exchanges: Vec::new(),
            interim: Vec::new(),
        }
    }

    fn exchange(&mut self, request: Found<RequestHead>) -> After {
        let mut exchange = describe_request(&request);
        let response = self.response_to(&request);
        exchange.informational = std::mem::take(&mut self.interim);
        self.read_request_body(&request, response.as_ref(), &mut exchange);
        let after = match response {
            Some(response) => {
                let asked = request.head.upgrades_to_http2();
                let http2 = response.head.status == 101
                    && (asked || response.head.upgrades_to_http2() || self.greets_in_http2());
                let after = self.read_response(&request.head.method, response, &mut exchange);
                if http2 { After::Http2 } else { after }
            }
            // What follows CONNECT without an answer is not known to be HTTP.
            None if request.head.method == "CONNECT" => After::Other,
            None => After::Http1,
        };
        self.exchanges.push(exchange);
        after
    }

    /// The client goes on in HTTP/2, though of what it asked for not all was captured.
    fn greets_in_http2(&self) -> bool {
        let next = self.client.stream.bytes_from(self.client.offset);
        next.starts_with(PREFACE)
    }

    /// The final response; interim ones (100 Continue) are stepped over, because they do
    /// not answer the request.
    fn response_to(&mut self, request: &Found<RequestHead>) -> Option<Found<ResponseHead>> {
        let mut next_at = None;
        loop {
            let response = self.server.next_message(&RESPONSE)?;
            if response.at_ns(self.server.stream) < request.at_ns(self.client.stream) {
                // To a request that was lost, or to none: a server may say that it closes.
                if !matches!(self.unasked(response), After::Http1) {
                    return None;
                }
                continue;
            }
            let lossy = self.client.resynchronised || self.server.resynchronised;
            if lossy {
                // After a hole a response may be to a later request: since nothing is known
                // of pipelining, to the next one where that came before it.
                let next_at = *next_at.get_or_insert_with(|| self.next_request_at(request));
                if response.at_ns(self.server.stream) > next_at {
                    self.server.offset = response.start;
                    return None;
                }
            }
            if !response.head.is_interim() {
                return Some(response);
            }
            self.step_over(&response);
        }
    }

    /// An interim response: the final one follows.
    fn step_over(&mut self, response: &Found<ResponseHead>) {
        self.interim.push(InformationalResponse {
            status: response.head.status,
            at_ns: response.at_ns(self.server.stream),
        });
        self.server.offset = response.body_start;
    }

    /// A response whose request is not there is an exchange without one.
    fn unasked(&mut self, response: Found<ResponseHead>) -> After {
        if response.head.is_interim() && self.interim.len() < MAXIMUM_TRIES {
            self.step_over(&response);
            return After::Http1;
        }
        let mut exchange = Exchange {
            version: response.head.version,
            informational: std::mem::take(&mut self.interim),
            ..Exchange::default()
        };
        let http2 = response.head.status == 101 && response.head.upgrades_to_http2();
        let after = self.read_response("GET", response, &mut exchange);
        self.exchanges.push(exchange);
        if http2 { After::Http2 } else { after }
    }

    /// The responses after the last request.
    fn rest(&mut self) -> After {
        while self.exchanges.len() < MAXIMUM_EXCHANGES {
            let Some(response) = self.server.next_message(&RESPONSE) else {
                break;
            };
            let after = self.unasked(response);
            if !matches!(after, After::Http1) {
                return after;
            }
        }
        After::Http1
    }

    /// When the request after this one was sent; never, where there is none.
    fn next_request_at(&self, request: &Found<RequestHead>) -> u64 {
        let mut following = self.client.clone();
        following.body(request.body_start, request.framing());
        let next = match request.is_cut {
            true => following.next_message(&REQUEST),
            false => following.unsure_message_at(following.offset, &REQUEST),
        };
        next.map_or(u64::MAX, |next| next.at_ns(self.client.stream))
    }

    fn read_request_body(
        &mut self,
        request: &Found<RequestHead>,
        response: Option<&Found<ResponseHead>>,
        exchange: &mut Exchange,
    ) {
        // A client that was refused before it got its 100 Continue may go on with its next
        // request instead of the body (RFC 9110, section 10.1.1).
        let refused = request.head.expects_continue()
            && !exchange.informational.iter().any(|it| it.status == 100)
            && response.is_some_and(|response| response.head.status >= 300)
            && self
                .client
                .unsure_message_at(request.body_start, &REQUEST)
                .is_some();
        let framing = if refused {
            Framing::Length(0)
        } else {
            request.framing()
        };
        let body = self.client.body(request.body_start, framing);
        let side = &mut exchange.request;
        side.carried(self.client.stream, request.start, body.end);
        side.body_bytes = body.bytes;
        if body.complete && !request.is_cut {
            side.complete(self.client.stream, body.end);
        }
    }

    fn read_response(
        &mut self,
        request_method: &str,
        response: Found<ResponseHead>,
        exchange: &mut Exchange,
    ) -> After {
        let framing = match response.is_cut {
            true => Framing::Length(0),
            false => response.head.framing(request_method),
        };
        let body = self.server.body(response.body_start, framing);
        exchange.status = Some(response.head.status);
        exchange.response_headers = names_as_bytes(&response.head.headers);
        let side = &mut exchange.response;
        side.carried(self.server.stream, response.start, body.end);
        side.body_bytes = body.bytes;
        if body.complete && !response.is_cut {
            side.complete(self.server.stream, body.end);
        }
        if response.head.switches(request_method) {
            After::Other
        } else {
            After::Http1
        }
    }

    /// The last request became stream 1 of HTTP/2.
    fn upgraded(mut self) -> Vec<Exchange> {
        if let Some(upgrade) = self.exchanges.last_mut() {
            upgrade.goes_on_as_stream_one();
        }
        let client = self.client.stream;
        let mut start = self.client.offset;
        if client.bytes_from(start).starts_with(PREFACE) {
            start += PREFACE.len();
        }
        self.go_on_as_http2(start)
    }

    /// The client speaks HTTP/2 from `start` on, and this end did not see why: it knew that
    /// the server does, or the response that allowed it was lost.
    fn prior_knowledge(mut self, start: usize) -> Vec<Exchange> {
        if let Some(last) = self.exchanges.last_mut()
            && last.status.is_none()
            && last.upgrades_to_http2()
        {
            last.goes_on_as_stream_one();
        }
        // Answers of HTTP/1 that come before the server follows, or because it cannot. One of
        // them may allow what was asked for in a request that was lost.
        self.rest();
        let last = self.exchanges.last_mut();
        if let Some(allowed) = last.filter(|last| last.status == Some(101)) {
            allowed.goes_on_as_stream_one();
        }
        self.go_on_as_http2(start + PREFACE.len())
    }

    fn go_on_as_http2(self, client_start: usize) -> Vec<Exchange> {
        let (client, server) = (self.client.stream, self.server.stream);
        http2::read(
            client,
            client_start,
            server,
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

#[cfg(test)]
mod tests;
