//! `tracer read FILE...`: the same journeys from captures, without root.

use super::arguments::{ExitCode, Read};
use super::capture;
use super::problem::Problem;
use crate::capture::file::{FileError, FileSummary};
use crate::protocol::text;
use crate::replay::{ReplayOptions, replay_watched};
use crate::report::outputs::{Destination, Reporter};
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
    let mut code = ExitCode::Done;
    for path in &files {
        let progress = Progress::of(path);
        let read = replay_watched(path, &options, &mut |bytes| progress.show(bytes));
        progress.clear();
        match read {
            Ok((trace, summary)) => {
                warn(path, &summary);
                reporter.write(&trace)?;
            }
            Err(error) if files.len() == 1 => return Err(error.into()),
            // The others are read all the same.
            Err(error) => {
                anstream::eprintln!("tracer: {error}");
                code = ExitCode::InputUnreadable;
            }
        }
        if !reporter.has_readers() {
            break;
        }
    }
    Ok(code)
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
    let name = name.strip_suffix(".gz").unwrap_or(&name);
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
            "tracer: {name}: {} packets of link type {} ({}) were not read; tracer reads Ethernet, raw IP, Linux cooked and loopback captures",
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
        for name in ["b.pcapng.gz", "a.PCAP", "notes.txt", "c.cap"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let missing = folder.path().join("missing.pcap");
        let files = inputs(&[missing.clone(), folder.path().to_owned()]).unwrap();
        let names = ["missing.pcap", "a.PCAP", "b.pcapng.gz", "c.cap"];
        let expected: Vec<_> = names.iter().map(|name| folder.path().join(name)).collect();
        assert_eq!(
            files, expected,
            "what does not exist is told when it is read"
        );
        let empty = tempfile::tempdir().unwrap();
        assert!(inputs(&[empty.path().to_owned()]).is_err());
    }
}
