//! `cargo xtask vm`: the end-to-end program in guests with ordinary kernels.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::build;
use crate::compatibility::diagnosis::Diagnosis;
use crate::compatibility::{self, Use};
use crate::guest::fleet::{self, Job, Visit};
use crate::guest::release::{Kernel, Release};
use crate::machine::packages;
use crate::output::say;
use crate::process;
use crate::results::Counts;
use crate::workspace::Workspace;

/// Long enough for a boot under emulation and all scenarios on a busy machine.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(900);

/// `tracer doctor --all` on this machine's kernel.
const DOCTOR_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub struct Arguments {
    /// Which kernel (repeatable); all of them when none is named.
    #[arg(long, value_name = "VERSION")]
    only: Vec<Release>,
    /// Fetch the kernels again, even when they are in the cache.
    #[arg(long)]
    refresh: bool,
    /// A kernel image of your own instead.
    #[arg(long, requires = "modules", conflicts_with = "only")]
    kernel: Option<PathBuf>,
    /// Its modules: the folder that holds modules.dep.
    #[arg(long, requires = "kernel")]
    modules: Option<PathBuf>,
    /// Only try every hook on every kernel, and play no scenario.
    #[arg(long, conflicts_with = "filters")]
    hooks: bool,
    /// Write what was seen into the table of docs/COMPATIBILITY.md, instead of comparing it.
    #[arg(long, conflicts_with = "filters")]
    write_table: bool,
    /// Stop a guest after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_LIMIT.as_secs())]
    timeout: u64,
    /// Put an already built tracer into the guests instead of building one.
    #[arg(long, value_name = "FILE")]
    tracer: Option<PathBuf>,
    /// Do not optimise the tracer and the tests: they are built faster and run slower.
    #[arg(long)]
    debug: bool,
    /// Show the guests' consoles as they come.
    #[arg(long, short)]
    verbose: bool,
    /// Arguments of the end-to-end program, as in `-- dns` to run what has dns in its name.
    #[arg(last = true)]
    filters: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    packages::ensure_for_tests()?;
    let (tracer, end_to_end) = build::tracer_and_test_program(
        &workspace,
        build::Arguments::profile(arguments.debug),
        "end_to_end",
    )?;
    let job = Job {
        tracer: arguments.tracer.clone().unwrap_or(tracer),
        end_to_end,
        arguments: arguments.filters.clone(),
        hooks_only: arguments.hooks,
        verbose: arguments.verbose,
        limit: Duration::from_secs(arguments.timeout),
    };
    let (kernels, mut total) = kernels(&workspace, arguments)?;
    let mut seen = Vec::new();
    for visit in fleet::run(&workspace, &kernels, &job) {
        total += visit.counts;
        seen.extend(visit.diagnosis);
    }
    if job.tries_every_hook() {
        seen.extend(of_this_machine(&workspace, &job.tracer, &mut total));
        // A kernel of one's own is nobody else's: its column would be a surprise to them.
        if arguments.kernel.is_none() || arguments.write_table {
            let purpose = if arguments.write_table {
                Use::Write
            } else {
                Use::Check
            };
            total += compatibility::settle(&workspace, &seen, purpose)?;
        }
    }
    say(&total.to_string());
    let bad = total.failed > 0 || total.is_empty();
    Ok(if bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn kernels(workspace: &Workspace, arguments: &Arguments) -> Result<(Vec<Kernel>, Counts)> {
    if let (Some(image), Some(modules)) = (&arguments.kernel, &arguments.modules) {
        return Ok((vec![Kernel::own(image, modules)?], Counts::default()));
    }
    let named = arguments.only.as_slice();
    if arguments.refresh {
        let all = if named.is_empty() {
            &Release::ALL
        } else {
            named
        };
        for release in all {
            release.forget(workspace)?;
        }
    }
    Ok(if named.is_empty() {
        fleet::every_kernel(workspace)
    } else {
        fleet::named_kernels(workspace, named)
    })
}

/// All four kernels, for `cargo xtask test`.
pub fn every_kernel(workspace: &Workspace, job: &Job) -> (Vec<Diagnosis>, Counts) {
    let (kernels, mut total) = fleet::every_kernel(workspace);
    let mut seen = Vec::new();
    for Visit { counts, diagnosis } in fleet::run(workspace, &kernels, job) {
        total += counts;
        seen.extend(diagnosis);
    }
    (seen, total)
}

/// The column of this machine's kernel; nobody is asked for a password for it.
fn of_this_machine(workspace: &Workspace, tracer: &Path, total: &mut Counts) -> Option<Diagnosis> {
    if !nix::unistd::geteuid().is_root() {
        say("   not root: this machine's own kernel is left out of the table");
        return None;
    }
    match native_diagnosis(workspace, tracer) {
        Ok(diagnosis) => {
            say(&format!("   this machine: {}", diagnosis.summary()));
            *total += diagnosis.verdict();
            Some(diagnosis)
        }
        Err(error) => {
            say(&format!("   failed: {error:#}"));
            *total += Counts::ONE_FAILED;
            None
        }
    }
}

/// Tries every hook on this machine's kernel, as root.
pub fn native_diagnosis(workspace: &Workspace, tracer: &Path) -> Result<Diagnosis> {
    fs::create_dir_all(workspace.guests())?;
    let place = workspace.guests().join("native.json");
    if place.exists() {
        fs::remove_file(&place)?;
    }
    // In a network namespace of its own: another tracer may hold the XDP slot of this one's lo.
    let mut command = process::as_root("unshare")?;
    command
        .arg("--net")
        .arg(tracer)
        .args(["doctor", "--all", "--format", "json", "--output"])
        .arg(&place);
    // An exit code other than 0 means that a fact has no hook, which the diagnosis says, too.
    let finished = process::record(&mut command, DOCTOR_LIMIT, false)?;
    let text = fs::read_to_string(&place).with_context(|| {
        format!(
            "`{}` told nothing ({}): {}",
            process::line(&command),
            finished.describe(),
            finished.output.trim()
        )
    })?;
    let mut diagnosis = Diagnosis::parse(&text)?;
    diagnosis.native = true;
    Ok(diagnosis)
}
