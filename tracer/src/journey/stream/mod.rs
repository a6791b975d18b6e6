//! TCP reassembly of one direction, by byte range.
//!
//! Positions are offsets in the stream: 0 is the first payload byte. A byte's time is the
//! wire time of the segment that *first* carried it ([`TimedBytes::time_of`](crate::journey::bytes::TimedBytes::time_of)); what was
//! held up behind a lost segment could only be read later, which is
//! [`TimedBytes::readable_at`](crate::journey::bytes::TimedBytes::readable_at).

#[cfg(test)]
mod tests;

use super::bytes::TimedBytes;
use std::collections::BTreeMap;

/// Ranges remembered behind the first gap, and pieces held there. Real streams have a few;
/// more come from damaged captures or from someone who wants our memory.
const MAX_RANGES: usize = 1024;

/// So many pieces wait behind a gap before those that came at one time are joined: a segment
/// that was cut on its way takes no more room than a whole one.
const MANY_WAIT: usize = MAX_RANGES / 4;

/// The largest receive window (RFC 7323, section 2.3): what lies further ahead is not part
/// of this stream.
const MAX_WINDOW: u64 = 1 << 30;

/// Bytes of holes that any stream may have. Holes are written out as zeros, so without a
/// bound a few packets that claim to be long, or lie far apart, would cost us megabytes.
const MAX_HOLES: u64 = 64 << 10;

/// Bytes of holes allowed beyond that for each byte that was captured: a capture that keeps
/// 68 bytes of each frame has some 14 of 1460.
const HOLES_PER_BYTE: u64 = 256;

/// What a segment brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// Data never seen before, at or behind the highest byte so far.
    New { relative: u64 },
    /// Data never seen before, in front of bytes that came earlier: reordered on the way,
    /// or sent again after it was lost before the point of capture.
    OutOfOrder { relative: u64 },
    /// Every byte was seen before.
    Retransmission { relative: u64 },
    /// Some bytes were seen before, `new_bytes` were not.
    Overlap { relative: u64, new_bytes: u64 },
    /// At most one byte, just before the next one: a probe, not data
    /// (RFC 9293, section 3.8.4).
    KeepAlive,
    /// New data beyond the limit: counted, not kept.
    BeyondLimit,
    /// More than the largest window ahead of the stream: ignored.
    OutOfWindow,
    /// No payload, and not a probe.
    Empty,
}

/// Puts the segments of one direction in order. Bounded: at most `limit` bytes are kept,
/// with at most `MAX_RANGES` ranges waiting behind gaps, and holes in proportion to what
/// was captured.
#[derive(Debug, Clone)]
pub struct StreamAssembler {
    limit: u64,
    /// Sequence number of offset 0.
    base: Option<u32>,
    /// Whether `base` comes from a SYN and not from the first segment that happened by.
    base_is_certain: bool,
    /// Everything seen, kept or not: `start -> end`, disjoint and not adjacent.
    seen: BTreeMap<u64, u64>,
    highest: u64,
    bytes: TimedBytes,
    /// Pieces behind the first gap, by offset; disjoint, inside the limit.
    waiting: BTreeMap<u64, Piece>,
    /// Payload bytes that were captured and kept.
    captured: u64,
    /// Bytes of the holes in `bytes`.
    holes: u64,
}

/// A range of bytes with one time.
#[derive(Debug, Clone)]
struct Piece {
    at_ns: u64,
    /// Empty for bytes that were not captured.
    data: Vec<u8>,
    length: u64,
}

impl StreamAssembler {
    /// Keeps at most `limit` bytes from the start of the stream; the rest is counted.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: u64::try_from(limit).unwrap_or(u64::MAX),
            base: None,
            base_is_certain: false,
            seen: BTreeMap::new(),
            highest: 0,
            bytes: TimedBytes::default(),
            waiting: BTreeMap::new(),
            captured: 0,
            holes: 0,
        }
    }

    /// Says where the stream starts: the sequence number of the SYN or SYN-ACK. Without
    /// it the first segment defines the start. When segments overtook the SYN, what they
    /// brought is moved to its place. A second, different number is ignored: it belongs to
    /// another connection.
    pub fn set_initial_sequence(&mut self, isn: u32) {
        let base = isn.wrapping_add(1);
        if self.base_is_certain {
            return;
        }
        if let Some(assumed) = self.base {
            let missing = u64::from(assumed.wrapping_sub(base));
            if missing > MAX_WINDOW {
                return;
            }
            self.move_by(missing);
        }
        self.base = Some(base);
        self.base_is_certain = true;
    }

    /// Nothing of the stream was seen yet, and it starts behind another SYN than was thought.
    pub fn restart(&mut self, isn: u32) {
        *self = Self {
            limit: self.limit,
            ..Self::new(0)
        };
        self.set_initial_sequence(isn);
    }

    /// Takes one segment. `sequence` is that of its first payload byte (for data in a SYN,
    /// one more than the segment's own). `payload` is what was captured of the
    /// `payload_length` bytes on the wire at `at_ns`; the rest becomes a hole. Of bytes
    /// seen twice the first copy stays.
    pub fn segment(
        &mut self,
        sequence: u32,
        payload: &[u8],
        payload_length: u32,
        at_ns: u64,
    ) -> SegmentKind {
        if self.is_keep_alive(sequence, payload_length) {
            return SegmentKind::KeepAlive;
        }
        if payload_length == 0 {
            return SegmentKind::Empty;
        }
        let base = *self.base.get_or_insert(sequence);
        let position = self.position(base, sequence);
        if position > i128::from(self.highest) + i128::from(MAX_WINDOW) {
            return SegmentKind::OutOfWindow;
        }
        // What lies before the start of the stream (SYN retransmitted with data, a capture
        // that began in the middle) is old.
        let skipped = position.min(0).unsigned_abs();
        let skipped = u64::try_from(skipped).unwrap_or(u64::MAX);
        let start = u64::try_from(position).unwrap_or(0);
        let length = u64::from(payload_length).saturating_sub(skipped);
        let payload = usize::try_from(skipped)
            .ok()
            .and_then(|skipped| payload.get(skipped..))
            .unwrap_or_default();
        self.range(start, length, skipped > 0, payload, at_ns)
    }

    /// The bytes from the start of the stream to the first gap, in order.
    pub fn bytes(&self) -> &TimedBytes {
        &self.bytes
    }

    /// Says that nobody is going to read the bytes from `start` to `end`: they are not kept.
    /// Only where the start of the stream is certain, so that offsets stay what they are.
    pub fn pass(&mut self, start: usize, end: usize) {
        if self.base_is_certain {
            self.bytes.pass(start, end);
        }
    }

    /// The start of the stream was seen.
    pub fn begins_for_certain(&self) -> bool {
        self.base_is_certain
    }

    /// Sequence number of the first byte, as far as it is known.
    pub fn begins(&self) -> Option<u32> {
        self.base
    }

    /// Offset in the stream of a sequence number: 0 is the first payload byte, and what
    /// comes before it (the SYN) is 0 too. Right for numbers within 2 GiB of the highest
    /// byte seen, also after the sequence numbers wrapped. 0 before anything was seen.
    pub fn relative(&self, sequence: u32) -> u64 {
        self.base.map_or(0, |base| {
            u64::try_from(self.position(base, sequence)).unwrap_or(0)
        })
    }

    /// Gives back room beyond what it holds: not much comes any more.
    pub fn fit(&mut self) {
        self.bytes.fit();
    }

    /// Bytes of memory for payload: delivered, and waiting behind a gap.
    pub fn held_bytes(&self) -> u64 {
        let waiting = self.waiting.values().map(|piece| piece.data.len());
        let held = self.bytes.room() + waiting.sum::<usize>();
        u64::try_from(held).unwrap_or(u64::MAX)
    }

    /// End of the highest range seen, in bytes: the payload sent so far, retransmitted
    /// bytes once, SYN and FIN not counted.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Ranges `(start, end)` below the highest byte that were never seen, in order.
    pub fn gaps(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let ends = std::iter::once(0).chain(self.seen.values().copied());
        ends.zip(self.seen.keys().copied())
            .filter(|(end, start)| end < start)
    }

    /// Gives up waiting: turns missing ranges into holes, so that what lies behind can be
    /// read. A hole takes the time of the bytes behind it. Later segments that fill it are
    /// still told apart from retransmissions, but their bytes are not kept.
    pub fn close_gaps(&mut self) {
        while self.close_first_gap() {}
    }

    /// Forgets the bytes; what comes after this is only counted.
    pub fn release(&mut self) {
        self.limit = 0;
        self.bytes = TimedBytes::default();
        self.waiting.clear();
    }

    fn is_keep_alive(&self, sequence: u32, payload_length: u32) -> bool {
        let before_next = |base: u32| {
            // Truncation is the point: sequence numbers count modulo 2^32.
            #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32, RFC 9293")]
            let next = base.wrapping_add(self.highest as u32);
            sequence == next.wrapping_sub(1)
        };
        payload_length <= 1 && self.base.is_some_and(before_next)
    }

    /// Signed offset of a sequence number: the one nearest to the highest byte seen.
    fn position(&self, base: u32, sequence: u32) -> i128 {
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32, RFC 9293")]
        let highest_sequence = base.wrapping_add(self.highest as u32);
        let distance = sequence.wrapping_sub(highest_sequence).cast_signed();
        i128::from(self.highest) + i128::from(distance)
    }

    /// Takes the bytes from `start` on. `older` says that the segment began with bytes
    /// before the start of the stream.
    fn range(
        &mut self,
        start: u64,
        length: u64,
        older: bool,
        payload: &[u8],
        at_ns: u64,
    ) -> SegmentKind {
        let end = start.saturating_add(length);
        let before = self.highest;
        if start == before && !older && self.waiting.is_empty() && self.follows(start) {
            return self.next(start, end, payload, at_ns);
        }
        let unseen = self.unseen(start, end);
        let new_bytes: u64 = unseen.iter().map(|(from, to)| to - from).sum();
        for &(from, to) in &unseen {
            let skip = usize::try_from(from - start).unwrap_or(usize::MAX);
            self.keep(from, to, payload.get(skip..).unwrap_or_default(), at_ns);
        }
        self.mark_seen(start, end);
        self.deliver();
        if new_bytes == 0 {
            SegmentKind::Retransmission { relative: start }
        } else if older || new_bytes < length {
            SegmentKind::Overlap {
                relative: start,
                new_bytes,
            }
        } else if start < before {
            SegmentKind::OutOfOrder { relative: start }
        } else if start >= self.limit {
            SegmentKind::BeyondLimit
        } else {
            SegmentKind::New { relative: start }
        }
    }

    /// Everything before `start` was seen, or the last range seen ends there.
    fn follows(&self, start: u64) -> bool {
        let last = self.seen.last_key_value();
        last.map_or(start == 0, |(_, end)| *end == start)
    }

    /// The common case: what comes next came next, and nothing waits.
    fn next(&mut self, start: u64, end: u64, payload: &[u8], at_ns: u64) -> SegmentKind {
        self.keep(start, end, payload, at_ns);
        match self.seen.last_entry() {
            Some(mut last) => {
                last.insert(end);
            }
            None => {
                self.seen.insert(start, end);
            }
        }
        self.highest = end;
        self.deliver();
        match start >= self.limit {
            true => SegmentKind::BeyondLimit,
            false => SegmentKind::New { relative: start },
        }
    }

    /// The parts of `start..end` that were not seen, in order.
    fn unseen(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut parts = Vec::new();
        let mut from = start;
        let before = self.seen.range(..=start).next_back();
        for (&seen_start, &seen_end) in before
            .into_iter()
            .chain(self.seen.range(start + 1..end.max(start + 1)))
        {
            if seen_start > from {
                parts.push((from, seen_start));
            }
            from = from.max(seen_end);
        }
        if from < end {
            parts.push((from, end));
        }
        parts
    }

    /// Remembers that `start..end` was seen, joining it with what touches it.
    fn mark_seen(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        self.highest = self.highest.max(end);
        while let Some((&seen_start, &seen_end)) = self.seen.range(..=end).next_back() {
            if seen_end < start {
                break;
            }
            start = start.min(seen_start);
            end = end.max(seen_end);
            self.seen.remove(&seen_start);
        }
        self.seen.insert(start, end);
        while self.seen.len() > MAX_RANGES {
            self.forget_first_gap();
        }
    }

    /// Counts the first gap as seen, so that the number of ranges stays bounded.
    fn forget_first_gap(&mut self) {
        let Some((start, end)) = self.gaps().next() else {
            return;
        };
        while self.first_waiting().is_some_and(|waiting| waiting <= end) && self.close_first_gap() {
        }
        self.mark_seen(start, end);
    }

    fn first_waiting(&self) -> Option<u64> {
        self.waiting.keys().next().copied()
    }

    /// Keeps the unseen bytes `from..to` as far as the limit allows; `payload` starts with
    /// those of them that were captured.
    fn keep(&mut self, from: u64, to: u64, payload: &[u8], at_ns: u64) {
        // A hole was closed over the part that was delivered already.
        let delivered = self.delivered();
        let start = from.max(delivered);
        let end = to.min(self.limit);
        if start >= end {
            return;
        }
        let skip = usize::try_from(start - from).unwrap_or(usize::MAX);
        let payload = payload.get(skip..).unwrap_or_default();
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        let data = payload.get(..length).unwrap_or(payload);
        let hole = length - data.len();
        self.captured += data.len() as u64;
        if start == delivered {
            // The common case: in order, nothing to put aside.
            self.bytes.push(data, at_ns);
            self.hole(hole, at_ns);
            return;
        }
        if self.joins_waiting(start, data, end - start, at_ns) {
            return;
        }
        self.waiting.insert(
            start,
            Piece {
                at_ns,
                data: data.to_vec(),
                length: end - start,
            },
        );
        if self.waiting.len() > MAX_RANGES {
            self.close_first_gap();
        }
    }

    /// Adds bytes to the piece before them, where many wait and both came at one time.
    /// False when there is none.
    fn joins_waiting(&mut self, start: u64, data: &[u8], length: u64, at_ns: u64) -> bool {
        if self.waiting.len() < MANY_WAIT {
            return false;
        }
        let before = self.waiting.range_mut(..start).next_back();
        let before = before.filter(|(at, piece)| {
            let whole = piece.data.len() as u64 == piece.length;
            whole && piece.at_ns == at_ns && **at + piece.length == start
        });
        if let Some((_, piece)) = before {
            piece.data.extend_from_slice(data);
            piece.length += length;
            return true;
        }
        false
    }

    fn delivered(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    /// Hands over the waiting pieces that now follow what was delivered.
    fn deliver(&mut self) {
        while let Some(entry) = self.waiting.first_entry() {
            if *entry.key() != u64::try_from(self.bytes.len()).unwrap_or(u64::MAX) {
                return;
            }
            let piece = entry.remove();
            let length = usize::try_from(piece.length).unwrap_or(usize::MAX);
            self.bytes.push(&piece.data, piece.at_ns);
            self.hole(length - piece.data.len(), piece.at_ns);
        }
    }

    /// Appends a hole. When there would be more of them than what was captured allows, the
    /// stream ends here, as if its limit were reached: the rest is only counted.
    fn hole(&mut self, length: usize, at_ns: u64) {
        let before = self.holes;
        self.holes = before.saturating_add(length as u64);
        let allowed = MAX_HOLES + self.captured.saturating_mul(HOLES_PER_BYTE);
        if self.holes > allowed {
            self.holes = before;
            self.limit = self.limit.min(self.delivered());
            self.waiting.clear();
            return;
        }
        self.bytes.push_hole(length, at_ns);
    }

    /// False when nothing waits.
    fn close_first_gap(&mut self) -> bool {
        let Some((start, at_ns)) = self
            .waiting
            .first_key_value()
            .map(|(start, piece)| (*start, piece.at_ns))
        else {
            return false;
        };
        let missing = usize::try_from(start - self.delivered()).unwrap_or(usize::MAX);
        self.hole(missing, at_ns);
        self.deliver();
        true
    }

    /// Moves everything `missing` bytes back, because the stream turned out to begin
    /// earlier.
    fn move_by(&mut self, missing: u64) {
        if missing == 0 || self.seen.is_empty() {
            return;
        }
        let moved = |(start, end): (u64, u64)| (start + missing, end + missing);
        self.seen = std::mem::take(&mut self.seen)
            .into_iter()
            .map(moved)
            .collect();
        self.highest += missing;
        let waiting = std::mem::take(&mut self.waiting);
        let delivered = std::mem::take(&mut self.bytes);
        (self.captured, self.holes) = (0, 0);
        let delivered = delivered
            .runs()
            .map(|run| {
                let offset = u64::try_from(run.offset).unwrap_or(u64::MAX);
                let length = u64::try_from(run.length).unwrap_or(u64::MAX);
                (
                    offset,
                    Piece {
                        at_ns: run.at_ns,
                        data: run.data.to_vec(),
                        length,
                    },
                )
            })
            .collect::<Vec<_>>();
        for (start, piece) in delivered.into_iter().chain(waiting) {
            let start = start + missing;
            self.keep(start, start + piece.length, &piece.data, piece.at_ns);
        }
    }
}
