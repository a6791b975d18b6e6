//! A network namespace of somebody else, by the name that ip-netns(8) gave it or by a process
//! that lives in it.
//!
//! Only the network is entered. `ip netns exec` remounts /sys as well, and with it tracefs and
//! the cgroups would be gone, on which most hooks hang.

use crate::launch::{EtcFile, ResolverFiles};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Where names are (`NETNS_RUN_DIR` of iproute2), on systems of today and of old.
const NAMES: [&str; 2] = ["/run/netns", "/var/run/netns"];
/// Files of its own that `ip netns exec` shows a command as those of /etc.
const ETC: &str = "/etc/netns";
/// Those of them that say how names are resolved, which are anybody's to read.
const RESOLVER_FILES: [&str; 5] = [
    "resolv.conf",
    "hosts",
    "nsswitch.conf",
    "host.conf",
    "gai.conf",
];

/// Why a namespace cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error(
        "cannot enter network namespace {0}: /run/netns has none of this name; `ip netns` lists them, and the pid of a process names its own"
    )]
    NoName(String),
    #[error(
        "cannot enter the network namespace of process {0}: there is no such process; `ps -e` lists them"
    )]
    NoProcess(String),
    #[error("not permitted: {capability} is needed {purpose}: run tracer with sudo")]
    NotPermitted {
        capability: &'static str,
        purpose: &'static str,
    },
    #[error(
        "cannot enter network namespace {0}: what has this name is none any more; `ip netns delete {0}` removes the rest of it"
    )]
    NoNamespace(String),
    #[error(
        "cannot read {path}: {source}; this namespace's commands get it as a file of /etc, make it readable text"
    )]
    ResolverFile { path: PathBuf, source: io::Error },
    #[error("cannot enter network namespace {name}: {source}; is /proc mounted?")]
    System { name: String, source: io::Error },
}

/// A network namespace.
#[derive(Debug)]
pub struct NetworkNamespace {
    name: String,
    /// By a name of ip-netns(8), and not by a process.
    named: bool,
    descriptor: OwnedFd,
}

impl NetworkNamespace {
    /// By its name; where there is none such, a number is a pid.
    ///
    /// # Errors
    /// See [`NamespaceError`].
    pub fn find(name: &str) -> Result<Self, NamespaceError> {
        let by_name = NAMES.iter().map(|folder| Path::new(folder).join(name));
        for path in by_name {
            match File::open(path) {
                Ok(file) => return Ok(Self::new(name, true, file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(refused(name, error)),
            }
        }
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NamespaceError::NoName(name.to_owned()));
        }
        match File::open(format!("/proc/{name}/ns/net")) {
            Ok(file) => Ok(Self::new(name, false, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(NamespaceError::NoProcess(name.to_owned()))
            }
            // ptrace_may_access in fs/proc/namespaces.c.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(NamespaceError::NotPermitted {
                    capability: "CAP_SYS_PTRACE",
                    purpose: "to look at the namespaces of another user's process",
                })
            }
            Err(error) => Err(refused(name, error)),
        }
    }

    fn new(name: &str, named: bool, file: File) -> Self {
        Self {
            name: name.to_owned(),
            named,
            descriptor: file.into(),
        }
    }

    /// As reports name it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Moves the calling thread, and what it starts from now on, into the namespace.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, and when it is no network namespace.
    pub fn enter(&self) -> Result<(), NamespaceError> {
        setns(&self.descriptor, CloneFlags::CLONE_NEWNET).map_err(|error| match error {
            Errno::EPERM => NamespaceError::NotPermitted {
                capability: "CAP_SYS_ADMIN",
                purpose: "to enter a network namespace",
            },
            Errno::EINVAL => NamespaceError::NoNamespace(self.name.clone()),
            other => refused(&self.name, other.into()),
        })
    }

    /// The resolver's files that this namespace has of its own, if any.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn resolver_files(&self) -> Result<Option<ResolverFiles>, NamespaceError> {
        if !self.named {
            return Ok(None);
        }
        let folder = Path::new(ETC).join(&self.name);
        let mut files = Vec::new();
        for name in RESOLVER_FILES {
            let path = folder.join(name);
            match fs::read_to_string(&path) {
                Ok(contents) => files.push(EtcFile {
                    name: name.to_owned(),
                    contents,
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(NamespaceError::ResolverFile { path, source }),
            }
        }
        Ok((!files.is_empty()).then_some(ResolverFiles {
            host_name: None,
            files,
        }))
    }
}

fn refused(name: &str, source: io::Error) -> NamespaceError {
    NamespaceError::System {
        name: name.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::{NamespaceError, NetworkNamespace};

    #[test]
    fn this_process_names_its_own() {
        let own = std::process::id().to_string();
        let namespace = NetworkNamespace::find(&own).expect("it lives");
        assert_eq!(namespace.name(), own);
        assert!(namespace.resolver_files().expect("none").is_none());
    }

    #[test]
    fn each_error_says_what_failed_why_and_what_to_do() {
        let unknown = NetworkNamespace::find("no-such-namespace").unwrap_err();
        assert!(matches!(unknown, NamespaceError::NoName(_)), "{unknown}");
        assert!(unknown.to_string().contains("`ip netns` lists"));
        // Above PID_MAX_LIMIT.
        let dead = NetworkNamespace::find("4194305").unwrap_err();
        assert!(matches!(dead, NamespaceError::NoProcess(_)), "{dead}");
        assert!(dead.to_string().contains("process 4194305"), "{dead}");
    }
}
