//! The compiler of the kernel programs.
//!
//! Two kinds serve: Debian's `rustc-web` packages, which carry a prebuilt `core` for BPF, and
//! a rustup nightly, which builds `core` itself from `rust-src`. Which LLVM the compiler uses
//! decides which bpf-linker fits it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{nightly, packages};
use crate::process;
use crate::workspace;

/// The target of the kernel programs: BPF, little endian.
pub const TARGET: &str = "bpfel-unknown-none";

/// Debian's packages: compiler, cargo, and `core` compiled for BPF.
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];

/// The oldest release that compiles the kernel programs' library (aya-ebpf 0.2).
const OLDEST_RELEASE: (u32, u32) = (1, 87);

const QUICK: Duration = Duration::from_secs(30);

/// Where `core` for BPF comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Installed beside the compiler by Debian's package.
    Prebuilt,
    /// Built on the spot by a nightly cargo.
    BuildStd,
}

/// A compiler that can build the kernel programs.
#[derive(Debug, Clone)]
pub struct Toolchain {
    pub kind: Kind,
    pub rustc: PathBuf,
    pub cargo: PathBuf,
    /// As in `1.96.0`.
    pub release: String,
    /// The major version of the LLVM inside rustc.
    pub llvm: u32,
}

impl Toolchain {
    /// Any installed compiler for the kernel programs, Debian's before nightlies.
    pub fn any() -> Option<Self> {
        debian().or_else(|| nightly::installed().into_iter().next())
    }

    /// A compiler by the folder of its programs; None where one of them is missing or broken.
    pub fn from_folder(bin: &Path, kind: Kind) -> Option<Self> {
        let (rustc, cargo) = (bin.join("rustc"), bin.join("cargo"));
        if !process::is_executable(&cargo) {
            return None;
        }
        let mut command = Command::new(&rustc);
        workspace::without_toolchain(&mut command);
        let text = process::capture(command.arg("-vV"), QUICK).ok()?;
        let (release, llvm) = parse_version(&text)?;
        Some(Self {
            kind,
            rustc,
            cargo,
            release,
            llvm,
        })
    }

    /// One line for people: which compiler, with which LLVM.
    pub fn describe(&self) -> String {
        let kind = match self.kind {
            Kind::Prebuilt => "Debian's",
            Kind::BuildStd => "nightly",
        };
        format!(
            "{kind} rustc {} with LLVM {} ({})",
            self.release,
            self.llvm,
            self.rustc.display()
        )
    }

    /// Fails with one sentence when the compiler is too old for the kernel programs.
    pub fn check_release(&self) -> Result<()> {
        let mut parts = self
            .release
            .split(['.', '-'])
            .map(|part| part.parse::<u32>().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found >= OLDEST_RELEASE {
            return Ok(());
        }
        bail!(
            "{} is older than {}.{}, which the kernel programs need: enable this \
             distribution's security updates, which carry a newer rustc-web, and run \
             `cargo xtask setup` again",
            self.describe(),
            OLDEST_RELEASE.0,
            OLDEST_RELEASE.1
        )
    }
}

/// Debian's compiler, where it is complete.
pub fn debian() -> Option<Toolchain> {
    let core = Path::new("/usr/lib/rustlib").join(TARGET).join("lib");
    has_file_like(&core, "libcore-", ".rlib").then_some(())?;
    Toolchain::from_folder(Path::new("/usr/bin"), Kind::Prebuilt)
}

/// Debian's compiler, after installing it where this system offers it.
pub fn ensure_debian() -> Result<Toolchain> {
    if let Some(toolchain) = debian() {
        return Ok(toolchain);
    }
    if !packages::has_apt() {
        bail!("this system has no apt");
    }
    if !packages::offered("rustc-web")? {
        bail!("this system's packages offer no rustc-web");
    }
    eprintln!("setup: installing Debian's compiler for the kernel programs");
    packages::install(&DEBIAN_PACKAGES)?;
    debian().with_context(|| {
        format!(
            "the packages {} hold no BPF target",
            DEBIAN_PACKAGES.join(", ")
        )
    })
}

fn has_file_like(folder: &Path, prefix: &str, suffix: &str) -> bool {
    let Ok(entries) = folder.read_dir() else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(prefix) && name.ends_with(suffix)
    })
}

/// Release and LLVM major from `rustc -vV`.
fn parse_version(text: &str) -> Option<(String, u32)> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let release = value("release: ")?.trim().to_owned();
    let llvm = value("LLVM version: ")?
        .split('.')
        .next()?
        .trim()
        .parse()
        .ok()?;
    Some((release, llvm))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(release: &str) -> Toolchain {
        Toolchain {
            kind: Kind::Prebuilt,
            rustc: PathBuf::from("rustc"),
            cargo: PathBuf::from("cargo"),
            release: release.to_owned(),
            llvm: 22,
        }
    }

    #[test]
    fn the_llvm_of_a_compiler_is_read_from_its_version() {
        let text =
            "rustc 1.96.0\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(parse_version(text), Some(("1.96.0".to_owned(), 22)));
        assert_eq!(parse_version("rustc 1.96.0\n"), None);
    }

    #[test]
    fn a_compiler_that_is_too_old_is_refused() {
        assert!(toolchain("1.85.0").check_release().is_err());
        assert!(toolchain("1.87.0").check_release().is_ok());
        assert!(toolchain("1.97.0-nightly").check_release().is_ok());
        assert!(toolchain("2.0.0").check_release().is_ok());
    }
}
