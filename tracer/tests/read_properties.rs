//! Whatever a capture holds, the document hangs together; and what the network may do to
//! packets without changing what was said (tags, duplicates, other segments, overtaking)
//! does not change the journeys.

#[path = "support/packets.rs"]
mod packets;
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use tracer::capture::file::FileSummary;
use tracer::capture::{Fact, Frame, LinkType, Observation};
use tracer::journey::model::{Document, Journey, Phase};
use tracer::protocol::frame::{Network, Tcp, Transport, parse_cut};
use tracer::replay::{Replay, ReplayOptions};

type Timed = (u64, Frame);

fn replayed(frames: &[Timed]) -> Document {
    replayed_with(frames, &ReplayOptions::default())
}

fn replayed_with(frames: &[Timed], options: &ReplayOptions) -> Document {
    let mut replay = Replay::new(options);
    for (at_ns, frame) in frames {
        let fact = Fact::Frame(frame.clone());
        replay.observe(Observation {
            at_ns: *at_ns,
            fact,
        });
    }
    replay.finish("test", &FileSummary::default()).document
}

/// Small captures: the cost of a test grows with every byte and every round.
fn small_captures() -> Vec<(String, Vec<Timed>)> {
    let files = support::files(&support::captures());
    let captures = files.iter().map(|path: &std::path::PathBuf| {
        let frames = packets::frames(Path::new(path));
        (path.display().to_string(), frames)
    });
    let captures: Vec<_> = captures.filter(|(_, frames)| frames.len() < 400).collect();
    assert!(!captures.is_empty(), "the folder holds no captures");
    captures
}

fn check(name: &str, document: &Document) {
    let ids = |list: Vec<&String>| -> BTreeSet<String> { list.into_iter().cloned().collect() };
    let dns = ids(document.dns.iter().map(|it| &it.id).collect());
    let neighbors = ids(document.neighbors.iter().map(|it| &it.id).collect());
    let connections = ids(document.connections.iter().map(|it| &it.id).collect());
    let journeys = ids(document.journeys.iter().map(|it| &it.id).collect());
    assert_eq!(dns.len(), document.dns.len(), "{name}: ids are unique");
    assert_eq!(connections.len(), document.connections.len(), "{name}");
    assert_eq!(journeys.len(), document.journeys.len(), "{name}");
    for journey in &document.journeys {
        let about = format!("{name} {}", journey.id);
        assert!(journey.dns.iter().all(|id| dns.contains(id)), "{about}");
        let mut used = journey.attempts.iter().chain(&journey.connection);
        assert!(used.all(|id| connections.contains(id)), "{about}");
        assert!(
            journey.neighbor.iter().all(|id| neighbors.contains(id)),
            "{about}"
        );
        assert!(
            journey.caused_by.iter().all(|id| journeys.contains(id)),
            "{about}"
        );
        if let Some(http) = &journey.http {
            let mut exchanges = document.connections.iter().flat_map(|it| &it.http);
            assert!(exchanges.any(|exchange| exchange.id == *http), "{about}");
        }
        check_times(&about, journey);
    }
    for exchange in document.connections.iter().flat_map(|it| &it.http) {
        let ordered =
            |from: Option<u64>, to: Option<u64>| from.zip(to).is_none_or(|(from, to)| from <= to);
        let sent = ordered(exchange.request_at_ns, exchange.request_end_at_ns);
        let read = ordered(exchange.response_at_ns, exchange.response_end_at_ns);
        assert!(sent && read, "{name} {}", exchange.id);
    }
}

fn check_times(about: &str, journey: &Journey) {
    let end = journey.started_at_ns + journey.duration_ns;
    let phases = &journey.phases;
    let phases: [&Option<Phase>; 8] = [
        &phases.resolve,
        &phases.route,
        &phases.neighbor,
        &phases.connect,
        &phases.tls,
        &phases.request,
        &phases.wait,
        &phases.response,
    ];
    let mut cursor = journey.started_at_ns;
    for phase in phases.into_iter().flatten() {
        assert!(phase.at_ns >= cursor, "{about}: phases overlap");
        cursor = phase.at_ns + phase.duration_ns;
    }
    assert!(cursor <= end, "{about}: a phase leaves its journey");
    let mut last = journey.started_at_ns;
    for event in &journey.timeline {
        assert!(event.at_ns >= last, "{about}: the timeline goes back");
        last = event.at_ns;
    }
    assert!(last <= end, "{about}: the timeline leaves its journey");
}

/// What was said, without when and in how many packets.
fn story(document: &Document) -> Vec<String> {
    let connections = document.connections.iter().map(|it| {
        let http: Vec<String> = it
            .http
            .iter()
            .map(|exchange| {
                let (method, url, status) = (&exchange.method, &exchange.url, exchange.status);
                let bodies = (exchange.request_body_bytes, exchange.response_body_bytes);
                format!("{method:?} {url:?} {status:?} {bodies:?}")
            })
            .collect();
        let tls = it.tls.as_ref();
        let tls = tls.map(|tls| (&tls.sni, &tls.version, &tls.cipher, &tls.alpn));
        let (client, server, close) = (it.client, it.server, it.close.kind);
        format!(
            "{client:?} {server:?} {:?} {tls:?} {http:?} {close:?}",
            it.bytes
        )
    });
    let journeys = document.journeys.iter().map(|it| {
        let addresses = &it.resolution.addresses;
        let (url, outcome, attempts) = (&it.url, it.outcome, &it.attempts);
        format!(
            "{url:?} {outcome:?} {attempts:?} {:?} {addresses:?} {:?}",
            it.connection, it.dns
        )
    });
    let dns = document.dns.iter().map(|it| {
        let (question, rcode) = (&it.question, &it.rcode);
        format!("{question:?} {rcode:?} {:?}", it.answers)
    });
    connections.chain(journeys).chain(dns).collect()
}

fn same_story(name: &str, before: &Document, after: &Document) {
    check(name, after);
    let (before, after) = (story(before), story(after));
    assert_eq!(before, after, "{name}");
}

/// Knuth's linear congruential generator: any will do, as long as it repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit.max(1)
    }
}

fn damage(frames: &[Timed], random: &mut Random) -> Vec<Timed> {
    let mut damaged = Vec::new();
    for (at_ns, frame) in frames {
        let mut frame = frame.clone();
        match random.below(12) {
            0 => continue,
            1 => damaged.push((*at_ns, frame.clone())),
            2 => frame.data.truncate(random.below(frame.data.len() + 1)),
            3..=5 => {
                for _ in 0..=random.below(4) {
                    let place = random.below(frame.data.len().min(140));
                    let value = u8::try_from(random.below(256)).expect("a byte");
                    if let Some(byte) = frame.data.get_mut(place) {
                        *byte = value;
                    }
                }
            }
            _ => {}
        }
        damaged.push((*at_ns, frame));
    }
    for _ in 0..random.below(4) {
        let (one, other) = (random.below(damaged.len()), random.below(damaged.len()));
        if !damaged.is_empty() {
            let (early, late) = (damaged[one].1.clone(), damaged[other].1.clone());
            damaged[one].1 = late;
            damaged[other].1 = early;
        }
    }
    damaged
}

#[test]
fn every_document_hangs_together() {
    for path in support::files(&support::captures()) {
        let name = path.display().to_string();
        check(&name, &replayed(&packets::frames(&path)));
    }
}

#[test]
fn damaged_captures_hang_together_too() {
    const ROUNDS: usize = 6;
    let mut random = Random(7);
    for (name, frames) in small_captures() {
        for round in 0..ROUNDS {
            let damaged = damage(&frames, &mut random);
            check(&format!("{name} round {round}"), &replayed(&damaged));
        }
    }
}

#[test]
fn the_same_capture_gives_the_same_bytes() {
    for (name, frames) in small_captures() {
        let text = |document: &Document| serde_json::to_string(document).expect("JSON");
        assert_eq!(text(&replayed(&frames)), text(&replayed(&frames)), "{name}");
    }
}

/// Connections that are over are read and forgotten while the capture goes on, unless
/// frames are kept: it must not show.
#[test]
fn forgetting_streams_early_changes_nothing() {
    let kept = ReplayOptions {
        keep_frames: true,
        ..ReplayOptions::default()
    };
    for (name, frames) in small_captures() {
        let (early, late) = (replayed(&frames), replayed_with(&frames, &kept));
        let text = |document: &Document| {
            let connections = serde_json::to_string(&document.connections).expect("JSON");
            (connections, document.dns.len(), document.journeys.len())
        };
        assert_eq!(text(&early), text(&late), "{name}");
    }
}

#[test]
fn a_vlan_tag_changes_nothing() {
    for (name, frames) in small_captures() {
        let tagged: Vec<Timed> = frames
            .iter()
            .map(|(at_ns, frame)| {
                let mut frame = frame.clone();
                if frame.link_type == LinkType::Ethernet && frame.data.len() >= 14 {
                    frame.data.splice(12..12, [0x81, 0x00, 0x00, 0x2a]);
                    frame.original_length += 4;
                }
                (*at_ns, frame)
            })
            .collect();
        let text = |frames| serde_json::to_string(&replayed(frames)).expect("JSON");
        assert_eq!(text(&frames), text(&tagged), "{name}");
    }
}

#[test]
fn duplicates_change_counters_only() {
    for (name, frames) in small_captures() {
        let twice: Vec<Timed> = frames
            .iter()
            .flat_map(|one| [one.clone(), one.clone()])
            .collect();
        same_story(&name, &replayed(&frames), &replayed(&twice));
    }
}

/// Calls `use_of` with the TCP segment of a frame that holds nothing else.
fn with_segment<T>(frame: &Frame, use_of: impl FnOnce(&Tcp<'_>) -> T) -> Option<T> {
    let parsed = parse_cut(frame.link_type, &frame.data, frame.original_length);
    match &parsed.network {
        Network::Ip(ip) => match &ip.transport {
            Transport::Tcp(tcp) => Some(use_of(tcp)),
            _ => None,
        },
        _ => None,
    }
}

/// Neighbours in the capture that carry data of one direction change places.
#[test]
fn segments_that_overtake_each_other_change_nothing() {
    let flow = |frame: &Frame| {
        with_segment(frame, |tcp| {
            let plain = !(tcp.flags.syn || tcp.flags.fin || tcp.flags.rst);
            let next = tcp.sequence.wrapping_add(tcp.payload_length);
            let ports = (tcp.source_port, tcp.destination_port);
            (plain && tcp.payload_length > 1).then_some((ports, tcp.sequence, next))
        })?
    };
    for (name, frames) in small_captures() {
        let mut moved = frames.clone();
        let mut index = 0;
        while index + 1 < moved.len() {
            let (one, other) = (flow(&moved[index].1), flow(&moved[index + 1].1));
            let follows = one
                .zip(other)
                .is_some_and(|(one, other)| one.0 == other.0 && one.2 == other.1);
            // The first data after the handshake tells midstream captures where they begin.
            if follows && index > 3 {
                let early = moved[index].1.clone();
                moved[index].1 = std::mem::replace(&mut moved[index + 1].1, early);
                index += 1;
            }
            index += 1;
        }
        same_story(&name, &replayed(&frames), &replayed(&moved));
    }
}

/// Every IPv4 segment with data is cut in two.
#[test]
fn other_segments_change_nothing() {
    for (name, frames) in small_captures() {
        let cut: Vec<Timed> = frames.iter().flat_map(halves).collect();
        same_story(&name, &replayed(&frames), &replayed(&cut));
    }
}

fn halves(timed: &Timed) -> Vec<Timed> {
    let (at_ns, frame) = timed;
    let whole = frame.data.len() == frame.original_length as usize;
    let plain = frame.link_type == LinkType::Ethernet && frame.data.get(12..14) == Some(&[8, 0]);
    let split = with_segment(frame, |tcp| {
        let plain = !(tcp.flags.syn || tcp.flags.rst || tcp.flags.urg);
        (plain && tcp.payload.len() > 1).then_some((tcp.sequence, tcp.payload.len()))
    });
    let Some((sequence, length)) = split.flatten().filter(|_| whole && plain) else {
        return vec![timed.clone()];
    };
    let header = 14 + usize::from(frame.data[14] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([frame.data[16], frame.data[17]]));
    let (end, first) = (14 + total, length / 2);
    let begin = end - length;
    let part = |from: usize, to: usize, offset: usize, last: bool| {
        let mut part = frame.clone();
        part.data = [&frame.data[..begin], &frame.data[from..to]].concat();
        let total = u16::try_from(begin - 14 + to - from).expect("shorter than before");
        part.data[16..18].copy_from_slice(&total.to_be_bytes());
        let sequence = sequence.wrapping_add(u32::try_from(offset).expect("short"));
        part.data[header + 4..header + 8].copy_from_slice(&sequence.to_be_bytes());
        if !last {
            // FIN belongs to the last byte.
            part.data[header + 13] &= !1;
        }
        part.original_length = u32::try_from(part.data.len()).expect("short");
        (*at_ns, part)
    };
    vec![
        part(begin, begin + first, 0, false),
        part(begin + first, end, first, true),
    ]
}
