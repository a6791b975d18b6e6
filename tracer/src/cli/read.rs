//! `tracer read FILE...`: the same journeys from captures, without root.

use super::arguments::{ExitCode, Read};
use super::capture;
use super::problem::Problem;
use crate::capture::file::{self, FileError, FileSummary};
use crate::capture::{Fact, Observation};
use crate::journey::assemble::{Assembler, AssemblerOptions};
use crate::journey::model::{
    CaptureInfo, Document, HookReport, HookStatus, HostInfo, SCHEMA_VERSION, Source, Trace,
    TracerInfo,
};
use crate::report::outputs::{Destination, Reporter};
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
        let trace = read_one(arguments, path, &secrets, &command)?;
        reporter.write(&trace)?;
    }
    Ok(ExitCode::Done)
}

fn read_one(
    arguments: &Read,
    path: &Path,
    secrets: &str,
    command: &[String],
) -> Result<Trace, FileError> {
    let mut assembler = Assembler::new(AssemblerOptions {
        source: Source::File,
        stream_limit: STREAM_LIMIT,
        keep_frames: arguments.output.layers,
        show_secrets: arguments.output.show_secrets,
        live: false,
    });
    for line in secrets.lines() {
        let fact = Fact::TlsSecret(line.to_owned());
        assembler.observe(Observation { at_ns: 0, fact });
    }
    let summary = file::read(path, &mut |observation| assembler.observe(observation))?;
    warn(path, &summary);
    Ok(assembler.finish(document(path, summary, command)))
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
