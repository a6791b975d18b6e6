//! A capture file through the assembler: what `tracer read` does, without its output.

use crate::capture::file::{self, FileError, FileSummary, Item};
use crate::capture::recording::Header;
use crate::capture::{Fact, Observation};
use crate::journey::assemble::{Assembler, AssemblerOptions};
use crate::journey::limits::Limits;
use crate::journey::model::{
    CaptureInfo, Document, HookReport, HookStatus, HostInfo, SCHEMA_VERSION, Source, Trace,
    TracerInfo,
};
use crate::journey::part::Part;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(200);

/// Payload kept per direction of a connection.
const STREAM_LIMIT: usize = 16 << 20;

/// How a capture is to be read.
#[derive(Debug, Clone, Default)]
pub struct ReplayOptions {
    /// The text of a key log (SSLKEYLOGFILE format).
    pub secrets: String,
    /// Keep whole frames of the key moments, for the layers view.
    pub keep_frames: bool,
    /// Leave out the lines of each journey, which no output shows.
    pub without_timeline: bool,
    /// Show secret values instead of redacting them.
    pub show_secrets: bool,
    /// The command line, as the report shows it.
    pub command: Vec<String>,
    /// How much is remembered at once.
    pub limits: Limits,
}

impl ReplayOptions {
    /// What assembles a capture file.
    pub(crate) fn assembler(&self) -> Assembler {
        self.assembler_with(Source::File, STREAM_LIMIT, false)
    }

    /// What assembles a recording: the same that assembled its capture.
    pub(crate) fn assembler_of(&self, header: &Header) -> Assembler {
        let stream_limit = usize::try_from(header.stream_limit).unwrap_or(usize::MAX);
        self.assembler_with(Source::Live, stream_limit, header.live)
    }

    fn assembler_with(&self, source: Source, stream_limit: usize, live: bool) -> Assembler {
        let mut assembler = Assembler::new(AssemblerOptions {
            source,
            stream_limit,
            keep_frames: self.keep_frames,
            without_timeline: self.without_timeline,
            show_secrets: self.show_secrets,
            live,
            limits: self.limits,
        });
        for line in self.secrets.lines() {
            let fact = Fact::TlsSecret(line.to_owned());
            assembler.observe(Observation { at_ns: 0, fact });
        }
        assembler
    }
}

/// Reads the capture at `path` (`-` is standard input) into its journeys: its frames, also
/// where it is a recording that holds more.
///
/// # Errors
/// When nothing could be read; see [`file::read`].
pub fn replay(path: &Path, options: &ReplayOptions) -> Result<(Trace, FileSummary), FileError> {
    let mut replay = Replay::new(options);
    let mut sink = |item: Item<'_>| match item {
        Item::Observation(observation) => replay.observe(observation),
        Item::NoSecrets => replay.assembler.expect_no_secrets(),
        Item::Custom { .. } | Item::Started(_) => {}
    };
    let summary = read_watched(path, &mut sink, &mut |_| {})?;
    let name = path.display().to_string();
    Ok((replay.finish(&name, &summary), summary))
}

/// Reads the capture at `path` (`-` is standard input) piece by piece into `sink`;
/// `progress` is told now and then how many bytes of the file were read.
///
/// # Errors
/// When nothing could be read; see [`file::read`].
pub fn read_watched(
    path: &Path,
    sink: &mut dyn FnMut(Item<'_>),
    progress: &mut dyn FnMut(u64),
) -> Result<FileSummary, FileError> {
    let name = path.display().to_string();
    let read = Cell::new(0);
    let mut told_at = Instant::now();
    let mut observed = 0_u32;
    let mut watched = |item: Item<'_>| {
        sink(item);
        // The clock is asked rarely: it costs as much as a packet.
        observed = observed.wrapping_add(1);
        if observed.is_multiple_of(4096) && told_at.elapsed() > PROGRESS {
            told_at = Instant::now();
            progress(read.get());
        }
    };
    let counted = |inner| Counted { inner, read: &read };
    if path.as_os_str() == "-" {
        return file::read_from(counted(Box::new(io::stdin().lock())), &name, &mut watched);
    }
    let opened = File::open(path).map_err(|source| FileError::Open {
        name: name.clone(),
        source,
    })?;
    file::read_from(counted(Box::new(opened)), &name, &mut watched)
}

/// Counts what is read through it.
struct Counted<'a> {
    inner: Box<dyn Read>,
    read: &'a Cell<u64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read.set(self.read.get() + length as u64);
        Ok(length)
    }
}

/// A capture that is being replayed, for observations that come from elsewhere. What is told
/// on the way is put together again.
#[derive(Debug)]
pub struct Replay {
    assembler: Assembler,
    command: Vec<String>,
    parts: Vec<Part>,
}

impl Replay {
    pub fn new(options: &ReplayOptions) -> Self {
        Self {
            assembler: options.assembler(),
            command: options.command.clone(),
            parts: Vec::new(),
        }
    }

    /// No TLS secret comes later.
    pub fn expect_no_secrets(&mut self) {
        self.assembler.expect_no_secrets();
    }

    /// Takes the next observation, in the order of the capture.
    pub fn observe(&mut self, observation: Observation) {
        self.assembler.observe(observation);
        self.parts.extend(self.assembler.take_told());
    }

    /// How many parts were told so far; the last one is told at the end.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The whole story of the capture called `name`.
    pub fn finish(mut self, name: &str, summary: &FileSummary) -> Trace {
        if summary.truncated_at.is_some() {
            self.assembler.cut();
        }
        self.parts.push(self.assembler.last_part());
        let mut document = document(name, summary, self.command);
        self.assembler.conclude(&mut document);
        Part::whole(self.parts, document)
    }
}

/// What a capture called `name` says of itself, without its story.
pub(crate) fn document(name: &str, summary: &FileSummary, command: Vec<String>) -> Document {
    let whole = summary.truncated_at.is_none() && summary.unknown_link_types.is_empty();
    Document {
        schema_version: SCHEMA_VERSION,
        tracer: TracerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command,
        },
        host: HostInfo::default(),
        capture: CaptureInfo {
            source: Source::File,
            network_namespace: None,
            started_unix_nano: summary.started_unix_nano.unwrap_or(0).to_string(),
            duration_ns: summary.duration_ns,
            interfaces: summary.interfaces.clone(),
            hooks: vec![HookReport {
                fact: "frames".to_owned(),
                hook: "pcap".to_owned(),
                target: name.to_owned(),
                status: HookStatus::Attached,
                reason: None,
            }],
            lost: BTreeMap::new(),
            losses: Vec::new(),
            cost: None,
            comments: Vec::new(),
            complete: whole,
        },
        dns: Vec::new(),
        neighbors: Vec::new(),
        dhcp: Vec::new(),
        connections: Vec::new(),
        journeys: Vec::new(),
    }
}
