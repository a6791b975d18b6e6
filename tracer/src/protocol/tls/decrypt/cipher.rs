//! Keys of records, with the nonces and additional data of TLS.

use super::legacy::{Authenticated, BlockKey, Secrets, StreamKey};
use super::suite::{Aead, Cipher, NONCE_LENGTH, Suite};
use aes::{Aes128, Aes256};
use ccm::Ccm;
use ccm::aead::{KeyInit, Payload};
use ccm::consts::{U8, U12, U16};
use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey};

/// A key with what else of its secrets opening a record needs.
pub enum RecordKey {
    Aead(AeadKey),
    Block(BlockKey),
    Stream(Box<StreamKey>),
}

impl RecordKey {
    /// Key and whole nonce mask of TLS 1.3. `None` when a length does not fit the suite.
    pub(super) fn tls13(suite: Suite, key: &[u8], nonce: &[u8]) -> Option<Self> {
        match suite.cipher {
            Cipher::Aead { algorithm, .. } => {
                AeadKey::new(algorithm, 0, key, nonce).map(Self::Aead)
            }
            Cipher::Block { .. } | Cipher::Stream { .. } => None,
        }
    }

    /// Keys of TLS 1.0 to 1.2. `None` when a length does not fit the suite.
    pub(super) fn tls12(
        suite: Suite,
        version: u16,
        secrets: &Secrets<'_>,
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        match suite.cipher {
            Cipher::Aead {
                algorithm,
                explicit_nonce,
            } => AeadKey::new(algorithm, explicit_nonce, secrets.key, secrets.iv).map(Self::Aead),
            Cipher::Block { block, mac } => {
                let key = BlockKey::new((block, mac), version, secrets, encrypt_then_mac);
                Some(Self::Block(key))
            }
            Cipher::Stream { mac } => {
                StreamKey::new(mac, secrets).map(|key| Self::Stream(Box::new(key)))
            }
        }
    }

    /// The next sealed record of this key came; before it is opened.
    pub fn came(&mut self, body: &[u8]) {
        match self {
            Self::Aead(_) => {}
            Self::Block(key) => key.came(Some(body)),
            Self::Stream(key) => key.came(body),
        }
    }

    /// The next sealed record of this key, of `length` bytes, was not captured.
    pub fn missed(&mut self, length: usize) {
        match self {
            Self::Aead(_) => {}
            Self::Block(key) => key.came(None),
            Self::Stream(key) => key.came(&vec![0; length]),
        }
    }

    /// RFC 8446, section 5.2: the header is the additional data.
    pub fn open_tls13(&self, sequence: u64, header: [u8; 5], body: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Aead(key) => key.decrypt(key.masked_nonce(sequence), &header, body),
            Self::Block(_) | Self::Stream(_) => None,
        }
    }

    /// The plaintext, and where in the body the ciphertext began.
    pub fn open_tls12(
        &self,
        sequence: u64,
        header: [u8; 5],
        body: &[u8],
    ) -> Option<(usize, Vec<u8>)> {
        match self {
            Self::Aead(key) => key.open_tls12(sequence, header, body),
            Self::Block(key) => key.open(&Authenticated { sequence, header }, body),
            Self::Stream(key) => key.open(&Authenticated { sequence, header }),
        }
    }
}

/// Opens a ciphertext with its tag: nonce, additional data, ciphertext.
type Open = dyn Fn([u8; NONCE_LENGTH], &[u8], &[u8]) -> Option<Vec<u8>> + Send + Sync;

/// A key of an authenticated cipher with the secret part of its nonces.
pub struct AeadKey {
    open: Box<Open>,
    tag_length: usize,
    /// The whole nonce mask, or its first four bytes followed by zeros.
    fixed_nonce: [u8; NONCE_LENGTH],
    explicit_nonce: usize,
}

impl AeadKey {
    fn new(aead: Aead, explicit_nonce: usize, key: &[u8], fixed_nonce: &[u8]) -> Option<Self> {
        let mut nonce = [0; NONCE_LENGTH];
        nonce
            .get_mut(..NONCE_LENGTH.checked_sub(explicit_nonce)?)
            .filter(|start| start.len() == fixed_nonce.len())?
            .copy_from_slice(fixed_nonce);
        Some(Self {
            open: opener(aead, key)?,
            tag_length: aead.tag_length(),
            fixed_nonce: nonce,
            explicit_nonce,
        })
    }

    /// RFC 5246, section 6.2.3.3: sequence number, type, version and length of the
    /// plaintext are the additional data.
    fn open_tls12(&self, sequence: u64, header: [u8; 5], body: &[u8]) -> Option<(usize, Vec<u8>)> {
        let (explicit, ciphertext) = body.split_at_checked(self.explicit_nonce)?;
        let nonce = if explicit.is_empty() {
            // RFC 7905, section 2.
            self.masked_nonce(sequence)
        } else {
            let mut nonce = self.fixed_nonce;
            nonce
                .get_mut(NONCE_LENGTH - self.explicit_nonce..)?
                .copy_from_slice(explicit);
            nonce
        };
        let length = u16::try_from(ciphertext.len().checked_sub(self.tag_length)?).ok()?;
        let mut additional = [0; 13];
        additional[..8].copy_from_slice(&sequence.to_be_bytes());
        additional[8..11].copy_from_slice(&header[..3]);
        additional[11..].copy_from_slice(&length.to_be_bytes());
        Some((
            explicit.len(),
            self.decrypt(nonce, &additional, ciphertext)?,
        ))
    }

    /// RFC 8446, section 5.3: the sequence number, padded on the left, is XORed in.
    fn masked_nonce(&self, sequence: u64) -> [u8; NONCE_LENGTH] {
        let mut nonce = self.fixed_nonce;
        for (byte, mask) in nonce.iter_mut().skip(4).zip(sequence.to_be_bytes()) {
            *byte ^= mask;
        }
        nonce
    }

    fn decrypt(
        &self,
        nonce: [u8; NONCE_LENGTH],
        additional: &[u8],
        ciphertext: &[u8],
    ) -> Option<Vec<u8>> {
        (self.open)(nonce, additional, ciphertext)
    }
}

/// `None` when the key's length is not the cipher's.
fn opener(aead: Aead, key: &[u8]) -> Option<Box<Open>> {
    match aead {
        Aead::Ring(algorithm) => {
            let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
            Some(Box::new(move |nonce, additional, ciphertext| {
                let mut buffer = ciphertext.to_vec();
                let nonce = Nonce::assume_unique_for_key(nonce);
                let opened = key.open_in_place(nonce, Aad::from(additional), &mut buffer);
                let length = opened.ok()?.len();
                buffer.truncate(length);
                Some(buffer)
            }))
        }
        Aead::Ccm { key: 16, tag: 16 } => ccm_opener::<Ccm<Aes128, U16, U12>>(key),
        Aead::Ccm { key: 16, tag: 8 } => ccm_opener::<Ccm<Aes128, U8, U12>>(key),
        Aead::Ccm { key: 32, tag: 16 } => ccm_opener::<Ccm<Aes256, U16, U12>>(key),
        Aead::Ccm { key: 32, tag: 8 } => ccm_opener::<Ccm<Aes256, U8, U12>>(key),
        Aead::Ccm { .. } => None,
    }
}

fn ccm_opener<C>(key: &[u8]) -> Option<Box<Open>>
where
    C: KeyInit + ccm::aead::Aead + Send + Sync + 'static,
{
    let cipher = C::new_from_slice(key).ok()?;
    Some(Box::new(move |nonce, additional, ciphertext| {
        let nonce = ccm::aead::Nonce::<C>::try_from(&nonce[..]).ok()?;
        let payload = Payload {
            msg: ciphertext,
            aad: additional,
        };
        cipher.decrypt(&nonce, payload).ok()
    }))
}
