//! The ciphers of ring with the nonces and additional data of TLS.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305};
use ring::aead::{LessSafeKey, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use tls_parser::{TlsCipherEnc, TlsCipherEncMode, TlsCipherSuite, TlsPRF};

/// Bytes of the authentication tag of all three ciphers.
pub const TAG_LENGTH: usize = 16;

/// Bytes of a nonce.
pub const NONCE_LENGTH: usize = 12;

/// Bytes of the nonce that AES-GCM of TLS 1.2 sends with each record (RFC 5288, section 3).
const EXPLICIT_NONCE_LENGTH: usize = 8;

/// Cipher and hash of a supported cipher suite.
#[derive(Debug, Clone, Copy)]
pub struct Suite {
    pub(super) aead: &'static Algorithm,
    pub(super) hkdf: hkdf::Algorithm,
    pub(super) hmac: hmac::Algorithm,
    /// AES-GCM of TLS 1.2: four bytes of the nonce are secret, eight travel in the record.
    explicit_nonce: bool,
}

impl Suite {
    /// A cipher suite of TLS 1.3; `None` when it is not supported.
    pub fn tls13(cipher_suite: u16) -> Option<Self> {
        let (aead, sha384) = match cipher_suite {
            0x1301 => (&AES_128_GCM, false),
            0x1302 => (&AES_256_GCM, true),
            0x1303 => (&CHACHA20_POLY1305, false),
            _ => return None,
        };
        Some(Self::new(aead, sha384, false))
    }

    /// A cipher suite of TLS 1.2; `None` when it is not supported.
    pub fn tls12(cipher_suite: u16) -> Option<Self> {
        let suite = TlsCipherSuite::from_id(cipher_suite)?;
        let sha384 = suite.prf == TlsPRF::Sha384;
        match (&suite.enc, &suite.enc_mode, suite.enc_size) {
            (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 128) => {
                Some(Self::new(&AES_128_GCM, sha384, true))
            }
            (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 256) => {
                Some(Self::new(&AES_256_GCM, sha384, true))
            }
            (TlsCipherEnc::Chacha20_Poly1305, _, _) => {
                Some(Self::new(&CHACHA20_POLY1305, sha384, false))
            }
            _ => None,
        }
    }

    fn new(aead: &'static Algorithm, sha384: bool, explicit_nonce: bool) -> Self {
        Self {
            aead,
            hkdf: if sha384 {
                hkdf::HKDF_SHA384
            } else {
                hkdf::HKDF_SHA256
            },
            hmac: if sha384 {
                hmac::HMAC_SHA384
            } else {
                hmac::HMAC_SHA256
            },
            explicit_nonce,
        }
    }

    /// Bytes of the hash, and so of a traffic secret.
    pub fn hash_length(self) -> usize {
        self.hmac.digest_algorithm().output_len()
    }

    pub(super) const fn explicit_nonce_length(self) -> usize {
        if self.explicit_nonce {
            EXPLICIT_NONCE_LENGTH
        } else {
            0
        }
    }

    /// Bytes of the secret part of the nonce.
    pub(super) const fn fixed_nonce_length(self) -> usize {
        NONCE_LENGTH - self.explicit_nonce_length()
    }
}

/// A key with the secret part of its nonces.
pub struct RecordKey {
    suite: Suite,
    key: LessSafeKey,
    /// The whole nonce mask, or its first four bytes followed by zeros.
    fixed_nonce: [u8; NONCE_LENGTH],
}

impl RecordKey {
    /// `None` when a length does not fit the suite.
    pub(super) fn new(suite: Suite, key: &[u8], fixed_nonce: &[u8]) -> Option<Self> {
        let mut nonce = [0; NONCE_LENGTH];
        nonce
            .get_mut(..suite.fixed_nonce_length())
            .filter(|start| start.len() == fixed_nonce.len())?
            .copy_from_slice(fixed_nonce);
        Some(Self {
            suite,
            key: LessSafeKey::new(UnboundKey::new(suite.aead, key).ok()?),
            fixed_nonce: nonce,
        })
    }

    /// RFC 8446, section 5.2: the header is the additional data.
    pub fn open_tls13(&self, sequence: u64, header: [u8; 5], body: &[u8]) -> Option<Vec<u8>> {
        self.decrypt(self.masked_nonce(sequence), &header, body)
    }

    /// RFC 5246, section 6.2.3.3: sequence number, type, version and length of the
    /// plaintext are the additional data. Returns where the ciphertext began, too.
    pub fn open_tls12(
        &self,
        sequence: u64,
        header: [u8; 5],
        body: &[u8],
    ) -> Option<(usize, Vec<u8>)> {
        let (explicit, ciphertext) = body.split_at_checked(self.suite.explicit_nonce_length())?;
        let nonce = if explicit.is_empty() {
            // RFC 7905, section 2.
            self.masked_nonce(sequence)
        } else {
            let mut nonce = self.fixed_nonce;
            nonce
                .get_mut(self.suite.fixed_nonce_length()..)?
                .copy_from_slice(explicit);
            nonce
        };
        let length = u16::try_from(ciphertext.len().checked_sub(TAG_LENGTH)?).ok()?;
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
        let mut buffer = ciphertext.to_vec();
        let length = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(additional),
                &mut buffer,
            )
            .ok()?
            .len();
        buffer.truncate(length);
        Some(buffer)
    }
}
