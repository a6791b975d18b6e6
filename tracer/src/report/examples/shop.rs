//! The demo's journey: every phase happens and is seen in full.

use super::pieces::*;
use crate::capture::{FileOpen, HookKind};
use crate::journey::model::*;

const URL: &str = "https://www.shop.test/";
const START: u64 = 2_000_000;

/// `https://www.shop.test/` through a chain of aliases and a gateway, all caches cold.
pub fn shop() -> Document {
    let mut document = super::document(
        &["tracer", "demo"],
        vec![the_journey()],
        vec![the_connection()],
        queries(),
        vec![neighbor("n1", at(1_420), "10.77.1.1")],
    );
    document.capture.duration_ns = 12_400_000;
    document.capture.cost = Some(cost());
    document
}

/// The same, asked for as `http://shop.test/` and redirected.
pub fn redirected() -> Document {
    let mut document = shop();
    let mut first = journey("j0", "http://shop.test/", 200_000, 1_700);
    first.resolution.chain = vec!["shop.test".into()];
    first.resolution.addresses = vec![ip("10.77.2.80")];
    first.route = route_by_gateway("10.77.2.80");
    first.phases = Phases {
        resolve: phase(200_000, 40, 410),
        connect: phase(200_000, 470, 230),
        request: phase(200_000, 720, 30),
        wait: phase(200_000, 750, 340),
        response: phase(200_000, 1_090, 20),
        ..Phases::default()
    };
    first.attempts = vec!["c0".into()];
    first.connection = Some("c0".into());
    first.http = Some("c0.1".into());
    let mut connection = connection("c0", "10.77.1.10:39310", "10.77.2.80:80");
    connection.handshake = handshake(670_000, 210);
    let mut exchange = exchange("c0.1", "GET", "http://shop.test/", 301, 920_000);
    exchange.response_body_bytes = 0;
    exchange.response_headers = headers(&[("location", URL), ("content-length", "0")]);
    connection.http = vec![exchange];
    connection.close = closed_by_client(1_500_000);
    document.connections.insert(0, connection);
    document.journeys.insert(0, first);
    if let Some(second) = document.journeys.get_mut(1) {
        second.caused_by = Some("j0".into());
    }
    document
}

fn at(microseconds: u64) -> u64 {
    START + microseconds * MICROSECOND
}

fn the_journey() -> Journey {
    let mut journey = journey("j1", URL, START, 7_100);
    journey.resolution = Resolution {
        source: ResolutionSource::Dns,
        getaddrinfo: Some(GetAddrInfo {
            at_ns: at(60),
            duration_ns: 1_330 * MICROSECOND,
            name: Some("www.shop.test".into()),
            service: Some("443".into()),
            result: Some(0),
        }),
        files: vec![
            "/etc/nsswitch.conf".into(),
            "/etc/hosts".into(),
            "/etc/resolv.conf".into(),
        ],
        chain: vec![
            "www.shop.test".into(),
            "shop.cdn.test".into(),
            "edge7.gslb.test".into(),
        ],
        addresses: vec![ip("10.77.2.80"), ip("fd77:2::80")],
    };
    journey.phases = Phases {
        resolve: phase(START, 180, 1_210),
        route: phase(START, 1_400, 10),
        neighbor: phase(START, 1_420, 140),
        connect: phase(START, 1_570, 230),
        tls: phase(START, 1_840, 4_010),
        request: phase(START, 5_950, 50),
        wait: phase(START, 6_000, 510),
        response: phase(START, 6_510, 100),
    };
    journey.dns = vec!["d1".into(), "d2".into()];
    journey.route = route_by_gateway("10.77.2.80");
    journey.neighbor = Some("n1".into());
    journey.attempts = vec!["c1".into()];
    journey.connection = Some("c1".into());
    journey.http = Some("c1.1".into());
    journey.timeline = timeline();
    journey
}

fn queries() -> Vec<DnsExchange> {
    let chain = [
        ("www.shop.test", "CNAME", 300, "shop.cdn.test"),
        ("shop.cdn.test", "CNAME", 30, "edge7.gslb.test"),
    ];
    let with = |last| [chain[0], chain[1], last];
    vec![
        dns(
            "d1",
            at(180),
            "A",
            "www.shop.test",
            1_120,
            &with(("edge7.gslb.test", "A", 20, "10.77.2.80")),
        ),
        dns(
            "d2",
            at(210),
            "AAAA",
            "www.shop.test",
            1_180,
            &with(("edge7.gslb.test", "AAAA", 20, "fd77:2::80")),
        ),
    ]
}

fn the_connection() -> Connection {
    let mut connection = connection("c1", "10.77.1.10:41234", "10.77.2.80:443");
    connection.server_process = Some(process(4198, "tracer", &["tracer", "demo"]));
    connection.handshake = handshake(at(1_570), 210);
    connection.states = states(
        End::Client,
        &[
            (at(1_560), "CLOSED", "SYN_SENT"),
            (at(1_790), "SYN_SENT", "ESTABLISHED"),
            (at(6_700), "ESTABLISHED", "FIN_WAIT1"),
            (at(6_850), "FIN_WAIT1", "FIN_WAIT2"),
            (at(6_960), "FIN_WAIT2", "TIME_WAIT"),
        ],
    );
    connection.states.extend(states(
        End::Server,
        &[
            (at(1_700), "LISTEN", "SYN_RECV"),
            (at(1_820), "SYN_RECV", "ESTABLISHED"),
            (at(6_780), "ESTABLISHED", "CLOSE_WAIT"),
            (at(6_900), "CLOSE_WAIT", "LAST_ACK"),
            (at(7_010), "LAST_ACK", "CLOSED"),
        ],
    ));
    connection.bytes = PerEnd {
        client: 694,
        server: 2_913,
    };
    connection.segments = PerEnd {
        client: 11,
        server: 9,
    };
    connection.srtt_ns = Some(220 * MICROSECOND);
    connection.tcp_samples = vec![
        sample(at(1_660), "established", 231),
        sample(at(6_730), "closing", 220),
    ];
    connection.close = closed_by_client(at(6_720));
    connection.kernel_path = Some(super::kernel::path(at(5_950), at(6_510)));
    connection.tls = Some(Box::new(session()));
    let mut exchange = exchange("c1.1", "GET", URL, 200, at(5_950));
    exchange.version = "2".into();
    exchange.stream = Some(1);
    exchange
        .response_headers
        .push(("set-cookie".into(), "<redacted>".into()));
    connection.http = vec![exchange];
    connection
}

fn closed_by_client(at_ns: u64) -> Close {
    let message = |after: u64, end, kind: &str| CloseMessage {
        at_ns: at_ns + after * MICROSECOND,
        end,
        kind: kind.into(),
    };
    Close {
        kind: CloseKind::Fin,
        first: Some(End::Client),
        at_ns: Some(at_ns),
        messages: vec![
            message(0, End::Client, "fin"),
            message(90, End::Server, "ack"),
            message(190, End::Server, "fin"),
            message(230, End::Client, "ack"),
        ],
    }
}

fn session() -> Tls {
    Tls {
        version: Some("1.3".into()),
        sni: Some("www.shop.test".into()),
        alpn: Some("h2".into()),
        alpn_offered: vec!["h2".into(), "http/1.1".into()],
        cipher: Some("TLS_AES_256_GCM_SHA384".into()),
        group: Some("X25519".into()),
        resumed: Some(false),
        early_data: false,
        hello_retry: false,
        ech: Ech::None,
        client_hello_at_ns: Some(at(1_840)),
        server_hello_at_ns: Some(at(3_420)),
        finished_at_ns: Some(at(5_850)),
        handshake_ns: Some(4_010 * MICROSECOND),
        round_trips: Some(1),
        records: records(),
        certificates: vec![leaf(), authority()],
        alerts: Vec::new(),
        decrypted_by: DecryptedBy::Keylog,
        client_hello: Some(client_hello()),
        server_hello: Some(ServerHello {
            legacy_version: "1.2".into(),
            random: "5c".repeat(32),
            session_id: "a1".repeat(32),
            cipher_suite: "TLS_AES_256_GCM_SHA384".into(),
            compression_method: "null".into(),
            extensions: vec!["key_share".into(), "supported_versions".into()],
        }),
    }
}

fn records() -> Vec<TlsRecord> {
    let record = |us, end, record_type: &str, bytes, messages: &[&str], encrypted| TlsRecord {
        at_ns: at(us),
        end,
        record_type: record_type.into(),
        bytes,
        messages: messages.iter().map(|name| (*name).into()).collect(),
        encrypted,
    };
    vec![
        record(
            1_840,
            End::Client,
            "handshake",
            236,
            &["ClientHello"],
            false,
        ),
        record(
            3_420,
            End::Server,
            "handshake",
            122,
            &["ServerHello"],
            false,
        ),
        record(3_430, End::Server, "change_cipher_spec", 1, &[], false),
        record(
            3_440,
            End::Server,
            "handshake",
            1_742,
            &[
                "EncryptedExtensions",
                "Certificate",
                "CertificateVerify",
                "Finished",
            ],
            true,
        ),
        record(5_820, End::Client, "change_cipher_spec", 1, &[], false),
        record(5_850, End::Client, "handshake", 69, &["Finished"], true),
        record(5_950, End::Client, "application_data", 143, &[], true),
        record(6_510, End::Server, "application_data", 261, &[], true),
        record(6_610, End::Server, "application_data", 187, &[], true),
    ]
}

fn leaf() -> Certificate {
    Certificate {
        subject: "CN=www.shop.test".into(),
        issuer: "CN=tracer demo authority".into(),
        san: vec!["www.shop.test".into(), "shop.test".into()],
        not_before: "2026-01-01T00:00:00Z".into(),
        not_after: "2026-12-31T23:59:59Z".into(),
        serial: "7f21c0ffee".into(),
        sha256: "9b".repeat(32),
        key: "EC P-256".into(),
    }
}

fn authority() -> Certificate {
    Certificate {
        subject: "CN=tracer demo authority".into(),
        issuer: "CN=tracer demo authority".into(),
        san: Vec::new(),
        not_before: "2026-01-01T00:00:00Z".into(),
        not_after: "2035-12-31T23:59:59Z".into(),
        serial: "01".into(),
        sha256: "3d".repeat(32),
        key: "EC P-256".into(),
    }
}

fn client_hello() -> ClientHello {
    let words = |list: &[&str]| {
        list.iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    ClientHello {
        legacy_version: "1.2".into(),
        supported_versions: words(&["1.3", "1.2"]),
        random: "e7".repeat(32),
        session_id: "a1".repeat(32),
        cipher_suites: words(&[
            "TLS_AES_256_GCM_SHA384",
            "TLS_AES_128_GCM_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_EMPTY_RENEGOTIATION_INFO_SCSV",
        ]),
        compression_methods: words(&["null"]),
        groups: words(&["X25519", "secp256r1", "secp384r1"]),
        key_shares: words(&["X25519"]),
        signature_algorithms: words(&["ecdsa_secp256r1_sha256", "ed25519", "rsa_pss_rsae_sha256"]),
        psk: false,
        psk_modes: words(&["psk_dhe_ke"]),
        grease: false,
        extensions: words(&[
            "server_name",
            "supported_groups",
            "signature_algorithms",
            "application_layer_protocol_negotiation",
            "key_share",
            "supported_versions",
        ]),
    }
}

/// What the client's socket says of the way.
fn sample(at_ns: u64, moment: &str, srtt_us: u64) -> TcpSample {
    TcpSample {
        at_ns,
        end: End::Client,
        moment: moment.into(),
        srtt_ns: Some(srtt_us * MICROSECOND),
        rttvar_ns: Some(60 * MICROSECOND),
        cwnd: Some(10),
        ssthresh: None,
        bytes_acked: 695,
        bytes_received: 2_913,
        retransmits: Some(0),
        lost: Some(0),
        in_flight: Some(0),
        congestion: Some("open".into()),
        hook: "sock_ops".into(),
    }
}

fn timeline() -> Vec<TimelineEvent> {
    use EventDirection::{In, Local, Out};
    use Layer::{Dns, Http, Link, Process, Route, Tcp, Tls};
    let hosts = FileOpen {
        pid: 4242,
        path: "/etc/hosts".into(),
        // As on a kernel without kprobes, which this is.
        hook: HookKind::Tracepoint,
    };
    vec![
        event(
            START,
            Process,
            Local,
            "curl[4242] starts: curl -s https://www.shop.test/",
            "tracepoint sched:sched_process_exec",
        ),
        event(
            at(60),
            Dns,
            Local,
            "getaddrinfo(www.shop.test, 443) called",
            "uprobe libc.so.6:getaddrinfo",
        ),
        event(at(110), Dns, Local, "reads /etc/hosts", &hosts.evidence()),
        event(
            at(180),
            Dns,
            Out,
            "query 0x2f1a A www.shop.test to 10.77.1.53",
            "tcx client0 frame 3",
        ),
        event(
            at(1_300),
            Dns,
            In,
            "answer NOERROR: CNAME shop.cdn.test, CNAME edge7.gslb.test, A 10.77.2.80",
            "xdp client0 frame 5",
        ),
        event(
            at(1_400),
            Route,
            Local,
            "10.77.2.80 via 10.77.1.1 dev client0 src 10.77.1.10",
            "tracepoint fib:fib_table_lookup",
        ),
        event(
            at(1_420),
            Link,
            Out,
            "ARP who-has 10.77.1.1 tell 10.77.1.10",
            "tcx client0 frame 7",
        ),
        event(
            at(1_560),
            Link,
            In,
            "ARP 10.77.1.1 is-at 02:42:0a:4d:01:01",
            "xdp client0 frame 8",
        ),
        event(
            at(1_560),
            Tcp,
            Local,
            "client CLOSED → SYN_SENT",
            "tracepoint sock:inet_sock_set_state",
        ),
        event(
            at(1_570),
            Tcp,
            Out,
            "SYN seq 3105117220, mss 1460, wscale 7, sack, timestamps",
            "tcx client0 frame 9",
        ),
        event(
            at(1_780),
            Tcp,
            In,
            "SYN-ACK seq 918273645 ack 3105117221, mss 1460, wscale 7",
            "xdp client0 frame 10",
        ),
        event(
            at(1_790),
            Tcp,
            Local,
            "client SYN_SENT → ESTABLISHED",
            "tracepoint sock:inet_sock_set_state",
        ),
        event(
            at(1_840),
            Tls,
            Out,
            "ClientHello, 236 B, SNI www.shop.test, ALPN h2 http/1.1",
            "tcx client0 frame 12",
        ),
        event(
            at(3_420),
            Tls,
            In,
            "ServerHello, TLS 1.3, TLS_AES_256_GCM_SHA384, X25519",
            "xdp client0 frame 14",
        ),
        event(at(5_850), Tls, Out, "Finished", "tcx client0 frame 16"),
        event(
            at(5_950),
            Http,
            Out,
            "GET / HTTP/2, stream 1",
            "tcx client0 frame 17",
        ),
        event(
            at(6_510),
            Http,
            In,
            "200, text/html; charset=utf-8",
            "xdp client0 frame 19",
        ),
        event(at(6_720), Tcp, Out, "FIN", "tcx client0 frame 21"),
    ]
}
