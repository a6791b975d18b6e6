//! `cargo xtask test`: everything that can be checked, stage by stage.
//!
//! All stages run even when one fails, except those that need its result. The last line on
//! standard output is `N passed, N failed`, with `, N skipped` when some were.

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use super::{build, vm};
use crate::compatibility::diagnosis::Diagnosis;
use crate::compatibility::{self, Use};
use crate::guest::fleet::Job;
use crate::kernel_programs;
use crate::machine::packages;
use crate::machine::tools::{self, Tools};
use crate::output::say;
use crate::process;
use crate::results::Counts;
use crate::workspace::{self, Workspace};

/// A compilation from nothing on a small machine is the longest stage.
const STAGE_LIMIT: Duration = Duration::from_secs(3600);
const END_TO_END_LIMIT: Duration = Duration::from_secs(1800);

#[derive(Debug, Args)]
pub struct Arguments {
    /// Run this stage only (repeatable); set-up and build are added where it needs them.
    #[arg(long, value_name = "STAGE")]
    only: Vec<Stage>,
    /// Print the names of the stages.
    #[arg(long)]
    list: bool,
    /// Show the output of every command as it comes, not only of those that fail.
    #[arg(long, short)]
    verbose: bool,
    /// Arguments of the end-to-end program, as in `-- dns` to run what has dns in its name.
    #[arg(last = true)]
    filters: Vec<String>,
}

/// In the order they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    Setup,
    Format,
    Clippy,
    ClippyKernel,
    Unit,
    Decoders,
    Documentation,
    Build,
    Native,
    Guest,
}

impl Stage {
    fn title(self) -> &'static str {
        match self {
            Self::Setup => "set-up",
            Self::Format => "formatting",
            Self::Clippy => "clippy, userspace",
            Self::ClippyKernel => "clippy, kernel programs",
            Self::Unit => "unit tests",
            Self::Decoders => "decoders, on findings and damaged captures",
            Self::Documentation => "documentation, its tests and links",
            Self::Build => "build",
            Self::Native => "end to end, this kernel",
            Self::Guest => "end to end, guests with four kernels",
        }
    }

    /// Stages whose result this one uses.
    fn needs(self) -> &'static [Self] {
        match self {
            Self::ClippyKernel | Self::Unit | Self::Build => &[Self::Setup],
            Self::Native | Self::Guest => &[Self::Setup, Self::Build],
            _ => &[],
        }
    }

    /// Whether this stage is made of tests, so that counting none is a failure.
    fn has_tests(self) -> bool {
        matches!(
            self,
            Self::Unit | Self::Decoders | Self::Native | Self::Guest
        )
    }
}

/// What earlier stages left for later ones.
struct Session {
    workspace: Workspace,
    verbose: bool,
    filters: Vec<String>,
    tools: Option<Tools>,
    programs: Option<Programs>,
    /// Which hooks this machine's kernel has, from the native stage.
    diagnosis: Option<Diagnosis>,
}

#[derive(Clone)]
struct Programs {
    tracer: PathBuf,
    end_to_end: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        list();
        return Ok(ExitCode::SUCCESS);
    }
    let mut session = Session {
        workspace: Workspace::find()?,
        verbose: arguments.verbose,
        filters: arguments.filters.clone(),
        tools: None,
        programs: None,
        diagnosis: None,
    };
    let mut total = Counts::default();
    let mut failed: Vec<&str> = Vec::new();
    for stage in chosen(&arguments.only) {
        let counts = perform(&mut session, stage);
        if counts.failed > 0 {
            failed.push(stage.title());
        }
        total += counts;
    }
    if !failed.is_empty() {
        say(&format!("\nfailed: {}", failed.join("; ")));
    }
    say(&total.to_string());
    // A check of form alone (`--only format`) has no tests to count.
    let nothing_ran = total.is_empty() && arguments.only.is_empty();
    Ok(if total.failed > 0 || nothing_ran {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn list() {
    for stage in Stage::value_variants() {
        if let Some(value) = stage.to_possible_value() {
            say(&format!("{:<14} {}", value.get_name(), stage.title()));
        }
    }
}

/// All stages, or the named ones and those they need, in their order.
fn chosen(only: &[Stage]) -> Vec<Stage> {
    let wanted = |stage: &Stage| {
        only.is_empty()
            || only
                .iter()
                .any(|named| named == stage || named.needs().contains(stage))
    };
    Stage::value_variants()
        .iter()
        .filter(|stage| wanted(stage))
        .copied()
        .collect()
}

/// Runs one stage and reports it; a stage that fails without a failed test counts as one.
fn perform(session: &mut Session, stage: Stage) -> Counts {
    say(&format!("── {}", stage.title()));
    let started = Instant::now();
    let outcome = match stage {
        Stage::Setup => session.set_up(),
        Stage::Format => session.format(),
        Stage::Clippy => session.clippy(),
        Stage::ClippyKernel => session.clippy_kernel(),
        Stage::Unit => session.unit(),
        Stage::Decoders => session.decoders(),
        Stage::Documentation => session.documentation(),
        Stage::Build => session.build(),
        Stage::Native => session.native(),
        Stage::Guest => session.guest(),
    };
    let seconds = started.elapsed().as_secs_f64();
    let (mut counts, mut reason) = match outcome {
        Ok(counts) => (counts, None),
        Err(error) => (Counts::default(), Some(format!("{error:#}"))),
    };
    if reason.is_none() && counts.is_empty() && stage.has_tests() && session.filters.is_empty() {
        reason = Some("no test ran".to_owned());
    }
    if let Some(reason) = reason {
        say(&format!("   failed: {reason}"));
        counts += Counts::ONE_FAILED;
    }
    let verdict = if counts.failed > 0 { "FAILED" } else { "ok" };
    if counts.is_empty() {
        say(&format!("   {verdict}  {seconds:.1} s"));
    } else {
        say(&format!("   {verdict}  {counts}  {seconds:.1} s"));
    }
    counts
}

impl Session {
    fn set_up(&mut self) -> Result<Counts> {
        // Both are tried, so that one run shows all that this machine lacks.
        let tools = tools::ensure(&self.workspace);
        let programs = packages::ensure_for_tests();
        self.tools = Some(tools?);
        programs?;
        Ok(Counts::default())
    }

    fn format(&self) -> Result<Counts> {
        let mut command = self.cargo();
        // The output is kept in a file and shown later, where colours would be noise.
        command.args(["fmt", "--all", "--check", "--", "--color=never"]);
        self.check("format", &mut command)
    }

    fn clippy(&self) -> Result<Counts> {
        let mut command = self.cargo();
        command.args([
            "clippy",
            "--workspace",
            "--exclude=tracer-ebpf",
            "--all-targets",
        ]);
        command.args(["--", "-D", "warnings"]);
        self.check("clippy", &mut command)
    }

    /// Clippy of the same release as the compiler; where there is none, the compiler alone.
    fn clippy_kernel(&self) -> Result<Counts> {
        let tools = self.tools()?;
        let beside = |name: &str| {
            let folder = tools.toolchain.cargo.parent();
            folder.is_some_and(|folder| process::is_executable(&folder.join(name)))
        };
        let clippy = beside("cargo-clippy") && beside("clippy-driver");
        if !clippy {
            say(
                "   this compiler has no clippy (Debian: rust-web-clippy): only its own warnings are checked",
            );
        }
        let mut command = kernel_programs::cargo(
            &self.workspace,
            tools,
            if clippy { "clippy" } else { "check" },
        )?;
        if clippy {
            command.args(["--", "-D", "warnings"]);
        } else {
            kernel_programs::deny_warnings(&mut command, tools);
        }
        self.check("clippy-kernel", &mut command)
    }

    /// With the kernel programs and as root, those that run packets through them in this
    /// kernel (BPF_PROG_TEST_RUN), too.
    fn unit(&self) -> Result<Counts> {
        let object = kernel_programs::build(&self.workspace, self.tools()?)?;
        let mut command = self.cargo();
        command.env(kernel_programs::VARIABLE, object);
        command.args([
            "test",
            "--workspace",
            "--exclude=tracer-ebpf",
            "--exclude=tracer-fuzz",
            "--no-fail-fast",
        ]);
        command.args(["--lib", "--bins", "--tests"]);
        if nix::unistd::geteuid().is_root() {
            command.args(["--", "--include-ignored"]);
        } else {
            say("   not root: the tests of the packet programs in this kernel are left out");
        }
        self.count("unit", &mut command, STAGE_LIMIT)
    }

    /// What the fuzzer runs, without the fuzzer: see [`super::fuzz`].
    fn decoders(&self) -> Result<Counts> {
        let mut command = self.cargo();
        command.args(["test", "--package=tracer-fuzz", "--no-fail-fast"]);
        command.args(["--lib", "--bins", "--tests"]);
        self.count("decoders", &mut command, STAGE_LIMIT)
    }

    fn documentation(&self) -> Result<Counts> {
        let mut command = self.cargo();
        command.args([
            "test",
            "--workspace",
            "--exclude=tracer-ebpf",
            "--no-fail-fast",
            "--doc",
        ]);
        let mut counts = self.count("documentation", &mut command, STAGE_LIMIT)?;
        let mut command = self.cargo();
        command.args(["doc", "--workspace", "--exclude=tracer-ebpf"]);
        command.args(["--no-deps", "--document-private-items"]);
        command.env("RUSTDOCFLAGS", "-D warnings");
        counts += self.check("documentation-links", &mut command)?;
        Ok(counts)
    }

    fn build(&mut self) -> Result<Counts> {
        self.tools()?;
        let (tracer, end_to_end) = build::tracer_and_test_program(
            &self.workspace,
            build::Arguments::default(),
            "end_to_end",
        )?;
        self.programs = Some(Programs { tracer, end_to_end });
        Ok(Counts::default())
    }

    fn native(&mut self) -> Result<Counts> {
        let programs = self.programs()?;
        let mut command = process::as_root("env")?;
        // Set by an argument, because sudo passes no variables on.
        let mut variable = std::ffi::OsString::from("TRACER_BINARY=");
        variable.push(&programs.tracer);
        command
            .arg(variable)
            .arg(&programs.end_to_end)
            .args(&self.filters);
        let mut counts = self.count("native", &mut command, END_TO_END_LIMIT)?;
        if self.filters.is_empty() {
            let diagnosis = vm::native_diagnosis(&self.workspace, &programs.tracer)?;
            say(&format!("   {}", diagnosis.summary()));
            counts += diagnosis.verdict();
            self.diagnosis = Some(diagnosis);
        }
        Ok(counts)
    }

    /// The scenarios of the native stage on four ordinary kernels; then the committed table is
    /// compared with what all kernels said, this machine's included.
    fn guest(&mut self) -> Result<Counts> {
        let programs = self.programs()?;
        let job = Job {
            tracer: programs.tracer,
            end_to_end: programs.end_to_end,
            arguments: self.filters.clone(),
            hooks_only: false,
            verbose: self.verbose,
            limit: vm::DEFAULT_LIMIT,
        };
        let (mut seen, mut counts) = vm::every_kernel(&self.workspace, &job);
        seen.extend(self.diagnosis.take());
        if job.tries_every_hook() {
            counts += compatibility::settle(&self.workspace, &seen, Use::Check)?;
        }
        Ok(counts)
    }

    fn tools(&self) -> Result<&Tools> {
        self.tools
            .as_ref()
            .context("not run: the set-up failed, so there is no compiler for the kernel programs")
    }

    fn programs(&self) -> Result<Programs> {
        self.programs
            .clone()
            .context("not run: the build failed, so there is nothing to run")
    }

    fn cargo(&self) -> Command {
        let mut command = workspace::cargo();
        command.current_dir(&self.workspace.root);
        command
    }

    /// Runs a command that only passes or fails.
    fn check(&self, name: &str, command: &mut Command) -> Result<Counts> {
        let finished = self.record(name, command, STAGE_LIMIT)?;
        if !finished.succeeded() {
            bail!("`{}` ({})", process::line(command), finished.describe());
        }
        Ok(Counts::default())
    }

    /// Runs a command that runs tests, and counts them.
    fn count(&self, name: &str, command: &mut Command, limit: Duration) -> Result<Counts> {
        let finished = self.record(name, command, limit)?;
        let mut counts = Counts::parse(&finished.output);
        if !finished.succeeded() {
            say(&format!(
                "   failed: `{}` ({})",
                process::line(command),
                finished.describe()
            ));
            if counts.failed == 0 {
                // It did not compile, or a test program died before its last line.
                counts += Counts::ONE_FAILED;
            }
        }
        Ok(counts)
    }

    /// Runs a command, keeps its output in a file and shows it when the command fails.
    fn record(
        &self,
        name: &str,
        command: &mut Command,
        limit: Duration,
    ) -> Result<process::Finished> {
        // Compiling takes minutes: at a terminal people want to see it move.
        let echo = self.verbose || std::io::stderr().is_terminal();
        let finished = process::record(command, limit, echo)?;
        let folder = self.workspace.target.join("test-logs");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{name}.log")), &finished.output)?;
        if !finished.succeeded() && !echo {
            say(&finished.output);
        }
        Ok(finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_stage_brings_what_it_needs() {
        assert_eq!(
            chosen(&[Stage::Native]),
            [Stage::Setup, Stage::Build, Stage::Native]
        );
        assert_eq!(chosen(&[Stage::Format]), [Stage::Format]);
    }

    #[test]
    fn without_a_choice_every_stage_runs_in_order() {
        let all = chosen(&[]);
        assert_eq!(all.first(), Some(&Stage::Setup));
        assert_eq!(all.last(), Some(&Stage::Guest));
        assert_eq!(all.len(), Stage::value_variants().len());
    }
}
