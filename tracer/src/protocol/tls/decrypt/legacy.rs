//! Ciphers with a MAC of their own: CBC of TLS 1.0 to 1.2, and RC4 (RFC 2246, RFC 4346 and
//! RFC 5246, section 6.2.3).

use super::hash::Hash;
use super::suite::TLS11;
use aes::{Aes128, Aes256};
use camellia::{Camellia128, Camellia256};
use cbc::Decryptor;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit, StreamCipher};
use des::TdesEde3;
use rc4::Rc4;
use tls_parser::TlsCipherEnc;

/// A block cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    Aes128,
    Aes256,
    /// RFC 5932.
    Camellia128,
    Camellia256,
    TripleDes,
}

impl Block {
    /// The cipher of a suite with keys of `key` bytes.
    pub const fn of(cipher: TlsCipherEnc, key: usize) -> Option<Self> {
        match (cipher, key) {
            (TlsCipherEnc::Aes, 16) => Some(Self::Aes128),
            (TlsCipherEnc::Aes, 32) => Some(Self::Aes256),
            (TlsCipherEnc::Camellia, 16) => Some(Self::Camellia128),
            (TlsCipherEnc::Camellia, 32) => Some(Self::Camellia256),
            // 24 bytes of which 21 count.
            (TlsCipherEnc::TripleDes, 21 | 24) => Some(Self::TripleDes),
            _ => None,
        }
    }

    /// Bytes of a block, and so of an initialisation vector.
    pub const fn length(self) -> usize {
        match self {
            Self::Aes128 | Self::Aes256 | Self::Camellia128 | Self::Camellia256 => 16,
            Self::TripleDes => 8,
        }
    }

    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes128 | Self::Camellia128 => 16,
            Self::Aes256 | Self::Camellia256 => 32,
            Self::TripleDes => 24,
        }
    }

    /// The plaintext of whole blocks, with its padding.
    fn decrypt(self, key: &[u8], iv: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Aes128 => decrypt_with::<Aes128>(key, iv, ciphertext),
            Self::Aes256 => decrypt_with::<Aes256>(key, iv, ciphertext),
            Self::Camellia128 => decrypt_with::<Camellia128>(key, iv, ciphertext),
            Self::Camellia256 => decrypt_with::<Camellia256>(key, iv, ciphertext),
            Self::TripleDes => decrypt_with::<TdesEde3>(key, iv, ciphertext),
        }
    }
}

fn decrypt_with<C: BlockCipherDecrypt + KeyInit>(
    key: &[u8],
    iv: &[u8],
    ciphertext: &[u8],
) -> Option<Vec<u8>>
where
    Decryptor<C>: KeyIvInit + BlockModeDecrypt,
{
    let mut buffer = ciphertext.to_vec();
    Decryptor::<C>::new_from_slices(key, iv)
        .ok()?
        .decrypt_padded::<NoPadding>(&mut buffer)
        .ok()?;
    Some(buffer)
}

/// Sequence number and header that a MAC covers beside the content.
pub struct Authenticated {
    pub sequence: u64,
    pub header: [u8; 5],
}

impl Authenticated {
    /// The MAC over sequence number, type, version, length and content.
    fn mac(&self, hash: Hash, key: &[u8], content: &[u8]) -> Option<Vec<u8>> {
        let length = u16::try_from(content.len()).ok()?.to_be_bytes();
        let (start, _) = self.header.split_at(3);
        let sequence = self.sequence.to_be_bytes();
        Some(hash.authenticate(key, &[&sequence, start, &length, content]))
    }

    /// Takes the MAC off the end of what it covers; `None` when it is another.
    fn checked<'a>(&self, hash: Hash, key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
        let end = sealed.len().checked_sub(hash.length())?;
        let (content, mac) = sealed.split_at_checked(end)?;
        (self.mac(hash, key, content)? == mac).then_some(content)
    }
}

/// Where the initialisation vector of the next record is.
enum Vector {
    /// In the record (TLS 1.1 and later).
    Sent,
    /// The last block of the record before it (TLS 1.0); `None` when that was not captured.
    Chained(Option<Vec<u8>>),
}

/// Key of a CBC suite.
pub struct BlockKey {
    block: Block,
    key: Vec<u8>,
    mac: Hash,
    mac_key: Vec<u8>,
    /// The MAC covers the ciphertext (RFC 7366), not the plaintext.
    encrypt_then_mac: bool,
    vector: Vector,
    /// The chained vector of the record that came last.
    current: Option<Vec<u8>>,
}

/// The parts of a key block that one end seals with.
pub struct Secrets<'a> {
    pub mac: &'a [u8],
    pub key: &'a [u8],
    /// The first initialisation vector of TLS 1.0, or the secret part of nonces.
    pub iv: &'a [u8],
}

impl BlockKey {
    pub fn new(
        (block, mac): (Block, Hash),
        version: u16,
        secrets: &Secrets<'_>,
        encrypt_then_mac: bool,
    ) -> Self {
        let vector = if version < TLS11 {
            Vector::Chained(Some(secrets.iv.to_vec()))
        } else {
            Vector::Sent
        };
        Self {
            block,
            key: secrets.key.to_vec(),
            mac,
            mac_key: secrets.mac.to_vec(),
            encrypt_then_mac,
            vector,
            current: None,
        }
    }

    /// A sealed record came: its last block begins the next one in TLS 1.0. `None` for one
    /// that was not captured.
    pub fn came(&mut self, body: Option<&[u8]>) {
        let mac = if self.encrypt_then_mac {
            self.mac.length()
        } else {
            0
        };
        if let Vector::Chained(next) = &mut self.vector {
            let ciphertext = body.and_then(|body| body.get(..body.len().checked_sub(mac)?));
            let last = ciphertext
                .and_then(|bytes| bytes.get(bytes.len().checked_sub(self.block.length())?..));
            self.current = std::mem::replace(next, last.map(<[u8]>::to_vec));
        }
    }

    /// The content of the record that came last, and where in it the ciphertext begins.
    pub fn open(&self, about: &Authenticated, body: &[u8]) -> Option<(usize, Vec<u8>)> {
        let sealed = if self.encrypt_then_mac {
            about.checked(self.mac, &self.mac_key, body)?
        } else {
            body
        };
        let (iv, ciphertext) = match &self.vector {
            Vector::Sent => sealed.split_at_checked(self.block.length())?,
            Vector::Chained(_) => (self.current.as_deref()?, sealed),
        };
        let offset = sealed.len() - ciphertext.len();
        let mut plaintext = self.block.decrypt(&self.key, iv, ciphertext)?;
        let padded = unpadded(&plaintext)?;
        let content = if self.encrypt_then_mac {
            padded
        } else {
            let content = plaintext.get(..padded)?;
            about.checked(self.mac, &self.mac_key, content)?.len()
        };
        plaintext.truncate(content);
        Some((offset, plaintext))
    }
}

/// Bytes before the padding: its last byte says how many more of the same value there are.
fn unpadded(plaintext: &[u8]) -> Option<usize> {
    let value = *plaintext.last()?;
    let end = plaintext.len().checked_sub(usize::from(value) + 1)?;
    let padding = plaintext.get(end..)?;
    padding.iter().all(|byte| *byte == value).then_some(end)
}

/// Key of an RC4 suite. All records are one stream.
pub struct StreamKey {
    cipher: Rc4,
    mac: Hash,
    mac_key: Vec<u8>,
    /// The record that came last in clear, with its MAC.
    current: Vec<u8>,
}

impl StreamKey {
    pub fn new(mac: Hash, secrets: &Secrets<'_>) -> Option<Self> {
        Some(Self {
            cipher: Rc4::new_from_slice(secrets.key).ok()?,
            mac,
            mac_key: secrets.mac.to_vec(),
            current: Vec::new(),
        })
    }

    /// A sealed record came, or was on the wire with zeros in place of what was not
    /// captured: the stream goes on behind it.
    pub fn came(&mut self, body: &[u8]) {
        self.current = body.to_vec();
        self.cipher.apply_keystream(&mut self.current);
    }

    /// The content of the record that came last.
    pub fn open(&self, about: &Authenticated) -> Option<(usize, Vec<u8>)> {
        let content = about.checked(self.mac, &self.mac_key, &self.current)?;
        Some((0, content.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cbc::Encryptor;
    use cbc::cipher::BlockModeEncrypt;

    const HEADER: [u8; 5] = [23, 3, 1, 0, 0];
    const SECRETS: Secrets<'_> = Secrets {
        mac: &[7; 20],
        key: &[8; 16],
        iv: &[9; 16],
    };

    fn about(sequence: u64) -> Authenticated {
        Authenticated {
            sequence,
            header: HEADER,
        }
    }

    /// Seals as RFC 2246, section 6.2.3.2 says, with `padding` more blocks than it takes.
    fn seal(iv: &[u8], sequence: u64, text: &[u8], padding: usize) -> Vec<u8> {
        let mac = about(sequence).mac(Hash::SHA1, SECRETS.mac, text);
        let mut plain = [text, &mac.expect("short")].concat();
        let value = 15 - plain.len() % 16 + 16 * padding;
        plain.resize(plain.len() + value + 1, u8::try_from(value).expect("short"));
        let length = plain.len();
        Encryptor::<Aes128>::new_from_slices(SECRETS.key, iv)
            .expect("lengths")
            .encrypt_padded::<NoPadding>(&mut plain, length)
            .expect("whole blocks");
        plain
    }

    fn key(version: u16, encrypt_then_mac: bool) -> BlockKey {
        BlockKey::new(
            (Block::Aes128, Hash::SHA1),
            version,
            &SECRETS,
            encrypt_then_mac,
        )
    }

    #[test]
    fn each_record_of_tls_1_0_is_the_vector_of_the_next() {
        let first = seal(SECRETS.iv, 0, b"first", 0);
        let second = seal(&first[first.len() - 16..], 1, b"second", 3);
        let third = seal(&second[second.len() - 16..], 2, b"third", 0);
        let fourth = seal(&third[third.len() - 16..], 3, b"fourth", 0);
        let mut key = key(0x0301, false);
        key.came(Some(&first));
        assert_eq!(key.open(&about(0), &first), Some((0, b"first".to_vec())));
        assert_eq!(key.open(&about(1), &first), None, "another sequence number");
        // The second was not captured, so nothing is known of the third's vector.
        key.came(None);
        key.came(Some(&third));
        assert_eq!(key.open(&about(2), &third), None);
        key.came(Some(&fourth));
        assert_eq!(key.open(&about(3), &fourth), Some((0, b"fourth".to_vec())));
    }

    #[test]
    fn a_damaged_record_and_one_of_odd_length_stay_sealed() {
        let mut body = vec![5; 16];
        body.extend(seal(&[5; 16], 0, b"text", 1));
        let key = key(0x0303, false);
        assert_eq!(key.open(&about(0), &body), Some((16, b"text".to_vec())));
        for place in 0..body.len() {
            let mut damaged = body.clone();
            damaged[place] ^= 1;
            assert_eq!(key.open(&about(0), &damaged), None, "byte {place}");
            assert_eq!(key.open(&about(0), &body[..place]), None, "cut at {place}");
        }
    }

    #[test]
    fn a_mac_behind_the_encryption_covers_vector_and_padding() {
        let mut sealed = vec![5; 16];
        let mut plain = b"text".to_vec();
        plain.resize(16, 11);
        Encryptor::<Aes128>::new_from_slices(SECRETS.key, &[5; 16])
            .expect("lengths")
            .encrypt_padded::<NoPadding>(&mut plain, 16)
            .expect("a block");
        sealed.extend(plain);
        let mac = about(4).mac(Hash::SHA1, SECRETS.mac, &sealed);
        sealed.extend(mac.expect("short"));
        let key = key(0x0303, true);
        assert_eq!(key.open(&about(4), &sealed), Some((16, b"text".to_vec())));
        sealed[0] ^= 1;
        assert_eq!(key.open(&about(4), &sealed), None);
    }

    #[test]
    fn rc4_goes_on_behind_a_record_that_was_not_captured() {
        let mut sender = Rc4::new_from_slice(SECRETS.key).expect("a key");
        let mut seal = |sequence, text: &[u8]| {
            let mac = about(sequence).mac(Hash::SHA1, SECRETS.mac, text);
            let mut body = [text, &mac.expect("short")].concat();
            sender.apply_keystream(&mut body);
            body
        };
        let (first, second) = (seal(0, b"first"), seal(1, b"second"));
        let mut key = StreamKey::new(Hash::SHA1, &SECRETS).expect("a key");
        key.came(&vec![0; first.len()]);
        key.came(&second);
        assert_eq!(key.open(&about(0)), None);
        assert_eq!(key.open(&about(1)), Some((0, b"second".to_vec())));
    }
}
