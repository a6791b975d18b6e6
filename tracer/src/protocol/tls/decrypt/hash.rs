//! The hashes of TLS's MACs and key schedules.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use ring::hmac as ring_hmac;

/// A hash that HMAC (RFC 2104) is used with. ring has all of them but MD5.
#[derive(Debug, Clone, Copy)]
pub enum Hash {
    Md5,
    Ring(ring_hmac::Algorithm),
}

impl Hash {
    pub const SHA1: Self = Self::Ring(ring_hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY);
    pub const SHA256: Self = Self::Ring(ring_hmac::HMAC_SHA256);
    pub const SHA384: Self = Self::Ring(ring_hmac::HMAC_SHA384);

    /// Bytes of the hash, and so of a MAC and of its key.
    pub fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Ring(algorithm) => algorithm.digest_algorithm().output_len(),
        }
    }

    /// HMAC of the parts, one after the other.
    pub fn authenticate(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Md5 => {
                // HMAC takes keys of any length, so there is no error to speak of.
                let Ok(mut context) = Hmac::<Md5>::new_from_slice(key) else {
                    return Vec::new();
                };
                parts.iter().for_each(|part| context.update(part));
                context.finalize().into_bytes().to_vec()
            }
            Self::Ring(algorithm) => {
                let key = ring_hmac::Key::new(algorithm, key);
                let mut context = ring_hmac::Context::with_key(&key);
                parts.iter().for_each(|part| context.update(part));
                context.sign().as_ref().to_vec()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202, test case 2 of both hashes.
    #[test]
    fn the_macs_are_those_of_rfc_2202() {
        let text: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        let md5 = Hash::Md5.authenticate(b"Jefe", &text);
        assert_eq!(hex::encode(&md5), "750c783e6ab0b503eaa86e310a5db738");
        let sha1 = Hash::SHA1.authenticate(b"Jefe", &text);
        assert_eq!(
            hex::encode(&sha1),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        assert_eq!(
            (Hash::Md5.length(), Hash::SHA1.length()),
            (md5.len(), sha1.len())
        );
    }
}
