//! From options to a running capture, and from its end to a report.

use super::arguments::{CaptureOptions, ExitCode, HookOptions, NetworkOptions, OutputOptions};
use super::attaching::Attaching;
use super::problem::Problem;
use crate::capture::recording::{Recorder, RecordingError};
use crate::journey::model::{Outcome, Trace};
use crate::launch::LaunchSpec;
use crate::network_namespace::NetworkNamespace;
use crate::probe::{Detaching, ProbeError, ProbeOptions, Scope};
use crate::protocol::text;
use crate::report::outputs::{Destination, Format, Outputs, Reporter, Request, Terminal};
use crate::session::{Ended, Session, SessionOptions};
use crate::{client::ClientPipes, launch};
use std::ffi::OsString;
use std::time::Instant;

/// Payload kept per direction of a connection when one command is traced: the handshake,
/// headers and bodies of ordinary pages.
const COMMAND_BUDGET: u64 = 1 << 20;
/// The same when the whole host is watched: handshake and headers.
const LIVE_BUDGET: u64 = 64 << 10;
/// Processes that one command may start, at a time.
const TRACED_PROCESSES: u32 = 16384;

/// Plans where results go.
pub(super) fn outputs(options: &OutputOptions, default: Destination) -> Result<Outputs, Problem> {
    let request = Request {
        format: options.format,
        files: &options.output,
        color: options.color,
        layers: options.layers,
        verbose: options.verbose,
        cost: options.cost,
        show_secrets: options.show_secrets,
    };
    Ok(Outputs::plan(&request, default, &Terminal::detect())?)
}

/// What a capture is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// One request.
    Request,
    /// A command, which may make thousands.
    Command,
    /// Everything on this host.
    Host,
}

/// Moves this process, and the command that it will start, into the network namespace that was
/// asked for.
pub(super) fn enter(options: &NetworkOptions) -> Result<Option<NetworkNamespace>, Problem> {
    let Some(name) = &options.netns else {
        return Ok(None);
    };
    let namespace = NetworkNamespace::find(name)?;
    namespace.enter()?;
    Ok(Some(namespace))
}

/// How to capture. Creates the recording, so that a file that cannot be written fails before
/// anything is traced.
pub(super) fn session_options(
    capture: &CaptureOptions,
    output: &OutputOptions,
    subject: Subject,
    command_line: &[OsString],
) -> Result<SessionOptions, Problem> {
    let live = subject == Subject::Host;
    let default = if live { LIVE_BUDGET } else { COMMAND_BUDGET };
    let budget = capture.payload_budget.unwrap_or(default);
    let stream_limit = if capture.full { 64 << 20 } else { budget };
    let recorder = capture.save.as_deref().map(Recorder::create).transpose()?;
    let probe = ProbeOptions {
        kernel_path: capture.kernel_path || wants_all(output, subject),
        statistics: output.cost || wants_all(output, subject),
        ring_bytes: capture.ring,
        // The built-in client resolves as this program was linked.
        without_c_library: subject == Subject::Request && cfg!(target_env = "musl"),
        ..probe_options(&capture.hooks, Some(budget), capture.full, live)
    };
    Ok(SessionOptions {
        probe,
        stream_limit: usize::try_from(stream_limit).unwrap_or(usize::MAX),
        keep_frames: output.layers,
        show_secrets: output.show_secrets,
        live,
        command: shown_command_line(command_line, output.show_secrets),
        network_namespace: None,
        recorder,
    })
}

/// Timing the kernel's layers costs time with every packet of the host, and half of all events;
/// letting the kernel count the runs of the programs costs time with every run: only where the
/// result is shown, and where there may be many requests only when asked for.
fn wants_all(output: &OutputOptions, subject: Subject) -> bool {
    let is_data = |format: Format| format != Format::Text;
    let in_data = output.format.is_some_and(is_data)
        || output
            .output
            .iter()
            .filter_map(|file| Format::of_path(file))
            .any(is_data);
    output.layers || output.verbose > 0 || in_data && subject == Subject::Request
}

/// What the probe is to attach, and what it hands over.
pub(super) fn probe_options(
    hooks: &HookOptions,
    budget: Option<u64>,
    full: bool,
    live: bool,
) -> ProbeOptions {
    let forced = hooks.force_hook.iter();
    ProbeOptions {
        scope: if live { Scope::Host } else { Scope::Processes },
        interfaces: hooks.interface.clone(),
        payload_budget: u32::try_from(budget.unwrap_or(LIVE_BUDGET)).unwrap_or(u32::MAX),
        full,
        traced_processes: hooks.traced_processes.unwrap_or(TRACED_PROCESSES),
        without: hooks.without.clone(),
        force: forced
            .map(|forced| (forced.fact.clone(), forced.hook))
            .collect(),
        ..ProbeOptions::default()
    }
}

/// The command line as the report shows it.
pub(super) fn shown_command_line(command_line: &[OsString], show_secrets: bool) -> Vec<String> {
    let mut words: Vec<String> = command_line
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if !show_secrets {
        for word in &mut words {
            *word = redact_word(word);
        }
    }
    words
}

/// A header or a URL among the words.
fn redact_word(word: &str) -> String {
    match word.split_once(':') {
        Some((name, value)) if !value.starts_with("//") => {
            let shown = text::redact_header(name, value.trim_start());
            if shown == value.trim_start() {
                text::redact_url(word)
            } else {
                format!("{name}: {shown}")
            }
        }
        _ => text::redact_url(word),
    }
}

/// Says on stderr what takes a moment, for `-v`.
pub(super) fn progress(verbose: u8, message: impl FnOnce() -> String) {
    if verbose > 0 {
        anstream::eprintln!("tracer: {}", message());
    }
}

/// Attaches every hook; a start that takes long says how far it is.
pub(super) async fn start(
    options: SessionOptions,
    output: &OutputOptions,
) -> Result<Session, ProbeError> {
    let _shown = Attaching::show(options.probe.steps.clone(), output.quiet);
    Session::start(options).await
}

/// Gives up the rights that are no longer needed; `commands`: one was started.
pub(super) fn confine(session: &Session, commands: bool, verbose: u8) -> Result<(), Problem> {
    let fence = session.confine(commands)?;
    progress(verbose, || fence);
    for restriction in session.probe().restrictions() {
        progress(verbose, || restriction.clone());
    }
    Ok(())
}

/// What became of a traced command.
pub(super) struct Traced {
    pub trace: Trace,
    pub ended: Ended,
    /// Told after the report, which is good without it.
    recorded: Result<(), RecordingError>,
    /// The hooks, which the report does not wait for.
    detaching: Option<Detaching>,
    verbose: u8,
}

/// Traces one command from before its first instruction to its last FIN. Outputs are open
/// by then: this process has given up the rights to open more of them when it returns.
pub(super) async fn trace_command(
    options: SessionOptions,
    spec: LaunchSpec,
    client: Option<ClientPipes>,
    output: &OutputOptions,
) -> Result<Traced, Problem> {
    let verbose = output.verbose;
    let begun = Instant::now();
    let mut session = start(options, output).await?;
    let mut launched = launch::start(spec).await?;
    session.trace_process(launched.pid)?;
    confine(&session, true, verbose)?;
    progress(verbose, || {
        let hooks = session.probe().hooks().iter();
        let attached = hooks
            .filter(|hook| hook.status == crate::journey::model::HookStatus::Attached)
            .count();
        let time = begun.elapsed().as_secs_f64() * 1e3;
        format!("{attached} hooks attached in {time:.0} ms")
    });
    let ended = session.run(&mut launched, client).await?;
    let (trace, recorded, detaching) = session.finish().await;
    Ok(Traced {
        trace,
        ended,
        recorded,
        detaching: Some(detaching),
        verbose,
    })
}

/// Writes the report, then says whether it was recorded. Every hook is detached by then.
pub(super) fn report(mut reporter: Reporter, traced: &mut Traced) -> Result<(), Problem> {
    reporter.write(&traced.trace)?;
    if let Some(detaching) = traced.detaching.take() {
        let time = detaching.wait().duration.as_secs_f64() * 1e3;
        progress(traced.verbose, || format!("detached in {time:.0} ms"));
    }
    let recorded = std::mem::replace(&mut traced.recorded, Ok(()));
    Ok(recorded?)
}

/// 1 when the request failed, as the contract says.
pub(super) fn fetch_code(traced: &Traced) -> ExitCode {
    let failed = |outcome: Outcome| outcome == Outcome::Failed;
    let journeys = &traced.trace.document.journeys;
    match &traced.ended {
        Ended::Interrupted => ExitCode::Failed,
        Ended::Exited(status) if !status.success() => ExitCode::Failed,
        Ended::Exited(_) if journeys.iter().any(|journey| failed(journey.outcome)) => {
            ExitCode::Failed
        }
        Ended::Exited(_) => ExitCode::Done,
    }
}

/// The command's own code; an interrupted one ends as a shell says it.
pub(super) fn command_code(ended: &Ended) -> ExitCode {
    match ended {
        Ended::Exited(status) => ExitCode::of_command(*status),
        // 128 + SIGINT.
        Ended::Interrupted => ExitCode::Command(130),
    }
}

#[cfg(test)]
mod tests {
    use super::{Detaching, Ended, Trace, Traced, report};
    use crate::report::examples;
    use crate::report::outputs::{Destination, Outputs, Reporter, Request, Terminal};
    use std::io::{Read, pipe};
    use std::os::fd::AsRawFd;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    /// The report is there while the hooks are still on their way out: what takes them away
    /// waits until the report was read.
    #[test]
    fn a_report_does_not_wait_for_the_hooks() {
        let (mut reader, writer) = pipe().unwrap();
        let file = format!("/proc/self/fd/{}", writer.as_raw_fd()).into();
        let request = Request {
            files: std::slice::from_ref(&file),
            ..Request::default()
        };
        let outputs = Outputs::plan(&request, Destination::Stdout, &Terminal::detect()).unwrap();
        let reporter = Reporter::open(&outputs).unwrap();
        drop(writer);

        let (read, was_read) = mpsc::channel();
        let reading = thread::spawn(move || {
            let mut text = [0; 64];
            let length = reader.read(&mut text).unwrap();
            read.send(length).unwrap();
            // A pipe that nobody reads would hold up the rest.
            reader.read_to_end(&mut Vec::new()).unwrap();
        });
        let (told, order) = mpsc::channel();
        let detaching = Detaching::by(move || {
            let limit = Duration::from_secs(20);
            told.send(was_read.recv_timeout(limit).is_ok()).unwrap();
        });
        let mut traced = Traced {
            trace: Trace {
                document: examples::shop(),
                packets: Vec::new(),
            },
            ended: Ended::Exited(ExitStatus::from_raw(0)),
            recorded: Ok(()),
            detaching: Some(detaching),
            verbose: 0,
        };
        report(reporter, &mut traced).unwrap();
        assert_eq!(order.try_recv(), Ok(true), "the hooks were waited for");
        reading.join().unwrap();
    }
}
