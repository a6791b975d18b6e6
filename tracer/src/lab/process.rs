//! The lab's servers as child processes: born in their namespaces, configured
//! through stdin, ready when they say so on stdout, gone when stdin ends (that is, also
//! when the tracer is killed).

use super::LabError;
use super::namespace::Namespace;
use super::server::{Configuration, READY, Role};
use crate::launch::spawn_alone;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// How long a server may take to listen; it takes milliseconds.
const DEADLINE_MS: u16 = 10_000;

#[derive(Debug)]
pub(super) struct ServerProcess {
    role: Role,
    child: Child,
    /// The lifeline. Dropped, the server ends.
    stdin: Option<ChildStdin>,
}

impl ServerProcess {
    /// Starts the server, not yet listening. The child inherits the network of the thread
    /// that forks it, so that it needs no rights of its own.
    pub fn spawn(role: Role, namespace: &Namespace) -> Result<Self, LabError> {
        let mut child = namespace.run("start a server of the lab", || {
            let mut command = Command::new("/proc/self/exe");
            command
                .arg0("tracer")
                .args(["__lab-server", role.name()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // Ctrl-C at the terminal is for the tracer, which then ends its servers.
                .process_group(0);
            spawn_alone(&[], || command.spawn()).map_err(|error| LabError::Server {
                server: role.name(),
                reason: error.to_string(),
            })
        })?;
        let stdin = child.stdin.take();
        Ok(Self { role, child, stdin })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn failed(&self, reason: impl Into<String>) -> LabError {
        LabError::Server {
            server: self.role.name(),
            reason: reason.into(),
        }
    }

    /// Tells the server what to serve.
    pub fn configure(&mut self, configuration: &Configuration) -> Result<(), LabError> {
        let mut json =
            serde_json::to_vec(configuration).map_err(|error| self.failed(error.to_string()))?;
        json.push(b'\n');
        let written = match &mut self.stdin {
            Some(stdin) => stdin.write_all(&json),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|error| self.failed(error.to_string()))
    }

    /// Waits until the server says that it listens.
    pub fn wait_until_ready(&mut self) -> Result<(), LabError> {
        let Some(stdout) = self.child.stdout.take() else {
            return Err(self.failed("its stdout is gone"));
        };
        let mut readable = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        if poll(&mut readable, PollTimeout::from(DEADLINE_MS)) == Ok(0) {
            return Err(self.failed("it was not ready in time"));
        }
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        match read {
            Ok(_) if line.trim() == READY => Ok(()),
            Ok(0) => Err(self.failed("it ended; does main() begin with launch::hidden_command()?")),
            Ok(_) => Err(self.failed(line.trim())),
            Err(error) => Err(self.failed(error.to_string())),
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It would end by the lifeline alone; killing it as well makes the wait short and
        // certain, so that its namespace is free when the lab is gone.
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
