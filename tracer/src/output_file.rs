//! Files that the user asked for, made with the rights of that user.

use crate::launch::Identity;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Whoever the umask allows: reports, in which secrets are redacted.
    Umask,
    /// Its owner only, whatever the umask: recordings, which hold secrets.
    Owner,
}

/// Opens `path` for writing, and makes it if need be. What was in it stays until the caller
/// truncates it.
///
/// Under sudo the file is the invoking user's: it is opened with that user's rights, so that
/// neither a symbolic link nor a name writes what the user could not write. Only where they
/// do not suffice, root's do; no symbolic link is followed then.
///
/// # Errors
/// Those of open(2), and a file for its owner's eyes that belongs to a third party.
pub fn open(path: &Path, readers: Readers) -> io::Result<File> {
    let user = Identity::invoking();
    let file = match &user {
        None => open_as_this_process(path, readers, 0)?,
        Some(user) => match as_user(user, || open_as_this_process(path, readers, 0)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // /dev/stdout is a link, and nobody but root makes one there.
                let flags = if path.starts_with("/dev") {
                    0
                } else {
                    libc::O_NOFOLLOW
                };
                let file = open_as_this_process(path, readers, flags)?;
                give(&file, user)?;
                file
            }
            opened => opened?,
        },
    };
    if readers == Readers::Owner {
        close_to_others(&file, user.as_ref())?;
    }
    Ok(file)
}

fn open_as_this_process(path: &Path, readers: Readers, flags: i32) -> io::Result<File> {
    let mode = match readers {
        Readers::Umask => 0o666,
        Readers::Owner => 0o600,
    };
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(flags)
        .mode(mode)
        .open(path)
}

/// Runs `work` in this thread with the rights to files that `user` has (setfsuid(2)).
fn as_user<T>(user: &Identity, work: impl FnOnce() -> T) -> T {
    /// Goes back also when `work` panics.
    struct Back(Uid, Gid);
    impl Drop for Back {
        fn drop(&mut self) {
            setfsuid(self.0);
            setfsgid(self.1);
        }
    }
    let group = setfsgid(Gid::from_raw(user.gid));
    let _back = Back(setfsuid(Uid::from_raw(user.uid)), group);
    work()
}

/// A file that root had to open belongs to the user as well, unless it was somebody's before.
fn give(file: &File, user: &Identity) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.uid() == 0 && metadata.len() == 0 {
        fchown(file, Some(user.uid), Some(user.gid))?;
    }
    Ok(())
}

/// A file that was there before keeps its mode, and its owner could change it back.
fn close_to_others(file: &File, user: Option<&Identity>) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        // A pipe or a device is somebody's wish.
        return Ok(());
    }
    let owner = metadata.uid();
    let is_ours = owner == Uid::effective().as_raw() || user.is_some_and(|user| user.uid == owner);
    if !is_ours {
        return Err(io::Error::other(format!(
            "it belongs to user {owner}, who could read the secrets in it"
        )));
    }
    file.set_permissions(Permissions::from_mode(0o600))
}

#[cfg(test)]
mod tests {
    use super::{Readers, open};
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_was_in_a_file_stays_until_it_is_truncated_and_strangers_are_shut_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        let mut file = open(&path, Readers::Owner).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        file.set_len(0).unwrap();
        file.write_all(b"after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
    }
}
