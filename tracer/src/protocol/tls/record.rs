//! The record layer (RFC 8446, section 5; RFC 5246, section 6) found in a byte stream.

use crate::protocol::reader::Reader;

/// Bytes of a record header.
pub const HEADER_LENGTH: usize = 5;

/// The longest fragment any version allows: 2^14 and 2048 of expansion (RFC 5246,
/// section 6.2.3). A header that says more is not a TLS record.
pub const MAXIMUM_LENGTH: usize = (1 << 14) + 2048;

/// Content types (RFC 8446, appendix B.1; RFC 6520 for heartbeat).
pub mod content_type {
    pub const CHANGE_CIPHER_SPEC: u8 = 20;
    pub const ALERT: u8 = 21;
    pub const HANDSHAKE: u8 = 22;
    pub const APPLICATION_DATA: u8 = 23;
    pub const HEARTBEAT: u8 = 24;
}

/// The name of a content type, as the registry of IANA writes it.
pub const fn content_type_name(content_type: u8) -> &'static str {
    match content_type {
        content_type::CHANGE_CIPHER_SPEC => "change_cipher_spec",
        content_type::ALERT => "alert",
        content_type::HANDSHAKE => "handshake",
        content_type::APPLICATION_DATA => "application_data",
        content_type::HEARTBEAT => "heartbeat",
        _ => "unknown",
    }
}

/// One record as its header describes it. The body may reach past the captured bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// One of [`content_type`].
    pub content_type: u8,
    /// Version field of the header; of little meaning since TLS 1.3.
    pub version: u16,
    /// Where the header starts in the stream.
    pub offset: usize,
    /// Bytes of the header: 5, or 2 for a hello in the format of SSLv2.
    pub header_length: usize,
    /// Bytes after the header.
    pub length: usize,
    /// The ClientHello is in the format of SSLv2 (RFC 5246, appendix E.2).
    pub ssl2: bool,
}

impl Record {
    /// Where the body starts.
    pub const fn body_start(&self) -> usize {
        self.offset + self.header_length
    }

    /// First offset after the record.
    pub const fn end(&self) -> usize {
        self.body_start() + self.length
    }
}

/// The record whose header starts at `offset`. `None` when the bytes there are too few or
/// are not TLS.
pub fn record_at(stream: &[u8], offset: usize) -> Option<Record> {
    let mut reader = Reader::new(stream.get(offset..)?);
    let content_type = reader.u8()?;
    let version = reader.u16()?;
    let length = usize::from(reader.u16()?);
    let known = (content_type::CHANGE_CIPHER_SPEC..=content_type::HEARTBEAT)
        .contains(&content_type)
        && version >> 8 == 3
        && length <= MAXIMUM_LENGTH;
    known.then_some(Record {
        content_type,
        version,
        offset,
        header_length: HEADER_LENGTH,
        length,
        ssl2: false,
    })
}

/// The first record of a stream: as [`record_at`], or a ClientHello in the format of SSLv2
/// that offers SSL 3.0 or later, as old clients sent it.
pub fn first_record(stream: &[u8]) -> Option<Record> {
    record_at(stream, 0).or_else(|| ssl2_hello(stream))
}

/// RFC 5246, appendix E.2: two bytes of length with the highest bit set, message type 1,
/// the version, then three lengths that must add up.
fn ssl2_hello(stream: &[u8]) -> Option<Record> {
    let mut reader = Reader::new(stream);
    let length = reader.u16()?;
    if length & 0x8000 == 0 || reader.u8()? != 1 {
        return None;
    }
    let version = reader.u16()?;
    let cipher_specs = usize::from(reader.u16()?);
    let session_id = usize::from(reader.u16()?);
    let challenge = usize::from(reader.u16()?);
    let length = usize::from(length & 0x7fff);
    let known = (version >> 8 == 3 || version == 2)
        && cipher_specs % 3 == 0
        && (16..=32).contains(&challenge)
        && 9 + cipher_specs + session_id + challenge == length;
    known.then_some(Record {
        content_type: content_type::HANDSHAKE,
        version,
        offset: 0,
        header_length: 2,
        length,
        ssl2: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_header_is_read_where_it_stands() {
        let stream = [0, 0, 23, 3, 3, 0, 2, 9, 9];
        let record = record_at(&stream, 2).expect("a record");
        assert_eq!(
            (record.content_type, record.version, record.length),
            (23, 0x0303, 2)
        );
        assert_eq!((record.body_start(), record.end()), (7, 9));
        assert_eq!(record_at(&stream, 3), None);
        assert_eq!(record_at(&stream, 99), None);
    }

    #[test]
    fn http_is_not_tls_and_neither_is_an_impossible_length() {
        assert_eq!(first_record(b"GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(first_record(&[22, 3, 1, 0xff, 0xff, 1]), None);
        assert_eq!(first_record(&[22, 3]), None);
    }

    #[test]
    fn an_ssl2_hello_is_recognised_by_lengths_that_add_up() {
        let mut hello = vec![0x80, 9 + 3 + 16, 1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 0x35];
        hello.extend([7; 16]);
        let record = first_record(&hello).expect("an SSLv2 hello");
        assert!(record.ssl2);
        assert_eq!(record.end(), hello.len());
        hello[6] = 6;
        assert_eq!(first_record(&hello), None);
    }
}
