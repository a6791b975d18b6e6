//! One request and its response in the making, and how it is shown.

use crate::journey::bytes::TimedBytes;
use crate::journey::model;
use crate::protocol::text::{printable, redact_header, redact_url};

/// Name and value in order.
pub type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// A request or a response on the wire.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// First byte.
    pub first_at_ns: Option<u64>,
    /// Last byte; `None` while it is not known to be complete.
    pub end_at_ns: Option<u64>,
    /// Body bytes, chunk framing and padding not counted.
    pub body_bytes: u64,
    segments: u64,
    last_segment: Option<usize>,
}

impl Side {
    /// The bytes from `start` to `end` belong to it. Ranges come in order.
    pub fn carried(&mut self, stream: &TimedBytes, start: usize, end: usize) {
        if self.first_at_ns.is_none() {
            self.first_at_ns = Some(stream.time_of(start));
        }
        for piece in stream.pieces_in(start, end) {
            if self.last_segment != Some(piece.begins) {
                self.last_segment = Some(piece.begins);
                self.segments += 1;
            }
        }
    }

    /// It is complete with the byte before `end`, and with all that were sent before it.
    pub fn complete(&mut self, stream: &TimedBytes, end: usize) {
        self.end_at_ns = Some(stream.readable_at(end.saturating_sub(1)));
    }
}

/// A request with its response, as far as they were read.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    pub version: &'static str,
    pub stream: Option<u64>,
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    /// Host header or :authority.
    pub host: Option<Vec<u8>>,
    /// :scheme of HTTP/2.
    pub scheme: Option<Vec<u8>>,
    pub status: Option<u16>,
    pub informational: Vec<model::InformationalResponse>,
    pub request_headers: Headers,
    pub response_headers: Headers,
    pub request: Side,
    pub response: Side,
    /// What answered in HTTP/1.1, of a request whose response is in HTTP/2.
    pub upgrade: Option<Box<Upgrade>>,
}

/// The answer in HTTP/1.1 to a request that the connection goes on from in HTTP/2.
#[derive(Debug, Clone, Default)]
pub struct Upgrade {
    version: &'static str,
    informational: Vec<model::InformationalResponse>,
    /// 101, where it was captured.
    status: Option<u16>,
    headers: Headers,
    response: Side,
}

impl Exchange {
    /// The request asked to go on in HTTP/2 without TLS (RFC 7540, section 3.2).
    pub fn upgrades_to_http2(&self) -> bool {
        let mut headers = self.request_headers.iter();
        headers.any(|(name, value)| {
            let mut protocols = value.split(|byte| *byte == b',');
            name.eq_ignore_ascii_case(b"upgrade")
                && protocols.any(|it| it.trim_ascii().eq_ignore_ascii_case(b"h2c"))
        })
    }

    /// The request is that of stream 1 from now on (RFC 7540, section 3.2), and its response
    /// comes there.
    pub fn goes_on_as_stream_one(&mut self) {
        self.upgrade = Some(Box::new(Upgrade {
            version: std::mem::replace(&mut self.version, "2"),
            informational: std::mem::take(&mut self.informational),
            status: self.status.take(),
            headers: std::mem::take(&mut self.response_headers),
            response: std::mem::take(&mut self.response),
        }));
        self.stream = Some(1);
    }

    /// The exchange in HTTP/1.1 and the one in HTTP/2 that answers it, as they were on the
    /// wire. While there is no answer in HTTP/2 there is only the first one, not complete yet.
    pub fn apart(mut self) -> (Option<Self>, Self) {
        let Some(upgrade) = self.upgrade.take() else {
            return (None, self);
        };
        let answered = self.status.is_some() || self.response.first_at_ns.is_some();
        let answer = Self {
            version: self.version,
            stream: self.stream,
            host: self.host.clone(),
            scheme: self.scheme.clone(),
            status: self.status,
            informational: std::mem::take(&mut self.informational),
            response_headers: std::mem::take(&mut self.response_headers),
            response: std::mem::take(&mut self.response),
            ..Self::default()
        };
        let mut asked = Self {
            version: upgrade.version,
            stream: None,
            status: upgrade.status,
            informational: upgrade.informational,
            response_headers: upgrade.headers,
            response: upgrade.response,
            ..self
        };
        if answered {
            return (Some(asked), answer);
        }
        asked.response.end_at_ns = None;
        (None, asked)
    }

    /// Text as it may be shown, secrets redacted unless `show_secrets`.
    /// The id is given later.
    pub fn into_model(self, scheme: &str, show_secrets: bool) -> model::HttpExchange {
        let url = self.url(scheme);
        let address = |text: &[u8]| {
            let text = printable(text);
            if show_secrets {
                text
            } else {
                redact_url(&text)
            }
        };
        let headers = |headers: &Headers| {
            headers
                .iter()
                .map(|(name, value)| {
                    let (name, value) = (printable(name), printable(value));
                    let value = if show_secrets {
                        value
                    } else {
                        redact_header(&name, &value)
                    };
                    (name, value)
                })
                .collect()
        };
        model::HttpExchange {
            id: String::new(),
            version: self.version.to_owned(),
            stream: self.stream,
            method: (!self.method.is_empty()).then(|| printable(&self.method)),
            target: (!self.target.is_empty()).then(|| address(&self.target)),
            host: self.host.as_ref().map(printable),
            url: url.as_deref().map(address),
            upgraded_from: None,
            status: self.status,
            informational: self.informational,
            request_headers: headers(&self.request_headers),
            response_headers: headers(&self.response_headers),
            request_at_ns: self.request.first_at_ns,
            request_end_at_ns: self.request.end_at_ns,
            response_at_ns: self.response.first_at_ns,
            response_end_at_ns: self.response.end_at_ns,
            request_body_bytes: self.request.body_bytes,
            response_body_bytes: self.response.body_bytes,
            request_segments: self.request.segments,
            response_segments: self.response.segments,
        }
    }

    /// The target URI (RFC 9110, section 7.1). `None` for CONNECT, which asks for a tunnel,
    /// and where the host is not known.
    fn url(&self, scheme: &str) -> Option<Vec<u8>> {
        let absolute = self.target.windows(3).take(16).any(|part| part == b"://");
        if absolute {
            return Some(self.target.clone());
        }
        let host = self.host.as_deref().filter(|host| !host.is_empty())?;
        let path = match self.target.as_slice() {
            b"*" => b"",
            path @ [b'/', ..] => path,
            _ => return None,
        };
        let scheme = self.scheme.as_deref().unwrap_or(scheme.as_bytes());
        let host = without_default_port(scheme, host);
        Some([scheme, b"://", host, path].concat())
    }
}

fn without_default_port<'a>(scheme: &[u8], host: &'a [u8]) -> &'a [u8] {
    let port: &[u8] = match scheme {
        b"http" => b":80",
        b"https" => b":443",
        _ => return host,
    };
    host.strip_suffix(port).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str, target: &str, scheme: &str) -> Option<String> {
        let exchange = Exchange {
            host: (!host.is_empty()).then(|| host.as_bytes().to_vec()),
            target: target.as_bytes().to_vec(),
            ..Exchange::default()
        };
        exchange.into_model(scheme, true).url
    }

    #[test]
    fn urls_leave_out_default_ports_only() {
        let cases = [
            ("shop.test", "/a?b", "https", Some("https://shop.test/a?b")),
            ("shop.test:443", "/", "https", Some("https://shop.test/")),
            ("shop.test:80", "/", "https", Some("https://shop.test:80/")),
            ("[fd77::80]:80", "/", "http", Some("http://[fd77::80]/")),
            ("shop.test", "*", "http", Some("http://shop.test")),
            ("", "/", "http", None),
            (
                "proxy",
                "http://shop.test/x",
                "http",
                Some("http://shop.test/x"),
            ),
            ("shop.test:443", "shop.test:443", "http", None),
        ];
        for (host, target, scheme, expected) in cases {
            assert_eq!(url(host, target, scheme).as_deref(), expected, "{target}");
        }
    }

    #[test]
    fn secrets_are_redacted_unless_asked_for() {
        let exchange = Exchange {
            host: Some(b"shop.test".to_vec()),
            target: b"/login?token=abc&x=1".to_vec(),
            request_headers: vec![(b"Cookie".to_vec(), b"id=7".to_vec())],
            ..Exchange::default()
        };
        let shown = exchange.clone().into_model("http", true);
        assert!(shown.target.unwrap().contains("abc") && shown.request_headers[0].1 == "id=7");
        let hidden = exchange.into_model("http", false);
        let text = format!("{hidden:?}");
        assert!(!text.contains("abc") && !text.contains("id=7"), "{text}");
    }

    #[test]
    fn a_segment_counts_once_for_one_message() {
        let mut stream = TimedBytes::default();
        stream.push(&[0; 10], 1);
        stream.push(&[0; 10], 2);
        let mut side = Side::default();
        side.carried(&stream, 0, 3);
        side.carried(&stream, 5, 8);
        side.carried(&stream, 8, 12);
        side.complete(&stream, 12);
        assert_eq!(
            (side.segments, side.first_at_ns, side.end_at_ns),
            (2, Some(1), Some(2))
        );
    }
}
