//! File descriptors that cross an execve.
//!
//! Every descriptor of the tracer is close-on-exec. To hand one to a child, the flag is
//! cleared for the moment of the spawn only; [`spawn_alone`] makes sure that no other
//! child of this process is born in that moment and inherits it by accident (a pipe whose
//! write end leaked into a stranger never reports end of file).

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

static SPAWNING: Mutex<()> = Mutex::new(());

/// Runs `spawn` while `inherit`, and nothing else, crosses an execve.
///
/// All children of this process must be born through this function.
pub(crate) fn spawn_alone<T>(
    inherit: &[OwnedFd],
    spawn: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let _alone = SPAWNING.lock().unwrap_or_else(PoisonError::into_inner);
    let spawned = mark(inherit, FdFlag::empty()).and_then(|()| spawn());
    mark(inherit, FdFlag::FD_CLOEXEC)?;
    spawned
}

fn mark(descriptors: &[OwnedFd], flags: FdFlag) -> io::Result<()> {
    for descriptor in descriptors {
        fcntl(descriptor.as_fd(), FcntlArg::F_SETFD(flags))?;
    }
    Ok(())
}

/// Takes possession of a descriptor that the parent left open under `number`.
///
/// The descriptor is duplicated close-on-exec by pidfd_getfd(2) (Linux 5.6), which checks
/// that it exists, and the inherited number is closed.
pub(crate) fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    let this_process = pidfd_open(getpid(), PidfdFlags::empty())?;
    let adopted = pidfd_getfd(&this_process, number, PidfdGetfdFlags::empty())?;
    nix::unistd::close(number)?;
    Ok(adopted)
}

#[cfg(test)]
mod tests {
    use super::{adopt, spawn_alone};
    use nix::fcntl::OFlag;
    use nix::unistd::pipe2;
    use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
    use std::process::{Command, Stdio};

    /// How many descriptors of a child lead to the same pipe as `end`.
    fn ends_in_child(end: &OwnedFd, inherit: &[OwnedFd]) -> usize {
        let link = format!("/proc/self/fd/{}", end.as_raw_fd());
        let pipe = std::fs::read_link(link).expect("an open descriptor");
        let child = spawn_alone(inherit, || {
            Command::new("ls")
                .args(["-l", "/proc/self/fd"])
                .stdout(Stdio::piped())
                .spawn()
        })
        .expect("ls starts");
        let output = child.wait_with_output().expect("ls ends");
        let seen = String::from_utf8_lossy(&output.stdout);
        seen.matches(&*pipe.to_string_lossy()).count()
    }

    #[test]
    fn only_the_descriptors_asked_for_cross_an_exec() {
        let (kept, given) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let inherit = [given];
        assert_eq!(ends_in_child(&kept, &inherit), 1);
        assert_eq!(ends_in_child(&kept, &[]), 0, "only for that one child");
    }

    #[test]
    fn an_adopted_descriptor_replaces_the_inherited_number() {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let adopted = adopt(writer.into_raw_fd()).expect("an open descriptor");
        drop(adopted);
        let mut byte = [0];
        assert_eq!(nix::unistd::read(&reader, &mut byte), Ok(0));
    }

    #[test]
    fn a_number_that_is_not_open_is_refused() {
        assert!(adopt(9_999).is_err());
    }
}
