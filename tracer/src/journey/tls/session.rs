//! What handshake messages tell about a session, whatever carried them: TLS records over
//! TCP, or CRYPTO frames of QUIC.

use super::KeyLog;
use super::certificate;
use crate::journey::model::{self, DecryptedBy, Ech, End};
use crate::protocol::text::printable;
use crate::protocol::tls::handshake::{Message, message_type};
use crate::protocol::tls::hello::{self, ClientHello, ServerHello, extension_type};
use crate::protocol::tls::{credentials, names};

/// Alerts kept of one session.
const MAXIMUM_ALERTS: usize = 100;

/// A session in the making.
#[derive(Debug, Clone)]
pub struct Session {
    tls: model::Tls,
    client_hello: Option<ClientHello>,
    server_hello: Option<ServerHello>,
    /// An alert says that the server could not open an offered ECH (RFC 9849).
    ech_refused: bool,
    client_finished: bool,
    /// A message in clear was on the wire but not captured.
    lossy: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            tls: empty(),
            client_hello: None,
            server_hello: None,
            ech_refused: false,
            client_finished: false,
            lossy: false,
        }
    }
}

/// A session of which nothing is known.
fn empty() -> model::Tls {
    model::Tls {
        version: None,
        sni: None,
        alpn: None,
        alpn_offered: Vec::new(),
        cipher: None,
        group: None,
        resumed: None,
        early_data: false,
        hello_retry: false,
        ech: Ech::None,
        client_hello_at_ns: None,
        server_hello_at_ns: None,
        finished_at_ns: None,
        handshake_ns: None,
        round_trips: None,
        records: Vec::new(),
        certificates: Vec::new(),
        alerts: Vec::new(),
        decrypted_by: DecryptedBy::None,
        client_hello: None,
        server_hello: None,
    }
}

impl Session {
    /// The client's first hello.
    pub fn client_hello(&self) -> Option<&ClientHello> {
        self.client_hello.as_ref()
    }

    /// The ServerHello that is not a HelloRetryRequest.
    pub fn server_hello(&self) -> Option<&ServerHello> {
        self.server_hello.as_ref()
    }

    /// Takes one handshake message in clear. Messages of one end come in order; those of
    /// the server after the client's hello.
    pub fn message(&mut self, end: End, message: &Message) {
        match (end, message.kind) {
            (End::Client, message_type::CLIENT_HELLO) => {
                if let Some(hello) = ClientHello::parse(&message.body) {
                    self.take_client_hello(hello, message.first_at_ns);
                }
            }
            (End::Server, message_type::SERVER_HELLO) => {
                if let Some(hello) = ServerHello::parse(&message.body) {
                    self.take_server_hello(hello, message.last_at_ns);
                }
            }
            (End::Server, message_type::ENCRYPTED_EXTENSIONS) => {
                self.tls.alpn =
                    hello::encrypted_extensions_alpn(&message.body).map(|name| text(&name));
            }
            (End::Server, message_type::CERTIFICATE) => self.take_certificates(&message.body),
            (End::Server, message_type::COMPRESSED_CERTIFICATE) => {
                if let Some(body) = credentials::uncompressed_certificate(&message.body) {
                    self.take_certificates(&body);
                }
            }
            (End::Server, message_type::SERVER_KEY_EXCHANGE) => self.take_key_exchange(message),
            // Only the full handshake of TLS 1.2 has it (RFC 5246, section 7.3).
            (End::Server, message_type::SERVER_HELLO_DONE) => {
                self.tls.resumed.get_or_insert(false);
            }
            (End::Client, message_type::FINISHED) => self.finished(message.last_at_ns),
            _ => {}
        }
    }

    /// The client's hello in the format of SSLv2.
    pub fn ssl2_client_hello(&mut self, body: &[u8], first_at_ns: u64) {
        if let Some(hello) = ClientHello::parse_ssl2(body) {
            self.take_client_hello(hello, first_at_ns);
        }
    }

    /// The client's Finished, read or proven by the order of sealed records.
    pub fn finished(&mut self, at_ns: u64) {
        self.tls.finished_at_ns.get_or_insert(at_ns);
        self.client_finished = true;
    }

    /// The server changed its cipher right after ServerHello: the abbreviated handshake of
    /// TLS 1.2 and before (RFC 5246, section 7.3). Where messages were lost, a certificate
    /// may have been among them.
    pub fn abbreviated(&mut self) {
        if self.server_hello.is_some() && !self.is_tls13() && !self.lossy {
            self.tls.resumed.get_or_insert(true);
        }
    }

    /// A part of the handshake was not captured.
    pub fn lost(&mut self) {
        self.lossy = true;
    }

    /// An alert in clear: level and description.
    pub fn alert(&mut self, end: End, level: u8, description: u8, at_ns: u64) {
        const ECH_REQUIRED: u8 = 121;
        self.ech_refused |= end == End::Client && description == ECH_REQUIRED;
        if self.tls.alerts.len() < MAXIMUM_ALERTS {
            self.tls.alerts.push(model::TlsAlert {
                at_ns,
                end,
                level: names::alert_level(level),
                description: names::alert_description(description),
            });
        }
    }

    /// The chosen version is TLS 1.3 or one of its drafts.
    pub fn is_tls13(&self) -> bool {
        self.server_hello
            .as_ref()
            .is_some_and(|hello| is_tls13(hello.version()))
    }

    /// The session as far as it is known. `secrets` are those that opened its records.
    pub fn into_model(mut self, secrets: &KeyLog) -> model::Tls {
        self.tls.ech = self.encrypted_client_hello(secrets);
        self.tls.round_trips = self.round_trips();
        self.tls.handshake_ns = self
            .tls
            .finished_at_ns
            .zip(self.tls.client_hello_at_ns)
            .and_then(|(finished, hello)| finished.checked_sub(hello));
        self.tls.alerts.sort_by_key(|alert| alert.at_ns);
        self.tls
    }

    /// Something sealed was opened.
    pub fn decrypted(&mut self, by: DecryptedBy) {
        self.tls.decrypted_by = by;
    }

    fn take_client_hello(&mut self, hello: ClientHello, first_at_ns: u64) {
        // The second hello answers a HelloRetryRequest (or renegotiates); the first one says
        // what the client wanted.
        if self.client_hello.is_some() {
            return;
        }
        self.tls.client_hello_at_ns = Some(first_at_ns);
        self.tls.sni = hello.server_name.as_deref().map(text);
        self.tls.alpn_offered = hello.alpn.iter().map(|name| text(name)).collect();
        self.tls.early_data = hello.has_extension(extension_type::EARLY_DATA);
        self.tls.client_hello = Some(describe_client_hello(&hello));
        self.client_hello = Some(hello);
    }

    fn take_server_hello(&mut self, hello: ServerHello, at_ns: u64) {
        if self.server_hello.is_some() {
            return;
        }
        // A HelloRetryRequest has chosen, too: the ServerHello must say the same of both
        // (RFC 8446, section 4.1.4).
        self.tls.version = Some(names::version(hello.version()));
        self.tls.cipher = Some(names::cipher_suite(hello.cipher_suite));
        if hello.hello_retry_request {
            self.tls.hello_retry = true;
            return;
        }
        self.tls.server_hello_at_ns = Some(at_ns);
        self.tls.group = hello.group.map(names::group);
        if let Some(alpn) = &hello.alpn {
            self.tls.alpn = Some(text(alpn));
        }
        if is_tls13(hello.version()) {
            self.tls.resumed = Some(hello.has_extension(extension_type::PRE_SHARED_KEY));
        }
        self.tls.server_hello = Some(describe_server_hello(&hello));
        self.server_hello = Some(hello);
    }

    fn take_certificates(&mut self, body: &[u8]) {
        if !self.tls.certificates.is_empty() {
            return;
        }
        let chain = if self.is_tls13() {
            credentials::certificates_tls13(body)
        } else {
            self.tls.resumed.get_or_insert(false);
            credentials::certificates_tls12(body)
        };
        self.tls.certificates = chain
            .iter()
            .map(|der| certificate::certificate(der))
            .collect();
    }

    fn take_key_exchange(&mut self, message: &Message) {
        let suite = self.server_hello.as_ref().map(|hello| hello.cipher_suite);
        if self.tls.group.is_none() {
            self.tls.group =
                suite.and_then(|suite| credentials::key_exchange_group(suite, &message.body));
        }
        self.tls.resumed.get_or_insert(false);
    }

    /// The round trips before both ends have said all of the handshake: one for TLS 1.3 and
    /// for an abbreviated handshake, two for a full one of TLS 1.2, one more for a retry.
    /// `None` while the exchange does not show which it is.
    fn round_trips(&self) -> Option<u32> {
        self.server_hello.as_ref()?;
        if self.is_tls13() {
            return Some(1 + u32::from(self.tls.hello_retry));
        }
        self.client_finished.then_some(())?;
        self.tls.resumed.map(|resumed| if resumed { 1 } else { 2 })
    }

    /// GREASE ECH and real ECH look alike by design (RFC 9849, section 6.2), so that
    /// `Offered` is the answer unless the rest of the session proves GREASE: the client
    /// finished the handshake with a certificate for the very name in the outer hello.
    /// A client with a real offer would not: accepted, the certificate is for the hidden
    /// name; refused, it must give up with `ech_required` (section 6.1.6).
    fn encrypted_client_hello(&self, secrets: &KeyLog) -> Ech {
        let Some(hello) = &self.client_hello else {
            return Ech::None;
        };
        if hello.has_extension(extension_type::ENCRYPTED_SERVER_NAME) {
            return Ech::Offered;
        }
        if !hello.has_extension(extension_type::ENCRYPTED_CLIENT_HELLO) {
            return Ech::None;
        }
        // RFC 9850, section 2.2: a client logs these only for a real offer.
        let logged = ["ECH_SECRET", "ECH_CONFIG"]
            .iter()
            .any(|label| secrets.secret(label, &hello.random).is_some());
        let covered = self.tls.sni.as_deref().is_some_and(|name| {
            self.tls
                .certificates
                .first()
                .is_some_and(|leaf| certificate::covers(leaf, name))
        });
        if covered && self.client_finished && !self.ech_refused && !logged {
            Ech::Grease
        } else {
            Ech::Offered
        }
    }

    /// The records, in time order, when a record layer carried the session.
    pub fn set_records(&mut self, records: Vec<model::TlsRecord>) {
        self.tls.records = records;
    }
}

pub const fn is_tls13(version: u16) -> bool {
    version == 0x0304 || version >> 8 == 0x7f
}

fn text(bytes: &[u8]) -> String {
    printable(bytes)
}

fn describe_client_hello(hello: &ClientHello) -> model::ClientHello {
    let named =
        |values: &[u16], name: fn(u16) -> String| values.iter().copied().map(name).collect();
    let ssl2 = hello.ssl2_ciphers.iter().copied().map(names::ssl2_cipher);
    let tls = hello.cipher_suites.iter().copied().map(names::cipher_suite);
    model::ClientHello {
        legacy_version: names::version(hello.legacy_version),
        supported_versions: named(&hello.supported_versions, names::version),
        random: hex::encode(hello.random),
        session_id: hex::encode(&hello.session_id),
        cipher_suites: ssl2.chain(tls).collect(),
        compression_methods: hello
            .compression_methods
            .iter()
            .copied()
            .map(names::compression)
            .collect(),
        groups: named(&hello.groups, names::group),
        key_shares: named(&hello.key_shares, names::group),
        signature_algorithms: named(&hello.signature_algorithms, names::signature_scheme),
        psk: hello.has_extension(extension_type::PRE_SHARED_KEY),
        psk_modes: hello
            .psk_modes
            .iter()
            .copied()
            .map(names::psk_mode)
            .collect(),
        grease: hello.has_grease(),
        extensions: named(&hello.extensions, names::extension),
    }
}

fn describe_server_hello(hello: &ServerHello) -> model::ServerHello {
    model::ServerHello {
        legacy_version: names::version(hello.legacy_version),
        random: hex::encode(hello.random),
        session_id: hex::encode(&hello.session_id),
        cipher_suite: names::cipher_suite(hello.cipher_suite),
        compression_method: names::compression(hello.compression_method),
        extensions: hello
            .extensions
            .iter()
            .copied()
            .map(names::extension)
            .collect(),
    }
}
