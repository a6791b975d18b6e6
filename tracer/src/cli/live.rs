//! `tracer live`: everything on this host while people browse.

use super::arguments::{ExitCode, Live};
use super::capture;
use super::problem::Problem;
use crate::journey::model::Journey;
use crate::journey::part::{Part, note_lost};
use crate::report::outputs::{Destination, OutputError, Reporter};
use crate::session::Session;
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
    options.network_namespace = network.as_ref().map(|it| it.name().to_owned());
    let mut reporter = Reporter::open(&outputs)?;
    let begun = Instant::now();
    let mut session = Session::start(options).await?;
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
            if let Err(error) = print(&arguments, &mut reporter, finished) {
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
    print(&arguments, &mut reporter, remaining)?;
    let (mut document, recorded) = session.close();
    document.dhcp = session.dhcp();
    document.capture.losses = session.loss_reports();
    note_lost(&mut document.capture, session.lost());
    reporter.end(&document)?;
    session.stop().wait();
    recorded?;
    Ok(ExitCode::Done)
}

fn print(arguments: &Live, reporter: &mut Reporter, mut finished: Part) -> Result<(), OutputError> {
    finished.keep(|journey| wanted(arguments, journey));
    if finished.journeys.is_empty() {
        return Ok(());
    }
    reporter.part(&finished)
}

/// A journey must pass all filters.
fn wanted(arguments: &Live, journey: &Journey) -> bool {
    let process = journey.process.as_ref();
    let pid = arguments
        .pid
        .is_none_or(|pid| process.is_some_and(|process| process.pid == pid));
    let comm = arguments
        .comm
        .as_ref()
        .is_none_or(|comm| process.is_some_and(|process| process.comm == *comm));
    let port = arguments.port.is_none_or(|port| journey.port == Some(port));
    let host = arguments.host.as_ref().is_none_or(|pattern| {
        let host = journey.host.as_deref().unwrap_or_default();
        matches(
            pattern.to_ascii_lowercase().as_bytes(),
            host.to_ascii_lowercase().as_bytes(),
        )
    });
    pid && comm && port && host
}

/// `*` stands for any text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // The last star met and where the text stood then: enough to try again from there,
    // because an earlier star can only match what a later one can.
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, position));
                at += 1;
            }
            Some(letter) if text.get(position) == Some(letter) => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((after, from)) = star else {
                    return false;
                };
                star = Some((after, from + 1));
                (at, position) = (after, from + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        let fits = |pattern: &str, text: &str| matches(pattern.as_bytes(), text.as_bytes());
        assert!(fits("*.shop.test", "www.shop.test"));
        assert!(fits("*", "") && fits("a*", "a") && fits("a*c*e", "abcde"));
        assert!(fits("*aab", "aaaab"));
        assert!(!fits("*.shop.test", "shop.test"));
        assert!(!fits("shop", "shop.test") && !fits("", "x"));
    }
}
