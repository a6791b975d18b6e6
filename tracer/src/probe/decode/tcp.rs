//! Records about TCP beyond its states.

use tracer_common::{event, record, record::UNKNOWN};

use super::{
    Malformed,
    fields::{namespace, socket_address},
};
use crate::{
    capture::{
        CongestionState, HookKind, PacketDrop, ResetAction, SampleMoment, TcpReset, TcpRetransmit,
        TcpSample,
    },
    probe::reasons::Reasons,
};

/// `TCP_INFINITE_SSTHRESH`, include/net/tcp.h.
const INFINITE_THRESHOLD: u32 = 0x7fff_ffff;
/// `ICSK_TIME_LOSS_PROBE`, include/net/inet_connection_sock.h.
const LOSS_PROBE: u8 = 5;

pub(super) fn sample(sample: &record::TcpSample, hook: HookKind) -> Result<TcpSample, Malformed> {
    Ok(TcpSample {
        cookie: (sample.cookie != 0).then_some(sample.cookie),
        moment: match sample.moment {
            event::sample::ESTABLISHED => SampleMoment::Established,
            event::sample::ROUND_TRIP => SampleMoment::RoundTrip,
            event::sample::TIMEOUT => SampleMoment::Timeout,
            event::sample::CLOSING => SampleMoment::Closing,
            event::sample::SEGMENT => SampleMoment::Segment,
            _ => return Err(Malformed),
        },
        local: socket_address(sample.family, &sample.local, sample.local_port)?,
        remote: socket_address(sample.family, &sample.remote, sample.remote_port)?,
        // tcp_get_info, net/ipv4/tcp.c: kept shifted by 3 and 2 bits; 0 before the first
        // measurement.
        srtt_ns: measured(sample.srtt, 8),
        rttvar_ns: measured(sample.mdev, 4).filter(|_| sample.srtt != 0),
        cwnd: known(sample.cwnd),
        ssthresh: known(sample.ssthresh).filter(|threshold| *threshold < INFINITE_THRESHOLD),
        bytes_acked: sample.bytes_acked,
        bytes_received: sample.bytes_received,
        retransmits: known(sample.total_retrans),
        lost: known(sample.lost),
        in_flight: known(sample.packets_out),
        congestion: CongestionState::from_number(sample.ca_state),
        network_namespace: namespace(sample.network),
        hook,
    })
}

fn known(number: u32) -> Option<u32> {
    (number != UNKNOWN).then_some(number)
}

/// Nanoseconds from fractions of a microsecond.
fn measured(fractions: u32, per_microsecond: u64) -> Option<u64> {
    let fractions = known(fractions).filter(|fractions| *fractions != 0)?;
    Some(u64::from(fractions) * 1000 / per_microsecond)
}

pub(super) fn retransmit(
    again: &record::TcpRetransmit,
    hook: HookKind,
) -> Result<TcpRetransmit, Malformed> {
    Ok(TcpRetransmit {
        cookie: (again.cookie != 0).then_some(again.cookie),
        local: socket_address(again.family, &again.local, again.local_port)?,
        remote: socket_address(again.family, &again.remote, again.remote_port)?,
        sequence: again.sequence,
        end_sequence: again.end_sequence,
        congestion: CongestionState::from_number(again.ca_state),
        probes_for_loss: (again.pending != u8::MAX).then_some(again.pending == LOSS_PROBE),
        network_namespace: namespace(again.network),
        hook,
    })
}

pub(super) fn reset(
    reset: &record::TcpReset,
    hook: HookKind,
    reasons: &Reasons,
) -> Result<TcpReset, Malformed> {
    Ok(TcpReset {
        action: match reset.action {
            event::reset::SENT => ResetAction::Sent,
            event::reset::RECEIVED => ResetAction::Received,
            _ => return Err(Malformed),
        },
        local: socket_address(reset.family, &reset.local, reset.local_port)?,
        remote: socket_address(reset.family, &reset.remote, reset.remote_port)?,
        reason: reasons.reset(reset.reason),
        network_namespace: namespace(reset.network),
        hook,
    })
}

pub(super) fn dropped(
    dropped: &record::PacketDrop,
    hook: HookKind,
    reasons: &Reasons,
) -> Result<PacketDrop, Malformed> {
    Ok(PacketDrop {
        cookie: (dropped.cookie != 0).then_some(dropped.cookie),
        reason: reasons.drop(dropped.reason),
        protocol: dropped.protocol,
        source: socket_address(dropped.family, &dropped.source, dropped.source_port)?,
        destination: socket_address(
            dropped.family,
            &dropped.destination,
            dropped.destination_port,
        )?,
        sequence: dropped.sequence,
        flags: dropped.flags,
        network_namespace: namespace(dropped.network),
        hook,
    })
}
