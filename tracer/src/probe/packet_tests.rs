//! The packet programs, run in the real kernel on frames made here (BPF_PROG_TEST_RUN).
//! They need root and the real object: `cargo test -- --ignored`.

use aya::{
    maps::{MapData, RingBuf},
    programs::{Program, SchedClassifier, TestRun as _, TestRunOptions, Xdp},
};
use etherparse::{PacketBuilder, VlanId};

use super::*;
use crate::capture::{Direction, Frame};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

/// The programs in the kernel, attached to nothing.
struct Bench {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
}

impl Bench {
    fn new(options: &ProbeOptions) -> Self {
        let (mut ebpf, _, _) = open(options, &[]).expect("root and the real object");
        note_ports(&mut ebpf, &options.ports).expect("a map of ports");
        let ring = take_map(&mut ebpf, "EVENTS").expect("ring");
        let ring = RingBuf::try_from(ring).expect("ring");
        for name in ["tracer_xdp", "tracer_out", "tracer_in"] {
            match ebpf.program_mut(name).expect(name) {
                Program::Xdp(program) => program.load().expect(name),
                Program::SchedClassifier(program) => program.load().expect(name),
                other => panic!("{other:?}"),
            }
        }
        Self { ebpf, ring }
    }

    fn of_scope(scope: Scope) -> Self {
        Self::new(&ProbeOptions {
            scope,
            payload_budget: 100,
            ..ProbeOptions::default()
        })
    }

    /// What is reported of a frame that arrives at XDP.
    fn arrive(&mut self, frame: &[u8]) -> Option<Frame> {
        let program: &Xdp = self.program("tracer_xdp");
        let verdict = program.test_run(input(frame)).expect("run");
        assert_eq!(verdict.return_value, 2, "XDP_PASS");
        self.reported()
    }

    /// What is reported of a frame that arrives at TC.
    fn arrive_at_tc(&mut self, frame: &[u8]) -> Option<Frame> {
        let program: &SchedClassifier = self.program("tracer_in");
        let verdict = program.test_run(input(frame)).expect("run");
        assert_eq!(verdict.return_value, u32::MAX, "TC_ACT_UNSPEC");
        self.reported()
    }

    fn program<'a, P>(&'a self, name: &str) -> &'a P
    where
        &'a P: TryFrom<&'a Program>,
    {
        let program = self.ebpf.program(name).expect(name);
        <&P>::try_from(program).ok().expect(name)
    }

    fn reported(&mut self) -> Option<Frame> {
        let decoder = decode::Decoder::new(Clock::now(), HookKind::Tcx);
        let mut said = Vec::new();
        while let Some(record) = self.ring.next() {
            decoder.decode(&record, &mut said).expect("valid record");
        }
        assert!(said.len() <= 1, "{said:?}");
        said.pop().map(|one| match one.fact {
            Fact::Frame(frame) => frame,
            other => panic!("{other:?}"),
        })
    }
}

fn input(frame: &[u8]) -> TestRunOptions<'_> {
    TestRunOptions {
        data_in: Some(frame),
        ..TestRunOptions::new()
    }
}

/// Which segment of a TCP connection from client to server.
#[derive(Clone, Copy)]
struct Segment {
    sequence: u32,
    syn: bool,
    payload: usize,
}

fn tcp(segment: Segment) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(MAC, MAC)
        .ipv4(CLIENT, SERVER, 64)
        .tcp(40000, 80, segment.sequence, 1000);
    let builder = if segment.syn {
        builder.syn()
    } else {
        builder.ack(1)
    };
    let mut frame = Vec::new();
    let payload = vec![b'x'; segment.payload];
    builder.write(&mut frame, &payload).expect("frame");
    frame
}

fn udp(source_port: u16, destination_port: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(MAC, MAC)
        .ipv4(CLIENT, SERVER, 64)
        .udp(source_port, destination_port)
        .write(&mut frame, &[7; 300])
        .expect("frame");
    frame
}

#[test]
#[ignore = "needs root and the kernel programs"]
fn dns_and_dhcp_are_always_copied_whole() {
    let mut bench = Bench::of_scope(Scope::Processes);
    for port in [53, 67, 68, 546, 547, 5353, 5355] {
        for frame in [udp(40000, port), udp(port, 40000)] {
            let seen = bench.arrive(&frame).expect("wanted");
            assert_eq!(seen.data, frame, "port {port}");
            assert_eq!(seen.direction, Direction::In);
            assert_eq!(bench.arrive_at_tc(&frame).expect("wanted").data, frame);
        }
    }
    assert_eq!(bench.arrive(&udp(40000, 1234)), None);
}

#[test]
#[ignore = "needs root and the kernel programs"]
fn flows_of_others_are_not_copied_when_processes_are_traced() {
    let syn = tcp(Segment {
        sequence: 1,
        syn: true,
        payload: 0,
    });
    assert_eq!(Bench::of_scope(Scope::Processes).arrive(&syn), None);
    let seen = Bench::of_scope(Scope::Host).arrive(&syn);
    assert_eq!(seen.expect("wanted").data, syn);
}

#[test]
#[ignore = "needs root and the kernel programs"]
fn of_a_host_only_the_ports_that_were_asked_for_are_copied() {
    let watching = |port| {
        Bench::new(&ProbeOptions {
            scope: Scope::Host,
            ports: vec![port],
            ..ProbeOptions::default()
        })
    };
    let (syn, quic) = (
        tcp(Segment {
            sequence: 1,
            syn: true,
            payload: 0,
        }),
        udp(40000, 443),
    );
    for (port, of_tcp, of_quic) in [(80, true, false), (443, false, true), (8080, false, false)] {
        let mut bench = watching(port);
        assert_eq!(bench.arrive(&syn).is_some(), of_tcp, "TCP to 80: {port}");
        assert_eq!(bench.arrive_at_tc(&syn).is_some(), of_tcp, "{port}");
        assert_eq!(bench.arrive(&quic).is_some(), of_quic, "QUIC: {port}");
        assert!(bench.arrive(&udp(40000, 53)).is_some(), "names: {port}");
    }
}

#[test]
#[ignore = "needs root and the kernel programs"]
fn the_budget_counts_sequence_numbers_and_not_packets() {
    let mut bench = Bench::of_scope(Scope::Host);
    let mut captured = |sequence, syn, payload| {
        let frame = tcp(Segment {
            sequence,
            syn,
            payload,
        });
        let seen = bench.arrive(&frame).expect("wanted");
        assert_eq!(seen.original_length as usize, frame.len());
        assert_eq!(seen.data, frame[..seen.data.len()]);
        seen.data.len()
    };
    const HEADERS: usize = 54;
    assert_eq!(captured(999, true, 0), HEADERS);
    assert_eq!(captured(1000, false, 60), HEADERS + 60);
    // A retransmission uses up nothing.
    assert_eq!(captured(1000, false, 60), HEADERS + 60);
    // Cut where the budget of 100 bytes ends, but never below 128 bytes.
    assert_eq!(captured(1060, false, 500), 128);
    assert_eq!(captured(1000, false, 500), HEADERS + 100);
    // Past the budget: headers, so that counts and times stay right.
    assert_eq!(captured(9000, false, 1000), 128);
    assert_eq!(captured(9000, false, 0), HEADERS);
}

#[test]
#[ignore = "needs root and the kernel programs"]
fn vlan_tags_and_ipv6_extension_headers_do_not_hide_the_ports() {
    let mut bench = Bench::of_scope(Scope::Processes);
    let mut tagged = Vec::new();
    PacketBuilder::ethernet2(MAC, MAC)
        .double_vlan(
            VlanId::try_new(5).expect("id"),
            VlanId::try_new(6).expect("id"),
        )
        .ipv4(CLIENT, SERVER, 64)
        .udp(40000, 53)
        .write(&mut tagged, b"query")
        .expect("frame");
    assert_eq!(bench.arrive(&tagged).expect("wanted").data, tagged);

    // Hop-by-hop options, then destination options, then UDP.
    let mut udp_part = Vec::new();
    PacketBuilder::ethernet2(MAC, MAC)
        .ipv6([1; 16], [2; 16], 64)
        .udp(40000, 53)
        .write(&mut udp_part, b"query")
        .expect("frame");
    let (head, upper) = udp_part.split_at(54);
    let mut head = head.to_vec();
    head[20] = 0;
    head[19] += 24;
    let options = [
        [60, 0, 1, 4, 0, 0, 0, 0].as_slice(),
        &[17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let extended = [head.as_slice(), &options, upper].concat();
    assert_eq!(bench.arrive(&extended).expect("wanted").data, extended);
}

#[test]
#[ignore = "needs root and the kernel programs"]
fn later_fragments_follow_the_first() {
    let mut bench = Bench::of_scope(Scope::Processes);
    let mut first = udp(53, 40000);
    first[18..20].copy_from_slice(&[0x12, 0x34]);
    first[20..22].copy_from_slice(&[0x20, 0x00]);
    let mut later = first.clone();
    later[20..22].copy_from_slice(&[0x00, 0x64]);
    assert_eq!(bench.arrive(&later), None, "nothing announced it");
    assert_eq!(bench.arrive(&first).expect("wanted").data, first);
    assert_eq!(bench.arrive(&later).expect("wanted").data, later);
    later[18..20].copy_from_slice(&[0x12, 0x35]);
    assert_eq!(bench.arrive(&later), None, "another packet's");
}

#[test]
#[ignore = "needs root and the kernel programs"]
fn control_packets_are_always_copied() {
    let mut bench = Bench::of_scope(Scope::Processes);
    let mut arp = [MAC, MAC].concat();
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend([0; 20]);
    assert_eq!(bench.arrive(&arp).expect("wanted").data, arp);
    let mut ping = Vec::new();
    PacketBuilder::ethernet2(MAC, MAC)
        .ipv6([1; 16], [2; 16], 64)
        .icmpv6_echo_request(1, 1)
        .write(&mut ping, &[])
        .expect("frame");
    assert_eq!(bench.arrive(&ping).expect("wanted").data, ping);
}

#[test]
#[ignore = "needs root and the kernel programs"]
fn padding_of_a_short_frame_is_not_payload() {
    let mut bench = Bench::of_scope(Scope::Host);
    let segment = |sequence, syn| Segment {
        sequence,
        syn,
        payload: 0,
    };
    let mut padded = tcp(segment(1, true));
    padded.resize(60, 0);
    assert_eq!(bench.arrive(&padded).expect("wanted").data, padded);
}

#[test]
#[ignore = "needs root and the kernel programs"]
fn a_frame_cut_anywhere_does_no_harm() {
    let mut bench = Bench::of_scope(Scope::Host);
    let whole = tcp(Segment {
        sequence: 1,
        syn: false,
        payload: 20,
    });
    // The kernel takes nothing shorter than an Ethernet header.
    for length in 14..whole.len() {
        if let Some(seen) = bench.arrive(&whole[..length]) {
            assert_eq!(seen.data, whole[..length]);
        }
    }
}
