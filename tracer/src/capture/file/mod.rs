//! Capture files: pcap and pcapng, plain or compressed with gzip or zstd.
//!
//! A file is read once, front to back, with memory bounded by its largest record; so a
//! pipe is as good as a file. What stands before damage or a cut is always delivered.

mod pcap;
mod pcapng;
mod pktap;
mod remarks;
mod source;

#[cfg(test)]
mod tests;

use super::{Fact, Frame, LinkType, Observation, link_type};
use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{LegacyPcapReader, PcapBlockOwned, PcapError, PcapNGReader};
use source::{Format, Source};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most records are frames of at most 64 KiB.
const BUFFER_BYTES: usize = 256 * 1024;

/// The largest record that is read. libpcap writes at most 256 KiB of a packet; more is
/// damage.
const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;

/// What a capture file holds besides its observations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSummary {
    /// Time of the first packet in the file, nanoseconds since 1970; `None` without packets.
    pub started_unix_nano: Option<u64>,
    /// From the first packet in the file to the latest, nanoseconds.
    pub duration_ns: u64,
    /// Packets in the file, also those of unknown link types.
    pub packets: u64,
    /// Names of interfaces, where the file has them.
    pub interfaces: Vec<String>,
    /// Offset in the (decompressed) file of the record that could not be read to its end;
    /// `None` when the file is whole.
    pub truncated_at: Option<u64>,
    /// Why it could not be read, for instance `the file ends within a record`.
    pub truncation: Option<String>,
    /// Packets that were counted but not read.
    pub unknown_link_types: Vec<UnknownLinkType>,
}

/// A link type that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLinkType {
    /// Number in libpcap's registry of link-layer header types.
    pub number: u16,
    /// Its name where known, for instance `IEEE 802.11`.
    pub name: String,
    pub packets: u64,
}

/// Why a file could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot open capture {name}: {source}; check the path and that you may read it")]
    Open { name: String, source: io::Error },
    #[error(
        "cannot read capture {name}: {source}; name a file that can be read, or - for standard input"
    )]
    Read { name: String, source: io::Error },
    #[error(
        "cannot read capture {name}: it is empty; record it again, and stop the recorder before reading"
    )]
    Empty { name: String },
    #[error("cannot read capture {name}: its header is cut or damaged; copy it or record it again")]
    BadHeader { name: String },
    #[error(
        "cannot read capture {name}: {looks}; tracer reads pcap and pcapng, also in gzip or zstd: decompress it first, or convert it with editcap"
    )]
    NotACapture { name: String, looks: String },
}

/// Something that stands in a file.
#[derive(Debug)]
pub enum Item<'a> {
    /// The format has no place for TLS secrets, as pcapng has. Comes before all packets.
    NoSecrets,
    /// The first packet has this time, nanoseconds since 1970. Comes before it, once.
    Started(u64),
    Observation(Observation),
    /// A pcapng custom block, or a custom option (2989) of a packet or section, which comes
    /// before it; a recording of our own keeps kernel facts in them.
    Custom {
        /// Private enterprise number.
        enterprise: u32,
        /// Of a block data and options, padded to four bytes; of an option its value.
        data: &'a [u8],
        /// Byte order of the section.
        big_endian: bool,
    },
}

/// Reads the capture file at `path` (`-` is standard input) and hands every observation to
/// `sink`, in the order of the file. Every packet gives one [`Fact::Frame`], so that the
/// n-th frame is packet n of the file.
///
/// Times count from the first packet in the file; packets that carry an earlier time
/// (several interfaces, a clock that was set back) get 0. Facts without a time of their
/// own get that of the packet before them.
///
/// # Errors
/// [`FileError`] when nothing could be read. A file that is damaged or cut further on is no
/// error: see [`FileSummary::truncated_at`].
pub fn read(path: &Path, sink: &mut dyn FnMut(Observation)) -> Result<FileSummary, FileError> {
    read_items(path, &mut |item| {
        if let Item::Observation(observation) = item {
            sink(observation);
        }
    })
}

/// As [`read`], with the custom blocks of pcapng.
///
/// # Errors
/// As [`read`].
pub fn read_items(path: &Path, sink: &mut dyn FnMut(Item<'_>)) -> Result<FileSummary, FileError> {
    if path.as_os_str() == "-" {
        return read_from(io::stdin().lock(), "-", sink);
    }
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => read_from(file, &name, sink),
        Err(source) => Err(FileError::Open { name, source }),
    }
}

/// As [`read_items`], from anything that can be read; `name` is for messages.
///
/// # Errors
/// As [`read`].
pub fn read_from(
    reader: impl Read,
    name: &str,
    sink: &mut dyn FnMut(Item<'_>),
) -> Result<FileSummary, FileError> {
    let (mut source, format) = Source::open(reader, name)?;
    if matches!(format, Format::Pcap) {
        sink(Item::NoSecrets);
    }
    let mut reading = Reading::new(sink);
    let stop = match format {
        Format::Pcap => LegacyPcapReader::new(BUFFER_BYTES, &mut source)
            .map(|reader| blocks(reader, &mut pcap::Decoder::default(), &mut reading)),
        Format::Pcapng => PcapNGReader::new(BUFFER_BYTES, &mut source)
            .map(|reader| blocks(reader, &mut pcapng::Decoder::default(), &mut reading)),
    };
    let failure = source.failure();
    match (stop, failure) {
        // Compressed data that end too early are a cut file, as plain data would be.
        (stop, Some(source))
            if reading.summary.packets == 0 && (stop.is_err() || !is_cut(&source)) =>
        {
            Err(FileError::Read {
                name: name.to_owned(),
                source,
            })
        }
        // The magic number was right, what follows it was not.
        (Err(_), _) => Err(FileError::BadHeader {
            name: name.to_owned(),
        }),
        (Ok(stop), failure) => Ok(reading.finish(stop, failure)),
    }
}

/// Whether the bytes ended because there are no more of them.
fn is_cut(failure: &io::Error) -> bool {
    failure.kind() == io::ErrorKind::UnexpectedEof
}

/// Where reading ended.
#[derive(Debug)]
enum Stop {
    /// Behind the last record; its offset.
    End(usize),
    /// Offset of the record that could not be read, and why.
    Cut(usize, &'static str),
}

/// Takes the blocks of one file format.
trait Decode {
    fn block(&mut self, block: PcapBlockOwned<'_>, reading: &mut Reading<'_>);

    /// Whether `data` begins with a record that must not be given to pcap-parser.
    fn is_damage(&self, _data: &[u8]) -> bool {
        false
    }
}

/// Hands every block of the file to `decoder`.
fn blocks<R: PcapReaderIterator>(
    mut reader: R,
    decoder: &mut dyn Decode,
    reading: &mut Reading<'_>,
) -> Stop {
    let mut capacity = BUFFER_BYTES;
    loop {
        if decoder.is_damage(reader.data()) {
            return Stop::Cut(reader.consumed(), "a record is damaged");
        }
        match reader.next() {
            Ok((length, block)) => {
                decoder.block(block, reading);
                // What is left moves to the front when more is read, not before.
                reader.consume_noshift(length);
                continue;
            }
            Err(PcapError::Incomplete(_) | PcapError::BufferTooSmall) => {}
            Err(PcapError::Eof) => return Stop::End(reader.consumed()),
            Err(PcapError::UnexpectedEof) => {
                return Stop::Cut(reader.consumed(), "the file ends within a record");
            }
            Err(_) => return Stop::Cut(reader.consumed(), "a record is damaged"),
        }
        let before = reader.data().len();
        if reader.refill().is_err() {
            return Stop::Cut(reader.consumed(), "the file could not be read further");
        }
        if reader.data().len() > before || reader.reader_exhausted() {
            continue;
        }
        // The buffer is full: a long record, or one whose length is damaged.
        if capacity >= MAX_RECORD_BYTES {
            return Stop::Cut(reader.consumed(), "a record claims more than 16 MiB");
        }
        capacity *= 2;
        reader.grow(capacity);
    }
}

/// The state that both formats share.
struct Reading<'a> {
    sink: &'a mut dyn FnMut(Item<'_>),
    summary: FileSummary,
    /// Time of the packet before, nanoseconds since the first.
    now_ns: u64,
}

impl<'a> Reading<'a> {
    fn new(sink: &'a mut dyn FnMut(Item<'_>)) -> Self {
        Self {
            sink,
            summary: FileSummary::default(),
            now_ns: 0,
        }
    }

    /// A packet seen at `unix_nano`; `None` where the file does not say.
    fn packet(&mut self, unix_nano: Option<u64>, mut frame: Frame) {
        pktap::complete(&mut frame);
        if let Some(time) = unix_nano {
            if self.summary.started_unix_nano.is_none() {
                self.summary.started_unix_nano = Some(time);
                (self.sink)(Item::Started(time));
            }
            let started = self.summary.started_unix_nano.unwrap_or(time);
            self.now_ns = time.saturating_sub(started);
        }
        self.summary.packets += 1;
        self.summary.duration_ns = self.summary.duration_ns.max(self.now_ns);
        if let LinkType::Other(number) = frame.link_type
            && !frame.link_type.is_read()
        {
            self.count_unknown(number);
        }
        self.fact(Fact::Frame(frame));
    }

    /// A fact without a time of its own.
    fn fact(&mut self, fact: Fact) {
        (self.sink)(Item::Observation(Observation {
            at_ns: self.now_ns,
            fact,
        }));
    }

    fn count_unknown(&mut self, number: u16) {
        let known = &mut self.summary.unknown_link_types;
        match known.iter_mut().find(|unknown| unknown.number == number) {
            Some(unknown) => unknown.packets += 1,
            None => known.push(UnknownLinkType {
                number,
                name: link_type::name(number).to_owned(),
                packets: 1,
            }),
        }
    }

    fn finish(mut self, stop: Stop, failure: Option<io::Error>) -> FileSummary {
        let (offset, reason) = match (stop, &failure) {
            // All records are whole, and yet the compressed file was not at its end.
            (Stop::End(offset), Some(_)) => (offset, ""),
            (Stop::End(_), None) => return self.summary,
            (Stop::Cut(offset, reason), _) => (offset, reason),
        };
        self.summary.truncated_at = u64::try_from(offset).ok();
        self.summary.truncation = Some(match failure {
            Some(error) if is_cut(&error) => "the compressed file is cut".to_owned(),
            Some(error) => error.to_string(),
            None => reason.to_owned(),
        });
        self.summary
    }
}
