//! Names of the numbers in TLS messages, as the registries of IANA write them.

use tls_parser::TlsCipherSuite;

/// GREASE values of two bytes (RFC 8701, section 2): both bytes equal, `?A`.
pub const fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// GREASE values of PSK key exchange modes (RFC 8701, section 2): 0x0B, 0x2A, ..., 0xE4.
pub const fn is_grease_psk_mode(value: u8) -> bool {
    value >= 0x0b && (value - 0x0b).is_multiple_of(0x1f)
}

/// The name, or GREASE, or the number in hexadecimal.
fn named(value: u16, name: Option<&str>) -> String {
    match name {
        Some(name) => name.to_owned(),
        None if is_grease(value) => format!("GREASE (0x{value:04x})"),
        None => format!("0x{value:04x}"),
    }
}

/// `1.3`, `1.2`, `1.1`, `1.0`, `SSL 3.0`, `SSL 2.0`, `1.3 draft 23`.
pub fn version(value: u16) -> String {
    // RFC 8446, section 4.2.1, and its drafts: 0x7f00 and the number of the draft.
    if value >> 8 == 0x7f {
        return format!("1.3 draft {}", value & 0xff);
    }
    let name = match value {
        0x0304 => Some("1.3"),
        0x0303 => Some("1.2"),
        0x0302 => Some("1.1"),
        0x0301 => Some("1.0"),
        0x0300 => Some("SSL 3.0"),
        0x0002 => Some("SSL 2.0"),
        _ => None,
    };
    named(value, name)
}

/// For instance `TLS_AES_256_GCM_SHA384`.
pub fn cipher_suite(value: u16) -> String {
    named(
        value,
        TlsCipherSuite::from_id(value).map(|suite| suite.name),
    )
}

/// The cipher kinds of SSLv2 (three bytes); TLS suites carry a zero in front.
pub fn ssl2_cipher(kind: [u8; 3]) -> String {
    match kind {
        [0, high, low] => cipher_suite(u16::from_be_bytes([high, low])),
        [0x01, 0x00, 0x80] => "SSL_CK_RC4_128_WITH_MD5".to_owned(),
        [0x02, 0x00, 0x80] => "SSL_CK_RC4_128_EXPORT40_WITH_MD5".to_owned(),
        [0x03, 0x00, 0x80] => "SSL_CK_RC2_128_CBC_WITH_MD5".to_owned(),
        [0x04, 0x00, 0x80] => "SSL_CK_RC2_128_CBC_EXPORT40_WITH_MD5".to_owned(),
        [0x05, 0x00, 0x80] => "SSL_CK_IDEA_128_CBC_WITH_MD5".to_owned(),
        [0x06, 0x00, 0x40] => "SSL_CK_DES_64_CBC_WITH_MD5".to_owned(),
        [0x07, 0x00, 0xc0] => "SSL_CK_DES_192_EDE3_CBC_WITH_MD5".to_owned(),
        [high, middle, low] => format!("0x{high:02x}{middle:02x}{low:02x}"),
    }
}

/// `null`, `DEFLATE`, `LZS` (RFC 3749, RFC 3943).
pub fn compression(value: u8) -> String {
    match value {
        0 => "null".to_owned(),
        1 => "DEFLATE".to_owned(),
        64 => "LZS".to_owned(),
        other => format!("0x{other:02x}"),
    }
}

/// `psk_ke`, `psk_dhe_ke` (RFC 8446, section 4.2.9).
pub fn psk_mode(value: u8) -> String {
    match value {
        0 => "psk_ke".to_owned(),
        1 => "psk_dhe_ke".to_owned(),
        other if is_grease_psk_mode(other) => format!("GREASE (0x{other:02x})"),
        other => format!("0x{other:02x}"),
    }
}

/// Registry "TLS Supported Groups"; the two curves of RFC 7748 in that RFC's spelling.
pub fn group(value: u16) -> String {
    let name = match value {
        1 => "sect163k1",
        2 => "sect163r1",
        3 => "sect163r2",
        4 => "sect193r1",
        5 => "sect193r2",
        6 => "sect233k1",
        7 => "sect233r1",
        8 => "sect239k1",
        9 => "sect283k1",
        10 => "sect283r1",
        11 => "sect409k1",
        12 => "sect409r1",
        13 => "sect571k1",
        14 => "sect571r1",
        15 => "secp160k1",
        16 => "secp160r1",
        17 => "secp160r2",
        18 => "secp192k1",
        19 => "secp192r1",
        20 => "secp224k1",
        21 => "secp224r1",
        22 => "secp256k1",
        23 => "secp256r1",
        24 => "secp384r1",
        25 => "secp521r1",
        26 => "brainpoolP256r1",
        27 => "brainpoolP384r1",
        28 => "brainpoolP512r1",
        29 => "X25519",
        30 => "X448",
        31 => "brainpoolP256r1tls13",
        32 => "brainpoolP384r1tls13",
        33 => "brainpoolP512r1tls13",
        34 => "GC256A",
        35 => "GC256B",
        36 => "GC256C",
        37 => "GC256D",
        38 => "GC512A",
        39 => "GC512B",
        40 => "GC512C",
        41 => "curveSM2",
        0x0100 => "ffdhe2048",
        0x0101 => "ffdhe3072",
        0x0102 => "ffdhe4096",
        0x0103 => "ffdhe6144",
        0x0104 => "ffdhe8192",
        0x0200 => "MLKEM512",
        0x0201 => "MLKEM768",
        0x0202 => "MLKEM1024",
        0x11eb => "SecP256r1MLKEM768",
        0x11ec => "X25519MLKEM768",
        0x11ed => "SecP384r1MLKEM1024",
        0x11ee => "curveSM2MLKEM768",
        0x6399 => "X25519Kyber768Draft00",
        0x639a => "SecP256r1Kyber768Draft00",
        0xff01 => "arbitrary_explicit_prime_curves",
        0xff02 => "arbitrary_explicit_char2_curves",
        _ => return named(value, None),
    };
    name.to_owned()
}

/// Registry "TLS SignatureScheme".
pub fn signature_scheme(value: u16) -> String {
    let name = match value {
        0x0201 => "rsa_pkcs1_sha1",
        0x0203 => "ecdsa_sha1",
        0x0401 => "rsa_pkcs1_sha256",
        0x0403 => "ecdsa_secp256r1_sha256",
        0x0420 => "rsa_pkcs1_sha256_legacy",
        0x0501 => "rsa_pkcs1_sha384",
        0x0503 => "ecdsa_secp384r1_sha384",
        0x0520 => "rsa_pkcs1_sha384_legacy",
        0x0601 => "rsa_pkcs1_sha512",
        0x0603 => "ecdsa_secp521r1_sha512",
        0x0620 => "rsa_pkcs1_sha512_legacy",
        0x0704 => "eccsi_sha256",
        0x0708 => "sm2sig_sm3",
        0x0804 => "rsa_pss_rsae_sha256",
        0x0805 => "rsa_pss_rsae_sha384",
        0x0806 => "rsa_pss_rsae_sha512",
        0x0807 => "ed25519",
        0x0808 => "ed448",
        0x0809 => "rsa_pss_pss_sha256",
        0x080a => "rsa_pss_pss_sha384",
        0x080b => "rsa_pss_pss_sha512",
        0x081a => "ecdsa_brainpoolP256r1tls13_sha256",
        0x081b => "ecdsa_brainpoolP384r1tls13_sha384",
        0x081c => "ecdsa_brainpoolP512r1tls13_sha512",
        0x0904 => "mldsa44",
        0x0905 => "mldsa65",
        0x0906 => "mldsa87",
        _ => return legacy_signature_scheme(value),
    };
    name.to_owned()
}

/// TLS 1.2 put the hash into the first byte and the signature into the second (RFC 5246,
/// section 7.4.1.4.1); pairs without a name in TLS 1.3 are written in that spirit.
fn legacy_signature_scheme(value: u16) -> String {
    let [hash, signature] = value.to_be_bytes();
    let hash = match hash {
        1 => "md5",
        2 => "sha1",
        3 => "sha224",
        4 => "sha256",
        5 => "sha384",
        6 => "sha512",
        _ => return named(value, None),
    };
    let signature = match signature {
        1 => "rsa_pkcs1",
        2 => "dsa",
        3 => "ecdsa",
        _ => return named(value, None),
    };
    format!("{signature}_{hash}")
}

/// Registry "TLS ExtensionType Values".
pub fn extension(value: u16) -> String {
    let name = match value {
        0 => "server_name",
        1 => "max_fragment_length",
        2 => "client_certificate_url",
        3 => "trusted_ca_keys",
        4 => "truncated_hmac",
        5 => "status_request",
        6 => "user_mapping",
        7 => "client_authz",
        8 => "server_authz",
        9 => "cert_type",
        10 => "supported_groups",
        11 => "ec_point_formats",
        12 => "srp",
        13 => "signature_algorithms",
        14 => "use_srtp",
        15 => "heartbeat",
        16 => "application_layer_protocol_negotiation",
        17 => "status_request_v2",
        18 => "signed_certificate_timestamp",
        19 => "client_certificate_type",
        20 => "server_certificate_type",
        21 => "padding",
        22 => "encrypt_then_mac",
        23 => "extended_master_secret",
        24 => "token_binding",
        25 => "cached_info",
        26 => "tls_lts",
        27 => "compress_certificate",
        28 => "record_size_limit",
        29 => "pwd_protect",
        30 => "pwd_clear",
        31 => "password_salt",
        32 => "ticket_pinning",
        33 => "tls_cert_with_extern_psk",
        34 => "delegated_credential",
        35 => "session_ticket",
        36 => "TLMSP",
        37 => "TLMSP_proxying",
        38 => "TLMSP_delegate",
        39 => "supported_ekt_ciphers",
        // Before draft 23 of TLS 1.3 key_share had this number.
        40 => "key_share (draft)",
        41 => "pre_shared_key",
        42 => "early_data",
        43 => "supported_versions",
        44 => "cookie",
        45 => "psk_key_exchange_modes",
        47 => "certificate_authorities",
        48 => "oid_filters",
        49 => "post_handshake_auth",
        50 => "signature_algorithms_cert",
        51 => "key_share",
        52 => "transparency_info",
        53 => "connection_id (deprecated)",
        54 => "connection_id",
        55 => "external_id_hash",
        56 => "external_session_id",
        57 => "quic_transport_parameters",
        58 => "ticket_request",
        59 => "dnssec_chain",
        60 => "sequence_number_encryption_algorithms",
        61 => "rrc",
        62 => "tls_flags",
        13172 => "next_protocol_negotiation",
        17513 => "application_settings (old)",
        17613 => "application_settings",
        30032 => "channel_id",
        0xfd00 => "ech_outer_extensions",
        0xfe0d => "encrypted_client_hello",
        0xff01 => "renegotiation_info",
        0xffa5 => "quic_transport_parameters (draft)",
        0xffce => "encrypted_server_name",
        _ => return named(value, None),
    };
    name.to_owned()
}

/// `warning` or `fatal` (RFC 8446, section 6).
pub fn alert_level(value: u8) -> String {
    match value {
        1 => "warning".to_owned(),
        2 => "fatal".to_owned(),
        other => format!("level {other}"),
    }
}

/// Registry "TLS Alerts".
pub fn alert_description(value: u8) -> String {
    let name = match value {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        52 => "too_many_cids_requested",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        117 => "general_error",
        120 => "no_application_protocol",
        121 => "ech_required",
        other => return format!("alert {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_registries() {
        assert_eq!(cipher_suite(0x1302), "TLS_AES_256_GCM_SHA384");
        assert_eq!(
            cipher_suite(0xcca8),
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
        );
        assert_eq!(group(0x11ec), "X25519MLKEM768");
        assert_eq!(group(29), "X25519");
        assert_eq!(signature_scheme(0x0804), "rsa_pss_rsae_sha256");
        assert_eq!(signature_scheme(0x0301), "rsa_pkcs1_sha224");
        assert_eq!(extension(16), "application_layer_protocol_negotiation");
        assert_eq!(alert_description(40), "handshake_failure");
        assert_eq!(version(0x0304), "1.3");
        assert_eq!(version(0x7f17), "1.3 draft 23");
    }

    #[test]
    fn grease_is_the_sixteen_values_of_the_rfc_and_nothing_else() {
        let count = (0..=u16::MAX).filter(|value| is_grease(*value)).count();
        assert_eq!(count, 16);
        assert!(is_grease(0x0a0a) && is_grease(0xfafa) && !is_grease(0x0a1a));
        let modes: Vec<u8> = (0..=u8::MAX).filter(|v| is_grease_psk_mode(*v)).collect();
        assert_eq!(modes, [0x0b, 0x2a, 0x49, 0x68, 0x87, 0xa6, 0xc5, 0xe4]);
        assert_eq!(cipher_suite(0x1a1a), "GREASE (0x1a1a)");
        assert_eq!(group(0x1234), "0x1234");
    }
}
