//! What the start of a capture costs, and what it leaves as it was.

use std::fs;

use anyhow::{Context, Result, ensure};
use nix::sys::prctl;
use nix::sys::signal::Signal;

use crate::program::{Program, Tracer, find_tracer, watching};
use crate::requests;
use crate::running::Running;
use crate::scenario::{Scenario, Skipped};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_start_reads_the_kernel_s_types_once",
        run: types_once,
    },
    Scenario {
        name: "a_capture_does_without_huge_pages_and_its_command_does_not",
        run: small_pages,
    },
];

/// A capture that has begun.
fn begun() -> Result<Running> {
    let port = requests::server(false)?.port();
    watching(&port.to_string())
}

fn end(live: Running) -> Result<()> {
    live.signal(Signal::SIGINT)?;
    live.finish()?.expect_code(0)?;
    Ok(())
}

/// The value behind a name in a file of /proc, as in `rchar: 17`.
fn value(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().parse().ok()
}

/// They are several megabytes, and far more than everything else that a start reads. Whoever
/// walks through them a second time (aya makes it easy) reads them a second time.
fn types_once() -> Result<()> {
    let types = fs::metadata("/sys/kernel/btf/vmlinux")?.len();
    let live = begun()?;
    let counted = fs::read_to_string(format!("/proc/{}/io", live.pid()))?;
    let read = value(&counted, "rchar").context("no rchar")?;
    ensure!(
        (types..2 * types).contains(&read),
        "{read} bytes were read, the types are {types}"
    );
    end(live)
}

/// Does the kernel give the process with this status huge pages?
fn has_huge_pages(status: &str) -> Result<bool> {
    Ok(value(status, "THP_enabled").context("no THP_enabled")? == 1)
}

fn small_pages() -> Result<()> {
    if !has_huge_pages(&fs::read_to_string("/proc/self/status")?)? {
        let why = "this kernel gives nobody huge pages";
        return Err(Skipped(why.into()).into());
    }
    let live = begun()?;
    let status = fs::read_to_string(format!("/proc/{}/status", live.pid()))?;
    ensure!(!has_huge_pages(&status)?, "{status}");
    end(live)?;
    let run = ["run", "-q", "--", "cat", "/proc/self/status"];
    let status = Tracer::new(run).run()?.expect_code(0)?.stdout;
    ensure!(has_huge_pages(&status)?, "the command: {status}");
    // What was switched off before the tracer came stays so.
    let tracer = find_tracer().context("no tracer")?;
    let status = without_huge_pages(Program::new(tracer).args(run))?;
    ensure!(!has_huge_pages(&status)?, "the command: {status}");
    Ok(())
}

/// Runs a program that is not given huge pages, and returns what it prints.
fn without_huge_pages(program: Program) -> Result<String> {
    prctl::set_thp_disable(true)?;
    // It is inherited at the start.
    let started = program.start();
    prctl::set_thp_disable(false)?;
    Ok(started?.finish()?.expect_code(0)?.stdout)
}
