//! `tracer read FILE...`: the same journeys from captures, without root.

use super::arguments::{ExitCode, Read};
use super::capture;
use super::live;
use super::problem::Problem;
use crate::capture::file::{FileError, FileSummary, Item};
use crate::capture::recording::{Event, Header, Replay};
use crate::capture::{Fact, Observation};
use crate::fence;
use crate::journey::assemble::{Assembler, AssemblerOptions};
use crate::journey::live::FinishedJourney;
use crate::journey::model::{CaptureInfo, Document, SCHEMA_VERSION, Source};
use crate::protocol::text;
use crate::replay::{self, ReplayOptions, STREAM_LIMIT};
use crate::report::outputs::{Destination, OutputError, Reporter};
use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is read in less time needs no progress shown.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn read(arguments: &Read, command_line: &[OsString]) -> Result<ExitCode, Problem> {
    let outputs = capture::outputs(&arguments.output, Destination::Stdout)?;
    let secrets = match &arguments.keylog {
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|source| FileError::Open {
                name: path.display().to_string(),
                source,
            })?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        None => String::new(),
    };
    let options = ReplayOptions {
        secrets,
        keep_frames: arguments.output.layers,
        show_secrets: arguments.output.show_secrets,
        command: capture::shown_command_line(command_line, arguments.output.show_secrets),
    };
    let files = inputs(&arguments.files)?;
    let mut reporter = Reporter::open(&outputs)?;
    let fence = fence::around_reading(&files);
    capture::progress(arguments.output.verbose, || fence);
    let mut code = ExitCode::Done;
    for path in &files {
        match read_one(path, &options, outputs.has_whole_document(), &mut reporter) {
            Ok(()) => {}
            Err(Problem::File(error)) if files.len() > 1 => {
                // The others are read all the same.
                anstream::eprintln!("tracer: {error}");
                code = ExitCode::InputUnreadable;
            }
            Err(problem) => return Err(problem),
        }
        if !reporter.has_readers() {
            break;
        }
    }
    Ok(code)
}

/// Reads one file and reports it. `keep`: an output wants every journey in one document.
fn read_one(
    path: &Path,
    options: &ReplayOptions,
    keep: bool,
    reporter: &mut Reporter,
) -> Result<(), Problem> {
    let mut reading = Reading {
        options,
        reporter,
        keep,
        memory: None,
        kept: Vec::new(),
        end: None,
        failure: None,
    };
    let mut recorded = Replay::default();
    let progress = Progress::of(path);
    let mut sink = |item: Item<'_>| recorded.item(item, &mut |event| reading.event(event));
    let read = replay::read_watched(path, &mut sink, &mut |bytes| progress.show(bytes));
    progress.clear();
    let summary = read?;
    recorded.finish(&mut |event| reading.event(event));
    warn(path, &summary);
    for warning in recorded.warnings() {
        anstream::eprintln!("tracer: {}: {warning}", path.display());
    }
    reading.finish(path, &summary, recorded.now_ns())?;
    Ok(())
}

/// One file on its way into the assembler.
struct Reading<'a> {
    options: &'a ReplayOptions,
    reporter: &'a mut Reporter,
    /// An output wants every journey in one document.
    keep: bool,
    memory: Option<Memory>,
    kept: Vec<FinishedJourney>,
    /// The capture as a recording had it at its end.
    end: Option<CaptureInfo>,
    /// The first error of the outputs.
    failure: Option<OutputError>,
}

struct Memory {
    assembler: Assembler,
    /// Of a recording.
    header: Option<Header>,
}

impl Reading<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::Begin(header) => {
                self.memory = Some(self.begin(Some(*header)));
            }
            Event::Observation(observation) => self.memory().assembler.observe(observation),
            Event::Take { now_ns } => {
                let finished = self.memory().assembler.take_finished(now_ns);
                self.tell(finished);
            }
            Event::End(capture) => self.end = Some(*capture),
        }
    }

    fn memory(&mut self) -> &mut Memory {
        let begun = self.memory.take();
        let begun = begun.unwrap_or_else(|| self.begin(None));
        self.memory.insert(begun)
    }

    /// A recording is assembled as its capture was.
    fn begin(&mut self, header: Option<Header>) -> Memory {
        let stream_limit = header.as_ref().map_or(STREAM_LIMIT, |header| {
            usize::try_from(header.stream_limit).unwrap_or(usize::MAX)
        });
        let mut assembler = Assembler::new(AssemblerOptions {
            source: match header {
                Some(_) => Source::Live,
                None => Source::File,
            },
            stream_limit,
            keep_frames: self.options.keep_frames,
            show_secrets: self.options.show_secrets,
            live: header.as_ref().is_some_and(|header| header.live),
        });
        for line in self.options.secrets.lines() {
            let fact = Fact::TlsSecret(line.to_owned());
            assembler.observe(Observation { at_ns: 0, fact });
        }
        if let Some(header) = header.as_ref().filter(|header| header.live) {
            let capture = replayed(header.capture.clone());
            let begun = self.reporter.begin(&header.tracer, &header.host, &capture);
            self.note(begun);
        }
        Memory { assembler, header }
    }

    fn tell(&mut self, finished: Vec<FinishedJourney>) {
        for finished in finished {
            let told = live::tell(self.reporter, &finished);
            self.note(told);
            if self.keep {
                self.kept.push(finished);
            }
        }
    }

    fn note(&mut self, told: Result<(), OutputError>) {
        if let Err(error) = told {
            self.failure.get_or_insert(error);
        }
    }

    fn finish(
        mut self,
        path: &Path,
        summary: &FileSummary,
        now_ns: u64,
    ) -> Result<(), OutputError> {
        let memory = self.memory.take();
        let Memory {
            mut assembler,
            header,
        } = memory.unwrap_or_else(|| self.begin(None));
        let Some(header) = header else {
            let name = path.display().to_string();
            let command = self.options.command.clone();
            let trace = assembler.finish(replay::document(&name, summary, command));
            return self.reporter.write(&trace);
        };
        if self.end.is_none() && summary.truncated_at.is_none() {
            anstream::eprintln!(
                "tracer: {}: the recording has no end, the recorder was killed; everything before was read",
                path.display()
            );
        }
        let is_live = header.live;
        let mut document = recorded_document(header, self.end.take(), now_ns);
        if !is_live {
            return self.reporter.write(&assembler.finish(document));
        }
        let remaining = assembler.take_remaining();
        self.tell(remaining);
        document.dhcp = assembler.dhcp();
        let kept = std::mem::take(&mut self.kept);
        let ended = self
            .reporter
            .end(&live::whole(document, assembler.lost(), kept));
        self.note(ended);
        self.failure.map_or(Ok(()), Err)
    }
}

/// The document of a recording: that of its capture, which was read from a file. One that
/// was cut lasted until the latest observation, and is not complete.
fn recorded_document(header: Header, end: Option<CaptureInfo>, now_ns: u64) -> Document {
    let mut cut = header.capture;
    cut.duration_ns = now_ns;
    cut.complete = false;
    Document {
        schema_version: SCHEMA_VERSION,
        tracer: header.tracer,
        host: header.host,
        capture: replayed(end.unwrap_or(cut)),
        dns: Vec::new(),
        neighbors: Vec::new(),
        dhcp: Vec::new(),
        connections: Vec::new(),
        journeys: Vec::new(),
    }
}

/// The one word in which a replay differs from the capture.
fn replayed(capture: CaptureInfo) -> CaptureInfo {
    CaptureInfo {
        source: Source::File,
        ..capture
    }
}

/// The files named, and for a directory those in it that are captures by their ending, in
/// order of their names.
fn inputs(named: &[PathBuf]) -> Result<Vec<PathBuf>, FileError> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |source| FileError::Open {
            name: path.display().to_string(),
            source,
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let inside = entry.map_err(unreadable)?.path();
            if inside.is_file() && is_capture(&inside) {
                found.push(inside);
            }
        }
        if found.is_empty() {
            let none = io::Error::other("the directory holds no .pcap, .pcapng or .cap");
            return Err(unreadable(none));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// By its ending, behind that of a compression.
fn is_capture(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    let name = [".gz", ".zst"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(&name);
    [".pcap", ".pcapng", ".cap"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// How far a long file is read, on the terminal of a person who waits.
struct Progress {
    name: String,
    /// Bytes of the file, 0 when not known.
    total: u64,
    begun: Instant,
    terminal: bool,
    shown: Cell<bool>,
}

impl Progress {
    fn of(path: &Path) -> Self {
        Self {
            name: text::printable(path.display().to_string()),
            total: std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
            begun: Instant::now(),
            terminal: io::stderr().is_terminal(),
            shown: Cell::new(false),
        }
    }

    /// `bytes` of the file were read.
    fn show(&self, bytes: u64) {
        if !self.terminal || self.begun.elapsed() < PATIENCE {
            return;
        }
        self.shown.set(true);
        let share = match self.total {
            0 => format!("{} MB", bytes / 1_000_000),
            total => format!("{} %", bytes.min(total).saturating_mul(100) / total),
        };
        anstream::eprint!("\r\x1b[Ktracer: reading {}: {share}", self.name);
    }

    fn clear(&self) {
        if self.shown.get() {
            anstream::eprint!("\r\x1b[K");
        }
    }
}

/// What a reader of the results should know about the file.
fn warn(path: &Path, summary: &FileSummary) {
    let name = path.display();
    if let Some(offset) = summary.truncated_at {
        let why = summary.truncation.as_deref().unwrap_or("it is damaged");
        anstream::eprintln!(
            "tracer: {name}: {why} at byte {offset}; everything before it was read"
        );
    }
    for unknown in &summary.unknown_link_types {
        anstream::eprintln!(
            "tracer: {name}: {} packets of link type {} ({}) were not read; record on an interface that carries IP (Ethernet, Wi-Fi, PPP, loopback, any)",
            unknown.packets,
            unknown.number,
            unknown.name
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_for_its_captures_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.pcapng.gz", "a.PCAP", "notes.txt", "c.cap.zst"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let missing = folder.path().join("missing.pcap");
        let files = inputs(&[missing.clone(), folder.path().to_owned()]).unwrap();
        let names = ["missing.pcap", "a.PCAP", "b.pcapng.gz", "c.cap.zst"];
        let expected: Vec<_> = names.iter().map(|name| folder.path().join(name)).collect();
        assert_eq!(
            files, expected,
            "what does not exist is told when it is read"
        );
        let empty = tempfile::tempdir().unwrap();
        assert!(inputs(&[empty.path().to_owned()]).is_err());
    }
}
