//! `tracer read FILE...`: the same journeys from captures, without root.

use super::arguments::{ExitCode, Read};
use super::capture;
use super::problem::Problem;
use crate::capture::file::{FileError, FileSummary};
use crate::replay::{ReplayOptions, replay};
use crate::report::outputs::{Destination, Reporter};
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
    let mut reporter = Reporter::open(&outputs)?;
    let options = ReplayOptions {
        secrets,
        keep_frames: arguments.output.layers,
        show_secrets: arguments.output.show_secrets,
        command: capture::shown_command_line(command_line, arguments.output.show_secrets),
    };
    for path in &arguments.files {
        let (trace, summary) = replay(path, &options)?;
        warn(path, &summary);
        reporter.write(&trace)?;
    }
    Ok(ExitCode::Done)
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
