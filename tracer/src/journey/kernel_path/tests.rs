use super::*;

const C: End = End::Client;

/// Passages in the order given: time, layer, offsets.
fn path(sender: End, seen: &[(u64, KernelLayer, u64, u64)]) -> KernelPath {
    let mut passages = Passages::default();
    for (at_ns, layer, start, end) in seen {
        let address = std::net::SocketAddr::from(([10, 0, 0, 1], 80));
        let passage = LayerPassage {
            layer: *layer,
            source: address,
            destination: address,
            sequence: 0,
            length: u32::try_from(end - start).expect("short"),
            function: layer.name().to_owned(),
            hook: HookKind::Kprobe,
        };
        passages.add(*at_ns, sender, *start, passage);
    }
    passages.describe(&[]).expect("something was seen")
}

/// Each segment as its offsets and `layer@time+duration`.
fn told(segments: &[SegmentPath]) -> Vec<(u64, u64, String)> {
    let step = |step: &LayerStep| match step.duration_ns {
        Some(duration) => format!("{}@{}+{duration}", step.layer.name(), step.at_ns),
        None => format!("{}@{}", step.layer.name(), step.at_ns),
    };
    segments
        .iter()
        .map(|segment| {
            let steps: Vec<String> = segment.layers.iter().map(step).collect();
            let end = segment.sequence + segment.bytes;
            (segment.sequence, end, steps.join(" "))
        })
        .collect()
}

use KernelLayer::{
    Device, DeviceReceive, Driver, IpOutput, Queue, Read, Sent, SocketWrite, TcpReceive,
    TcpTransmit, WakeUp,
};

#[test]
fn each_layer_lasts_until_the_next_one_and_the_device_until_it_is_done() {
    let path = path(
        C,
        &[
            (10, SocketWrite, 0, 100),
            (14, TcpTransmit, 0, 100),
            (15, IpOutput, 0, 100),
            (19, Queue, 0, 100),
            (20, Device, 0, 100),
            (27, Sent, 0, 100),
        ],
    );
    let expected = "socket_write@10+4 tcp_transmit@14+1 ip_output@15+4 queue@19+1 device@20+7";
    assert_eq!(told(&path.down), [(0, 100, expected.to_owned())]);
    assert!(path.up.is_empty());
}

#[test]
fn one_write_may_make_several_segments_and_one_segment_hold_several_writes() {
    let many_segments = path(
        C,
        &[
            (1, SocketWrite, 0, 200),
            (2, TcpTransmit, 0, 100),
            (3, Queue, 0, 100),
            (5, TcpTransmit, 100, 200),
            (6, Queue, 100, 200),
        ],
    );
    assert_eq!(
        told(&many_segments.down),
        [
            (
                0,
                100,
                "socket_write@1+1 tcp_transmit@2+1 queue@3".to_owned()
            ),
            (
                100,
                200,
                "socket_write@1+4 tcp_transmit@5+1 queue@6".to_owned()
            ),
        ]
    );
    let many_writes = path(
        C,
        &[
            (1, SocketWrite, 0, 50),
            (2, SocketWrite, 50, 100),
            (3, TcpTransmit, 0, 100),
            (4, Queue, 0, 100),
        ],
    );
    let expected = "socket_write@1+2 tcp_transmit@3+1 queue@4";
    assert_eq!(told(&many_writes.down), [(0, 100, expected.to_owned())]);
}

#[test]
fn a_gso_packet_that_is_cut_before_the_device_is_one_segment() {
    let path = path(
        C,
        &[
            (2, TcpTransmit, 0, 300),
            (3, Queue, 0, 300),
            (4, Device, 0, 100),
            (5, Device, 100, 200),
            (6, Device, 200, 300),
        ],
    );
    let expected = "tcp_transmit@2+1 queue@3+1 device@4";
    assert_eq!(told(&path.down), [(0, 300, expected.to_owned())]);
}

#[test]
fn packets_merged_by_gro_share_what_follows() {
    let path = path(
        End::Server,
        &[
            (1, Driver, 0, 100),
            (2, Driver, 100, 200),
            (4, DeviceReceive, 0, 200),
            (5, TcpReceive, 0, 200),
            (6, WakeUp, 0, 200),
            (9, Read, 0, 150),
            (11, Read, 150, 200),
        ],
    );
    let rest = "device_receive@4+1 tcp_receive@5+1 wake_up@6+3 read@9";
    assert_eq!(
        told(&path.up),
        [
            (0, 100, format!("driver@1+3 {rest}")),
            (100, 200, format!("driver@2+2 {rest}")),
        ]
    );
    assert!(path.up.iter().all(|segment| segment.end == End::Client));
}

#[test]
fn a_retransmission_is_a_way_of_its_own() {
    let path = path(
        C,
        &[
            (1, SocketWrite, 0, 100),
            (2, TcpTransmit, 0, 100),
            (3, Queue, 0, 100),
            (900, TcpTransmit, 0, 100),
            (901, Queue, 0, 100),
            (902, Device, 0, 100),
        ],
    );
    assert_eq!(
        told(&path.down),
        [
            (
                0,
                100,
                "socket_write@1+1 tcp_transmit@2+1 queue@3".to_owned()
            ),
            (
                0,
                100,
                "socket_write@1+899 tcp_transmit@900+1 queue@901+1 device@902".to_owned()
            ),
        ]
    );
}

#[test]
fn a_second_device_on_the_way_says_nothing_new() {
    let path = path(
        C,
        &[
            (1, TcpTransmit, 0, 100),
            (2, Queue, 0, 100),
            (3, Device, 0, 100),
            (4, Queue, 0, 100),
            (5, Device, 0, 100),
            (6, Sent, 0, 100),
        ],
    );
    let expected = "tcp_transmit@1+1 queue@2+1 device@3+3";
    assert_eq!(told(&path.down), [(0, 100, expected.to_owned())]);
}

#[test]
fn a_process_that_reads_before_it_is_woken_was_not_waiting() {
    let path = path(
        End::Server,
        &[
            (1, DeviceReceive, 0, 100),
            (2, TcpReceive, 0, 100),
            (3, Read, 0, 100),
            (9, WakeUp, 0, 200),
        ],
    );
    let expected = "device_receive@1+1 tcp_receive@2+1 read@3";
    assert_eq!(told(&path.up), [(0, 100, expected.to_owned())]);
}

#[test]
fn ends_of_one_host_are_told_apart() {
    let path = path(
        C,
        &[
            (1, Queue, 0, 100),
            (2, Device, 0, 100),
            (3, DeviceReceive, 0, 100),
            (4, Read, 0, 100),
        ],
    );
    assert_eq!(path.down.iter().map(|s| s.end).collect::<Vec<_>>(), [C]);
    assert_eq!(
        path.up.iter().map(|s| s.end).collect::<Vec<_>>(),
        [End::Server]
    );
}

#[test]
fn a_passage_alone_is_no_way() {
    let path = path(C, &[(1, Queue, 0, 100), (2, Read, 500, 600)]);
    assert!(path.down.is_empty() && path.up.is_empty() && path.summary.is_empty());
}

#[test]
fn lists_are_short_and_the_summary_counts_all() {
    let seen: Vec<_> = (0..100)
        .flat_map(|number| {
            let (start, at_ns) = (number * 10, number * 1000);
            [
                (at_ns, Queue, start, start + 10),
                (at_ns + number, Device, start, start + 10),
            ]
        })
        .collect();
    let path = path(C, &seen);
    assert_eq!(path.down.len(), 2 * LISTED);
    assert_eq!(path.omitted, 100 - 2 * LISTED as u64);
    let queue = path.summary.first().expect("queue");
    assert_eq!(
        (queue.layer, queue.segments, queue.median_ns, queue.max_ns),
        (Queue, 100, 49, 99)
    );
}

#[test]
fn memory_is_bounded_and_what_did_not_fit_is_counted() {
    let seen: Vec<_> = (0..PASSAGES as u64 + 5)
        .map(|number| (number, Queue, number, number + 1))
        .collect();
    assert_eq!(path(C, &seen).passages_dropped, 5);
}

proptest::proptest! {
    #[test]
    fn whatever_was_seen_no_layer_takes_negative_time(
        seen in proptest::collection::vec(
            (0..5_u64, 0..13_usize, 0..20_u64, 1..10_u64), 0..80,
        ),
    ) {
        const ALL: [KernelLayer; 13] = [
            SocketWrite, TcpTransmit, IpOutput, KernelLayer::Neighbor, Queue, Device, Sent,
            Driver, DeviceReceive, KernelLayer::IpReceive, TcpReceive, WakeUp, Read,
        ];
        let mut at_ns = 0;
        let mut all = vec![(0, Queue, 0, 1)];
        for (step, layer, start, length) in seen {
            at_ns += step;
            all.push((at_ns, ALL[layer], start, start + length));
        }
        let path = path(C, &all);
        for segment in path.down.iter().chain(&path.up) {
            let mut last = segment.at_ns;
            for pair in segment.layers.windows(2) {
                assert!(pair[0].layer < pair[1].layer, "{segment:?}");
            }
            for step in &segment.layers {
                assert!(step.at_ns >= last, "{segment:?}");
                last = step.at_ns + step.duration_ns.unwrap_or(0);
            }
        }
    }
}
