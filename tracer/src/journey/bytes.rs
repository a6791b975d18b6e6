//! Bytes of one direction of a stream, each with the time it was on the wire.
//!
//! The same type carries the reassembled TCP payload and the plaintext decrypted from it:
//! whoever parses a message asks [`TimedBytes::time_of`] when its first or last byte was
//! seen.

use super::room::Room;

/// Contiguous bytes with times and, where the capture did not hold the payload, holes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimedBytes {
    bytes: Room,
    /// Ascending by offset.
    marks: Vec<Mark>,
    /// `(offset, length)` of zero-filled stretches that were on the wire but not captured.
    holes: Vec<(usize, usize)>,
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
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends `length` bytes that were on the wire at `at_ns` but were not captured.
    pub fn push_hole(&mut self, length: usize, at_ns: u64) {
        if length == 0 {
            return;
        }
        let offset = self.bytes.len();
        self.mark(at_ns);
        self.holes.push((offset, length));
        self.bytes.extend_zeroed(length);
    }

    /// Marks the next byte's time.
    fn mark(&mut self, at_ns: u64) {
        let last = self.marks.last();
        self.marks.push(Mark {
            offset: self.bytes.len(),
            at_ns,
            readable_ns: last.map_or(at_ns, |last| at_ns.max(last.readable_ns)),
        });
    }

    /// All bytes; holes read as zeros.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
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

    /// The bytes from `offset` on, with their times and holes.
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
        let ends = ends.chain(std::iter::once(self.bytes.len()));
        self.marks.iter().zip(ends).map(|(mark, end)| {
            let Mark { offset, at_ns, .. } = *mark;
            let captured = self.next_hole(offset).is_none_or(|hole| hole.0 >= end);
            Run {
                offset,
                length: end - offset,
                at_ns,
                data: if captured {
                    self.bytes.get(offset..end).unwrap_or_default()
                } else {
                    &[]
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
        let end = end.min(self.bytes.len());
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
    /// Empty for a hole.
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
