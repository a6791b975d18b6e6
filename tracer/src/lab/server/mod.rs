//! What runs in the lab's server processes (hidden subcommand `__lab-server`).

/// How a close looks on the wire.
mod courteous;
/// The DNS server.
mod names;
/// The pages it serves.
mod page;
/// The HTTP and HTTPS server.
mod web;

use super::certificate::Identity;
use serde::{Deserialize, Serialize};
use std::ffi::CStr;
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

/// What a server writes to stdout when it listens.
pub(super) const READY: &str = "ready";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Role {
    Dns,
    Web,
}

impl Role {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Web => "web",
        }
    }

    /// The process's name in the trace (comm), at most 15 bytes.
    const fn process_name(self) -> &'static CStr {
        match self {
            Self::Dns => c"lab-dns",
            Self::Web => c"lab-web",
        }
    }
}

/// Options of the hidden subcommand `__lab-server`.
#[derive(Debug, clap::Args)]
pub struct LabServerArguments {
    /// Which server to run; its configuration comes from stdin
    #[arg(value_enum)]
    role: Role,
}

/// What a server is told on stdin: one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Configuration {
    pub ipv6: bool,
    pub identities: Vec<Identity>,
}

/// Runs `__lab-server`; ends only with stdin, or on failure.
#[must_use]
pub fn run(arguments: LabServerArguments) -> ExitCode {
    let _ = nix::sys::prctl::set_name(arguments.role.process_name());
    match serve(arguments.role) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The tracer reads this where it expected "ready".
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(role: Role) -> io::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let configuration: Configuration = serde_json::from_str(&line)?;
    end_with_stdin();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match role {
            Role::Dns => {
                let server = names::listen(&configuration).await?;
                announce()?;
                server.serve().await
            }
            Role::Web => {
                let server = web::listen(&configuration).await?;
                announce()?;
                server.serve().await
            }
        }
    })
}

fn announce() -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{READY}")?;
    stdout.flush()
}

/// Ends the process when the tracer has gone, in whatever way.
///
/// Not PR_SET_PDEATHSIG: that signal comes when the *thread* that forked us ends, which is
/// long before the tracer does.
fn end_with_stdin() {
    std::thread::spawn(|| {
        let mut rest = [0; 64];
        while matches!(io::stdin().lock().read(&mut rest), Ok(length) if length > 0) {}
        std::process::exit(0);
    });
}
