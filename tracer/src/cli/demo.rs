//! `tracer demo`: a whole journey in a network of its own.

use super::arguments::{Demo, ExitCode};
use super::capture;
use super::problem::Problem;
use super::run;
use crate::client;
use crate::lab::{self, Lab};
use crate::launch::Output;
use crate::report::outputs::{Destination, Reporter};
use std::ffi::OsString;
use std::time::Instant;

pub(super) async fn demo(arguments: Demo, command_line: &[OsString]) -> Result<ExitCode, Problem> {
    let outputs = capture::outputs(&arguments.output, Destination::Stdout)?;
    let options = capture::session_options(
        &arguments.capture,
        &arguments.output,
        capture::Subject::Request,
        command_line,
    )?;
    let (mut spec, pipes) = if arguments.command.is_empty() {
        let mut request = arguments.request();
        request.cacert.get_or_insert_with(|| lab::CA_PATH.into());
        client::check(&request).map_err(|error| Problem::Usage(error.to_string()))?;
        let (spec, pipes) = client::launch_spec(&request).map_err(|source| Problem::System {
            operation: "make pipes",
            source,
        })?;
        (spec, Some(pipes))
    } else {
        (run::command(arguments.command.clone())?, None)
    };
    if outputs.use_stdout() {
        spec.stdout = Output::Stderr;
    }
    let reporter = Reporter::open(&outputs)?;
    let begun = Instant::now();
    let lab = Lab::start()?;
    lab.place(&mut spec)?;
    capture::progress(arguments.output.verbose, || {
        format!(
            "client, gateway, DNS and web server are up after {:.0} ms",
            begun.elapsed().as_secs_f64() * 1e3
        )
    });
    let is_fetch = pipes.is_some();
    // The probe watches the client's interfaces: its own view is the journey.
    let inside = lab.enter_client()?;
    let traced = capture::trace_command(options, spec, pipes, &arguments.output).await;
    // The right to return was given up with the others, and there is nothing left to do there.
    inside.stay();
    let mut traced = traced?;
    capture::report(reporter, &mut traced)?;
    lab.stop();
    Ok(if is_fetch {
        capture::fetch_code(&traced)
    } else {
        capture::command_code(&traced.ended)
    })
}
