//! `cargo xtask demo`: from a fresh machine to a first timeline.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{build, run};
use crate::workspace::Workspace;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Further arguments of `tracer demo`, as in `--format json`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    demo: Vec<OsString>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let tracer = build::tracer(&workspace, build::Arguments::default())?;
    let mut words = vec![OsString::from("demo")];
    words.extend(arguments.demo.iter().cloned());
    run::execute(&tracer, &words)
}
