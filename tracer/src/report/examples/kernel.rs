//! The way of a request and its response through a kernel that can be probed.

use super::pieces::MICROSECOND;
use crate::capture::{HookKind, KernelLayer};
use crate::journey::model::{End, KernelPath, LayerStep, LayerSummary, SegmentPath};

/// Layers with the times at which they were passed, in nanoseconds after the first.
type Steps = [(KernelLayer, &'static str, u64)];

const DOWN: &Steps = &[
    (KernelLayer::SocketWrite, "tcp_sendmsg", 0),
    (KernelLayer::TcpTransmit, "__tcp_transmit_skb", 4_100),
    (KernelLayer::IpOutput, "__ip_queue_xmit", 5_300),
    (KernelLayer::Neighbor, "ip_finish_output2", 6_600),
    (KernelLayer::Queue, "net:net_dev_queue", 7_800),
    (KernelLayer::Device, "net:net_dev_start_xmit", 8_700),
];
const UP: &Steps = &[
    (KernelLayer::Driver, "net:napi_gro_receive_entry", 0),
    (KernelLayer::DeviceReceive, "net:netif_receive_skb", 700),
    (KernelLayer::IpReceive, "ip_rcv_core", 2_400),
    (KernelLayer::TcpReceive, "tcp_v4_rcv", 3_500),
    (KernelLayer::WakeUp, "sock_def_readable", 6_200),
    (KernelLayer::Read, "skb:skb_copy_datagram_iovec", 38_000),
];

/// Both around the given times of their frames.
pub fn path(request_at_ns: u64, response_at_ns: u64) -> KernelPath {
    let request_at_ns = request_at_ns - 7 * MICROSECOND;
    let response_at_ns = response_at_ns - 2 * MICROSECOND;
    let down = segment(DOWN, request_at_ns, (610, 84), Some(1_100));
    let up = segment(UP, response_at_ns, (2_743, 170), None);
    let segments = [&down, &up].into_iter().flat_map(|segment| &segment.layers);
    let summary = segments.filter_map(|step| {
        Some(LayerSummary {
            end: End::Client,
            layer: step.layer,
            segments: 8,
            median_ns: step.duration_ns?,
            max_ns: 2 * step.duration_ns?,
        })
    });
    KernelPath {
        summary: summary.collect(),
        down: vec![down],
        up: vec![up],
        omitted: 0,
        passages_dropped: 0,
    }
}

fn segment(
    steps: &Steps,
    at_ns: u64,
    (sequence, bytes): (u64, u64),
    last_ns: Option<u64>,
) -> SegmentPath {
    let ends = steps.iter().skip(1).map(|(_, _, after)| Some(*after));
    let last = steps.last().zip(last_ns).map(|(step, last)| step.2 + last);
    let layers = steps.iter().zip(ends.chain([last]));
    let layers = layers.map(|((layer, function, after), end)| LayerStep {
        layer: *layer,
        hook: match function.contains(':') {
            true => HookKind::Tracepoint,
            false => HookKind::Kprobe,
        },
        function: (*function).to_owned(),
        at_ns: at_ns + after,
        duration_ns: end.map(|end| end - after),
    });
    SegmentPath {
        at_ns,
        end: End::Client,
        sequence,
        bytes,
        layers: layers.collect(),
    }
}
