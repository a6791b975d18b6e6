//! A TLS session read from the two reassembled byte streams of a connection.

mod certificate;
mod direction;
mod keylog;
mod plaintext;
mod records;
mod sealed;
mod session;

pub use keylog::KeyLog;
pub use session::Session;

use super::bytes::TimedBytes;
use super::model::{self, End};
use crate::protocol::tls::decrypt::{Negotiated, Opener, TrafficSecrets};
use crate::protocol::tls::handshake::{Message, Reassembly, message_type};
use crate::protocol::tls::hello::{ClientHello, ServerHello, extension_type};
use crate::protocol::tls::record::content_type;
use direction::Row;
use records::{Records, body};

/// What the streams of a TLS connection hold.
#[derive(Debug, Clone)]
pub struct TlsAnalysis {
    pub session: model::Tls,
    /// Application data in clear, where the keys are known.
    pub client_plaintext: Option<TimedBytes>,
    pub server_plaintext: Option<TimedBytes>,
    /// First and last wire time of application data records of each end, whether or not
    /// they could be decrypted: `(first_at_ns, last_at_ns)`. Post-handshake messages
    /// (session tickets) do not count where they can be told apart.
    pub client_application_data: Option<(u64, u64)>,
    pub server_application_data: Option<(u64, u64)>,
}

/// Reads a TLS session. `None` when the client's stream does not begin with a TLS record
/// (the server's, when the beginning of the client's was not captured).
pub fn analyse(client: &TimedBytes, server: &TimedBytes, secrets: &KeyLog) -> Option<TlsAnalysis> {
    let missing = client.next_hole(0).is_some_and(|(offset, _)| offset == 0);
    let first = if missing || client.is_empty() {
        server
    } else {
        client
    };
    Records::new(first).next()?;
    let hellos = Hellos::find(client, server);
    let tls13 = hellos.is_tls13();
    let mut session = Session::default();
    let keys = hellos.opener(End::Client, secrets);
    let mut from_client = direction::read(End::Client, client, keys, tls13, &mut session);
    let keys = hellos.opener(End::Server, secrets);
    let mut from_server = direction::read(End::Server, server, keys, tls13, &mut session);
    let (client_application_data, server_application_data) =
        sealed::judge(&mut from_client, &mut from_server, &mut session);
    let records = woven(from_client.rows, from_server.rows);
    session.set_records(records);
    Some(TlsAnalysis {
        session: session.into_model(secrets),
        client_plaintext: from_client.plaintext,
        server_plaintext: from_server.plaintext,
        client_application_data,
        server_application_data,
    })
}

/// The records of both directions in time order. Times never decrease within a direction,
/// so the order of its stream is kept.
fn woven(client: Vec<Row>, server: Vec<Row>) -> Vec<model::TlsRecord> {
    let rows = client.into_iter().chain(server);
    let mut records: Vec<_> = rows.map(|row| row.record).collect();
    records.sort_by_key(|record| record.at_ns);
    records
}

/// The two hellos that name the keys, found ahead of everything else because each direction
/// needs both.
#[derive(Default)]
struct Hellos {
    client: Option<ClientHello>,
    server: Option<ServerHello>,
}

impl Hellos {
    fn find(client: &TimedBytes, server: &TimedBytes) -> Self {
        Self {
            client: first_message(client, |message| {
                (message.kind == message_type::CLIENT_HELLO)
                    .then(|| ClientHello::parse(&message.body))
                    .flatten()
            })
            .or_else(|| ssl2_hello(client)),
            server: first_message(server, |message| {
                (message.kind == message_type::SERVER_HELLO)
                    .then(|| ServerHello::parse(&message.body))
                    .flatten()
                    .filter(|hello| !hello.hello_retry_request)
            }),
        }
    }

    fn is_tls13(&self) -> bool {
        self.server
            .as_ref()
            .is_some_and(|hello| session::is_tls13(hello.version()))
    }

    /// The keys of one direction; `None` when the log does not hold them or the cipher is
    /// not supported.
    fn opener(&self, end: End, secrets: &KeyLog) -> Option<Opener> {
        let client_random = &self.client.as_ref()?.random;
        let server = self.server.as_ref()?;
        let secret = |label: &str| secrets.secret(label, client_random);
        if self.is_tls13() {
            let secrets = match end {
                End::Client => TrafficSecrets {
                    early: secret("CLIENT_EARLY_TRAFFIC_SECRET"),
                    handshake: secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET"),
                    application: secret("CLIENT_TRAFFIC_SECRET_0"),
                },
                End::Server => TrafficSecrets {
                    early: None,
                    handshake: secret("SERVER_HANDSHAKE_TRAFFIC_SECRET"),
                    application: secret("SERVER_TRAFFIC_SECRET_0"),
                },
            };
            return Opener::tls13(server.cipher_suite, secrets);
        }
        // What is compressed (RFC 3749) is of no use in clear.
        (server.compression_method == 0).then_some(())?;
        let negotiated = Negotiated {
            version: server.version(),
            cipher_suite: server.cipher_suite,
            encrypt_then_mac: server.has_extension(extension_type::ENCRYPT_THEN_MAC),
            master_secret: secret("CLIENT_RANDOM")?,
            client_random,
            server_random: &server.random,
        };
        Opener::tls12(&negotiated, end == End::Client)
    }
}

/// The first handshake message in clear that `wanted` accepts.
fn first_message<T>(stream: &TimedBytes, wanted: impl Fn(&Message) -> Option<T>) -> Option<T> {
    let mut reassembly = Reassembly::default();
    Records::new(stream)
        // After these come sealed records only, or no hello at all.
        .take_while(|record| record.content_type != content_type::APPLICATION_DATA)
        .filter(|record| record.content_type == content_type::HANDSHAKE && !record.ssl2)
        .filter_map(|record| body(stream, &record))
        .find_map(|fragment| {
            let messages = reassembly.push(fragment, 0, 0);
            messages.iter().find_map(&wanted)
        })
}

fn ssl2_hello(stream: &TimedBytes) -> Option<ClientHello> {
    let record = Records::new(stream).next().filter(|record| record.ssl2)?;
    ClientHello::parse_ssl2(body(stream, &record)?)
}

#[cfg(test)]
pub(super) mod tests;
