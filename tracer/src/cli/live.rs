//! `tracer live`: everything on this host while people browse.

use super::arguments::{ExitCode, Live};
use super::capture;
use super::problem::Problem;
use crate::journey::part::{Part, note_lost};
use crate::journey::wanted::Wanted;
use crate::report::outputs::{Destination, OutputError, Reporter};
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::time::Instant;

pub(super) async fn live(arguments: Live, command_line: &[OsString]) -> Result<ExitCode, Problem> {
    let outputs = capture::outputs(&arguments.output, Destination::Stdout)?;
    let network = capture::enter(&arguments.network)?;
    let mut options = capture::session_options(
        &arguments.capture,
        &arguments.output,
        capture::Subject::Host,
        command_line,
    )?;
    options.probe.ports = arguments.port.into_iter().collect();
    options.network_namespace = network.as_ref().map(|it| it.name().to_owned());
    let mut reporter = Reporter::open(&outputs)?;
    let begun = Instant::now();
    let mut session = capture::start(options, &arguments.output).await?;
    session.tell_only(Wanted {
        pid: arguments.pid,
        comm: arguments.comm,
        host: arguments.host,
        port: arguments.port,
    });
    capture::confine(&session, false, arguments.output.verbose)?;
    let header = session.document();
    reporter.begin(&header.tracer, &header.host, &header.capture)?;
    if !arguments.output.quiet {
        let time = begun.elapsed().as_secs_f64() * 1e3;
        anstream::eprintln!("tracer: watching, ready after {time:.0} ms; Ctrl-C ends it");
    }
    let mut failed: Option<OutputError> = None;
    session
        .watch(arguments.duration, |finished| {
            if let Err(error) = print(&mut reporter, &finished) {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            if reporter.has_readers() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })
        .await?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let remaining = session.remaining().await;
    print(&mut reporter, &remaining)?;
    let (mut document, recorded) = session.close();
    document.dhcp = session.dhcp();
    document.capture.losses = session.loss_reports();
    note_lost(&mut document.capture, session.lost());
    reporter.end(&document)?;
    session.stop().wait();
    recorded?;
    Ok(ExitCode::Done)
}

fn print(reporter: &mut Reporter, finished: &Part) -> Result<(), OutputError> {
    if finished.journeys.is_empty() {
        return Ok(());
    }
    reporter.part(finished)
}
