//! `tracer read FILE...`: the same journeys from captures, without root.

use super::arguments::{ExitCode, Read};
use super::capture;
use super::inputs::inputs;
use super::problem::Problem;
use super::progress::Progress;
use crate::capture::file::{FileError, FileSummary, Item};
use crate::capture::recording::{Event, Header, Replay as Recorded};
use crate::fence;
use crate::journey::assemble::Assembler;
use crate::journey::limits::Limits;
use crate::journey::model::{CaptureInfo, Document, SCHEMA_VERSION, Source};
use crate::journey::part::Part;
use crate::replay::{self, ReplayOptions};
use crate::report::outputs::{Destination, OutputError, Reporter};
use std::ffi::OsString;
use std::path::Path;

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
        without_timeline: !outputs.show_events(),
        show_secrets: arguments.output.show_secrets,
        command: capture::shown_command_line(command_line, arguments.output.show_secrets),
        limits: Limits::default(),
    };
    let quiet = arguments.output.quiet;
    let files = inputs(&arguments.files);
    let several = files.len() > 1;
    let mut reporter = Reporter::open(&outputs)?;
    let readable: Vec<_> = files.iter().flatten().cloned().collect();
    let fence = fence::around_reading(&readable);
    capture::progress(arguments.output.verbose, || fence);
    let mut code = ExitCode::Done;
    for path in files {
        let read = path.map_err(Problem::from);
        match read.and_then(|path| read_one(&path, &options, quiet, &mut reporter)) {
            Ok(()) => {}
            Err(Problem::File(error)) if several => {
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

/// Reads one file and reports it.
fn read_one(
    path: &Path,
    options: &ReplayOptions,
    quiet: bool,
    reporter: &mut Reporter,
) -> Result<(), Problem> {
    let progress = Progress::of(path, quiet);
    let mut reading = Reading {
        name: path.display().to_string(),
        options,
        reporter,
        progress: &progress,
        memory: None,
        started_unix_nano: None,
        begun: false,
        end: None,
        failure: None,
    };
    let mut recorded = Recorded::default();
    let mut sink = |item: Item<'_>| match item {
        Item::NoSecrets => reading.memory().assembler.expect_no_secrets(),
        Item::Started(time) => reading.started_unix_nano = Some(time),
        item => recorded.item(item, &mut |event| reading.event(event)),
    };
    let read = replay::read_watched(path, &mut sink, &mut |bytes| progress.show(bytes));
    progress.clear();
    let summary = read?;
    recorded.finish(&mut |event| reading.event(event));
    warn(path, &summary);
    for warning in recorded.warnings() {
        anstream::eprintln!("tracer: {}: {warning}", path.display());
    }
    reading.finish(&summary, recorded.now_ns())?;
    Ok(())
}

/// One file on its way into the assembler.
struct Reading<'a> {
    name: String,
    options: &'a ReplayOptions,
    reporter: &'a mut Reporter,
    progress: &'a Progress,
    memory: Option<Memory>,
    started_unix_nano: Option<u64>,
    /// The outputs know that a capture has begun.
    begun: bool,
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
            Event::Observation(observation) => {
                let assembler = &mut self.memory().assembler;
                assembler.observe(observation);
                if let Some(part) = assembler.take_told() {
                    self.begin_file(None);
                    self.tell(&part);
                }
            }
            Event::Take { now_ns } => {
                let finished = self.memory().assembler.take_finished(now_ns);
                self.tell_finished(&finished);
            }
            Event::End(capture) => self.end = Some(*capture),
        }
    }

    fn memory(&mut self) -> &mut Memory {
        let options = self.options;
        self.memory.get_or_insert_with(|| Memory {
            assembler: options.assembler(),
            header: None,
        })
    }

    /// A recording is assembled as its capture was.
    fn begin(&mut self, header: Option<Header>) -> Memory {
        let assembler = match &header {
            Some(header) => self.options.assembler_of(header),
            None => self.options.assembler(),
        };
        if let Some(header) = header.as_ref().filter(|header| header.live) {
            let capture = replayed(header.capture.clone());
            let begun = self.reporter.begin(&header.tracer, &header.host, &capture);
            self.note(begun);
        }
        Memory { assembler, header }
    }

    /// Tells the outputs of a capture file, once: with its `summary`, or with what is known
    /// of it so far.
    fn begin_file(&mut self, summary: Option<&FileSummary>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let so_far = FileSummary {
            started_unix_nano: self.started_unix_nano,
            interfaces: self.memory().assembler.interfaces(),
            ..FileSummary::default()
        };
        let command = self.options.command.clone();
        let document = replay::document(&self.name, summary.unwrap_or(&so_far), command);
        self.progress.clear();
        let begun = self
            .reporter
            .begin(&document.tracer, &document.host, &document.capture);
        self.note(begun);
    }

    fn tell_finished(&mut self, finished: &Part) {
        if !finished.journeys.is_empty() {
            self.tell(finished);
        }
    }

    fn tell(&mut self, part: &Part) {
        self.progress.told(part.journeys.len());
        self.progress.clear();
        let told = self.reporter.part(part);
        self.note(told);
    }

    fn note(&mut self, told: Result<(), OutputError>) {
        if let Err(error) = told {
            self.failure.get_or_insert(error);
        }
    }

    fn finish(mut self, summary: &FileSummary, now_ns: u64) -> Result<(), OutputError> {
        let memory = self.memory.take();
        let memory = memory.unwrap_or_else(|| self.begin(None));
        let Memory { assembler, header } = self.memory.insert(memory);
        let is_recording = header.is_some();
        if summary.truncated_at.is_some() || is_recording && self.end.is_none() {
            assembler.cut();
        }
        if is_recording && self.end.is_none() && summary.truncated_at.is_none() {
            anstream::eprintln!(
                "tracer: {}: the recording has no end, the recorder was killed; everything before was read",
                self.name
            );
        }
        let mut document = match header.take() {
            None => {
                let command = self.options.command.clone();
                let part = assembler.last_part();
                self.begin_file(Some(summary));
                self.tell(&part);
                replay::document(&self.name, summary, command)
            }
            Some(header) if header.live => {
                let remaining = assembler.take_remaining();
                self.tell_finished(&remaining);
                recorded_document(header, self.end.take(), now_ns)
            }
            Some(header) => {
                let part = assembler.last_part();
                let document = recorded_document(header, self.end.take(), now_ns);
                let begun =
                    self.reporter
                        .begin(&document.tracer, &document.host, &document.capture);
                self.note(begun);
                self.tell(&part);
                document
            }
        };
        self.memory().assembler.conclude(&mut document);
        let ended = self.reporter.end(&document);
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
