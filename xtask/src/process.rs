//! Commands with a time limit, whose failure says which command it was and what it printed.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use wait_timeout::ChildExt;

/// How a command ended and all it printed, both streams in the order they came.
#[derive(Debug)]
pub struct Finished {
    /// None: the time limit was reached and the command was killed.
    pub status: Option<ExitStatus>,
    pub output: String,
}

impl Finished {
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// `exit status: 101`, `signal: 9 (SIGKILL)` or that it took too long.
    pub fn describe(&self) -> String {
        self.status.map_or_else(
            || "killed: it took too long".to_owned(),
            |status| status.to_string(),
        )
    }
}

/// The command as it could be typed.
pub fn line(command: &Command) -> String {
    let mut text = quoted(command.get_program());
    for argument in command.get_args() {
        let _ = write!(text, " {}", quoted(argument));
    }
    text
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs a command whose output the user sees as it comes, on standard error.
pub fn run(command: &mut Command, limit: Duration) -> Result<()> {
    command.stdin(Stdio::null()).stdout(io::stderr());
    let text = line(command);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    finish(&mut child, &text, limit)
}

/// Runs a quiet command and returns its standard output.
pub fn capture(command: &mut Command, limit: Duration) -> Result<String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let text = line(command);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    let stdout = Collector::start(child.stdout.take());
    let stderr = Collector::start(child.stderr.take());
    match child.wait_timeout(limit)? {
        Some(status) if status.success() => Ok(stdout.finish()),
        Some(status) => bail!("`{text}` failed ({status}): {}", stderr.finish().trim()),
        None => {
            child.kill()?;
            child.wait()?;
            bail!(
                "`{text}` was stopped: it took more than {} s",
                limit.as_secs()
            )
        }
    }
}

/// Runs a command whose standard output becomes a file.
pub fn into_file(command: &mut Command, file: File, limit: Duration) -> Result<()> {
    command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(Stdio::inherit());
    let text = line(command);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    finish(&mut child, &text, limit)
}

/// Waits for a command that prints its own messages.
fn finish(child: &mut Child, text: &str, limit: Duration) -> Result<()> {
    match child.wait_timeout(limit)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("`{text}` failed ({status}); its messages are above"),
        None => {
            child.kill()?;
            child.wait()?;
            bail!(
                "`{text}` was stopped: it took more than {} s",
                limit.as_secs()
            )
        }
    }
}

/// Runs a command and keeps everything it prints; `echo` also shows it as it comes.
pub fn record(command: &mut Command, limit: Duration, echo: bool) -> Result<Finished> {
    let text = line(command);
    // One pipe for both streams keeps messages and results in their true order.
    let (reader, writer) = io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    // The command still holds the pipe's other end; the reader would never see its end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let collected = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&collected);
    let reading = thread::spawn(move || drain(reader, echo, &sink));
    let status = child.wait_timeout(limit)?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
        // A grandchild may live on and hold the pipe: waiting for its end could take for ever.
    } else {
        let _ = reading.join();
    }
    Ok(Finished {
        status,
        output: text_of(&collected),
    })
}

/// One stream of a child, read in the background so that a full pipe never blocks the child.
struct Collector {
    bytes: Arc<Mutex<Vec<u8>>>,
    reading: Option<JoinHandle<()>>,
}

impl Collector {
    fn start<R: Read + Send + 'static>(source: Option<R>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reading = source.map(|source| thread::spawn(move || drain(source, false, &sink)));
        Self { bytes, reading }
    }

    fn finish(self) -> String {
        if let Some(reading) = self.reading {
            let _ = reading.join();
        }
        text_of(&self.bytes)
    }
}

fn text_of(bytes: &Mutex<Vec<u8>>) -> String {
    let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn drain(mut source: impl Read, echo: bool, sink: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 8192];
    while let Ok(length @ 1..) = source.read(&mut chunk) {
        let part = chunk.get(..length).unwrap_or_default();
        sink.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(part);
        if echo {
            // A closed terminal must not end the command.
            let _ = io::stderr().write_all(part);
        }
    }
}

/// Finds a program on PATH, then where Debian keeps programs of the administrator, which
/// an ordinary user's PATH leaves out.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

/// Whether a file is there and may be executed by somebody.
pub fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// `program` with the rights of root: itself, or under sudo.
pub fn as_root(program: impl AsRef<OsStr>) -> Result<Command> {
    if nix::unistd::geteuid().is_root() {
        return Ok(Command::new(program));
    }
    let Some(sudo) = find_program("sudo") else {
        bail!(
            "`{}` needs root and this machine has no sudo: run the same command as root",
            program.as_ref().display()
        );
    };
    let mut command = Command::new(sudo);
    command.arg("--").arg(program);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = capture(&mut shell("echo broken >&2; exit 3"), SOON)
            .unwrap_err()
            .to_string();
        assert!(error.contains("sh -c 'echo broken >&2; exit 3'"), "{error}");
        assert!(
            error.contains("exit status: 3") && error.ends_with("broken"),
            "{error}"
        );
    }

    #[test]
    fn a_command_that_hangs_is_stopped_at_its_limit() {
        let finished = record(
            &mut shell("echo first; exec sleep 600"),
            Duration::from_millis(200),
            false,
        )
        .unwrap();
        assert!(finished.status.is_none() && !finished.succeeded());
        assert_eq!(finished.output, "first\n");
    }

    #[test]
    fn both_streams_are_recorded_in_order() {
        let finished = record(
            &mut shell("echo one; echo two >&2; echo three"),
            SOON,
            false,
        )
        .unwrap();
        assert_eq!(finished.output, "one\ntwo\nthree\n");
    }

    #[test]
    fn a_quote_in_an_argument_can_be_pasted_into_a_shell() {
        let mut command = Command::new("echo");
        command.arg("it's");
        assert_eq!(line(&command), r"echo 'it'\''s'");
    }
}
