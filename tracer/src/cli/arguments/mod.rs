//! The command line: types only, nothing is done here.

/// Options that several commands share.
pub mod common;
/// `tracer demo`.
mod demo;
/// The contract of exit codes.
pub mod exit_code;
/// `tracer fetch`.
pub mod fetch;
/// `tracer URL` is `tracer fetch URL`.
mod implicit;
/// Texts that become values.
pub mod values;

pub use common::{CaptureOptions, HookOptions, NetworkOptions, OutputOptions};
pub use demo::Demo;
pub use exit_code::ExitCode;
pub use fetch::Fetch;
pub use implicit::with_implicit_fetch;

use clap::{Args, ColorChoice, Parser, Subcommand, value_parser};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  sudo tracer https://example.org/              one request by the built-in client
  sudo tracer run -- curl https://example.org/  what a command does
  sudo tracer live --host '*.example.org'       everything while you browse, until Ctrl-C
  tracer read trace.pcapng --keylog keys.log    a capture file; needs no root
  sudo tracer demo                              a network of its own; needs no internet
  sudo tracer -o trace.json -o trace.txt https://example.org/
  sudo tracer --save trip.pcapng https://example.org/   for `tracer read` and Wireshark

Exit codes:
  0 done   1 the request or command failed   2 usage   3 not permitted
  4 the kernel lacks what is needed          5 input unreadable";

const USAGE: &str = "\
tracer [OPTIONS] URL             (short for `tracer fetch`)
       tracer COMMAND [OPTIONS] ...";

/// What really happened when this URL was opened, as one layered timeline.
#[derive(Debug, Clone, Parser)]
#[command(name = "tracer", version, override_usage = USAGE, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// Reads the process's own command line.
    ///
    /// # Errors
    /// Usage errors, and the texts of `--help` and `--version`, as clap has them.
    pub fn from_command_line(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        Self::try_parse_from(with_implicit_fetch(arguments.into_iter().collect()))
    }
}

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    Fetch(Box<Fetch>),
    Run(Box<Run>),
    Live(Box<Live>),
    Read(Box<Read>),
    Demo(Box<Demo>),
    Doctor(Doctor),
    Schema(Schema),
}

const RUN_EXAMPLES: &str = "\
Examples:
  sudo tracer run -- curl -s https://example.org/
  sudo tracer run -o trace.json -- ./fetch-all.sh
  sudo tracer run --netns blue -- curl -s http://10.0.0.2/   in the namespace `blue`

The command keeps its standard input, output and error; it runs as the user who called
sudo. The report goes to standard error, or where -o says; with `-o -` it takes standard
output, and the command's output moves to standard error. The exit code is the command's.";

/// Trace a command and every process it starts.
#[derive(Debug, Clone, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct Run {
    /// The command and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    pub command: Vec<OsString>,
    #[command(flatten)]
    pub output: OutputOptions,
    #[command(flatten)]
    pub network: NetworkOptions,
    #[command(flatten)]
    pub capture: CaptureOptions,
}

const LIVE_EXAMPLES: &str = "\
Examples:
  sudo tracer live                           everything, until Ctrl-C
  sudo tracer live --comm firefox --duration 2m
  sudo tracer live --host '*.example.org' --format ndjson | jq .url
  sudo tracer live --netns 4242              what the container of process 4242 does

Each journey is printed when it ends. A journey must pass all filters.";

/// Watch everything on this host while people browse.
#[derive(Debug, Clone, Args)]
#[command(after_help = LIVE_EXAMPLES)]
pub struct Live {
    /// Only journeys of this process.
    #[arg(long, value_name = "PID", help_heading = "Filters", value_parser = value_parser!(u32).range(1..))]
    pub pid: Option<u32>,
    /// Only journeys of processes of this name, as the kernel keeps it (15 bytes).
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    pub comm: Option<String>,
    /// Only journeys to this host; `*` stands for any text.
    #[arg(long, value_name = "PATTERN", help_heading = "Filters")]
    pub host: Option<String>,
    /// Only journeys over connections to this port; the kernel passes over others.
    #[arg(long, value_name = "PORT", help_heading = "Filters", value_parser = value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Stop after this time, for instance 30s, 2m, 500ms.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub duration: Option<Duration>,
    #[command(flatten)]
    pub output: OutputOptions,
    #[command(flatten)]
    pub network: NetworkOptions,
    #[command(flatten)]
    pub capture: CaptureOptions,
}

const READ_EXAMPLES: &str = "\
Examples:
  tracer read trace.pcapng
  tracer read --keylog keys.log --layers client.pcap server.pcap
  tcpdump -i any -w - | tracer read -
  sudo tracer --save trip.pcapng https://example.org/ && tracer read trip.pcapng

A file that --save wrote is a recording: it also holds what the kernel said, and is
shown as its capture was, with its hooks and losses; in JSON only `source` says that
it comes from a file. A live recording holds everything that was seen: the filters of
the capture do not count here. Frames are raw, with all secrets in them.";

/// Show the journeys in capture files. Needs no root.
#[derive(Debug, Clone, Args)]
#[command(after_help = READ_EXAMPLES)]
pub struct Read {
    /// pcap and pcapng files, also in gzip or zstd; recordings made with --save; directories
    /// of them; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// TLS secrets of the clients, as SSLKEYLOGFILE makes programs write them.
    #[arg(long, value_name = "FILE")]
    pub keylog: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Say which hook serves which fact on this kernel, and how to mend what is missing.
#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// Colour the output.
    #[arg(
        long,
        value_name = "auto|always|never",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub color: ColorChoice,
    /// How to say it.
    #[arg(
        long,
        value_enum,
        value_name = "text|json",
        default_value = "text",
        hide_possible_values = true
    )]
    pub format: DoctorFormat,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Name every candidate, also those that were not needed, and what the others need.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Try every candidate on the loopback interface, also those that would not be needed.
    #[arg(long, conflicts_with_all = ["interface", "without", "force_hook"])]
    pub all: bool,
    #[command(flatten)]
    pub hooks: HookOptions,
}

/// Outputs of the diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DoctorFormat {
    /// A table.
    Text,
    /// A document; `tracer schema --format doctor` describes it.
    Json,
}

/// Print the JSON Schema of the output.
#[derive(Debug, Clone, Args)]
pub struct Schema {
    /// The output it describes.
    #[arg(
        long,
        value_enum,
        value_name = "json|ndjson|doctor",
        default_value = "json",
        hide_possible_values = true
    )]
    pub format: SchemaFormat,
}

/// Outputs that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaFormat {
    /// The whole document.
    Json,
    /// One line.
    Ndjson,
    /// What `tracer doctor --format json` writes.
    Doctor,
}

#[cfg(test)]
mod tests;
