//! `tracer run -- CMD`.

use super::arguments::{ExitCode, Run};
use super::capture;
use super::problem::Problem;
use crate::launch::{Identity, LaunchSpec, Output, Program};
use crate::probe::calls_c_library;
use crate::report::outputs::{Destination, Reporter};
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

pub(super) async fn run(arguments: Run, command_line: &[OsString]) -> Result<ExitCode, Problem> {
    // Like time(1) and strace(1): standard output belongs to the command.
    let outputs = capture::outputs(&arguments.output, Destination::Stderr)?;
    let network = capture::enter(&arguments.network)?;
    let mut options = capture::session_options(
        &arguments.capture,
        &arguments.output,
        capture::Subject::Command,
        command_line,
    )?;
    options.network_namespace = network.as_ref().map(|it| it.name().to_owned());
    let program = arguments.command.first().and_then(|word| found(word));
    options.probe.without_c_library = program.is_some_and(|path| !calls_c_library(&path));
    let mut spec = command(arguments.command)?;
    spec.user = Identity::invoking();
    if let Some(network) = &network {
        spec.resolver_files = network.resolver_files()?;
    }
    if outputs.use_stdout() {
        spec.stdout = Output::Stderr;
    }
    let reporter = Reporter::open(&outputs)?;
    let mut traced = capture::trace_command(options, spec, None, &arguments.output).await?;
    capture::report(reporter, &mut traced)?;
    Ok(capture::command_code(&traced.ended))
}

/// Where a command is, as execvp(3) looks for it.
fn found(command: &OsStr) -> Option<PathBuf> {
    if command.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(command));
    }
    let folders = env::var_os("PATH")?;
    let paths = env::split_paths(&folders).map(|folder| folder.join(command));
    paths.into_iter().find(|path| path.is_file())
}

/// A command line as something to launch.
pub(super) fn command(words: Vec<OsString>) -> Result<LaunchSpec, Problem> {
    let mut words = words.into_iter();
    let program = words.next().ok_or_else(|| {
        Problem::Usage("no command to trace; write it behind `--`: tracer run -- curl URL".into())
    })?;
    Ok(LaunchSpec::new(Program::Command(program), words.collect()))
}
