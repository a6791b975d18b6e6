//! Passages through the kernel's layers, joined by byte range.
//!
//! Buffers are cloned, split and merged on their way, so that nothing but the bytes
//! themselves says which passages belong together. Two kinds of layer are joined in two ways:
//! those that handle packets follow each other for one range, and begin anew for a
//! retransmission; those of the socket handle stretches of the stream that may be a part of
//! a packet or hold many.

use super::connection::TrackedConnection;
use super::evidence::Mark;
use super::model::{End, KernelPath, LayerStep, LayerSummary, SegmentPath};
use crate::capture::{Direction, Frame, HookKind, KernelLayer, LayerPassage};
use crate::protocol::frame::{self, Network, Transport};

/// Passages kept of a connection: 350 segments or more, of which most are only counted.
const PASSAGES: usize = 4096;
/// Segments listed at either end of each direction.
const LISTED: usize = 16;
/// Hooks by name; a recording may hold any text.
const WATCHERS: usize = 64;
/// Segments that may be under way in the kernel at a time, looked through for the one that
/// passes its next layer.
const UNDER_WAY: usize = 64;

/// What passed when.
#[derive(Debug, Clone, Copy)]
struct Passage {
    at_ns: u64,
    layer: KernelLayer,
    /// Who sends the bytes.
    sender: End,
    /// Offsets in the sender's stream.
    start: u64,
    end: u64,
    /// Index of the hook.
    watcher: usize,
}

impl Passage {
    /// At which end of the connection the kernel worked.
    fn host(&self) -> End {
        if self.layer.is_down() {
            self.sender
        } else {
            self.sender.peer()
        }
    }
}

/// All passages of a connection.
#[derive(Debug, Default)]
pub(super) struct Passages {
    /// In order of time.
    kept: Vec<Passage>,
    watchers: Vec<(HookKind, String)>,
    dropped: u64,
}

impl Passages {
    /// `start`: offset of the first byte in the stream of `sender`.
    pub fn add(&mut self, at_ns: u64, sender: End, start: u64, passage: LayerPassage) {
        let Some(watcher) = self.watcher(passage.hook, passage.function) else {
            self.dropped += 1;
            return;
        };
        if self.kept.len() >= PASSAGES {
            self.dropped += 1;
            return;
        }
        self.kept.push(Passage {
            at_ns,
            layer: passage.layer,
            sender,
            start,
            end: start.saturating_add(u64::from(passage.length)),
            watcher,
        });
    }

    fn watcher(&mut self, hook: HookKind, function: String) -> Option<usize> {
        let mut known = self.watchers.iter();
        let known = known.position(|(kind, name)| *kind == hook && *name == function);
        known.or_else(|| {
            let is_room = self.watchers.len() < WATCHERS;
            is_room.then(|| {
                self.watchers.push((hook, function));
                self.watchers.len() - 1
            })
        })
    }

    /// The roles of the ends were a guess that turned out wrong.
    pub fn swap_ends(&mut self) {
        for passage in &mut self.kept {
            passage.sender = passage.sender.peer();
        }
    }

    /// What the layers did; `None` where none was watched. Listed are the first and the last
    /// segments and those that passed at one of `moments`; all others are only counted.
    pub fn describe(&self, moments: &[u64]) -> Option<KernelPath> {
        if self.kept.is_empty() && self.dropped == 0 {
            return None;
        }
        let mut path = KernelPath {
            passages_dropped: self.dropped,
            ..KernelPath::default()
        };
        for down in [true, false] {
            let mut listed = Vec::new();
            for host in [End::Client, End::Server] {
                let segments = self.segments(host, down);
                path.summary.extend(summary(host, &segments));
                let last = segments.len().saturating_sub(LISTED);
                for (index, segment) in segments.into_iter().enumerate() {
                    let is_key = || moments.iter().any(|moment| segment.is_under_way(*moment));
                    if index < LISTED || index >= last || is_key() {
                        listed.push(segment);
                    } else {
                        path.omitted += 1;
                    }
                }
            }
            listed.sort_by_key(|segment| segment.at_ns);
            match down {
                true => path.down = listed,
                false => path.up = listed,
            }
        }
        Some(path)
    }

    /// The way of the segment that a frame of `sender` shows: its bytes from `start` on, seen
    /// at `at_ns` between the layers.
    pub fn of_frame(
        &self,
        sender: End,
        down: bool,
        (start, end): (u64, u64),
        at_ns: u64,
    ) -> Option<SegmentPath> {
        let host = if down { sender } else { sender.peer() };
        let mut segments = self.segments(host, down).into_iter().rev();
        segments.find(|segment| {
            let overlaps =
                segment.sequence < end && start < segment.sequence.saturating_add(segment.bytes);
            overlaps && segment.at_ns <= at_ns
        })
    }

    /// Every segment that one end's kernel handled in one direction.
    fn segments(&self, host: End, down: bool) -> Vec<SegmentPath> {
        let of_way = |passage: &&Passage| {
            passage.host() == host && passage.layer.is_down() == down && passage.end > passage.start
        };
        let (of_socket, of_packets): (Vec<&Passage>, Vec<&Passage>) = self
            .kept
            .iter()
            .filter(of_way)
            .partition(|passage| passage.layer.is_of_socket());
        let mut ways = packets(&of_packets);
        for way in &mut ways {
            if down {
                written(way, &of_socket);
            } else {
                delivered(way, &of_socket);
            }
        }
        ways.iter()
            .filter(|way| way.steps.len() > 1)
            .map(|way| self.tell(host, way))
            .collect()
    }

    fn tell(&self, end: End, way: &Way) -> SegmentPath {
        let next = way.steps.iter().skip(1).map(|step| Some(step.at_ns));
        let steps = way.steps.iter().zip(next.chain([None]));
        let layers = steps
            // Where the driver is done is the end of the device's time, no layer.
            .filter(|(step, _)| step.layer != KernelLayer::Sent)
            .map(|(step, next)| {
                let (hook, function) = self
                    .watchers
                    .get(step.watcher)
                    .map_or((HookKind::Tracepoint, ""), |(hook, name)| (*hook, name));
                LayerStep {
                    layer: step.layer,
                    hook,
                    function: function.to_owned(),
                    at_ns: step.at_ns,
                    duration_ns: next.map(|next| next.saturating_sub(step.at_ns)),
                }
            });
        SegmentPath {
            at_ns: way.steps.first().map_or(0, |step| step.at_ns),
            end,
            sequence: way.start,
            bytes: way.end - way.start,
            layers: layers.collect(),
        }
    }
}

/// The way of one segment, layer after layer.
#[derive(Debug)]
struct Way {
    start: u64,
    end: u64,
    steps: Vec<Passage>,
}

impl Way {
    fn overlaps(&self, passage: &Passage) -> bool {
        passage.start < self.end && self.start < passage.end
    }

    fn last(&self) -> Option<&Passage> {
        self.steps.last()
    }
}

/// Joins the layers that handle packets. The first of them that is watched begins a way;
/// what passes a later one goes on with the latest ways of the same bytes: one where a GSO
/// packet is cut behind it, several where GRO has merged them. A layer that is passed again
/// (a bridge, the other pieces of a GSO packet) says nothing new.
fn packets(passages: &[&Passage]) -> Vec<Way> {
    let Some(first) = passages.iter().map(|passage| passage.layer).min() else {
        return Vec::new();
    };
    let mut ways: Vec<Way> = Vec::new();
    for passage in passages {
        if passage.layer == first {
            ways.push(Way {
                start: passage.start,
                end: passage.end,
                steps: vec![**passage],
            });
            continue;
        }
        // Behind a retransmission its forerunners are history.
        let mut newer = u64::MAX;
        for way in ways.iter_mut().rev().take(UNDER_WAY) {
            if !way.overlaps(passage) || way.end > newer {
                continue;
            }
            newer = newer.min(way.start);
            if way.last().is_some_and(|last| last.layer < passage.layer) {
                way.steps.push(**passage);
            }
        }
    }
    ways
}

/// Puts the write in front that the segment's first byte comes from.
fn written(way: &mut Way, writes: &[&Passage]) {
    let Some(at_ns) = way.steps.first().map(|step| step.at_ns) else {
        return;
    };
    let before = writes.partition_point(|write| write.at_ns <= at_ns);
    let mut writes = writes.iter().take(before).rev();
    let found = writes.find(|write| write.start <= way.start && way.start < write.end);
    if let Some(write) = found {
        way.steps.insert(0, **write);
    }
}

/// Adds the wake-up that the segment caused and the first read of its bytes. A process that
/// was not waiting is not woken.
fn delivered(way: &mut Way, deliveries: &[&Passage]) {
    let Some(at_ns) = way.last().map(|step| step.at_ns) else {
        return;
    };
    let after = deliveries.partition_point(|passage| passage.at_ns < at_ns);
    let later = deliveries.get(after..).unwrap_or_default();
    let first = |layer| {
        let mut of_layer = later.iter().filter(|passage| passage.layer == layer);
        of_layer.find(|passage| way.overlaps(passage)).copied()
    };
    let (woken, read) = (first(KernelLayer::WakeUp), first(KernelLayer::Read));
    let in_time = |woken: &&Passage| read.is_none_or(|read| woken.at_ns <= read.at_ns);
    way.steps.extend(woken.filter(in_time));
    way.steps.extend(read);
}

/// Median and maximum of each layer.
fn summary(end: End, segments: &[SegmentPath]) -> Vec<LayerSummary> {
    let mut times: std::collections::BTreeMap<KernelLayer, Vec<u64>> = Default::default();
    for step in segments.iter().flat_map(|segment| &segment.layers) {
        if let Some(duration) = step.duration_ns {
            times.entry(step.layer).or_default().push(duration);
        }
    }
    let summaries = times.into_iter().filter_map(|(layer, mut times)| {
        times.sort_unstable();
        Some(LayerSummary {
            end,
            layer,
            segments: times.len() as u64,
            median_ns: *times.get((times.len() - 1) / 2)?,
            max_ns: *times.last()?,
        })
    });
    summaries.collect()
}

impl TrackedConnection {
    /// Takes bytes that `sender` sent and that passed a layer of this kernel.
    pub fn passage(&mut self, at_ns: u64, sender: End, passage: LayerPassage) {
        let stream = &self.end(sender).stream;
        if stream.begins().is_some() {
            let start = stream.relative(passage.sequence);
            self.passages.add(at_ns, sender, start, passage);
        }
    }

    /// The way through this kernel of the payload that a frame carries.
    pub fn path_of_frame(&self, mark: Mark, frame: &Frame) -> Option<SegmentPath> {
        let parsed = frame::parse_cut(frame.link_type, &frame.data, frame.original_length);
        let Network::Ip(ip) = parsed.network else {
            return None;
        };
        let Transport::Tcp(tcp) = ip.transport else {
            return None;
        };
        let is_of_client = self.client.port == tcp.source_port && self.client.ip == ip.source;
        let sender = if is_of_client {
            End::Client
        } else {
            End::Server
        };
        let start = self.end(sender).stream.relative(tcp.sequence);
        let range = (start, start.saturating_add(u64::from(tcp.payload_length)));
        let is_down = mark.direction == Direction::Out;
        self.passages.of_frame(sender, is_down, range, mark.at_ns)
    }
}

#[cfg(test)]
mod tests;
