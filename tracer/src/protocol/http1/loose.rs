//! Heads that break the grammar, as servers and clients in the wild write and accept them
//! (RFC 9112, sections 2.2 and 3, lets a recipient be lenient). Read only where the strict
//! reader refuses.

use super::{Headers, MAXIMUM_HEADERS, Parsed, RequestHead, ResponseHead, limited, partial};

/// The longest method looked for, in bytes.
const MAXIMUM_METHOD: usize = 32;

/// Methods of requests without a version (HTTP/0.9 had GET only).
const UNVERSIONED: [&[u8]; 3] = [b"GET", b"HEAD", b"POST"];

/// What a Shoutcast server says instead of the protocol's name.
const ICY: &[u8] = b"ICY";

/// `GET /a b HTTP/1.1`, `GET /a HTTP/3.14`, `GET /a`.
pub(super) fn request(bytes: &[u8]) -> Parsed<RequestHead> {
    let Some(method_length) = method_length(bytes) else {
        return Parsed::Invalid;
    };
    head(bytes, |line| {
        let (method, rest) = line.split_at_checked(method_length)?;
        let mut words = rest.split(|byte| matches!(byte, b' ' | b'\t'));
        let mut words = words.by_ref().filter(|word| !word.is_empty());
        let first = words.next().unwrap_or_default();
        let last = words.last().unwrap_or(first);
        let is_version = last.starts_with(b"HTTP/");
        let target = match is_version && std::ptr::eq(first, last) {
            true => b"".as_slice(),
            false => first,
        };
        let location = target.starts_with(b"/") || target.starts_with(b"http://");
        let unversioned = UNVERSIONED.contains(&method) && location;
        (is_version || unversioned).then(|| RequestHead {
            method: text(method),
            target: text(target),
            version: version(last),
            headers: Headers::new(),
        })
    })
    .map(|head, headers| RequestHead { headers, ..head })
}

/// `HTTP/1.1 200OK`, `HTTP/1.2 2000`, `ICY 200 OK`.
pub(super) fn response(bytes: &[u8]) -> Parsed<ResponseHead> {
    if !(bytes.starts_with(b"HTTP/") || bytes.starts_with(b"ICY ")) {
        return Parsed::Invalid;
    }
    head(bytes, |line| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        let (protocol, rest) = line.split_at_checked(space)?;
        let digits = rest.trim_ascii_start();
        let (code, _) = digits.split_at_checked(3)?;
        code.iter().all(u8::is_ascii_digit).then_some(())?;
        Some(ResponseHead {
            status: std::str::from_utf8(code).ok()?.parse().ok()?,
            version: if protocol == ICY {
                "1.0"
            } else {
                version(protocol)
            },
            headers: Headers::new(),
        })
    })
    .map(|head, headers| ResponseHead { headers, ..head })
}

/// A first line, its headers, and the length of all.
enum Lines<T> {
    Complete(T, Headers, usize),
    Partial,
    Invalid,
}

impl<T> Lines<T> {
    fn map(self, with: impl FnOnce(T, Headers) -> T) -> Parsed<T> {
        match self {
            Self::Complete(head, headers, length) => Parsed::Complete(with(head, headers), length),
            Self::Partial => Parsed::Partial,
            Self::Invalid => Parsed::Invalid,
        }
    }
}

/// Reads lines to the empty one. They end with LF, the CR before it is not needed (RFC 9112,
/// section 2.2).
fn head<T>(bytes: &[u8], first: impl FnOnce(&[u8]) -> Option<T>) -> Lines<T> {
    let bytes = limited(bytes);
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let mut length = 0;
    let mut next = || {
        let line = lines.next()?;
        length += line.len();
        let line = line.strip_suffix(b"\n")?;
        Some((line.strip_suffix(b"\r").unwrap_or(line), length))
    };
    let incomplete = match partial::<()>(bytes) {
        Parsed::Partial => Lines::Partial,
        _ => Lines::Invalid,
    };
    let Some((line, _)) = next() else {
        return incomplete;
    };
    let Some(head) = first(line) else {
        return Lines::Invalid;
    };
    let mut headers = Headers::new();
    while let Some((line, end)) = next() {
        if line.is_empty() {
            return Lines::Complete(head, headers, end);
        }
        field(line, &mut headers);
    }
    incomplete
}

/// One header line, or one that goes on with the value before it (RFC 9112, section 5.2).
fn field(line: &[u8], headers: &mut Headers) {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        if let Some((_, value)) = headers.last_mut() {
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
        }
        return;
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return;
    };
    let (name, value) = line.split_at(colon);
    let name = name.trim_ascii();
    if !name.is_empty() && headers.len() < MAXIMUM_HEADERS {
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        headers.push((text(name), value.to_vec()));
    }
}

/// Length of the method before the first space: capitals, as all registered ones are.
fn method_length(bytes: &[u8]) -> Option<usize> {
    let start = bytes.get(..MAXIMUM_METHOD).unwrap_or(bytes);
    let length = start.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
    let method = start.get(..length)?;
    let capitals = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    (length > 0 && method.iter().all(capitals)).then_some(length)
}

fn version(word: &[u8]) -> &'static str {
    match word.strip_prefix(b"HTTP/") {
        Some(b"1.0") => "1.0",
        Some(b"0.9") | None => "0.9",
        Some([b'1', b'.', ..]) => "1.1",
        Some(_) => "unknown",
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, header, parse_request, parse_response};

    fn asked(text: &[u8]) -> Option<(String, String, &'static str)> {
        match parse_request(text) {
            Parsed::Complete(head, length) => {
                assert_eq!(length, text.len());
                Some((head.method, head.target, head.version))
            }
            _ => None,
        }
    }

    #[test]
    fn requests_that_servers_accept_are_read() {
        let cases: [(&[u8], &str, &str); 8] = [
            (b"GET /a b c HTTP/1.1\r\nHost: x\r\n\r\n", "/a", "1.1"),
            (b"GET /a HTTP/1.1 \r\nHost: x\r\n\r\n", "/a", "1.1"),
            (b"GET /a HTTP/2.0\r\nHost: x\r\n\r\n", "/a", "unknown"),
            (b"GET /a HTTP/1.10\r\nHost: x\r\n\r\n", "/a", "1.1"),
            (b"GET /a\x01 HTTP/1.0\r\n\r\n", "/a\x01", "1.0"),
            (b"GET /a HTTP/1.1\r\nX: a\x00b\r\n\r\n", "/a", "1.1"),
            (b"GET /a HTTP/1.1\nHost: x\rX: a\n\n", "/a", "1.1"),
            (b"GET /x.html\r\n\r\n", "/x.html", "0.9"),
        ];
        for (bytes, target, version) in cases {
            let expected = ("GET".to_owned(), target.to_owned(), version);
            assert_eq!(asked(bytes), Some(expected), "{}", bytes.escape_ascii());
        }
        let empty = asked(b"GET  HTTP/1.1\r\n\r\n");
        assert_eq!(empty, Some(("GET".to_owned(), String::new(), "1.1")));
    }

    #[test]
    fn other_protocols_are_not_requests() {
        let others: [&[u8]; 6] = [
            b"OPTIONS sip:a SIP/2.0\r\n\r\n",
            b"OPTIONS rtsp://x RTSP/1.0\r\n\r\n",
            b"GET foo\r\n\r\n",
            b"NICK a\r\n\r\n",
            b"EHLO mail.test\r\n\r\n",
            b"get /a http/1.1\r\n\r\n",
        ];
        for bytes in others {
            assert_eq!(asked(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn responses_that_clients_accept_are_read() {
        let cases: [(&[u8], u16); 5] = [
            (b"HTTP/1.1 200OK\r\nA: b\r\n\r\n", 200),
            (b"HTTP/1.2 404 No\r\nA: b\r\n\r\n", 404),
            (b"HTTP/1.1 2000 OK\r\nA: b\r\n\r\n", 200),
            (b"ICY 200 OK\r\nA: b\r\n\r\n", 200),
            (b"HTTP/1.1 200 OK\rX: y\r\nA: b\r\n\r\n", 200),
        ];
        for (bytes, status) in cases {
            let Parsed::Complete(head, length) = parse_response(bytes) else {
                panic!("{}", bytes.escape_ascii());
            };
            assert_eq!((head.status, length), (status, bytes.len()));
            assert_eq!(header(&head.headers, "a"), Some(b"b".as_slice()));
        }
        for status in ["-1", "20", "2", "abc", ""] {
            let line = format!("HTTP/1.1 {status} OK\r\n\r\n");
            assert_eq!(parse_response(line.as_bytes()), Parsed::Invalid, "{line}");
        }
        assert_eq!(parse_response(b"HTTP/1.1 200OK\r\nA: b"), Parsed::Partial);
    }

    #[test]
    fn a_folded_value_is_one_value() {
        let Parsed::Complete(head, _) =
            parse_response(b"HTTP/1.1 200OK\r\nA: b\r\n\tc\r\nno colon\r\n\r\n")
        else {
            panic!("a response");
        };
        assert_eq!(head.headers, [("A".to_owned(), b"b c".to_vec())]);
    }
}
