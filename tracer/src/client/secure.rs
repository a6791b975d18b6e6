//! TLS: which certificates are trusted, which protocols offered.

use super::request::Request;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, KeyLog, RootCertStore,
    SignatureScheme,
};
use std::path::Path;
use std::sync::Arc;

/// Builds the TLS configuration. Reads certificate files: done before the request starts,
/// so that its time is not the request's.
///
/// # Errors
/// A sentence, when the certificates cannot be read.
pub(super) fn configuration(
    request: &Request,
    key_log: Option<Arc<dyn KeyLog>>,
) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot set TLS up: {error}; please report this defect"))?;
    let mut config = if request.insecure {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
            .with_no_client_auth()
    } else {
        let roots = roots(request.ca_certificates.as_deref())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| format!("cannot trust any certificate: {error}; install the package ca-certificates, or give --cacert"))?;
        builder.with_webpki_verifier(verifier).with_no_client_auth()
    };
    config.alpn_protocols = if request.only_http1 {
        vec![b"http/1.1".to_vec()]
    } else {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    };
    if let Some(key_log) = key_log {
        config.key_log = key_log;
    }
    Ok(Arc::new(config))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let Some(file) = file else {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        return Ok(store);
    };
    let refuse = |why: String| {
        format!(
            "cannot read the certificates of --cacert `{}`: {why}; give a file of PEM certificates",
            file.display()
        )
    };
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(error.to_string()))?;
    let (added, _) = store.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(refuse("it holds none".to_owned()));
    }
    Ok(store)
}

/// What went wrong, in words.
pub(super) fn sentence(error: Option<&rustls::Error>) -> String {
    match error {
        Some(rustls::Error::AlertReceived(alert)) => {
            format!(
                "the server refused with the TLS alert {}",
                alert_name(*alert)
            )
        }
        Some(rustls::Error::InvalidCertificate(why)) => certificate_sentence(why),
        Some(other) => other.to_string(),
        None => "the TLS handshake failed".to_owned(),
    }
}

/// The usual defects of a certificate, in words.
fn certificate_sentence(why: &CertificateError) -> String {
    let days = |from: UnixTime, to: UnixTime| to.as_secs().saturating_sub(from.as_secs()) / 86_400;
    match why {
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the server's certificate expired {} days ago",
            days(*not_after, *time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the server's certificate becomes valid in {} days",
            days(*time, *not_before)
        ),
        CertificateError::NotValidForNameContext { presented, .. } => {
            // webpki presents each name as `DnsName("...")` or `IpAddress(...)`.
            let names: Vec<&str> = presented
                .iter()
                .map(|name| name.split('"').nth(1).unwrap_or(name))
                .collect();
            format!("the server's certificate is for {}", names.join(", "))
        }
        CertificateError::UnknownIssuer => {
            "the server's certificate is signed by an unknown authority".to_owned()
        }
        other => format!("the server's certificate is not valid: {other}"),
    }
}

/// The alert's name as RFC 8446, section 6, writes it, made of rustls' own
/// (`HandshakeFailure`, `UnknownCA`).
fn alert_name(alert: AlertDescription) -> String {
    let debug = match alert {
        AlertDescription::UnrecognisedName => "UnrecognizedName".to_owned(),
        other => format!("{other:?}"),
    };
    let mut name = String::new();
    let mut after_capital = true;
    for character in debug.chars() {
        let capital = character.is_ascii_uppercase();
        if capital && !after_capital {
            name.push('_');
        }
        after_capital = capital;
        name.push(character.to_ascii_lowercase());
    }
    name
}

/// `-k`: any certificate will do, as long as the server proves to hold its key.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{AlertDescription, CertificateError, Error};
    use std::time::Duration;

    #[test]
    fn certificate_defects_are_told_in_words() {
        let at = |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(days * 86_400));
        let expired = CertificateError::ExpiredContext {
            time: at(130),
            not_after: at(100),
        };
        let stranger = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("a.test").expect("a name"),
            presented: vec!["DnsName(\"b.test\")".into(), "IpAddress(1.2.3.4)".into()],
        };
        for (why, words) in [
            (expired, "expired 30 days ago"),
            (stranger, "is for b.test, IpAddress(1.2.3.4)"),
        ] {
            let text = sentence(Some(&Error::InvalidCertificate(why)));
            assert!(text.ends_with(words), "{text}");
        }
    }

    #[test]
    fn alerts_have_the_names_of_the_rfc() {
        for (alert, name) in [
            (AlertDescription::HandshakeFailure, "handshake_failure"),
            (AlertDescription::UnknownCA, "unknown_ca"),
            (AlertDescription::UnrecognisedName, "unrecognized_name"),
        ] {
            let text = sentence(Some(&Error::AlertReceived(alert)));
            assert!(text.ends_with(&format!(" {name}")), "{text}");
        }
    }
}
