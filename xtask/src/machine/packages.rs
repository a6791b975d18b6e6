//! Programs that come from the distribution, and their installation with apt.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::backports;
use crate::process;

/// A program, and the Debian package that holds it.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    pub package: &'static str,
    pub purpose: &'static str,
}

/// What the tests use beside what building needs.
pub const FOR_TESTS: [Program; 10] = [
    Program {
        name: "qemu-system-x86_64",
        package: "qemu-system-x86",
        purpose: "guests",
    },
    Program {
        name: "busybox",
        package: "busybox-static",
        purpose: "guests",
    },
    Program {
        name: "cpio",
        package: "cpio",
        purpose: "guests",
    },
    Program {
        name: "depmod",
        package: "kmod",
        purpose: "guests",
    },
    Program {
        name: "xz",
        package: "xz-utils",
        purpose: "guests",
    },
    Program {
        name: "tshark",
        package: "tshark",
        purpose: "comparison of decoded packets",
    },
    Program {
        name: "ip",
        package: "iproute2",
        purpose: "checks of interfaces and filters",
    },
    Program {
        name: "nft",
        package: "nftables",
        purpose: "a firewall that drops packets",
    },
    Program {
        name: "bpftool",
        package: "bpftool",
        purpose: "checks that nothing stays attached",
    },
    Program {
        name: "curl",
        package: "curl",
        purpose: "a traced command",
    },
];

/// What `cargo xtask bench` measures beside the tracer, or puts under load; nothing else needs it.
pub const FOR_BENCHES: [Program; 6] = [
    Program {
        name: "nginx",
        package: "nginx",
        purpose: "a server under load",
    },
    Program {
        name: "wrk",
        package: "wrk",
        purpose: "its clients",
    },
    Program {
        name: "openssl",
        package: "openssl",
        purpose: "its certificate",
    },
    Program {
        name: "tcpdump",
        package: "tcpdump",
        purpose: "comparison of costs",
    },
    Program {
        name: "tshark",
        package: "tshark",
        purpose: "comparison of costs",
    },
    Program {
        name: "bpftrace",
        package: "bpftrace",
        purpose: "comparison of costs",
    },
];

/// What looking closer by hand needs; the tests run without them.
pub const OPTIONAL: [Program; 2] = [
    Program {
        name: "tcpdump",
        package: "tcpdump",
        purpose: "looking at packets by hand",
    },
    Program {
        name: "/usr/bin/clippy-driver",
        package: "rust-web-clippy",
        purpose: "clippy for the kernel programs",
    },
];

/// Waiting for another package manager to finish, then for slow mirrors, has an end.
const LOCK_SECONDS: u32 = 180;
const UPDATE_LIMIT: Duration = Duration::from_secs(300);
const INSTALL_LIMIT: Duration = Duration::from_secs(1800);

impl Program {
    pub fn is_installed(&self) -> bool {
        process::find_program(self.name).is_some()
    }
}

/// The programs of a list that are not installed.
pub fn missing(programs: &[Program]) -> Vec<Program> {
    programs
        .iter()
        .filter(|program| !program.is_installed())
        .copied()
        .collect()
}

/// Installs what is missing of the tests' programs; what is only useful may stay away.
pub fn ensure_for_tests() -> Result<()> {
    ensure("tests", &FOR_TESTS, &OPTIONAL)
}

/// Installs what is missing of the benches' programs.
pub fn ensure_for_benches() -> Result<()> {
    ensure("benches", &FOR_BENCHES, &[])
}

fn ensure(who: &str, needed: &[Program], useful: &[Program]) -> Result<()> {
    let needed = missing(needed);
    let useful = missing(useful);
    if needed.is_empty() && useful.is_empty() {
        return Ok(());
    }
    if !has_apt() {
        if needed.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = needed.iter().map(|program| program.name).collect();
        bail!(
            "the {who} need the programs {}, and this system has no apt: install them with its own package manager",
            names.join(", ")
        );
    }
    // Only packages that this system offers: the optional ones are not everywhere.
    let mut names: Vec<&str> = needed.iter().map(|program| program.package).collect();
    update();
    names.extend(
        useful
            .iter()
            .map(|program| program.package)
            .filter(|name| candidate(name)),
    );
    if names.is_empty() {
        return Ok(());
    }
    eprintln!("setup: installing {} for the {who}", names.join(" "));
    install_updated(&names)
}

pub fn has_apt() -> bool {
    process::find_program("apt-get").is_some()
}

/// Whether apt can install a package, after fetching the package lists where that helps.
pub fn offered(package: &str) -> Result<bool> {
    if !has_apt() {
        bail!("this system has no apt");
    }
    if candidate(package) {
        return Ok(true);
    }
    update();
    Ok(candidate(package))
}

/// Fetches the package lists, then installs packages without what they only recommend.
pub fn install(packages: &[&str]) -> Result<()> {
    update();
    install_updated(packages)
}

fn candidate(package: &str) -> bool {
    let mut command = Command::new("apt-cache");
    command.args(["policy", package]).env("LC_ALL", "C");
    process::capture(&mut command, Duration::from_secs(60)).is_ok_and(|text| has_candidate(&text))
}

fn has_candidate(policy: &str) -> bool {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .any(|version| version.trim() != "(none)")
}

/// One unreachable source of many is no reason to stop: the installation itself will tell.
fn update() {
    use std::sync::Once;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        eprintln!("setup: fetching the package lists");
        let done = apt_get(UPDATE_LIMIT).and_then(|mut command| {
            process::run(command.args(["-qq", "update"]), UPDATE_LIMIT + GRACE)
        });
        if let Err(error) = done {
            eprintln!("setup: warning: {error:#}");
        }
    });
}

fn install_updated(packages: &[&str]) -> Result<()> {
    let Err(refusal) = install_with(&[], packages) else {
        return Ok(());
    };
    // One package that does not fit must not keep the others away.
    for package in packages {
        if install_with(&[], &[package]).is_err() {
            eprintln!("setup: trying {package} from the backports");
            if let Err(error) = install_from_backports(package) {
                eprintln!("setup: warning: {error:#}");
                return Err(refusal.context(format!(
                    "cannot install packages; to see why, run `sudo apt-get install --no-install-recommends {}`",
                    packages.join(" ")
                )));
            }
        }
    }
    Ok(())
}

fn install_from_backports(package: &str) -> Result<()> {
    let mut options = backports::options()?;
    let mut update = apt_get(UPDATE_LIMIT)?;
    update.args(&options).args(["-qq", "update"]);
    process::run(&mut update, UPDATE_LIMIT + GRACE)?;
    options.extend(["-t".to_owned(), backports::suite()?]);
    install_with(&options, &[package])
}

fn install_with(options: &[String], packages: &[&str]) -> Result<()> {
    let mut command = apt_get(INSTALL_LIMIT)?;
    // --no-remove: rustc-web replaces an ordinary rustc, and taking programs away from the
    // user is a decision of the user.
    command.args(options).args([
        "-qq",
        "install",
        "-y",
        "--no-install-recommends",
        "--no-remove",
        "--",
    ]);
    command.args(packages);
    process::run(&mut command, INSTALL_LIMIT + GRACE)
}

/// Time between the limit that `timeout` keeps as root and our own, which could not kill sudo.
const GRACE: Duration = Duration::from_secs(30);

fn apt_get(limit: Duration) -> Result<Command> {
    let mut command = process::as_root("env")?;
    command.args([
        "DEBIAN_FRONTEND=noninteractive",
        "LC_ALL=C",
        "timeout",
        "--kill-after=10",
    ]);
    command.arg(limit.as_secs().to_string()).arg("apt-get");
    for option in [
        format!("DPkg::Lock::Timeout={LOCK_SECONDS}"),
        "Acquire::Retries=2".to_owned(),
        "Acquire::http::Timeout=30".to_owned(),
        "Acquire::https::Timeout=30".to_owned(),
        // A changed configuration file keeps the user's changes and asks nothing.
        "Dpkg::Options::=--force-confold".to_owned(),
        "Dpkg::Use-Pty=0".to_owned(),
    ] {
        command.arg("-o").arg(option);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_a_version_is_not_offered() {
        assert!(has_candidate(
            "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1\n"
        ));
        assert!(!has_candidate(
            "x:\n  Installed: (none)\n  Candidate: (none)\n"
        ));
        assert!(!has_candidate(""));
    }

    #[test]
    fn installing_asks_nothing_and_waits_for_the_lock_with_a_limit() {
        let Ok(command) = apt_get(INSTALL_LIMIT) else {
            return;
        };
        let line = process::line(&command);
        for part in [
            "noninteractive",
            "DPkg::Lock::Timeout=180",
            "timeout --kill-after=10 1800",
        ] {
            assert!(line.contains(part), "{line}");
        }
    }
}
