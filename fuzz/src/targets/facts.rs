//! Facts of the kernel as a recording keeps them, in JSON.

use crate::Target;
use crate::captures::Capture;
use crate::play::Player;
use crate::target::Memory;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tracer::capture::file::FileSummary;
use tracer::capture::recording::Event;
use tracer::capture::{
    ClientEvent, ClientReport, Fact, FileOpen, GetAddrInfoCall, HookKind, Interface,
    NeighborAction, NeighborEvent, Observation, ProcessEvent, RouteDetail, RouteLookup,
    SocketOwner, SocketUse, TcpState, TcpStateChange,
};

pub const TARGET: Target = Target {
    name: "facts",
    about: "facts in JSON, one a line, through the assembler",
    run,
    seeds,
    head: 0,
    longest: 8192,
    memory: Memory {
        fixed: 8 << 20,
        per_byte: 512,
    },
};

fn run(input: &[u8]) {
    let mut player = Player::default();
    for line in input.split(|byte| *byte == b'\n') {
        let Ok(observation) = serde_json::from_slice::<Observation>(line) else {
            continue;
        };
        let written = serde_json::to_vec(&observation).expect("all but frames can be written");
        let again = serde_json::from_slice::<Observation>(&written);
        assert_eq!(again.expect("what was written"), observation);
        player.event(Event::Observation(observation));
    }
    player.finish(&FileSummary::default());
}

fn seeds(_: &[Capture]) -> Vec<Vec<u8>> {
    let lines = |facts: &[Fact]| {
        let observed = facts.iter().zip(1_u64..).map(|(fact, number)| Observation {
            at_ns: number * 1_000_000,
            fact: fact.clone(),
        });
        let lines: Vec<_> = observed
            .map(|observation| serde_json::to_string(&observation).expect("JSON"))
            .collect();
        lines.join("\n").into_bytes()
    };
    let facts = facts();
    let mut seeds: Vec<_> = facts
        .iter()
        .map(|fact| lines(std::slice::from_ref(fact)))
        .collect();
    seeds.push(lines(&facts));
    seeds
}

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// One of each kind: a request that was refused.
pub fn facts() -> Vec<Fact> {
    let (local, remote) = (
        SocketAddr::new(CLIENT, 40_000),
        SocketAddr::new(SERVER, 443),
    );
    let state = |from, to| {
        Fact::TcpState(TcpStateChange {
            socket: 7,
            cookie: Some(1),
            network_namespace: None,
            from,
            to,
            local,
            remote,
            current_pid: 42,
            hook: HookKind::Tracepoint,
        })
    };
    let mut facts = processes();
    facts.extend(network());
    facts.extend([
        Fact::SocketOwner(SocketOwner {
            cookie: Some(1),
            usage: SocketUse::Connect,
            pid: 42,
            tid: 42,
            uid: 1000,
            comm: "curl".to_owned(),
            protocol: 6,
            local: Some(local),
            remote: Some(remote),
            network_namespace: None,
            hook: HookKind::Cgroup,
        }),
        state(TcpState::Close, TcpState::SynSent),
        state(TcpState::SynSent, TcpState::Established),
        state(TcpState::Established, TcpState::Close),
        Fact::TlsSecret(format!(
            "CLIENT_RANDOM {} {}",
            "ab".repeat(32),
            "cd".repeat(48)
        )),
        Fact::Lost {
            class: "frame",
            count: 3,
            place: None,
        },
    ]);
    facts
}

fn processes() -> Vec<Fact> {
    let comm = || "curl".to_owned();
    let url = || "https://x.test/".to_owned();
    let client = |event| {
        let url = url();
        Fact::Client(ClientReport {
            pid: 42,
            url,
            event,
        })
    };
    vec![
        Fact::Process(ProcessEvent::Fork {
            parent: 1,
            child: 42,
            comm: comm(),
        }),
        Fact::Process(ProcessEvent::Exec {
            pid: 42,
            uid: 1000,
            comm: comm(),
            filename: "/usr/bin/curl".to_owned(),
            executable: None,
            command: vec![comm(), url()],
            cgroup: None,
            namespace_pid: None,
        }),
        client(ClientEvent::Started),
        Fact::GetAddrInfo(GetAddrInfoCall {
            pid: 42,
            tid: 42,
            comm: comm(),
            name: Some("x.test".to_owned()),
            service: None,
            entered_at_ns: 1,
            result: Some(0),
        }),
        Fact::FileOpen(FileOpen {
            pid: 42,
            path: "/etc/hosts".to_owned(),
            hook: HookKind::Kprobe,
        }),
        client(ClientEvent::Failed {
            stage: "connect".to_owned(),
            message: "refused".to_owned(),
        }),
        client(ClientEvent::Finished { status: 200 }),
        Fact::Process(ProcessEvent::Exit {
            pid: 42,
            comm: comm(),
            code: 0,
        }),
    ]
}

fn network() -> Vec<Fact> {
    let interface = || Some("eth0".to_owned());
    let neighbor = |action, state| {
        Fact::Neighbor(NeighborEvent {
            action,
            ip: SERVER,
            mac: Some([2, 0, 0, 0, 0, 2]),
            state,
            interface: interface(),
            pid: 42,
            hook: HookKind::Tracepoint,
        })
    };
    vec![
        Fact::Interface(Interface {
            index: 2,
            name: "eth0".to_owned(),
            mac: None,
            mtu: 1500,
            addresses: vec![(CLIENT, 24)],
            temporary: vec![CLIENT],
            loopback: false,
        }),
        Fact::RouteLookup(RouteLookup {
            pid: 42,
            in_process_context: true,
            table: 254,
            error: 0,
            destination: SERVER,
            source: Some(CLIENT),
            gateway: None,
            interface: interface(),
        }),
        Fact::RouteDetail(RouteDetail {
            destination: SERVER,
            prefix: Some((CLIENT, 24)),
            gateway: None,
            interface: interface(),
            source: Some(CLIENT),
            table: 254,
            mtu: None,
            kind: "unicast".to_owned(),
            error: None,
        }),
        neighbor(NeighborAction::Create, 0),
        neighbor(NeighborAction::Update, 2),
        neighbor(NeighborAction::Dead, 0x20),
    ]
}
