//! The TLS handshake.

use crate::journey::model::{Connection, Ech, Journey, Tls};
use crate::report::style::Role;
use crate::report::text::sentence::Sentence;
use crate::report::units;

/// `X25519, AES-256-GCM, h2, full handshake, 1 round trip, chain of 2`.
pub(in crate::report::text) fn tls(journey: &Journey, connection: Option<&Connection>) -> Sentence {
    let mut sentence = Sentence::default();
    let Some(session) = connection.and_then(|connection| connection.tls.as_ref()) else {
        return sentence;
    };
    if journey.reused_connection && journey.phases.tls.is_none() {
        return sentence;
    }
    if let Some(group) = &session.group {
        sentence.fact(group.clone());
    }
    if let Some(cipher) = &session.cipher {
        sentence.fact(short_cipher(cipher));
    }
    if let Some(protocol) = &session.alpn {
        sentence.fact(protocol.clone());
    }
    kind(&mut sentence, session);
    chain(&mut sentence, session);
    for alert in &session.alerts {
        // close_notify is the ordinary goodbye (RFC 8446, section 6.1).
        if alert.description != "close_notify" {
            let text = format!(
                "{} alert {} by the {}",
                alert.level,
                alert.description,
                alert.end.name()
            );
            sentence.fact_in(Role::Bad, text);
        }
    }
    sentence
}

fn kind(sentence: &mut Sentence, session: &Tls) {
    match session.resumed {
        Some(true) => sentence.fact("resumed"),
        Some(false) => sentence.fact("full handshake"),
        None => {}
    }
    if let Some(trips) = session.round_trips {
        sentence.fact(units::counted(u64::from(trips), "round trip"));
    }
    if session.hello_retry {
        sentence.fact_in(Role::Warning, "hello retry");
    }
    if session.early_data {
        sentence.fact("early data");
    }
    if session.ech == Ech::Offered {
        sentence.fact("ECH");
    }
}

fn chain(sentence: &mut Sentence, session: &Tls) {
    match session.certificates.len() {
        // A resumed session has no chain; a full one whose chain is not seen hides it
        // behind the handshake's own keys (TLS 1.3).
        0 if session.resumed == Some(true) => {}
        0 if session.version.as_deref() == Some("1.3") => {
            sentence.fact("certificates encrypted");
        }
        0 => {}
        length => sentence.fact(format!("chain of {length}")),
    }
}

/// `AES-256-GCM` for `TLS_AES_256_GCM_SHA384`, `ECDHE-RSA AES-128-GCM` for
/// `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`: the part people compare.
fn short_cipher(name: &str) -> String {
    let Some(rest) = name.strip_prefix("TLS_") else {
        return name.into();
    };
    let (exchange, bulk) = match rest.split_once("_WITH_") {
        Some((exchange, bulk)) => (format!("{} ", exchange.replace('_', "-")), bulk),
        None => (String::new(), rest),
    };
    let bulk = ["_SHA256", "_SHA384"]
        .iter()
        .find_map(|hash| bulk.strip_suffix(hash))
        .unwrap_or(bulk);
    format!("{exchange}{}", bulk.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::short_cipher;

    #[test]
    fn cipher_names_lose_what_nobody_compares() {
        let expected = [
            ("TLS_AES_256_GCM_SHA384", "AES-256-GCM"),
            ("TLS_CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
            (
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "ECDHE-RSA AES-128-GCM",
            ),
            ("TLS_RSA_WITH_AES_128_CBC_SHA", "RSA AES-128-CBC-SHA"),
            ("0x1302", "0x1302"),
        ];
        for (name, short) in expected {
            assert_eq!(short_cipher(name), short);
        }
    }
}
