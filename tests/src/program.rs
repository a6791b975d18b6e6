//! Commands under test: the tracer and the programs beside it, each with a time limit.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::outcome::Outcome;
use crate::running::Running;

/// Enough for a traced request on an emulated machine; hanging is a failure, not a wait.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// One run of the tracer.
#[derive(Debug)]
pub struct Tracer(Program);

impl Tracer {
    /// The tracer with these arguments. Where it is missing, running it says so.
    pub fn new(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let path = find_tracer().unwrap_or_else(|| PathBuf::from("tracer"));
        Self(Program::new(path).args(arguments))
    }

    /// The same for a scenario that is not about the way through the kernel: with
    /// [`sparing_options`] behind the first argument.
    pub fn sparing<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut arguments = arguments.into_iter();
        let subcommand = Self::new(arguments.next());
        subcommand.with(|program| program.args(sparing_options()).args(arguments))
    }

    /// Changes how it is run: variables, folder, limit.
    pub fn with(self, change: impl FnOnce(Program) -> Program) -> Self {
        Self(change(self.0))
    }

    /// Runs it to its end.
    pub fn run(self) -> Result<Outcome> {
        check_tracer()?;
        self.0.run()
    }

    /// Starts it, for scenarios that act while it runs.
    pub fn start(self) -> Result<Running> {
        check_tracer()?;
        self.0.start()
    }
}

/// `tracer run` of this program in another part (see [`crate::requests::part`]); its report is
/// JSON on standard output.
pub fn tracing(options: &[&str], part: &[&str]) -> Result<Tracer> {
    let program = env::current_exe()?;
    let program = program.to_string_lossy();
    let before = [&["run", "--format", "json", "-o", "-"], options].concat();
    Ok(Tracer::new([&before[..], &["--", &program], part].concat()))
}

/// Options of `fetch` and `demo` that let a guest watch the way through the kernel by tracepoints,
/// as a machine without kprobes does. To attach to a function, and to let go of it, the kernel
/// walks over all 40,000 functions that it can trace: emulated, a `demo --format json` takes 2.3 s
/// of processor time with kprobes, and 1.5 s with tracepoints (6.1).
pub fn sparing_options() -> &'static [&'static str] {
    match env::var_os("TRACER_GUEST") {
        Some(_) => &["--force-hook", "kernel_path=tracepoint"],
        None => &[],
    }
}

/// `tracer live` for one port, writing a line per journey; every hook is attached. The
/// duration only bounds a test that went wrong.
pub fn watching(port: &str) -> Result<Running> {
    watching_with(&["--port", port])
}

/// The same with these options.
pub fn watching_with(options: &[&str]) -> Result<Running> {
    let arguments = ["live", "--format", "ndjson", "--duration", "5m"];
    let running = Tracer::new(arguments.iter().chain(options)).start()?;
    // The header line is written when the capture has begun.
    running.wait_for_stdout("\"type\":\"capture\"")?;
    Ok(running)
}

/// A command with a time limit.
#[derive(Debug)]
pub struct Program {
    command: Command,
    limit: Duration,
}

impl Program {
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(path);
        command.stdin(Stdio::null());
        // What a test expects must not depend on who runs it.
        command
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env_remove("NO_COLOR")
            .env_remove("SSLKEYLOGFILE");
        Self {
            command,
            limit: DEFAULT_LIMIT,
        }
    }

    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Its standard input, and that of what it starts; nothing otherwise.
    pub fn input(mut self, input: impl Into<Stdio>) -> Self {
        self.command.stdin(input);
        self
    }

    /// Runs it as this user and group, without supplementary groups.
    pub fn user(mut self, id: u32) -> Self {
        use std::os::unix::process::CommandExt;
        self.command.uid(id).gid(id);
        self
    }

    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end; reaching the limit is an error that shows what it printed.
    pub fn run(self) -> Result<Outcome> {
        self.start()?.finish()
    }

    pub fn start(self) -> Result<Running> {
        Running::start(self.command, self.limit)
    }
}

/// The tracer under test: named by TRACER_BINARY, beside this program, or in the working
/// folder's target.
pub fn find_tracer() -> Option<PathBuf> {
    if let Some(path) = env::var_os("TRACER_BINARY") {
        return Some(PathBuf::from(path));
    }
    let beside = env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.join("tracer")));
    let built = Path::new("target/release/tracer").canonicalize().ok();
    [beside, built]
        .into_iter()
        .flatten()
        .find(|path| path.is_file())
}

fn check_tracer() -> Result<()> {
    match find_tracer() {
        Some(path) if path.is_file() => Ok(()),
        Some(path) => bail!("TRACER_BINARY names {}, which is no file", path.display()),
        None => bail!("there is no tracer to test: run `cargo xtask build`, or set TRACER_BINARY"),
    }
}

/// Finds a program on PATH; None lets a scenario skip itself with a reason.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Runs a program that a scenario needs and cannot do without.
pub fn must_run(name: &str, arguments: &[&str]) -> Result<Outcome> {
    let path = find_program(name)
        .with_context(|| format!("{name} is missing: run `cargo xtask setup --tests`"))?;
    Program::new(path).args(arguments).run()?.expect_code(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("sh").args(["-c", script])
    }

    #[test]
    fn streams_and_code_are_kept_apart() {
        let outcome = shell("echo out; echo err >&2; exit 5").run().unwrap();
        assert_eq!(
            (outcome.stdout.as_str(), outcome.stderr.as_str()),
            ("out\n", "err\n")
        );
        assert_eq!(outcome.code(), Some(5));
    }

    #[test]
    fn an_unexpected_code_shows_the_command_and_both_streams() {
        let error = shell("echo out; echo err >&2; exit 5")
            .run()
            .unwrap()
            .expect_code(0);
        let text = format!("{:#}", error.unwrap_err());
        for part in ["sh", "exit status: 5", "out", "err", "expected exit code 0"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let started = std::time::Instant::now();
        let error = shell("echo begun; sleep 600 & wait")
            .limit(Duration::from_millis(300))
            .run();
        let text = format!("{:#}", error.unwrap_err());
        assert!(
            text.contains("did not end within") && text.contains("begun"),
            "{text}"
        );
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn output_larger_than_a_pipe_does_not_block() {
        let outcome = shell("head -c 300000 /dev/zero").run().unwrap();
        assert_eq!(outcome.stdout.len(), 300_000);
    }
}
