//! Certificate messages and the key exchange of TLS 1.2.

use super::names;
use crate::protocol::reader::Reader;
use std::io::Read;

/// More certificates than any chain has; what follows is not looked at.
const MAXIMUM_CHAIN: usize = 64;

/// The longest Certificate message taken out of a CompressedCertificate, in bytes: the
/// limit that RFC 8879, section 4, asks for against decompression bombs.
const MAXIMUM_UNCOMPRESSED: usize = 1 << 20;

/// DER certificates of a Certificate message up to TLS 1.2 (RFC 5246, section 7.4.2).
pub fn certificates_tls12(body: &[u8]) -> Vec<Vec<u8>> {
    let mut list = Reader::new(Reader::new(body).vector24().unwrap_or_default());
    std::iter::from_fn(|| list.vector24())
        .take(MAXIMUM_CHAIN)
        .map(<[u8]>::to_vec)
        .collect()
}

/// DER certificates of a Certificate message of TLS 1.3 (RFC 8446, section 4.4.2).
pub fn certificates_tls13(body: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = Reader::new(body);
    let list = reader
        .vector8()
        .and_then(|_request_context| reader.vector24())
        .unwrap_or_default();
    let mut entries = Reader::new(list);
    std::iter::from_fn(|| {
        let certificate = entries.vector24()?;
        // The last entry may have been cut before its extensions.
        let _ = entries.vector16();
        Some(certificate.to_vec())
    })
    .take(MAXIMUM_CHAIN)
    .collect()
}

/// The Certificate message inside a CompressedCertificate (RFC 8879, section 4). `None`
/// for algorithms other than zlib, and when the sender lied about the length.
pub fn uncompressed_certificate(body: &[u8]) -> Option<Vec<u8>> {
    const ZLIB: u16 = 1;
    let mut reader = Reader::new(body);
    let algorithm = reader.u16()?;
    let length = reader.u24()?;
    let compressed = reader.vector24()?;
    if algorithm != ZLIB || length > MAXIMUM_UNCOMPRESSED {
        return None;
    }
    let mut message = Vec::new();
    flate2::read::ZlibDecoder::new(compressed)
        .take(MAXIMUM_UNCOMPRESSED as u64)
        .read_to_end(&mut message)
        .ok()?;
    (message.len() == length).then_some(message)
}

/// The group of a ServerKeyExchange: a named curve (RFC 8422, section 5.4), or the size of
/// the prime of a finite-field exchange (RFC 5246, section 7.4.3).
pub fn key_exchange_group(cipher_suite: u16, body: &[u8]) -> Option<String> {
    use tls_parser::TlsCipherKx;
    const NAMED_CURVE: u8 = 3;
    let suite = tls_parser::TlsCipherSuite::from_id(cipher_suite)?;
    let mut reader = Reader::new(body);
    match suite.kx {
        TlsCipherKx::Ecdhe | TlsCipherKx::Ecdh => {
            (reader.u8()? == NAMED_CURVE).then_some(())?;
            Some(names::group(reader.u16()?))
        }
        TlsCipherKx::Dhe | TlsCipherKx::Dh => {
            let prime = reader.vector16()?;
            let zeros = prime.iter().take_while(|byte| **byte == 0).count();
            let first = prime.get(zeros)?;
            let bits = (prime.len() - zeros) * 8 - first.leading_zeros() as usize;
            Some(format!("DH {bits}"))
        }
        _ => None,
    }
}
