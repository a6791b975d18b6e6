//! The records of one direction, as far as they were captured.

use crate::journey::bytes::TimedBytes;
use crate::protocol::tls::record::{Record, first_record, record_at};

/// Walks over the records of a stream that were completely on the wire. Ends where a
/// header was not captured, is not TLS, or the stream breaks off.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    stream: &'a TimedBytes,
    offset: usize,
}

impl<'a> Records<'a> {
    pub const fn new(stream: &'a TimedBytes) -> Self {
        Self { stream, offset: 0 }
    }

    /// Where the walk is; after its end, where it stopped.
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let bytes = self.stream.bytes_from(self.offset);
        let record = if self.offset == 0 {
            first_record(bytes)
        } else {
            record_at(bytes, 0)
        }?;
        let record = Record {
            offset: self.offset,
            ..record
        };
        if !captured(self.stream, record.offset, record.body_start())
            || record.end() > self.stream.len()
        {
            return None;
        }
        self.offset = record.end();
        Some(record)
    }
}

/// Whether the bytes from `start` to `end` are there and not in a hole.
pub fn captured(stream: &TimedBytes, start: usize, end: usize) -> bool {
    end <= stream.len() && stream.next_hole(start).is_none_or(|(hole, _)| hole >= end)
}

/// The body of a record, `None` when a part of it was not captured or not kept.
pub fn body<'a>(stream: &'a TimedBytes, record: &Record) -> Option<&'a [u8]> {
    captured(stream, record.offset, record.end())
        .then(|| stream.bytes_between(record.body_start(), record.end()))
        .flatten()
}

/// The five header bytes, which are the additional data of TLS 1.3.
pub fn header(record: &Record) -> [u8; 5] {
    let [version_high, version_low] = record.version.to_be_bytes();
    // `record_at` allows at most 2^14 + 2048.
    let length = u16::try_from(record.length).unwrap_or(u16::MAX);
    let [length_high, length_low] = length.to_be_bytes();
    [
        record.content_type,
        version_high,
        version_low,
        length_high,
        length_low,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(parts: &[(&[u8], usize)]) -> TimedBytes {
        let mut stream = TimedBytes::default();
        for (at, (bytes, hole)) in (0..).zip(parts) {
            stream.push(bytes, at);
            stream.push_hole(*hole, at);
        }
        stream
    }

    #[test]
    fn a_body_in_a_hole_is_stepped_over_and_a_header_in_a_hole_is_the_end() {
        let first = [23, 3, 3, 0, 4, 1, 1];
        let second = [23, 3, 3, 0, 1, 1];
        let stream = stream(&[(&first, 2), (&second, 3), (&[1, 2, 3], 0)]);
        let mut records = Records::new(&stream);
        let found: Vec<Record> = records.by_ref().collect();
        assert_eq!(found.len(), 2);
        assert_eq!(body(&stream, &found[0]), None);
        assert_eq!(body(&stream, &found[1]), Some(&[1][..]));
        assert_eq!(records.offset(), 15);
    }

    #[test]
    fn a_record_that_breaks_off_is_not_a_record() {
        let stream = stream(&[(&[22, 3, 1, 0, 9, 1, 0, 0], 0)]);
        assert_eq!(Records::new(&stream).count(), 0);
    }
}
