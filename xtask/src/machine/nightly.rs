//! Nightly compilers of rustup, for systems without Debian's packages.
//!
//! A nightly builds `core` for BPF itself, from `rust-src`. Its LLVM moves on every half year,
//! and bpf-linker needs development files of the same major, which a distribution carries one
//! or two of. So there is one dated nightly for each major, and the system decides.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::toolchain::{Kind, Toolchain};
use crate::process;
use crate::workspace;

/// A nightly and the major of its LLVM.
#[derive(Debug, Clone, Copy)]
pub struct Nightly {
    pub name: &'static str,
    pub llvm: u32,
}

/// The first has the LLVM of Debian's compiler, which most builds use.
pub const DATED: [Nightly; 3] = [
    Nightly {
        name: "nightly-2026-05-20",
        llvm: 22,
    },
    Nightly {
        name: "nightly-2026-10-30",
        llvm: 23,
    },
    Nightly {
        name: "nightly-2025-11-15",
        llvm: 21,
    },
];

/// Every installed nightly that has `rust-src`, the user's own first.
pub fn installed() -> Vec<Toolchain> {
    if process::find_program("rustup").is_none() {
        return Vec::new();
    }
    ["nightly"]
        .into_iter()
        .chain(DATED.iter().map(|nightly| nightly.name))
        .filter_map(find)
        .collect()
}

/// Installs a dated nightly. It becomes nobody's default.
pub fn install(nightly: Nightly) -> Result<Toolchain> {
    if process::find_program("rustup").is_none() {
        bail!("there is no rustup to install {} with", nightly.name);
    }
    eprintln!("setup: installing {} with rust-src", nightly.name);
    let mut command = rustup();
    command.args(["toolchain", "install", nightly.name, "--profile=minimal"]);
    command.args([
        "--component=rust-src",
        "--component=clippy",
        "--no-self-update",
    ]);
    process::run(&mut command, Duration::from_secs(900))
        .with_context(|| format!("{} cannot be had", nightly.name))?;
    find(nightly.name).with_context(|| format!("{} was installed without rust-src", nightly.name))
}

fn find(name: &str) -> Option<Toolchain> {
    let mut command = rustup();
    command.args(["which", "--toolchain", name, "rustc"]);
    let path = process::capture(&mut command, Duration::from_secs(30)).ok()?;
    let bin: PathBuf = Path::new(path.trim()).parent()?.to_path_buf();
    let core = bin.parent()?.join("lib/rustlib/src/rust/library/core");
    core.is_dir().then_some(())?;
    Toolchain::from_folder(&bin, Kind::BuildStd)
}

fn rustup() -> Command {
    let mut command = Command::new("rustup");
    workspace::without_toolchain(&mut command);
    // Looking for a toolchain must never download one behind the user's back.
    command.env("RUSTUP_AUTO_INSTALL", "0");
    command
}
