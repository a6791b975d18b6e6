//! TLS on ports of all kinds, behind STARTTLS and inside tunnels: what the URL may say.

use super::*;
use crate::journey::model::{DecryptedBy, Document, End};
use crate::journey::tls::tests::conversation::{Conversation, Ends, NAME};
use crate::journey::wanted::Wanted;
use rustls::crypto::ring;

/// The server, or the proxy, of these tests.
fn peer(port: u16) -> (Ipv4Addr, u16) {
    (server(80), port)
}

/// Both ends, which offer and know these application protocols.
fn ends(protocols: &[&str]) -> Ends {
    let mut ends = Ends::new(ring::default_provider());
    let names: Vec<_> = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    ends.client.alpn_protocols.clone_from(&names);
    ends.server.alpn_protocols = names;
    ends
}

/// A handshake, then what both say.
fn conversation(ends: &Ends, request: &[u8], response: &[u8]) -> Conversation {
    let mut conversation = ends.connect();
    conversation.exchange();
    conversation.client_says(request);
    conversation.server_says(response);
    conversation
}

/// A capture in the making: one connection, followed as a file is.
struct Capture {
    script: Script,
    wire: Wire,
}

impl Capture {
    fn to(port: u16) -> Self {
        let mut script = Script::new(false);
        let wire = script.connect(40_000, peer(port));
        Self { script, wire }
    }

    fn says(mut self, out: bool, text: &[u8]) -> Self {
        self.script.segment(&mut self.wire, out, Flags::Ack, text);
        self
    }

    /// The segments of both ends in order of their time.
    fn carries(self, conversation: &Conversation) -> Self {
        self.carries_from(true, conversation)
    }

    /// The same, with the session's client at the end that opened the connection, or not.
    fn carries_from(mut self, opener: bool, conversation: &Conversation) -> Self {
        let client = conversation
            .from_client
            .runs()
            .map(|run| (run.at_ns, opener, run.data));
        let server = conversation
            .from_server
            .runs()
            .map(|run| (run.at_ns, !opener, run.data));
        let mut runs: Vec<_> = client.chain(server).collect();
        runs.sort_by_key(|(at_ns, _, _)| *at_ns);
        for (_, out, data) in runs {
            self = self.says(out, data);
        }
        self
    }

    fn knows(mut self, ends: &Ends) -> Self {
        for line in ends.log.lines() {
            self.script.fact(Fact::TlsSecret(line));
        }
        self
    }

    fn document(mut self) -> Document {
        self.script.close(&mut self.wire);
        self.script.finish().document
    }
}

fn urls(document: &Document) -> Vec<&str> {
    let journeys = document.journeys.iter();
    journeys
        .map(|it| it.url.as_deref().unwrap_or("?"))
        .collect()
}

fn sealed_url(port: u16, protocols: &[&str]) -> String {
    let conversation = conversation(&ends(protocols), b"question", b"answer");
    let document = Capture::to(port).carries(&conversation).document();
    assert_eq!(document.journeys.len(), 1);
    let journey = &document.journeys[0];
    let url = journey.url.clone().expect("a URL");
    let scheme = journey.scheme.as_deref().expect("a scheme");
    assert!(url.starts_with(&format!("{scheme}://{NAME}")), "{url}");
    assert_eq!(journey.port, Some(port));
    url
}

#[test]
fn a_sealed_connection_is_called_by_the_service_of_its_port() {
    let cases = [
        (443, "https://www.shop.test/"),
        (8443, "https://www.shop.test:8443/"),
        (465, "smtps://www.shop.test:465/"),
        (636, "ldaps://www.shop.test:636/"),
        (853, "tls://www.shop.test:853/"),
        (993, "imaps://www.shop.test:993/"),
        (995, "pop3s://www.shop.test:995/"),
        (5061, "sips://www.shop.test:5061/"),
        (8883, "mqtts://www.shop.test:8883/"),
        (50_123, "tls://www.shop.test:50123/"),
    ];
    for (port, url) in cases {
        assert_eq!(sealed_url(port, &[]), url);
    }
}

#[test]
fn what_was_offered_says_more_than_the_port() {
    let cases: [(u16, &[&str], &str); 6] = [
        (50_123, &["h2", "http/1.1"], "https://www.shop.test:50123/"),
        (993, &["http/1.1"], "https://www.shop.test:993/"),
        (50_123, &["imap"], "imaps://www.shop.test:50123/"),
        (853, &["dot"], "tls://www.shop.test:853/"),
        (443, &["acme-tls/1"], "tls://www.shop.test:443/"),
        (443, &["something", "mqtt"], "mqtts://www.shop.test:443/"),
    ];
    for (port, protocols, url) in cases {
        assert_eq!(sealed_url(port, protocols), url);
    }
}

#[test]
fn http_that_was_read_is_https_on_any_port() {
    let ends = ends(&[]);
    let request = b"GET /mail HTTP/1.1\r\nHost: www.shop.test:993\r\n\r\n";
    let conversation = conversation(&ends, request, b"HTTP/1.1 204 No Content\r\n\r\n");
    let document = Capture::to(993)
        .knows(&ends)
        .carries(&conversation)
        .document();
    assert_eq!(urls(&document), ["https://www.shop.test:993/mail"]);
    assert_eq!(document.journeys[0].scheme.as_deref(), Some("https"));
}

/// Whether the client says it, and what.
type Said = (bool, &'static [u8]);

/// Who speaks and what, until TLS begins: RFC 3207, RFC 9051, RFC 2595, RFC 4217, RFC 4642,
/// RFC 4511, RFC 6120, and the manuals of `PostgreSQL` and `MySQL`.
fn greetings() -> Vec<(u16, &'static str, Vec<Said>)> {
    vec![
        (
            25,
            "smtp",
            vec![
                (false, b"220 mail.shop.test ESMTP\r\n"),
                (true, b"EHLO client\r\n"),
                (false, b"250-mail.shop.test\r\n250 STARTTLS\r\n"),
                (true, b"STARTTLS\r\n"),
                (false, b"220 go ahead\r\n"),
            ],
        ),
        (
            143,
            "imap",
            vec![
                (false, b"* OK ready\r\n"),
                (true, b"a STARTTLS\r\n"),
                (false, b"a OK begin\r\n"),
            ],
        ),
        (
            110,
            "pop3",
            vec![
                (false, b"+OK ready\r\n"),
                (true, b"STLS\r\n"),
                (false, b"+OK begin\r\n"),
            ],
        ),
        (
            21,
            "ftp",
            vec![
                (false, b"220 ready\r\n"),
                (true, b"AUTH TLS\r\n"),
                (false, b"234 begin\r\n"),
            ],
        ),
        (
            119,
            "nntp",
            vec![
                (false, b"200 ready\r\n"),
                (true, b"STARTTLS\r\n"),
                (false, b"382 begin\r\n"),
            ],
        ),
        (
            389,
            "ldap",
            vec![
                (
                    true,
                    b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037",
                ),
                (
                    false,
                    b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
                ),
            ],
        ),
        (
            5222,
            "xmpp",
            vec![
                (true, b"<stream:stream to='shop.test' version='1.0'>"),
                (
                    false,
                    b"<stream:stream id='1'><stream:features><starttls/></stream:features>",
                ),
                (true, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
                (false, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            ],
        ),
        (
            5432,
            "postgresql",
            vec![(true, b"\0\0\0\x08\x04\xd2\x16\x2f"), (false, b"S")],
        ),
        (
            3306,
            "mysql",
            vec![
                (false, b"\x0a\0\0\0\x0a8.0.1\0\x08\0\0\0"),
                (true, b"\x20\0\0\x01\x05\xae\x03\0\0\0\0\x01\x08\0\0\0"),
            ],
        ),
        (
            50_025,
            "tls",
            vec![(false, b"hello\r\n"), (true, b"secure\r\n")],
        ),
    ]
}

#[test]
fn tls_after_a_greeting_is_found_and_never_called_https() {
    let conversation = conversation(&ends(&[]), b"question", b"answer");
    for (port, scheme, greeting) in greetings() {
        let mut capture = Capture::to(port);
        for (out, text) in greeting {
            capture = capture.says(out, text);
        }
        let document = capture.carries(&conversation).document();
        let tls = document.connections[0].tls.as_ref().expect(scheme);
        assert_eq!(tls.sni.as_deref(), Some(NAME), "{scheme}");
        assert_eq!(tls.version.as_deref(), Some("1.3"), "{scheme}");
        assert_eq!(urls(&document), [format!("{scheme}://{NAME}:{port}/")]);
    }
}

#[test]
fn what_is_said_after_starttls_is_opened_with_the_keys() {
    let ends = ends(&[]);
    let conversation = conversation(&ends, b"EHLO client\r\n", b"250 mail.shop.test\r\n");
    let document = Capture::to(25)
        .knows(&ends)
        .says(false, b"220 mail.shop.test ESMTP\r\n")
        .says(true, b"STARTTLS\r\n")
        .says(false, b"220 go ahead\r\n")
        .carries(&conversation)
        .document();
    let connection = &document.connections[0];
    let tls = connection.tls.as_ref().expect("TLS");
    assert_eq!(tls.decrypted_by, DecryptedBy::Keylog);
    assert!(connection.http.is_empty(), "SMTP is not HTTP");
    assert_eq!(urls(&document), ["smtp://www.shop.test:25/"]);
}

#[test]
fn keys_that_come_long_after_the_close_open_what_is_behind_starttls_and_in_tunnels() {
    let ends = ends(&[]);
    let conversation = conversation(&ends, b"question", b"answer");
    let asks = [
        [&b"STARTTLS\r\n"[..], b"220 go ahead\r\n"],
        [&connect_to("www.shop.test:443"), GRANTED],
    ];
    for [asked, granted] in asks {
        let mut script = Script::of_file(Limits::default());
        let wire = script.wire(40_000, peer(3128));
        let mut capture = Capture { script, wire };
        capture.script.open(&mut capture.wire);
        let mut capture = capture
            .says(true, asked)
            .says(false, granted)
            .carries(&conversation);
        capture.script.close(&mut capture.wire);
        capture.script.wait(60 * SECOND);
        let mut other = capture.script.wire(40_001, peer(80));
        capture.script.open(&mut other);
        let document = capture.knows(&ends).script.finish().document;
        let tls = document.connections[0].tls.as_ref().expect("TLS");
        assert_eq!(tls.decrypted_by, DecryptedBy::Keylog);
    }
}

const GRANTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

fn connect_to(target: &str) -> Vec<u8> {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").into_bytes()
}

fn proxy_findings(journey: &Journey) -> Vec<&str> {
    let findings = journey.findings.iter();
    let proxies = findings.filter(|finding| finding.kind == "proxy");
    proxies.map(|finding| finding.message.as_str()).collect()
}

#[test]
fn a_sealed_tunnel_is_called_by_its_target_and_names_the_proxy() {
    let conversation = conversation(&ends(&["h2"]), b"question", b"answer");
    let document = Capture::to(3128)
        .says(true, &connect_to("www.shop.test:443"))
        .says(false, GRANTED)
        .carries(&conversation)
        .document();
    assert_eq!(urls(&document), ["https://www.shop.test/"]);
    let journey = &document.journeys[0];
    assert_eq!(journey.port, Some(443));
    assert_eq!(journey.host.as_deref(), Some("www.shop.test"));
    assert_eq!(
        proxy_findings(journey),
        ["sent through the proxy 10.77.2.80:3128"]
    );
    let connection = &document.connections[0];
    assert_eq!(connection.server.port, 3128);
    let tls = connection.tls.as_ref().expect("TLS in the tunnel");
    assert_eq!(tls.sni.as_deref(), Some(NAME));
}

#[test]
fn requests_in_a_tunnel_are_those_of_the_target() {
    let ends = ends(&["http/1.1"]);
    let request = b"GET /basket HTTP/1.1\r\nHost: www.shop.test\r\n\r\n";
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let conversation = conversation(&ends, request, response);
    let document = Capture::to(3128)
        .knows(&ends)
        .says(true, &connect_to("www.shop.test:443"))
        .says(false, GRANTED)
        .carries(&conversation)
        .document();
    let http = &document.connections[0].http;
    let told: Vec<_> = http
        .iter()
        .map(|it| (it.method.as_deref().unwrap_or_default(), it.status))
        .collect();
    assert_eq!(told, [("CONNECT", Some(200)), ("GET", Some(200))]);
    assert_eq!(
        urls(&document),
        ["https://www.shop.test/", "https://www.shop.test/basket"]
    );
    assert!(document.journeys.iter().all(|it| it.port == Some(443)));
}

/// The kernel tells of connections, and knows nothing of what is asked for in them.
#[test]
fn a_port_that_is_wanted_is_the_proxys_and_not_the_targets() {
    for (port, told) in [(3128, 1), (443, 0)] {
        let mut capture = Capture::to(3128);
        capture.script.assembler.tell_only(Wanted {
            port: Some(port),
            ..Wanted::default()
        });
        let mut capture = capture
            .says(true, &connect_to("www.shop.test:443"))
            .says(false, GRANTED)
            .carries(&conversation(&ends(&["h2"]), b"question", b"answer"));
        capture.script.close(&mut capture.wire);
        let journeys = capture.script.assembler.take_remaining().journeys;
        assert_eq!(journeys.len(), told, "{port}");
    }
}

/// A frame of HTTP/2 on stream 1 (RFC 9113, section 4.1).
fn http2_frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    let stream = u8::from(kind != 4);
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn http_2_is_read_inside_a_tunnel() {
    let ends = ends(&["h2"]);
    // GET, https, /, and the authority as a literal (RFC 7541, appendix A and section 6.2.1).
    let mut head = vec![
        0x82,
        0x87,
        0x84,
        0x41,
        u8::try_from(NAME.len()).expect("short"),
    ];
    head.extend(NAME.as_bytes());
    let settings = http2_frame(4, 0, &[]);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let request = [preface, &settings[..], &http2_frame(1, 5, &head)].concat();
    let response = [&settings[..], &http2_frame(1, 5, &[0x88])].concat();
    let conversation = conversation(&ends, &request, &response);
    let document = Capture::to(3128)
        .knows(&ends)
        .says(true, &connect_to("www.shop.test:8443"))
        .says(false, GRANTED)
        .carries(&conversation)
        .document();
    let http = &document.connections[0].http;
    assert_eq!(http.len(), 2);
    assert_eq!((http[1].version.as_str(), http[1].status), ("2", Some(200)));
    assert_eq!(urls(&document)[0], "https://www.shop.test:8443/");
    assert_eq!(document.journeys[1].port, Some(8443));
}

#[test]
fn a_refused_tunnel_is_still_about_its_target() {
    let document = Capture::to(3128)
        .says(true, &connect_to("[fd77:2::80]:443"))
        .says(
            false,
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        )
        .document();
    assert_eq!(urls(&document), ["https://[fd77:2::80]/"]);
    let journey = &document.journeys[0];
    assert_eq!(journey.host.as_deref(), Some("fd77:2::80"));
    assert_eq!(proxy_findings(journey).len(), 1);
}

#[test]
fn a_request_in_absolute_form_is_for_another_server() {
    let document = Capture::to(3128)
        .says(
            true,
            b"GET http://www.shop.test/x HTTP/1.1\r\nHost: www.shop.test\r\n\r\n",
        )
        .says(false, b"HTTP/1.1 204 No Content\r\n\r\n")
        .document();
    let journey = &document.journeys[0];
    assert_eq!(journey.url.as_deref(), Some("http://www.shop.test/x"));
    assert_eq!(journey.port, Some(80));
    assert_eq!(proxy_findings(journey).len(), 1);
}

#[test]
fn a_request_to_its_own_server_has_no_proxy() {
    let document = Capture::to(8080)
        .says(
            true,
            b"GET /?to=http://x.test/ HTTP/1.1\r\nHost: www.shop.test:8080\r\n\r\n",
        )
        .says(false, b"HTTP/1.1 204 No Content\r\n\r\n")
        .document();
    let journey = &document.journeys[0];
    assert_eq!(journey.port, Some(8080));
    assert_eq!(proxy_findings(journey).len(), 0);
}

#[test]
fn a_server_that_speaks_no_tls_is_heard_in_clear() {
    let mut conversation = ends(&["http/1.1"]).connect();
    conversation.exchange();
    let hello = conversation.from_client.runs().next().expect("a hello");
    let document = Capture::to(80)
        .says(true, hello.data)
        .says(
            false,
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        )
        .document();
    let connection = &document.connections[0];
    let sni = connection.tls.as_ref().and_then(|tls| tls.sni.as_deref());
    assert_eq!(sni, Some(NAME));
    let answers: Vec<_> = connection
        .http
        .iter()
        .map(|it| (it.asked(), it.status))
        .collect();
    assert_eq!(answers, [(None, Some(400))]);
}

#[test]
fn tls_that_the_accepting_end_begins_is_read_from_that_end() {
    let ends = ends(&["http/1.1"]);
    let request = b"GET /turned HTTP/1.1\r\nHost: www.shop.test\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let conversation = conversation(&ends, request, answer);
    let document = Capture::to(7443)
        .carries_from(false, &conversation)
        .knows(&ends)
        .document();
    let connection = &document.connections[0];
    assert_eq!(connection.requester, End::Server);
    let tls = connection.tls.as_ref().expect("TLS");
    assert_eq!(tls.sni.as_deref(), Some(NAME));
    assert!(tls.version.is_some() && tls.cipher.is_some());
    assert_eq!(tls.records[0].messages, ["ClientHello"]);
    assert_eq!(tls.records[0].end, End::Server);
    assert_eq!(connection.http[0].status, Some(200));
    // The port is that of the end that asks: nobody asked for it.
    assert_eq!(urls(&document), ["https://www.shop.test/turned"]);
    assert_eq!(document.journeys[0].port, None);
    let sealed = Capture::to(7443)
        .carries_from(false, &conversation)
        .document();
    assert_eq!(urls(&sealed), ["https://www.shop.test/"]);
    check(&sealed.journeys[0]);
}
