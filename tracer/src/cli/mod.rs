//! The command line: what `main` runs.

/// Types of the command line.
pub mod arguments;
mod attaching;
mod capture;
mod demo;
mod doctor;
mod fetch;
mod inputs;
mod live;
mod problem;
mod progress;
mod read;
mod run;
mod schema;
mod terminal_line;

use arguments::{Arguments, Command, ExitCode};
use problem::Problem;
use std::ffi::OsString;

/// Runs the tracer with the process's own arguments.
#[must_use]
pub fn run() -> std::process::ExitCode {
    // Children of the tracer are the tracer itself under a hidden name.
    if let Some(code) = crate::launch::hidden_command() {
        return code;
    }
    let command_line: Vec<OsString> = std::env::args_os().collect();
    let arguments = match Arguments::from_command_line(command_line.clone()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are results, everything else is a diagnostic; clap knows.
            let _ = error.print();
            let usage = error.use_stderr();
            return if usage {
                ExitCode::Usage
            } else {
                ExitCode::Done
            }
            .into();
        }
    };
    match dispatch(arguments.command, &command_line) {
        Ok(code) => code.into(),
        Err(problem) => {
            anstream::eprintln!("tracer: {problem}");
            problem.exit_code().into()
        }
    }
}

fn dispatch(command: Command, command_line: &[OsString]) -> Result<ExitCode, Problem> {
    match command {
        Command::Fetch(arguments) => on_runtime(fetch::fetch(*arguments, command_line)),
        Command::Run(arguments) => on_runtime(run::run(*arguments, command_line)),
        Command::Live(arguments) => on_runtime(live::live(*arguments, command_line)),
        Command::Demo(arguments) => on_runtime(demo::demo(*arguments, command_line)),
        Command::Read(arguments) => read::read(&arguments, command_line),
        Command::Doctor(arguments) => on_runtime(doctor::doctor(arguments)),
        Command::Schema(arguments) => schema::schema(&arguments),
    }
}

/// One thread is enough, and network namespaces belong to threads.
fn on_runtime(work: impl Future<Output = Result<ExitCode, Problem>>) -> Result<ExitCode, Problem> {
    // All of them start threads to attach hooks.
    crate::launch::use_small_pages();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Problem::System {
            operation: "start the runtime",
            source,
        })?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}
