//! Who may trace, what the tracer gives up when it has begun, and as whom the command runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use rustix::fs::XattrFlags;
use tempfile::TempDir;

use crate::outcome::Outcome;
use crate::program::{Program, Tracer, find_tracer, sparing_options, watching};
use crate::requests;
use crate::scenario::{Scenario, Skipped};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "each_missing_capability_is_named_with_its_purpose_and_the_mend",
        run: each_capability,
    },
    Scenario {
        name: "five_file_capabilities_are_all_that_an_ordinary_user_needs",
        run: enough_capabilities,
    },
    Scenario {
        name: "a_running_tracer_keeps_only_the_capabilities_that_reading_takes",
        run: dropped,
    },
    Scenario {
        name: "the_traced_command_loses_no_right_because_the_tracer_does",
        run: command_keeps_rights,
    },
    Scenario {
        name: "under_sudo_the_command_runs_as_the_user_who_called_it",
        run: sudo_command,
    },
    Scenario {
        name: "under_sudo_a_command_of_another_user_is_ended_with_the_tracer",
        run: sudo_interrupt,
    },
];

/// Bits of include/uapi/linux/capability.h.
const CAP_KILL: u64 = 1 << 5;
const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_DAC_READ_SEARCH: u64 = 1 << 2;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;

const NEEDED: [(u64, &str); 3] = [
    (CAP_BPF, "CAP_BPF"),
    (CAP_PERFMON, "CAP_PERFMON"),
    (CAP_NET_ADMIN, "CAP_NET_ADMIN"),
];
const USEFUL: u64 = CAP_DAC_READ_SEARCH | CAP_SYS_PTRACE;
/// nobody, who can often not reach the place where the binary was built.
const NOBODY: u32 = 65_534;

/// The tracer in a place that everybody can reach, with these file capabilities.
fn tracer_with(capabilities: u64) -> Result<(TempDir, PathBuf)> {
    let place = tempfile::tempdir()?;
    fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755))?;
    let copy = place.path().join("tracer");
    fs::copy(find_tracer().context("no tracer")?, &copy)?;
    give(&copy, capabilities)?;
    Ok((place, copy))
}

/// What setcap(8) does: VFS_CAP_REVISION_2 of include/uapi/linux/capability.h, effective.
fn give(path: &Path, capabilities: u64) -> Result<()> {
    const REVISION_2_EFFECTIVE: u32 = 0x0200_0001;
    let [a, b, c, d, e, f, g, h] = capabilities.to_le_bytes();
    let permitted = [[a, b, c, d], [e, f, g, h]];
    let mut value = REVISION_2_EFFECTIVE.to_le_bytes().to_vec();
    for half in permitted {
        value.extend(half);
        // Inheritable: none.
        value.extend([0; 4]);
    }
    match rustix::fs::setxattr(path, "security.capability", &value, XattrFlags::empty()) {
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let why = "this file system keeps no file capabilities";
            Err(Skipped(why.into()).into())
        }
        other => Ok(other?),
    }
}

fn fetch_as_nobody(capabilities: u64, url: &str) -> Result<Outcome> {
    let (_place, tracer) = tracer_with(capabilities)?;
    Program::new(tracer)
        .args(["fetch", "--format", "json", url])
        .args(sparing_options())
        .user(NOBODY)
        .run()
}

fn each_capability() -> Result<()> {
    let all = NEEDED.iter().fold(USEFUL, |all, (bit, _)| all | bit);
    for (missing, name) in NEEDED {
        let outcome = fetch_as_nobody(all & !missing, "http://127.0.0.1:9/")?.expect_code(3)?;
        for words in [name, "sudo", "setcap cap_bpf,"] {
            ensure!(outcome.stderr.contains(words), "{}", outcome.describe());
        }
        for (_, other) in NEEDED.iter().filter(|(_, other)| *other != name) {
            ensure!(!outcome.stderr.contains(other), "{}", outcome.describe());
        }
    }
    Ok(())
}

fn enough_capabilities() -> Result<()> {
    let all = NEEDED.iter().fold(USEFUL, |all, (bit, _)| all | bit);
    let server = requests::server(false)?;
    let url = format!("http://{server}/");
    let document = fetch_as_nobody(all, &url)?.expect_code(0)?.json()?;
    ensure!(document["journeys"][0]["outcome"] == "ok", "{document:#}");
    let client = &document["connections"][0]["client_process"];
    ensure!(client["uid"] == NOBODY, "{client}");
    Ok(())
}

fn bits(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let word = line.with_context(|| format!("no {name} in\n{status}"))?;
    Ok(u64::from_str_radix(word.trim(), 16)?)
}

/// Every thread holds `kept` at most, and nothing brings the rest back.
fn check_dropped(pid: u32, kept: u64) -> Result<()> {
    let mut threads = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        for name in ["CapEff:", "CapPrm:", "CapBnd:"] {
            let left = bits(&status, name)? & !kept;
            ensure!(left == 0, "{name} {left:x} too much\n{status}");
        }
        for name in ["CapInh:", "CapAmb:"] {
            ensure!(bits(&status, name)? == 0, "{status}");
        }
        // Reading the loss counters takes it on kernels before 5.19.
        ensure!(bits(&status, "CapEff:")? & CAP_BPF != 0, "{status}");
        ensure!(status.contains("NoNewPrivs:\t1"), "{status}");
        // Filters, where this kernel has them (CONFIG_SECCOMP_FILTER).
        let seccomp = status
            .lines()
            .find_map(|line| line.strip_prefix("Seccomp:"));
        ensure!(seccomp.is_none_or(|mode| mode.trim() == "2"), "{status}");
        threads += 1;
    }
    ensure!(threads > 0, "no thread was checked");
    Ok(())
}

/// Only filters on clsact, which kernels before 6.6 use, have to be taken away by hand.
fn of_reading(header: &str) -> Result<u64> {
    let header: serde_json::Value = serde_json::from_str(header)?;
    let hooks = header["capture"]["hooks"].as_array().context("no hooks")?;
    let has_filters = hooks
        .iter()
        .any(|hook| hook["hook"] == "clsact" && hook["status"] == "attached");
    let filters = if has_filters { CAP_NET_ADMIN } else { 0 };
    Ok(CAP_BPF | CAP_SYS_PTRACE | filters)
}

fn dropped() -> Result<()> {
    let server = requests::server(false)?;
    let running = watching(&server.port().to_string())?;
    let said = running.wait_for_stdout("\n")?;
    let header = said.lines().next().context("no header")?;
    check_dropped(running.pid(), of_reading(header)?)?;
    // It still reads: a journey comes through, and everything is taken away at the end.
    let program = std::env::current_exe()?;
    let port = server.port().to_string();
    let client = Program::new(program).args([requests::CLIENT, &port, "1"]);
    client.run()?.expect_code(0)?;
    running.wait_for_stdout("\"id\":\"j1\"")?;
    running.signal(Signal::SIGINT)?;
    running.finish()?.expect_code(0)?;
    Ok(())
}

fn command_keeps_rights() -> Result<()> {
    let script = "cat /proc/$$/status >&2; echo shown >&2; exec sleep 600";
    let running = Tracer::new(["run", "--", "sh", "-c", script]).start()?;
    let said = running.wait_for_stderr("shown")?;
    let own = fs::read_to_string("/proc/self/status")?;
    for name in ["CapEff:", "CapPrm:", "CapBnd:", "NoNewPrivs:"] {
        ensure!(bits(&said, name)? == bits(&own, name)?, "{name}\n{said}");
    }
    let kept = CAP_BPF | CAP_SYS_PTRACE | CAP_KILL | CAP_NET_ADMIN;
    check_dropped(running.pid(), kept)?;
    running.signal(Signal::SIGINT)?;
    running.finish()?;
    Ok(())
}

/// As sudo(8) leaves it to a program that user 65534 started.
fn under_sudo(program: Program) -> Program {
    program
        .env("SUDO_UID", "65534")
        .env("SUDO_GID", "65534")
        .env("SUDO_USER", "nobody")
        .env("SUDO_COMMAND", "tracer")
        .env("HOME", "/root")
        .env("USER", "root")
        .env("KEPT", "as it was")
}

fn sudo_command() -> Result<()> {
    let script = "cat /proc/$$/status; echo \"<$USER> <$LOGNAME> <$HOME> <$KEPT> <$PATH>\"; env";
    let outcome = Tracer::new(["run", "--", "sh", "-c", script])
        .with(under_sudo)
        .run()?
        .expect_code(0)?;
    let said = &outcome.stdout;
    let ids = |name: &str| -> Vec<&str> {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().split_whitespace().collect()
    };
    ensure!(ids("Uid:") == ["65534"; 4], "{}", outcome.describe());
    ensure!(ids("Gid:") == ["65534"; 4], "{}", outcome.describe());
    ensure!(!ids("Groups:").contains(&"0"), "{}", outcome.describe());
    ensure!(bits(said, "CapEff:")? == 0, "{}", outcome.describe());
    ensure!(bits(said, "CapPrm:")? == 0, "{}", outcome.describe());
    ensure!(
        said.contains("<nobody> <nobody> <"),
        "{}",
        outcome.describe()
    );
    ensure!(!said.contains("</root>"), "{}", outcome.describe());
    let path = std::env::var("PATH").unwrap_or_default();
    let kept = format!("<as it was> <{path}>");
    ensure!(said.contains(&kept), "{}", outcome.describe());
    ensure!(!said.contains("SUDO_"), "{}", outcome.describe());
    Ok(())
}

/// Ending another user's process takes a capability that must not have been dropped.
fn sudo_interrupt() -> Result<()> {
    let script = "echo pid=$$. >&2; trap '' TERM; while :; do sleep 1; done";
    let running = Tracer::new(["run", "--", "sh", "-c", script])
        .with(under_sudo)
        .start()?;
    let said = running.wait_for_stderr(".\n")?;
    let pid = said
        .split_once("pid=")
        .and_then(|(_, rest)| rest.split_once('.'))
        .map(|(pid, _)| pid.to_owned())
        .context("no pid")?;
    running.signal(Signal::SIGTERM)?;
    let outcome = running.finish()?;
    ensure!(
        !Path::new("/proc").join(&pid).join("exe").exists(),
        "the command {pid} lives on: {}",
        outcome.describe()
    );
    Ok(())
}
