//! Who watches.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::processor;
use super::server::Server;
use crate::program::Program;
use crate::running::Running;

/// Nobody, the tracer in three ways, or somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observer {
    Nobody,
    /// The tracer traces another command: nothing of this is wanted.
    Elsewhere,
    /// The tracer watches the whole host, and is asked for another port.
    OtherPort,
    /// The tracer watches the whole host.
    Live,
    Tcpdump,
    Bpftrace,
}

pub const OBSERVERS: [Observer; 6] = [
    Observer::Nobody,
    Observer::Elsewhere,
    Observer::OtherPort,
    Observer::Live,
    Observer::Tcpdump,
    Observer::Bpftrace,
];

/// Longer than any round.
const LIMIT: Duration = Duration::from_secs(120);
/// State changes of TCP sockets; the second probe says when the first is there.
const ONE_LINER: &str = "tracepoint:sock:inet_sock_set_state { @[args->newstate] = count(); } \
                         interval:ms:50 /!@said/ { @said = 1; printf(\"ready\\n\"); }";

/// Not every machine has it mounted, and bpftrace finds nothing without. Nobody else sees this.
const WITH_TRACEFS: &str = "mount -t tracefs tracefs /sys/kernel/tracing; \
                            exec bpftrace -B line -e \"$0\"";

impl Observer {
    pub fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Elsewhere => "tracer run of another command",
            Self::OtherPort => "tracer live for another port",
            Self::Live => "tracer live",
            Self::Tcpdump => "tcpdump -w",
            Self::Bpftrace => "bpftrace",
        }
    }

    /// Begins to watch; it does when this returns.
    pub fn start(self, tracer: &Path, server: &Server) -> Result<Watching> {
        let before = processor::of_children()?;
        let file = |name: &str| server.folder().join(name).to_string_lossy().into_owned();
        let report = file("report.ndjson");
        let running = match self {
            Self::Nobody => None,
            Self::Elsewhere => {
                // The command says when it was let go, which is when everything is attached.
                let arguments = ["run", "-q", "--", "sh", "-c", "echo ready; exec sleep 600"];
                let running = Program::new(tracer).args(arguments).limit(LIMIT).start()?;
                running.wait_for_stdout("ready")?;
                Some(running)
            }
            Self::OtherPort | Self::Live => {
                let mut arguments = vec!["live", "-o", &report, "--duration", "5m"];
                if self == Self::OtherPort {
                    arguments.extend(["--port", "9"]);
                }
                let running = Program::new(tracer).args(arguments).limit(LIMIT).start()?;
                running.wait_for_stderr("watching")?;
                Some(running)
            }
            Self::Tcpdump => {
                let running = Program::new("tcpdump")
                    .args(["-i", "lo", "-w", &file("dump.pcap"), "tcp"])
                    .limit(LIMIT)
                    .start()?;
                running.wait_for_stderr("listening on")?;
                Some(running)
            }
            Self::Bpftrace => {
                let running = Program::new("unshare")
                    .args(["-m", "sh", "-c", WITH_TRACEFS, ONE_LINER])
                    .limit(LIMIT)
                    .start()?;
                running.wait_for_stdout("ready")?;
                Some(running)
            }
        };
        let ready = running.as_ref().map(|it| processor::of_process(it.pid()));
        Ok(Watching {
            running,
            observer: self,
            ready: ready.transpose()?.unwrap_or_default(),
            before,
        })
    }
}

/// An observer at work.
pub struct Watching {
    running: Option<Running>,
    observer: Observer,
    /// What it had taken when it was ready.
    ready: Duration,
    before: Duration,
}

impl Watching {
    /// Ends it; what it took since it was ready, to the end of its report.
    pub fn finish(self) -> Result<Duration> {
        let Some(running) = self.running else {
            return Ok(Duration::ZERO);
        };
        if self.observer == Observer::Bpftrace {
            // It sometimes misses the signal; there is no report to wait for.
            let all = processor::of_process(running.pid())?;
            return Ok(all.saturating_sub(self.ready));
        }
        let asked = processor::of_children()?.saturating_sub(self.before);
        running.signal(Signal::SIGINT)?;
        let outcome = running.finish()?;
        if self.observer != Observer::Elsewhere {
            // `run` has the code of the command, which was interrupted.
            outcome.expect_code(0)?;
        }
        let all = processor::of_children()?.saturating_sub(self.before);
        Ok(all.saturating_sub(asked).saturating_sub(self.ready))
    }
}
