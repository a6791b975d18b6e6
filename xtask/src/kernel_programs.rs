//! The build of the kernel programs, with a compiler and target folder of its own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::debug_information;
use crate::machine::linker::{self, Linker};
use crate::machine::toolchain::{Kind, TARGET, Toolchain};
use crate::machine::tools::Tools;
use crate::process;
use crate::workspace::{self, Workspace};

const LIMIT: Duration = Duration::from_secs(900);

/// The name of the binary in tracer-ebpf's Cargo.toml.
const OBJECT: &str = "tracer";
/// What is made of it for the tracer to embed.
const EMBEDDED: &str = "tracer.bpf.o";

/// Names the object to tracer/build.rs, which embeds it.
pub const VARIABLE: &str = "TRACER_BPF_OBJECT";

/// Builds the object file and returns its absolute path.
pub fn build(workspace: &Workspace, tools: &Tools) -> Result<PathBuf> {
    let mut command = cargo(workspace, tools, "build")?;
    process::run(&mut command, LIMIT).context("the kernel programs cannot be built")?;
    let object = target_folder(workspace)
        .join(TARGET)
        .join("release")
        .join(OBJECT);
    let content = fs::read(&object)
        .with_context(|| format!("the build left no object at {}", object.display()))?;
    if !linker::has_type_information(&content) {
        bail!(
            "{} has no type information (BTF), which loading needs: run `cargo xtask doctor`, \
             which checks the linker",
            object.display()
        );
    }
    let small = target_folder(workspace).join(EMBEDDED);
    let content = debug_information::remove(&content)?;
    // The tracer is built again whenever this file is written.
    if fs::read(&small).ok().as_ref() != Some(&content) {
        fs::write(&small, content).with_context(|| format!("cannot write {}", small.display()))?;
    }
    Ok(small)
}

/// `cargo <subcommand>` for the kernel programs, in their folder and with their compiler.
pub fn cargo(workspace: &Workspace, tools: &Tools, subcommand: &str) -> Result<Command> {
    let Tools { toolchain, linker } = tools;
    let mut command = Command::new(&toolchain.cargo);
    workspace::without_toolchain(&mut command);
    command
        .current_dir(workspace.root.join("tracer-ebpf"))
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(linker))
        .env("PATH", path(toolchain)?)
        .arg(subcommand)
        .args(["--release", "--target", TARGET, "--target-dir"])
        .arg(target_folder(workspace));
    match toolchain.kind {
        // The prebuilt `core` belongs to a stable compiler, which must be told to accept the
        // unstable features that kernel programs use.
        Kind::Prebuilt => command.env("RUSTC_BOOTSTRAP", "1"),
        Kind::BuildStd => command.arg("-Zbuild-std=core"),
    };
    Ok(command)
}

/// PATH with the compiler's own folder first: cargo finds its subcommands there, and rustup's
/// clippy would otherwise bring another compiler.
fn path(toolchain: &Toolchain) -> Result<OsString> {
    let own = toolchain.cargo.parent().map(Path::to_path_buf);
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&others)))
        .context("PATH cannot be extended")
}

fn target_folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("bpf")
}

/// Flags in cargo's encoding: separated by the unit separator, so that none needs quoting.
fn flags(linker: &Linker) -> String {
    [
        // aya-ebpf chooses the layout of registers by the machine that will load the object.
        format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        "-Cdebuginfo=2".to_owned(),
        format!("-Clinker={}", linker.path.display()),
        "-Clink-arg=--btf".to_owned(),
    ]
    .join("\x1f")
}

/// Makes the compiler's warnings errors, where there is no clippy that could be told so.
pub fn deny_warnings(command: &mut Command, tools: &Tools) {
    let flags = format!("{}\x1f-Dwarnings", flags(&tools.linker));
    command.env("CARGO_ENCODED_RUSTFLAGS", flags);
}
