//! The root of the cgroup v2 hierarchy.

use std::{
    ffi::CString,
    fs::{self, File},
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use super::error::ProbeError;

/// A handle on the root: where it is mounted, or a mount of our own that nobody else sees
/// and that vanishes with the handle (`ip netns exec`, for instance, hides the usual one).
pub(super) fn root() -> Result<OwnedFd, ProbeError> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounted = mount_point(&mounts).and_then(|path| File::open(path).ok());
    match mounted {
        Some(root) => Ok(root.into()),
        None => private_mount().map_err(|source| ProbeError::System {
            operation: "find or mount the cgroup v2 hierarchy",
            source,
        }),
    }
}

/// Where cgroup2 is mounted, with the escapes of /proc/mounts (octal, for blanks) undone.
fn mount_point(mounts: &str) -> Option<String> {
    let line = mounts
        .lines()
        .find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    let path = line.split(' ').nth(1)?;
    Some(
        path.replace("\\040", " ")
            .replace("\\011", "\t")
            .replace("\\012", "\n")
            .replace("\\134", "\\"),
    )
}

/// fsopen(2) and fsmount(2), Linux 5.2: a mount that is attached nowhere.
fn private_mount() -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    let kind = CString::new("cgroup2")?;
    // SAFETY: the arguments are those of fsopen(2); the text outlives the call.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: FSCONFIG_CMD_CREATE takes no key, no value and no number.
    let created = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            FSCONFIG_CMD_CREATE,
            none,
            none,
            0,
        )
    };
    if created < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the arguments are those of fsmount(2), without mount attributes.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, 0) })
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(result) {
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_among_the_old_ones() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(
            mount_point(mounts).as_deref(),
            Some("/sys/fs/cgroup/unified")
        );
        assert_eq!(mount_point("proc /proc proc rw 0 0\n"), None);
    }

    #[test]
    fn blanks_in_a_path_are_restored() {
        assert_eq!(
            mount_point("none /a\\040b cgroup2 rw 0 0").as_deref(),
            Some("/a b")
        );
    }
}
