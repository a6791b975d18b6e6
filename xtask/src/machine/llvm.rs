//! LLVM's development files, which bpf-linker is linked with.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::packages;
use crate::process;

/// Whether the files of a major version are here, or apt could install them.
pub fn is_obtainable(major: u32) -> bool {
    find(major).is_some() || packages::offered(&package(major)).unwrap_or(false)
}

/// The folder above LLVM's `lib`, after installing the files where they are missing.
pub fn ensure(major: u32) -> Result<PathBuf> {
    if let Some(prefix) = find(major) {
        return Ok(prefix);
    }
    let package = package(major);
    if packages::offered(&package).unwrap_or(false) {
        eprintln!("setup: installing {package}, which bpf-linker is linked with");
        packages::install(&[&package])?;
    }
    find(major).with_context(|| {
        format!(
            "bpf-linker needs the development files of LLVM {major}: install them ({package} on \
             Debian and Ubuntu, llvm{major}-devel or llvm-devel elsewhere) and run \
             `cargo xtask setup` again"
        )
    })
}

fn package(major: u32) -> String {
    format!("llvm-{major}-dev")
}

/// Where distributions put a major version, or where an `llvm-config` on PATH says.
pub fn find(major: u32) -> Option<PathBuf> {
    let named = [
        format!("/usr/lib/llvm-{major}"),
        format!("/usr/lib64/llvm{major}"),
        format!("/usr/lib/llvm{major}"),
        format!("/usr/lib/llvm/{major}"),
    ];
    let has_library = |prefix: &PathBuf| {
        ["lib", "lib64"]
            .iter()
            .any(|folder| prefix.join(folder).join("libLLVM.so").exists())
    };
    named
        .into_iter()
        .map(PathBuf::from)
        .chain(configured(major))
        .find(has_library)
}

/// The prefix that an `llvm-config` on PATH names, where it is of this major.
fn configured(major: u32) -> Option<PathBuf> {
    [format!("llvm-config-{major}"), "llvm-config".to_owned()]
        .iter()
        .find_map(|name| {
            let config = process::find_program(name)?;
            let ask = |what: &str| {
                process::capture(Command::new(&config).arg(what), Duration::from_secs(30)).ok()
            };
            let version = ask("--version")?;
            (version.split('.').next()?.trim().parse() == Ok(major)).then_some(())?;
            Some(PathBuf::from(ask("--prefix")?.trim()))
        })
}
