//! Arbitrary observations, for property tests.

use crate::capture::{
    ClientEvent, ClientReport, CongestionState, Direction, Fact, FileComment, FileOpen, Frame,
    GetAddrInfoCall, HookKind, Interface, KernelLayer, LayerPassage, LinkType, ListenQueue,
    LossPlace, NeighborAction, NeighborEvent, Observation, PacketDrop, ProcessEvent, ResetAction,
    RouteDetail, RouteLookup, SampleMoment, SocketOwner, SocketUse, TcpReset, TcpRetransmit,
    TcpSample, TcpState, TcpStateChange,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

/// Observations with growing times.
pub(super) fn observations() -> impl Strategy<Value = Vec<Observation>> {
    let step = prop_oneof![0..1000u64, Just(600_000_000)];
    vec((step, fact()), 0..40).prop_map(|steps| {
        let mut at_ns = 0;
        let observe = |(step, fact)| {
            at_ns += step;
            Observation { at_ns, fact }
        };
        steps.into_iter().map(observe).collect()
    })
}

fn fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        6 => frame().prop_map(Fact::Frame),
        1 => tcp_state().prop_map(Fact::TcpState),
        1 => tcp_sample().prop_map(Fact::TcpSample),
        1 => tcp_retransmit().prop_map(Fact::TcpRetransmit),
        1 => tcp_reset().prop_map(Fact::TcpReset),
        1 => packet_drop().prop_map(Fact::PacketDrop),
        1 => any::<(u64, u64)>()
            .prop_map(|(overflows, drops)| Fact::ListenQueue(ListenQueue { overflows, drops })),
        1 => layer_passage().prop_map(Fact::LayerPassage),
        1 => socket_owner().prop_map(Fact::SocketOwner),
        1 => route_lookup().prop_map(Fact::RouteLookup),
        1 => route_detail().prop_map(Fact::RouteDetail),
        1 => neighbor().prop_map(Fact::Neighbor),
        1 => get_addr_info().prop_map(Fact::GetAddrInfo),
        1 => (any::<u32>(), any::<String>(), hook())
            .prop_map(|(pid, path, hook)| Fact::FileOpen(FileOpen { pid, path, hook })),
        1 => process().prop_map(Fact::Process),
        1 => interface().prop_map(Fact::Interface),
        1 => any::<u32>().prop_map(Fact::NetworkNamespace),
        1 => (of(any::<u32>()), any::<String>())
            .prop_map(|(interface, text)| Fact::Comment(FileComment { interface, text })),
        2 => secret().prop_map(Fact::TlsSecret),
        1 => client().prop_map(Fact::Client),
        1 => (any::<u64>(), loss_place())
            .prop_map(|(count, place)| Fact::Lost { class: "tcp_state", count, place }),
    ]
}

/// Lines of key log, and what only looks like one.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "CLIENT_[A-Z_]{4,20} [0-9a-f]{64} [0-9a-f]{64}",
        any::<String>(),
        " ?#[a-z]*\n?"
    ]
}

fn hook() -> impl Strategy<Value = HookKind> {
    prop_oneof![
        Just(HookKind::Xdp),
        Just(HookKind::Tcx),
        Just(HookKind::Kprobe),
        Just(HookKind::TpBtf),
        Just(HookKind::SockOps),
        Just(HookKind::Netlink),
        Just(HookKind::Pcap),
    ]
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ]
}

fn socket_address() -> impl Strategy<Value = SocketAddr> {
    (ip(), any::<u16>()).prop_map(SocketAddr::from)
}

prop_compose! {
    fn frame()(
        interface in 0..5u32,
        direction in prop_oneof![
            Just(Direction::In), Just(Direction::Out), Just(Direction::Unknown)
        ],
        hook in hook(),
        link_type in prop_oneof![
            Just(LinkType::Ethernet),
            Just(LinkType::RawIp),
            Just(LinkType::LinuxCookedV2),
            Just(LinkType::Null),
            Just(LinkType::Other(147)),
        ],
        cookie in of(any::<u64>()),
        original_length in any::<u32>(),
        data in vec(any::<u8>(), 0..200),
    ) -> Frame {
        Frame { interface, direction, hook, link_type, cookie, original_length, data, note: None }
    }
}

prop_compose! {
    fn tcp_state()(
        socket in any::<u64>(),
        cookie in of(any::<u64>()),
        network_namespace in of(any::<u32>()),
        states in (1..=12u8, 1..=12u8),
        local in socket_address(),
        remote in socket_address(),
        current_pid in any::<u32>(),
        hook in hook(),
    ) -> TcpStateChange {
        let state = |number| TcpState::try_from(number).unwrap_or(TcpState::Close);
        let (from, to) = (state(states.0), state(states.1));
        TcpStateChange {
            socket, cookie, network_namespace, from, to, local, remote, current_pid, hook,
        }
    }
}

fn congestion() -> impl Strategy<Value = Option<CongestionState>> {
    any::<u8>().prop_map(CongestionState::from_number)
}

prop_compose! {
    fn tcp_sample()(
        cookie in of(any::<u64>()),
        moment in prop_oneof![
            Just(SampleMoment::Established), Just(SampleMoment::RoundTrip),
            Just(SampleMoment::Timeout), Just(SampleMoment::Closing), Just(SampleMoment::Segment),
        ],
        local in socket_address(),
        remote in socket_address(),
        times in (of(any::<u64>()), of(any::<u64>())),
        windows in (of(any::<u32>()), of(any::<u32>())),
        bytes in any::<(u64, u64)>(),
        segments in (of(any::<u32>()), of(any::<u32>()), of(any::<u32>())),
        congestion in congestion(),
        network_namespace in of(any::<u32>()),
        hook in hook(),
    ) -> TcpSample {
        TcpSample {
            cookie, moment, local, remote,
            srtt_ns: times.0, rttvar_ns: times.1,
            cwnd: windows.0, ssthresh: windows.1,
            bytes_acked: bytes.0, bytes_received: bytes.1,
            retransmits: segments.0, lost: segments.1, in_flight: segments.2,
            congestion, network_namespace, hook,
        }
    }
}

prop_compose! {
    fn tcp_retransmit()(
        cookie in of(any::<u64>()),
        local in socket_address(),
        remote in socket_address(),
        sequence in any::<u32>(),
        end_sequence in any::<u32>(),
        congestion in congestion(),
        probes_for_loss in of(any::<bool>()),
        network_namespace in of(any::<u32>()),
        hook in hook(),
    ) -> TcpRetransmit {
        TcpRetransmit {
            cookie, local, remote, sequence, end_sequence, congestion, probes_for_loss, network_namespace, hook,
        }
    }
}

prop_compose! {
    fn tcp_reset()(
        action in prop_oneof![Just(ResetAction::Sent), Just(ResetAction::Received)],
        local in socket_address(),
        remote in socket_address(),
        reason in of(any::<String>()),
        network_namespace in of(any::<u32>()),
        hook in hook(),
    ) -> TcpReset {
        TcpReset { action, local, remote, reason, network_namespace, hook }
    }
}

prop_compose! {
    fn packet_drop()(
        cookie in of(any::<u64>()),
        reason in any::<String>(),
        protocol in any::<u8>(),
        source in socket_address(),
        destination in socket_address(),
        sequence in any::<u32>(),
        flags in any::<u8>(),
        network_namespace in of(any::<u32>()),
        hook in hook(),
    ) -> PacketDrop {
        PacketDrop { cookie, reason, protocol, source, destination, sequence, flags, network_namespace, hook }
    }
}

prop_compose! {
    fn layer_passage()(
        layer in prop_oneof![
            Just(KernelLayer::SocketWrite), Just(KernelLayer::Sent), Just(KernelLayer::Read),
        ],
        source in socket_address(),
        destination in socket_address(),
        sequence in any::<u32>(),
        length in any::<u32>(),
        function in any::<String>(),
        hook in hook(),
    ) -> LayerPassage {
        LayerPassage { layer, source, destination, sequence, length, function, hook }
    }
}

prop_compose! {
    fn socket_owner()(
        cookie in of(any::<u64>()),
        usage in prop_oneof![
            Just(SocketUse::Connect), Just(SocketUse::SendMessage), Just(SocketUse::Receive),
            Just(SocketUse::Send),
            Just(SocketUse::Listen), Just(SocketUse::Seeded),
        ],
        ids in any::<[u32; 3]>(),
        comm in any::<String>(),
        protocol in any::<u8>(),
        local in of(socket_address()),
        remote in of(socket_address()),
        network_namespace in of(any::<u32>()),
        hook in hook(),
    ) -> SocketOwner {
        let [pid, tid, uid] = ids;
        SocketOwner { cookie, usage, pid, tid, uid, comm, protocol, local, remote, network_namespace, hook }
    }
}

prop_compose! {
    fn route_lookup()(
        pid in any::<u32>(),
        in_process_context in any::<bool>(),
        table in any::<u32>(),
        error in any::<i32>(),
        destination in ip(),
        source in of(ip()),
        gateway in of(ip()),
        interface in of(any::<String>()),
    ) -> RouteLookup {
        RouteLookup {
            pid, in_process_context, table, error, destination, source, gateway, interface,
        }
    }
}

prop_compose! {
    fn route_detail()(
        destination in ip(),
        prefix in of((ip(), any::<u8>())),
        gateway in of(ip()),
        interface in of(any::<String>()),
        source in of(ip()),
        table in any::<u32>(),
        mtu in of(any::<u32>()),
        kind in any::<String>(),
        error in of(any::<i32>()),
    ) -> RouteDetail {
        RouteDetail {
            destination, prefix, gateway, interface, source, table, mtu, kind, error,
        }
    }
}

prop_compose! {
    fn neighbor()(
        action in prop_oneof![
            Just(NeighborAction::Create), Just(NeighborAction::Update),
            Just(NeighborAction::Used), Just(NeighborAction::Dead),
            Just(NeighborAction::Listed),
        ],
        ip in ip(),
        mac in of(any::<[u8; 6]>()),
        state in any::<u8>(),
        interface in of(any::<String>()),
        pid in any::<u32>(),
        hook in hook(),
    ) -> NeighborEvent {
        NeighborEvent { action, ip, mac, state, interface, pid, hook }
    }
}

prop_compose! {
    fn get_addr_info()(
        pid in any::<u32>(),
        tid in any::<u32>(),
        comm in any::<String>(),
        name in of(any::<String>()),
        service in of(any::<String>()),
        entered_at_ns in any::<u64>(),
        result in of(any::<i32>()),
    ) -> GetAddrInfoCall {
        GetAddrInfoCall { pid, tid, comm, name, service, entered_at_ns, result }
    }
}

fn process() -> impl Strategy<Value = ProcessEvent> {
    let known = || {
        let words = vec(any::<String>(), 0..4);
        (
            of(any::<String>()),
            words,
            of(any::<String>()),
            of(any::<u32>()),
        )
    };
    let number = any::<u32>;
    prop_oneof![
        (number(), number(), any::<String>()).prop_map(|(parent, child, comm)| {
            ProcessEvent::Fork {
                parent,
                child,
                comm,
            }
        }),
        (
            number(),
            number(),
            any::<String>(),
            any::<String>(),
            known()
        )
            .prop_map(
                |(pid, uid, comm, filename, (executable, command, cgroup, namespace_pid))| {
                    ProcessEvent::Exec {
                        pid,
                        uid,
                        comm,
                        filename,
                        executable,
                        command,
                        cgroup,
                        namespace_pid,
                    }
                }
            ),
        (number(), any::<String>(), number()).prop_map(|(pid, comm, code)| ProcessEvent::Exit {
            pid,
            comm,
            code
        }),
        (number(), number(), any::<String>(), known()).prop_map(
            |(pid, uid, comm, (executable, command, cgroup, namespace_pid))| ProcessEvent::Seen {
                pid,
                uid,
                comm,
                executable,
                command,
                cgroup,
                namespace_pid,
            }
        ),
    ]
}

prop_compose! {
    fn interface()(
        index in 0..5u32,
        name in any::<String>(),
        mac in of(any::<[u8; 6]>()),
        mtu in any::<u32>(),
        addresses in vec((ip(), any::<u8>()), 0..4),
        temporary in vec(ip(), 0..2),
        loopback in any::<bool>(),
    ) -> Interface {
        Interface { index, name, mac, mtu, addresses, temporary, loopback }
    }
}

fn client() -> impl Strategy<Value = ClientReport> {
    let event = prop_oneof![
        Just(ClientEvent::Started),
        any::<u16>().prop_map(|status| ClientEvent::Finished { status }),
        any::<(String, String)>()
            .prop_map(|(stage, message)| ClientEvent::Failed { stage, message }),
    ];
    (any::<u32>(), any::<String>(), event).prop_map(|(pid, url, event)| ClientReport {
        pid,
        url,
        event,
    })
}

fn loss_place() -> impl Strategy<Value = Option<LossPlace>> {
    let place = any::<(u64, Option<u32>, Option<(u16, u16)>)>();
    of(place.prop_map(|(lasted_ns, processor, ports)| LossPlace {
        lasted_ns,
        processor,
        ports,
    }))
}
