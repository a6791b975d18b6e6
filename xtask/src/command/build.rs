//! `cargo xtask build`: the kernel programs, then the tracer that carries them.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::kernel_programs;
use crate::machine::tools;
use crate::output;
use crate::process;
use crate::workspace::{self, Workspace};

#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Arguments {
    /// Optimise (the default).
    #[arg(long, conflicts_with = "debug")]
    release: bool,
    /// Build the userspace part without optimisation, which compiles faster.
    #[arg(long)]
    debug: bool,
}

impl Arguments {
    pub fn profile(debug: bool) -> Self {
        Self {
            release: !debug,
            debug,
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let tracer = tracer(&workspace, *arguments)?;
    // The path alone: `$(cargo xtask build)` is then usable in scripts.
    output::say(&tracer.display().to_string());
    Ok(ExitCode::SUCCESS)
}

/// Sets up if needed, builds everything and returns the path of the tracer.
pub fn tracer(workspace: &Workspace, arguments: Arguments) -> Result<PathBuf> {
    let tools = tools::ensure(workspace)?;
    let object = kernel_programs::build(workspace, &tools)?;
    let mut command = userspace(workspace, arguments, &object);
    pick(&executables(&mut command)?, "tracer")
}

/// Builds the tracer and one program of the tests crate.
pub fn tracer_and_test_program(
    workspace: &Workspace,
    arguments: Arguments,
    program: &str,
) -> Result<(PathBuf, PathBuf)> {
    let tools = tools::ensure(workspace)?;
    let object = kernel_programs::build(workspace, &tools)?;
    let mut command = userspace(workspace, arguments, &object);
    command.arg(format!("--bin={program}"));
    let built = executables(&mut command)?;
    Ok((pick(&built, "tracer")?, pick(&built, program)?))
}

/// `cargo build` of the tracer, told where the kernel programs are.
///
/// The tests crate is always named as well, even when none of its programs is built: cargo
/// unites the features of the packages it is told of, so that the tracer that people run is the
/// one that was tested, and nothing is compiled twice.
fn userspace(workspace: &Workspace, arguments: Arguments, object: &Path) -> Command {
    let mut command = workspace::cargo();
    command
        .current_dir(&workspace.root)
        // tracer/build.rs embeds this object; without the variable it embeds an empty stub.
        .env(kernel_programs::VARIABLE, object)
        .args([
            "build",
            "--package=tracer",
            "--bin=tracer",
            "--package=tracer-tests",
        ]);
    if !arguments.debug {
        command.arg("--release");
    }
    command
}

/// Runs a build and returns the names and places of the programs it made.
///
/// Asking cargo instead of composing the paths keeps a configured target folder or triple working.
fn executables(command: &mut Command) -> Result<Vec<(String, PathBuf)>> {
    command
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let line = process::line(command);
    let output = command
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!(
            "`{line}` failed ({}); its messages are above",
            output.status
        );
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(messages.lines().filter_map(parse_executable).collect())
}

/// One of cargo's messages, where it tells of a program; a library has no executable.
fn parse_executable(message: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    let path = message.get("executable")?.as_str()?;
    Some((name.to_owned(), PathBuf::from(path)))
}

fn pick(built: &[(String, PathBuf)], name: &str) -> Result<PathBuf> {
    built
        .iter()
        .find(|(built, _)| built == name)
        .map(|(_, path)| path.clone())
        .with_context(|| format!("cargo built no program {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_told_from_the_library_of_the_same_name() {
        let library =
            r#"{"reason":"compiler-artifact","target":{"name":"tracer"},"executable":null}"#;
        let program = r#"{"reason":"compiler-artifact","target":{"name":"tracer"},"executable":"/t/release/tracer"}"#;
        assert_eq!(parse_executable(library), None);
        let built: Vec<_> = parse_executable(program).into_iter().collect();
        assert_eq!(
            pick(&built, "tracer").unwrap(),
            PathBuf::from("/t/release/tracer")
        );
        assert!(pick(&built, "end_to_end").is_err());
    }
}
