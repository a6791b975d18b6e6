//! The tracer's side: describe a command, start it stopped, let it go, wait for it.

use super::etc::ResolverFiles;
use super::inherited::spawn_alone;
use super::open_files::limit_before;
use super::small_pages::were_huge;
use super::user::Identity;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command};

/// Contents of replaced files must fit the pipe that carries them, because the child reads
/// them later than they are written (pipe(7): 65,536 bytes).
const MAX_PREPARATION: usize = 60_000;

/// What to run.
#[derive(Debug)]
pub enum Program {
    /// A command, looked up in PATH as a shell does.
    Command(OsString),
    /// This same program, for instance as its built-in client.
    ThisProgram,
}

/// Where a standard stream of the command goes.
#[derive(Debug, Default)]
pub enum Output {
    /// Where the tracer's own goes.
    #[default]
    Inherit,
    /// To the tracer's stderr.
    Stderr,
    /// Nowhere.
    Null,
    /// Into this descriptor.
    Descriptor(OwnedFd),
}

impl Output {
    fn into_stdio(self) -> io::Result<Stdio> {
        Ok(match self {
            Self::Inherit => Stdio::inherit(),
            Self::Stderr => Stdio::from(io::stderr().as_fd().try_clone_to_owned()?),
            Self::Null => Stdio::null(),
            Self::Descriptor(descriptor) => Stdio::from(descriptor),
        })
    }
}

/// A command to be started stopped.
#[derive(Debug)]
pub struct LaunchSpec {
    pub program: Program,
    pub arguments: Vec<OsString>,
    /// `false` connects the command's stdin to /dev/null.
    pub inherit_stdin: bool,
    pub stdout: Output,
    pub stderr: Output,
    /// Set in the command's environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Taken out of the command's environment.
    pub without_environment: Vec<OsString>,
    /// Stay open in the command under the same number, and are closed here.
    pub inherit: Vec<OwnedFd>,
    /// Network namespace of the command.
    pub network: Option<OwnedFd>,
    /// Files of /etc that only the command and its children see.
    pub resolver_files: Option<ResolverFiles>,
    /// User to become; see [`Identity::invoking`].
    pub user: Option<Identity>,
}

impl LaunchSpec {
    /// A command with the tracer's own streams, environment, network and user.
    #[must_use]
    pub fn new(program: Program, arguments: Vec<OsString>) -> Self {
        Self {
            program,
            arguments,
            inherit_stdin: true,
            stdout: Output::Inherit,
            stderr: Output::Inherit,
            environment: Vec::new(),
            without_environment: Vec::new(),
            inherit: Vec::new(),
            network: None,
            resolver_files: None,
            user: None,
        }
    }
}

/// Why a command could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(
        "cannot start the command: {0}; check the limits on processes and open files (ulimit -u, -n)"
    )]
    Spawn(#[source] io::Error),
    #[error("cannot start the command: its replaced files take {0} bytes; keep them below 60000")]
    FilesTooLarge(usize),
}

/// A command that was started stopped.
///
/// Dropped before [`Launched::go`], it never runs (the pipe closes without the word);
/// dropped later, it runs on.
#[derive(Debug)]
pub struct Launched {
    /// Process id, the same before and after the command's execve.
    pub pid: u32,
    control: Option<File>,
    child: Child,
}

/// Starts `spec` stopped. Must be called inside a tokio runtime with I/O enabled.
///
/// # Errors
/// When no process can be made. A command that does not exist shows only after
/// [`Launched::go`], as exit code 127 (not found), 126 (not executable) or 125 (its
/// surroundings could not be prepared), with a message on stderr.
pub async fn start(spec: LaunchSpec) -> Result<Launched, LaunchError> {
    let preparation = serde_json::to_vec(&spec.resolver_files)
        .map_err(|error| LaunchError::Spawn(error.into()))?;
    let length = u32::try_from(preparation.len())
        .ok()
        .filter(|_| preparation.len() <= MAX_PREPARATION)
        .ok_or(LaunchError::FilesTooLarge(preparation.len()))?;
    let (child, mut control) = spawn(spec).map_err(LaunchError::Spawn)?;
    control
        .write_all(&length.to_le_bytes())
        .and_then(|()| control.write_all(&preparation))
        .map_err(LaunchError::Spawn)?;
    let pid = child
        .id()
        .ok_or_else(|| LaunchError::Spawn(io::ErrorKind::NotFound.into()))?;
    Ok(Launched {
        pid,
        control: Some(control),
        child,
    })
}

fn spawn(spec: LaunchSpec) -> io::Result<(Child, File)> {
    let (listen, control) = pipe2(OFlag::O_CLOEXEC)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("tracer").arg("__launch");
    command
        .arg("--control-fd")
        .arg(listen.as_raw_fd().to_string());
    let mut inherit = spec.inherit;
    inherit.push(listen);
    if let Some(network) = spec.network {
        command
            .arg("--network-fd")
            .arg(network.as_raw_fd().to_string());
        inherit.push(network);
    }
    if let Some(limit) = limit_before() {
        command.args(["--open-files", &limit.to_string()]);
    }
    if were_huge() {
        command.arg("--huge-pages");
    }
    if let Some(user) = spec.user {
        command.args(["--uid", &user.uid.to_string()]);
        command.args(["--gid", &user.gid.to_string()]);
        command.args(["--user-name", &user.name]);
    }
    match spec.program {
        Program::ThisProgram => command.args(["--this-program", "--"]),
        Program::Command(program) => command.arg("--").arg(program),
    };
    command.args(spec.arguments);
    for variable in spec.without_environment {
        command.env_remove(variable);
    }
    command.envs(spec.environment);
    if !spec.inherit_stdin {
        command.stdin(Stdio::null());
    }
    command.stdout(spec.stdout.into_stdio()?);
    command.stderr(spec.stderr.into_stdio()?);
    let child = spawn_alone(&inherit, || command.spawn())?;
    Ok((child, File::from(control)))
}

impl Launched {
    /// Lets the command run. Has an effect only once.
    pub fn go(&mut self) {
        if let Some(mut control) = self.control.take() {
            // Fails only when the child is gone already; its exit status tells why.
            let _ = control.write_all(&[1]);
        }
    }

    /// Waits for the command to end. Cancel safe, and repeatable.
    ///
    /// # Errors
    /// When the kernel refuses wait(2), which it does only for a child reaped elsewhere.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Kills the command (SIGKILL); a command that has ended is not an error.
    pub fn kill(&mut self) {
        let _ = self.child.start_kill();
    }
}
