//! `cargo xtask setup`: installs what is missing, and says nothing new when all is there.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::machine::{packages, tools};
use crate::workspace::Workspace;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Also install what `cargo xtask test` uses: QEMU, tshark and the like.
    #[arg(long)]
    tests: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let started = Instant::now();
    let workspace = Workspace::find()?;
    let found = tools::ensure(&workspace)?;
    if arguments.tests {
        packages::ensure_for_tests()?;
    }
    eprintln!("setup: {}", found.toolchain.describe());
    eprintln!("setup: bpf-linker at {}", found.linker.path.display());
    eprintln!("setup: ready ({:.1} s)", started.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}
