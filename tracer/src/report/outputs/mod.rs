//! Where results go: planned from the command line before anything is captured, so that
//! an unusable plan fails while it costs nothing.

mod sink;
mod terminal;

pub use sink::Reporter;
pub use terminal::Terminal;

use super::style::Style;
use super::text::TextOptions;
use clap::ColorChoice;
use std::path::{Path, PathBuf};

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: a waterfall with facts.
    Text,
    /// One document when everything is over.
    Json,
    /// One JSON object a line, each as soon as it is known.
    Ndjson,
}

impl Format {
    /// The format that a file's ending asks for.
    pub fn of_path(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "txt" => Some(Self::Text),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
        }
    }
}

/// Where one copy of the results goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Stdout,
    Stderr,
    File(PathBuf),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => formatter.write_str("standard output"),
            Self::Stderr => formatter.write_str("standard error"),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}

/// One copy of the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    pub destination: Destination,
    pub format: Format,
    /// For text.
    pub style: Style,
}

/// What the command line says about results.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// `--format`.
    pub format: Option<Format>,
    /// `-o`, in order.
    pub files: &'a [PathBuf],
    /// `--color`.
    pub color: ColorChoice,
    /// `--layers`.
    pub layers: bool,
    /// How often `-v` was given.
    pub verbose: u8,
    /// `--cost`.
    pub cost: bool,
    /// `--show-secrets`.
    pub show_secrets: bool,
}

/// All copies of the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// At least one.
    pub sinks: Vec<Sink>,
    pub layers: bool,
    pub verbose: u8,
    pub cost: bool,
    pub show_secrets: bool,
}

/// Why results cannot be written as asked.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error(
        "cannot write {} to {}: its ending says {}; leave --format out, or give the file another ending",
        format.name(), path.display(), ending.name()
    )]
    Contradiction {
        path: PathBuf,
        format: Format,
        ending: Format,
    },
    #[error("cannot write to {0} twice: both would be mixed up; give each -o its own file")]
    Twice(Destination),
    #[error("cannot create {}: {source}; choose another file with -o", path.display())]
    Create {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write to {destination}: {source}; the report is incomplete there")]
    Write {
        destination: Destination,
        source: std::io::Error,
    },
}

impl Outputs {
    /// Decides where everything goes. Without `-o` it goes to `default`: standard output,
    /// for `tracer run` standard error.
    ///
    /// # Errors
    /// When two outputs collide or a file's ending contradicts `--format`.
    pub fn plan(
        request: &Request<'_>,
        default: Destination,
        terminal: &Terminal,
    ) -> Result<Self, OutputError> {
        let mut sinks: Vec<Sink> = Vec::new();
        for path in request.files {
            let destination = match path.as_os_str() == "-" {
                true => Destination::Stdout,
                false => Destination::File(path.clone()),
            };
            if sinks.iter().any(|sink| sink.destination == destination) {
                return Err(OutputError::Twice(destination));
            }
            let format = format_of(request.format, path)?;
            sinks.push(Sink {
                style: terminal.style_of(&destination, request.color),
                destination,
                format,
            });
        }
        if sinks.is_empty() {
            sinks.push(Sink {
                style: terminal.style_of(&default, request.color),
                destination: default,
                format: request.format.unwrap_or(Format::Text),
            });
        }
        Ok(Self {
            sinks,
            layers: request.layers,
            verbose: request.verbose,
            cost: request.cost,
            show_secrets: request.show_secrets,
        })
    }

    /// Whether results take standard output, so that a traced command must not.
    pub fn use_stdout(&self) -> bool {
        self.sinks
            .iter()
            .any(|sink| sink.destination == Destination::Stdout)
    }

    /// Whether any output shows the single events of a journey.
    pub fn show_events(&self) -> bool {
        let mut sinks = self.sinks.iter();
        self.verbose > 0 || sinks.any(|sink| sink.format != Format::Text)
    }

    /// How text looks in `sink`.
    pub fn text_options(&self, sink: &Sink) -> TextOptions {
        TextOptions {
            style: sink.style,
            verbose: self.verbose,
            cost: self.cost,
            layers: self.layers,
            show_secrets: self.show_secrets,
        }
    }
}

/// `--format`, the ending, or text.
fn format_of(asked: Option<Format>, path: &Path) -> Result<Format, OutputError> {
    match (asked, Format::of_path(path)) {
        (Some(format), Some(ending)) if format != ending => Err(OutputError::Contradiction {
            path: path.into(),
            format,
            ending,
        }),
        (Some(format), _) | (None, Some(format)) => Ok(format),
        (None, None) => Ok(Format::Text),
    }
}

#[cfg(test)]
mod tests;
