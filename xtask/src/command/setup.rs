//! `cargo xtask setup`: installs what is missing, and says nothing new when all is there.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::kernel_programs::Tools;
use crate::machine::{linker, packages, toolchain};
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
    let tools = ensure(&workspace)?;
    if arguments.tests {
        packages::ensure_for_tests()?;
    }
    eprintln!("setup: {}", tools.toolchain.describe());
    eprintln!("setup: bpf-linker at {}", tools.linker.path.display());
    eprintln!("setup: ready ({:.1} s)", started.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// Finds or installs the compiler of the kernel programs and its linker.
pub fn ensure(workspace: &Workspace) -> Result<Tools> {
    let toolchain = toolchain::ensure()?;
    let linker = linker::ensure(workspace, &toolchain).context("no bpf-linker")?;
    Ok(Tools { toolchain, linker })
}
