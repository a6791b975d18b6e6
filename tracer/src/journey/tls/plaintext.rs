//! Decrypted bytes with the time their ciphertext was on the wire.

use crate::journey::bytes::TimedBytes;

/// Collects the plaintext of one direction.
///
/// The ciphers of TLS 1.3 keep the place of each byte, so a byte of the plaintext has the
/// time, and counts to the segment, of the ciphertext byte it came from. Only the last byte
/// of a record waits for the authentication tag: before that nobody may use the record.
#[derive(Debug, Default)]
pub struct Plaintext {
    bytes: TimedBytes,
    /// Bytes of the segment that is being collected, so that records that share a segment
    /// do not count as two.
    pending: Vec<u8>,
    /// Where that segment begins in the stream, and its time.
    segment: (usize, u64),
}

impl Plaintext {
    /// Appends the plaintext of a record that ends at `record_end` and whose ciphertext
    /// begins at `ciphertext_start` of `stream`.
    pub fn push(
        &mut self,
        stream: &TimedBytes,
        ciphertext_start: usize,
        record_end: usize,
        plaintext: &[u8],
    ) {
        let Some((last, rest)) = plaintext.split_last() else {
            return;
        };
        for piece in stream.pieces_in(ciphertext_start, ciphertext_start + rest.len()) {
            let part = piece.start - ciphertext_start..piece.end - ciphertext_start;
            let part = rest.get(part).unwrap_or_default();
            self.extend((piece.begins, piece.at_ns), part);
        }
        for piece in stream.pieces_in(record_end.saturating_sub(1), record_end) {
            self.extend((piece.begins, piece.at_ns), &[*last]);
        }
    }

    /// Appends a stretch whose length is known and whose bytes are not.
    pub fn push_hole(&mut self, length: usize, at_ns: u64) {
        self.flush();
        self.bytes.push_hole(length, at_ns);
    }

    pub fn finish(mut self) -> TimedBytes {
        self.flush();
        self.bytes
    }

    fn extend(&mut self, segment: (usize, u64), bytes: &[u8]) {
        if segment != self.segment {
            self.flush();
            self.segment = segment;
        }
        self.pending.extend_from_slice(bytes);
    }

    fn flush(&mut self) {
        self.bytes.push(&self.pending, self.segment.1);
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_keeps_the_segment_of_its_ciphertext() {
        let mut stream = TimedBytes::default();
        stream.push(b"hhhhhab", 10);
        stream.push(b"cdTTTThhhhhxy", 20);
        stream.push(b"TTTT", 30);
        let mut plaintext = Plaintext::default();
        plaintext.push(&stream, 5, 13, b"abcd");
        plaintext.push(&stream, 18, 24, b"xy");
        let plaintext = plaintext.finish();
        assert_eq!(plaintext.as_slice(), b"abcdxy");
        let times: Vec<u64> = (0..6).map(|offset| plaintext.time_of(offset)).collect();
        assert_eq!(times, [10, 10, 20, 20, 20, 30]);
        assert_eq!(plaintext.pieces(0, 6), 3, "the segments, not the records");
    }

    #[test]
    fn an_empty_record_leaves_no_trace() {
        let mut plaintext = Plaintext::default();
        plaintext.push(&TimedBytes::default(), 0, 0, b"");
        plaintext.push_hole(3, 7);
        assert_eq!(plaintext.finish().next_hole(0), Some((0, 3)));
    }
}
