//! Key schedules: HKDF-Expand-Label of TLS 1.3 and the PRF of the versions before.

use super::Negotiated;
use super::cipher::RecordKey;
use super::hash::Hash;
use super::legacy::Secrets;
use super::suite::{NONCE_LENGTH, Suite, TLS12};
use ring::hkdf;

/// Length of an HKDF output, as ring wants it.
struct OutputLength(usize);

impl hkdf::KeyType for OutputLength {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label(secret, label, "", length) of RFC 8446, section 7.1.
pub(in crate::protocol) fn expand_label(
    algorithm: hkdf::Algorithm,
    secret: &[u8],
    label: &str,
    length: usize,
) -> Option<Vec<u8>> {
    expand(&hkdf::Prk::new_less_safe(algorithm, secret), label, length)
}

/// The same from a pseudorandom key that HKDF-Extract gave.
pub(in crate::protocol) fn expand(key: &hkdf::Prk, label: &str, length: usize) -> Option<Vec<u8>> {
    let full_label_length = u8::try_from("tls13 ".len() + label.len()).ok()?;
    let output_length = u16::try_from(length).ok()?.to_be_bytes();
    let info: [&[u8]; 5] = [
        &output_length,
        &[full_label_length],
        b"tls13 ",
        label.as_bytes(),
        &[0],
    ];
    let mut output = vec![0; length];
    key.expand(&info, OutputLength(length))
        .and_then(|okm| okm.fill(&mut output))
        .ok()?;
    Some(output)
}

/// Key and nonce of a traffic secret (RFC 8446, section 7.3). `None` when the secret's
/// length is not that of the suite's hash.
pub fn traffic_key(suite: Suite, secret: &[u8]) -> Option<RecordKey> {
    (secret.len() == suite.hash_length()).then_some(())?;
    let key = expand_label(suite.hkdf, secret, "key", suite.key_length())?;
    let nonce = expand_label(suite.hkdf, secret, "iv", NONCE_LENGTH)?;
    RecordKey::tls13(suite, &key, &nonce)
}

/// The secret after a KeyUpdate (RFC 8446, section 7.2).
pub fn next_traffic_secret(suite: Suite, secret: &[u8]) -> Option<Vec<u8>> {
    expand_label(suite.hkdf, secret, "traffic upd", suite.hash_length())
}

/// The key that one end writes with in TLS 1.0 to 1.2 (RFC 5246, section 6.3).
pub fn tls12_key(
    suite: Suite,
    negotiated: &Negotiated<'_>,
    client_writes: bool,
) -> Option<RecordKey> {
    let lengths = [
        suite.mac_length(),
        suite.key_length(),
        suite.secret_iv_length(negotiated.version),
    ];
    let seed: [&[u8]; 3] = [
        b"key expansion",
        negotiated.server_random,
        negotiated.client_random,
    ];
    let secret = negotiated.master_secret;
    let length = 2 * lengths.iter().sum::<usize>();
    let block = if negotiated.version < TLS12 {
        pseudorandom_tls10(secret, &seed, length)
    } else {
        pseudorandom(suite.hash, secret, &seed, length)
    };
    // Of each kind the client's comes first.
    let mut rest = block.as_slice();
    let mut own = [&[][..]; 3];
    for (part, length) in own.iter_mut().zip(lengths) {
        let (client, after) = rest.split_at_checked(length)?;
        let (server, after) = after.split_at_checked(length)?;
        *part = if client_writes { client } else { server };
        rest = after;
    }
    let [mac, key, iv] = own;
    let secrets = Secrets { mac, key, iv };
    let version = negotiated.version;
    RecordKey::tls12(suite, version, &secrets, negotiated.encrypt_then_mac)
}

/// The PRF of TLS 1.0 and 1.1 (RFC 2246, section 5): MD5 with the first half of the secret,
/// SHA-1 with the second; of an odd one the middle byte belongs to both.
fn pseudorandom_tls10(secret: &[u8], seed: &[&[u8]], length: usize) -> Vec<u8> {
    let half = secret.len().div_ceil(2);
    let (first, second) = (&secret[..half], &secret[secret.len() - half..]);
    let md5 = pseudorandom(Hash::Md5, first, seed, length);
    let sha1 = pseudorandom(Hash::SHA1, second, seed, length);
    md5.iter()
        .zip(sha1)
        .map(|(one, other)| one ^ other)
        .collect()
}

/// P_hash of RFC 5246, section 5; the label is the first part of the seed.
fn pseudorandom(hash: Hash, secret: &[u8], seed: &[&[u8]], length: usize) -> Vec<u8> {
    let mut output = Vec::with_capacity(length + hash.length());
    let mut state = hash.authenticate(secret, seed);
    while output.len() < length {
        let mut parts = vec![state.as_slice()];
        parts.extend_from_slice(seed);
        output.extend(hash.authenticate(secret, &parts));
        state = hash.authenticate(secret, &[&state]);
    }
    output.truncate(length);
    output
}
