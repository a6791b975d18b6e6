//! Journeys that go wrong.

use super::pieces::*;
use crate::journey::model::*;

/// A name that does not exist, asked with a search domain too.
pub fn nxdomain() -> Document {
    let url = "https://nope.shop.test/cart?item=17";
    let start = 1_000_000;
    let mut journey = journey("j1", url, start, 2_310);
    journey.outcome = Outcome::Failed;
    journey.failure = Some(Failure {
        stage: Stage::Resolve,
        kind: "nxdomain".into(),
        message:
            "the name nope.shop.test does not exist: the DNS server 10.77.1.53 answered NXDOMAIN"
                .into(),
        evidence: vec![
            "xdp client0 frame 4".into(),
            "getaddrinfo returned EAI_NONAME (-2)".into(),
        ],
    });
    journey.resolution.getaddrinfo = Some(GetAddrInfo {
        at_ns: start + 90_000,
        duration_ns: 1_940_000,
        name: Some("nope.shop.test".into()),
        service: Some("443".into()),
        result: Some(-2),
    });
    journey.resolution.chain = vec!["nope.shop.test".into()];
    journey.phases.resolve = phase(start, 140, 1_880);
    journey.dns = vec!["d1".into(), "d2".into(), "d3".into()];
    let mut first = dns("d1", start + 140_000, "A", "nope.shop.test", 610, &[]);
    first.rcode = Some("NXDOMAIN".into());
    let mut second = dns("d2", start + 160_000, "AAAA", "nope.shop.test", 640, &[]);
    second.rcode = Some("NXDOMAIN".into());
    let mut third = dns("d3", start + 900_000, "A", "nope.shop.test.lan", 640, &[]);
    third.rcode = Some("NXDOMAIN".into());
    super::document(
        &["tracer", url],
        vec![journey],
        vec![],
        vec![first, second, third],
        vec![],
    )
}

/// Both addresses refuse: IPv6 at once, IPv4 after a lost SYN.
pub fn refused() -> Document {
    let url = "http://closed.shop.test:8080/";
    let start = 1_000_000;
    let mut journey = journey("j1", url, start, 1_013_900);
    journey.outcome = Outcome::Failed;
    journey.failure = Some(Failure {
        stage: Stage::Connect,
        kind: "refused".into(),
        message: "10.77.2.80 refused the connection to port 8080: nothing listens there (RST in answer to the SYN)".into(),
        evidence: vec!["xdp client0 frame 31".into()],
    });
    journey.findings = vec![Finding {
        kind: "syn_retry".into(),
        message: "the first SYN to 10.77.2.80 was not answered and was sent again after 1.00 s"
            .into(),
    }];
    journey.resolution.source = ResolutionSource::Hosts;
    journey.resolution.chain = vec!["closed.shop.test".into()];
    journey.resolution.addresses = vec![ip("fd77:2::80"), ip("10.77.2.80")];
    journey.route = Some(Route {
        destination: ip("10.77.2.80"),
        on_link: Some(true),
        prefix: Some("10.77.2.0/24".into()),
        gateway: None,
        interface: Some("eth0".into()),
        source: Some(ip("10.77.2.10")),
        table: Some("main".into()),
        mtu: Some(9000),
        at_ns: Some(start + 300_000),
    });
    journey.phases = Phases {
        connect: phase(start, 420, 1_013_200),
        ..Phases::default()
    };
    journey.neighbor = Some("n1".into());
    journey.attempts = vec!["c1".into(), "c2".into()];
    journey.connection = Some("c2".into());

    let mut lost = connection("c1", "[fd77:2::10]:51000", "[fd77:2::80]:8080");
    lost.handshake.syn_at_ns = Some(start + 420_000);
    lost.close = reset(start + 620_000);
    let mut last = connection("c2", "10.77.2.10:51002", "10.77.2.80:8080");
    last.handshake.syn_at_ns = Some(start + 700_000);
    last.handshake.syn_retries = 1;
    last.handshake.client_options = options(1460);
    last.retransmissions = vec![Retransmission {
        at_ns: start + 1_013_000_000,
        end: End::Client,
        seq: 0,
        bytes: 0,
        kind: "syn".into(),
        hook: "frames".into(),
    }];
    last.close = reset(start + 1_013_600_000);
    last.states = states(
        End::Client,
        &[
            (start + 690_000, "CLOSED", "SYN_SENT"),
            (start + 1_013_620_000, "SYN_SENT", "CLOSED"),
        ],
    );
    let mut cached = neighbor("n1", start + 690_000, "10.77.2.80");
    cached.outcome = NeighborOutcome::Cached;
    cached.attempts = Vec::new();
    cached.duration_ns = None;
    cached.cached_state = Some("REACHABLE".into());
    super::document(
        &["tracer", "run", "--", "curl", url],
        vec![journey],
        vec![lost, last],
        vec![],
        vec![cached],
    )
}

fn reset(at_ns: u64) -> Close {
    Close {
        kind: CloseKind::Rst,
        first: Some(End::Server),
        at_ns: Some(at_ns),
        messages: vec![CloseMessage {
            at_ns,
            end: End::Server,
            kind: "rst".into(),
        }],
    }
}
