//! One guest from power-on to power-off, watched by its serial console.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anstream::adapter::strip_str;
use anyhow::{Context, Result};

use crate::output::say;
use crate::process;

/// Longer lines are cut: a guest gone wild must not fill this machine's memory.
const LONGEST_LINE: u64 = 64 * 1024;
/// Nor its disk.
const LARGEST_LOG: usize = 64 * 1024 * 1024;
/// How long a panicked kernel may go on printing.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// Software emulation by choice: /dev/kvm may exist and not work, and results must not depend
/// on it. It runs with thread=single: with one host thread per processor (thread=multi) one of
/// four runs of 6.1 ended with a kworker spinning for ever (soft lockup), and two guests at a
/// time keep two processors busy anyway.
///
/// Without -cx16, 6.12 panics in cmpxchg16b under QEMU 7.2. Without -erms and -fsrm, kernel and
/// C library copy and clear memory by words instead of `rep movsb`, which is emulated byte for
/// byte: 816 of 3021 busy samples of 6.1 while the tracer started six times (`profile=2`).
const PROCESSOR: &str = "max,-cx16,-erms,-fsrm";

/// The kernel's command line.
const PARAMETERS: [&str; 10] = [
    "console=ttyS0",
    "quiet",
    "panic=-1",
    "softlockup_panic=1",
    "watchdog_thresh=30",
    // What protects a real machine only costs time here.
    "mitigations=off",
    "init_on_alloc=0",
    "audit=0",
    // The kernel's cryptography is not what is tested.
    "cryptomgr.notests",
    // Attaching and detaching wait for grace periods.
    "rcupdate.rcu_expedited=1",
];

/// Init's first words.
const UP: &str = "init: kernel ";

/// A guest to boot.
#[derive(Debug)]
pub struct Guest<'a> {
    /// What its lines are marked with where they are shown.
    pub name: &'a str,
    pub kernel: &'a Path,
    pub initramfs: &'a Path,
    /// One more for the kernel's command line.
    pub parameter: &'a str,
    /// The console's lines go here as they come, each behind the seconds since power-on.
    pub log: PathBuf,
    pub limit: Duration,
    /// Show the console on standard error as well.
    pub echo: bool,
}

/// A guest that is off again.
#[derive(Debug)]
pub struct Run {
    pub outcome: Outcome,
    pub console: String,
    pub wall: Duration,
    /// What the emulation took of this machine's processors: the measure that other work on
    /// the machine disturbs least.
    pub cpu: Duration,
}

/// How a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
    /// The kernel panicked.
    Panic,
    /// The time limit was reached.
    TimedOut,
    /// QEMU ended, and init had said nothing.
    Ended,
}

impl Outcome {
    pub fn describe(self) -> &'static str {
        match self {
            Self::Success => "all tests passed",
            Self::Failure => "tests failed",
            Self::Panic => "the guest's kernel panicked",
            Self::TimedOut => "the guest did not finish in time",
            Self::Ended => "the guest ended before its tests did",
        }
    }
}

impl Guest<'_> {
    /// Boots the guest and waits until it is off. QEMU is always gone afterwards.
    pub fn run(&self) -> Result<Run> {
        let mut log = File::create(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        let started = Instant::now();
        let mut child = self.start()?;
        let lines = read_lines(child.stdout.take().context("QEMU has no output")?);
        let result = self.watch(&lines, &mut log, started);
        let cpu = cpu_time(child.id());
        // After its verdict a guest switches itself off; waiting for that proves nothing.
        stop(&mut child);
        let (outcome, console) = result?;
        Ok(Run {
            outcome,
            console,
            wall: started.elapsed(),
            cpu,
        })
    }

    fn start(&self) -> Result<Child> {
        let qemu = process::find_program("qemu-system-x86_64")
            .context("QEMU is missing: run `cargo xtask setup --tests`")?;
        // QEMU must not outlive this program, even when that is killed.
        let mut command = match process::find_program("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL"]).arg(qemu);
                command
            }
            None => Command::new(qemu),
        };
        command
            .args(["-accel", "tcg,thread=single", "-cpu", PROCESSOR])
            .args([
                "-m",
                "2048",
                "-smp",
                "2",
                "-no-reboot",
                "-nographic",
                "-nodefaults",
            ])
            .args(["-serial", "stdio", "-kernel"])
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs)
            .args([
                "-append",
                &[&PARAMETERS[..], &[self.parameter]].concat().join(" "),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let line = process::line(&command);
        command
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))
    }

    /// Follows the console until init's verdict, the end or the time limit; after a panic for a
    /// moment more, because the kernel prints where it happened.
    fn watch(
        &self,
        lines: &Receiver<String>,
        log: &mut File,
        started: Instant,
    ) -> Result<(Outcome, String)> {
        let mut deadline = started + self.limit;
        let mut panicked = false;
        let mut console = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match lines.recv_timeout(left) {
                Ok(line) => line,
                Err(_) if panicked => return Ok((Outcome::Panic, console)),
                Err(RecvTimeoutError::Timeout) => return Ok((Outcome::TimedOut, console)),
                Err(RecvTimeoutError::Disconnected) => return Ok((Outcome::Ended, console)),
            };
            if console.len() + line.len() <= LARGEST_LOG {
                let seconds = started.elapsed().as_secs_f64();
                log.write_all(format!("{seconds:8.2} {line}").as_bytes())?;
                console.push_str(&line);
            }
            if self.echo {
                eprint!("{:>6} | {line}", self.name);
            }
            if line.contains(UP) {
                say(&format!(
                    "   guest {}: up after {:.1} s",
                    self.name,
                    started.elapsed().as_secs_f64()
                ));
            }
            match verdict(&line) {
                Some(Outcome::Panic) if !panicked => {
                    panicked = true;
                    deadline = deadline.min(Instant::now() + AFTER_PANIC);
                }
                Some(outcome) if !panicked => return Ok((outcome, console)),
                _ => {}
            }
        }
    }
}

fn verdict(line: &str) -> Option<Outcome> {
    // Not at the start of the line: the kernel writes to the same console.
    [
        ("init: success", Outcome::Success),
        ("init: failure", Outcome::Failure),
        ("Kernel panic", Outcome::Panic),
    ]
    .iter()
    .find(|(text, _)| line.contains(text))
    .map(|(_, outcome)| *outcome)
}

fn read_lines(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(1024);
    thread::spawn(move || {
        let mut source = BufReader::new(source);
        loop {
            let mut line = Vec::new();
            match (&mut source)
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)
            {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
            if sender.send(printable(&line)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A console line without what could change the user's terminal: the firmware clears the screen.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    strip_str(&text)
        .to_string()
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// Processor time of a child that was not waited for yet, from proc_pid_stat(5).
fn cpu_time(pid: u32) -> Duration {
    /// USER_HZ, the unit of that file, is 100 on every machine that guests exist for.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    TICK * ticks(&stat)
}

/// The 14th and 15th field; the second is a name in brackets, which may hold anything.
fn ticks(stat: &str) -> u32 {
    let (_, rest) = stat.rsplit_once(')').unwrap_or_default();
    let fields = rest.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<u32>().ok()).sum()
}

/// Ends QEMU by its own process, and leaves no zombie.
fn stop(child: &mut Child) {
    // Both fail only when it is gone already.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_heard_between_kernel_messages() {
        assert_eq!(
            verdict("[   12.3] random: ready init: success\n"),
            Some(Outcome::Success)
        );
        assert_eq!(verdict("init: failure\n"), Some(Outcome::Failure));
        assert_eq!(
            verdict("[ 1.0] Kernel panic - not syncing\n"),
            Some(Outcome::Panic)
        );
        assert_eq!(verdict("test success ... ok\n"), None);
    }

    #[test]
    fn lines_lose_what_a_terminal_would_obey() {
        assert_eq!(printable(b"\x1bc\x1b[?7l\x1b[2Jhello\r\n"), "hello\n");
    }

    #[test]
    fn processor_time_is_read_behind_a_name_with_brackets() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 90 0 0 0 1200 34 0 0 20 0 5 0 100 1 1";
        assert_eq!(ticks(stat), 1234);
        assert_eq!(ticks(""), 0);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let long = vec![b'x'; usize::try_from(LONGEST_LINE).unwrap() + 5];
        let lines: Vec<_> = read_lines(std::io::Cursor::new(long)).iter().collect();
        assert_eq!(lines.len(), 2);
    }
}
