//! The bytes of a capture file: what they are, decompressed, with the error that ended
//! them.

use super::FileError;
use flate2::read::MultiGzDecoder;
use std::io::{self, Cursor, Read};

/// Bytes that tell what a file is.
const MAGIC_LENGTH: usize = 4;

/// The largest window of a zstd frame, as a power of two: 128 MiB, what zstd(1) itself
/// accepts unasked and writes at most. A frame that wants more is not read.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Pcap,
    Pcapng,
}

/// Reads as much as there is room for, and remembers the error that ended the bytes.
/// pcap-parser wants the whole header from its first read, which a pipe does not promise,
/// and keeps no error.
pub(super) struct Source<'a> {
    reader: Box<dyn Read + 'a>,
    failure: Option<io::Error>,
}

impl<'a> Source<'a> {
    /// Looks at the first bytes, through gzip or zstd where there is any. Several members
    /// or frames, one behind the other, are one file.
    pub(super) fn open(reader: impl Read + 'a, name: &str) -> Result<(Self, Format), FileError> {
        let read_error = |source| FileError::Read {
            name: name.to_owned(),
            source,
        };
        let (mut magic, mut reader) = peek(Box::new(reader)).map_err(read_error)?;
        let compressed = compression(&magic);
        if let Some(compression) = compressed {
            (magic, reader) = compression
                .decoder(reader)
                .and_then(peek)
                .map_err(read_error)?;
        }
        let name = name.to_owned();
        let format = match format(&magic) {
            Some(format) => format,
            None if magic.is_empty() => return Err(FileError::Empty { name }),
            None if magic.len() < MAGIC_LENGTH => return Err(FileError::BadHeader { name }),
            None => {
                let looks = match compressed {
                    Some(_) if compression(&magic).is_some() => "it is compressed twice",
                    _ => looks_like(&magic),
                };
                let looks = looks.to_owned();
                return Err(FileError::NotACapture { name, looks });
            }
        };
        let source = Self {
            reader,
            failure: None,
        };
        Ok((source, format))
    }

    /// The error that ended the bytes before their end.
    pub(super) fn failure(self) -> Option<io::Error> {
        self.failure
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(space) = buffer.get_mut(filled..).filter(|space| !space.is_empty()) {
            match self.reader.read(space) {
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // What was read before the error counts; after it the bytes are over.
                    self.failure = Some(error);
                    self.reader = Box::new(io::empty());
                    break;
                }
            }
        }
        Ok(filled)
    }
}

/// The first bytes, and a reader that still gives them.
fn peek<'a>(mut reader: Box<dyn Read + 'a>) -> io::Result<(Vec<u8>, Box<dyn Read + 'a>)> {
    let mut magic = Vec::with_capacity(MAGIC_LENGTH);
    let limit = u64::try_from(MAGIC_LENGTH).unwrap_or(u64::MAX);
    reader.by_ref().take(limit).read_to_end(&mut magic)?;
    Ok((magic.clone(), Box::new(Cursor::new(magic).chain(reader))))
}

fn format(magic: &[u8]) -> Option<Format> {
    match magic {
        // Microseconds and nanoseconds in both byte orders, and Kuznetzov's variant.
        [0xa1, 0xb2, 0xc3, 0xd4]
        | [0xd4, 0xc3, 0xb2, 0xa1]
        | [0xa1, 0xb2, 0x3c, 0x4d]
        | [0x4d, 0x3c, 0xb2, 0xa1]
        | [0x34, 0xcd, 0xb2, 0xa1] => Some(Format::Pcap),
        [0x0a, 0x0d, 0x0d, 0x0a] => Some(Format::Pcapng),
        _ => None,
    }
}

/// What is read through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zstd,
}

fn compression(magic: &[u8]) -> Option<Compression> {
    match magic {
        // RFC 1952, section 2.3.1.
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        // RFC 8878, section 3.1: a frame, or one that is to be skipped (pzstd begins so).
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Compression::Zstd),
        _ => None,
    }
}

impl Compression {
    fn decoder<'a>(self, reader: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(reader)),
            // The reference implementation gives every byte it could decode before a cut;
            // those in pure Rust keep a window of them back until the frame is whole.
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(reader)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}

/// What else people have at hand.
fn looks_like(magic: &[u8]) -> &'static str {
    match magic {
        [0xfd, b'7', b'z', b'X'] => "it is compressed with xz, which tracer does not read",
        [0x04, 0x22, 0x4d, 0x18] => "it is compressed with lz4, which tracer does not read",
        [b'B', b'Z', b'h', _] => "it is compressed with bzip2, which tracer does not read",
        [b'P', b'K', 0x03, 0x04] => "it is a zip archive, which tracer does not read",
        [b'7', b'z', 0xbc, 0xaf] => "it is a 7-Zip archive, which tracer does not read",
        b"snoo" => "it is a snoop capture",
        b"GMBU" | b"RTSS" => "it is a Network Monitor capture",
        _ => "it is neither pcap nor pcapng",
    }
}
