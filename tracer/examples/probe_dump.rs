//! Prints what the probe observes while a command runs. Root only, needs the real object:
//!
//! ```text
//! probe_dump [--host] [--ring BYTES] [--force FACT=HOOK]... [--without HOOK]... [-- COMMAND...]
//! probe_dump --inspect
//! ```

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use tracer::{
    capture::{Fact, HookKind, Observation},
    journey::model::HookReport,
    probe::{Probe, ProbeOptions, Scope},
};

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probe_dump: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let mut options = ProbeOptions::default();
    let mut arguments = std::env::args().skip(1);
    let mut command = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--inspect" => {
                tracer::probe::inspect()?.iter().for_each(show_hook);
                return Ok(());
            }
            "--ring" => options.ring_bytes = arguments.next().unwrap_or_default().parse()?,
            "--host" => options.scope = Scope::Host,
            "--interface" => options.interfaces.extend(arguments.next()),
            "--force" => {
                let value = arguments.next().unwrap_or_default();
                let (fact, hook) = value
                    .split_once('=')
                    .ok_or_else(|| anyhow::anyhow!("--force FACT=HOOK"))?;
                options.force.push((fact.to_owned(), kind(hook)?));
            }
            "--without" => options
                .without
                .push(kind(&arguments.next().unwrap_or_default())?),
            "--" => {
                command.extend(arguments.by_ref());
            }
            other => anyhow::bail!("unknown option {other}"),
        }
    }
    let start = Instant::now();
    let mut probe = Probe::attach(options).await?;
    println!("attached after {:?}", start.elapsed());
    probe.hooks().iter().for_each(show_hook);
    watch(&mut probe, &command).await?;
    probe.drain().await.iter().for_each(show);
    println!("memory {}", memory());
    println!("detached after {:?}", probe.detach().wait().duration);
    Ok(())
}

/// Runs the command, traced from before its first instruction, and shows what happens
/// until a moment after its end.
async fn watch(probe: &mut Probe, command: &[String]) -> anyhow::Result<()> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(());
    };
    // The child traces itself by waiting until it may go on.
    let (reader, writer) = std::io::pipe()?;
    let mut gate = reader.try_clone()?;
    let mut process = Command::new(program);
    process.args(arguments).stdin(Stdio::null());
    // SAFETY: only reads from a pipe, which is allowed between fork and exec.
    unsafe {
        process.pre_exec(move || {
            use std::io::Read as _;
            gate.read_exact(&mut [0])
        });
    }
    // spawn() waits for exec, so another thread opens the gate.
    let (told, pid) = std::sync::mpsc::channel();
    let mut gatekeeper = writer;
    let spawned = std::thread::spawn(move || {
        let child = process.spawn();
        let _ = told.send(());
        child
    });
    let parent = std::process::id();
    let child = loop {
        if let Some(child) = child_of(parent) {
            break child;
        }
        anyhow::ensure!(pid.try_recv().is_err(), "the command did not start");
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    probe.trace_process(child)?;
    gatekeeper.write_all(&[0])?;
    drop(reader);
    let mut ended = None;
    let mut spawned = Some(spawned);
    let mut running = None;
    loop {
        if let Ok(batch) = tokio::time::timeout(Duration::from_millis(20), probe.next()).await {
            batch?.iter().for_each(show);
        }
        if spawned.as_ref().is_some_and(|thread| thread.is_finished()) {
            let thread = spawned.take().map(std::thread::JoinHandle::join);
            running = match thread {
                Some(Ok(child)) => Some(child?),
                _ => anyhow::bail!("the command did not start"),
            };
        }
        if let Some(child) = &mut running
            && ended.is_none()
            && child.try_wait()?.is_some()
        {
            ended = Some(Instant::now());
        }
        if ended.is_some_and(|at: Instant| at.elapsed() > Duration::from_millis(300)) {
            return Ok(());
        }
    }
}

/// A process whose parent is this one.
fn child_of(parent: u32) -> Option<u32> {
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .ok()
                .and_then(|stat| {
                    let rest = stat.rsplit_once(')')?.1.to_owned();
                    rest.split_whitespace().nth(1)?.parse::<u32>().ok()
                })
                == Some(parent)
        })
}

fn kind(name: &str) -> anyhow::Result<HookKind> {
    HookKind::ALL
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| anyhow::anyhow!("unknown hook {name}"))
}

fn show_hook(report: &HookReport) {
    println!(
        "  {:<14} {:<11} {:<40} {:?} {}",
        report.fact,
        report.hook,
        report.target,
        report.status,
        report.reason.as_deref().unwrap_or("")
    );
}

fn show(observation: &Observation) {
    let at = observation.at_ns / 1000;
    match &observation.fact {
        Fact::Frame(frame) => println!(
            "{at:>9} us frame if{} {:?} {} cookie {:?} {}/{} bytes {}",
            frame.interface,
            frame.direction,
            frame.hook.name(),
            frame.cookie,
            frame.data.len(),
            frame.original_length,
            flags(&frame.data)
        ),
        fact => println!("{at:>9} us {fact:?}"),
    }
}

/// TCP flags of an IPv4 or IPv6 frame without options.
fn flags(data: &[u8]) -> String {
    let (protocol, start) = match data.get(12..14) {
        Some([8, 0]) => (data.get(23), 34),
        Some([0x86, 0xdd]) => (data.get(20), 54),
        Some([8, 6]) => return "arp".to_owned(),
        _ => return String::new(),
    };
    let ports: Vec<u16> = data
        .get(start..start + 4)
        .unwrap_or_default()
        .chunks(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        .collect();
    match protocol {
        Some(6) => {
            let bits = data.get(start + 13).copied().unwrap_or(0);
            let names = [(2, "SYN"), (16, "ACK"), (8, "PSH"), (1, "FIN"), (4, "RST")];
            let set: Vec<&str> = names
                .iter()
                .filter(|(bit, _)| bits & bit != 0)
                .map(|(_, name)| *name)
                .collect();
            format!("tcp {ports:?} {}", set.join(","))
        }
        Some(protocol) => format!("protocol {protocol} {ports:?}"),
        None => String::new(),
    }
}

fn memory() -> String {
    std::fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
        .collect::<Vec<_>>()
        .join(" ")
}
