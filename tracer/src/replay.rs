//! A capture file through the assembler: what `tracer read` does, without its output.

use crate::capture::file::{self, FileError, FileSummary};
use crate::capture::{Fact, Observation};
use crate::journey::assemble::{Assembler, AssemblerOptions};
use crate::journey::model::{
    CaptureInfo, Document, HookReport, HookStatus, HostInfo, SCHEMA_VERSION, Source, Trace,
    TracerInfo,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Payload kept per direction of a connection.
const STREAM_LIMIT: usize = 16 << 20;

/// How a capture is to be read.
#[derive(Debug, Clone, Default)]
pub struct ReplayOptions {
    /// The text of a key log (SSLKEYLOGFILE format).
    pub secrets: String,
    /// Keep whole frames of the key moments, for the layers view.
    pub keep_frames: bool,
    /// Show secret values instead of redacting them.
    pub show_secrets: bool,
    /// The command line, as the report shows it.
    pub command: Vec<String>,
}

/// Reads the capture at `path` (`-` is standard input) into its journeys.
///
/// # Errors
/// When nothing could be read; see [`file::read`].
pub fn replay(path: &Path, options: &ReplayOptions) -> Result<(Trace, FileSummary), FileError> {
    let mut replay = Replay::new(options);
    let summary = file::read(path, &mut |observation| replay.observe(observation))?;
    let trace = replay.finish(&path.display().to_string(), &summary);
    Ok((trace, summary))
}

/// A capture that is being replayed, for observations that come from elsewhere.
#[derive(Debug)]
pub struct Replay {
    assembler: Assembler,
    command: Vec<String>,
}

impl Replay {
    pub fn new(options: &ReplayOptions) -> Self {
        let mut assembler = Assembler::new(AssemblerOptions {
            source: Source::File,
            stream_limit: STREAM_LIMIT,
            keep_frames: options.keep_frames,
            show_secrets: options.show_secrets,
            live: false,
        });
        for line in options.secrets.lines() {
            let fact = Fact::TlsSecret(line.to_owned());
            assembler.observe(Observation { at_ns: 0, fact });
        }
        Self {
            assembler,
            command: options.command.clone(),
        }
    }

    /// Takes the next observation, in the order of the capture.
    pub fn observe(&mut self, observation: Observation) {
        self.assembler.observe(observation);
    }

    /// The whole story of the capture called `name`.
    pub fn finish(self, name: &str, summary: &FileSummary) -> Trace {
        let document = document(name, summary, self.command);
        self.assembler.finish(document)
    }
}

fn document(name: &str, summary: &FileSummary, command: Vec<String>) -> Document {
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
            complete: whole,
        },
        dns: Vec::new(),
        neighbors: Vec::new(),
        connections: Vec::new(),
        journeys: Vec::new(),
    }
}
