use super::*;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// RFC 8448, section 3: the server's handshake traffic secret of the simple 1-RTT
/// handshake and what RFC derives from it.
const SECRET: &str = "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38";
const KEY: &str = "3fce516009c21727d0f2e4e86ee403bc";
const NONCE: &str = "5d313eb2671276ee13000b30";

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).expect("hexadecimal")
}

/// Seals as TLS 1.3 does, with ring alone: independent of the code under test.
fn seal(sequence: u64, content_type: u8, text: &[u8], padding: usize) -> ([u8; 5], Vec<u8>) {
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &bytes(KEY)).expect("a key"));
    let mut nonce: [u8; 12] = bytes(NONCE).try_into().expect("twelve bytes");
    for (byte, mask) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= mask;
    }
    let mut body = text.to_vec();
    body.push(content_type);
    body.resize(body.len() + padding, 0);
    let length = u16::try_from(body.len() + 16)
        .expect("a record")
        .to_be_bytes();
    let header = [23, 3, 3, length[0], length[1]];
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(header),
        &mut body,
    )
    .expect("sealed");
    (header, body)
}

fn opener() -> Opener {
    let secret = bytes(SECRET);
    Opener::tls13(
        0x1301,
        TrafficSecrets {
            application: Some(&secret),
            ..TrafficSecrets::default()
        },
    )
    .expect("supported")
}

#[test]
fn a_record_sealed_with_the_key_of_rfc_8448_opens_and_loses_its_padding() {
    let (header, body) = seal(0, 22, b"hello", 7);
    let opened = opener().open(header, &body).expect("opened");
    assert_eq!(opened.content_type, 22);
    assert_eq!(opened.plaintext, b"hello");
}

#[test]
fn a_damaged_record_stays_sealed_and_those_after_it_open() {
    let mut opener = opener();
    let sealed: Vec<_> = (0..3)
        .map(|sequence| seal(sequence, 23, b"data", 0))
        .collect();
    assert!(opener.open(sealed[0].0, &sealed[0].1).is_some());
    let mut damaged = sealed[1].1.clone();
    damaged[0] ^= 1;
    assert!(opener.open(sealed[1].0, &damaged).is_none());
    assert!(opener.open(sealed[2].0, &sealed[2].1).is_some());
    // A record that was not captured at all is counted in the same way.
    opener.skip(21);
    let later = seal(4, 23, b"data", 0);
    assert!(opener.open(later.0, &later.1).is_some());
}

#[test]
fn records_of_an_unknown_early_key_do_not_move_the_sequence_number() {
    let mut opener = opener();
    for _ in 0..3 {
        assert!(opener.open([23, 3, 3, 0, 20], &[0; 20]).is_none());
    }
    let (header, body) = seal(0, 23, b"data", 0);
    assert!(opener.open(header, &body).is_some());
}

#[test]
fn nothing_but_padding_is_not_a_record() {
    let mut text = vec![0; 9];
    assert_eq!(inner_content_type(&mut text), None);
    assert_eq!(inner_content_type(&mut Vec::new()), None);
}

#[test]
fn a_secret_of_the_wrong_length_gives_no_key() {
    let secrets = TrafficSecrets {
        handshake: Some(&[1; 48]),
        ..TrafficSecrets::default()
    };
    assert!(Opener::tls13(0x1301, secrets).is_none());
    assert!(Opener::tls13(0x1302, secrets).is_some());
    assert!(Opener::tls13(0x1306, secrets).is_none(), "no such suite");
}

#[test]
fn a_suite_is_what_its_name_says() {
    let hash_length = |suite| Suite::tls12(suite).map(Suite::hash_length);
    assert_eq!(hash_length(0xc030), Some(48));
    assert_eq!(hash_length(0xcca8), Some(32));
    // AES128-SHA, ECDHE-RSA-AES256-SHA384, AES128-CCM8, AES128-CCM, DES-CBC3-SHA, RC4-MD5.
    let overhead = |suite, version| Suite::tls12(suite).map(|suite| suite.overhead(version));
    assert_eq!(overhead(0x002f, TLS10), Some(20 + 1));
    assert_eq!(overhead(0x002f, TLS12), Some(16 + 20 + 1));
    assert_eq!(overhead(0xc028, TLS12), Some(16 + 48 + 1));
    assert_eq!(overhead(0xc0a0, TLS12), Some(8 + 8));
    assert_eq!(overhead(0xc09c, TLS12), Some(8 + 16));
    assert_eq!(overhead(0x000a, TLS12), Some(8 + 20 + 1));
    assert_eq!(overhead(0x0004, TLS12), Some(16));
    // CAMELLIA128-SHA, ECDHE-RSA-CAMELLIA256-SHA384.
    assert_eq!(overhead(0x0041, TLS12), Some(16 + 20 + 1));
    assert_eq!(overhead(0xc077, TLS12), Some(16 + 48 + 1));
    assert_eq!(Suite::tls12(0xc077).map(Suite::key_length), Some(32));
    // Camellia in GCM, SEED, and the export suites with keys of 40 bits.
    assert!(
        [0xc07a, 0x0096, 0x0003]
            .into_iter()
            .all(|suite| Suite::tls12(suite).is_none())
    );
}
