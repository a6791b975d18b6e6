//! How far a long file is read.

use super::terminal_line::TerminalLine;
use crate::protocol::text;
use crate::report::units;
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

/// Bytes and journeys of one file.
pub(super) struct Progress {
    name: String,
    /// Bytes of the file; `None` for a pipe.
    total: Option<u64>,
    journeys: Cell<u64>,
    line: TerminalLine,
}

impl Progress {
    pub fn of(path: &Path, quiet: bool) -> Self {
        let metadata = std::fs::metadata(path).ok();
        let file = metadata.filter(|metadata| metadata.is_file());
        Self {
            name: text::printable(path.display().to_string()),
            total: file.map(|metadata| metadata.len()),
            journeys: Cell::new(0),
            line: TerminalLine::new(quiet),
        }
    }

    /// So many more journeys were told.
    pub fn told(&self, journeys: usize) {
        let journeys = u64::try_from(journeys).unwrap_or(u64::MAX);
        self.journeys
            .set(self.journeys.get().saturating_add(journeys));
    }

    /// `bytes` of the file were read.
    pub fn show(&self, bytes: u64) {
        self.line
            .draw(|elapsed| line(&self.name, bytes, self.total, elapsed, self.journeys.get()));
    }

    /// Makes room for something else.
    pub fn clear(&self) {
        self.line.clear();
    }
}

/// What is known first, the name last: it may be long.
fn line(name: &str, bytes: u64, total: Option<u64>, elapsed: Duration, journeys: u64) -> String {
    let megabytes = |bytes: u64| bytes / 1_000_000;
    let share = match total {
        Some(total) if total > 0 => {
            let percent = bytes.min(total).saturating_mul(100) / total;
            format!("{percent} % of {} MB", megabytes(total))
        }
        _ => format!("{} MB", megabytes(bytes)),
    };
    let milliseconds = u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    // Bytes in a millisecond are kilobytes in a second.
    let rate = bytes / milliseconds / 1000;
    let told = match journeys {
        0 => String::new(),
        count => format!(", {}", units::counted(count, "journey")),
    };
    format!("tracer: {share}, {rate} MB/s{told}, {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_share_and_a_pipe_has_bytes() {
        let two = Duration::from_secs(2);
        let file = line("a.pcap", 250_000_000, Some(1_000_000_000), two, 7);
        assert_eq!(
            file,
            "tracer: 25 % of 1000 MB, 125 MB/s, 7\u{a0}journeys, a.pcap"
        );
        let pipe = line("-", 250_000_000, None, two, 0);
        assert_eq!(pipe, "tracer: 250 MB, 125 MB/s, -");
        let grown = line("a", 20, Some(10), Duration::ZERO, 1);
        assert_eq!(grown, "tracer: 100 % of 0 MB, 0 MB/s, 1\u{a0}journey, a");
        assert!(line("a", 20, Some(0), two, 0).contains("0 MB"));
    }
}
