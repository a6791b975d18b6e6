//! What the kernel told of one connection beyond its states: round-trip times, drops,
//! resets; and windows that closed, which the frames show. All of it bounded.

use super::model::{Drop, End, Reset, TcpSample, ZeroWindow};
use crate::capture;

/// The first samples of an end are all kept.
const ALL_OF_THE_FIRST: usize = 32;
/// Samples kept of an end; when there are more, every second of the later ones goes.
const SAMPLES: usize = 128;
/// Drops, resets and closed windows kept; what comes later is left out.
const EACH: usize = 100;

/// Reasons by which the kernel frees a segment that has done its work.
const DONE: [&str; 1] = ["TCP_RESET"];

/// Names of the flags of a TCP segment from the lowest bit on (RFC 9293, section 3.1).
const FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

/// Samples of one end, thinned as they grow.
#[derive(Debug, Default)]
struct Samples {
    kept: Vec<TcpSample>,
    last: Option<TcpSample>,
    /// Of the later ones, every so many is kept; 0 stands for 1.
    stride: usize,
    passed: usize,
}

impl Samples {
    fn push(&mut self, sample: TcpSample) {
        if self.kept.len() < ALL_OF_THE_FIRST {
            self.kept.push(sample.clone());
        } else {
            self.passed += 1;
            if self.passed.is_multiple_of(self.stride.max(1)) {
                self.kept.push(sample.clone());
            }
        }
        self.last = Some(sample);
        if self.kept.len() > SAMPLES {
            let mut number = 0;
            self.kept.retain(|_| {
                number += 1;
                number <= ALL_OF_THE_FIRST || number % 2 == 0
            });
            self.stride = self.stride.max(1) * 2;
        }
    }

    fn list(&self) -> impl Iterator<Item = &TcpSample> {
        let last = self.last.iter();
        self.kept
            .iter()
            .chain(last.filter(|last| self.kept.last() != Some(last)))
    }
}

/// What the kernel told of one connection.
#[derive(Debug, Default)]
pub(super) struct Told {
    client: Samples,
    server: Samples,
    pub drops: Vec<Drop>,
    pub resets: Vec<Reset>,
    pub zero_windows: Vec<ZeroWindow>,
}

impl Told {
    pub fn sample(&mut self, at_ns: u64, end: End, sample: &capture::TcpSample) {
        let sample = TcpSample {
            at_ns,
            end,
            moment: sample.moment.name().to_owned(),
            srtt_ns: sample.srtt_ns,
            rttvar_ns: sample.rttvar_ns,
            cwnd: sample.cwnd,
            ssthresh: sample.ssthresh,
            bytes_acked: sample.bytes_acked,
            bytes_received: sample.bytes_received,
            retransmits: sample.retransmits,
            lost: sample.lost,
            in_flight: sample.in_flight,
            congestion: sample.congestion.map(|state| state.name().to_owned()),
            hook: sample.hook.name().to_owned(),
        };
        match end {
            End::Client => self.client.push(sample),
            End::Server => self.server.push(sample),
        }
    }

    pub fn dropped(&mut self, at_ns: u64, end: End, dropped: &capture::PacketDrop) {
        if self.drops.len() < EACH && !DONE.contains(&dropped.reason.as_str()) {
            self.drops.push(Drop {
                at_ns,
                end,
                reason: dropped.reason.clone(),
                flags: flag_names(dropped.flags),
                hook: dropped.hook.name().to_owned(),
            });
        }
    }

    pub fn reset(&mut self, at_ns: u64, end: End, reset: &capture::TcpReset) {
        if self.resets.len() < EACH {
            self.resets.push(Reset {
                at_ns,
                end,
                action: reset.action.name().to_owned(),
                reason: reset.reason.clone(),
                hook: reset.hook.name().to_owned(),
            });
        }
    }

    /// `end` said that it has no room: once until it has said otherwise.
    pub fn zero_window(&mut self, at_ns: u64, end: End) {
        if self.zero_windows.len() < EACH {
            self.zero_windows.push(ZeroWindow { at_ns, end });
        }
    }

    /// Of both ends, in time order.
    pub fn samples(&self) -> Vec<TcpSample> {
        let both = self.client.list().chain(self.server.list());
        let mut samples: Vec<TcpSample> = both.cloned().collect();
        samples.sort_by_key(|sample| sample.at_ns);
        samples
    }

    /// The last smoothed round-trip time: the client's where it is on this host.
    pub fn srtt_ns(&self) -> Option<u64> {
        let last = |samples: &Samples| samples.last.as_ref()?.srtt_ns;
        last(&self.client).or_else(|| last(&self.server))
    }
}

fn flag_names(flags: u8) -> String {
    let set = FLAGS.iter().enumerate();
    let names: Vec<&str> = set
        .filter(|(bit, _)| flags & (1 << bit) != 0)
        .map(|(_, name)| *name)
        .collect();
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{CongestionState, HookKind, SampleMoment};
    use std::net::{Ipv4Addr, SocketAddr};

    fn sample(srtt_ns: u64) -> capture::TcpSample {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        capture::TcpSample {
            cookie: None,
            moment: SampleMoment::RoundTrip,
            local: address,
            remote: address,
            srtt_ns: Some(srtt_ns),
            rttvar_ns: None,
            cwnd: Some(10),
            ssthresh: None,
            bytes_acked: 0,
            bytes_received: 0,
            retransmits: None,
            lost: None,
            in_flight: None,
            congestion: Some(CongestionState::Open),
            network_namespace: None,
            hook: HookKind::SockOps,
        }
    }

    #[test]
    fn of_many_samples_the_first_and_the_last_stay_and_the_list_is_bounded() {
        let mut told = Told::default();
        for number in 0..100_000 {
            told.sample(number, End::Client, &sample(number + 1));
        }
        let samples = told.samples();
        assert!(samples.len() <= SAMPLES + 1, "{}", samples.len());
        let times: Vec<u64> = samples.iter().map(|sample| sample.at_ns).collect();
        let first: Vec<u64> = (0..32).collect();
        assert_eq!(times[..32], first);
        assert_eq!(times.last(), Some(&99_999));
        assert_eq!(told.srtt_ns(), Some(100_000));
        assert!(times.is_sorted());
    }

    #[test]
    fn a_handful_of_samples_is_kept_whole_and_once() {
        let mut told = Told::default();
        told.sample(1, End::Server, &sample(7));
        told.sample(2, End::Client, &sample(9));
        assert_eq!(told.samples().len(), 2);
        assert_eq!(told.srtt_ns(), Some(9));
    }

    #[test]
    fn flags_have_their_names() {
        assert_eq!(flag_names(0x02), "SYN");
        assert_eq!(flag_names(0x18), "PSH ACK");
        assert_eq!(flag_names(0), "");
    }
}
