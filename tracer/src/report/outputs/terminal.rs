//! What the terminal can show.

use super::Destination;
use crate::report::style::Style;
use clap::ColorChoice;
use std::io::IsTerminal;

/// Assumed where there is no terminal to ask, as in a pipe of a service or CI.
const WIDTH_UNKNOWN: usize = 100;
/// Longer lines are hard to follow with the eye.
const WIDEST: usize = 200;

/// What is known about the terminal and its user's wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
    /// Columns, where a terminal could be asked or `COLUMNS` is set.
    pub width: Option<usize>,
    /// `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// `TERM` is `dumb`.
    pub dumb: bool,
    /// The locale's characters are UTF-8, or nothing is said about them.
    pub utf8: bool,
}

impl Terminal {
    /// Asks the process's environment and standard streams.
    pub fn detect() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        Self {
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            ..Self::from_environment(
                variable,
                terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)),
            )
        }
    }

    /// What the variables say; `measured` is the real width. Neither stream is a terminal.
    pub(super) fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
        measured: Option<usize>,
    ) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        // Shells do not export COLUMNS by themselves: who does, wants it.
        let columns = set("COLUMNS").and_then(|value| value.parse().ok());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(&set);
        Self {
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            width: columns.filter(|columns| *columns > 0).or(measured),
            no_color: set("NO_COLOR").is_some(),
            dumb: set("TERM").is_some_and(|term| term == "dumb"),
            utf8: locale.is_none_or(|locale| is_utf8(&locale)),
        }
    }

    /// How text for `destination` looks.
    pub fn style_of(&self, destination: &Destination, color: ColorChoice) -> Style {
        let shown_now = match destination {
            Destination::Stdout => self.stdout_is_terminal,
            Destination::Stderr => self.stderr_is_terminal,
            Destination::File(_) => false,
        };
        let file = matches!(destination, Destination::File(_));
        Style {
            color: match color {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => shown_now && !self.no_color && !self.dumb,
            },
            // A file outlives the terminal it was written from.
            unicode: file || (self.utf8 && !self.dumb),
            width: self
                .width
                .unwrap_or(WIDTH_UNKNOWN)
                .clamp(Style::MINIMUM_WIDTH, WIDEST),
        }
    }
}

/// Whether a locale's name, `en_GB.UTF-8` or `C`, promises UTF-8.
fn is_utf8(locale: &str) -> bool {
    let lower = locale.to_ascii_lowercase();
    lower.contains("utf-8") || lower.contains("utf8")
}
