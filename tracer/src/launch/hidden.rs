//! Subcommands this program runs itself with.

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Hidden subcommands of the tracer, for its own children.
#[derive(Debug, Parser)]
#[command(name = "tracer", disable_help_subcommand = true)]
struct Hidden {
    #[command(subcommand)]
    command: HiddenCommand,
}

#[derive(Debug, Subcommand)]
enum HiddenCommand {
    #[command(name = "__launch", hide = true)]
    Launch(super::LaunchArguments),
    #[command(name = "__client", hide = true)]
    Client(crate::client::ClientArguments),
    #[command(name = "__lab-server", hide = true)]
    LabServer(crate::lab::LabServerArguments),
}

/// Runs the hidden subcommand this process was started with, if any.
///
/// Every program that launches commands or starts a lab calls this first in `main`,
/// because its children are started from `/proc/self/exe`; before any tokio runtime, for
/// the subcommands bring their own.
#[must_use]
pub fn hidden_command() -> Option<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let first = arguments.get(1)?.to_str()?;
    if !["__launch", "__client", "__lab-server"].contains(&first) {
        return None;
    }
    Some(match Hidden::try_parse_from(arguments) {
        Ok(hidden) => match hidden.command {
            HiddenCommand::Launch(arguments) => super::run(arguments),
            HiddenCommand::Client(arguments) => crate::client::run(arguments),
            HiddenCommand::LabServer(arguments) => crate::lab::run(arguments),
        },
        Err(error) => {
            eprint!("{error}");
            ExitCode::from(2)
        }
    })
}
