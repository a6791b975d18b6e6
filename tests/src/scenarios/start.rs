//! What the start of a capture costs, and what it leaves as it was.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::pty::openpty;
use nix::sys::prctl;
use nix::sys::signal::Signal;

use crate::network::Network;
use crate::program::{Program, Tracer, find_program, find_tracer, must_run, watching};
use crate::requests;
use crate::running::Running;
use crate::scenario::{Scenario, Skipped};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_start_reads_the_kernel_s_types_once_and_links_uprobes_where_it_can",
        run: started_well,
    },
    Scenario {
        name: "a_capture_does_without_huge_pages_and_its_command_does_not",
        run: small_pages,
    },
    Scenario {
        name: "a_start_that_takes_long_says_how_far_it_is_on_a_terminal_only",
        run: slow_start,
    },
];

/// A capture that has begun.
fn begun() -> Result<Running> {
    let port = requests::server(false)?.port();
    watching(&port.to_string())
}

fn end(live: Running) -> Result<()> {
    live.signal(Signal::SIGINT)?;
    live.finish()?.expect_code(0)?;
    Ok(())
}

/// The value behind a name in a file of /proc, as in `rchar: 17`.
fn value(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().parse().ok()
}

fn started_well() -> Result<()> {
    let live = begun()?;
    types_once(live.pid())?;
    uprobe_links(live.pid())?;
    end(live)
}

/// They are several megabytes, and far more than everything else that a start reads. Whoever
/// walks through them a second time (aya makes it easy) reads them a second time.
fn types_once(tracer: u32) -> Result<()> {
    let types = fs::metadata("/sys/kernel/btf/vmlinux")?.len();
    let counted = fs::read_to_string(format!("/proc/{tracer}/io"))?;
    let read = value(&counted, "rchar").context("no rchar")?;
    ensure!(
        (types..2 * types).contains(&read),
        "{read} bytes were read, the types are {types}"
    );
    Ok(())
}

/// Links (Linux 6.6) end side by side, perf events one after the other.
fn uprobe_links(tracer: u32) -> Result<()> {
    let can_link = b"BPF_TRACE_UPROBE_MULTI";
    let types = fs::read("/sys/kernel/btf/vmlinux")?;
    let expected = types.windows(can_link.len()).any(|name| name == can_link);
    let mut found = Vec::new();
    for descriptor in fs::read_dir(format!("/proc/{tracer}/fdinfo"))? {
        let information = fs::read_to_string(descriptor?.path())?;
        let mut lines = information.lines();
        found.extend(lines.find_map(|line| line.strip_prefix("link_type:").map(str::to_owned)));
    }
    // Newer kernels name the return apart: `uretprobe_multi`.
    let linked = found.iter().filter(|kind| kind.contains("probe_multi"));
    ensure!((linked.count() > 1) == expected, "{found:?}");
    Ok(())
}

/// Does the kernel give the process with this status huge pages?
fn has_huge_pages(status: &str) -> Result<bool> {
    Ok(value(status, "THP_enabled").context("no THP_enabled")? == 1)
}

fn small_pages() -> Result<()> {
    if !has_huge_pages(&fs::read_to_string("/proc/self/status")?)? {
        let why = "this kernel gives nobody huge pages";
        return Err(Skipped(why.into()).into());
    }
    let live = begun()?;
    let status = fs::read_to_string(format!("/proc/{}/status", live.pid()))?;
    ensure!(!has_huge_pages(&status)?, "{status}");
    end(live)?;
    let run = ["run", "-q", "--", "cat", "/proc/self/status"];
    let status = Tracer::new(run).run()?.expect_code(0)?.stdout;
    ensure!(has_huge_pages(&status)?, "the command: {status}");
    // What was switched off before the tracer came stays so.
    let tracer = find_tracer().context("no tracer")?;
    let status = without_huge_pages(Program::new(tracer).args(run))?;
    ensure!(!has_huge_pages(&status)?, "the command: {status}");
    Ok(())
}

/// Runs a program that is not given huge pages, and returns what it prints.
fn without_huge_pages(program: Program) -> Result<String> {
    prctl::set_thp_disable(true)?;
    // It is inherited at the start.
    let started = program.start();
    prctl::set_thp_disable(false)?;
    Ok(started?.finish()?.expect_code(0)?.stdout)
}

/// Half of the interfaces, because veth interfaces come in pairs.
const PAIRS: usize = 80;

/// With TCX each interface waits for a grace period of the kernel: seconds for so many.
fn slow_start() -> Result<()> {
    if env::var_os("TRACER_GUEST").is_some() {
        return Err(Skipped("emulated, it takes minutes".into()).into());
    }
    if find_program("ip").is_none() {
        return Err(Skipped("iproute2 is not installed here".into()).into());
    }
    Network::create()?.inside(|| {
        let pairs = (0..PAIRS).map(|number| {
            let (one, other) = (format!("a{number}"), format!("b{number}"));
            format!(
                "link add {one} type veth peer name {other}\nlink set {one} up\nlink set {other} up\n"
            )
        });
        let mut batch = tempfile::NamedTempFile::new()?;
        batch.write_all(pairs.collect::<String>().as_bytes())?;
        must_run("ip", &["-batch", &batch.path().to_string_lossy()])?;
        let in_pipe = slow_run(Stderr::Pipe)?;
        ensure!(!in_pipe.contains("attaching"), "{in_pipe:?}");
        let on_terminal = slow_run(Stderr::Terminal)?;
        let (begun, end) = on_terminal
            .split_once("attached in ")
            .with_context(|| format!("no end of the start: {on_terminal:?}"))?;
        let lasted: u64 = end.split(' ').next().unwrap_or_default().parse()?;
        if lasted < 2500 {
            let why = format!("{PAIRS} pairs of interfaces took only {lasted} ms");
            return Err(Skipped(why).into());
        }
        let drawn = format!("{} interfaces to watch", 2 * PAIRS + 1);
        let drawn = drawn.replacen(' ', "\u{a0}", 1);
        ensure!(begun.contains("\r\x1b[Ktracer: attaching for 2 s: "), "{begun:?}");
        ensure!(begun.contains(&drawn), "{begun:?}");
        // What comes next has the line for itself.
        let erased = begun.rfind("\r\x1b[K").context("never erased")?;
        ensure!(!begun[erased..].contains("attaching"), "{begun:?}");
        Ok(())
    })
}

/// Where a program's standard error goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stderr {
    Terminal,
    Pipe,
}

/// Standard error of a run whose start takes long.
fn slow_run(stderr: Stderr) -> Result<String> {
    let arguments = [
        "run",
        "-v",
        "--without",
        "xdp",
        "--force-hook",
        "frames_in=tcx",
        "--force-hook",
        "frames_out=tcx",
        "-o",
        "/dev/null",
        "--",
        "true",
    ];
    if stderr == Stderr::Pipe {
        let outcome = Tracer::new(arguments).run()?;
        if outcome.code() == Some(4) {
            return Err(Skipped("this kernel has no TCX".into()).into());
        }
        return Ok(outcome.expect_code(0)?.stderr);
    }
    let terminal = openpty(None, None)?;
    let mut command = Command::new(find_tracer().context("no tracer")?);
    let mut running = command
        .args(arguments)
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(terminal.slave)
        .spawn()?;
    // Its own copy would keep the terminal open.
    drop(command);
    let mut text = Vec::new();
    // EIO is how a terminal ends whose last program has closed it.
    let _ = File::from(terminal.master).read_to_end(&mut text);
    ensure!(
        running.wait()?.success(),
        "{}",
        String::from_utf8_lossy(&text)
    );
    Ok(String::from_utf8_lossy(&text).into_owned())
}
