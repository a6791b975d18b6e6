//! What the payload of a connection is: QUIC, TLS, HTTP, or one of them inside something else.

use super::assemble::Assembler;
use super::bytes::TimedBytes;
use super::connection::TrackedConnection;
use super::http;
use super::model::{End, HttpExchange};
use super::quic;
use super::story::Analysed;
use super::tls;

/// How far into a stream of another protocol the beginning of TLS is looked for, bytes: an
/// exchange of greetings, capabilities and STARTTLS.
const GREETINGS: usize = 64 * 1024;

/// ClientHello and ServerHello (RFC 8446, section 4).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// TLS record types (RFC 8446, section 5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const RECORDS: std::ops::RangeInclusive<u8> = 20..=23;

/// Reads the streams of a connection.
pub(super) fn analyse(memory: &Assembler, connection: &TrackedConnection) -> Analysed {
    let mut analysed = read(memory, connection);
    if let Some(tls) = &mut analysed.tls {
        // What was to be read in them was read; they are as large as the streams.
        tls.client_plaintext = None;
        tls.server_plaintext = None;
    }
    analysed
}

fn read(memory: &Assembler, connection: &TrackedConnection) -> Analysed {
    if let Some(mut quic) = quic::read(connection, &memory.secrets) {
        return Analysed {
            tls: quic.tls.take().map(Box::new),
            quic: Some(Box::new(quic)),
            ..Analysed::default()
        };
    }
    let requester = connection.requester();
    let mut analysed = read_streams(memory, connection, requester);
    analysed.requester = requester;
    if let (End::Server, Some(tls)) = (requester, &mut analysed.tls) {
        // They name the ends of the connection, not those of the session.
        let records = tls.session.records.iter_mut().map(|it| &mut it.end);
        let alerts = tls.session.alerts.iter_mut().map(|it| &mut it.end);
        records.chain(alerts).for_each(|end| *end = end.peer());
    }
    analysed
}

/// Reads what the end that asks and its peer said to each other.
fn read_streams(memory: &Assembler, connection: &TrackedConnection, requester: End) -> Analysed {
    let client = connection.end(requester).stream.bytes();
    let server = connection.end(requester.peer()).stream.bytes();
    let reader = Reader {
        memory,
        id: connection.id(),
    };
    let whole = reader.read(client, server);
    if whole.tls.is_some() {
        return whole;
    }
    let inside = http::tunnel(client, server).or_else(|| match whole.http.is_empty() {
        true => started_tls(client, server),
        false => None,
    });
    let Some((from_client, from_server)) = inside else {
        return whole;
    };
    let inner = reader.read(&client.tail(from_client), &server.tail(from_server));
    let mut http = whole.http;
    http.extend(inner.http);
    http::number(&mut http, &reader.id);
    Analysed {
        tls: inner.tls,
        http,
        ..Analysed::default()
    }
}

/// TLS secrets may open what a connection carries, from its beginning or from later on.
pub(super) fn may_be_sealed(connection: &TrackedConnection) -> bool {
    let client = connection.end(End::Client).stream.bytes();
    let server = connection.end(End::Server).stream.bytes();
    let is_tls = |stream: &TimedBytes| stream.as_slice().first() == Some(&HANDSHAKE);
    connection.quic.is_some()
        || is_tls(client)
        || is_tls(server)
        || http::tunnel(client, server).is_some()
        || started_tls(client, server).is_some()
}

struct Reader<'a> {
    memory: &'a Assembler,
    id: String,
}

impl Reader<'_> {
    fn read(&self, client: &TimedBytes, server: &TimedBytes) -> Analysed {
        let tls = tls::analyse(client, server, &self.memory.secrets).map(Box::new);
        let http = match &tls {
            None => self.exchanges(client, server, None, "http"),
            // A server that speaks no TLS says so in the language that it speaks.
            Some(_) if server.as_slice().starts_with(b"HTTP/") => {
                self.exchanges(&TimedBytes::default(), server, None, "http")
            }
            Some(tls) => match (&tls.client_plaintext, &tls.server_plaintext) {
                (Some(client), Some(server)) => {
                    self.exchanges(client, server, tls.session.alpn.as_deref(), "https")
                }
                _ => Vec::new(),
            },
        };
        Analysed {
            tls,
            http,
            ..Analysed::default()
        }
    }

    fn exchanges(
        &self,
        client: &TimedBytes,
        server: &TimedBytes,
        alpn: Option<&str>,
        scheme: &str,
    ) -> Vec<HttpExchange> {
        let show_secrets = self.memory.options.show_secrets;
        http::analyse(client, server, alpn, scheme, &self.id, show_secrets)
    }
}

/// Where TLS begins in both streams of a protocol that changes over to it: SMTP, IMAP, POP3,
/// FTP, LDAP, XMPP (STARTTLS), PostgreSQL, MySQL, RDP, SOCKS. All of them wait for an
/// answer first, so that the hellos begin a segment each.
fn started_tls(client: &TimedBytes, server: &TimedBytes) -> Option<(usize, usize)> {
    let asked = begins(client, 0, |kind, message| {
        kind == HANDSHAKE && message == CLIENT_HELLO
    });
    let from_server = begins(server, asked.map_or(0, |found| found.1), |kind, message| {
        kind == HANDSHAKE && message == SERVER_HELLO || kind == ALERT && asked.is_some()
    });
    match (asked, from_server) {
        (Some((client, _)), answered) => {
            Some((client, answered.map_or(server.len(), |found| found.0)))
        }
        // The capture began between the hellos.
        (None, Some((server, at_ns))) => {
            let sealed = begins(client, at_ns, |kind, _| RECORDS.contains(&kind));
            Some((sealed.map_or(client.len(), |found| found.0), server))
        }
        (None, None) => None,
    }
}

/// The first segment at or after `from_ns` that begins with a TLS record of a kind that is
/// wanted, given the record's type and the first byte in it: `(offset, at_ns)`.
fn begins(
    stream: &TimedBytes,
    from_ns: u64,
    wanted: impl Fn(u8, u8) -> bool,
) -> Option<(usize, u64)> {
    let bytes = stream.as_slice();
    let mut pieces = stream.pieces_in(0, GREETINGS.min(bytes.len()));
    let found = pieces.find(|piece| {
        let record = bytes.get(piece.begins..).and_then(<[u8]>::first_chunk::<6>);
        let hello = record.is_some_and(|[kind, major, minor, _, _, first]| {
            *major == 3 && *minor <= 4 && wanted(*kind, *first)
        });
        hello && piece.at_ns >= from_ns
    })?;
    Some((found.begins, found.at_ns))
}
