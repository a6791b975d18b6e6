//! Sudden death at every phase, full buffers and tables, and hosts that lack a mount.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;

use super::trouble::{attached, gone};
use crate::journey;
use crate::program::{Program, Tracer, find_program, find_tracer, sparing_options};
use crate::requests;
use crate::running::Running;
use crate::scenario::{Scenario, Skipped};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "killed_while_loading_nothing_stays",
        run: killed_while_loading,
    },
    Scenario {
        name: "killed_while_the_command_runs_the_command_runs_on_and_nothing_stays",
        run: killed_while_running,
    },
    Scenario {
        name: "killed_while_finishing_nothing_stays",
        run: killed_while_finishing,
    },
    Scenario {
        name: "full_ring_is_counted_and_the_capture_says_that_it_is_incomplete",
        run: full_ring,
    },
    Scenario {
        name: "full_table_of_processes_is_counted_and_said",
        run: full_table,
    },
    Scenario {
        name: "without_any_cgroup_mount_sockets_still_have_their_owners",
        run: no_cgroup,
    },
    Scenario {
        name: "without_tracefs_a_request_is_still_told_whole",
        run: no_tracefs,
    },
    Scenario {
        name: "behind_another_classifier_everything_is_seen",
        run: classifier_taken,
    },
    Scenario {
        name: "a_thousand_interfaces_are_all_watched",
        run: thousand_interfaces,
    },
];

/// Waits for what the kernel does soon, by asking it again.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        if Instant::now() > deadline {
            bail!("waited in vain until {what}");
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// Gone, or dead and not yet collected by its parent.
fn is_dead(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ")
}

/// What a killed tracer may leave on old kernels is gone after the next start.
fn next_start_cleans() -> Result<()> {
    let server = requests::server(false)?;
    let url = format!("http://{server}/");
    Tracer::new(["fetch", &url]).run()?.expect_code(0)?;
    Ok(())
}

fn killed_while_loading() -> Result<()> {
    let before = attached()?;
    let arguments = ["live", "--format", "ndjson", "--duration", "5m"];
    let running = Tracer::new(arguments).start()?;
    // A program is in the kernel as soon as the tracer holds a descriptor of it.
    let descriptors = format!("/proc/{}/fdinfo", running.pid());
    wait_until("a program is loaded", || {
        let entries = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| fs::read_to_string(entry.path()).ok())
            .any(|information| information.contains("prog_type"))
    })?;
    running.signal(Signal::SIGKILL)?;
    let outcome = running.finish()?;
    ensure!(
        outcome.stdout.is_empty(),
        "it was ready before it was killed: {}",
        outcome.describe()
    );
    next_start_cleans()?;
    gone(&before)
}

/// `tracer run` of a shell script that first says `pid=N.` on standard error.
fn traced_shell(script: &str) -> Result<(Running, u32)> {
    let script = format!("echo pid=$$. >&2; {script}");
    let running = Tracer::new(["run", "--", "sh", "-c", &script]).start()?;
    let said = running.wait_for_stderr(".\n")?;
    let pid = said
        .split_once("pid=")
        .and_then(|(_, rest)| rest.split_once('.'))
        .context("no pid")?;
    Ok((running, pid.0.parse()?))
}

fn killed_while_running() -> Result<()> {
    let before = attached()?;
    let (running, command) = traced_shell("exec sleep 600")?;
    ensure!(attached()?.len() > before.len(), "nothing was attached");
    running.signal(Signal::SIGKILL)?;
    let tracer = running.pid();
    wait_until("the tracer is dead", || is_dead(tracer))?;
    ensure!(!is_dead(command), "the command died with its tracer");
    signal::kill(Pid::from_raw(i32::try_from(command)?), Signal::SIGKILL)?;
    running.finish()?;
    next_start_cleans()?;
    gone(&before)
}

fn killed_while_finishing() -> Result<()> {
    let before = attached()?;
    let (running, command) = traced_shell("exit 0")?;
    wait_until("the command has ended", || is_dead(command))?;
    running.signal(Signal::SIGKILL)?;
    running.finish()?;
    next_start_cleans()?;
    gone(&before)
}

/// `tracer run` of a shell with these options; the script gets the program of the scenarios and
/// the port of a server.
fn requests_with(options: &[&str], script: impl FnOnce(&str, u16) -> String) -> Result<Value> {
    let server = requests::server(false)?;
    let program = std::env::current_exe()?;
    let script = script(&program.to_string_lossy(), server.port());
    let mut arguments = vec!["run", "--format", "json", "-o", "-"];
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", &script]);
    Tracer::new(arguments).run()?.expect_code(0)?.json()
}

/// One request of a child for which the shell waits, so that there are two processes.
fn child_requests(program: &str, port: u16) -> String {
    format!("{program} {} {port} 1; true", requests::CLIENT)
}

fn full_ring() -> Result<()> {
    // The tracer is the client's parent, and is stopped during a third of the requests.
    let flood = |program: &str, port| format!("exec {program} {} {port} 60", requests::FLOOD);
    let document = requests_with(&["--ring", "4K"], flood)?;
    let lost = document["capture"]["lost"].as_object().context("no list")?;
    let count: u64 = lost.values().filter_map(Value::as_u64).sum();
    ensure!(count > 0, "nothing was lost in a ring of one page");
    ensure!(document["capture"]["complete"] == false, "{lost:?}");
    journey::check_invariants(&document)
}

fn full_table() -> Result<()> {
    let document = requests_with(&["--traced-processes", "1"], child_requests)?;
    let capture = &document["capture"];
    ensure!(
        capture["lost"]["process"].as_u64() >= Some(1),
        "{capture:#}"
    );
    ensure!(capture["complete"] == false, "{capture:#}");
    let document = requests_with(&[], child_requests)?;
    let capture = &document["capture"];
    ensure!(capture["lost"]["process"].is_null(), "{capture:#}");
    Ok(())
}

/// A fetch in a mount namespace that `script` has prepared.
fn fetch_after(script: &str) -> Result<Value> {
    let tracer = find_tracer().context("no tracer")?;
    let server = requests::server(false)?;
    let script = format!(
        "set -e; {script}; exec {} fetch {} --format json http://{server}/",
        tracer.display(),
        sparing_options().join(" ")
    );
    let outcome = Program::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .run()?
        .expect_code(0)?;
    let document = outcome.json()?;
    ensure!(document["journeys"][0]["outcome"] == "ok", "{document:#}");
    journey::check_invariants(&document)?;
    Ok(document)
}

/// Unmounts every file system of these kinds.
fn unmount(kinds: &str) -> String {
    format!(
        "while read -r device place kind rest; do case $kind in {kinds}) umount -l \"$place\" ;; \
         esac; done < /proc/self/mounts; \
         if grep -qE ' ({kinds}) ' /proc/self/mounts; then echo still mounted >&2; exit 9; fi"
    )
}

fn no_cgroup() -> Result<()> {
    let document = fetch_after(&unmount("cgroup|cgroup2"))?;
    let client = &document["connections"][0]["client_process"];
    ensure!(client["attribution"] == "socket-cookie", "{client}");
    Ok(())
}

/// Neither of the two places shows it, and both are occupied by something else.
fn no_tracefs() -> Result<()> {
    let document = fetch_after(&format!(
        "{}; for place in /sys/kernel/tracing /sys/kernel/debug; do \
         if [ -d $place ]; then mount -t tmpfs -o ro none $place; fi; done",
        unmount("tracefs|debugfs")
    ))?;
    let connection = &document["connections"][0];
    for end in ["client", "server"] {
        let states = journey::states(connection, end);
        ensure!(
            states.last().is_some_and(|last| last.ends_with(">CLOSED")),
            "{end}: {states:?}"
        );
    }
    let hooks = document["capture"]["hooks"].as_array().context("no list")?;
    for hook in hooks {
        let is_attached = hook["status"] == "attached";
        let is_explained =
            is_attached || hook["status"] == "not_needed" || hook["reason"].is_string();
        ensure!(is_explained, "{hook}");
    }
    Ok(())
}

/// Two tracers without XDP share both ways of the interface: the second one queues behind
/// the first (TCX), or takes another handle (clsact).
fn classifier_taken() -> Result<()> {
    let server = requests::server(false)?;
    let port = server.port().to_string();
    let live = [
        "live",
        "--without",
        "xdp",
        "--format",
        "ndjson",
        "--port",
        &port,
        "--duration",
        "5m",
    ];
    let first = Tracer::new(live).start()?;
    first.wait_for_stdout("\"type\":\"capture\"")?;
    let url = format!("http://{server}/");
    let document = Tracer::sparing(["fetch", "--without", "xdp", "--format", "json", &url])
        .run()?
        .expect_code(0)?
        .json()?;
    first.wait_for_stdout("\"type\":\"journey\"")?;
    first.signal(Signal::SIGINT)?;
    first.finish()?.expect_code(0)?;
    journey::check_invariants(&document)?;
    let connection = &document["connections"][0];
    for fact in ["syn_at_ns", "syn_ack_at_ns", "ack_at_ns"] {
        ensure!(connection["handshake"][fact].is_u64(), "{connection:#}");
    }
    let hooks = document["capture"]["hooks"].as_array().context("no list")?;
    for fact in ["frames_in", "frames_out"] {
        let served = hooks.iter().any(|hook| {
            hook["fact"] == fact
                && (hook["hook"] == "tcx" || hook["hook"] == "clsact")
                && hook["status"] == "attached"
        });
        ensure!(served, "{fact}: {hooks:#?}");
    }
    Ok(())
}

/// Half of them, because veth interfaces come in pairs.
const PAIRS: usize = 500;

fn thousand_interfaces() -> Result<()> {
    if std::env::var_os("TRACER_GUEST").is_some() {
        return Err(Skipped("emulated, it takes many minutes".into()).into());
    }
    if find_program("ip").is_none() {
        return Err(Skipped("iproute2 is not installed here".into()).into());
    }
    let tracer = find_tracer().context("no tracer")?;
    let script = format!(
        "set -e; ip link set lo up; i=0; \
         while [ $i -lt {PAIRS} ]; do \
           echo link add a$i type veth peer name b$i; \
           echo link set a$i up; echo link set b$i up; i=$((i+1)); \
         done | ip -batch -; \
         ulimit -S -n 1024; exec {} run -v --format json -o - -- sh -c 'echo limit=$(ulimit -n).'",
        tracer.display()
    );
    let outcome = Program::new("unshare")
        .args(["-n", "sh", "-c", &script])
        .limit(Duration::from_secs(240))
        .run()?
        .expect_code(0)?
        // More descriptors than that are open, but the command does not notice.
        .expect_stderr("limit=1024.")?;
    let document = outcome.json()?;
    let interfaces = journey::strings(&document["capture"]["interfaces"]);
    ensure!(
        interfaces.len() > 2 * PAIRS,
        "{} interfaces",
        interfaces.len()
    );
    let hooks = document["capture"]["hooks"].as_array().context("no list")?;
    for hook in hooks.iter().filter(|hook| hook["status"] == "failed") {
        let fact = hook["fact"].as_str().unwrap_or_default();
        ensure!(!fact.starts_with("frames"), "{hook}");
    }
    // With TCX each of them would take a grace period of the kernel.
    let leaving = hooks.iter().filter(|hook| hook["fact"] == "frames_out");
    let attached: Vec<_> = leaving
        .filter(|hook| hook["status"] == "attached")
        .collect();
    ensure!(
        attached.len() > 2 * PAIRS && attached.iter().all(|hook| hook["hook"] == "clsact"),
        "{:#?}",
        attached.first()
    );
    // For people who run this scenario by itself: how long the start took.
    eprintln!("{}", outcome.stderr);
    Ok(())
}
