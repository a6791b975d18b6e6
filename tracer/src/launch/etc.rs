//! Files of /etc for one process tree only.
//!
//! The lab's client must read the lab's `resolv.conf`, and nothing on the host may change.
//! In a mount namespace of its own, /etc becomes a small tmpfs in which every entry of the
//! real /etc is bind-mounted, except those that are replaced. That works alike whether
//! `/etc/resolv.conf` is a file, a symbolic link, a dangling one, or absent: mounting over
//! the file itself would follow the link and fail on the last two. Everything outside /etc
//! (/sys, /proc, cgroup) stays as it is.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// A file that replaces, or adds to, what is in /etc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcFile {
    /// Path below /etc, for instance `resolv.conf`.
    pub name: String,
    pub contents: String,
}

/// What one process tree sees instead of the host's resolver configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverFiles {
    /// Host name in a UTS namespace of its own. glibc takes its default search domain from
    /// what follows the first dot of the host name (resolver(5)): a host name without a dot
    /// keeps the host's domain out of the queries.
    pub host_name: Option<String>,
    pub files: Vec<EtcFile>,
}

const ETC: &str = "/etc";
/// Where the new /etc is put together before it moves into place. Covered for that moment
/// only, in this process's own mount namespace.
const STAGES: [&str; 4] = ["/tmp", "/mnt", "/run", "/var"];
/// The name service cache daemon answers before `nsswitch.conf` is asked, over a socket in
/// the file system, and so from the host's own network.
const NAME_CACHE: &str = "/run/nscd";

impl ResolverFiles {
    /// Gives the calling process (which must have one thread only) these files.
    pub(super) fn install(&self) -> Result<(), (&'static str, io::Error)> {
        self.check()
            .map_err(|error| ("read the file names", error))?;
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
            .map_err(|error| ("make a mount namespace", error.into()))?;
        if let Some(name) = &self.host_name {
            nix::unistd::sethostname(name).map_err(|error| ("set the host name", error.into()))?;
        }
        // Slave, not private: what the host unmounts later must not stay busy through us.
        change("/", MsFlags::MS_SLAVE | MsFlags::MS_REC)
            .map_err(|error| ("keep its mounts to itself", error))?;
        self.replace_etc()
            .map_err(|error| ("replace files of /etc", error))?;
        if Path::new(NAME_CACHE).is_dir() {
            tmpfs(Path::new(NAME_CACHE)).map_err(|error| ("hide the name cache", error))?;
        }
        Ok(())
    }

    /// Names must stay below /etc.
    fn check(&self) -> io::Result<()> {
        let stays_inside = |file: &EtcFile| {
            let mut parts = Path::new(&file.name).components().peekable();
            parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
        };
        match self.files.iter().find(|file| !stays_inside(file)) {
            None => Ok(()),
            Some(file) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{}` is not a path below /etc", file.name),
            )),
        }
    }

    fn replaces(&self, entry: &Path) -> bool {
        self.files
            .iter()
            .any(|file| Path::new(&file.name).components().next() == entry.components().next())
    }

    fn replace_etc(&self) -> io::Result<()> {
        let stage = STAGES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_dir())
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no directory to work in"))?;
        tmpfs(&stage)?;
        let built = self.fill(&stage).and_then(|()| {
            mount(
                Some(&stage),
                ETC,
                None::<&str>,
                MsFlags::MS_MOVE,
                None::<&str>,
            )
            .map_err(io::Error::from)
        });
        if built.is_err() {
            let _ = umount2(&stage, MntFlags::MNT_DETACH);
        }
        built
    }

    fn fill(&self, stage: &Path) -> io::Result<()> {
        for entry in fs::read_dir(ETC)? {
            let entry = entry?;
            if !self.replaces(Path::new(&entry.file_name())) {
                mirror(&entry, &stage.join(entry.file_name()))?;
            }
        }
        for file in &self.files {
            let path = stage.join(&file.name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
                fs::set_permissions(folder, Permissions::from_mode(0o755))?;
            }
            fs::write(&path, &file.contents)?;
            fs::set_permissions(&path, Permissions::from_mode(0o644))?;
        }
        Ok(())
    }
}

/// Makes one entry of the real /etc visible at `target`.
fn mirror(entry: &fs::DirEntry, target: &Path) -> io::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_symlink() {
        return symlink(fs::read_link(entry.path())?, target);
    }
    if kind.is_dir() {
        fs::create_dir(target)?;
    } else {
        fs::File::create(target)?;
    }
    mount(
        Some(&entry.path()),
        target,
        None::<&str>,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None::<&str>,
    )?;
    Ok(())
}

fn tmpfs(target: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("tracer"),
        target,
        Some("tmpfs"),
        flags,
        Some("mode=0755,size=4m"),
    )?;
    Ok(())
}

fn change(target: &str, flags: MsFlags) -> io::Result<()> {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{EtcFile, ResolverFiles};
    use std::path::Path;

    fn with(name: &str) -> ResolverFiles {
        ResolverFiles {
            host_name: None,
            files: vec![EtcFile {
                name: name.into(),
                contents: String::new(),
            }],
        }
    }

    #[test]
    fn names_that_leave_etc_are_refused() {
        assert!(with("resolv.conf").check().is_ok());
        assert!(with("lab/ca.pem").check().is_ok());
        for name in ["", "/etc/passwd", "../root/x", "lab/../../x", "."] {
            assert!(with(name).check().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_file_in_a_folder_replaces_that_folder_only() {
        let files = with("lab/ca.pem");
        assert!(files.replaces(Path::new("lab")));
        assert!(!files.replaces(Path::new("label")));
        assert!(!files.replaces(Path::new("hosts")));
    }
}
