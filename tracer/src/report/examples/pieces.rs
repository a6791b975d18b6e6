//! The parts that several examples share.

use crate::journey::model::*;

pub const MICROSECOND: u64 = 1_000;

pub fn hook(
    fact: &str,
    hook: &str,
    target: &str,
    status: HookStatus,
    reason: Option<&str>,
) -> HookReport {
    HookReport {
        fact: fact.into(),
        hook: hook.into(),
        target: target.into(),
        status,
        reason: reason.map(Into::into),
    }
}

/// What it took, with the kernel's own count.
pub fn cost() -> Cost {
    let program = |name: &str, fact: &str, run_count, run_time_ns| ProgramCost {
        name: name.into(),
        fact: fact.into(),
        run_count,
        run_time_ns,
        ns_per_run: run_time_ns / run_count,
    };
    let events = [("frame", 52), ("tcp_state", 10), ("process", 2)];
    Cost {
        duration_ns: 12_400_000,
        events: events.map(|(class, count)| (class.into(), count)).into(),
        events_per_second: 5_161,
        kernel: Some(KernelCost {
            run_count: 1_262,
            run_time_ns: 61_440,
            ns_per_event: Some(960),
            programs: vec![
                program("sys_enter", "file_open", 1_200, 36_000),
                program("tracer_out", "frames_out", 52, 20_800),
                program("tracepoint_inet_sock_set_state", "tcp_state", 10, 4_640),
            ],
        }),
        tracer: TracerCost {
            user_ns: 3_100_000,
            system_ns: 1_900_000,
            ns_per_event: Some(78_125),
        },
        ring: RingCost {
            bytes: 8 << 20,
            peak_bytes: 14_336,
        },
    }
}

/// The plan as it comes out on a kernel without kprobes.
pub fn hooks() -> Vec<HookReport> {
    use HookStatus::{Attached, NotNeeded, Unavailable};
    let no_kprobes = "this kernel is built without CONFIG_KPROBES";
    vec![
        hook("frames_in", "xdp", "client0", Attached, None),
        hook("frames_in", "tcx", "client0", NotNeeded, None),
        hook("frames_out", "tcx", "client0", Attached, None),
        hook(
            "tcp_state",
            "kprobe",
            "tcp_set_state",
            Unavailable,
            Some(no_kprobes),
        ),
        hook(
            "tcp_state",
            "tracepoint",
            "sock:inet_sock_set_state",
            Attached,
            None,
        ),
        hook("socket_owner", "cgroup", "connect4", Attached, None),
        hook(
            "route",
            "tracepoint",
            "fib:fib_table_lookup",
            Attached,
            None,
        ),
        hook(
            "neighbor",
            "tracepoint",
            "neigh:neigh_update",
            Attached,
            None,
        ),
        hook(
            "getaddrinfo",
            "uprobe",
            "libc.so.6:getaddrinfo",
            Attached,
            None,
        ),
    ]
}

pub fn endpoint(text: &str) -> Endpoint {
    text.parse::<std::net::SocketAddr>()
        .expect("an address of an example")
        .into()
}

pub fn ip(text: &str) -> std::net::IpAddr {
    text.parse().expect("an address of an example")
}

pub fn phase(start: u64, at_us: u64, duration_us: u64) -> Option<Phase> {
    Some(Phase {
        at_ns: start + at_us * MICROSECOND,
        duration_ns: duration_us * MICROSECOND,
    })
}

pub fn process(pid: u32, comm: &str, command: &[&str]) -> Process {
    Process {
        pid,
        namespace_pid: None,
        comm: comm.into(),
        exe: Some(format!("/usr/bin/{comm}")),
        command: command.iter().map(|word| (*word).into()).collect(),
        uid: Some(1000),
        cgroup: Some("/user.slice/user-1000.slice/session-2.scope".into()),
        container: None,
        attribution: Attribution::SocketCookie,
    }
}

/// A query with its answers, `(name, type, ttl, data)`.
pub fn dns(
    id: &str,
    at_ns: u64,
    record_type: &str,
    name: &str,
    duration_us: u64,
    answers: &[(&str, &str, u32, &str)],
) -> DnsExchange {
    DnsExchange {
        id: id.into(),
        at_ns,
        duration_ns: Some(duration_us * MICROSECOND),
        transport: DnsTransport::Udp,
        protocol: DnsProtocol::Dns,
        client: endpoint("10.77.1.10:43117"),
        server: endpoint("10.77.1.53:53"),
        query_id: 0x2f1a,
        question: DnsQuestion {
            name: name.into(),
            record_type: record_type.into(),
            class: "IN".into(),
        },
        attempts: vec![at_ns],
        answered: true,
        rcode: Some("NOERROR".into()),
        truncated: false,
        malformed: false,
        answer_count: None,
        answers: answers
            .iter()
            .map(|(name, record_type, ttl, data)| DnsAnswer {
                name: (*name).into(),
                record_type: (*record_type).into(),
                ttl: *ttl,
                data: (*data).into(),
            })
            .collect(),
        process: Some(process(4242, "curl", &["curl"])),
    }
}

pub fn neighbor(id: &str, at_ns: u64, ip_address: &str) -> NeighborExchange {
    NeighborExchange {
        id: id.into(),
        at_ns,
        duration_ns: Some(140 * MICROSECOND),
        protocol: NeighborProtocol::Arp,
        ip: ip(ip_address),
        mac: Some("02:42:0a:4d:01:01".into()),
        interface: Some("client0".into()),
        attempts: vec![at_ns],
        outcome: NeighborOutcome::Resolved,
        cached_state: None,
    }
}

pub fn states(end: End, steps: &[(u64, &str, &str)]) -> Vec<StateTransition> {
    steps
        .iter()
        .map(|(at_ns, from, to)| StateTransition {
            at_ns: *at_ns,
            end,
            from: (*from).into(),
            to: (*to).into(),
            hook: "tracepoint".into(),
        })
        .collect()
}

pub fn options(mss: u16) -> Option<TcpOptions> {
    Some(TcpOptions {
        mss: Some(mss),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: true,
        fast_open: false,
    })
}

/// A connection of which only the addresses are known.
pub fn connection(id: &str, client: &str, server: &str) -> Connection {
    Connection {
        id: id.into(),
        transport: Transport::Tcp,
        client: endpoint(client),
        server: endpoint(server),
        interface: Some("client0".into()),
        client_process: Some(process(4242, "curl", &["curl"])),
        server_process: None,
        client_readers: Vec::new(),
        server_readers: Vec::new(),
        client_writers: None,
        server_writers: None,
        handshake: Handshake::default(),
        states: Vec::new(),
        bytes: PerEnd::default(),
        segments: PerEnd::default(),
        retransmissions: Vec::new(),
        retransmissions_unlisted: 0,
        srtt_ns: None,
        drops: Vec::new(),
        tcp_samples: Vec::new(),
        resets: Vec::new(),
        zero_windows: Vec::new(),
        comments: Vec::new(),
        close: Close {
            kind: CloseKind::Open,
            first: None,
            at_ns: None,
            messages: Vec::new(),
        },
        kernel_path: None,
        quic: None,
        tls: None,
        requester: End::Client,
        http: Vec::new(),
    }
}

pub fn handshake(syn_at_ns: u64, rtt_us: u64) -> Handshake {
    let syn_ack = syn_at_ns + rtt_us * MICROSECOND;
    Handshake {
        syn_at_ns: Some(syn_at_ns),
        syn_ack_at_ns: Some(syn_ack),
        ack_at_ns: Some(syn_ack + 20 * MICROSECOND),
        rtt_ns: Some(rtt_us * MICROSECOND),
        syn_retries: 0,
        client_isn: Some(3_105_117_220),
        server_isn: Some(918_273_645),
        client_options: options(1460),
        server_options: options(1460),
    }
}

/// A journey of `url` that has gone nowhere yet.
pub fn journey(id: &str, url: &str, started_at_ns: u64, duration_us: u64) -> Journey {
    let parsed = url::Url::parse(url).expect("a URL of an example");
    Journey {
        id: id.into(),
        url: Some(url.into()),
        scheme: Some(parsed.scheme().into()),
        host: parsed.host_str().map(Into::into),
        port: parsed.port_or_known_default(),
        process: Some(process(4242, "curl", &["curl", "-s", url])),
        outcome: Outcome::Ok,
        failure: None,
        findings: Vec::new(),
        started_at_ns,
        duration_ns: duration_us * MICROSECOND,
        phases: Phases::default(),
        resolution: Resolution {
            source: ResolutionSource::Dns,
            getaddrinfo: None,
            files: Vec::new(),
            chain: Vec::new(),
            addresses: Vec::new(),
        },
        dns: Vec::new(),
        route: None,
        own_address: None,
        neighbor: None,
        attempts: Vec::new(),
        connection: None,
        http: None,
        reused_connection: false,
        caused_by: None,
        timeline: Vec::new(),
        gaps: Vec::new(),
    }
}

pub fn route_by_gateway(destination: &str) -> Option<Route> {
    Some(Route {
        destination: ip(destination),
        on_link: Some(false),
        prefix: Some("0.0.0.0/0".into()),
        gateway: Some(ip("10.77.1.1")),
        interface: Some("client0".into()),
        source: Some(ip("10.77.1.10")),
        table: Some("main".into()),
        mtu: Some(1500),
        at_ns: Some(3_400_000),
    })
}

pub fn exchange(id: &str, method: &str, url: &str, status: u16, at_ns: u64) -> HttpExchange {
    let parsed = url::Url::parse(url).expect("a URL of an example");
    HttpExchange {
        id: id.into(),
        version: "1.1".into(),
        stream: None,
        upgraded_from: None,
        method: Some(method.into()),
        target: Some(parsed.path().into()),
        host: parsed.host_str().map(Into::into),
        url: Some(url.into()),
        status: Some(status),
        informational: Vec::new(),
        request_headers: headers(&[
            ("host", parsed.host_str().unwrap_or_default()),
            ("user-agent", "curl/8.14.1"),
            ("accept", "*/*"),
        ]),
        response_headers: headers(&[
            ("content-type", "text/html; charset=utf-8"),
            ("content-length", "170"),
        ]),
        request_at_ns: Some(at_ns),
        request_end_at_ns: Some(at_ns + 50 * MICROSECOND),
        response_at_ns: Some(at_ns + 560 * MICROSECOND),
        response_end_at_ns: Some(at_ns + 660 * MICROSECOND),
        request_body_bytes: 0,
        response_body_bytes: 170,
        request_segments: 1,
        response_segments: 1,
    }
}

pub fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

pub fn event(
    at_ns: u64,
    layer: Layer,
    direction: EventDirection,
    summary: &str,
    evidence: &str,
) -> TimelineEvent {
    TimelineEvent {
        at_ns,
        layer,
        direction,
        summary: summary.into(),
        evidence: evidence.into(),
    }
}
