//! Heads of which the end was not captured: a snapshot length, or a segment that is missing,
//! cuts them. What is whole of them was sent.

use super::{Parsed, RequestHead, ResponseHead, parse_request, parse_response};

/// What the beginning of a request says; `None` where not even its target is whole.
pub fn cut_request(bytes: &[u8]) -> Option<RequestHead> {
    if let Some(lines) = whole_lines(bytes) {
        return complete(parse_request(&lines));
    }
    // The version is what may be missing: enough of it must be there to tell that it is HTTP.
    let mut words = bytes.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let protocol = b"HTTP/";
    let begins = version.starts_with(protocol) || protocol.starts_with(version);
    if version.is_empty() || !begins || words.next().is_some() {
        return None;
    }
    let line = [method, b" ", target, b" HTTP/1.1\r\n\r\n"].concat();
    let mut head = complete(parse_request(&line))?;
    if !version.starts_with(b"HTTP/1.1") {
        head.version = "unknown";
    }
    Some(head)
}

/// What the beginning of a response says; `None` where not even its status is whole.
pub fn cut_response(bytes: &[u8]) -> Option<ResponseHead> {
    if let Some(lines) = whole_lines(bytes) {
        return complete(parse_response(&lines));
    }
    complete(parse_response(&[bytes, b"\r\n\r\n"].concat()))
}

/// The lines that are whole, as a head that ends.
fn whole_lines(bytes: &[u8]) -> Option<Vec<u8>> {
    let last = bytes.iter().rposition(|byte| *byte == b'\n')?;
    Some([bytes.get(..=last)?, b"\r\n"].concat())
}

fn complete<T>(parsed: Parsed<T>) -> Option<T> {
    match parsed {
        Parsed::Complete(head, _) => Some(head),
        Parsed::Partial | Parsed::Invalid => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_of_a_request_is_read() {
        let asked = |bytes: &[u8]| {
            let head = cut_request(bytes)?;
            Some((head.method, head.target, head.version, head.headers.len()))
        };
        let found = |version, headers| Some(("GET".to_owned(), "/a".to_owned(), version, headers));
        let whole = b"GET /a HTTP/1.1\r\nHost: x\r\nAccept: y";
        for (length, expected) in [
            (whole.len(), found("1.1", 1)),
            (20, found("1.1", 0)),
            (16, found("1.1", 0)),
            (15, found("1.1", 0)),
            (13, found("unknown", 0)),
            (8, found("unknown", 0)),
            (7, None),
            (6, None),
            (2, None),
        ] {
            assert_eq!(asked(&whole[..length]), expected, "{length}");
        }
        assert_eq!(asked(b"GET /a SIP/2"), None);
        assert_eq!(asked(b"GET /a b H"), None);
        assert_eq!(asked(b"\x16\x03\x01 /a H"), None);
    }

    #[test]
    fn what_is_whole_of_a_response_is_read() {
        let status = |bytes: &[u8]| cut_response(bytes).map(|head| head.status);
        assert_eq!(status(b"HTTP/1.1 204 No Co"), Some(204));
        assert_eq!(status(b"HTTP/1.1 204"), Some(204));
        assert_eq!(status(b"HTTP/1.1 20"), None);
        assert_eq!(status(b"HTTP/1.1"), None);
        let head = cut_response(b"HTTP/1.1 200 OK\r\nA: b\r\nC: d").expect("a response");
        assert_eq!(head.headers, [("A".to_owned(), b"b".to_vec())]);
    }
}
