//! The kernels that guests run: Debian's own packages, kept under `target/vm/kernels`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::apt::PrivateApt;
use crate::process;
use crate::workspace::Workspace;

/// A kernel version, by the suites that carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Release {
    #[value(name = "5.10")]
    V5_10,
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
    /// Whatever Debian's unstable suite carries.
    #[value(name = "newest")]
    Newest,
}

/// A kernel image and its modules.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// What people call it: `6.1`, or the file name of an own kernel.
    pub name: String,
    pub image: PathBuf,
    /// The folder with `modules.dep`.
    pub modules: PathBuf,
}

/// The image is in `linux-image-*` or, in newer suites, `linux-binary-*` with `linux-modules-*`.
const PREFIXES: [&str; 3] = ["linux-image-", "linux-binary-", "linux-modules-"];

impl Release {
    /// From the oldest on: what loads on a new kernel says nothing about an old one.
    pub const ALL: [Self; 4] = [Self::V5_10, Self::V6_1, Self::V6_12, Self::Newest];

    pub fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::Newest => "newest",
        }
    }

    /// Suites in the order they are tried.
    fn suites(self) -> &'static [&'static str] {
        match self {
            Self::V5_10 => &["bullseye"],
            Self::V6_1 => &["bookworm"],
            Self::V6_12 => &["trixie", "bookworm-backports"],
            Self::Newest => &["sid"],
        }
    }

    /// The kernel from the cache, or downloaded into it.
    pub fn fetch(self, workspace: &Workspace) -> Result<Kernel> {
        let folder = workspace.guests().join("kernels").join(self.name());
        if let Ok(kernel) = Kernel::in_folder(self.name(), &folder) {
            return Ok(kernel);
        }
        if std::env::consts::ARCH != "x86_64" {
            bail!(
                "guests exist for x86_64 machines only, and this one is {}",
                std::env::consts::ARCH
            );
        }
        let mut reasons = Vec::new();
        for suite in self.suites() {
            match self.download(workspace, suite, &folder) {
                Ok(kernel) => return Ok(kernel),
                Err(error) => reasons.push(format!("{suite}: {error:#}")),
            }
        }
        bail!(
            "the kernel {} cannot be had ({})",
            self.name(),
            reasons.join("; ")
        )
    }

    /// Removes the kernel from the cache, so that the next fetch downloads it.
    pub fn forget(self, workspace: &Workspace) -> Result<()> {
        remove_folder(&workspace.guests().join("kernels").join(self.name()))
    }

    fn download(self, workspace: &Workspace, suite: &str, folder: &Path) -> Result<Kernel> {
        eprintln!("vm: fetching the kernel {} from {suite}", self.name());
        let apt = PrivateApt::new(&workspace.guests().join("apt").join(suite), suite)?;
        let packages = apt.closure("linux-image-amd64", &PREFIXES)?;
        // Everything happens beside the cache and is moved there whole: an interrupted
        // download must not look like a kernel.
        let unfinished = folder.with_extension("unfinished");
        remove_folder(&unfinished)?;
        let (archives, root) = (unfinished.join("archives"), unfinished.join("root"));
        fs::create_dir_all(&archives)?;
        fs::create_dir_all(&root)?;
        apt.download(&packages, &archives)?;
        for archive in entries(&archives)? {
            let mut command = Command::new("dpkg-deb");
            command.arg("-x").arg(&archive).arg(&root);
            process::capture(&mut command, Duration::from_secs(300))?;
        }
        fs::remove_dir_all(&archives)?;
        index_modules(&root)?;
        remove_folder(folder)?;
        fs::rename(&unfinished, folder)?;
        Kernel::in_folder(self.name(), folder)
    }
}

impl Kernel {
    /// A kernel of the user's own: an image, and the folder with its `modules.dep`.
    pub fn own(image: &Path, modules: &Path) -> Result<Self> {
        let image = image
            .canonicalize()
            .with_context(|| format!("no kernel at {}", image.display()))?;
        if !modules.join("modules.dep").is_file() {
            bail!(
                "{} has no modules.dep: name the folder lib/modules/VERSION, after running depmod",
                modules.display()
            );
        }
        let name = image
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            name,
            image,
            modules: modules.to_path_buf(),
        })
    }

    fn in_folder(name: &str, folder: &Path) -> Result<Self> {
        let root = folder.join("root");
        let modules = modules_folder(&root)?;
        if !modules.join("modules.dep").is_file() {
            bail!("the modules have no index");
        }
        let image = kernel_image(&root, &modules).context("the packages hold no kernel image")?;
        Ok(Self {
            name: name.to_owned(),
            image,
            modules,
        })
    }
}

/// Under boot; newer packages keep it beside the modules and copy it at installation.
fn kernel_image(root: &Path, modules: &Path) -> Option<PathBuf> {
    let beside = modules.join("vmlinuz");
    entries(&root.join("boot"))
        .unwrap_or_default()
        .into_iter()
        .find(|path| file_name(path).starts_with("vmlinuz-"))
        .or_else(|| beside.is_file().then_some(beside))
}

/// Debian's packages leave `modules.dep` to be made at installation.
fn index_modules(root: &Path) -> Result<()> {
    let modules = modules_folder(root)?;
    if !root.join("lib").exists() {
        // Newer packages hold usr/lib only; depmod looks under lib.
        std::os::unix::fs::symlink("usr/lib", root.join("lib"))?;
    }
    let depmod = process::find_program("depmod")
        .context("depmod is missing: run `cargo xtask setup --tests`")?;
    let mut command = Command::new(depmod);
    command.arg("-b").arg(root).arg(file_name(&modules));
    process::capture(&mut command, Duration::from_secs(120)).map(drop)
}

fn modules_folder(root: &Path) -> Result<PathBuf> {
    ["lib/modules", "usr/lib/modules"]
        .iter()
        .filter_map(|folder| entries(&root.join(folder)).ok())
        .flatten()
        .find(|path| path.is_dir())
        .context("the packages hold no kernel modules")
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = folder
        .read_dir()
        .with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths: Vec<_> = read.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn remove_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
