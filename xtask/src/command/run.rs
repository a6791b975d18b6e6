//! `cargo xtask run -- ARGS`: the tracer, with its own output and exit code.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::build;
use crate::process;
use crate::workspace::{self, Workspace};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Build the userspace part without optimisation.
    #[arg(long)]
    debug: bool,
    /// What the tracer is to do, as in `-- fetch https://host/`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    tracer: Vec<OsString>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let tracer = build::tracer(&workspace, build::Arguments::profile(arguments.debug))?;
    execute(&tracer, &arguments.tracer)
}

/// Becomes the program, as root: its streams, its exit code and Ctrl-C are then its own.
///
/// Returns only when the program cannot be started.
pub fn execute(program: &Path, arguments: &[OsString]) -> Result<ExitCode> {
    let mut command = process::as_root(program)?;
    workspace::without_package_variables(&mut command);
    command.args(arguments);
    let line = process::line(&command);
    Err(command.exec()).with_context(|| format!("cannot start `{line}`"))
}
