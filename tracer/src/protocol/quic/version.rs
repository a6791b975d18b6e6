//! Versions and what differs between them.

/// QUIC version 1 (RFC 9000).
pub const V1: u32 = 1;
/// QUIC version 2 (RFC 9369).
pub const V2: u32 = 0x6b33_43cf;

/// Salts of the initial secret, by the version that introduced them.
const SALT_V2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb,
    0xf9, 0xbd, 0x2e, 0xd9,
];
const SALT_V1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
    0xcc, 0xbb, 0x7f, 0x0a,
];
const SALT_DRAFT_29: [u8; 20] = [
    0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0,
    0x43, 0x90, 0xa8, 0x99,
];
const SALT_DRAFT_23: [u8; 20] = [
    0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65,
    0xbe, 0xf9, 0xf5, 0x02,
];

const SALT_DRAFT_21: [u8; 20] = [
    0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x19, 0x3a, 0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd,
    0x7a, 0x02, 0x64, 0x4a,
];

/// Google's versions with TLS in frames of its own, `T050` and `T051` in ASCII.
const GOOGLE_T050: u32 = u32::from_be_bytes(*b"T050");
const GOOGLE_T051: u32 = u32::from_be_bytes(*b"T051");
const SALT_T050: [u8; 20] = [
    0x7f, 0xf5, 0x79, 0xe5, 0xac, 0xd0, 0x72, 0x91, 0x55, 0x80, 0x30, 0x4c, 0x43, 0xa2, 0x36, 0x7c,
    0x60, 0x48, 0x83, 0x10,
];
const SALT_T051: [u8; 20] = [
    0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50, 0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc,
    0xda, 0x6e, 0x03, 0x3d,
];

/// Facebook's versions (mvfst), which are drafts 22 and 27 by another number.
const MVFST_22: u32 = 0xface_b001;
const MVFST_27: u32 = 0xface_b002;
const MVFST_EXPERIMENTAL: u32 = 0xface_b00e;

/// A draft's version number is `0xff000000` and its number.
const fn draft(version: u32) -> Option<u32> {
    if version >> 8 == 0x00ff_0000 {
        Some(version & 0xff)
    } else {
        None
    }
}

/// The salt from which the keys of Initial packets are derived (RFC 9001, section 5.2);
/// `None` for a version that is not known.
pub(super) fn initial_salt(version: u32) -> Option<&'static [u8; 20]> {
    Some(match (version, draft(version)) {
        (V1, _) | (_, Some(33 | 34)) => &SALT_V1,
        (V2, _) => &SALT_V2,
        (_, Some(29..=32)) => &SALT_DRAFT_29,
        // A client that provokes a negotiation seals with the keys of the version it wants,
        // which nothing names. This is the one whose clients did so most.
        _ if is_reserved(version) => &SALT_DRAFT_29,
        (MVFST_27 | MVFST_EXPERIMENTAL, _) | (_, Some(23..=28)) => &SALT_DRAFT_23,
        (MVFST_22, _) | (_, Some(21 | 22)) => &SALT_DRAFT_21,
        (GOOGLE_T050, _) => &SALT_T050,
        (GOOGLE_T051, _) => &SALT_T051,
        _ => return None,
    })
}

/// The version's packets can be read.
pub fn is_known(version: u32) -> bool {
    initial_salt(version).is_some()
}

/// The frames are Google's.
pub const fn is_google(version: u32) -> bool {
    matches!(version, GOOGLE_T050 | GOOGLE_T051)
}

/// Reserved to exercise version negotiation (RFC 9000, section 15).
pub const fn is_reserved(version: u32) -> bool {
    version & 0x0f0f_0f0f == 0x0a0a_0a0a
}

/// HKDF labels of key, nonce, header protection and key update (RFC 9001, section 5.1 and
/// 6.1; RFC 9369, section 3.3.2).
pub(super) struct Labels {
    pub key: &'static str,
    pub nonce: &'static str,
    pub header_protection: &'static str,
    pub update: &'static str,
}

pub(super) const fn labels(version: u32) -> Labels {
    if version == V2 {
        Labels {
            key: "quicv2 key",
            nonce: "quicv2 iv",
            header_protection: "quicv2 hp",
            update: "quicv2 ku",
        }
    } else {
        Labels {
            key: "quic key",
            nonce: "quic iv",
            header_protection: "quic hp",
            update: "quic ku",
        }
    }
}

/// Google's versions are words: `Q046` with its own handshake, `T051` with that of TLS.
fn google_name(version: u32) -> Option<String> {
    let word = version.to_be_bytes();
    let [b'Q' | b'T', number @ ..] = &word else {
        return None;
    };
    let is_number = number.iter().all(u8::is_ascii_digit);
    is_number.then(|| word.map(char::from).iter().collect())
}

/// `1`, `2`, `draft-29`, `Q046`, `grease (0x1a2a3a4a)`, or the number.
pub fn name(version: u32) -> String {
    match (version, draft(version)) {
        (V1, _) => "1".to_owned(),
        (V2, _) => "2".to_owned(),
        (_, Some(number)) => format!("draft-{number}"),
        _ if is_reserved(version) => format!("grease ({version:#010x})"),
        _ => google_name(version).unwrap_or_else(|| format!("{version:#010x}")),
    }
}
