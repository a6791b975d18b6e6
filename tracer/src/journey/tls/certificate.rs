//! X.509 certificates (RFC 5280) as the report shows them.

use crate::journey::model;
use crate::protocol::text::printable;
use std::net::IpAddr;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Alternative names kept of one certificate.
const MAXIMUM_NAMES: usize = 1_000;

/// Reads a DER certificate. Of bytes that are not one only the hash is told.
pub fn certificate(der: &[u8]) -> model::Certificate {
    let sha256 = hex::encode(ring::digest::digest(&ring::digest::SHA256, der));
    let Ok((_, parsed)) = X509Certificate::from_der(der) else {
        return model::Certificate {
            subject: String::new(),
            issuer: String::new(),
            san: Vec::new(),
            not_before: String::new(),
            not_after: String::new(),
            serial: String::new(),
            sha256,
            key: "unreadable".to_owned(),
        };
    };
    model::Certificate {
        subject: printable(parsed.subject().to_string()),
        issuer: printable(parsed.issuer().to_string()),
        san: alternative_names(&parsed),
        not_before: rfc3339(parsed.validity().not_before),
        not_after: rfc3339(parsed.validity().not_after),
        serial: serial(parsed.raw_serial()),
        sha256,
        key: key(parsed.public_key()),
    }
}

/// The number without the zero byte that keeps an ASN.1 INTEGER positive.
fn serial(raw: &[u8]) -> String {
    let digits = match raw {
        [0, rest @ ..] if !rest.is_empty() => rest,
        whole => whole,
    };
    hex::encode(digits)
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    names
        .value
        .general_names
        .iter()
        .filter_map(alternative_name)
        .take(MAXIMUM_NAMES)
        .map(printable)
        .collect()
}

/// Names and addresses as they are; the other kinds with their kind in front, so that none
/// can be taken for a host name.
fn alternative_name(name: &GeneralName<'_>) -> Option<String> {
    Some(match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => address(bytes)?.to_string(),
        GeneralName::RFC822Name(name) => format!("email:{name}"),
        GeneralName::URI(uri) => format!("URI:{uri}"),
        GeneralName::DirectoryName(name) => format!("DirName:{name}"),
        _ => return None,
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn rfc3339(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// `RSA 2048`, `EC P-256`, `Ed25519`, ...; the object identifier of what has no name here.
fn key(info: &SubjectPublicKeyInfo<'_>) -> String {
    let algorithm = info.algorithm.algorithm.to_id_string();
    let name = match algorithm.as_str() {
        "1.3.101.112" => "Ed25519",
        "1.3.101.113" => "Ed448",
        "1.2.840.10040.4.1" => "DSA",
        "2.16.840.1.101.3.4.3.17" => "ML-DSA-44",
        "2.16.840.1.101.3.4.3.18" => "ML-DSA-65",
        "2.16.840.1.101.3.4.3.19" => "ML-DSA-87",
        "1.2.840.10045.2.1" => return format!("EC {}", curve(info)),
        _ => return rsa_or_identifier(info, &algorithm),
    };
    name.to_owned()
}

fn rsa_or_identifier(info: &SubjectPublicKeyInfo<'_>, algorithm: &str) -> String {
    match info.parsed() {
        Ok(PublicKey::RSA(key)) => {
            let leading = key.modulus.iter().take_while(|byte| **byte == 0).count();
            let bits = key.modulus.get(leading).map_or(0, |first| {
                (key.modulus.len() - leading) * 8 - first.leading_zeros() as usize
            });
            format!("RSA {bits}")
        }
        _ => algorithm.to_owned(),
    }
}

/// Names of NIST where there is one (SEC 2, section 3).
fn curve(info: &SubjectPublicKeyInfo<'_>) -> String {
    let identifier = info
        .algorithm
        .parameters
        .as_ref()
        .and_then(|parameters| parameters.as_oid().ok())
        .map(|oid| oid.to_id_string())
        .unwrap_or_default();
    match identifier.as_str() {
        "1.2.840.10045.3.1.7" => "P-256",
        "1.3.132.0.34" => "P-384",
        "1.3.132.0.35" => "P-521",
        "1.3.132.0.33" => "P-224",
        "1.3.132.0.10" => "secp256k1",
        "1.3.36.3.3.2.8.1.1.7" => "brainpoolP256r1",
        "1.3.36.3.3.2.8.1.1.11" => "brainpoolP384r1",
        "" => "explicit parameters",
        other => other,
    }
    .to_owned()
}

/// Whether the certificate's alternative names cover a host name (RFC 9525, section 6.3):
/// a wildcard stands for exactly the leftmost label.
pub fn covers(certificate: &model::Certificate, host: &str) -> bool {
    certificate.san.iter().any(|name| {
        name.eq_ignore_ascii_case(host)
            || name.strip_prefix("*.").is_some_and(|parent| {
                host.split_once('.').is_some_and(|(label, rest)| {
                    !label.is_empty() && rest.eq_ignore_ascii_case(parent)
                })
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(names: &[&str]) -> (model::Certificate, Vec<u8>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certified = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let der = certified.cert.der().to_vec();
        (certificate(&der), der)
    }

    #[test]
    fn a_certificate_is_described_in_words() {
        let (certificate, der) = generated(&["www.shop.test", "10.77.2.80"]);
        assert_eq!(certificate.san, ["www.shop.test", "10.77.2.80"]);
        assert_eq!(certificate.key, "EC P-256");
        assert!(certificate.not_before.ends_with("T00:00:00Z"));
        assert_eq!(
            certificate.sha256,
            hex::encode(ring::digest::digest(&ring::digest::SHA256, &der))
        );
    }

    #[test]
    fn what_is_no_certificate_has_a_hash_and_no_names() {
        let certificate = certificate(b"not DER");
        assert_eq!(certificate.key, "unreadable");
        assert_eq!(certificate.sha256.len(), 64);
        assert!(certificate.san.is_empty());
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let (certificate, _) = generated(&["*.shop.test"]);
        assert!(covers(&certificate, "WWW.shop.test"));
        assert!(!covers(&certificate, "shop.test"));
        assert!(!covers(&certificate, "a.b.shop.test"));
    }

    #[test]
    fn a_serial_number_is_shown_without_its_sign_byte() {
        assert_eq!(serial(&[0, 0xff, 1]), "ff01");
        assert_eq!(serial(&[0]), "00");
    }
}
