//! `cargo xtask build`: the kernel programs, then the tracer that carries them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::setup;
use crate::kernel_programs;
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
    // The path alone: `$(cargo xtask build)` is then usable in scripts. A closed pipe is fine.
    let _ = writeln!(std::io::stdout(), "{}", tracer.display());
    Ok(ExitCode::SUCCESS)
}

/// Sets up if needed, builds everything and returns the path of the tracer.
pub fn tracer(workspace: &Workspace, arguments: Arguments) -> Result<PathBuf> {
    let tools = setup::ensure(workspace)?;
    let object = kernel_programs::build(workspace, &tools)?;
    let mut command = userspace(workspace, arguments, &object);
    command.args(["--package=tracer", "--bin=tracer"]);
    executable(&mut command, "tracer")
}

/// Builds the tracer and one program of the tests crate, in that order.
pub fn tracer_and_test_program(
    workspace: &Workspace,
    arguments: Arguments,
    program: &str,
) -> Result<(PathBuf, PathBuf)> {
    let tools = setup::ensure(workspace)?;
    let object = kernel_programs::build(workspace, &tools)?;
    let mut command = userspace(workspace, arguments, &object);
    command.args(["--package=tracer", "--bin=tracer"]);
    let tracer = executable(&mut command, "tracer")?;
    let mut command = userspace(workspace, arguments, &object);
    command
        .arg("--package=tracer-tests")
        .arg(format!("--bin={program}"));
    Ok((tracer, executable(&mut command, program)?))
}

/// `cargo build` of userspace, told where the kernel programs are.
fn userspace(workspace: &Workspace, arguments: Arguments, object: &Path) -> Command {
    let mut command = workspace::cargo();
    command
        .current_dir(&workspace.root)
        // tracer/build.rs embeds this object; without the variable it embeds an empty stub.
        .env("TRACER_BPF_OBJECT", object)
        .arg("build");
    if !arguments.debug {
        command.arg("--release");
    }
    command
}

/// Runs a build and returns where cargo put the program.
///
/// Asking cargo instead of composing the path keeps a configured target folder or triple working.
fn executable(command: &mut Command, name: &str) -> Result<PathBuf> {
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
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|message| named_executable(message, name))
        .with_context(|| format!("`{line}` built no program {name}"))
}

fn named_executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    if message.get("target")?.get("name")? != name {
        return None;
    }
    Some(PathBuf::from(message.get("executable")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_told_from_the_library_of_the_same_name() {
        let library =
            r#"{"reason":"compiler-artifact","target":{"name":"tracer"},"executable":null}"#;
        let program = r#"{"reason":"compiler-artifact","target":{"name":"tracer"},"executable":"/t/release/tracer"}"#;
        assert_eq!(named_executable(library, "tracer"), None);
        assert_eq!(
            named_executable(program, "tracer"),
            Some(PathBuf::from("/t/release/tracer"))
        );
        assert_eq!(named_executable(program, "other"), None);
    }
}
