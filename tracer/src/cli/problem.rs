//! Everything that ends a command early, and the exit code that says so.

use super::arguments::ExitCode;
use crate::capture::file::FileError;
use crate::capture::recording::RecordingError;
use crate::fence::FenceError;
use crate::lab::LabError;
use crate::launch::LaunchError;
use crate::network_namespace::NamespaceError;
use crate::probe::ProbeError;
use crate::report::outputs::OutputError;
use std::io;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Fence(#[from] FenceError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "cannot {operation}: {source}; check the limits on open files and processes (ulimit -n, -u)"
    )]
    System {
        operation: &'static str,
        source: io::Error,
    },
}

impl Problem {
    /// The contract of exit codes.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::Usage,
            Self::Probe(ProbeError::NotPermitted { .. })
            | Self::Lab(LabError::NotPermitted { .. })
            | Self::Namespace(NamespaceError::NotPermitted { .. }) => ExitCode::NotPermitted,
            Self::Probe(ProbeError::Unsupported { .. } | ProbeError::NotBuilt) => {
                ExitCode::KernelLacks
            }
            Self::Probe(ProbeError::Interface { .. })
            | Self::Namespace(NamespaceError::NoName(_) | NamespaceError::NoProcess(_)) => {
                ExitCode::Usage
            }
            Self::Output(OutputError::Contradiction { .. } | OutputError::Twice(_)) => {
                ExitCode::Usage
            }
            Self::File(_) => ExitCode::InputUnreadable,
            _ => ExitCode::Failed,
        }
    }
}
