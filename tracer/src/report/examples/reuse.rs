//! Journeys on a connection that was open already, and one with holes in its story.

use super::pieces::*;
use crate::journey::model::*;

/// Two requests of one process on one plain connection.
pub fn reused() -> Document {
    let urls = [
        "http://www.shop.test/style.css",
        "http://www.shop.test/logo.svg",
    ];
    let mut connection = connection("c1", "10.77.1.10:40022", "10.77.2.80:80");
    connection.handshake = handshake(1_300_000, 190);
    connection.bytes = PerEnd {
        client: 176,
        server: 41_240,
    };
    connection.segments = PerEnd {
        client: 16,
        server: 34,
    };
    connection.states = states(
        End::Client,
        &[
            (1_290_000, "CLOSED", "SYN_SENT"),
            (1_500_000, "SYN_SENT", "ESTABLISHED"),
        ],
    );
    let mut first = exchange("c1.1", "GET", urls[0], 200, 1_600_000);
    first.response_body_bytes = 1_840;
    first.response_segments = 2;
    let mut second = exchange("c1.2", "POST", urls[1], 404, 3_000_000);
    second.request_body_bytes = 12_340;
    second.request_segments = 9;
    second.response_end_at_ns = Some(15_560_000);
    second.response_headers = headers(&[
        ("content-type", "image/svg+xml"),
        ("content-encoding", "br"),
        ("age", "311"),
        ("x-cache", "HIT"),
    ]);
    second.response_body_bytes = 39_000;
    second.response_segments = 27;
    connection.http = vec![first, second];

    let mut opens = journey("j1", urls[0], 1_100_000, 1_300);
    opens.resolution.source = ResolutionSource::Cache;
    opens.resolution.addresses = vec![ip("10.77.2.80")];
    opens.phases = Phases {
        connect: phase(1_100_000, 200, 210),
        request: phase(1_100_000, 500, 50),
        wait: phase(1_100_000, 550, 510),
        response: phase(1_100_000, 1_060, 100),
        ..Phases::default()
    };
    let mut reuses = journey("j2", urls[1], 2_990_000, 12_600);
    reuses.reused_connection = true;
    reuses.resolution.source = ResolutionSource::Unknown;
    reuses.phases = Phases {
        request: phase(2_990_000, 10, 50),
        wait: phase(2_990_000, 60, 510),
        response: phase(2_990_000, 570, 12_000),
        ..Phases::default()
    };
    for (journey, exchange) in [(&mut opens, "c1.1"), (&mut reuses, "c1.2")] {
        journey.attempts = vec!["c1".into()];
        journey.connection = Some("c1".into());
        journey.http = Some(exchange.into());
        journey.process = Some(process(
            777,
            "Web Content",
            &["/usr/lib/browser", "-contentproc"],
        ));
    }
    super::document(
        &["tracer", "live"],
        vec![opens, reuses],
        vec![connection],
        vec![],
        vec![],
    )
}

/// A request in HTTP/1.1 that was answered in HTTP/2.
pub fn upgraded() -> Document {
    let mut document = reused();
    document.journeys.truncate(1);
    let connection = &mut document.connections[0];
    let mut asked = connection.http[0].clone();
    let mut answer = HttpExchange {
        id: "c1.2".into(),
        version: "2".into(),
        stream: Some(1),
        upgraded_from: Some(asked.id.clone()),
        method: None,
        target: None,
        request_headers: Vec::new(),
        request_at_ns: None,
        request_end_at_ns: None,
        request_segments: 0,
        ..asked.clone()
    };
    answer.response_at_ns = answer.response_end_at_ns;
    asked.status = Some(101);
    asked.response_headers = headers(&[("connection", "Upgrade"), ("upgrade", "h2c")]);
    asked.response_end_at_ns = asked.response_at_ns;
    (asked.response_body_bytes, asked.response_segments) = (0, 1);
    connection.http = vec![asked, answer];
    document.journeys[0].http = Some("c1.2".into());
    document
}

/// Encrypted, of an unknown process, with events lost and payload beyond the budget.
pub fn incomplete() -> Document {
    let start = 4_000_000;
    let mut connection = connection("c1", "[fd77:1::10]:50444", "[fd77:2::80]:443");
    connection.client_process = None;
    connection.handshake = handshake(start, 18_300);
    connection.handshake.syn_retries = 1;
    connection.handshake.server_options = options(1220);
    connection.bytes = PerEnd {
        client: 812,
        server: 1_402_331,
    };
    connection.segments = PerEnd {
        client: 411,
        server: 988,
    };
    connection.tls = Some(Box::new(Tls {
        version: Some("1.2".into()),
        sni: Some("cdn.shop.test".into()),
        alpn: None,
        alpn_offered: Vec::new(),
        cipher: Some("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".into()),
        group: Some("secp256r1".into()),
        resumed: Some(true),
        early_data: false,
        hello_retry: false,
        ech: Ech::Grease,
        client_hello_at_ns: Some(start + 19_000_000),
        server_hello_at_ns: Some(start + 38_000_000),
        finished_at_ns: None,
        handshake_ns: Some(20_000_000),
        round_trips: Some(1),
        records: Vec::new(),
        certificates: Vec::new(),
        alerts: Vec::new(),
        decrypted_by: DecryptedBy::None,
        client_hello: None,
        server_hello: None,
    }));
    let mut journey = journey("j1", "https://cdn.shop.test/", start, 91_000);
    journey.outcome = Outcome::Incomplete;
    // The request line was encrypted: no path may be shown.
    journey.url = Some("https://cdn.shop.test".into());
    journey.process = None;
    journey.resolution.source = ResolutionSource::Unknown;
    journey.phases = Phases {
        connect: phase(start, 0, 18_400),
        tls: phase(start, 19_000, 20_000),
        ..Phases::default()
    };
    journey.attempts = vec!["c1".into()];
    journey.connection = Some("c1".into());
    journey.gaps = vec![
        Gap {
            class: "tcp_state".into(),
            count: 3,
            at_ns: start + 20_000_000,
            duration_ns: 1_200_000,
            message: "some state transitions of this connection are missing".into(),
        },
        Gap {
            class: "payload".into(),
            count: 1_337_000,
            at_ns: start + 60_000_000,
            duration_ns: 0,
            message: "the end of the response was counted, not kept".into(),
        },
    ];
    let mut document = super::document(
        &["tracer", "live", "--duration", "30s"],
        vec![journey],
        vec![connection],
        vec![],
        vec![],
    );
    let capture = &mut document.capture;
    capture.complete = false;
    capture.duration_ns = 30_000_000_000;
    capture.lost = [("frame".to_owned(), 14), ("tcp_state".to_owned(), 3)].into();
    capture.losses = vec![
        loss("frame", 14, start + 90_000_000),
        loss("tcp_state", 3, start + 20_000_000),
    ];
    capture.hooks = vec![
        hook(
            "frames_in",
            "xdp",
            "wlan0",
            HookStatus::Failed,
            Some("another XDP program is attached"),
        ),
        hook("frames_in", "tcx", "wlan0", HookStatus::Attached, None),
        hook("frames_out", "tcx", "wlan0", HookStatus::Attached, None),
        hook(
            "neighbor",
            "tracepoint",
            "neigh:neigh_update",
            HookStatus::Unavailable,
            Some("tracefs is not mounted"),
        ),
        hook(
            "getaddrinfo",
            "uprobe",
            "libc.so.6:getaddrinfo",
            HookStatus::Failed,
            Some("no such symbol"),
        ),
    ];
    capture.interfaces = vec!["wlan0".into()];
    document
}

fn loss(class: &str, count: u64, first_at_ns: u64) -> LossReport {
    LossReport {
        class: class.to_owned(),
        cpu: Some(1),
        count,
        first_at_ns,
        last_at_ns: first_at_ns + 1_200_000,
    }
}
