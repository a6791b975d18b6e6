//! `cargo xtask fuzz NAME`: libFuzzer on one decoder, guided by coverage, with the stable
//! compiler.
//!
//! The coverage pass is LLVM's own (`-Cpasses=sancov-module`) and libFuzzer comes as source
//! with the crate libfuzzer-sys; neither needs a nightly. `--target` is given so that build
//! scripts and macros stay without instrumentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::machine::packages;
use crate::output::say;
use crate::process::{self, Finished};
use crate::workspace::{self, Workspace};

/// Instrumentation that libFuzzer reads: a counter for each edge, what code it belongs to,
/// and the operands of comparisons, from which it learns magic numbers.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// An input that takes longer than this is a finding: time is to grow as the input does.
const INPUT_SECONDS: u32 = 5;
/// The whole process, with corpus and tables; each input has a tighter limit of its own.
const MEMORY_MEGABYTES: u32 = 512;
/// A compilation from nothing on a small machine.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

#[derive(Debug, Args)]
pub struct Arguments {
    /// The decoder; `--list` names them.
    #[arg(required_unless_present_any = ["list", "growth"])]
    name: Option<String>,
    /// Stop after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Print the names of the decoders.
    #[arg(long)]
    list: bool,
    /// Measure whether time grows as the input does: of one decoder, or of all.
    #[arg(long, conflicts_with = "replay")]
    growth: bool,
    /// Run the decoder once on this input, without the fuzzer.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

/// One line of the list of targets.
struct Target {
    name: String,
    /// Longest input, bytes.
    longest: String,
    about: String,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    if arguments.growth {
        return growth(&workspace, arguments.name.as_deref());
    }
    let targets = targets(&workspace)?;
    let Some(name) = arguments.name.as_deref().filter(|_| !arguments.list) else {
        for target in &targets {
            say(&format!("{:<14} {}", target.name, target.about));
        }
        return Ok(ExitCode::SUCCESS);
    };
    let Some(target) = targets.iter().find(|target| target.name == name) else {
        bail!("no decoder is called {name}: `cargo xtask fuzz --list` names them");
    };
    match &arguments.replay {
        Some(input) => replay(&workspace, name, input),
        None => fuzz(&workspace, target, arguments.seconds),
    }
}

/// Asks the crate itself: the list is kept in one place.
fn targets(workspace: &Workspace) -> Result<Vec<Target>> {
    let text = process::capture(plain(workspace).arg("list"), BUILD_LIMIT)
        .context("cannot build the targets")?;
    let target = |line: &str| {
        let mut fields = line.splitn(3, '\t').map(str::to_owned);
        Some(Target {
            name: fields.next()?,
            longest: fields.next()?,
            about: fields.next()?,
        })
    };
    Ok(text.lines().filter_map(target).collect())
}

/// The program that runs targets without the fuzzer.
fn plain(workspace: &Workspace) -> Command {
    let mut command = workspace::cargo();
    command.current_dir(&workspace.root);
    command.args([
        "run",
        "--quiet",
        "--package=tracer-fuzz",
        "--bin=target",
        "--",
    ]);
    command
}

fn replay(workspace: &Workspace, name: &str, input: &Path) -> Result<ExitCode> {
    let input = std::path::absolute(input)?;
    let mut command = plain(workspace);
    command.args(["replay", name]).arg(input);
    command.env("RUST_BACKTRACE", "1");
    let finished = process::record(&mut command, BUILD_LIMIT, true)?;
    Ok(match finished.succeeded() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// A measurement wants the code as it is shipped.
fn growth(workspace: &Workspace, name: Option<&str>) -> Result<ExitCode> {
    let mut command = workspace::cargo();
    command.current_dir(&workspace.root);
    command.args(["run", "--quiet", "--release", "--package=tracer-fuzz"]);
    command.args(["--bin=target", "--", "growth"]).args(name);
    let finished = process::record(&mut command, BUILD_LIMIT, true)?;
    Ok(match finished.succeeded() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn fuzz(workspace: &Workspace, target: &Target, seconds: u64) -> Result<ExitCode> {
    ensure_compiler()?;
    let folder = workspace.target.join("fuzz");
    let program = build(workspace, &folder)?;
    let corpus = folder.join("corpus").join(&target.name);
    let artifacts = folder.join("artifacts").join(&target.name);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let known = inputs(&artifacts)?;
    let mut command = Command::new(program);
    command
        .env("TRACER_FUZZ_TARGET", &target.name)
        .env("TRACER_FUZZ_SEEDS", &corpus)
        .arg(&corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY_MEGABYTES}"))
        .arg(format!("-max_len={}", target.longest))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1");
    // The fuzzer ends by itself; the rest is for writing what it holds.
    let limit = Duration::from_secs(seconds.saturating_add(60));
    let finished = process::record(&mut command, limit, true)?;
    let found: Vec<_> = inputs(&artifacts)?.difference(&known).cloned().collect();
    for input in &found {
        say(&format!(
            "found {}; to see it again: cargo xtask fuzz {} --replay {}",
            input.display(),
            target.name,
            input.display()
        ));
    }
    if !finished.succeeded() || !found.is_empty() {
        say(&format!("{} failed ({})", target.name, finished.describe()));
        return Ok(ExitCode::FAILURE);
    }
    say(&summary(target, &finished)?);
    Ok(ExitCode::SUCCESS)
}

/// libFuzzer is C++.
fn ensure_compiler() -> Result<()> {
    let chosen = std::env::var_os("CXX").is_some();
    if chosen || process::find_program("c++").is_some() {
        return Ok(());
    }
    if !packages::has_apt() {
        bail!(
            "libFuzzer is C++ and this machine has no c++ compiler: install g++ or clang with the system's package manager, or name one in CXX"
        );
    }
    eprintln!("fuzz: installing g++ for libFuzzer");
    packages::install(&["g++"])
}

/// Builds the one program of all targets, in a folder of its own: the flags differ from
/// those of every other build.
fn build(workspace: &Workspace, folder: &Path) -> Result<PathBuf> {
    const TRIPLE: &str = "x86_64-unknown-linux-gnu";
    let folder = folder.join("build");
    let mut command = workspace::cargo();
    command
        .current_dir(&workspace.root)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"))
        .args(["build", "--package=tracer-fuzz", "--bin=libfuzzer"])
        .args(["--features=libfuzzer", "--profile=fuzz"])
        .arg(format!("--target={TRIPLE}"))
        .arg("--target-dir")
        .arg(&folder);
    process::run(&mut command, BUILD_LIMIT)?;
    Ok(folder.join(TRIPLE).join("fuzz").join("libfuzzer"))
}

fn inputs(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    Ok(entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?)
}

/// How far it came; an error where the coverage did not guide it.
fn summary(target: &Target, finished: &Finished) -> Result<String> {
    let (first, last) = coverage(&finished.output).context(
        "the fuzzer told no coverage, so it was not guided: the compiler left out the instrumentation; check that rustc's LLVM knows the pass sancov-module",
    )?;
    let statistic = "stat::number_of_executed_units:";
    let mut lines = finished.output.lines();
    let runs = lines.find_map(|line| line.strip_prefix(statistic));
    Ok(format!(
        "{}: {} runs, coverage {first} -> {last} edges, nothing found",
        target.name,
        runs.unwrap_or("?").trim()
    ))
}

/// Edges covered by the seeds, and at the end.
fn coverage(output: &str) -> Option<(u64, u64)> {
    let mut counts = output.lines().filter_map(|line| {
        let (_, rest) = line.split_once("cov: ")?;
        rest.split_whitespace().next()?.parse().ok()
    });
    let first = counts.next()?;
    Some((first, counts.next_back().unwrap_or(first)))
}

#[cfg(test)]
mod tests {
    use super::coverage;

    #[test]
    fn coverage_is_read_from_the_first_line_and_the_last() {
        let output = "INFO: seed corpus\n#2\tINITED cov: 87 ft: 87 corp: 1/26b\n\
                      #9\tNEW    cov: 91 ft: 99\n#393694\tDONE   cov: 1291 ft: 3996\nDone\n";
        assert_eq!(coverage(output), Some((87, 1291)));
        assert_eq!(
            coverage("WARNING: no interesting inputs were found\n"),
            None
        );
    }
}
