//! Messages of HTTP/1.0 and HTTP/1.1 (RFC 9112): heads by httparse, and where bodies end.

mod cut;
mod loose;

pub use cut::{cut_request, cut_response};

use httparse::{EMPTY_HEADER, Header, ParserConfig, Status};

/// The longest head that is read, in bytes; servers allow far less.
pub const MAXIMUM_HEAD: usize = 256 * 1024;

/// Headers kept of one message.
pub const MAXIMUM_HEADERS: usize = 256;

/// Headers with which a message is still read, the ones past [`MAXIMUM_HEADERS`] unseen.
const MAXIMUM_PARSED_HEADERS: usize = 4_096;

/// Name and value in order; values may hold any byte but control characters.
pub type Headers = Vec<(String, Vec<u8>)>;

/// What a head turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed<T> {
    /// The head and its length in bytes, blank line included.
    Complete(T, usize),
    /// The bytes end before the head does.
    Partial,
    /// Not HTTP/1.
    Invalid,
}

/// A request line with its headers (RFC 9112, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    pub method: String,
    /// As sent: origin, absolute, authority or asterisk form.
    pub target: String,
    /// `1.0` or `1.1`; `0.9` without one, `unknown` for others.
    pub version: &'static str,
    pub headers: Headers,
}

/// A status line with its headers (RFC 9112, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: u16,
    pub version: &'static str,
    pub headers: Headers,
}

/// Where a body ends (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Content-Length, in bytes; 0 where there is no body.
    Length(u64),
    Chunked,
    /// The end of the connection ends the body.
    UntilClose,
}

/// Reads the head at the start of `bytes`.
pub fn parse_request(bytes: &[u8]) -> Parsed<RequestHead> {
    let mut config = ParserConfig::default();
    config
        .allow_multiple_spaces_in_request_line_delimiters(true)
        .ignore_invalid_headers_in_requests(true);
    let strict =
        parse_with(|headers| {
            let mut request = httparse::Request::new(headers);
            match config.parse_request(&mut request, limited(bytes)) {
                Ok(Status::Complete(length)) => Ok(request.method.zip(request.path).map_or(
                    Parsed::Invalid,
                    |(method, target)| {
                        let head = RequestHead {
                            method: method.to_owned(),
                            target: target.to_owned(),
                            version: version(request.version),
                            headers: kept(request.headers),
                        };
                        Parsed::Complete(head, length)
                    },
                )),
                Ok(Status::Partial) => Ok(partial(bytes)),
                Err(error) => Err(error),
            }
        });
    match strict {
        Parsed::Invalid => loose::request(bytes),
        read => read,
    }
}

/// Reads the head at the start of `bytes`.
pub fn parse_response(bytes: &[u8]) -> Parsed<ResponseHead> {
    let mut config = ParserConfig::default();
    config
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    let strict = parse_with(|headers| {
        let mut response = httparse::Response::new(headers);
        match config.parse_response(&mut response, limited(bytes)) {
            Ok(Status::Complete(length)) => Ok(response.code.map_or(Parsed::Invalid, |status| {
                let head = ResponseHead {
                    status,
                    version: version(response.version),
                    headers: kept(response.headers),
                };
                Parsed::Complete(head, length)
            })),
            Ok(Status::Partial) => Ok(partial(bytes)),
            Err(error) => Err(error),
        }
    });
    match strict {
        Parsed::Invalid => loose::response(bytes),
        read => read,
    }
}

/// Tries with room for the headers that are kept, and once more for odd messages.
fn parse_with<'bytes, T>(
    parse: impl Fn(&mut [Header<'bytes>]) -> Result<Parsed<T>, httparse::Error>,
) -> Parsed<T> {
    let mut result = parse(&mut [EMPTY_HEADER; MAXIMUM_HEADERS]);
    if let Err(httparse::Error::TooManyHeaders) = result {
        result = parse(&mut vec![EMPTY_HEADER; MAXIMUM_PARSED_HEADERS]);
    }
    result.unwrap_or(Parsed::Invalid)
}

fn limited(bytes: &[u8]) -> &[u8] {
    bytes.get(..MAXIMUM_HEAD).unwrap_or(bytes)
}

const fn partial<T>(bytes: &[u8]) -> Parsed<T> {
    if bytes.len() < MAXIMUM_HEAD {
        Parsed::Partial
    } else {
        Parsed::Invalid
    }
}

const fn version(minor: Option<u8>) -> &'static str {
    match minor {
        Some(0) => "1.0",
        _ => "1.1",
    }
}

fn kept(headers: &[Header<'_>]) -> Headers {
    headers
        .iter()
        .take(MAXIMUM_HEADERS)
        .map(|header| (header.name.to_owned(), header.value.to_vec()))
        .collect()
}

/// The first value of a header, by its name in any case.
pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a [u8]> {
    headers
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_slice())
}

/// Whether a header is a list that has `wanted` among its members.
fn lists(headers: &Headers, name: &str, wanted: &str) -> bool {
    headers
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name))
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .any(|member| member.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
}

impl RequestHead {
    /// A request without Content-Length and Transfer-Encoding has no body.
    pub fn framing(&self) -> Framing {
        if is_chunked(&self.headers) {
            return Framing::Chunked;
        }
        match content_length(&self.headers) {
            ContentLength::Absent => Framing::Length(0),
            ContentLength::Bytes(bytes) => Framing::Length(bytes),
            // Nobody knows where the body ends: what follows is not a request any more.
            ContentLength::Invalid => Framing::UntilClose,
        }
    }

    /// The client waits for `100 Continue` before it sends the body (RFC 9110, section
    /// 10.1.1).
    pub fn expects_continue(&self) -> bool {
        lists(&self.headers, "expect", "100-continue")
    }

    /// The protocol after an upgrade to HTTP/2 without TLS (RFC 7540, section 3.2).
    pub fn upgrades_to_http2(&self) -> bool {
        lists(&self.headers, "upgrade", "h2c")
    }
}

impl ResponseHead {
    /// The rules of RFC 9112, section 6.3, in their order.
    pub fn framing(&self, request_method: &str) -> Framing {
        let bodiless = request_method == "HEAD"
            || matches!(self.status, 100..=199 | 204 | 304)
            || self.switches(request_method);
        if bodiless {
            Framing::Length(0)
        } else if is_chunked(&self.headers) {
            Framing::Chunked
        } else if is_encoded(&self.headers) {
            Framing::UntilClose
        } else {
            match content_length(&self.headers) {
                ContentLength::Bytes(bytes) => Framing::Length(bytes),
                ContentLength::Absent | ContentLength::Invalid => Framing::UntilClose,
            }
        }
    }

    /// After this response the connection carries something else: 101, or a tunnel.
    pub fn switches(&self, request_method: &str) -> bool {
        self.status == 101 || (request_method == "CONNECT" && (200..300).contains(&self.status))
    }

    /// The protocol after this response is HTTP/2 (RFC 7540, section 3.2).
    pub fn upgrades_to_http2(&self) -> bool {
        lists(&self.headers, "upgrade", "h2c")
    }

    /// A provisional response: the final one follows.
    pub const fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }
}

/// `identity` was the name of no encoding at all (RFC 2616, section 3.6).
fn is_encoded(headers: &Headers) -> bool {
    header(headers, "transfer-encoding")
        .is_some_and(|coding| !coding.trim_ascii().eq_ignore_ascii_case(b"identity"))
}

fn is_chunked(headers: &Headers) -> bool {
    lists(headers, "transfer-encoding", "chunked")
}

/// What Content-Length says.
enum ContentLength {
    Absent,
    Bytes(u64),
    Invalid,
}

/// The number, also when it is repeated (RFC 9110, section 8.6); invalid when the values
/// disagree or are not numbers.
fn content_length(headers: &Headers) -> ContentLength {
    let mut values = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .map(|value| {
            let digits = std::str::from_utf8(value.trim_ascii()).ok()?;
            let number = digits.bytes().all(|byte| byte.is_ascii_digit());
            number.then(|| digits.parse::<u64>().ok()).flatten()
        });
    let Some(first) = values.next() else {
        return ContentLength::Absent;
    };
    match first.filter(|first| values.all(|value| value == Some(*first))) {
        Some(bytes) => ContentLength::Bytes(bytes),
        None => ContentLength::Invalid,
    }
}

/// What stands at the start of a piece of a chunked body (RFC 9112, section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes of the line with the size, and of the data after it (CRLF not counted).
    Data { line: usize, size: u64 },
    /// The last chunk: bytes up to the end of the trailers.
    Last { length: usize },
    /// Too few bytes, or not a chunk.
    Broken,
}

/// Reads the size line of the next chunk, for the last one with its trailers.
pub fn next_chunk(bytes: &[u8]) -> Chunk {
    let Ok(Status::Complete((line, size))) = httparse::parse_chunk_size(limited(bytes)) else {
        return Chunk::Broken;
    };
    if size > 0 {
        return Chunk::Data { line, size };
    }
    let trailers = limited(bytes.get(line..).unwrap_or_default());
    match httparse::parse_headers(trailers, &mut [EMPTY_HEADER; MAXIMUM_HEADERS]) {
        Ok(Status::Complete((length, _))) => Chunk::Last {
            length: line + length,
        },
        _ => Chunk::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(text: &str) -> ResponseHead {
        match parse_response(text.as_bytes()) {
            Parsed::Complete(head, _) => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_with_its_length() {
        let text = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX: \xe9\r\n\r\nrest";
        let Parsed::Complete(head, length) = parse_request(text) else {
            panic!("a request");
        };
        assert_eq!(
            (head.method.as_str(), head.target.as_str(), head.version),
            ("GET", "/a?b=c", "1.1")
        );
        assert_eq!(header(&head.headers, "HOST"), Some(&b"x"[..]));
        assert_eq!(header(&head.headers, "x"), Some(&b"\xe9"[..]));
        assert_eq!(length, text.len() - 4);
        assert_eq!(parse_request(&text[..30]), Parsed::Partial);
        assert_eq!(parse_request(b"\x16\x03\x01\x02"), Parsed::Invalid);
        assert_eq!(parse_request(b"EHLO mail.test\r\n"), Parsed::Invalid);
    }

    #[test]
    fn a_header_that_breaks_the_rules_does_not_cost_the_request() {
        let text = b"GET / HTTP/1.1\r\nHost: x\r\nbad name: 1\r\nX: \x01\r\nY: 2\r\n\r\n";
        let Parsed::Complete(head, length) = parse_request(text) else {
            panic!("a request");
        };
        let names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, length), (vec!["Host", "Y"], text.len()));
    }

    #[test]
    fn many_headers_are_read_and_not_all_are_kept() {
        let mut text = "GET / HTTP/1.1\r\n".to_owned();
        for number in 0..1_000 {
            text.push_str(&format!("h{number}: v\r\n"));
        }
        text.push_str("\r\n");
        let Parsed::Complete(head, length) = parse_request(text.as_bytes()) else {
            panic!("a request");
        };
        assert_eq!((head.headers.len(), length), (MAXIMUM_HEADERS, text.len()));
    }

    #[test]
    fn the_body_ends_where_the_rfc_says() {
        let plain = response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(plain.framing("GET"), Framing::Length(5));
        assert_eq!(plain.framing("HEAD"), Framing::Length(0));
        assert_eq!(plain.framing("CONNECT"), Framing::Length(0));
        let chunked = response(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n",
        );
        assert_eq!(chunked.framing("GET"), Framing::Chunked);
        let closed = response("HTTP/1.0 200 OK\r\n\r\n");
        assert_eq!(
            (closed.framing("GET"), closed.version),
            (Framing::UntilClose, "1.0")
        );
        let unchanged = response("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
        assert_eq!(unchanged.framing("GET"), Framing::Length(0));
        let disagreeing =
            response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n");
        assert_eq!(disagreeing.framing("GET"), Framing::UntilClose);
        let repeated = response("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n");
        assert_eq!(repeated.framing("GET"), Framing::Length(5));
        let signed = response("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n");
        assert_eq!(signed.framing("GET"), Framing::UntilClose);
    }

    #[test]
    fn chunks_are_counted_without_their_framing() {
        assert_eq!(next_chunk(b"1a;x=y\r\n"), Chunk::Data { line: 8, size: 26 });
        assert_eq!(next_chunk(b"0\r\n\r\nHTTP"), Chunk::Last { length: 5 });
        assert_eq!(
            next_chunk(b"0\r\nDigest: x\r\n\r\n"),
            Chunk::Last { length: 16 }
        );
        assert_eq!(next_chunk(b"0\r\nDigest"), Chunk::Broken);
        assert_eq!(next_chunk(b"zz\r\n"), Chunk::Broken);
    }
}
