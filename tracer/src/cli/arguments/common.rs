use super::values::{self, ForcedHook};
use crate::capture::HookKind;
use crate::report::outputs::Format;
use clap::{Args, ColorChoice};
use std::path::PathBuf;

/// Where results go and how they look.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Format of the results [default: by the file's ending, else text].
    #[arg(
        long,
        value_enum,
        value_name = "text|json|ndjson",
        hide_possible_values = true
    )]
    pub format: Option<Format>,
    /// Write to FILE (.txt, .json, .ndjson); `-` is standard output. Repeatable.
    #[arg(short, long, value_name = "FILE")]
    pub output: Vec<PathBuf>,
    /// Open the key packets layer by layer.
    #[arg(long)]
    pub layers: bool,
    /// Show every event; twice: hellos, certificates and headers in full, too.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Show what watching took of this host: of the kernel, per program, and of the tracer
    /// (always with -v).
    #[arg(long)]
    pub cost: bool,
    /// No progress and no hints.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Colour the text (auto also heeds NO_COLOR).
    #[arg(
        long,
        value_name = "auto|always|never",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub color: ColorChoice,
    /// Show passwords, cookies and tokens.
    #[arg(
        long,
        help = "Show passwords, cookies and tokens instead of <redacted>"
    )]
    pub show_secrets: bool,
}

/// What is captured and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Capture")]
pub struct CaptureOptions {
    /// Keep the whole payload, not only the budget.
    #[arg(long, conflicts_with = "payload_budget")]
    pub full: bool,
    /// Keep this much payload per direction of a connection, for instance 64k.
    #[arg(long, value_name = "BYTES", value_parser = values::bytes)]
    pub payload_budget: Option<u64>,
    /// Record everything to FILE (pcapng, mode 0600) for `tracer read` and Wireshark. It holds
    /// raw frames, TLS secrets of the built-in client and command lines: nothing is redacted.
    #[arg(long, value_name = "FILE.pcapng")]
    pub save: Option<PathBuf>,
    /// Time the layers of the kernel that each segment passes (always with -v and --layers,
    /// and in JSON of `fetch` and `demo`).
    #[arg(long)]
    pub kernel_path: bool,
    /// Size of the ring between kernel and tracer, for instance 64K or 32M: a power of two from
    /// 4K to 1G. A larger one bears longer bursts; what does not fit is counted and told.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "8M",
        help_heading = "Advanced",
        value_parser = values::ring
    )]
    pub ring: u32,
    #[command(flatten)]
    pub hooks: HookOptions,
}

/// Whose network is watched.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Capture")]
pub struct NetworkOptions {
    /// Watch this network namespace, named as by `ip netns` or by the pid of a process in it; a
    /// command runs there, with the files of /etc/netns/NAME that say how names are resolved.
    #[arg(long, value_name = "NAME|PID", value_parser = values::network_namespace)]
    pub netns: Option<String>,
}

/// Which hooks are used, and where.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Capture")]
pub struct HookOptions {
    /// Watch only this interface. Repeatable.
    #[arg(long, value_name = "NAME", value_parser = values::interface)]
    pub interface: Vec<String>,
    /// Do without these kinds of hook, as on a kernel that lacks them.
    #[arg(long, value_name = "HOOK,HOOK", value_delimiter = ',', value_parser = values::hook)]
    pub without: Vec<HookKind>,
    /// Serve a fact with this kind of hook only, for instance tcp_state=tracepoint. Repeatable.
    #[arg(long, value_name = "FACT=HOOK", value_parser = values::forced_hook)]
    pub force_hook: Vec<ForcedHook>,
    /// Processes that can be traced at a time, to provoke a full table in tests.
    #[arg(long, value_name = "NUMBER", hide = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub traced_processes: Option<u32>,
}
