//! TLS connections made by rustls in memory, as a capture would see them: an implementation
//! that shares no code with the one under test.

use crate::journey::bytes::TimedBytes;
use crate::journey::tls::KeyLog;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    SupportedCipherSuite,
};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

/// The name in the certificate.
pub const NAME: &str = "www.shop.test";

/// Bytes of a segment.
const SEGMENT: usize = 500;

/// Writes what rustls logs as lines of a key log.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<String>>);

impl rustls::KeyLog for Log {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!(
            "{label} {} {}",
            hex::encode(client_random),
            hex::encode(secret)
        );
        self.0.lock().expect("not poisoned").push(line);
    }
}

impl Log {
    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").clone()
    }

    /// The lines whose label `keep` accepts.
    pub fn secrets(&self, keep: impl Fn(&str) -> bool) -> KeyLog {
        let mut log = KeyLog::default();
        for line in self.0.lock().expect("not poisoned").iter() {
            if keep(line) {
                log.add_line(line);
            }
        }
        log
    }
}

/// Configurations of both ends, which also hold what resumption needs.
pub struct Ends {
    pub client: ClientConfig,
    pub server: ServerConfig,
    pub log: Arc<Log>,
}

impl Ends {
    pub fn new(provider: CryptoProvider) -> Self {
        let certified =
            rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certified.cert.der().clone()).expect("a root");
        let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
        let provider = Arc::new(provider);
        let log = Arc::new(Log::default());
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.key_log = Arc::<Log>::clone(&log);
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .expect("a certificate");
        server.alpn_protocols = vec![b"h2".to_vec()];
        Self {
            client,
            server,
            log,
        }
    }

    /// Ends that know one cipher suite only.
    pub fn with_suite(suite: SupportedCipherSuite) -> Self {
        let mut provider = ring::default_provider();
        provider.cipher_suites = vec![suite];
        Self::new(provider)
    }

    pub fn connect(&self) -> Conversation {
        let name = ServerName::try_from(NAME).expect("a name");
        Conversation {
            client: ClientConnection::new(Arc::new(self.client.clone()), name).expect("a client"),
            server: ServerConnection::new(Arc::new(self.server.clone())).expect("a server"),
            from_client: TimedBytes::default(),
            from_server: TimedBytes::default(),
            now: 0,
        }
    }
}

/// A connection and what was seen of it.
pub struct Conversation {
    pub client: ClientConnection,
    pub server: ServerConnection,
    pub from_client: TimedBytes,
    pub from_server: TimedBytes,
    now: u64,
}

impl Conversation {
    /// Carries bytes to and fro until neither end has more to say. An end that gives up
    /// still sends its alert.
    pub fn exchange(&mut self) {
        while self.client.wants_write() || self.server.wants_write() {
            let mut bytes = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut bytes).expect("memory");
            }
            self.now = carry(&bytes, &mut self.from_client, self.now);
            let mut rest = bytes.as_slice();
            while !rest.is_empty() && self.server.read_tls(&mut rest).is_ok() {
                let _ = self.server.process_new_packets();
            }
            let mut bytes = Vec::new();
            while self.server.wants_write() {
                self.server.write_tls(&mut bytes).expect("memory");
            }
            self.now = carry(&bytes, &mut self.from_server, self.now);
            let mut rest = bytes.as_slice();
            while !rest.is_empty() && self.client.read_tls(&mut rest).is_ok() {
                let _ = self.client.process_new_packets();
            }
        }
    }

    /// The client sends `text`.
    pub fn client_says(&mut self, text: &[u8]) {
        self.client.writer().write_all(text).expect("memory");
        self.exchange();
        drain(self.server.reader());
    }

    /// The server sends `text`.
    pub fn server_says(&mut self, text: &[u8]) {
        self.server.writer().write_all(text).expect("memory");
        self.exchange();
        drain(self.client.reader());
    }

    /// Both ends say close_notify.
    pub fn close(&mut self) {
        self.client.send_close_notify();
        self.server.send_close_notify();
        self.exchange();
    }
}

fn drain(mut reader: impl Read) {
    let mut sink = [0; 4096];
    while reader.read(&mut sink).is_ok_and(|length| length > 0) {}
}

/// Puts bytes on the wire in segments, one unit of time after the other.
fn carry(bytes: &[u8], stream: &mut TimedBytes, mut now: u64) -> u64 {
    for segment in bytes.chunks(SEGMENT) {
        now += 1;
        stream.push(segment, now);
    }
    now
}
