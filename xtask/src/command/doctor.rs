//! `cargo xtask doctor`: is this machine ready to build and test, and how to mend it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::machine::linker::Linker;
use crate::machine::packages::{self, Program};
use crate::machine::toolchain::Toolchain;
use crate::machine::tools::Tools;
use crate::process;
use crate::workspace::Workspace;

#[derive(Debug, Args)]
pub struct Arguments {}

/// One thing this machine has or lacks.
struct Item {
    name: String,
    /// What was found; or what to do.
    found: Finding,
    /// Whether its absence is only worth a remark.
    optional: bool,
}

pub fn run(_arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let mut text = String::new();
    let mut ready = section(&mut text, "to build and run", &for_building(&workspace));
    ready &= section(&mut text, "to test as well", &for_testing());
    text.push_str(if ready {
        "ready\n"
    } else {
        "not ready: `cargo xtask setup --tests` mends what it can\n"
    });
    // A closed pipe (as in `doctor | head`) is no failure of the machine.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(if ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn section(text: &mut String, heading: &str, items: &[Item]) -> bool {
    let _ = writeln!(text, "{heading}");
    for item in items {
        let (mark, detail) = match &item.found {
            Ok(found) => ("ok     ", found.clone()),
            Err(mend) if item.optional => ("absent ", format!("optional: {mend}")),
            Err(mend) => ("missing", mend.clone()),
        };
        let _ = writeln!(text, "  {mark}  {:<22} {detail}", item.name);
    }
    items.iter().all(|item| item.optional || item.found.is_ok())
}

fn for_building(workspace: &Workspace) -> Vec<Item> {
    let (compiler, linker) = match Tools::find(workspace) {
        Some(tools) => (
            Ok(tools.toolchain.describe()),
            Ok(tools.linker.path.display().to_string()),
        ),
        None => incomplete_tools(workspace),
    };
    vec![
        required("C compiler", c_compiler()),
        required("BPF compiler", compiler),
        required("bpf-linker", linker),
        required("root", root()),
    ]
}

type Finding = Result<String, String>;

/// What is there of compiler and linker, when they do not make a pair.
fn incomplete_tools(workspace: &Workspace) -> (Finding, Finding) {
    let mend = "run `cargo xtask setup`";
    let Some(toolchain) = Toolchain::any() else {
        let linker = format!("{mend}, which first finds a compiler");
        return (Err(mend.to_owned()), Err(linker));
    };
    let compiler = match toolchain.check_release() {
        Ok(()) => Ok(toolchain.describe()),
        Err(reason) => Err(format!("{reason:#}")),
    };
    let linker = match Linker::find(workspace, &toolchain) {
        Ok(linker) => Ok(linker.path.display().to_string()),
        Err(refused) if refused.is_empty() => Err(mend.to_owned()),
        Err(refused) => Err(format!("{mend} ({})", refused.join("; "))),
    };
    (compiler, linker)
}

fn required(name: &str, found: Finding) -> Item {
    Item {
        name: name.to_owned(),
        found,
        optional: false,
    }
}

fn c_compiler() -> Finding {
    process::find_program("cc")
        .map(|path| path.display().to_string())
        .ok_or_else(|| "run `sudo apt-get install gcc libc6-dev`, or your system's like".to_owned())
}

fn root() -> Finding {
    if nix::unistd::geteuid().is_root() {
        return Ok("this user is root".to_owned());
    }
    process::find_program("sudo")
        .map(|_| "by sudo".to_owned())
        .ok_or_else(|| {
            "loading kernel programs needs root: run as root, or install sudo".to_owned()
        })
}

fn for_testing() -> Vec<Item> {
    let item = |program: &Program, optional| Item {
        name: program
            .name
            .rsplit('/')
            .next()
            .unwrap_or(program.name)
            .to_owned(),
        found: process::find_program(program.name)
            .map(|path| path.display().to_string())
            .ok_or_else(|| {
                format!(
                    "run `sudo apt-get install {}` (for {})",
                    program.package, program.purpose
                )
            }),
        optional,
    };
    packages::FOR_TESTS
        .iter()
        .map(|program| item(program, false))
        .chain(packages::OPTIONAL.iter().map(|program| item(program, true)))
        .collect()
}
