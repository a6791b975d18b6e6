//! The lab's own certificate authority: a root, an intermediate, and leaves that are good,
//! expired, or for somebody else.

use super::address::{SERVER_V4, SERVER_V6};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(86_400);

/// A chain, its key, and the names (SNI) for which the server shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub shown_for: Vec<String>,
    /// Leaf and intermediate, PEM.
    pub chain: String,
    /// PKCS#8, PEM.
    pub key: String,
}

#[derive(Debug)]
pub(super) struct Certificates {
    /// PEM.
    pub root: String,
    pub identities: Vec<Identity>,
}

/// Validity in days from now.
struct Validity {
    from: i64,
    to: i64,
}

impl Certificates {
    /// Makes all keys and certificates anew (EC P-256).
    pub fn generate() -> Result<Self, String> {
        make().map_err(|error| error.to_string())
    }
}

fn make() -> Result<Certificates, rcgen::Error> {
    let root_key = KeyPair::generate()?;
    let root_params = authority(
        "Shop Test Root CA",
        &Validity {
            from: -365,
            to: 3650,
        },
    );
    let root = root_params.self_signed(&root_key)?;
    let root_issuer = Issuer::new(root_params, root_key);

    let middle_key = KeyPair::generate()?;
    let middle_params = authority(
        "Shop Test Issuing CA 1",
        &Validity {
            from: -30,
            to: 1825,
        },
    );
    let middle = middle_params.signed_by(&middle_key, &root_issuer)?;
    let issuer = Issuer::new(middle_params, middle_key);
    let middle = middle.pem();

    let (v4, v6) = (SERVER_V4.to_string(), SERVER_V6.to_string());
    let shop = ["www.shop.test", "shop.test", &v4, &v6];
    let scenarios = [
        "plain.test",
        "redirect.test",
        "closes.test",
        "v4only.test",
        "v6only.test",
        "long.test",
        "alert.test",
    ];
    let current = Validity { from: -7, to: 83 };
    let past = Validity {
        from: -120,
        to: -30,
    };
    let identities = [
        // The first is also shown to clients that send no name.
        (shop.as_slice(), shop.as_slice(), &current),
        (&scenarios, &scenarios, &current),
        (&["badcert.test"], &["somebody-else.test"], &current),
        (&["expired.test"], &["expired.test"], &past),
    ];
    let identities = identities.map(|(shown_for, names, validity)| {
        let key = KeyPair::generate()?;
        let leaf = leaf(names, validity)?.signed_by(&key, &issuer)?;
        Ok::<_, rcgen::Error>(Identity {
            shown_for: shown_for.iter().map(|name| (*name).to_owned()).collect(),
            chain: leaf.pem() + &middle,
            key: key.serialize_pem(),
        })
    });
    Ok(Certificates {
        root: root.pem(),
        identities: identities.into_iter().collect::<Result<_, _>>()?,
    })
}

fn authority(name: &str, validity: &Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    named(&mut params, name);
    valid(&mut params, validity);
    params
}

fn leaf(names: &[&str], validity: &Validity) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let common_name = names.first().cloned().unwrap_or_default();
    let mut params = CertificateParams::new(names)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    valid(&mut params, validity);
    Ok(params)
}

fn named(params: &mut CertificateParams, name: &str) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Shop Test");
    params.distinguished_name.push(DnType::CommonName, name);
}

fn valid(params: &mut CertificateParams, validity: &Validity) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    let at = |days: i64| {
        let shift = DAY * u32::try_from(days.unsigned_abs()).unwrap_or_default();
        let at = if days < 0 {
            now.saturating_sub(shift)
        } else {
            now + shift
        };
        epoch + at
    };
    (params.not_before, params.not_after) = (at(validity.from), at(validity.to));
}

#[cfg(test)]
mod tests {
    use super::Certificates;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use std::sync::Arc;

    #[test]
    fn each_identity_is_as_good_or_bad_as_its_name_says() {
        let made = Certificates::generate().expect("certificates");
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(made.root.as_bytes()).expect("PEM");
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a verifier");
        let verdict = |name: &'static str| {
            let identity = made
                .identities
                .iter()
                .find(|identity| identity.shown_for.iter().any(|shown| shown == name))
                .expect(name);
            let chain: Vec<_> = CertificateDer::pem_slice_iter(identity.chain.as_bytes())
                .collect::<Result<_, _>>()
                .expect("PEM");
            let [leaf, middle] = chain.as_slice() else {
                panic!("a chain of two")
            };
            let server = ServerName::try_from(name).expect("a name");
            verifier
                .verify_server_cert(
                    leaf,
                    std::slice::from_ref(middle),
                    &server,
                    &[],
                    UnixTime::now(),
                )
                .map(|_| ())
                .map_err(|error| format!("{error:?}"))
        };
        for good in ["www.shop.test", "10.77.2.80", "fd77:2::80", "redirect.test"] {
            assert_eq!(verdict(good), Ok(()), "{good}");
        }
        assert!(
            verdict("badcert.test")
                .unwrap_err()
                .contains("NotValidForName")
        );
        assert!(verdict("expired.test").unwrap_err().contains("Expired"));
    }
}
