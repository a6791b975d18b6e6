//! A TLS session read from the two reassembled byte streams of a connection.

use super::bytes::TimedBytes;
use super::model;

/// Secrets of a key log (SSLKEYLOGFILE), by label and client random.
#[derive(Debug, Clone, Default)]
pub struct KeyLog {}

impl KeyLog {
    /// Takes one line of a key log; lines that are not understood are ignored.
    pub fn add_line(&mut self, line: &str) {
        let _ = line;
        todo!("the TLS room")
    }
}

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
/// (the server's, when the client's is empty).
pub fn analyse(client: &TimedBytes, server: &TimedBytes, secrets: &KeyLog) -> Option<TlsAnalysis> {
    let _ = (client, server, secrets);
    todo!("the TLS room")
}
