//! Bytes of one direction of a stream, each with the time it was on the wire.
//!
//! The same type carries the reassembled TCP payload and the plaintext decrypted from it:
//! whoever parses a message asks [`TimedBytes::time_of`](crate::journey::bytes::TimedBytes::time_of) when its first or last byte was
//! seen.

/// Memory that is worth giving back, bytes.
const ROOM: usize = 16 << 10;

/// Contiguous bytes with times and, where the capture did not hold the payload, holes.
///
/// Stretches that nobody is going to read may be passed over ([`TimedBytes::pass`]): they
/// count, and have their times, but their bytes are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimedBytes {
    /// What is kept, one behind the other.
    bytes: Vec<u8>,
    /// Ascending by offset.
    marks: Vec<Mark>,
    /// `(offset, length)` of zero-filled stretches that were on the wire but not captured.
    holes: Vec<(usize, usize)>,
    /// Ascending, with kept bytes between them.
    passed: Vec<Passed>,
    /// What comes before this offset is passed over.
    pass_until: usize,
}

/// A stretch that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Passed {
    offset: usize,
    end: usize,
    /// How many bytes before it are kept.
    kept: usize,
}

/// Bytes from `offset` on, up to the next mark, were seen at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    offset: usize,
    at_ns: u64,
    /// The latest time of this mark and all before it.
    readable_ns: u64,
}

/// A part of a range that one segment or record carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Offset of the first byte that the segment carried: the same for all parts of it.
    pub begins: usize,
    pub at_ns: u64,
    /// The part of the range that lies in it, `end` exclusive.
    pub start: usize,
    pub end: usize,
}

impl TimedBytes {
    /// Appends bytes that became available at `at_ns`.
    pub fn push(&mut self, bytes: &[u8], at_ns: u64) {
        if bytes.is_empty() {
            return;
        }
        self.mark(at_ns);
        let passed = self.pass_next(bytes.len());
        self.bytes
            .extend_from_slice(bytes.get(passed..).unwrap_or_default());
    }

    /// Appends `length` bytes that were on the wire at `at_ns` but were not captured.
    pub fn push_hole(&mut self, length: usize, at_ns: u64) {
        if length == 0 {
            return;
        }
        let offset = self.len();
        self.mark(at_ns);
        self.holes.push((offset, length));
        let passed = self.pass_next(length);
        self.bytes.resize(self.bytes.len() + length - passed, 0);
    }

    /// Passes over the bytes from `start` to `end`, those that are there and those still to
    /// come: nobody is going to read them. Stretches are passed over in order.
    pub fn pass(&mut self, start: usize, end: usize) {
        let length = self.len();
        if start < self.passed.last().map_or(0, |last| last.end) || start > length {
            return;
        }
        let here = end.min(length).saturating_sub(start);
        if here > 0 {
            let kept = self.bytes.len() - (length - start);
            self.bytes.drain(kept..kept + here);
            if self.bytes.capacity() > ROOM.max(4 * self.bytes.len()) {
                self.bytes.shrink_to(2 * self.bytes.len());
            }
            self.passed.push(Passed {
                offset: start,
                end: start + here,
                kept,
            });
        }
        self.pass_until = self.pass_until.max(end);
    }

    /// How many of the next `count` bytes are passed over, which they are then.
    fn pass_next(&mut self, count: usize) -> usize {
        let length = self.len();
        let passed = self.pass_until.saturating_sub(length).min(count);
        if passed > 0 {
            match self.passed.last_mut().filter(|last| last.end == length) {
                Some(last) => last.end += passed,
                None => self.passed.push(Passed {
                    offset: length,
                    end: length + passed,
                    kept: self.bytes.len(),
                }),
            }
        }
        passed
    }

    /// Marks the next byte's time.
    fn mark(&mut self, at_ns: u64) {
        let last = self.marks.last();
        self.marks.push(Mark {
            offset: self.len(),
            at_ns,
            readable_ns: last.map_or(at_ns, |last| at_ns.max(last.readable_ns)),
        });
    }

    /// All bytes, up to the first stretch that was passed over; holes read as zeros.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes_from(0)
    }

    /// The bytes from `offset` on, up to the next stretch that was passed over; none within
    /// one, or past the end.
    pub fn bytes_from(&self, offset: usize) -> &[u8] {
        let next = self.passed.partition_point(|it| it.offset <= offset);
        let begins = match next.checked_sub(1).and_then(|last| self.passed.get(last)) {
            Some(last) if offset < last.end => return &[],
            Some(last) => last.kept + (offset - last.end),
            None => offset,
        };
        let ends = self.passed.get(next).map_or(self.bytes.len(), |it| it.kept);
        self.bytes.get(begins..ends).unwrap_or_default()
    }

    /// The bytes from `start` to `end` (exclusive), when all of them are kept.
    pub fn bytes_between(&self, start: usize, end: usize) -> Option<&[u8]> {
        self.bytes_from(start).get(..end.checked_sub(start)?)
    }

    /// Also of what was passed over.
    pub fn len(&self) -> usize {
        let kept = self.bytes.len();
        self.passed
            .last()
            .map_or(kept, |last| last.end + (kept - last.kept))
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives back room beyond what it holds: not much comes any more.
    pub fn fit(&mut self) {
        self.bytes.shrink_to_fit();
        self.marks.shrink_to_fit();
    }

    /// Bytes of memory that its bytes take.
    pub fn room(&self) -> usize {
        self.bytes.capacity()
    }

    /// When the byte at `offset` was seen; the last known time for offsets past the end,
    /// 0 when there are no bytes at all.
    pub fn time_of(&self, offset: usize) -> u64 {
        self.mark_of(offset)
            .and_then(|index| self.marks.get(index))
            .map_or(0, |mark| mark.at_ns)
    }

    /// When the byte at `offset` could be read in order: it and every byte before it had
    /// been seen by then. Never decreases with `offset`, unlike [`TimedBytes::time_of`],
    /// which goes back in time behind a segment that was lost and sent again. Past the
    /// end and without bytes as there.
    pub fn readable_at(&self, offset: usize) -> u64 {
        self.mark_of(offset)
            .and_then(|index| self.marks.get(index))
            .map_or(0, |mark| mark.readable_ns)
    }

    /// Index of the mark that holds for the byte at `offset`.
    fn mark_of(&self, offset: usize) -> Option<usize> {
        self.marks
            .partition_point(|mark| mark.offset <= offset)
            .checked_sub(1)
    }

    /// The bytes from `offset` on, with their times and holes. What was passed over is a hole
    /// in it.
    #[must_use]
    pub fn tail(&self, offset: usize) -> Self {
        let mut tail = Self::default();
        for run in self.runs().filter(|run| run.offset + run.length > offset) {
            let skipped = offset.saturating_sub(run.offset);
            if run.data.is_empty() {
                tail.push_hole(run.length - skipped, run.at_ns);
            } else {
                tail.push(run.data.get(skipped..).unwrap_or_default(), run.at_ns);
            }
        }
        tail
    }

    /// The stretches as they were pushed, in order.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let ends = self.marks.iter().skip(1).map(|mark| mark.offset);
        let ends = ends.chain(std::iter::once(self.len()));
        self.marks.iter().zip(ends).map(|(mark, end)| {
            let Mark { offset, at_ns, .. } = *mark;
            let captured = self.next_hole(offset).is_none_or(|hole| hole.0 >= end);
            Run {
                offset,
                length: end - offset,
                at_ns,
                data: match captured {
                    true => self.bytes_between(offset, end).unwrap_or_default(),
                    false => &[],
                },
            }
        })
    }

    /// The pieces (segments, records) that carried the bytes from `start` to `end` (exclusive).
    pub fn pieces(&self, start: usize, end: usize) -> usize {
        if start >= end {
            return 0;
        }
        let first = self.marks.partition_point(|mark| mark.offset <= start);
        let last = self.marks.partition_point(|mark| mark.offset < end);
        last + 1 - first.max(1)
    }

    /// The pieces that carried the bytes from `start` to `end` (exclusive), in order.
    pub fn pieces_in(&self, start: usize, end: usize) -> impl Iterator<Item = Piece> + '_ {
        let end = end.min(self.len());
        let first = self
            .marks
            .partition_point(|mark| mark.offset <= start)
            .saturating_sub(1);
        let marks = self.marks.get(first..).unwrap_or_default();
        marks
            .iter()
            .enumerate()
            .take_while(move |(_, mark)| mark.offset < end)
            .map(move |(index, mark)| Piece {
                begins: mark.offset,
                at_ns: mark.at_ns,
                start: start.max(mark.offset),
                end: marks
                    .get(index + 1)
                    .map_or(end, |next| next.offset.min(end)),
            })
            .filter(|piece| piece.start < piece.end)
    }

    /// The first hole at or after `offset`: `(offset, length)`.
    pub fn next_hole(&self, offset: usize) -> Option<(usize, usize)> {
        let index = self
            .holes
            .partition_point(|(start, length)| start + length <= offset);
        self.holes.get(index).copied()
    }
}

/// A stretch of a [`TimedBytes`] with one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    pub offset: usize,
    /// Bytes, also of a hole.
    pub length: usize,
    pub at_ns: u64,
    /// Empty for a hole, and where a part was passed over.
    pub data: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::TimedBytes;

    #[test]
    fn a_byte_has_the_time_of_the_piece_that_carried_it() {
        let mut stream = TimedBytes::default();
        stream.push(b"abc", 10);
        stream.push(b"de", 20);
        assert_eq!(
            [
                stream.time_of(0),
                stream.time_of(2),
                stream.time_of(3),
                stream.time_of(99)
            ],
            [10, 10, 20, 20]
        );
        assert_eq!(TimedBytes::default().time_of(0), 0);
    }

    #[test]
    fn pieces_counts_only_what_carried_the_range() {
        let mut stream = TimedBytes::default();
        for at in 0..4 {
            stream.push(b"xx", at);
        }
        assert_eq!(stream.pieces(0, 8), 4);
        assert_eq!(stream.pieces(1, 2), 1);
        assert_eq!(stream.pieces(1, 3), 2);
        assert_eq!(stream.pieces(3, 3), 0);
    }

    #[test]
    fn a_range_is_split_where_the_pieces_meet() {
        let mut stream = TimedBytes::default();
        for at in 0..3 {
            stream.push(b"xx", at);
        }
        let parts: Vec<_> = stream
            .pieces_in(1, 5)
            .map(|piece| (piece.begins, piece.at_ns, piece.start, piece.end))
            .collect();
        assert_eq!(parts, [(0, 0, 1, 2), (2, 1, 2, 4), (4, 2, 4, 5)]);
        assert_eq!(stream.pieces_in(2, 2).count(), 0);
        assert_eq!(stream.pieces_in(5, 99).count(), 1);
        assert_eq!(stream.pieces_in(6, 99).count(), 0);
    }

    #[test]
    fn holes_are_found_from_within_and_from_before() {
        let mut stream = TimedBytes::default();
        stream.push(b"abc", 1);
        stream.push_hole(4, 2);
        stream.push(b"d", 3);
        assert_eq!(stream.next_hole(0), Some((3, 4)));
        assert_eq!(stream.next_hole(5), Some((3, 4)));
        assert_eq!(stream.next_hole(7), None);
        assert_eq!(stream.len(), 8);
    }

    #[test]
    fn a_byte_is_readable_once_all_before_it_were_seen() {
        let mut stream = TimedBytes::default();
        stream.push(b"a", 1);
        stream.push(b"b", 9);
        stream.push(b"c", 3);
        let read = [0, 1, 2, 99].map(|offset| stream.readable_at(offset));
        assert_eq!(read, [1, 9, 9, 9]);
        assert_eq!(stream.time_of(2), 3);
        assert_eq!(TimedBytes::default().readable_at(0), 0);
    }

    #[test]
    fn a_tail_keeps_times_and_holes() {
        let mut stream = TimedBytes::default();
        stream.push(b"abc", 1);
        stream.push_hole(4, 2);
        stream.push(b"d", 3);
        let tail = stream.tail(2);
        assert_eq!(tail.as_slice(), b"c\0\0\0\0d");
        assert_eq!([0, 1, 5].map(|offset| tail.time_of(offset)), [1, 2, 3]);
        assert_eq!(stream.tail(5).next_hole(0), Some((0, 2)));
        assert!(stream.tail(8).is_empty() && stream.tail(99).is_empty());
    }

    #[test]
    fn what_is_passed_over_counts_and_is_not_kept() {
        let mut stream = TimedBytes::default();
        stream.push(b"head", 1);
        stream.push(b"bodyhead", 2);
        stream.pass(4, 8);
        stream.push(b"x", 3);
        stream.pass(13, 18);
        stream.push(b"abc", 4);
        stream.push_hole(1, 5);
        stream.push(b"dtail", 6);
        assert_eq!((stream.len(), stream.bytes.len()), (22, 13));
        let read = [0, 4, 7, 8, 12, 13, 17, 18, 99].map(|offset| stream.bytes_from(offset));
        let nothing: &[u8] = b"";
        assert_eq!(read[..3], [&b"head"[..], nothing, nothing]);
        assert_eq!(read[3..6], [&b"headx"[..], b"x", nothing]);
        assert_eq!(read[6..], [nothing, b"tail", nothing]);
        assert_eq!(stream.bytes_between(8, 12), Some(&b"head"[..]));
        assert_eq!(stream.bytes_between(8, 14), None);
        assert_eq!([4, 8, 13, 17].map(|at| stream.time_of(at)), [2, 2, 4, 6]);
        assert_eq!(stream.next_hole(0), Some((16, 1)));
        assert_eq!(stream.pieces(0, 22), 6);
    }

    #[test]
    fn what_was_passed_over_lies_behind_what_is_passed_over_next() {
        let mut stream = TimedBytes::default();
        stream.push(b"abcdef", 1);
        stream.pass(2, 4);
        stream.pass(1, 3);
        stream.pass(9, 12);
        stream.push(b"ghi", 2);
        assert_eq!(
            (stream.bytes_from(0), stream.bytes_from(4)),
            (&b"ab"[..], &b"efghi"[..])
        );
    }

    #[test]
    fn runs_give_back_what_was_pushed() {
        let mut stream = TimedBytes::default();
        stream.push(b"abc", 1);
        stream.push_hole(4, 2);
        stream.push(b"d", 3);
        let runs: Vec<_> = stream
            .runs()
            .map(|run| (run.offset, run.length, run.at_ns, run.data))
            .collect();
        assert_eq!(
            runs,
            [(0, 3, 1, &b"abc"[..]), (3, 4, 2, &[]), (7, 1, 3, &b"d"[..])]
        );
    }
}
