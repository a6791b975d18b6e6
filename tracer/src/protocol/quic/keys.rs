//! Packet protection (RFC 9001, section 5).

use super::version::{self, Labels};
use crate::protocol::tls::decrypt::schedule::{expand, expand_label};
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey, quic};
use ring::hkdf::{self, KeyType};

/// Bytes of ciphertext from which the header's mask is made (RFC 9001, section 5.4.2).
const SAMPLE_LENGTH: usize = 16;
/// The sample is taken as if the packet number had four bytes.
const SAMPLE_OFFSET: usize = 4;
const NONCE_LENGTH: usize = 12;

/// Key phase bit of a short header.
const KEY_PHASE: u8 = 0x04;

/// Cipher, header protection and hash of a cipher suite of TLS 1.3.
#[derive(Debug, Clone, Copy)]
struct Suite {
    aead: &'static aead::Algorithm,
    header: &'static quic::Algorithm,
    hash: hkdf::Algorithm,
}

impl Suite {
    const INITIAL: fn() -> Self = || Self {
        aead: &aead::AES_128_GCM,
        header: &quic::AES_128,
        hash: hkdf::HKDF_SHA256,
    };

    /// `None` for AES-CCM, which the library does not have.
    fn of(cipher_suite: u16) -> Option<Self> {
        Some(match cipher_suite {
            0x1301 => Self::INITIAL(),
            0x1302 => Self {
                aead: &aead::AES_256_GCM,
                header: &quic::AES_256,
                hash: hkdf::HKDF_SHA384,
            },
            0x1303 => Self {
                aead: &aead::CHACHA20_POLY1305,
                header: &quic::CHACHA20,
                hash: hkdf::HKDF_SHA256,
            },
            _ => return None,
        })
    }
}

/// A packet in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub number: u64,
    /// The frames.
    pub payload: Vec<u8>,
}

/// The keys of one end at one level of encryption.
pub struct Keys {
    suite: Suite,
    version: u32,
    secret: Vec<u8>,
    key: LessSafeKey,
    nonce: [u8; NONCE_LENGTH],
    header: quic::HeaderProtectionKey,
    /// Of 1-RTT keys: the key phase bit they are for.
    phase: bool,
    /// The packet number after the highest one that opened.
    expected: u64,
}

impl std::fmt::Debug for Keys {
    /// Secrets never reach a log.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// The keys of Initial packets of the client, or the server, when the client's first
    /// packet went to the connection id `destination_id`. `None` for an unknown version.
    pub fn initial(version: u32, destination_id: &[u8], client: bool) -> Option<Self> {
        let salt = version::initial_salt(version)?;
        let suite = Suite::INITIAL();
        let extracted = hkdf::Salt::new(suite.hash, salt).extract(destination_id);
        let label = if client { "client in" } else { "server in" };
        let secret = expand(&extracted, label, suite.hash.len())?;
        Self::new(suite, version, secret)
    }

    /// The keys of a traffic secret. `None` when the suite is not supported or the length
    /// of the secret is not that of its hash.
    pub fn traffic(version: u32, cipher_suite: u16, secret: &[u8]) -> Option<Self> {
        Self::new(Suite::of(cipher_suite)?, version, secret.to_vec())
    }

    fn new(suite: Suite, version: u32, secret: Vec<u8>) -> Option<Self> {
        (secret.len() == suite.hash.len()).then_some(())?;
        let Labels {
            header_protection, ..
        } = version::labels(version);
        let length = suite.header.key_len();
        let header = expand_label(suite.hash, &secret, header_protection, length)?;
        let (key, nonce) = sealing(suite, version, &secret)?;
        Some(Self {
            suite,
            version,
            key,
            nonce,
            header: quic::HeaderProtectionKey::new(suite.header, &header).ok()?,
            secret,
            phase: false,
            expected: 0,
        })
    }

    /// Opens a packet whose number begins at `number_offset`. `None`, and nothing changed,
    /// when the seal is not of these keys. After a key update (RFC 9001, section 6) the
    /// keys become those of the next phase.
    pub fn open(&mut self, packet: &[u8], number_offset: usize) -> Option<Opened> {
        let start = number_offset.checked_add(SAMPLE_OFFSET)?;
        let sample = packet.get(start..start.checked_add(SAMPLE_LENGTH)?)?;
        let [first_mask, number_mask @ ..] = self.header.new_mask(sample).ok()?;
        let first = *packet.first()?;
        let long = first & 0x80 != 0;
        let first = first ^ first_mask & if long { 0x0f } else { 0x1f };
        let number_length = usize::from(first & 3) + 1;
        let (header, sealed) = packet.split_at_checked(number_offset + number_length)?;
        let mut header = header.to_vec();
        *header.first_mut()? = first;
        let mut truncated = 0;
        for (byte, mask) in header.iter_mut().skip(number_offset).zip(number_mask) {
            *byte ^= mask;
            truncated = truncated << 8 | u64::from(*byte);
        }
        let number = whole_number(self.expected, truncated, number_length);
        let payload = if !long && (first & KEY_PHASE != 0) != self.phase {
            let secret = self.next_secret()?;
            let (key, nonce) = sealing(self.suite, self.version, &secret)?;
            let payload = decrypt(&key, nonce, number, &header, sealed)?;
            (self.key, self.nonce, self.secret) = (key, nonce, secret);
            self.phase = !self.phase;
            payload
        } else {
            decrypt(&self.key, self.nonce, number, &header, sealed)?
        };
        self.expected = self.expected.max(number.saturating_add(1));
        Some(Opened { number, payload })
    }

    fn next_secret(&self) -> Option<Vec<u8>> {
        let label = version::labels(self.version).update;
        expand_label(self.suite.hash, &self.secret, label, self.suite.hash.len())
    }
}

#[cfg(test)]
impl Keys {
    /// The keys of the next phase.
    pub fn update(&mut self) {
        self.secret = self.next_secret().expect("a length that fits");
        let sealing = sealing(self.suite, self.version, &self.secret);
        (self.key, self.nonce) = sealing.expect("a length that fits");
    }

    /// Seals `payload` behind `header`, which ends with a packet number of four bytes.
    pub fn seal(&self, header: &[u8], number: u32, payload: &[u8]) -> Vec<u8> {
        let mut nonce = self.nonce;
        for (byte, mask) in nonce.iter_mut().skip(8).zip(number.to_be_bytes()) {
            *byte ^= mask;
        }
        let mut sealed = payload.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed)
            .expect("short enough");
        let mask = self.header.new_mask(&sealed[..SAMPLE_LENGTH]);
        let [first_mask, number_mask @ ..] = mask.expect("a sample of the right length");
        let mut packet = header.to_vec();
        let long = packet[0] & 0x80 != 0;
        packet[0] ^= first_mask & if long { 0x0f } else { 0x1f };
        let number_offset = packet.len() - 4;
        for (byte, mask) in packet[number_offset..].iter_mut().zip(number_mask) {
            *byte ^= mask;
        }
        packet.extend(sealed);
        packet
    }
}

/// Key and nonce of a secret.
fn sealing(suite: Suite, version: u32, secret: &[u8]) -> Option<(LessSafeKey, [u8; 12])> {
    let labels = version::labels(version);
    let key = expand_label(suite.hash, secret, labels.key, suite.aead.key_len())?;
    let nonce = expand_label(suite.hash, secret, labels.nonce, NONCE_LENGTH)?;
    let key = LessSafeKey::new(UnboundKey::new(suite.aead, &key).ok()?);
    Some((key, nonce.try_into().ok()?))
}

fn decrypt(
    key: &LessSafeKey,
    mut nonce: [u8; NONCE_LENGTH],
    number: u64,
    header: &[u8],
    sealed: &[u8],
) -> Option<Vec<u8>> {
    for (byte, mask) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
        *byte ^= mask;
    }
    let mut buffer = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let opened = key.open_in_place(nonce, Aad::from(header), &mut buffer);
    let length = opened.ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}

/// The packet number nearest to the expected one that ends in the bits sent (RFC 9000,
/// appendix A.3).
fn whole_number(expected: u64, truncated: u64, length: usize) -> u64 {
    let window = 1_u64 << (8 * length);
    let candidate = expected & !(window - 1) | truncated;
    if candidate.saturating_add(window / 2) <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected.saturating_add(window / 2) && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::whole_number;

    #[test]
    fn packet_numbers_are_completed_as_in_the_rfc() {
        // RFC 9000, appendix A.3: after 0xa82f30ea, the number 0x9b32 in 16 bits.
        assert_eq!(whole_number(0xa82f_30eb, 0x9b32, 2), 0xa82f_9b32);
        assert_eq!(whole_number(0, 0, 1), 0);
        assert_eq!(whole_number(0x1_0001, 0xffff, 2), 0xffff);
        assert_eq!(whole_number(0xffff, 0x0001, 2), 0x1_0001);
    }
}
