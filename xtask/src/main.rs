//! Everything a contributor does, as `cargo xtask <command>`.
//!
//! Progress goes to standard error; standard output belongs to results (the tracer's own
//! output under `run` and `demo`, the counts under `test`).

mod command;
mod compatibility;
mod debug_information;
mod guest;
mod kernel_programs;
mod machine;
mod output;
mod process;
mod results;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match command::Arguments::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
