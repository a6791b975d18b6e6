//! Where the project is, and the environment its commands run in.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;

/// The folders that commands work in.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Cargo's target folder, wherever the user's configuration puts it.
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo, because a target folder may be set in a configuration file or a variable.
    pub fn find() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let mut command = cargo();
        command
            .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
            .current_dir(&manifest);
        let text = process::capture(&mut command, Duration::from_secs(60))
            .context("cannot find the workspace")?;
        let metadata: serde_json::Value = serde_json::from_str(&text)
            .context("cargo metadata printed something else than JSON")?;
        let folder = |member: &str| metadata.get(member).and_then(|value| value.as_str());
        let (Some(root), Some(target)) = (folder("workspace_root"), folder("target_directory"))
        else {
            bail!(
                "cargo metadata names no workspace folder: update cargo to the version in Cargo.toml"
            );
        };
        Ok(Self {
            root: PathBuf::from(root),
            target: PathBuf::from(target),
        })
    }

    /// Where tools that only this project needs are installed.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Where guests keep kernels, images and logs.
    pub fn guests(&self) -> PathBuf {
        self.target.join("vm")
    }
}

/// The cargo that started this program, with the same toolchain.
pub fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    without_package_variables(&mut command);
    command
}

/// Removes what `cargo run` tells a program about its own package.
///
/// Build scripts that watch these variables would otherwise run again whenever a plain
/// `cargo build` and `cargo xtask build` take turns.
pub fn without_package_variables(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        if package
            || matches!(
                text,
                "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR"
            )
        {
            command.env_remove(&name);
        }
    }
    if let Some(path) = env::var_os("LD_LIBRARY_PATH") {
        match foreign_library_folders(&path) {
            Some(rest) => command.env("LD_LIBRARY_PATH", rest),
            None => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
}

/// The user's own part of LD_LIBRARY_PATH: cargo puts its target and toolchain folders before it.
fn foreign_library_folders(path: &OsStr) -> Option<OsString> {
    let rest: Vec<PathBuf> = env::split_paths(path)
        .filter(|folder| !is_cargo_library_folder(folder))
        .collect();
    if rest.is_empty() {
        return None;
    }
    env::join_paths(rest).ok()
}

fn is_cargo_library_folder(folder: &Path) -> bool {
    let text = folder.to_string_lossy();
    folder.as_os_str().is_empty()
        || text.contains("/toolchains/")
        || env::current_exe().is_ok_and(|program| {
            program
                .parent()
                .is_some_and(|profile| folder.starts_with(profile))
        })
}

/// Removes everything of a rustup toolchain and of the user's build settings.
///
/// The kernel programs are built by another compiler than the one that runs xtask: a leaked
/// `RUSTC`, toolchain name, library path or flag would mix the two without a message.
pub fn without_toolchain(command: &mut Command) {
    without_package_variables(command);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(selects_toolchain) {
            command.env_remove(&name);
        }
    }
    // A wrapper can also be set in a configuration file; an empty variable overrides that.
    command
        .env("RUSTC_WRAPPER", "")
        .env("RUSTC_WORKSPACE_WRAPPER", "");
}

fn selects_toolchain(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "CARGO",
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTUP_TOOLCHAIN",
        "RUSTC_BOOTSTRAP",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_ENCODED_RUSTDOCFLAGS",
        "CARGO_INCREMENTAL",
    ];
    const PREFIXES: [&str; 4] = [
        "CARGO_BUILD_",
        "CARGO_TARGET_",
        "CARGO_PROFILE_",
        "CARGO_UNSTABLE_",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_userspace_build_do_not_reach_the_kernel_build() {
        for name in [
            "RUSTC",
            "RUSTUP_TOOLCHAIN",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
        ] {
            assert!(selects_toolchain(name), "{name}");
        }
    }

    #[test]
    fn registry_and_network_settings_stay() {
        for name in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_HTTP_PROXY",
            "RUSTUP_HOME",
        ] {
            assert!(!selects_toolchain(name), "{name}");
        }
    }

    #[test]
    fn only_the_users_library_folders_are_kept() {
        let path = OsStr::new("/opt/rustup/toolchains/stable/lib:/opt/own/lib");
        assert_eq!(
            foreign_library_folders(path),
            Some(OsString::from("/opt/own/lib"))
        );
        assert_eq!(
            foreign_library_folders(OsStr::new("/x/toolchains/stable/lib")),
            None
        );
    }
}
