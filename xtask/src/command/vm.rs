//! `cargo xtask vm`: the end-to-end program in guests with ordinary kernels.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use super::build;
use crate::guest::image::{self, Programs};
use crate::guest::qemu::{Guest, Outcome};
use crate::guest::release::{Kernel, Release};
use crate::machine::packages;
use crate::output::say;
use crate::results::Counts;
use crate::workspace::Workspace;

/// Long enough for a boot under emulation and all scenarios.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub struct Arguments {
    /// Which kernel (repeatable); 6.1 when none is named.
    #[arg(long, value_name = "VERSION")]
    only: Vec<Release>,
    /// Fetch the kernel again, even when it is in the cache.
    #[arg(long)]
    refresh: bool,
    /// A kernel image of your own instead.
    #[arg(long, requires = "modules", conflicts_with = "only")]
    kernel: Option<PathBuf>,
    /// Its modules: the folder that holds modules.dep.
    #[arg(long, requires = "kernel")]
    modules: Option<PathBuf>,
    /// Stop a guest after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_LIMIT.as_secs())]
    timeout: u64,
    /// Put an already built tracer into the guest instead of building one.
    #[arg(long, value_name = "FILE")]
    tracer: Option<PathBuf>,
    /// Build the userspace part without optimisation, which compiles faster.
    #[arg(long)]
    debug: bool,
    /// Show the guest's console as it comes.
    #[arg(long, short)]
    verbose: bool,
    /// Arguments of the end-to-end program, as in `-- dns` to run what has dns in its name.
    #[arg(last = true)]
    filters: Vec<String>,
}

/// What a guest is to run.
#[derive(Debug)]
pub struct Job {
    pub tracer: PathBuf,
    pub end_to_end: PathBuf,
    pub arguments: Vec<String>,
    pub verbose: bool,
    pub limit: Duration,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    packages::ensure_for_tests()?;
    let how = build::Arguments::profile(arguments.debug);
    let (tracer, end_to_end) = build::tracer_and_test_program(&workspace, how, "end_to_end")?;
    let job = Job {
        tracer: arguments.tracer.clone().unwrap_or(tracer),
        end_to_end,
        arguments: arguments.filters.clone(),
        verbose: arguments.verbose,
        limit: Duration::from_secs(arguments.timeout),
    };
    let mut total = Counts::default();
    for kernel in kernels(&workspace, arguments) {
        total += kernel
            .and_then(|kernel| boot(&workspace, &kernel, &job))
            .unwrap_or_else(|error| {
                say(&format!("   failed: {error:#}"));
                Counts::ONE_FAILED
            });
    }
    say(&total.to_string());
    let bad = total.failed > 0 || total.is_empty();
    Ok(if bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn kernels(workspace: &Workspace, arguments: &Arguments) -> Vec<Result<Kernel>> {
    if let (Some(image), Some(modules)) = (&arguments.kernel, &arguments.modules) {
        return vec![Kernel::own(image, modules)];
    }
    let releases = if arguments.only.is_empty() {
        &[Release::DEFAULT]
    } else {
        arguments.only.as_slice()
    };
    releases
        .iter()
        .map(|release| {
            if arguments.refresh {
                release.forget(workspace)?;
            }
            release.fetch(workspace)
        })
        .collect()
}

/// Boots one guest and counts its tests. A guest that says nothing of failed tests and did
/// not succeed either counts as one failure.
pub fn boot(workspace: &Workspace, kernel: &Kernel, job: &Job) -> Result<Counts> {
    let folder = workspace.guests().join("guests").join(&kernel.name);
    fs::create_dir_all(&folder)?;
    let programs = Programs {
        tracer: &job.tracer,
        end_to_end: &job.end_to_end,
        arguments: &job.arguments,
    };
    let initramfs = image::build(&folder, kernel, &programs)?;
    let guest = Guest {
        kernel: &kernel.image,
        initramfs: &initramfs,
        log: folder.join("console.log"),
        limit: job.limit,
        echo: job.verbose,
    };
    let started = Instant::now();
    let (outcome, console) = guest.run()?;
    let seconds = started.elapsed().as_secs_f64();
    let mut counts = Counts::parse(&console);
    say(&format!(
        "   guest {}: {} ({counts}, {seconds:.1} s)",
        kernel.name,
        outcome.describe()
    ));
    if outcome != Outcome::Success {
        if !job.verbose {
            say(&console);
        }
        say(&format!(
            "   the console is kept in {}",
            guest.log.display()
        ));
        if counts.failed == 0 {
            counts += Counts::ONE_FAILED;
        }
    } else if counts.is_empty() && job.arguments.is_empty() {
        bail!("the guest {} ran no test", kernel.name);
    }
    Ok(counts)
}
