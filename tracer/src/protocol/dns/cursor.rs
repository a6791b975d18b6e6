//! A place in a DNS message.
//!
//! Names are read here and not by hickory, because hickory follows a chain of compression
//! pointers as far as it goes: a message of 64 KiB whose thousands of records each end in
//! a chain of thousands of pointers costs seconds.

use super::names::{self, Spelling};

/// A name has at most 127 labels, and a pointer that leads to no label is of no use.
const MAX_POINTERS: usize = 127;

/// Wire length of a name with its length bytes and the root (RFC 1035, section 3.1).
const MAX_NAME_LENGTH: usize = 255;

#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    /// The whole message: pointers lead back into it.
    message: &'a [u8],
    position: usize,
    spelling: Spelling,
    /// A name could not be read to its end.
    malformed: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(message: &'a [u8], position: usize, spelling: Spelling) -> Self {
        Self {
            message,
            position,
            spelling,
            malformed: false,
        }
    }

    /// A name that was read from here led nowhere or in circles, or is too long.
    pub(super) fn is_malformed(&self) -> bool {
        self.malformed
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

    /// Reads a name and stands behind it. Of one that leads nowhere, in circles or beyond
    /// the longest name, what there is, and `...` for the rest: its place ends where it ends,
    /// whatever it says. `None` when it does not end.
    pub(super) fn name(&mut self) -> Option<String> {
        let end = self.end_of_name()?;
        let mut text = String::new();
        if self.clone().spell(&mut text).is_none() {
            self.malformed = true;
            text.push_str("...");
        }
        self.position = end;
        if text.is_empty() {
            text.push('.');
        }
        Some(text)
    }

    /// Where the name that begins here ends: behind the root, or behind a pointer.
    fn end_of_name(&self) -> Option<usize> {
        let mut reader = self.clone();
        loop {
            let first = *reader.take(1)?.first()?;
            match first >> 6 {
                0 if first == 0 => break,
                0 => reader.take(usize::from(first))?,
                3 => {
                    reader.take(1)?;
                    break;
                }
                // 01 and 10 are not in use (RFC 6891, section 5).
                _ => return None,
            };
        }
        Some(reader.position)
    }

    /// Appends the labels of a name, following compression pointers (RFC 1035, section
    /// 4.1.4). They should lead to names before them; what leads ahead is read, too. Their
    /// number is bounded, so that a loop ends. `None` where the name breaks off.
    fn spell(&mut self, text: &mut String) -> Option<()> {
        let mut length = 1;
        let mut pointers = 0;
        loop {
            let first = *self.take(1)?.first()?;
            match first >> 6 {
                0 if first == 0 => return Some(()),
                0 => {
                    let label = self.take(usize::from(first))?;
                    length += 1 + label.len();
                    if length > MAX_NAME_LENGTH {
                        return None;
                    }
                    names::push_label(text, label, self.spelling);
                }
                3 => {
                    let low = *self.take(1)?.first()?;
                    pointers += 1;
                    if pointers > MAX_POINTERS {
                        return None;
                    }
                    self.position = usize::from(u16::from_be_bytes([first & 0x3f, low]));
                }
                _ => return None,
            }
        }
    }
}
