//! One request and its response on one connection.

use super::held::Held;
use super::request::{Data, Request};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::task::JoinHandle;
use url::Url;

/// How long the HTTP library may take for its goodbyes (GOAWAY) after the response.
const GOODBYE: Duration = Duration::from_millis(500);

/// What is asked, after redirects have had their say.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub url: Url,
    pub method: Method,
    pub headers: HeaderMap,
    pub removed_headers: Vec<HeaderName>,
    pub body: Bytes,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    /// Target of a redirect.
    pub location: Option<String>,
}

impl Answer {
    /// Names another URL to open (RFC 9110, section 15.4).
    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308) && self.location.is_some()
    }
}

impl Message {
    pub fn first(request: &Request) -> Result<Self, String> {
        let body = body(&request.data)?;
        let method = match &request.method {
            Some(method) => method.clone(),
            None if request.data.is_empty() => Method::GET,
            None => Method::POST,
        };
        let mut headers = request.headers.clone();
        if !request.data.is_empty() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            );
        }
        Ok(Self {
            url: request.url.clone(),
            method,
            headers,
            removed_headers: request.removed_headers.clone(),
            body,
        })
    }

    fn to_http(&self, version: Version) -> Result<http::Request<Full<Bytes>>, String> {
        let target = if version == Version::HTTP_2 {
            let mut url = self.url.clone();
            url.set_fragment(None);
            url.to_string()
        } else {
            let path = self.url.path();
            self.url
                .query()
                .map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
        };
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(target)
            .version(version)
            .body(Full::new(self.body.clone()))
            .map_err(|error| format!("cannot make a request of the URL: {error}"))?;
        let headers = request.headers_mut();
        if version != Version::HTTP_2 {
            let host = HeaderValue::from_str(&authority(&self.url))
                .map_err(|error| format!("cannot make a Host header of the URL: {error}"))?;
            headers.insert(HOST, host);
        }
        let product = concat!("tracer/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(product));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        for name in &self.removed_headers {
            headers.remove(name);
        }
        for name in self.headers.keys() {
            headers.remove(name);
        }
        headers.extend(self.headers.clone());
        Ok(request)
    }
}

/// Host and, where it is not the scheme's own, port (RFC 9110, section 7.2).
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn body(data: &[Data]) -> Result<Bytes, String> {
    let mut body = Vec::new();
    for (index, part) in data.iter().enumerate() {
        if index > 0 {
            body.push(b'&');
        }
        match part {
            Data::Literal(text) => body.extend_from_slice(text.as_bytes()),
            Data::File(path) => {
                let contents = std::fs::read(path).map_err(|error| {
                    let path = path.display();
                    format!("cannot read --data `@{path}`: {error}; give a file that exists")
                })?;
                // As curl does: line ends are not part of form data.
                body.extend(
                    contents
                        .into_iter()
                        .filter(|byte| !b"\r\n\0".contains(byte)),
                );
            }
        }
    }
    Ok(body.into())
}

/// Sends `message` and reads the answer to its end into `sink`; the body of a redirect
/// that will be followed (`follow`) is nobody's result and is dropped.
pub(super) async fn exchange(
    stream: &Held,
    http2: bool,
    follow: bool,
    message: &Message,
    sink: &mut (impl AsyncWrite + Unpin),
) -> Result<Answer, Failure> {
    let io = TokioIo::new(stream.clone());
    let failed = |error: hyper::Error| Failure::http(&error);
    if http2 {
        let request = message.to_http(Version::HTTP_2).map_err(Failure::plain)?;
        let executor = TokioExecutor::new();
        let handshake = hyper::client::conn::http2::handshake(executor, io).await;
        let (mut sender, connection) = handshake.map_err(failed)?;
        let driver = tokio::spawn(connection);
        let answer = read(sender.send_request(request).await, follow, sink).await;
        drop(sender);
        finish(answer, driver).await
    } else {
        let request = message.to_http(Version::HTTP_11).map_err(Failure::plain)?;
        let mut builder = hyper::client::conn::http1::Builder::new();
        let handshake = builder.title_case_headers(true).handshake(io).await;
        let (mut sender, connection) = handshake.map_err(failed)?;
        let driver = tokio::spawn(connection);
        let answer = read(sender.send_request(request).await, follow, sink).await;
        drop(sender);
        finish(answer, driver).await
    }
}

async fn read(
    response: hyper::Result<http::Response<Incoming>>,
    follow: bool,
    sink: &mut (impl AsyncWrite + Unpin),
) -> Result<Answer, Failure> {
    let mut response = response.map_err(|error| Failure::http(&error))?;
    let location = response.headers().get(LOCATION);
    let answer = Answer {
        status: response.status().as_u16(),
        location: location.and_then(|value| Some(value.to_str().ok()?.to_owned())),
    };
    let mut keep = !(follow && answer.is_redirect());
    while let Some(frame) = response.frame().await {
        let frame = frame.map_err(|error| Failure::http(&error))?;
        let Some(data) = frame.data_ref().filter(|_| keep) else {
            continue;
        };
        match sink.write_all(data).await {
            // Whoever read the body has seen enough of it (`| head`); the request goes on.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => keep = false,
            written => written.map_err(Failure::sink)?,
        }
    }
    sink.flush().await.map_err(Failure::sink)?;
    Ok(answer)
}

/// Lets the HTTP library say goodbye, and prefers the connection's own error to the
/// request's "connection closed".
async fn finish(
    answer: Result<Answer, Failure>,
    mut driver: JoinHandle<hyper::Result<()>>,
) -> Result<Answer, Failure> {
    let ended = tokio::time::timeout(GOODBYE, &mut driver).await;
    driver.abort();
    match (answer, ended) {
        (Err(failure), Ok(Ok(Err(error)))) if failure.vague => Err(Failure::http(&error)),
        (answer, _) => answer,
    }
}

/// Why there is no complete answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// `tls` or `http`.
    pub stage: &'static str,
    pub message: String,
    /// The connection task knows the cause better.
    vague: bool,
}

impl Failure {
    fn plain(message: String) -> Self {
        Self {
            stage: "http",
            message,
            vague: false,
        }
    }

    fn sink(error: std::io::Error) -> Self {
        Self::plain(format!(
            "cannot write the response body: {error}; check --body"
        ))
    }

    fn http(error: &hyper::Error) -> Self {
        // A client certificate that is missing, for instance, is refused by an alert that
        // comes only after the client's handshake is over (RFC 8446, section 4.4.2.4).
        let tls = causes(error).find_map(|cause| {
            let io = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
            io.downcast_ref::<rustls::Error>()
        });
        if let Some(rustls::Error::AlertReceived(_)) = tls {
            return Self {
                stage: "tls",
                message: super::secure::sentence(tls),
                vague: false,
            };
        }
        let cut = error.is_incomplete_message()
            || causes(error).any(|cause| {
                let io = cause.downcast_ref::<std::io::Error>();
                io.is_some_and(|io| io.kind() == ErrorKind::UnexpectedEof)
            });
        let message = if cut {
            "the server closed the connection before the response was complete".to_owned()
        } else {
            causes(error)
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(": ")
        };
        Self {
            stage: "http",
            message,
            vague: error.is_canceled() || error.is_closed(),
        }
    }
}

/// The error and everything that caused it, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        (*error).source()
    })
}

#[cfg(test)]
mod tests {
    use super::{Message, authority};
    use crate::client::options::RequestOptions;
    use crate::client::request::check;
    use http::Version;

    fn message(options: RequestOptions) -> Message {
        Message::first(&check(&options).expect("usable")).expect("complete")
    }

    #[test]
    fn the_target_has_no_fragment_and_the_host_its_odd_port() {
        let message = message(RequestOptions {
            url: "http://a.test:8080/p?q=1#fragment".into(),
            ..RequestOptions::default()
        });
        let one = message.to_http(Version::HTTP_11).expect("a request");
        assert_eq!(one.uri(), "/p?q=1");
        assert_eq!(one.headers()["host"], "a.test:8080");
        let two = message.to_http(Version::HTTP_2).expect("a request");
        assert_eq!(two.uri(), "http://a.test:8080/p?q=1");
        assert!(!two.headers().contains_key("host"));
        let default_port = "https://a.test:443/".parse().expect("a URL");
        assert_eq!(authority(&default_port), "a.test");
    }

    #[test]
    fn data_makes_a_post_unless_told_otherwise() {
        let mut options = RequestOptions {
            url: "http://a.test/".into(),
            data: vec!["a=1".into(), "b=2".into()],
            ..RequestOptions::default()
        };
        let posted = message(options.clone());
        assert_eq!(
            (posted.method.as_str(), &posted.body[..]),
            ("POST", &b"a=1&b=2"[..])
        );
        assert_eq!(
            posted.headers["content-type"],
            "application/x-www-form-urlencoded"
        );
        options.method = Some("PUT".into());
        options.headers = vec!["Content-Type: text/plain".into()];
        let put = message(options);
        assert_eq!(put.method, "PUT");
        assert_eq!(put.headers["content-type"], "text/plain");
    }

    #[test]
    fn own_headers_replace_the_default_ones() {
        let message = message(RequestOptions {
            url: "http://a.test/".into(),
            headers: ["Host: b.test", "User-Agent:", "X-A: 1", "X-A: 2"]
                .map(str::to_owned)
                .to_vec(),
            ..RequestOptions::default()
        });
        let request = message.to_http(Version::HTTP_11).expect("a request");
        assert_eq!(request.headers().get_all("host").iter().count(), 1);
        assert_eq!(request.headers()["host"], "b.test");
        assert!(!request.headers().contains_key("user-agent"));
        assert_eq!(request.headers().get_all("x-a").iter().count(), 2);
    }
}
