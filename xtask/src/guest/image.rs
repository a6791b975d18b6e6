//! The guest's initial file system: busybox, modules, the programs under test and all they load.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::modules;
use super::release::Kernel;
use crate::process;

const INIT: &str = include_str!("init.sh");
const LIMIT: Duration = Duration::from_secs(120);

/// Programs of this system that the tests use where they are installed.
const USEFUL: [&str; 4] = ["curl", "ip", "tc", "bpftool"];

/// Libraries that the C library loads by name, which `ldd` therefore does not show. Newer
/// releases hold the first two inside libc itself.
const LOADED_BY_NAME: [&str; 3] = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"];

/// Configuration that libraries read; each may be absent.
const CONFIGURATION: [&str; 2] = ["/etc/ld.so.cache", "/etc/ssl/openssl.cnf"];

const TEXTS: [(&str, &str); 5] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/usr/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/bin/sh\n",
    ),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost guest\n::1 localhost\n"),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    ),
    ("etc/resolv.conf", "nameserver 127.0.0.1\n"),
];

/// What the guest runs.
#[derive(Debug)]
pub struct Programs<'a> {
    pub tracer: &'a Path,
    /// None: no scenario is played.
    pub end_to_end: Option<&'a PathBuf>,
    pub arguments: &'a [String],
    /// Run `tracer doctor --all` before the scenarios.
    pub tries_every_hook: bool,
}

/// Builds the image in a folder of its own and returns the path of the archive.
pub fn build(folder: &Path, kernel: &Kernel, programs: &Programs<'_>) -> Result<PathBuf> {
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let image = Image { root };
    image.lay_out()?;
    image.program_under_test(programs.tracer, "tracer")?;
    if let Some(end_to_end) = programs.end_to_end {
        image.program_under_test(end_to_end, "end_to_end")?;
    }
    let busybox = process::find_program("busybox")
        .context("busybox is missing: run `cargo xtask setup --tests`")?;
    image.program(&busybox, "busybox")?;
    for name in USEFUL {
        if let Some(path) = process::find_program(name) {
            image.program(&path, name)?;
        }
    }
    image.loaded_by_name()?;
    image.openssl_modules()?;
    let names = modules::install(&kernel.modules, &image.root.join("modules"))?;
    image.text("modules/order", &(names.join("\n") + "\n"))?;
    image.script("init", INIT)?;
    image.script("usr/bin/run-tests", &test_script(programs))?;
    image.archive(&folder.join("initramfs.cpio"))
}

/// What init runs. The marks around the diagnosis are those of [`super::visit`].
fn test_script(programs: &Programs<'_>) -> String {
    let mut script = "#!/usr/bin/busybox sh\n\
                      export TRACER_BINARY=/usr/bin/tracer TRACER_GUEST=1\n"
        .to_owned();
    if programs.tries_every_hook {
        script += "case $TRACER_SHARE in 1/*)\n\
                   echo 'init: diagnosis begins'\n\
                   tracer doctor --all --format json\n\
                   echo 'init: diagnosis ends'\n\
                   esac\n";
    }
    if programs.end_to_end.is_some() {
        let mut command = Command::new("/usr/bin/end_to_end");
        command.arg("--color=never").args(programs.arguments);
        script += &format!("exec {}\n", process::line(&command));
    }
    script
}

struct Image {
    root: PathBuf,
}

impl Image {
    /// Folders, and the links of a merged /usr, so that programs stay at the paths they know.
    fn lay_out(&self) -> Result<()> {
        for folder in [
            "usr/bin",
            "usr/sbin",
            "usr/lib",
            "usr/lib64",
            "etc",
            "proc",
            "sys",
            "dev",
            "tmp",
            "run",
            "root",
            "mnt",
            "var/tmp",
            "opt/busybox",
        ] {
            fs::create_dir_all(self.root.join(folder))?;
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), self.root.join(name))?;
        }
        for (path, text) in TEXTS {
            self.text(path, text)?;
        }
        for path in CONFIGURATION {
            let path = Path::new(path);
            if path.is_file() {
                self.copy(path)?;
            }
        }
        Ok(())
    }

    fn text(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.root.join(path), text)
            .with_context(|| format!("cannot write {path} of the image"))
    }

    fn script(&self, path: &str, text: &str) -> Result<()> {
        self.text(path, text)?;
        fs::set_permissions(self.root.join(path), PermissionsExt::from_mode(0o755))?;
        Ok(())
    }

    /// A program under /usr/bin, and the libraries it is linked with where it expects them.
    fn program(&self, path: &Path, name: &str) -> Result<()> {
        copy_file(path, &self.root.join("usr/bin").join(name))?;
        for library in libraries(path)? {
            self.copy(&library)?;
        }
        Ok(())
    }

    /// A program of this project, without its symbols: they are four fifths of it, and the
    /// guest holds the whole image in memory.
    fn program_under_test(&self, path: &Path, name: &str) -> Result<()> {
        self.program(path, name)?;
        let Some(strip) = process::find_program("strip") else {
            return Ok(());
        };
        let mut command = Command::new(strip);
        command.arg(self.root.join("usr/bin").join(name));
        process::run(&mut command, LIMIT)
    }

    /// Copies a file of this system to the same path in the image.
    fn copy(&self, path: &Path) -> Result<()> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let to = self.root.join(relative);
        if to.exists() {
            return Ok(());
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        copy_file(path, &to)
    }

    fn loaded_by_name(&self) -> Result<()> {
        for folder in library_folders() {
            for name in LOADED_BY_NAME {
                let path = folder.join(name);
                if path.is_file() {
                    self.copy(&path)?;
                }
            }
        }
        Ok(())
    }

    /// OpenSSL's providers, which its configuration may ask for.
    fn openssl_modules(&self) -> Result<()> {
        for folder in library_folders() {
            let Ok(entries) = folder.join("ossl-modules").read_dir() else {
                continue;
            };
            for entry in entries.flatten() {
                self.copy(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Everything as one archive, owned by root whoever builds it.
    fn archive(&self, to: &Path) -> Result<PathBuf> {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "find . -print0 | cpio --null --quiet --create --format=newc --owner=+0:+0",
            ])
            .current_dir(&self.root);
        process::into_file(&mut command, File::create(to)?, LIMIT)?;
        Ok(to.to_path_buf())
    }
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} into the guest's image", from.display()))
}

/// Folders of shared libraries on Debian and elsewhere.
fn library_folders() -> Vec<PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    [multiarch.as_str(), "/usr/lib64"]
        .iter()
        .map(PathBuf::from)
        .filter(|folder| folder.is_dir())
        .collect()
}

/// The libraries a program loads, loader included; none for a static one.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let mut command = Command::new("ldd");
    command.arg(program).env("LC_ALL", "C");
    let finished = process::record(&mut command, Duration::from_secs(30), false)?;
    Ok(parse_ldd(&finished.output))
}

/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)` or `/lib64/ld-linux-x86-64.so.2 (0x...)`
fn parse_ldd(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| {
            let place = line.split_once("=>").map_or(line, |(_name, place)| place);
            place
                .split_whitespace()
                .find(|word| word.starts_with('/') && !word.ends_with(':'))
        })
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found() {
        let text = "\
\tlinux-vdso.so.1 (0x00007ffd)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f)
";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ]
        .map(PathBuf::from);
        assert_eq!(parse_ldd(text), expected);
    }

    #[test]
    fn a_static_program_needs_no_library() {
        assert!(parse_ldd("\tnot a dynamic executable\n").is_empty());
    }

    #[test]
    fn filters_reach_the_guests_shell_unharmed() {
        let script = test_script(&Programs {
            tracer: Path::new("tracer"),
            end_to_end: Some(&PathBuf::from("end_to_end")),
            arguments: &["two words".to_owned()],
            tries_every_hook: false,
        });
        assert!(
            script.ends_with("exec /usr/bin/end_to_end --color=never 'two words'\n"),
            "{script}"
        );
        assert!(!script.contains("doctor"), "{script}");
    }

    #[test]
    fn hooks_can_be_tried_without_scenarios() {
        let script = test_script(&Programs {
            tracer: Path::new("tracer"),
            end_to_end: None,
            arguments: &[],
            tries_every_hook: true,
        });
        assert!(script.contains("tracer doctor --all"), "{script}");
        assert!(!script.contains("end_to_end"), "{script}");
    }
}
