//! What the tracer says of its own cost (`capture.cost`).

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::server::{Mode, Server};
use super::{ROUNDS, alone, median};
use crate::program::Program;
use crate::running::Running;

/// Longer than any round.
const LIMIT: Duration = Duration::from_secs(300);

/// Processor time of kernel programs, nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// Of all programs together, for each captured event: also of runs that captured nothing.
    pub per_event: f64,
    /// Of the program that captures frames, for each of its runs.
    pub per_frame: f64,
}

/// The medians of some rounds, each with clients that ask in this way.
pub fn of_kernel(tracer: &Path, mode: Mode) -> Result<Kernel> {
    let program = tracer.to_owned();
    alone(move || {
        let server = Server::start()?;
        let (mut per_event, mut per_frame) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let report = server.folder().join("cost.ndjson");
            let tracer = watch(&program, &report)?;
            server.ask(mode, 1)?;
            let (cost, _) = end(tracer, &report)?;
            let kernel = &cost["kernel"];
            let each = kernel["ns_per_event"].as_f64();
            per_event.push(each.with_context(|| format!("the kernel did not count: {cost}"))?);
            let programs = kernel["programs"].as_array().context("no programs")?;
            let frames = programs.iter().find(|it| it["name"] == "tracer_out");
            let each = frames.and_then(|program| program["ns_per_run"].as_f64());
            per_frame.push(each.context("no frame was captured")?);
        }
        Ok(Kernel {
            per_event: median(per_event),
            per_frame: median(per_frame),
        })
    })
}

/// `tracer live` with the kernel's statistics; it watches when this returns.
pub(super) fn watch(tracer: &Path, report: &Path) -> Result<Running> {
    let report = report.to_string_lossy();
    let arguments = ["live", "--cost", "-o", &report, "--duration", "5m"];
    let running = Program::new(tracer).args(arguments).limit(LIMIT).start()?;
    running.wait_for_stderr("watching")?;
    Ok(running)
}

/// Ends it; its cost, and what it lost.
pub(super) fn end(running: Running, report: &Path) -> Result<(Value, Value)> {
    running.signal(Signal::SIGINT)?;
    running.finish()?.expect_code(0)?;
    let text = fs::read_to_string(report)?;
    let last = text.lines().last().context("the report is empty")?;
    let mut last: Value = serde_json::from_str(last)?;
    ensure!(last["type"] == "lost", "not the last line: {last}");
    Ok((last["cost"].take(), last["lost"].take()))
}
