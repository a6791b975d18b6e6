//! A program that runs while a scenario acts: waiting for its words, signals, its end.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use wait_timeout::ChildExt;

use crate::outcome::Outcome;

/// Output beyond this is thrown away: a test must not fill the machine's memory.
const LARGEST_OUTPUT: usize = 256 * 1024 * 1024;

/// A started program, in a process group of its own. Dropping it ends the whole group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
    deadline: Instant,
    limit: Duration,
    stdout: Stream,
    stderr: Stream,
    ended: bool,
}

impl Running {
    pub(crate) fn start(mut command: Command, limit: Duration) -> Result<Self> {
        let line = format!("{command:?}");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that its children end with it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {line}"))?;
        let stdout = Stream::follow(child.stdout.take());
        let stderr = Stream::follow(child.stderr.take());
        let deadline = Instant::now() + limit;
        Ok(Self {
            child,
            line,
            deadline,
            limit,
            stdout,
            stderr,
            ended: false,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until standard error holds `text`, and returns all of it so far.
    pub fn wait_for_stderr(&self, text: &str) -> Result<String> {
        self.wait_for(&self.stderr, "standard error", text)
    }

    /// Waits until standard output holds `text`, and returns all of it so far.
    pub fn wait_for_stdout(&self, text: &str) -> Result<String> {
        self.wait_for(&self.stdout, "standard output", text)
    }

    fn wait_for(&self, stream: &Stream, name: &str, text: &str) -> Result<String> {
        match stream.wait_for(text, self.deadline) {
            Ok(all) => Ok(all),
            Err(all) => bail!(
                "{} never said {text:?} on {name} (limit {} s), only:\n{all}\nother stream:\n{}{}",
                self.line,
                self.limit.as_secs_f64(),
                self.stdout.text(),
                self.stderr.text(),
            ),
        }
    }

    /// Sends a signal to the program alone, as `kill` does.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        signal::kill(self.process(), signal).with_context(|| format!("cannot signal {}", self.line))
    }

    /// Sends a signal to the program and its children, as Ctrl-C at a terminal does.
    pub fn signal_group(&self, signal: Signal) -> Result<()> {
        signal::killpg(self.process(), signal)
            .with_context(|| format!("cannot signal {}", self.line))
    }

    /// Waits for its end; reaching the limit is an error that shows what it printed.
    pub fn finish(mut self) -> Result<Outcome> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let status = self.child.wait_timeout(left)?;
        let Some(status) = status else {
            self.end_group();
            bail!(
                "{} did not end within {} s\nstdout:\n{}\nstderr:\n{}",
                self.line,
                self.limit.as_secs_f64(),
                self.stdout.text(),
                self.stderr.text()
            );
        };
        self.ended = true;
        Ok(self.outcome(status))
    }

    fn outcome(&mut self, status: ExitStatus) -> Outcome {
        // A child in the background may hold the pipes for longer than the program lives.
        Outcome {
            line: self.line.clone(),
            status,
            stdout: self.stdout.finish(self.deadline),
            stderr: self.stderr.finish(self.deadline),
        }
    }

    fn process(&self) -> Pid {
        // Process ids are positive and fit into pid_t, which Linux bounds at 2^22.
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    fn end_group(&mut self) {
        // Fails only when the group is gone already.
        let _ = signal::killpg(self.process(), Signal::SIGKILL);
        let _ = self.child.wait();
        self.ended = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.end_group();
        }
    }
}

/// One stream of a program, read in the background.
#[derive(Debug)]
struct Stream {
    state: Arc<(Mutex<State>, Condvar)>,
    reading: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    closed: bool,
}

impl Stream {
    fn follow<R: Read + Send + 'static>(source: Option<R>) -> Self {
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let shared = Arc::clone(&state);
        let reading = source.map(|source| thread::spawn(move || read_into(source, &shared)));
        Self { state, reading }
    }

    fn text(&self) -> String {
        let state = self.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&state.bytes).into_owned()
    }

    /// All text once it holds `wanted`; or all there was when the stream or the time ended.
    fn wait_for(&self, wanted: &str, deadline: Instant) -> Result<String, String> {
        let holds = |state: &State| {
            let text = String::from_utf8_lossy(&state.bytes);
            text.contains(wanted).then(|| text.into_owned())
        };
        self.wait_until(deadline, |state| holds(state).is_some() || state.closed);
        let state = self.state.0.lock().unwrap_or_else(PoisonError::into_inner);
        holds(&state).ok_or_else(|| String::from_utf8_lossy(&state.bytes).into_owned())
    }

    /// All text, after the stream's end where that comes before the deadline.
    fn finish(&mut self, deadline: Instant) -> String {
        let closed = self.wait_until(deadline, |state| state.closed);
        if closed && let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
        self.text()
    }

    fn wait_until(&self, deadline: Instant, done: impl Fn(&State) -> bool) -> bool {
        let (mutex, changed) = &*self.state;
        let state = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        let (state, _) = changed
            .wait_timeout_while(state, left, |state| !done(state))
            .unwrap_or_else(PoisonError::into_inner);
        done(&state)
    }
}

fn read_into(mut source: impl Read, shared: &(Mutex<State>, Condvar)) {
    let mut chunk = [0; 8192];
    loop {
        let length = match source.read(&mut chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Ok(length) => length,
            Err(_) => 0,
        };
        let mut state = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if length == 0 {
            state.closed = true;
            shared.1.notify_all();
            return;
        }
        if state.bytes.len() < LARGEST_OUTPUT {
            state
                .bytes
                .extend_from_slice(chunk.get(..length).unwrap_or_default());
        }
        shared.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Program;

    fn start(script: &str) -> Running {
        Program::new("sh")
            .args(["-c", script])
            .limit(Duration::from_secs(20))
            .start()
            .unwrap()
    }

    #[test]
    fn a_scenario_can_act_when_the_program_is_ready() {
        // Not by SIGINT: it is ignored in what a script starts in the background, and a shell
        // cannot trap what was ignored when it began.
        let running =
            start("trap 'echo ended; exit 7' TERM; echo ready >&2; while :; do sleep 0.05; done");
        running.wait_for_stderr("ready").unwrap();
        running.signal(Signal::SIGTERM).unwrap();
        let outcome = running.finish().unwrap();
        assert_eq!(
            (outcome.code(), outcome.stdout.as_str()),
            (Some(7), "ended\n")
        );
    }

    #[test]
    fn words_that_never_come_are_an_error_with_what_was_said() {
        let text = start("echo something else")
            .wait_for_stdout("ready")
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("something else") && text.contains("ready"),
            "{text}"
        );
    }

    #[test]
    fn dropping_ends_the_program_and_its_children() {
        let running = start("sleep 600 & echo $!; wait");
        let child = running.wait_for_stdout("\n").unwrap();
        drop(running);
        let pid = Pid::from_raw(child.trim().parse().unwrap());
        let gone = || {
            // A killed process may stay for a moment as a zombie of the init process.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !gone() {
            assert!(Instant::now() < deadline, "the child {pid} lives on");
            thread::yield_now();
        }
    }
}
