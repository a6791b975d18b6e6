//! The HTTP and HTTPS server of the lab.

use super::courteous::Courteous;
use super::{Configuration, page};
use crate::lab::address::web_addresses;
use crate::lab::certificate::Identity;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST, LOCATION, SERVER,
    STRICT_TRANSPORT_SECURITY, VARY, VIA,
};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::LazyConfigAcceptor;

/// Its handshakes are answered with an alert.
const ALERTS: &str = "alert.test";
/// Its connections end early.
const CLOSES: &str = "closes.test";

/// A fatal alert, handshake_failure (40), in a record of its own (RFC 8446, sections 5.1
/// and 6).
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

pub(super) struct Web {
    plain: Vec<TcpListener>,
    secure: Vec<TcpListener>,
    sites: Arc<Sites>,
}

/// TLS configurations by server name.
struct Sites {
    by_name: HashMap<String, Arc<ServerConfig>>,
    /// Shown to clients that send no known name.
    default: Arc<ServerConfig>,
}

/// Binds ports 80 and 443 of every address of the server.
pub(super) async fn listen(configuration: &Configuration) -> io::Result<Web> {
    let mut web = Web {
        plain: Vec::new(),
        secure: Vec::new(),
        sites: Arc::new(Sites::new(&configuration.identities)?),
    };
    for ip in web_addresses(configuration.ipv6) {
        web.plain.push(TcpListener::bind((ip, 80)).await?);
        web.secure.push(TcpListener::bind((ip, 443)).await?);
    }
    Ok(web)
}

impl Sites {
    fn new(identities: &[Identity]) -> io::Result<Self> {
        let mut by_name = HashMap::new();
        let mut default = None;
        for identity in identities {
            let config = Arc::new(tls(identity, &[b"h2", b"http/1.1"])?);
            for name in &identity.shown_for {
                // HTTP/1.1 only: in HTTP/2 a response that breaks off is a reset of its
                // stream, and the connection would live on.
                let config = match name.as_str() {
                    CLOSES => Arc::new(tls(identity, &[b"http/1.1"])?),
                    _ => config.clone(),
                };
                by_name.insert(name.clone(), config);
            }
            default.get_or_insert(config);
        }
        Ok(Self {
            by_name,
            default: default.ok_or_else(|| io::Error::other("no certificate was given"))?,
        })
    }

    fn find(&self, name: Option<&str>) -> Arc<ServerConfig> {
        name.and_then(|name| self.by_name.get(name))
            .unwrap_or(&self.default)
            .clone()
    }
}

fn tls(identity: &Identity, protocols: &[&[u8]]) -> io::Result<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

impl Web {
    pub async fn serve(self) -> io::Result<()> {
        let mut tasks = tokio::task::JoinSet::new();
        for listener in self.plain {
            tasks.spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(http1(Courteous::new(stream), "http"));
                }
            });
        }
        for listener in self.secure {
            let sites = self.sites.clone();
            tasks.spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    // A client that breaks off is no reason to stop.
                    let sites = sites.clone();
                    tokio::spawn(async move { https(Courteous::new(stream), &sites).await });
                }
            });
        }
        match tasks.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Err(io::Error::other("no address to listen on")),
        }
    }
}

async fn https(stream: Courteous, sites: &Sites) -> io::Result<()> {
    let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
    let mut started = acceptor.await?;
    let name = started.client_hello().server_name().map(str::to_owned);
    if name.as_deref() == Some(ALERTS) {
        return started.io.write_all(&HANDSHAKE_FAILURE).await;
    }
    let stream = started.into_stream(sites.find(name.as_deref())).await?;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let service = service_fn(|request| respond(request, "https"));
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    } else {
        http1(stream, "https").await;
    }
    Ok(())
}

async fn http1(stream: impl AsyncRead + AsyncWrite + Unpin, scheme: &'static str) {
    let service = service_fn(|request| respond(request, scheme));
    let _ = hyper::server::conn::http1::Builder::new()
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

type Body = BoxBody<Bytes, io::Error>;

async fn respond(request: Request<Incoming>, scheme: &str) -> io::Result<Response<Body>> {
    let only_head = request.method() == Method::HEAD;
    let response = answer(request, scheme).await?;
    if !only_head {
        return Ok(response);
    }
    // In HTTP/2 hyper would send the body that a HEAD must not get (RFC 9110, section 9.3.2).
    let (head, body) = response.into_parts();
    let length = body.size_hint().exact();
    let mut response = Response::from_parts(head, whole(String::new()));
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    Ok(response)
}

async fn answer(request: Request<Incoming>, scheme: &str) -> io::Result<Response<Body>> {
    let host = host(&request);
    let path = request.uri().path().to_owned();
    // The request's body is read to its end: unread bytes would make the kernel reset the
    // connection instead of closing it.
    request
        .into_body()
        .collect()
        .await
        .map_err(io::Error::other)?;
    match (scheme, host.as_str(), path.as_str()) {
        (_, CLOSES, "/partial") => Ok(partial()),
        (_, CLOSES, _) => Err(io::ErrorKind::ConnectionAborted.into()),
        ("http", "redirect.test" | "www.shop.test" | "shop.test", _) => {
            Ok(redirect(&format!("https://www.shop.test{path}")))
        }
        ("http", _, "/") => Ok(document(StatusCode::OK, page::PLAIN.to_owned())),
        ("https", _, "/") => Ok(shop()),
        _ => Ok(document(StatusCode::NOT_FOUND, page::NOT_FOUND.to_owned())),
    }
}

/// Host of the request, without the port: `:authority` in HTTP/2, the Host header before.
fn host(request: &Request<Incoming>) -> String {
    let header = || request.headers().get(HOST)?.to_str().ok();
    let authority = request.uri().authority().map(|found| found.as_str());
    let full = authority.or_else(header).unwrap_or_default();
    let host = full
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(full, |(host, _)| host);
    host.to_ascii_lowercase()
}

fn whole(text: String) -> Body {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed()
}

fn document(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(whole(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("tracer-lab"));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

/// The front page, with the headers of something that came through a CDN.
fn shop() -> Response<Body> {
    let mut response = document(StatusCode::OK, page::shop());
    let headers = response.headers_mut();
    for (name, value) in [
        (CACHE_CONTROL, "public, max-age=60"),
        (ETAG, "\"5f2a-1\""),
        (AGE, "17"),
        (VIA, "1.1 edge7.gslb.test"),
        (HeaderName::from_static("x-cache"), "HIT"),
        (VARY, "Accept-Encoding"),
        (STRICT_TRANSPORT_SECURITY, "max-age=63072000"),
        (
            http::header::SET_COOKIE,
            "session=b0b5ca7e; Path=/; Secure; HttpOnly",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn redirect(location: &str) -> Response<Body> {
    let mut response = document(StatusCode::MOVED_PERMANENTLY, String::new());
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Promises more than it sends.
fn partial() -> Response<Body> {
    let beginning = async {
        Ok(Frame::data(Bytes::from_static(
            b"<!DOCTYPE html>\n<p>This page ends in the mid",
        )))
    };
    let end = async {
        // Lets the beginning go out first.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    let frames = stream::once(beginning).chain(stream::once(end));
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from_static("4096"));
    response
}
