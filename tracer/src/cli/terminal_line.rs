//! One line on standard error for a person who waits: drawn again and again, and gone before
//! anything else is written.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// What takes less time needs no progress shown.
const PATIENCE: Duration = Duration::from_secs(2);
/// Columns where the terminal does not say.
const COLUMNS: usize = 80;

/// The line, and since when somebody waits.
pub(super) struct TerminalLine {
    begun: Instant,
    /// Somebody looks at it.
    watched: bool,
    shown: Cell<bool>,
}

impl TerminalLine {
    pub fn new(quiet: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            begun: Instant::now(),
            watched: io::stderr().is_terminal() && !quiet && !dumb,
            shown: Cell::new(false),
        }
    }

    /// Whether anybody will ever see it.
    pub fn is_watched(&self) -> bool {
        self.watched
    }

    /// Shows what `text` says of the time that has passed, once that is long.
    pub fn draw(&self, text: impl FnOnce(Duration) -> String) {
        let elapsed = self.begun.elapsed();
        if !self.watched || elapsed < PATIENCE {
            return;
        }
        self.shown.set(true);
        let columns = terminal_size::terminal_size_of(io::stderr());
        let columns = columns.map_or(COLUMNS, |(width, _)| usize::from(width.0));
        // A line that wraps could not be erased.
        let fitting: String = text(elapsed)
            .chars()
            .take(columns.saturating_sub(1))
            .collect();
        anstream::eprint!("\r\x1b[K{fitting}");
    }

    /// Makes room for something else.
    pub fn clear(&self) {
        if self.shown.replace(false) {
            anstream::eprint!("\r\x1b[K");
        }
    }
}

impl Drop for TerminalLine {
    fn drop(&mut self) {
        self.clear();
    }
}
