//! From key-log secrets to plaintext, one direction of a connection at a time.
//!
//! TLS 1.3: all of its suites (RFC 8446, appendix B.4).
//! TLS 1.2: AES-GCM, AES-CCM, ChaCha20-Poly1305. TLS 1.0 to 1.2: AES and 3DES in CBC mode,
//! also with the MAC behind the encryption (RFC 7366), and RC4. Records of SSL 3.0, of other
//! ciphers and compressed ones stay sealed.

mod cipher;
mod hash;
mod legacy;
pub(in crate::protocol) mod schedule;
mod suite;

use cipher::RecordKey;
use schedule::{next_traffic_secret, traffic_key};
use std::collections::VecDeque;
pub use suite::Suite;
use suite::{TLS10, TLS12};

use super::record::content_type;

/// Secrets of one direction of a TLS 1.3 connection, as a key log names them; what the log
/// does not hold is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrafficSecrets<'a> {
    /// CLIENT_EARLY_TRAFFIC_SECRET; the server has none.
    pub early: Option<&'a [u8]>,
    /// CLIENT_ or SERVER_HANDSHAKE_TRAFFIC_SECRET.
    pub handshake: Option<&'a [u8]>,
    /// CLIENT_ or SERVER_TRAFFIC_SECRET_0.
    pub application: Option<&'a [u8]>,
}

/// What both hellos and the key log say of a connection of TLS 1.0 to 1.2 (RFC 5246,
/// section 6.3).
#[derive(Debug, Clone, Copy)]
pub struct Negotiated<'a> {
    /// The version that the server chose, for instance 0x0303.
    pub version: u16,
    pub cipher_suite: u16,
    /// Both ends agreed that the MAC covers the ciphertext (RFC 7366).
    pub encrypt_then_mac: bool,
    /// What a key log calls CLIENT_RANDOM.
    pub master_secret: &'a [u8],
    pub client_random: &'a [u8; 32],
    pub server_random: &'a [u8; 32],
}

/// Which key a record was sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Early,
    Handshake,
    Application,
}

/// A record in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The inner content type (TLS 1.3) or that of the header.
    pub content_type: u8,
    pub plaintext: Vec<u8>,
    /// Where in the body of the record the first byte of the plaintext lies.
    pub body_offset: usize,
    pub phase: Phase,
}

/// Keys and sequence numbers of one direction.
pub struct Opener {
    suite: Suite,
    /// `None` for TLS 1.3.
    legacy_version: Option<u16>,
    /// Keys still to come, the current one first.
    epochs: VecDeque<Epoch>,
}

struct Epoch {
    phase: Phase,
    /// Traffic secret, from which a KeyUpdate derives the next one; empty before TLS 1.3.
    secret: Vec<u8>,
    key: RecordKey,
    /// Sequence number of the next record.
    sequence: u64,
    /// Records since the last one that opened.
    unopened: u64,
}

impl Epoch {
    fn tls13(suite: Suite, phase: Phase, secret: &[u8]) -> Option<Self> {
        Some(Self {
            phase,
            secret: secret.to_vec(),
            key: traffic_key(suite, secret)?,
            sequence: 0,
            unopened: 0,
        })
    }
}

impl Opener {
    /// Keys of one direction of TLS 1.3. `None` when the suite is not supported or no
    /// secret fits it.
    pub fn tls13(cipher_suite: u16, secrets: TrafficSecrets<'_>) -> Option<Self> {
        let suite = Suite::tls13(cipher_suite)?;
        let epochs: VecDeque<Epoch> = [
            (Phase::Early, secrets.early),
            (Phase::Handshake, secrets.handshake),
            (Phase::Application, secrets.application),
        ]
        .into_iter()
        .filter_map(|(phase, secret)| Epoch::tls13(suite, phase, secret?))
        .collect();
        (!epochs.is_empty()).then_some(Self {
            suite,
            legacy_version: None,
            epochs,
        })
    }

    /// Keys of one direction of TLS 1.0 to 1.2, for the records after ChangeCipherSpec.
    /// `None` when the version or the suite is not supported.
    pub fn tls12(negotiated: &Negotiated<'_>, client_writes: bool) -> Option<Self> {
        (TLS10..=TLS12)
            .contains(&negotiated.version)
            .then_some(())?;
        let suite = Suite::tls12(negotiated.cipher_suite)?;
        let key = schedule::tls12_key(suite, negotiated, client_writes)?;
        let epoch = Epoch {
            phase: Phase::Application,
            secret: Vec::new(),
            key,
            sequence: 0,
            unopened: 0,
        };
        Some(Self {
            suite,
            legacy_version: Some(negotiated.version),
            epochs: VecDeque::from([epoch]),
        })
    }

    /// Opens one sealed record. `header` is its five header bytes. A record that does not
    /// open is left sealed and counted, so that later ones still do.
    pub fn open(&mut self, header: [u8; 5], body: &[u8]) -> Option<Opened> {
        if let Some(epoch) = self.epochs.front_mut() {
            epoch.key.came(body);
        }
        let opened = self.try_keys(header, body);
        if opened.is_none() {
            self.count_unopened();
        }
        opened
    }

    /// Counts a sealed record whose body of `length` bytes was not captured.
    pub fn skip(&mut self, length: usize) {
        if let Some(epoch) = self.epochs.front_mut() {
            epoch.key.missed(length);
        }
        self.count_unopened();
    }

    fn count_unopened(&mut self) {
        if let Some(epoch) = self.epochs.front_mut() {
            epoch.unopened += 1;
        }
    }

    /// The sender goes on with its next key: Finished and EndOfEarlyData.
    pub fn leave(&mut self, phase: Phase) {
        while self
            .epochs
            .front()
            .is_some_and(|epoch| epoch.phase <= phase)
        {
            self.epochs.pop_front();
        }
    }

    /// KeyUpdate (RFC 8446, section 7.2).
    pub fn update_key(&mut self) {
        if let Some(next) = self.updated_epoch() {
            self.epochs = VecDeque::from([next]);
        }
    }

    fn updated_epoch(&self) -> Option<Epoch> {
        let epoch = self.epochs.front()?;
        (self.is_tls13() && epoch.phase == Phase::Application).then_some(())?;
        let secret = next_traffic_secret(self.suite, &epoch.secret)?;
        Epoch::tls13(self.suite, Phase::Application, &secret)
    }

    /// Tries the current key with the next sequence number, then with the one that fits
    /// when the unopened records before were sealed with the same key, then the key after
    /// it (the message that announces the change may be among the unopened ones).
    fn try_keys(&mut self, header: [u8; 5], body: &[u8]) -> Option<Opened> {
        let current = self.epochs.front()?;
        let skipped = current.sequence.checked_add(current.unopened)?;
        for sequence in [current.sequence, skipped] {
            if let Some(opened) = self.try_key(current, sequence, header, body) {
                let current = self.epochs.front_mut()?;
                current.sequence = sequence.checked_add(1)?;
                current.unopened = 0;
                return Some(opened);
            }
            if current.unopened == 0 {
                break;
            }
        }
        self.try_next_key(header, body)
    }

    fn try_next_key(&mut self, header: [u8; 5], body: &[u8]) -> Option<Opened> {
        if let Some(next) = self.epochs.get(1) {
            let opened = self.try_key(next, 0, header, body)?;
            self.epochs.pop_front();
            self.epochs.front_mut()?.sequence = 1;
            return Some(opened);
        }
        // A KeyUpdate can only hide in a record that did not open.
        (self.epochs.front()?.unopened > 0).then_some(())?;
        let mut next = self.updated_epoch()?;
        let opened = self.try_key(&next, 0, header, body)?;
        next.sequence = 1;
        self.epochs = VecDeque::from([next]);
        Some(opened)
    }

    fn try_key(
        &self,
        epoch: &Epoch,
        sequence: u64,
        header: [u8; 5],
        body: &[u8],
    ) -> Option<Opened> {
        let (body_offset, mut plaintext) = if self.is_tls13() {
            (0, epoch.key.open_tls13(sequence, header, body)?)
        } else {
            epoch.key.open_tls12(sequence, header, body)?
        };
        let content_type = if self.is_tls13() {
            inner_content_type(&mut plaintext)?
        } else {
            header[0]
        };
        Some(Opened {
            content_type,
            plaintext,
            body_offset,
            phase: epoch.phase,
        })
    }

    const fn is_tls13(&self) -> bool {
        self.legacy_version.is_none()
    }

    /// Bytes that sealing adds to a record, at least.
    pub fn overhead(&self) -> usize {
        match self.legacy_version {
            // The content type.
            None => self.suite.overhead(TLS12) + 1,
            Some(version) => self.suite.overhead(version),
        }
    }
}

/// Takes padding and content type off the end (RFC 8446, section 5.4). `None` when there is
/// nothing but padding, which the RFC forbids.
fn inner_content_type(plaintext: &mut Vec<u8>) -> Option<u8> {
    let end = plaintext.iter().rposition(|byte| *byte != 0)?;
    let kind = plaintext.get(end).copied()?;
    plaintext.truncate(end);
    (content_type::CHANGE_CIPHER_SPEC..=content_type::HEARTBEAT)
        .contains(&kind)
        .then_some(kind)
}

#[cfg(test)]
mod tests;
