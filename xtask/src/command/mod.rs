//! The command line: one file per subcommand.

mod bench;
mod build;
mod demo;
mod doctor;
mod fuzz;
mod run;
mod setup;
mod test;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Everything a contributor does, as one command.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what building needs and this machine lacks.
    Setup(setup::Arguments),
    /// Build the kernel programs and the tracer that carries them.
    Build(build::Arguments),
    /// Build, then run the tracer with the given arguments (under sudo where not root).
    Run(run::Arguments),
    /// Set up, build and trace one request in a network of its own.
    Demo(demo::Arguments),
    /// Check everything that can be checked; the last line is `N passed, N failed`.
    Test(test::Arguments),
    /// Run the end-to-end tests in a guest with an ordinary kernel.
    Vm(vm::Arguments),
    /// Measure start, detach, memory and the like, and print a table.
    Bench(bench::Arguments),
    /// Search for input that a decoder cannot bear, guided by coverage.
    Fuzz(fuzz::Arguments),
    /// Say whether this machine can build and test, and how to mend what is missing.
    Doctor(doctor::Arguments),
}

impl Arguments {
    /// Runs the chosen subcommand; the code is the process's exit code.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Setup(arguments) => setup::run(&arguments),
            Command::Build(arguments) => build::run(&arguments),
            Command::Run(arguments) => run::run(&arguments),
            Command::Demo(arguments) => demo::run(&arguments),
            Command::Test(arguments) => test::run(&arguments),
            Command::Vm(arguments) => vm::run(&arguments),
            Command::Bench(arguments) => bench::run(&arguments),
            Command::Fuzz(arguments) => fuzz::run(&arguments),
            Command::Doctor(arguments) => doctor::run(&arguments),
        }
    }
}
