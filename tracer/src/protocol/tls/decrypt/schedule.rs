//! Key schedules: HKDF-Expand-Label of TLS 1.3 and the PRF of TLS 1.2.

use super::MasterSecret;
use super::cipher::{NONCE_LENGTH, RecordKey, Suite};
use ring::{hkdf, hmac};

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
    let key = expand_label(suite.hkdf, secret, "key", suite.aead.key_len())?;
    let nonce = expand_label(suite.hkdf, secret, "iv", NONCE_LENGTH)?;
    RecordKey::new(suite, &key, &nonce)
}

/// The secret after a KeyUpdate (RFC 8446, section 7.2).
pub fn next_traffic_secret(suite: Suite, secret: &[u8]) -> Option<Vec<u8>> {
    expand_label(suite.hkdf, secret, "traffic upd", suite.hash_length())
}

/// The key that one end writes with in TLS 1.2 (RFC 5246, section 6.3).
pub fn tls12_key(suite: Suite, master: MasterSecret<'_>, client_writes: bool) -> Option<RecordKey> {
    let key_length = suite.aead.key_len();
    let nonce_length = suite.fixed_nonce_length();
    let block = pseudorandom(
        suite.hmac,
        master.secret,
        &[b"key expansion", master.server_random, master.client_random],
        2 * (key_length + nonce_length),
    );
    // AEAD suites have no MAC keys: both keys, then both nonces, the client's first.
    let (keys, nonces) = block.split_at_checked(2 * key_length)?;
    let (client_key, server_key) = keys.split_at_checked(key_length)?;
    let (client_nonce, server_nonce) = nonces.split_at_checked(nonce_length)?;
    if client_writes {
        RecordKey::new(suite, client_key, client_nonce)
    } else {
        RecordKey::new(suite, server_key, server_nonce)
    }
}

/// P_hash of RFC 5246, section 5; the label is the first part of the seed.
fn pseudorandom(
    algorithm: hmac::Algorithm,
    secret: &[u8],
    seed: &[&[u8]],
    length: usize,
) -> Vec<u8> {
    let key = hmac::Key::new(algorithm, secret);
    let authenticate = |parts: &[&[u8]]| {
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            context.update(part);
        }
        context.sign()
    };
    let mut output = Vec::with_capacity(length + algorithm.digest_algorithm().output_len());
    let mut state = authenticate(seed);
    while output.len() < length {
        let mut parts: Vec<&[u8]> = vec![state.as_ref()];
        parts.extend_from_slice(seed);
        output.extend_from_slice(authenticate(&parts).as_ref());
        state = authenticate(&[state.as_ref()]);
    }
    output.truncate(length);
    output
}
