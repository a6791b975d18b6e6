//! What goes through the client's two pipes, and the client's end of them.

use super::options::ClientArguments;
use crate::capture::{ClientEvent, ClientReport};
use nix::time::{ClockId, clock_gettime};
use rustls::KeyLog;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// One line of the report pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// CLOCK_BOOTTIME in nanoseconds.
    pub boottime_ns: u64,
    pub pid: u32,
    pub url: String,
    #[serde(flatten)]
    pub event: Event,
}

/// [`ClientEvent`] as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Event {
    Started,
    Finished { status: u16 },
    Failed { stage: String, message: String },
}

impl From<Line> for ClientReport {
    fn from(line: Line) -> Self {
        Self {
            pid: line.pid,
            url: line.url,
            event: match line.event {
                Event::Started => ClientEvent::Started,
                Event::Finished { status } => ClientEvent::Finished { status },
                Event::Failed { stage, message } => ClientEvent::Failed { stage, message },
            },
        }
    }
}

/// The client's end of the pipes. A tracer that is gone is no reason to stop.
#[derive(Debug)]
pub(super) struct Reporter {
    reports: Option<Mutex<File>>,
    secrets: Option<Arc<SecretPipe>>,
}

impl Reporter {
    pub fn open(arguments: &ClientArguments) -> Result<Self, String> {
        let adopt = |number: Option<i32>| {
            number
                .map(|number| crate::launch::adopt(number).map(|fd| Mutex::new(File::from(fd))))
                .transpose()
                .map_err(|error| {
                    format!("cannot report to the tracer: {error}; `__client` is for the tracer's own use")
                })
        };
        Ok(Self {
            reports: adopt(arguments.report_fd)?,
            secrets: adopt(arguments.secret_fd)?.map(|file| Arc::new(SecretPipe(file))),
        })
    }

    /// Where rustls leaves the secrets of its sessions, if anyone wants them.
    pub fn key_log(&self) -> Option<Arc<dyn KeyLog>> {
        self.secrets
            .clone()
            .map(|secrets| -> Arc<dyn KeyLog> { secrets })
    }

    /// Says what happens now; a failure also goes to stderr when nobody listens.
    pub fn say(&self, url: &str, event: Event) {
        let Some(pipe) = &self.reports else {
            if let Event::Failed { message, .. } = &event {
                eprintln!("tracer: {message}");
            }
            return;
        };
        let line = Line {
            boottime_ns: boottime_ns(),
            pid: std::process::id(),
            url: url.to_owned(),
            event,
        };
        if let Ok(mut json) = serde_json::to_vec(&line) {
            json.push(b'\n');
            write(pipe, &json);
        }
    }
}

fn boottime_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
        let rest = u64::try_from(time.tv_nsec()).unwrap_or_default();
        seconds.saturating_mul(1_000_000_000).saturating_add(rest)
    })
}

fn write(pipe: &Mutex<File>, line: &[u8]) {
    let _ = pipe
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .write_all(line);
}

/// A key log that is a pipe.
#[derive(Debug)]
struct SecretPipe(Mutex<File>);

impl KeyLog for SecretPipe {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!(
            "{label} {} {}\n",
            hex::encode(client_random),
            hex::encode(secret)
        );
        write(&self.0, line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Line};
    use crate::capture::{ClientEvent, ClientReport};

    #[test]
    fn every_event_survives_the_pipe() {
        let events = [
            (Event::Started, ClientEvent::Started),
            (
                Event::Finished { status: 301 },
                ClientEvent::Finished { status: 301 },
            ),
            (
                Event::Failed {
                    stage: "tls".into(),
                    message: "bad \"certificate\"\n".into(),
                },
                ClientEvent::Failed {
                    stage: "tls".into(),
                    message: "bad \"certificate\"\n".into(),
                },
            ),
        ];
        for (written, meant) in events {
            let line = Line {
                boottime_ns: 5,
                pid: 7,
                url: "https://a.test/".into(),
                event: written,
            };
            let json = serde_json::to_string(&line).expect("json");
            assert!(!json.contains('\n'), "{json}");
            let read: Line = serde_json::from_str(&json).expect("the same");
            assert_eq!(read, line);
            assert_eq!(
                ClientReport::from(read),
                ClientReport {
                    pid: 7,
                    url: "https://a.test/".into(),
                    event: meant
                }
            );
        }
    }
}
