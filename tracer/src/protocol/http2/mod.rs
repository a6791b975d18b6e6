//! Frames of HTTP/2 (RFC 9113, section 4) and the header blocks in them.

mod hpack;

pub use hpack::{HeaderDecoder, RawHeaders};

/// What a client sends first (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame header.
pub const HEADER_LENGTH: usize = 9;

/// Frame types that are looked into (RFC 9113, section 6).
pub mod frame_type {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
mod flag {
    pub const END_STREAM: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the payload.
    pub length: usize,
    /// One of [`frame_type`], or another.
    pub kind: u8,
    pub flags: u8,
    /// Stream identifier; 0 for the connection.
    pub stream: u32,
}

impl FrameHeader {
    /// Reads the nine bytes at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [l1, l2, l3, kind, flags, stream @ ..] = bytes.first_chunk::<HEADER_LENGTH>()?;
        Some(Self {
            length: usize::from(*l1) << 16 | usize::from(*l2) << 8 | usize::from(*l3),
            kind: *kind,
            flags: *flags,
            // The highest bit is reserved.
            stream: u32::from_be_bytes(*stream) & 0x7fff_ffff,
        })
    }

    /// The same where it is not known whether a frame begins there; `None` for what breaks
    /// the rules of its type (RFC 9113, section 6), or is longer than anybody may send
    /// unasked (section 4.2).
    pub fn parse_unsure(bytes: &[u8]) -> Option<Self> {
        const LARGEST: usize = 1 << 14;
        let header = Self::parse(bytes)?;
        let on_stream = header.stream != 0;
        let fits = match header.kind {
            frame_type::DATA
            | frame_type::HEADERS
            | frame_type::PUSH_PROMISE
            | frame_type::CONTINUATION => on_stream,
            frame_type::PRIORITY => on_stream && header.length == 5,
            frame_type::RST_STREAM => on_stream && header.length == 4,
            frame_type::SETTINGS => !on_stream && header.length.is_multiple_of(6),
            frame_type::PING => !on_stream && header.length == 8,
            frame_type::GOAWAY => !on_stream && header.length >= 8,
            frame_type::WINDOW_UPDATE => header.length == 4,
            _ => false,
        };
        let reserved = bytes.get(5).is_some_and(|byte| byte & 0x80 != 0);
        (fits && !reserved && header.length <= LARGEST).then_some(header)
    }

    /// The sender will send nothing more on this stream (DATA and HEADERS only).
    pub const fn ends_stream(&self) -> bool {
        matches!(self.kind, frame_type::DATA | frame_type::HEADERS)
            && self.flags & flag::END_STREAM != 0
    }

    /// No CONTINUATION follows.
    pub const fn ends_headers(&self) -> bool {
        self.flags & flag::END_HEADERS != 0
    }

    pub const fn is_padded(&self) -> bool {
        self.flags & flag::PADDED != 0
    }

    /// Bytes of a DATA frame without padding. `payload` may be cut.
    pub fn data_length(&self, payload: &[u8]) -> usize {
        if !self.is_padded() {
            return self.length;
        }
        let padding = payload.first().copied().map_or(0, usize::from);
        self.length.saturating_sub(1 + padding)
    }

    /// The part of a header block in HEADERS, PUSH_PROMISE (with the promised stream) or
    /// CONTINUATION. `None` when the frame is malformed.
    pub fn block<'a>(&self, payload: &'a [u8]) -> Option<(&'a [u8], Option<u32>)> {
        let mut rest = payload;
        let mut padding = 0;
        if self.is_padded() && self.kind != frame_type::CONTINUATION {
            let (first, after) = rest.split_first()?;
            padding = usize::from(*first);
            rest = after;
        }
        let mut promised = None;
        if self.kind == frame_type::PUSH_PROMISE {
            let (stream, after) = rest.split_first_chunk()?;
            promised = Some(u32::from_be_bytes(*stream) & 0x7fff_ffff);
            rest = after;
        }
        if self.kind == frame_type::HEADERS && self.flags & flag::PRIORITY != 0 {
            rest = rest.get(5..)?;
        }
        let end = rest.len().checked_sub(padding)?;
        Some((rest.get(..end)?, promised))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_priority_are_taken_off() {
        let header = FrameHeader::parse(&[0, 0, 10, 1, 0x2d, 0x80, 0, 0, 3]).expect("a frame");
        assert_eq!((header.length, header.stream), (10, 3));
        assert!(header.ends_stream() && header.ends_headers());
        let payload = [2, 0, 0, 0, 0, 16, 0x82, 0x84, 0, 0];
        assert_eq!(header.block(&payload), Some((&[0x82, 0x84][..], None)));
        assert_eq!(header.block(&[9, 0, 0, 0, 0, 16, 0x82]), None);
        assert_eq!(header.block(&[]), None);
    }

    #[test]
    fn what_breaks_the_rules_of_its_type_is_no_frame() {
        let unsure = |bytes: &[u8]| FrameHeader::parse_unsure(bytes).is_some();
        assert!(unsure(&[0, 0, 5, 1, 4, 0, 0, 0, 1]));
        assert!(unsure(&[0, 0, 12, 4, 0, 0, 0, 0, 0]));
        for wrong in [
            [0, 0, 5, 1, 4, 0, 0, 0, 0],
            [0, 0, 5, 1, 4, 0x80, 0, 0, 1],
            [1, 0, 0, 0, 4, 0, 0, 0, 1],
            [0, 0, 7, 4, 0, 0, 0, 0, 0],
            [0, 0, 5, 17, 4, 0, 0, 0, 1],
            [0; 9],
        ] {
            assert!(!unsure(&wrong), "{wrong:?}");
        }
    }

    #[test]
    fn padding_of_data_is_not_data() {
        let header = FrameHeader::parse(&[0, 0, 10, 0, 0x8, 0, 0, 0, 1]).expect("a frame");
        assert_eq!(header.data_length(&[4]), 5);
        assert_eq!(header.data_length(&[255]), 0);
    }

    #[test]
    fn a_push_promise_names_its_stream() {
        let header = FrameHeader::parse(&[0, 0, 5, 5, 0x4, 0, 0, 0, 1]).expect("a frame");
        assert_eq!(
            header.block(&[0, 0, 0, 2, 0x82]),
            Some((&[0x82][..], Some(2)))
        );
    }
}
