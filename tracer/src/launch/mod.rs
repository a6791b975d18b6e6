//! Starting the traced command: born stopped, so that the probes know its pid before its
//! first instruction.
//!
//! The tracer starts *itself* again as `__launch`, which prepares namespaces and
//! identity, waits for one byte on a pipe and then replaces itself by the command. The
//! pid stays the same over execve(2), so a probe that was told the pid sees everything
//! the command does, from its execve on. End of file on the pipe instead of the byte means
//! that the tracer is gone, and the command never starts.

/// The stopped child's side.
mod child;
/// Files of /etc for one process tree only.
mod etc;
/// Subcommands this program runs itself with.
mod hidden;
/// File descriptors that cross an execve.
mod inherited;
/// The limit on open files.
mod open_files;
/// The tracer's side.
mod parent;
/// The size of memory's pages.
mod small_pages;
/// The user who called sudo.
mod user;

pub(crate) use child::set_process_name;
pub use child::{LaunchArguments, run};
pub use etc::{EtcFile, ResolverFiles};
pub use hidden::hidden_command;
pub(crate) use inherited::{adopt, spawn_alone};
pub use open_files::raise_open_files;
pub use parent::{LaunchError, LaunchSpec, Launched, Output, Program, start};
pub use small_pages::use_small_pages;
pub use user::Identity;
