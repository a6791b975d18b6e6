//! `cargo xtask bench`: builds and runs the bench program, which measures and prints a table.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{build, run};
use crate::machine::packages;
use crate::workspace::Workspace;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Only the figures whose name contains this word.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    bench: Vec<OsString>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    packages::ensure_for_benches()?;
    let (tracer, bench) =
        build::tracer_and_test_program(&workspace, build::Arguments::default(), "bench")?;
    let mut words = vec![OsString::from("--tracer"), tracer.into_os_string()];
    words.extend(arguments.bench.iter().cloned());
    run::execute(&bench, &words)
}
