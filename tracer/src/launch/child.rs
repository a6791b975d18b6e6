//! The stopped child's side: prepare, wait for the word, become the command.

use super::etc::ResolverFiles;
use super::inherited::adopt;
use super::user::{Identity, SUDO_VARIABLES};
use nix::sched::{CloneFlags, setns};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Exit code when the preparation itself failed, as timeout(1) and env(1) use it.
const PREPARATION_FAILED: u8 = 125;
/// The command exists but could not be run, as in a shell.
const NOT_EXECUTABLE: u8 = 126;
/// There is no such command, as in a shell.
const NOT_FOUND: u8 = 127;

/// Options of the hidden subcommand `__launch`.
#[derive(Debug, clap::Args)]
pub struct LaunchArguments {
    /// Pipe that brings the preparation and then one byte: go.
    #[arg(long, value_name = "FD")]
    control_fd: RawFd,
    /// Network namespace to enter.
    #[arg(long, value_name = "FD")]
    network_fd: Option<RawFd>,
    /// Limit on open files of the command.
    #[arg(long, value_name = "NUMBER")]
    open_files: Option<u64>,
    /// Allow the command huge pages of memory.
    #[arg(long)]
    huge_pages: bool,
    /// User to become.
    #[arg(long, requires = "gid")]
    uid: Option<u32>,
    /// Group to become.
    #[arg(long, requires = "uid")]
    gid: Option<u32>,
    /// Login name of the user to become.
    #[arg(long, requires = "uid", default_value = "")]
    user_name: String,
    /// Run this same program instead of a command.
    #[arg(long)]
    this_program: bool,
    /// The command with its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl LaunchArguments {
    fn identity(&self) -> Option<Identity> {
        Some(Identity {
            uid: self.uid?,
            gid: self.gid?,
            name: self.user_name.clone(),
        })
    }
}

/// Runs `__launch`: returns only when the command could not be started.
#[must_use]
pub fn run(arguments: LaunchArguments) -> ExitCode {
    set_process_name();
    match prepare(&arguments) {
        Err(message) => {
            eprintln!("tracer: {message}");
            ExitCode::from(PREPARATION_FAILED)
        }
        // The tracer ended before it said go: nobody is left to tell.
        Ok(Word::GiveUp) => ExitCode::from(PREPARATION_FAILED),
        Ok(Word::Go) => become_command(&arguments),
    }
}

/// Without this the kernel calls a process started through `/proc/self/exe` "exe".
pub(crate) fn set_process_name() {
    // A name of our own without NUL and within 15 bytes cannot be refused.
    let _ = nix::sys::prctl::set_name(c"tracer");
}

enum Word {
    Go,
    GiveUp,
}

fn prepare(arguments: &LaunchArguments) -> Result<Word, String> {
    let mut control = adopt(arguments.control_fd)
        .map(File::from)
        .map_err(|error| {
            format!("cannot listen to the tracer: {error}; `__launch` is for the tracer's own use")
        })?;
    let files = match read_preparation(&mut control) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Word::GiveUp),
        Err(error) => {
            return Err(format!(
                "cannot prepare the command: {error}; this is a defect of the tracer, please report it"
            ));
        }
    };
    if let Some(number) = arguments.network_fd {
        let entered = adopt(number)
            .and_then(|namespace| Ok(setns(namespace, CloneFlags::CLONE_NEWNET)?))
            .map_err(|error| {
                format!("cannot enter the network namespace: {error}; run as root (CAP_SYS_ADMIN)")
            });
        entered?;
    }
    if let Some(files) = files {
        files.install().map_err(|(step, error)| {
            format!("cannot {step}: {error}; run as root (CAP_SYS_ADMIN)")
        })?;
    }
    let mut word = [0];
    match control.read(&mut word) {
        Ok(1) => Ok(Word::Go),
        _ => Ok(Word::GiveUp),
    }
}

/// Reads what [`super::parent`] wrote: a length (u32, little endian) and that many bytes
/// of JSON.
fn read_preparation(control: &mut impl Read) -> io::Result<Option<ResolverFiles>> {
    let mut length = [0; 4];
    control.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    let mut json = Vec::new();
    let read = control.take(u64::from(length)).read_to_end(&mut json)?;
    if read != usize::try_from(length).unwrap_or(usize::MAX) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&json)?)
}

fn become_command(arguments: &LaunchArguments) -> ExitCode {
    if let Some(limit) = arguments.open_files {
        super::open_files::restore_open_files(limit);
    }
    // The tracer's own client starts like the tracer.
    if arguments.huge_pages && !arguments.this_program {
        super::small_pages::allow_huge_pages();
    }
    let identity = arguments.identity();
    if let Some(identity) = &identity
        && let Err(error) = identity.assume()
    {
        eprintln!(
            "tracer: cannot become user {} ({}): {error}; run as root",
            identity.uid, identity.name
        );
        return ExitCode::from(PREPARATION_FAILED);
    }
    let failure = if arguments.this_program {
        become_this_program(&arguments.command)
    } else {
        let mut words = arguments.command.iter();
        let program = words.next().cloned().unwrap_or_default();
        let mut command = Command::new(&program);
        command.args(words);
        if let Some(identity) = &identity {
            command.envs(identity.environment());
            for variable in SUDO_VARIABLES {
                command.env_remove(variable);
            }
        }
        (program, command.exec())
    };
    report_exec_failure(&failure.0, &failure.1)
}

/// Executes this program again: by its path, so that it is known by its name, or through
/// /proc where the path is out of this user's reach or names another file by now.
fn become_this_program(arguments: &[OsString]) -> (OsString, io::Error) {
    let by_link = PathBuf::from("/proc/self/exe");
    let by_path = std::fs::read_link(&by_link)
        .ok()
        .filter(|path| same_file(path, &by_link));
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for path in by_path.iter().chain([&by_link]) {
        failure = Command::new(path).arg0("tracer").args(arguments).exec();
    }
    (by_link.into(), failure)
}

fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

fn report_exec_failure(program: &OsString, error: &io::Error) -> ExitCode {
    let program = program.display();
    if error.kind() == io::ErrorKind::NotFound {
        eprintln!(
            "tracer: cannot run `{program}`: no such command; check the spelling, or give its path"
        );
        return ExitCode::from(NOT_FOUND);
    }
    eprintln!("tracer: cannot run `{program}`: {error}; check that it is an executable file");
    ExitCode::from(NOT_EXECUTABLE)
}

#[cfg(test)]
mod tests {
    use super::read_preparation;

    #[test]
    fn a_preparation_that_is_cut_is_refused() {
        let whole = [4, 0, 0, 0, b'n', b'u', b'l', b'l', b'!'];
        assert_eq!(read_preparation(&mut whole.as_slice()).unwrap(), None);
        for length in 0..8 {
            let mut cut = whole.get(..length).unwrap_or_default();
            assert!(read_preparation(&mut cut).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_length_beyond_the_pipe_does_not_reserve_memory() {
        let mut claim = [0xff, 0xff, 0xff, 0xff, b'{'].as_slice();
        assert!(read_preparation(&mut claim).is_err());
    }
}
