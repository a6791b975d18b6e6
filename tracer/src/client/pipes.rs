//! The client's pipes, seen from the tracer.

use super::options::RequestOptions;
use super::report::Line;
use crate::capture::Fact;
use crate::launch::{LaunchSpec, Program};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// A line longer than this is not one of ours and is dropped. Bytes.
const MAX_LINE: usize = 65_536;

/// Something the client said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// CLOCK_BOOTTIME of the client when it said so, in nanoseconds; secrets have none.
    pub boottime_ns: Option<u64>,
    /// [`Fact::Client`] or [`Fact::TlsSecret`].
    pub fact: Fact,
}

/// The tracer's ends of the client's pipes.
#[derive(Debug)]
pub struct ClientPipes {
    reports: Lines,
    secrets: Lines,
}

/// How to start the built-in client, and what it will say. Must be called inside a tokio
/// runtime with I/O enabled.
///
/// # Errors
/// When no pipe can be made (too many open files).
pub fn launch_spec(options: &RequestOptions) -> io::Result<(LaunchSpec, ClientPipes)> {
    let (reports, report_fd) = pipe2(OFlag::O_CLOEXEC)?;
    let (secrets, secret_fd) = pipe2(OFlag::O_CLOEXEC)?;
    let mut arguments: Vec<OsString> = vec![
        "__client".into(),
        format!("--report-fd={}", report_fd.as_raw_fd()).into(),
        format!("--secret-fd={}", secret_fd.as_raw_fd()).into(),
    ];
    arguments.extend(options.to_arguments());
    let mut spec = LaunchSpec::new(Program::ThisProgram, arguments);
    spec.inherit = vec![report_fd, secret_fd];
    let pipes = ClientPipes {
        reports: Lines::new(reports)?,
        secrets: Lines::new(secrets)?,
    };
    Ok((spec, pipes))
}

impl ClientPipes {
    /// The next thing the client says; `None` when it has ended. Cancel safe.
    ///
    /// Secrets come first, so that whoever sees a report of the end has them already.
    pub async fn next(&mut self) -> Option<Statement> {
        while !(self.secrets.ended && self.reports.ended) {
            let line = tokio::select! {
                biased;
                line = self.secrets.next(), if !self.secrets.ended => line.and_then(secret),
                line = self.reports.next(), if !self.reports.ended => line.and_then(|line| report(&line)),
            };
            if line.is_some() {
                return line;
            }
        }
        None
    }
}

fn secret(line: Vec<u8>) -> Option<Statement> {
    Some(Statement {
        boottime_ns: None,
        fact: Fact::TlsSecret(String::from_utf8(line).ok()?),
    })
}

fn report(line: &[u8]) -> Option<Statement> {
    let line: Line = serde_json::from_slice(line).ok()?;
    Some(Statement {
        boottime_ns: Some(line.boottime_ns),
        fact: Fact::Client(line.into()),
    })
}

/// Lines of a pipe, bounded in length.
#[derive(Debug)]
struct Lines {
    pipe: Receiver,
    pending: Vec<u8>,
    /// The line being read is too long: skip to its end.
    skipping: bool,
    ended: bool,
}

impl Lines {
    fn new(pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            pipe: Receiver::from_owned_fd(pipe)?,
            pending: Vec::new(),
            skipping: false,
            ended: false,
        })
    }

    /// The next whole line; `None` at the end (then `ended` is set). Cancel safe: bytes
    /// read so far stay in `pending`.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(line) = self.take_line() {
                return Some(line);
            }
            let mut chunk = [0; 4096];
            match self.pipe.read(&mut chunk).await {
                Ok(length) if length > 0 => {
                    self.pending
                        .extend_from_slice(chunk.get(..length).unwrap_or_default());
                }
                _ => {
                    self.ended = true;
                    return None;
                }
            }
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') else {
                if self.pending.len() > MAX_LINE {
                    self.pending.clear();
                    self.skipping = true;
                }
                return None;
            };
            let rest = self.pending.split_off(end + 1);
            let mut line = std::mem::replace(&mut self.pending, rest);
            line.pop();
            if !std::mem::take(&mut self.skipping) {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientPipes, Lines, MAX_LINE};
    use crate::capture::{ClientEvent, ClientReport, Fact};
    use nix::fcntl::OFlag;
    use nix::unistd::pipe2;
    use std::fs::File;
    use std::io::Write;

    async fn heard(reports: Vec<u8>, secrets: &str) -> Vec<Fact> {
        let (report_reader, report_writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let (secret_reader, secret_writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let mut pipes = ClientPipes {
            reports: Lines::new(report_reader).expect("a reader"),
            secrets: Lines::new(secret_reader).expect("a reader"),
        };
        let secrets = secrets.to_owned();
        // Longer than a pipe holds, so the writer must not be the reader.
        let writer = std::thread::spawn(move || {
            File::from(secret_writer).write_all(secrets.as_bytes())?;
            File::from(report_writer).write_all(&reports)
        });
        let mut facts = Vec::new();
        while let Some(statement) = pipes.next().await {
            facts.push(statement.fact);
        }
        writer.join().expect("a writer").expect("written");
        facts
    }

    #[tokio::test]
    async fn lines_of_both_pipes_become_facts_until_both_end() {
        let report = br#"{"boottime_ns":1,"pid":2,"url":"http://a/","event":"started"}"#;
        let facts = heard([report.as_slice(), b"\n"].concat(), "CLIENT_RANDOM 00 11\n").await;
        assert_eq!(
            facts,
            [
                Fact::TlsSecret("CLIENT_RANDOM 00 11".into()),
                Fact::Client(ClientReport {
                    pid: 2,
                    url: "http://a/".into(),
                    event: ClientEvent::Started
                })
            ]
        );
    }

    #[tokio::test]
    async fn noise_and_endless_lines_are_skipped() {
        let mut reports = b"not json\n\xff\n".to_vec();
        reports.extend(std::iter::repeat_n(b'x', MAX_LINE * 3));
        reports.push(b'\n');
        reports.extend_from_slice(
            br#"{"boottime_ns":1,"pid":2,"url":"u","event":"finished","status":200}"#,
        );
        reports.push(b'\n');
        reports.extend_from_slice(b"a line without end");
        let facts = heard(reports, "").await;
        assert_eq!(facts.len(), 1, "{facts:?}");
    }
}
