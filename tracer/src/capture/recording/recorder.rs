//! Writing a recording while the capture goes on.

use super::note::{FrameNote, Note, link_number};
use super::{Header, MAX_SECRET_BYTES, block};
use crate::capture::{Fact, Interface, LinkType, Observation};
use crate::journey::model::CaptureInfo;
use crate::output_file::{self, Readers};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A client hands over its secrets within milliseconds of using them. What is younger than
/// this waits, so that they stand before the packets they open.
const HELD_BACK_NS: u64 = 500_000_000;
/// More than this never waits.
const HELD_BACK_BYTES: usize = 4 << 20;
/// More notes than this do not wait for a packet.
const LOOSE_BYTES: usize = 256 << 10;
/// Blocks that are written at once.
const CHUNK_NS: u64 = 50_000_000;
const CHUNK_BYTES: usize = 256 << 10;
/// Interfaces whose names are remembered; a host that makes more than this is rare, and
/// theirs are left without a name.
const MAX_INTERFACES: usize = 65_536;

/// Why there is no recording, or none to the end.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("cannot create recording {}: {source}; choose another file with --save", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error(
        "cannot write recording {}: {source}; it reads up to there, make room and record again",
        path.display()
    )]
    Write { path: PathBuf, source: io::Error },
}

/// A recording in the making. Memory is bounded: only the last half second or 4 MiB is
/// held back, and what was observed since the last packet. Dropping it writes what is held back, without an end.
#[derive(Debug)]
pub struct Recorder {
    file: File,
    path: PathBuf,
    started_unix_nano: u64,
    watched: Vec<String>,
    known: BTreeMap<u32, Interface>,
    /// Positions of the Interface Description Blocks.
    described: BTreeMap<(u32, u16), u32>,
    /// Notes that wait for the next packet, to stand in its options.
    loose: Vec<Vec<u8>>,
    loose_bytes: usize,
    /// When journeys were last taken, where that is not noted yet.
    taken_at: Option<u64>,
    held_back: VecDeque<Chunk>,
    held_back_bytes: usize,
    /// The capture goes on when the disk is full; the error is told at its end.
    failure: Option<io::Error>,
}

/// Blocks that wait together.
#[derive(Debug)]
struct Chunk {
    at_ns: u64,
    bytes: Vec<u8>,
}

impl Recorder {
    /// Creates the file, for its owner only; under sudo(8) that is the user who called it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> Result<Self, RecordingError> {
        let file = create(path).map_err(|source| RecordingError::Create {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            file,
            path: path.into(),
            started_unix_nano: 0,
            watched: Vec::new(),
            known: BTreeMap::new(),
            described: BTreeMap::new(),
            loose: Vec::new(),
            loose_bytes: 0,
            taken_at: None,
            held_back: VecDeque::new(),
            held_back_bytes: 0,
            failure: None,
        })
    }

    /// Writes what stands before the first observation.
    pub fn begin(&mut self, header: &Header) {
        self.started_unix_nano = header.capture.started_unix_nano.parse().unwrap_or(0);
        self.watched.clone_from(&header.capture.interfaces);
        let application = format!("tracer {}", header.tracer.version);
        let system = header.host.kernel.as_ref().map(|it| format!("Linux {it}"));
        let comment = format!(
            "Recorded by {}. Frames are raw: they hold what was sent, secrets too.",
            header.tracer.command.join(" ")
        );
        let Some(note) = self.encode(&Note::Header(Box::new(header.clone()))) else {
            return;
        };
        let inside = block::fits_option(&note).then_some(&note[..]);
        let section = block::section(&application, system.as_deref(), &comment, inside);
        self.write(&section);
        if inside.is_none() {
            self.write(&block::custom(&note));
        }
    }

    /// Takes the next observation, before it goes to the assembler.
    pub fn observe(&mut self, observation: &Observation) {
        self.note_take();
        let at_ns = observation.at_ns;
        match &observation.fact {
            Fact::Frame(frame) => {
                let interface = self.describe(at_ns, frame.interface, frame.link_type);
                self.note(at_ns, &Note::Frame(FrameNote::of(at_ns, frame)));
                let unix_nano = self.started_unix_nano.saturating_add(at_ns);
                let notes = std::mem::take(&mut self.loose);
                self.loose_bytes = 0;
                self.hold_back(at_ns, block::packet(interface, unix_nano, frame, &notes));
            }
            Fact::TlsSecret(line) if is_key_log_line(line) => {
                // Ahead of everything that waits.
                self.write(&block::secret(line));
                self.note(at_ns, &Note::Secret { at_ns });
            }
            fact => {
                self.note(at_ns, &Note::Fact(Box::new(observation.clone())));
                if let Fact::Interface(interface) = fact {
                    self.remember(at_ns, interface);
                }
            }
        }
        self.release(at_ns);
    }

    /// Notes that finished journeys were taken from the assembler here; `any` when there
    /// were some. Of several times without any and without an observation in between, the
    /// last one stands for all.
    pub fn take(&mut self, now_ns: u64, any: bool) {
        self.taken_at = Some(now_ns);
        if any {
            self.note_take();
        }
    }

    fn note_take(&mut self) {
        if let Some(now_ns) = self.taken_at.take() {
            self.note(now_ns, &Note::Take { now_ns });
        }
    }

    /// Writes what was held back long enough.
    pub fn release(&mut self, now_ns: u64) {
        while let Some(oldest) = self.held_back.front() {
            let age = now_ns.saturating_sub(oldest.at_ns);
            if age < HELD_BACK_NS && self.held_back_bytes <= HELD_BACK_BYTES {
                return;
            }
            self.write_oldest();
        }
    }

    /// Writes the end.
    ///
    /// # Errors
    /// The first error since the beginning.
    pub fn finish(mut self, capture: &CaptureInfo) -> Result<(), RecordingError> {
        self.note_take();
        self.note(0, &Note::End(Box::new(capture.clone())));
        self.release_all();
        match self.failure.take() {
            None => Ok(()),
            Some(source) => Err(RecordingError::Write {
                path: std::mem::take(&mut self.path),
                source,
            }),
        }
    }

    /// Every watched interface is described, also one that no frame passes.
    fn remember(&mut self, at_ns: u64, interface: &Interface) {
        if self.known.len() >= MAX_INTERFACES {
            return;
        }
        self.known.insert(interface.index, interface.clone());
        if self.watched.contains(&interface.name) {
            // Tunnels have neither a link-layer address nor a link-layer header.
            let link_type = if interface.mac.is_some() || interface.loopback {
                LinkType::Ethernet
            } else {
                LinkType::RawIp
            };
            self.describe(at_ns, interface.index, link_type);
        }
    }

    /// The position of the interface's description, which is written when it is new.
    fn describe(&mut self, at_ns: u64, index: u32, link_type: LinkType) -> u32 {
        let number = link_number(link_type);
        let next = u32::try_from(self.described.len()).unwrap_or(u32::MAX);
        if let Some(position) = self.described.get(&(index, number)) {
            return *position;
        }
        self.described.insert((index, number), next);
        let block = block::interface(number, self.known.get(&index));
        self.hold_back(at_ns, block);
        next
    }

    fn note(&mut self, at_ns: u64, note: &Note) {
        let Some(bytes) = self.encode(note) else {
            return;
        };
        if !block::fits_option(&bytes) {
            self.settle(at_ns);
            self.hold_back(at_ns, block::custom(&bytes));
            return;
        }
        self.loose_bytes += bytes.len();
        self.loose.push(bytes);
        if self.loose_bytes > LOOSE_BYTES {
            self.settle(at_ns);
        }
    }

    fn encode(&mut self, note: &Note) -> Option<Vec<u8>> {
        let encoded = note.encode();
        encoded.map_err(|error| self.fail(error.into())).ok()
    }

    /// Gives notes for which no packet comes blocks of their own.
    fn settle(&mut self, at_ns: u64) {
        self.loose_bytes = 0;
        for note in std::mem::take(&mut self.loose) {
            self.hold_back(at_ns, block::custom(&note));
        }
    }

    fn hold_back(&mut self, at_ns: u64, block: Vec<u8>) {
        self.held_back_bytes += block.len();
        match self.held_back.back_mut() {
            Some(last)
                if last.bytes.len() < CHUNK_BYTES
                    && at_ns.saturating_sub(last.at_ns) < CHUNK_NS =>
            {
                last.bytes.extend(block);
            }
            _ => self.held_back.push_back(Chunk {
                at_ns,
                bytes: block,
            }),
        }
    }

    fn release_all(&mut self) {
        self.settle(0);
        while !self.held_back.is_empty() {
            self.write_oldest();
        }
    }

    fn write_oldest(&mut self) {
        if let Some(chunk) = self.held_back.pop_front() {
            self.held_back_bytes -= chunk.bytes.len();
            self.write(&chunk.bytes);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.failure.is_none()
            && let Err(error) = self.file.write_all(bytes)
        {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: io::Error) {
        self.failure.get_or_insert(error);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.release_all();
    }
}

fn create(path: &Path) -> io::Result<File> {
    let file = output_file::open(path, Readers::Owner)?;
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Whether a reader of key logs gives back this very line.
fn is_key_log_line(line: &str) -> bool {
    let is_one_line = line.lines().eq([line]);
    let is_short = line.len() <= MAX_SECRET_BYTES;
    is_one_line && is_short && line.trim() == line && !line.starts_with('#')
}
