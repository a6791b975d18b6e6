//! What a cipher suite stands for: the cipher of its records and the hash of its keys.

use super::hash::Hash;
use super::legacy::Block;
use ring::aead::{AES_128_GCM, AES_256_GCM, Algorithm, CHACHA20_POLY1305};
use ring::hkdf;
use tls_parser::{TlsCipherEnc, TlsCipherEncMode, TlsCipherMac, TlsCipherSuite, TlsPRF};

/// Bytes of a nonce of the authenticated ciphers.
pub const NONCE_LENGTH: usize = 12;

/// Bytes of the nonce that AES-GCM and AES-CCM of TLS 1.2 send with each record (RFC 5288,
/// section 3, and RFC 6655, section 3).
const EXPLICIT_NONCE_LENGTH: usize = 8;

/// TLS 1.2, the first version with authenticated ciphers and a hash of the suite's own.
pub const TLS12: u16 = 0x0303;
/// TLS 1.1, the first version that sends the initialisation vector with each record.
pub const TLS11: u16 = 0x0302;
/// TLS 1.0.
pub const TLS10: u16 = 0x0301;

/// Cipher and hash of a supported cipher suite.
#[derive(Debug, Clone, Copy)]
pub struct Suite {
    pub(super) cipher: Cipher,
    pub(super) hkdf: hkdf::Algorithm,
    /// The hash of the key schedule, of TLS 1.2 and later.
    pub(super) hash: Hash,
}

/// How records are sealed.
#[derive(Debug, Clone, Copy)]
pub enum Cipher {
    Aead {
        algorithm: Aead,
        /// Bytes of the nonce that travel in each record; the others are secret.
        explicit_nonce: usize,
    },
    /// CBC with an HMAC.
    Block { block: Block, mac: Hash },
    /// RC4 with an HMAC.
    Stream { mac: Hash },
}

/// An authenticated cipher.
#[derive(Debug, Clone, Copy)]
pub enum Aead {
    Ring(&'static Algorithm),
    /// AES-CCM; lengths of key and tag in bytes.
    Ccm {
        key: usize,
        tag: usize,
    },
}

impl Aead {
    pub fn key_length(self) -> usize {
        match self {
            Self::Ring(algorithm) => algorithm.key_len(),
            Self::Ccm { key, .. } => key,
        }
    }

    pub fn tag_length(self) -> usize {
        match self {
            Self::Ring(algorithm) => algorithm.tag_len(),
            Self::Ccm { tag, .. } => tag,
        }
    }
}

impl Suite {
    /// A cipher suite of TLS 1.3; `None` when it is not supported.
    pub fn tls13(cipher_suite: u16) -> Option<Self> {
        let (algorithm, sha384) = match cipher_suite {
            0x1301 => (Aead::Ring(&AES_128_GCM), false),
            0x1302 => (Aead::Ring(&AES_256_GCM), true),
            0x1303 => (Aead::Ring(&CHACHA20_POLY1305), false),
            0x1304 => (Aead::Ccm { key: 16, tag: 16 }, false),
            0x1305 => (Aead::Ccm { key: 16, tag: 8 }, false),
            _ => return None,
        };
        let cipher = Cipher::Aead {
            algorithm,
            explicit_nonce: 0,
        };
        Some(Self::new(cipher, sha384))
    }

    /// A cipher suite of TLS 1.0 to 1.2; `None` when it is not supported.
    pub fn tls12(cipher_suite: u16) -> Option<Self> {
        let suite = TlsCipherSuite::from_id(cipher_suite)?;
        let key = usize::from(suite.enc_size / 8);
        let aead = |algorithm, explicit_nonce| Cipher::Aead {
            algorithm,
            explicit_nonce,
        };
        let cipher = match (&suite.enc, &suite.enc_mode, key) {
            (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 16) => {
                aead(Aead::Ring(&AES_128_GCM), EXPLICIT_NONCE_LENGTH)
            }
            (TlsCipherEnc::Aes, TlsCipherEncMode::Gcm, 32) => {
                aead(Aead::Ring(&AES_256_GCM), EXPLICIT_NONCE_LENGTH)
            }
            (TlsCipherEnc::Aes, TlsCipherEncMode::Ccm, 16 | 32) => {
                let tag = if suite.name.contains("_CCM_8") { 8 } else { 16 };
                aead(Aead::Ccm { key, tag }, EXPLICIT_NONCE_LENGTH)
            }
            (TlsCipherEnc::Chacha20_Poly1305, _, _) => aead(Aead::Ring(&CHACHA20_POLY1305), 0),
            (enc, TlsCipherEncMode::Cbc, _) => Cipher::Block {
                block: Block::of(*enc, key)?,
                mac: mac(suite.mac)?,
            },
            // RFC 6151 and the 128-bit key only: the export suites derive theirs otherwise.
            (TlsCipherEnc::Rc4, TlsCipherEncMode::Null, 16) => Cipher::Stream {
                mac: mac(suite.mac)?,
            },
            _ => return None,
        };
        Some(Self::new(cipher, suite.prf == TlsPRF::Sha384))
    }

    const fn new(cipher: Cipher, sha384: bool) -> Self {
        Self {
            cipher,
            hkdf: if sha384 {
                hkdf::HKDF_SHA384
            } else {
                hkdf::HKDF_SHA256
            },
            hash: if sha384 { Hash::SHA384 } else { Hash::SHA256 },
        }
    }

    /// Bytes of the hash, and so of a traffic secret.
    pub fn hash_length(self) -> usize {
        self.hash.length()
    }

    pub(super) fn key_length(self) -> usize {
        match self.cipher {
            Cipher::Aead { algorithm, .. } => algorithm.key_length(),
            Cipher::Block { block, .. } => block.key_length(),
            Cipher::Stream { .. } => 16,
        }
    }

    /// Bytes of a MAC and of its key; 0 where the cipher authenticates.
    pub(super) fn mac_length(self) -> usize {
        match self.cipher {
            Cipher::Aead { .. } => 0,
            Cipher::Block { mac, .. } | Cipher::Stream { mac } => mac.length(),
        }
    }

    /// Bytes of the key block (RFC 5246, section 6.3) that begin nonces: the secret part of
    /// a nonce, or the first initialisation vector of TLS 1.0.
    pub(super) const fn secret_iv_length(self, version: u16) -> usize {
        match self.cipher {
            Cipher::Aead { explicit_nonce, .. } => NONCE_LENGTH - explicit_nonce,
            Cipher::Block { block, .. } if version < TLS11 => block.length(),
            Cipher::Block { .. } | Cipher::Stream { .. } => 0,
        }
    }

    /// Bytes that sealing adds to a record, at least: CBC pads to whole blocks.
    pub(super) fn overhead(self, version: u16) -> usize {
        match self.cipher {
            Cipher::Aead {
                algorithm,
                explicit_nonce,
            } => algorithm.tag_length() + explicit_nonce,
            Cipher::Block { block, mac } => {
                let sent = block.length() - self.secret_iv_length(version);
                sent + mac.length() + 1
            }
            Cipher::Stream { mac } => mac.length(),
        }
    }
}

const fn mac(mac: TlsCipherMac) -> Option<Hash> {
    match mac {
        TlsCipherMac::HmacMd5 => Some(Hash::Md5),
        TlsCipherMac::HmacSha1 => Some(Hash::SHA1),
        TlsCipherMac::HmacSha256 => Some(Hash::SHA256),
        TlsCipherMac::HmacSha384 => Some(Hash::SHA384),
        _ => None,
    }
}
