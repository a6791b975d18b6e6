//! One guest from its image to what was learnt in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::image::{self, Programs};
use super::qemu::{Guest, Outcome};
use super::release::Kernel;
use crate::compatibility::diagnosis::Diagnosis;
use crate::output::say;
use crate::results::Counts;
use crate::workspace::Workspace;

/// Init prints these around what `tracer doctor` prints; see `run-tests` in [`image`].
const DIAGNOSIS_BEGINS: &str = "init: diagnosis begins";
const DIAGNOSIS_ENDS: &str = "init: diagnosis ends";

/// Scenarios that are named with their times, for `-v`.
const SLOWEST: usize = 10;

/// Guests among which the scenarios of one kernel are dealt out, so that each is over within a
/// minute (emulated, on the build machine), and one that hangs keeps nobody waiting for the others.
const GUESTS: usize = 6;

/// One guest's part of the scenarios: every `of`th, from the `number`th on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// From 1 to `of`.
    pub number: usize,
    pub of: usize,
}

impl Share {
    /// The variable by which the end-to-end program is told. The kernel hands it on to init, as
    /// every word of its command line that means nothing to it (init/main.c, `unknown_bootoption`).
    fn parameter(self) -> String {
        format!("TRACER_SHARE={}/{}", self.number, self.of)
    }

    /// Hooks are tried by one guest of each kernel.
    fn is_first(self) -> bool {
        self.number == 1
    }
}

/// What a guest is to run.
#[derive(Debug)]
pub struct Job {
    pub tracer: PathBuf,
    pub end_to_end: PathBuf,
    /// Arguments of the end-to-end program.
    pub arguments: Vec<String>,
    /// Only try every hook, and play no scenario.
    pub hooks_only: bool,
    /// Show the consoles as they come.
    pub verbose: bool,
    /// A guest that runs for longer is stopped, and has failed.
    pub limit: Duration,
}

impl Job {
    /// Where image and consoles of a kernel's guests are. A run that only tries hooks is short,
    /// so that people start one beside a long run: the two must not share files.
    fn folder(&self, kernel: &Kernel) -> String {
        let purpose = if self.hooks_only { "-hooks" } else { "" };
        format!("{}{purpose}", kernel.name)
    }

    /// What is played of the scenarios on one kernel by each of its guests.
    pub fn shares(&self) -> impl Iterator<Item = Share> + use<> {
        let of = if self.hooks_only || !self.arguments.is_empty() {
            1
        } else {
            GUESTS
        };
        (1..=of).map(move |number| Share { number, of })
    }

    /// Somebody who picks scenarios wants those alone.
    pub fn tries_every_hook(&self) -> bool {
        self.hooks_only || self.arguments.is_empty()
    }
}

/// What was learnt in a guest.
#[derive(Debug, Default)]
pub struct Visit {
    pub counts: Counts,
    pub diagnosis: Option<Diagnosis>,
}

/// Makes the image that all guests of a kernel boot from; gives its path.
pub fn prepare(workspace: &Workspace, kernel: &Kernel, job: &Job) -> Result<PathBuf> {
    let folder = workspace.guests().join("guests").join(job.folder(kernel));
    fs::create_dir_all(&folder)?;
    let started = Instant::now();
    let initramfs = image::build(
        &folder,
        kernel,
        &Programs {
            tracer: &job.tracer,
            end_to_end: (!job.hooks_only).then_some(&job.end_to_end),
            arguments: &job.arguments,
            tries_every_hook: job.tries_every_hook(),
        },
    )?;
    let mebibytes = initramfs.metadata()?.len().div_ceil(1024 * 1024);
    say(&format!(
        "   guest {}: an image of {mebibytes} MiB, made in {:.1} s",
        kernel.name,
        started.elapsed().as_secs_f64()
    ));
    Ok(initramfs)
}

/// Boots one guest and counts its tests. A guest that says nothing of failed tests and did
/// not succeed either counts as one failure.
pub fn visit(initramfs: &Path, kernel: &Kernel, job: &Job, share: Share) -> Result<Visit> {
    let (name, log) = if share.of == 1 {
        (kernel.name.clone(), "console.log".to_owned())
    } else {
        (
            format!("{} ({} of {})", kernel.name, share.number, share.of),
            format!("console-{}.log", share.number),
        )
    };
    let guest = Guest {
        name: &name,
        kernel: &kernel.image,
        initramfs,
        parameter: &share.parameter(),
        log: initramfs.with_file_name(log),
        limit: job.limit,
        echo: job.verbose,
    };
    let run = guest.run()?;
    let mut visit = Visit {
        counts: Counts::parse(&run.console),
        diagnosis: None,
    };
    if job.tries_every_hook() && share.is_first() {
        match diagnosis(&run.console) {
            Ok(diagnosis) => {
                say(&format!("   guest {name}: {}", diagnosis.summary()));
                visit.counts += diagnosis.verdict();
                visit.diagnosis = Some(diagnosis);
            }
            Err(error) => {
                say(&format!(
                    "   guest {name}: `tracer doctor` told nothing: {error:#}"
                ));
                visit.counts += Counts::ONE_FAILED;
            }
        }
    }
    if job.verbose {
        let log = fs::read_to_string(&guest.log).unwrap_or_default();
        for (seconds, scenario) in slowest(&log) {
            say(&format!("   guest {name}: {seconds:6.1} s {scenario}"));
        }
    }
    if run.outcome != Outcome::Success {
        if !job.verbose {
            say(&run.console);
        }
        if visit.counts.failed == 0 {
            visit.counts += Counts::ONE_FAILED;
        }
    }
    say(&format!(
        "   guest {name}: {} ({}, {:.1} s; {:.1} s of CPU; console in {})",
        run.outcome.describe(),
        visit.counts,
        run.wall.as_secs_f64(),
        run.cpu.as_secs_f64(),
        guest.log.display()
    ));
    Ok(visit)
}

/// The scenarios that took longest, in a log whose lines begin with the seconds since power-on.
fn slowest(log: &str) -> Vec<(f64, &str)> {
    let mut times: Vec<(f64, &str)> = Vec::new();
    let mut before = None;
    for line in log.lines() {
        let Some((seconds, text)) = line.trim_start().split_once(' ') else {
            continue;
        };
        let Ok(seconds) = seconds.parse::<f64>() else {
            continue;
        };
        if text.starts_with("running ") {
            before = Some(seconds);
        }
        // The line is whole when the scenario is over.
        let words: Vec<&str> = text.split_whitespace().collect();
        if let (["test", name, "...", ..], Some(begun)) = (words.as_slice(), before) {
            times.push((seconds - begun, name));
            before = Some(seconds);
        }
    }
    times.sort_by(|one, other| other.0.total_cmp(&one.0));
    times.truncate(SLOWEST);
    times
}

/// The diagnosis between its marks. The kernel may write a line of its own in between, at
/// the start of a line as at any other place; such text is no JSON, and is an error.
fn diagnosis(console: &str) -> Result<Diagnosis> {
    let text: String = console
        .lines()
        .skip_while(|line| !line.contains(DIAGNOSIS_BEGINS))
        .skip(1)
        .take_while(|line| !line.contains(DIAGNOSIS_ENDS))
        .map(|line| format!("{line}\n"))
        .collect();
    Diagnosis::parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_lasts_from_the_end_of_the_one_before() {
        let log = "    8.00 init: kernel 6.1\n   10.00 running 2 tests\n   11.00 test a ... ok\n\
                   \u{20}  14.50 test b     ... ignored\n   14.60 test result: ok. 1 passed\n";
        assert_eq!(slowest(log), [(3.5, "b"), (1.0, "a")]);
    }

    #[test]
    fn the_diagnosis_is_found_between_other_lines() {
        let console = "init: kernel 6.1\ninit: diagnosis begins\n{\"kernel\": \"6.1.0-40-amd64\",\n\
                       \"complete\": true, \"facts\": []}\ninit: diagnosis ends\ntest x ... ok\n";
        assert_eq!(diagnosis(console).unwrap().kernel, "6.1.0-40-amd64");
        assert!(diagnosis("init: kernel 6.1\n").is_err());
    }
}
