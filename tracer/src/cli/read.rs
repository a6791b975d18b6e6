//! `tracer read FILE...`: the same journeys from captures, without root.

use super::arguments::{ExitCode, Read};
use super::capture;
use super::live;
use super::problem::Problem;
use crate::capture::file::{self, FileError, FileSummary};
use crate::capture::recording::{Event, Header, Replay};
use crate::capture::{Fact, Observation};
use crate::journey::assemble::{Assembler, AssemblerOptions};
use crate::journey::live::FinishedJourney;
use crate::journey::model::{
    CaptureInfo, Document, HookReport, HookStatus, HostInfo, SCHEMA_VERSION, Source, TracerInfo,
};
use crate::report::outputs::{Destination, OutputError, Reporter};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// Payload kept per direction of a connection.
const STREAM_LIMIT: usize = 16 << 20;

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
    let mut reporter = Reporter::open(&outputs)?;
    let command = capture::shown_command_line(command_line, arguments.output.show_secrets);
    for path in &arguments.files {
        let mut reading = Reading {
            arguments,
            secrets: &secrets,
            reporter: &mut reporter,
            keep: outputs.has_whole_document(),
            memory: None,
            kept: Vec::new(),
            end: None,
            failure: None,
        };
        let mut replay = Replay::default();
        let summary = file::read_items(path, &mut |item| {
            replay.item(item, &mut |event| reading.event(event));
        })?;
        replay.finish(&mut |event| reading.event(event));
        warn(path, &summary);
        for warning in replay.warnings() {
            anstream::eprintln!("tracer: {}: {warning}", path.display());
        }
        reading.finish(path, summary, &command, replay.now_ns())?;
    }
    Ok(ExitCode::Done)
}

/// One file on its way into the assembler.
struct Reading<'a> {
    arguments: &'a Read,
    secrets: &'a str,
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
        let output = &self.arguments.output;
        let mut assembler = Assembler::new(AssemblerOptions {
            source: match header {
                Some(_) => Source::Live,
                None => Source::File,
            },
            stream_limit,
            keep_frames: output.layers,
            show_secrets: output.show_secrets,
            live: header.as_ref().is_some_and(|header| header.live),
        });
        for line in self.secrets.lines() {
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
        summary: FileSummary,
        command: &[String],
        now_ns: u64,
    ) -> Result<(), OutputError> {
        let memory = self.memory.take();
        let Memory {
            mut assembler,
            header,
        } = memory.unwrap_or_else(|| self.begin(None));
        let Some(header) = header else {
            let trace = assembler.finish(document(path, summary, command));
            return self.reporter.write(&trace);
        };
        if self.end.is_none() && summary.truncated_at.is_none() {
            anstream::eprintln!(
                "tracer: {}: the recording has no end, the recorder was killed; everything before was read",
                path.display()
            );
        }
        let is_live = header.live;
        let document = recorded_document(header, self.end.take(), now_ns);
        if !is_live {
            return self.reporter.write(&assembler.finish(document));
        }
        let remaining = assembler.take_remaining();
        self.tell(remaining);
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
            "tracer: {name}: {} packets of link type {} ({}) were not read; tracer reads Ethernet, raw IP, Linux cooked and loopback captures",
            unknown.packets,
            unknown.number,
            unknown.name
        );
    }
}

fn document(path: &Path, summary: FileSummary, command: &[String]) -> Document {
    let whole = summary.truncated_at.is_none() && summary.unknown_link_types.is_empty();
    Document {
        schema_version: SCHEMA_VERSION,
        tracer: TracerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: command.to_vec(),
        },
        host: HostInfo::default(),
        capture: CaptureInfo {
            source: Source::File,
            started_unix_nano: summary.started_unix_nano.unwrap_or(0).to_string(),
            duration_ns: summary.duration_ns,
            interfaces: summary.interfaces,
            hooks: vec![HookReport {
                fact: "frames".to_owned(),
                hook: "pcap".to_owned(),
                target: path.display().to_string(),
                status: HookStatus::Attached,
                reason: None,
            }],
            lost: BTreeMap::new(),
            complete: whole,
        },
        dns: Vec::new(),
        neighbors: Vec::new(),
        connections: Vec::new(),
        journeys: Vec::new(),
    }
}
