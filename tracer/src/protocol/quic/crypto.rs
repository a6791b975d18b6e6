//! The stream that CRYPTO frames are parts of (RFC 9000, section 19.6): one for each end
//! and level of encryption, put in order from parts that come in any order and overlap.

use crate::protocol::tls::handshake::{Message, Reassembly};
use std::collections::BTreeMap;

/// Bytes of one stream that are read. A handshake has a few kilobytes, one with a long
/// certificate chain and post-quantum signatures some tens; a peer need not take more than
/// 4096 ahead of their turn (RFC 9000, section 7.5).
pub const MAXIMUM_LENGTH: u64 = 256 << 10;

/// Parts that wait for those before them.
const MAXIMUM_PENDING: usize = 1024;

/// The handshake messages of one end at one level.
#[derive(Debug, Clone, Default)]
pub struct CryptoStream {
    /// Parts behind a gap: offset, bytes, time.
    pending: BTreeMap<u64, (Vec<u8>, u64)>,
    /// Offset up to which all parts came.
    complete: u64,
    reassembly: Reassembly,
}

impl CryptoStream {
    /// Takes the part at `offset`, seen at `at_ns`; returns the messages that are complete
    /// with it. What lies past [`MAXIMUM_LENGTH`] is dropped.
    pub fn push(&mut self, offset: u64, data: &[u8], at_ns: u64) -> Vec<Message> {
        let end = offset.saturating_add(data.len() as u64);
        let room = self.pending.len() < MAXIMUM_PENDING || offset <= self.complete;
        let longer = self
            .pending
            .get(&offset)
            .is_none_or(|(known, _)| known.len() < data.len());
        if end > MAXIMUM_LENGTH || end <= self.complete || !room || !longer {
            return Vec::new();
        }
        self.pending.insert(offset, (data.to_vec(), at_ns));
        let mut ready = Vec::new();
        let mut span: Option<(u64, u64)> = None;
        while let Some(entry) = self.pending.first_entry()
            && *entry.key() <= self.complete
        {
            let (start, (part, at_ns)) = entry.remove_entry();
            let known = usize::try_from(self.complete - start).unwrap_or(usize::MAX);
            // What came first counts; a part that was sent again differently is not read.
            if let Some(new) = part.get(known..).filter(|new| !new.is_empty()) {
                ready.extend_from_slice(new);
                self.complete += new.len() as u64;
                let (first, last) = span.unwrap_or((at_ns, at_ns));
                span = Some((first.min(at_ns), last.max(at_ns)));
            }
        }
        span.map_or_else(Vec::new, |(first, last)| {
            self.reassembly.push(&ready, first, last)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{CryptoStream, MAXIMUM_LENGTH, MAXIMUM_PENDING};

    /// A Finished of six bytes.
    const MESSAGE: [u8; 10] = [20, 0, 0, 6, 1, 2, 3, 4, 5, 6];

    #[test]
    fn parts_in_any_order_and_overlapping_give_the_message_once() {
        let mut stream = CryptoStream::default();
        assert!(stream.push(6, &MESSAGE[6..], 3).is_empty());
        assert!(stream.push(2, &MESSAGE[2..8], 1).is_empty());
        let messages = stream.push(0, &MESSAGE[..4], 2);
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].body, [1, 2, 3, 4, 5, 6]);
        assert_eq!((messages[0].first_at_ns, messages[0].last_at_ns), (1, 3));
        assert!(stream.push(0, &MESSAGE, 4).is_empty());
    }

    #[test]
    fn memory_is_bounded_behind_a_gap_and_by_the_length() {
        let mut stream = CryptoStream::default();
        for offset in 1..=2 * MAXIMUM_PENDING as u64 {
            stream.push(offset, &[0], 1);
        }
        assert_eq!(stream.pending.len(), MAXIMUM_PENDING);
        stream.push(MAXIMUM_LENGTH, &[0], 1);
        stream.push(u64::MAX, &[0], 1);
        assert_eq!(stream.pending.len(), MAXIMUM_PENDING);
    }
}
