//! A URL with its redirects: one connection and one pair of reports for each.

use super::connect::{connect, sentence};
use super::exchange::{Answer, Message, exchange};
use super::held::{Held, Stream};
use super::report::{Event, Reporter};
use super::request::Request;
use super::resolve::resolve;
use super::secure;
use bytes::Bytes;
use http::Method;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, PROXY_AUTHORIZATION,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio_rustls::TlsConnector;
use url::Url;

/// Redirects followed by `-L`.
const MAX_REDIRECTS: usize = 10;

/// Why the client ends without a response.
#[derive(Debug)]
pub(super) enum Stop {
    /// Already reported.
    Failed,
    /// An option turned out unusable before anything was sent.
    Unusable(String),
}

/// How far the request has come; names the stage of a failure, also of a time-out.
#[derive(Debug, Default)]
struct Progress {
    stage: Cell<&'static str>,
}

impl Progress {
    fn enter(&self, stage: &'static str) {
        self.stage.set(stage);
    }
}

/// Fetches the URL and, with `-L`, what it redirects to.
pub(super) async fn follow(request: &Request, reporter: &Reporter) -> Result<(), Stop> {
    let mut message = Message::first(request).map_err(Stop::Unusable)?;
    let tls = (request.follow || message.url.scheme() == "https")
        .then(|| secure::configuration(request, reporter.key_log()))
        .transpose()
        .map_err(Stop::Unusable)?;
    let mut sink = sink(request).map_err(Stop::Unusable)?;
    let deadline = request
        .max_time
        .map(|limit| tokio::time::Instant::now() + limit);
    for _ in 0..=MAX_REDIRECTS {
        let url = message.url.to_string();
        reporter.say(&url, Event::Started);
        let progress = Progress::default();
        let attempt = fetch(
            request,
            &message,
            tls.clone(),
            &mut sink,
            &progress,
            |status| {
                reporter.say(&url, Event::Finished { status });
            },
        );
        let outcome = match deadline {
            None => attempt.await,
            Some(deadline) => match tokio::time::timeout_at(deadline, attempt).await {
                Ok(outcome) => outcome,
                Err(_) => Err(timed_out("--max-time", request.max_time)),
            },
        };
        let answer = outcome.map_err(|message| {
            let stage = progress.stage.get().to_owned();
            reporter.say(&url, Event::Failed { stage, message });
            Stop::Failed
        })?;
        match redirect(request, &message, &answer) {
            None => return Ok(()),
            Some(next) => message = next,
        }
    }
    // Says so under the URL that was not opened any more.
    reporter.say(message.url.as_str(), Event::Started);
    let stage = "http".to_owned();
    let message_text = format!("the server redirected more than {MAX_REDIRECTS} times");
    reporter.say(
        message.url.as_str(),
        Event::Failed {
            stage,
            message: message_text,
        },
    );
    Err(Stop::Failed)
}

fn timed_out(option: &str, limit: Option<Duration>) -> String {
    let seconds = limit.unwrap_or_default().as_secs_f64();
    format!("timed out after {seconds} s ({option})")
}

type Sink = Pin<Box<dyn AsyncWrite>>;

fn sink(request: &Request) -> Result<Sink, String> {
    match &request.body_file {
        None => Ok(Box::pin(tokio::io::sink())),
        Some(path) => {
            let opened = if path.as_os_str() == "-" {
                std::io::stdout()
                    .as_fd()
                    .try_clone_to_owned()
                    .map(File::from)
            } else {
                File::create(path)
            };
            match opened {
                Ok(file) => Ok(Box::pin(Blocking(file))),
                Err(error) => Err(format!(
                    "cannot write --body `{}`: {error}; name a file you may write",
                    path.display()
                )),
            }
        }
    }
}

/// Written to directly: a regular file never blocks in the sense of poll(2), and a client
/// whose reader is slow may wait for it.
struct Blocking(File);

impl AsyncWrite for Blocking {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Ready(std::io::Write::write(&mut self.0, bytes))
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

/// One URL: resolve, connect, TLS, HTTP, close.
async fn fetch(
    request: &Request,
    message: &Message,
    tls: Option<Arc<ClientConfig>>,
    sink: &mut Sink,
    progress: &Progress,
    received: impl FnOnce(u16),
) -> Result<Answer, String> {
    let connected = establish(request, &message.url, tls, progress);
    let (stream, http2) = match request.connect_timeout {
        None => connected.await?,
        Some(limit) => match tokio::time::timeout(limit, connected).await {
            Ok(connected) => connected?,
            Err(_) => return Err(timed_out("--connect-timeout", Some(limit))),
        },
    };
    progress.enter("http");
    let stream = Held::new(stream);
    let answer = exchange(&stream, http2, request.follow, message, sink).await;
    if let Ok(answer) = &answer {
        received(answer.status);
    }
    stream.close().await;
    answer.map_err(|failure| {
        progress.enter(failure.stage);
        failure.message
    })
}

async fn establish(
    request: &Request,
    url: &Url,
    tls: Option<Arc<ClientConfig>>,
    progress: &Progress,
) -> Result<(Stream, bool), String> {
    progress.enter("resolve");
    let addresses = resolve(request, url).await?;
    progress.enter("connect");
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let tcp = connect(&addresses)
        .await
        .map_err(|why| format!("cannot connect to {host} port {port}: {why}"))?;
    let config = match tls {
        Some(config) if url.scheme() == "https" => config,
        _ => return Ok((Stream::Plain(tcp), false)),
    };
    progress.enter("tls");
    // The URL parser keeps IPv6 addresses in brackets, certificates do not.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|error| format!("cannot ask for the certificate of {host}: {error}"))?;
    let secure = TlsConnector::from(config)
        .connect(name, tcp)
        .await
        .map_err(|error| handshake_failure(host, &error))?;
    let http2 = secure.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Stream::Secure(Box::new(secure)), http2))
}

fn handshake_failure(host: &str, error: &std::io::Error) -> String {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let why = match tls {
        Some(_) => secure::sentence(tls),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the handshake".to_owned()
        }
        None => sentence(error),
    };
    format!("TLS with {host} failed: {why}")
}

/// The request that a redirect asks for (RFC 9110, section 15.4); `None` when there is none.
fn redirect(request: &Request, message: &Message, answer: &Answer) -> Option<Message> {
    if !request.follow || !answer.is_redirect() {
        return None;
    }
    let mut url = message.url.join(answer.location.as_deref()?).ok()?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return None;
    }
    if url.fragment().is_none() {
        url.set_fragment(message.url.fragment());
    }
    let mut next = message.clone();
    // Browsers and curl turn POST into GET on 301 and 302, everything but HEAD on 303.
    let becomes_get = match answer.status {
        301 | 302 => message.method == Method::POST,
        303 => message.method != Method::HEAD,
        _ => false,
    };
    if becomes_get {
        next.method = Method::GET;
        next.body = Bytes::new();
        next.headers.remove(CONTENT_TYPE);
        next.headers.remove(CONTENT_LENGTH);
    }
    if url.origin() != message.url.origin() {
        // Credentials and a Host of the user's own are for the host they were given for.
        for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, HOST] {
            next.headers.remove(name);
        }
    }
    next.url = url;
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::redirect;
    use crate::client::exchange::{Answer, Message};
    use crate::client::options::RequestOptions;
    use crate::client::request::{Request, check};

    fn posted() -> (Request, Message) {
        let request = check(&RequestOptions {
            url: "https://a.test/form#top".into(),
            data: vec!["x=1".into()],
            headers: vec!["Authorization: secret".into(), "X-Own: 1".into()],
            location: true,
            ..RequestOptions::default()
        })
        .expect("usable");
        let message = Message::first(&request).expect("complete");
        (request, message)
    }

    fn answer(status: u16, location: &str) -> Answer {
        Answer {
            status,
            location: Some(location.to_owned()),
        }
    }

    #[test]
    fn a_post_becomes_a_get_unless_the_status_forbids_it() {
        let (request, message) = posted();
        let next = redirect(&request, &message, &answer(302, "/done")).expect("followed");
        assert_eq!((next.method.as_str(), next.body.len()), ("GET", 0));
        assert_eq!(next.url.as_str(), "https://a.test/done#top");
        assert!(!next.headers.contains_key("content-type"));
        let next = redirect(&request, &message, &answer(307, "/again")).expect("followed");
        assert_eq!((next.method.as_str(), next.body.len()), ("POST", 3));
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        let (request, message) = posted();
        let same = redirect(&request, &message, &answer(302, "/x")).expect("followed");
        assert!(same.headers.contains_key("authorization"));
        for elsewhere in ["https://b.test/", "http://a.test/", "https://a.test:8443/"] {
            let next = redirect(&request, &message, &answer(302, elsewhere)).expect("followed");
            assert!(!next.headers.contains_key("authorization"), "{elsewhere}");
            assert!(next.headers.contains_key("x-own"), "{elsewhere}");
        }
    }

    #[test]
    fn what_is_no_redirect_is_not_followed() {
        let (mut request, message) = posted();
        assert!(redirect(&request, &message, &answer(200, "/x")).is_none());
        assert!(redirect(&request, &message, &answer(304, "/x")).is_none());
        assert!(redirect(&request, &message, &answer(302, "ftp://b.test/")).is_none());
        let silent = Answer {
            status: 302,
            location: None,
        };
        assert!(redirect(&request, &message, &silent).is_none());
        request.follow = false;
        assert!(redirect(&request, &message, &answer(302, "/x")).is_none());
    }
}
