//! A place in a DNS message.
//!
//! Names are read here and not by hickory, because hickory follows a chain of compression
//! pointers as far as it goes: a message of 64 KiB whose thousands of records each end in
//! a chain of thousands of pointers costs seconds.

use super::names;

/// A name has at most 127 labels, and a pointer that leads to no label is of no use.
const MAX_POINTERS: usize = 127;

/// Wire length of a name with its length bytes and the root (RFC 1035, section 3.1).
const MAX_NAME_LENGTH: usize = 255;

#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    /// The whole message: pointers lead back into it.
    message: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(message: &'a [u8], position: usize) -> Self {
        Self { message, position }
    }

    /// Bytes from the start of the message.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn skip_all(&mut self) {
        self.position = self.message.len();
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let bytes = self.message.get(self.position..)?.get(..length)?;
        self.position += length;
        Some(bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.take(4)?.first_chunk()?))
    }

    /// Reads a name, following compression pointers (RFC 1035, section 4.1.4), and stands
    /// behind it. Pointers must lead to before the part of the name they stand in, so that
    /// there is no loop.
    pub(super) fn name(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut length = 1;
        let mut pointers = 0;
        let mut reader = self.clone();
        let mut part_start = self.position;
        let mut end = None;
        loop {
            let first = *reader.take(1)?.first()?;
            match first >> 6 {
                0 if first == 0 => break,
                0 => {
                    let label = reader.take(usize::from(first))?;
                    length += 1 + label.len();
                    if length > MAX_NAME_LENGTH {
                        return None;
                    }
                    names::push_label(&mut text, label);
                }
                3 => {
                    let low = *reader.take(1)?.first()?;
                    end.get_or_insert(reader.position);
                    let target = usize::from(u16::from_be_bytes([first & 0x3f, low]));
                    pointers += 1;
                    if target >= part_start || pointers > MAX_POINTERS {
                        return None;
                    }
                    part_start = target;
                    reader.position = target;
                }
                // 01 and 10 are not in use (RFC 6891, section 5).
                _ => return None,
            }
        }
        self.position = end.unwrap_or(reader.position);
        if text.is_empty() {
            text.push('.');
        }
        Some(text)
    }
}
