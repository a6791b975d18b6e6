//! Compiler and linker of the kernel programs, chosen together: their LLVM must be the same.

use anyhow::{Context, Result, anyhow, bail};

use super::linker::{self, Linker};
use super::toolchain::{self, Toolchain};
use super::{llvm, nightly};
use crate::workspace::Workspace;

/// A compiler and the linker that fits it.
#[derive(Debug, Clone)]
pub struct Tools {
    pub toolchain: Toolchain,
    pub linker: Linker,
}

impl Tools {
    /// The first installed compiler that has a fitting linker, Debian's before nightlies.
    pub fn find(workspace: &Workspace) -> Option<Self> {
        let fitting = |toolchain: Toolchain| {
            toolchain.check_release().ok()?;
            let linker = Linker::find(workspace, &toolchain).ok()?;
            Some(Self { toolchain, linker })
        };
        toolchain::debian()
            .and_then(fitting)
            .or_else(|| nightly::installed().into_iter().find_map(fitting))
    }
}

/// Finds a compiler and its linker, installing what is missing.
pub fn ensure(workspace: &Workspace) -> Result<Tools> {
    if let Some(tools) = Tools::find(workspace) {
        return Ok(tools);
    }
    let toolchain = ensure_toolchain(workspace)?;
    let linker = linker::ensure(workspace, &toolchain).context("no bpf-linker")?;
    Ok(Tools { toolchain, linker })
}

/// A compiler for which a linker can be had, installed where there is none.
fn ensure_toolchain(workspace: &Workspace) -> Result<Toolchain> {
    let debian = toolchain::ensure_debian().and_then(|toolchain| {
        toolchain.check_release()?;
        Ok(toolchain)
    });
    let reason = match debian {
        Ok(toolchain) => return Ok(toolchain),
        Err(reason) => reason,
    };
    eprintln!("setup: {reason:#}; trying a rustup nightly instead");
    let own = nightly::installed()
        .into_iter()
        .find(|toolchain| toolchain.check_release().is_ok() && can_link(workspace, toolchain.llvm));
    if let Some(toolchain) = own {
        return Ok(toolchain);
    }
    install_nightly(workspace).with_context(|| {
        format!("no compiler for the kernel programs ({reason:#}, and no nightly instead)")
    })
}

fn install_nightly(workspace: &Workspace) -> Result<Toolchain> {
    let Some(chosen) = nightly::DATED
        .into_iter()
        .find(|nightly| can_link(workspace, nightly.llvm))
    else {
        let majors: Vec<_> = nightly::DATED
            .iter()
            .map(|nightly| nightly.llvm.to_string())
            .collect();
        bail!(
            "install the development files of LLVM {} (any one; llvm-N-dev, llvmN-devel or llvm-devel \
             in most distributions) and run `cargo xtask setup` again",
            majors.join(", ")
        );
    };
    let toolchain = nightly::install(chosen)?;
    if toolchain.llvm == chosen.llvm {
        return Ok(toolchain);
    }
    Err(anyhow!(
        "{} has LLVM {} instead of the expected {}",
        chosen.name,
        toolchain.llvm,
        chosen.llvm
    ))
}

/// Whether a linker of this LLVM is installed or can be built.
fn can_link(workspace: &Workspace, major: u32) -> bool {
    linker::is_installed_for(workspace, major)
        || (linker::SUPPORTED_LLVM.contains(&major) && llvm::is_obtainable(major))
}
