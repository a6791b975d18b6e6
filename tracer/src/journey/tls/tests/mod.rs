pub(in crate::journey) mod conversation;
mod hostile;

use super::{KeyLog, Session, TlsAnalysis, analyse};
use crate::journey::bytes::TimedBytes;
use crate::journey::model::{DecryptedBy, Ech, End};
use crate::protocol::tls::handshake::{Message, message_type};
use conversation::{Conversation, Ends, NAME};
use rustls::crypto::ring;

/// Label filters for [`conversation::Log::secrets`].
fn all(_: &str) -> bool {
    true
}

fn analysis(conversation: &Conversation, secrets: &KeyLog) -> TlsAnalysis {
    analyse(
        &conversation.from_client,
        &conversation.from_server,
        secrets,
    )
    .expect("TLS")
}

/// Connects, asks, answers, closes.
fn talk(ends: &Ends) -> Conversation {
    let mut conversation = ends.connect();
    conversation.exchange();
    conversation.client_says(b"question");
    conversation.server_says(&[b'a'; 40_000]);
    conversation.close();
    conversation
}

fn plaintext(stream: Option<TimedBytes>) -> Vec<u8> {
    stream.expect("decrypted").as_slice().to_vec()
}

/// Names of messages that `end` sent, in order.
fn messages(analysis: &TlsAnalysis, end: End) -> Vec<&str> {
    let records = analysis.session.records.iter();
    records
        .filter(|record| record.end == end)
        .flat_map(|record| record.messages.iter().map(String::as_str))
        .collect()
}

#[test]
fn every_supported_suite_of_both_versions_is_opened() {
    let suites = ring::ALL_CIPHER_SUITES;
    assert_eq!(suites.len(), 9, "three of TLS 1.3, six of TLS 1.2");
    for suite in suites {
        let ends = Ends::with_suite(*suite);
        let name = format!("{:?}", suite.suite());
        // The certificate's key is of the ECDSA kind.
        if name.contains("RSA") {
            continue;
        }
        let analysis = analysis(&talk(&ends), &ends.log.secrets(all));
        let session = &analysis.session;
        assert_eq!(session.decrypted_by, DecryptedBy::Keylog, "{name}");
        assert_eq!(
            session.cipher.as_deref(),
            Some(name.replace("TLS13_", "TLS_").as_str())
        );
        assert_eq!(plaintext(analysis.client_plaintext), b"question", "{name}");
        assert_eq!(
            plaintext(analysis.server_plaintext),
            [b'a'; 40_000],
            "{name}"
        );
        let alerts: Vec<_> = session
            .alerts
            .iter()
            .map(|a| a.description.as_str())
            .collect();
        assert_eq!(alerts, ["close_notify"; 2], "{name}");
    }
}

#[test]
fn a_full_handshake_of_tls_1_3_is_told_message_by_message() {
    let ends = Ends::new(ring::default_provider());
    let analysis = analysis(&talk(&ends), &ends.log.secrets(all));
    assert_eq!(
        messages(&analysis, End::Client),
        ["ClientHello", "Finished"]
    );
    let server = messages(&analysis, End::Server);
    assert_eq!(
        server.get(..5),
        Some(
            &[
                "ServerHello",
                "EncryptedExtensions",
                "Certificate",
                "CertificateVerify",
                "Finished"
            ][..]
        )
    );
    assert!(
        server
            .iter()
            .skip(5)
            .all(|name| *name == "NewSessionTicket")
    );
    let session = &analysis.session;
    assert_eq!(session.version.as_deref(), Some("1.3"));
    assert_eq!(session.sni.as_deref(), Some(NAME));
    assert_eq!(session.alpn.as_deref(), Some("h2"));
    assert_eq!(session.alpn_offered, ["h2", "http/1.1"]);
    assert_eq!(session.group.as_deref(), Some("X25519"));
    assert_eq!(
        (session.resumed, session.round_trips),
        (Some(false), Some(1))
    );
    assert_eq!(session.ech, Ech::None);
    assert_eq!(session.certificates.len(), 1);
    assert_eq!(session.certificates[0].san, [NAME]);
    assert!(session.handshake_ns.is_some_and(|duration| duration > 0));
}

#[test]
fn without_keys_order_and_size_still_show_where_the_handshake_ends() {
    let ends = Ends::new(ring::default_provider());
    let conversation = talk(&ends);
    let open = analysis(&conversation, &ends.log.secrets(all));
    let sealed = analysis(&conversation, &KeyLog::default());
    let session = &sealed.session;
    assert_eq!(session.decrypted_by, DecryptedBy::None);
    assert_eq!(session.finished_at_ns, open.session.finished_at_ns);
    assert_eq!(session.alpn, None, "ALPN is sealed in TLS 1.3");
    assert!(session.certificates.is_empty() && session.alerts.is_empty());
    assert!(sealed.client_plaintext.is_none() && sealed.server_plaintext.is_none());
    assert_eq!(sealed.client_application_data, open.client_application_data);
    let last = |analysis: &TlsAnalysis| analysis.server_application_data.map(|span| span.1);
    assert_eq!(last(&sealed), last(&open));
    assert_eq!(
        messages(&sealed, End::Client),
        ["ClientHello", "Encrypted Handshake Message"]
    );
}

#[test]
fn tls_1_2_shows_its_handshake_and_hides_its_finished() {
    let ends = Ends::with_suite(ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
    let conversation = talk(&ends);
    let sealed = analysis(&conversation, &KeyLog::default());
    assert_eq!(
        messages(&sealed, End::Client),
        [
            "ClientHello",
            "ClientKeyExchange",
            "Encrypted Handshake Message"
        ]
    );
    let open = analysis(&conversation, &ends.log.secrets(all));
    assert_eq!(messages(&open, End::Client).last(), Some(&"Finished"));
    for analysis in [&sealed, &open] {
        let session = &analysis.session;
        assert_eq!(session.version.as_deref(), Some("1.2"));
        assert_eq!(
            (session.resumed, session.round_trips),
            (Some(false), Some(2))
        );
        assert_eq!(session.alpn.as_deref(), Some("h2"));
        assert_eq!(session.group.as_deref(), Some("X25519"));
        assert_eq!(session.certificates.len(), 1);
        assert_eq!(session.finished_at_ns, sealed.session.finished_at_ns);
        assert_eq!(
            analysis.server_application_data,
            sealed.server_application_data
        );
    }
}

#[test]
fn a_second_connection_resumes_the_first() {
    for suite in [
        ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
        ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ] {
        let ends = Ends::with_suite(suite);
        talk(&ends);
        let second = talk(&ends);
        for secrets in [KeyLog::default(), ends.log.secrets(all)] {
            let session = analysis(&second, &secrets).session;
            assert_eq!(
                (session.resumed, session.round_trips),
                (Some(true), Some(1))
            );
            assert!(session.certificates.is_empty());
        }
    }
}

#[test]
fn early_data_is_plaintext_of_the_client_and_sealed_without_its_key() {
    let mut ends = Ends::with_suite(ring::cipher_suite::TLS13_AES_128_GCM_SHA256);
    ends.client.enable_early_data = true;
    ends.server.max_early_data_size = 1_000;
    talk(&ends);
    let mut second = ends.connect();
    let mut early = second.client.early_data().expect("allowed");
    std::io::Write::write_all(&mut early, b"early ").expect("memory");
    second.exchange();
    assert!(second.client.is_early_data_accepted());
    second.client_says(b"late");
    let with = analysis(&second, &ends.log.secrets(all));
    assert!(with.session.early_data);
    assert_eq!(plaintext(with.client_plaintext), b"early late");
    assert_eq!(with.client_application_data.map(|span| span.0), Some(1));
    let not_early = |line: &str| !line.starts_with("CLIENT_EARLY");
    let without = analysis(&second, &ends.log.secrets(not_early));
    assert_eq!(plaintext(without.client_plaintext), b"late");
    assert_eq!(without.session.finished_at_ns, with.session.finished_at_ns);
    let sealed = analysis(&second, &KeyLog::default());
    assert_eq!(
        sealed.session.finished_at_ns, None,
        "nothing proves which record it is"
    );
}

#[test]
fn data_after_a_key_update_is_opened() {
    let ends = Ends::with_suite(ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256);
    let mut conversation = ends.connect();
    conversation.exchange();
    conversation.client_says(b"one ");
    conversation.client.refresh_traffic_keys().expect("TLS 1.3");
    conversation.client_says(b"two ");
    conversation.server_says(b"three");
    let analysis = analysis(&conversation, &ends.log.secrets(all));
    assert_eq!(messages(&analysis, End::Client).last(), Some(&"KeyUpdate"));
    assert_eq!(messages(&analysis, End::Server).last(), Some(&"KeyUpdate"));
    assert_eq!(plaintext(analysis.client_plaintext), b"one two ");
    assert_eq!(plaintext(analysis.server_plaintext), b"three");
}

#[test]
fn a_hello_retry_costs_a_round_trip() {
    let mut ends = Ends::new(ring::default_provider());
    let mut provider = ring::default_provider();
    provider.kx_groups = vec![ring::kx_group::SECP384R1];
    ends.server = Ends::new(provider).server;
    let mut conversation = ends.connect();
    conversation.exchange();
    let session = analysis(&conversation, &KeyLog::default()).session;
    assert!(session.hello_retry);
    assert_eq!(session.round_trips, Some(2));
    assert_eq!(session.group.as_deref(), Some("secp384r1"));
    assert_eq!(session.client_hello_at_ns, Some(1));
    let names: Vec<_> = session
        .records
        .iter()
        .flat_map(|record| &record.messages)
        .take(4)
        .collect();
    assert_eq!(
        names,
        [
            "ClientHello",
            "HelloRetryRequest",
            "ClientHello",
            "ServerHello"
        ]
    );
    let shares = session.client_hello.map(|hello| hello.key_shares);
    assert_eq!(
        shares.as_deref(),
        Some(&["X25519".to_owned()][..]),
        "of the first hello"
    );
}

#[test]
fn a_refused_handshake_ends_with_an_alert_by_name() {
    let mut ends = Ends::with_suite(ring::cipher_suite::TLS13_AES_128_GCM_SHA256);
    ends.server = Ends::with_suite(ring::cipher_suite::TLS13_AES_256_GCM_SHA384).server;
    let mut conversation = ends.connect();
    conversation.exchange();
    let session = analysis(&conversation, &KeyLog::default()).session;
    assert_eq!(session.alerts.len(), 1);
    let alert = &session.alerts[0];
    assert_eq!(
        (alert.end, alert.level.as_str(), alert.description.as_str()),
        (End::Server, "fatal", "handshake_failure")
    );
    assert_eq!((session.version, session.round_trips), (None, None));
    assert_eq!(session.sni.as_deref(), Some(NAME));
}

#[test]
fn the_alert_of_a_client_that_distrusts_the_certificate_is_read_with_keys() {
    let mut ends = Ends::new(ring::default_provider());
    ends.server = Ends::new(ring::default_provider()).server;
    let mut conversation = ends.connect();
    conversation.exchange();
    let open = analysis(&conversation, &ends.log.secrets(all)).session;
    assert_eq!(open.alerts[0].end, End::Client);
    assert_eq!(open.alerts[0].level, "fatal");
    assert_eq!(open.finished_at_ns, None);
    let sealed = analysis(&conversation, &KeyLog::default());
    assert_eq!(
        sealed.session.finished_at_ns, None,
        "an alert is not a Finished"
    );
    assert_eq!(sealed.client_application_data, None);
}

#[test]
fn a_damaged_record_is_a_hole_in_the_plaintext_and_the_rest_is_opened() {
    let ends = Ends::new(ring::default_provider());
    let mut conversation = ends.connect();
    conversation.exchange();
    let before = conversation.from_client.len();
    for text in [&b"first"[..], b"second", b"third"] {
        conversation.client_says(text);
    }
    let mut bytes = conversation.from_client.as_slice().to_vec();
    // The second record starts after one of five bytes, 17 of sealing and a header.
    let second = before + 5 + 17 + 5;
    bytes[second + 7] ^= 1;
    let mut damaged = TimedBytes::default();
    damaged.push(&bytes, 1);
    let analysis = analyse(&damaged, &conversation.from_server, &ends.log.secrets(all));
    let plaintext = analysis.expect("TLS").client_plaintext.expect("decrypted");
    assert_eq!(plaintext.as_slice(), b"first\0\0\0\0\0\0third");
    assert_eq!(plaintext.next_hole(0), Some((5, 6)));
}

#[test]
fn a_capture_that_breaks_off_keeps_what_came_before() {
    let ends = Ends::new(ring::default_provider());
    let mut conversation = ends.connect();
    conversation.exchange();
    conversation.server_says(&[b'a'; 20_000]);
    let whole = conversation.from_server.as_slice().to_vec();
    let mut stream = TimedBytes::default();
    // The first record of 16 KiB is there, and the header of the second.
    let cut = whole.len() - 3_600;
    stream.push(&whole[..cut], 1);
    stream.push_hole(whole.len() - cut, 9);
    let secrets = ends.log.secrets(all);
    let analysis = analyse(&conversation.from_client, &stream, &secrets).expect("TLS");
    // The record that reaches into the hole was on the wire, so its time and length count.
    assert_eq!(analysis.server_application_data.map(|span| span.1), Some(9));
    assert_eq!(
        analysis.server_plaintext.expect("decrypted").next_hole(0),
        Some((16_384, 20_000 - 16_384))
    );
}

#[test]
fn a_lost_certificate_does_not_look_like_a_resumption() {
    let ends = Ends::with_suite(ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
    let mut conversation = ends.connect();
    conversation.exchange();
    let whole = conversation.from_server.as_slice();
    // rustls puts the whole flight into one record; the headers are there, the rest of its
    // body after the ServerHello is not.
    let first = 5 + usize::from(u16::from_be_bytes([whole[3], whole[4]]));
    let hello = 5 + 4 + usize::from(u16::from_be_bytes([whole[7], whole[8]]));
    let mut split = vec![22, 3, 3];
    split.extend(u16::try_from(hello - 5).expect("short").to_be_bytes());
    split.extend(&whole[5..hello]);
    split.extend([22, 3, 3]);
    split.extend(u16::try_from(first - hello).expect("short").to_be_bytes());
    let mut server = TimedBytes::default();
    server.push(&split, 1);
    server.push_hole(first - hello, 1);
    server.push(&whole[first..], 2);
    let analysis = analyse(&conversation.from_client, &server, &KeyLog::default());
    let session = analysis.expect("TLS").session;
    assert_eq!(session.version.as_deref(), Some("1.2"));
    assert_eq!((session.resumed, session.round_trips), (None, None));
}

#[test]
fn what_is_not_tls_is_not_analysed() {
    let mut http = TimedBytes::default();
    http.push(b"GET / HTTP/1.1\r\n\r\n", 1);
    let nothing = TimedBytes::default();
    assert!(analyse(&http, &nothing, &KeyLog::default()).is_none());
    assert!(analyse(&nothing, &nothing, &KeyLog::default()).is_none());
    let ends = Ends::new(ring::default_provider());
    let mut conversation = ends.connect();
    conversation.exchange();
    assert!(analyse(&http, &conversation.from_server, &KeyLog::default()).is_none());
    let server_only = analyse(&nothing, &conversation.from_server, &KeyLog::default());
    let session = server_only.expect("TLS").session;
    assert_eq!(session.version.as_deref(), Some("1.3"));
    assert_eq!(session.sni, None);
}

#[test]
fn a_stream_that_begins_in_the_middle_shows_its_records() {
    let mut stream = TimedBytes::default();
    stream.push(&[23, 3, 3, 0, 2, 1, 1], 5);
    let analysis = analyse(&stream, &TimedBytes::default(), &KeyLog::default()).expect("TLS");
    assert_eq!(analysis.session.version, None);
    assert_eq!(analysis.session.records.len(), 1);
    assert_eq!(analysis.client_application_data, Some((5, 5)));
}

/// A ClientHello in the format of SSLv2 (RFC 5246, appendix E.2) that offers AES128-SHA and
/// a cipher of SSLv2.
fn ssl2_hello() -> Vec<u8> {
    let mut body = vec![1, 3, 1, 0, 6, 0, 0, 0, 16, 0, 0, 0x2f, 1, 0, 0x80];
    body.extend([7; 16]);
    let length = u8::try_from(body.len()).expect("short");
    [&[0x80, length], body.as_slice()].concat()
}

#[test]
fn a_hello_in_the_format_of_sslv2_begins_a_session() {
    let mut client = TimedBytes::default();
    client.push(&ssl2_hello(), 5);
    let mut server = TimedBytes::default();
    let mut hello = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    hello.extend([9; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    server.push(&hello, 8);
    let session = analyse(&client, &server, &KeyLog::default())
        .expect("TLS")
        .session;
    assert_eq!(session.client_hello_at_ns, Some(5));
    assert_eq!(session.version.as_deref(), Some("1.0"));
    assert_eq!(
        session.cipher.as_deref(),
        Some("TLS_RSA_WITH_AES_128_CBC_SHA")
    );
    let hello = session.client_hello.expect("read");
    assert!(
        hello
            .cipher_suites
            .contains(&"SSL_CK_RC4_128_WITH_MD5".to_owned()),
        "{hello:?}"
    );
    assert_eq!(session.sni, None);
}

/// What a client says that offers encrypted_client_hello for `NAME`.
fn ech_hello() -> Vec<u8> {
    let name = NAME.as_bytes();
    let length = u8::try_from(name.len()).expect("short");
    let mut extensions = vec![0, 0, 0, length + 5, 0, length + 3, 0, 0, length];
    extensions.extend(name);
    extensions.extend([0xfe, 0x0d, 0, 1, 0]);
    let mut body = vec![3, 3];
    body.extend([1; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0]);
    body.push(u8::try_from(extensions.len()).expect("short"));
    body.extend(extensions);
    body
}

fn message(kind: u8, body: Vec<u8>) -> Message {
    Message {
        kind,
        body,
        first_at_ns: 1,
        last_at_ns: 1,
    }
}

fn certificate_for(name: &str) -> Message {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let der = certified.cert.der().to_vec();
    let length = |length: usize| u32::try_from(length).expect("short").to_be_bytes()[1..].to_vec();
    let body = [length(der.len() + 3), length(der.len()), der].concat();
    message(message_type::CERTIFICATE, body)
}

/// How an offer looks after a whole handshake with a certificate for `name`.
fn ech_after(name: &str, refused: bool) -> Ech {
    const ECH_REQUIRED: u8 = 121;
    let mut session = Session::default();
    session.message(
        End::Client,
        &message(message_type::CLIENT_HELLO, ech_hello()),
    );
    session.message(End::Server, &certificate_for(name));
    session.finished(2);
    if refused {
        session.alert(End::Client, 2, ECH_REQUIRED, 3);
    }
    session.into_model(&KeyLog::default()).ech
}

#[test]
fn an_offer_of_ech_is_grease_only_where_the_certificate_proves_it() {
    assert_eq!(ech_after(NAME, false), Ech::Grease);
    assert_eq!(ech_after("hidden.test", false), Ech::Offered);
    assert_eq!(ech_after(NAME, true), Ech::Offered);
    let mut session = Session::default();
    session.message(
        End::Client,
        &message(message_type::CLIENT_HELLO, ech_hello()),
    );
    let session = session.into_model(&KeyLog::default());
    assert_eq!(session.ech, Ech::Offered, "nothing is proven yet");
    assert_eq!(session.sni.as_deref(), Some(NAME));
}
