//! `tracer fetch URL`, which is `tracer URL`.

use super::arguments::{ExitCode, Fetch};
use super::capture;
use super::problem::Problem;
use crate::client;
use crate::launch::{Identity, Output};
use crate::report::outputs::{Destination, Reporter};
use std::ffi::OsString;

pub(super) async fn fetch(
    arguments: Fetch,
    command_line: &[OsString],
) -> Result<ExitCode, Problem> {
    let outputs = capture::outputs(&arguments.output, Destination::Stdout)?;
    let request = arguments.request();
    client::check(&request).map_err(|error| Problem::Usage(error.to_string()))?;
    let network = capture::enter(&arguments.network)?;
    let mut options = capture::session_options(
        &arguments.capture,
        &arguments.output,
        capture::Subject::Request,
        command_line,
    )?;
    options.network_namespace = network.as_ref().map(|it| it.name().to_owned());
    let (mut spec, pipes) = client::launch_spec(&request).map_err(|source| Problem::System {
        operation: "make pipes",
        source,
    })?;
    spec.user = Identity::invoking();
    if let Some(network) = &network {
        spec.resolver_files = network.resolver_files()?;
    }
    if outputs.use_stdout() && !request.writes_body_to_stdout() {
        spec.stdout = Output::Stderr;
    }
    let reporter = Reporter::open(&outputs)?;
    let mut traced = capture::trace_command(options, spec, Some(pipes), &arguments.output).await?;
    capture::report(reporter, &mut traced)?;
    Ok(capture::fetch_code(&traced))
}
