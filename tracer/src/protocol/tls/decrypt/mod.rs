//! From key-log secrets to plaintext, one direction of a connection at a time.
//!
//! TLS 1.3: AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305 (RFC 8446, section 9.1).
//! TLS 1.2: the same ciphers. CBC and CCM suites stay sealed.

mod cipher;
pub(in crate::protocol) mod schedule;

use cipher::RecordKey;
pub use cipher::Suite;
use schedule::{next_traffic_secret, traffic_key};
use std::collections::VecDeque;

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

/// What TLS 1.2 derives its keys from (RFC 5246, section 6.3).
#[derive(Debug, Clone, Copy)]
pub struct MasterSecret<'a> {
    pub secret: &'a [u8],
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
    tls13: bool,
    /// Keys still to come, the current one first.
    epochs: VecDeque<Epoch>,
}

struct Epoch {
    phase: Phase,
    /// Traffic secret, from which a KeyUpdate derives the next one; empty for TLS 1.2.
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
            tls13: true,
            epochs,
        })
    }

    /// Keys of one direction of TLS 1.2, for the records after ChangeCipherSpec. `None`
    /// when the suite is not supported.
    pub fn tls12(cipher_suite: u16, master: MasterSecret<'_>, client_writes: bool) -> Option<Self> {
        let suite = Suite::tls12(cipher_suite)?;
        let key = schedule::tls12_key(suite, master, client_writes)?;
        let epoch = Epoch {
            phase: Phase::Application,
            secret: Vec::new(),
            key,
            sequence: 0,
            unopened: 0,
        };
        Some(Self {
            suite,
            tls13: false,
            epochs: VecDeque::from([epoch]),
        })
    }

    /// Opens one sealed record. `header` is its five header bytes. A record that does not
    /// open is left sealed and counted, so that later ones still do.
    pub fn open(&mut self, header: [u8; 5], body: &[u8]) -> Option<Opened> {
        let opened = self.try_keys(header, body);
        if opened.is_none() {
            self.skip();
        }
        opened
    }

    /// Counts a sealed record whose bytes were not captured.
    pub fn skip(&mut self) {
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
        (self.tls13 && epoch.phase == Phase::Application).then_some(())?;
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
        let (body_offset, mut plaintext) = if self.tls13 {
            (0, epoch.key.open_tls13(sequence, header, body)?)
        } else {
            epoch.key.open_tls12(sequence, header, body)?
        };
        let content_type = if self.tls13 {
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

    /// Bytes that sealing adds to a record, without padding.
    pub fn overhead(&self) -> usize {
        if self.tls13 {
            cipher::TAG_LENGTH + 1
        } else {
            cipher::TAG_LENGTH + self.suite.explicit_nonce_length()
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
