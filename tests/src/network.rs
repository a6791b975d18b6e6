//! Network namespaces of a scenario: each with its own loopback and nothing else.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::program::must_run;

/// Namespaces belong to threads.
const OWN: &str = "/proc/thread-self/ns/net";
/// Where ip-netns(8) keeps names.
const NAMES: &str = "/run/netns";

/// A network namespace; it ends with this and with the last program in it.
#[derive(Debug)]
pub struct Network {
    namespace: File,
    name: Option<PathBuf>,
}

impl Network {
    /// A new one, in which loopback is up.
    pub fn create() -> Result<Self> {
        Self::made(None)
    }

    /// The same with a name, as `ip netns add` gives it; busybox has no such command.
    pub fn named(name: &str) -> Result<Self> {
        fs::create_dir_all(NAMES)?;
        let path = Path::new(NAMES).join(name);
        File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Self::made(Some(path))
    }

    fn made(name: Option<PathBuf>) -> Result<Self> {
        in_thread(move || {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
            must_run("ip", &["link", "set", "lo", "up"])?;
            // From here on its name is removed whatever happens.
            let network = Self {
                namespace: File::open(OWN)?,
                name,
            };
            if let Some(name) = &network.name {
                let flags = MsFlags::MS_BIND;
                mount(Some(OWN), name, None::<&str>, flags, None::<&str>)?;
            }
            Ok(network)
        })
    }

    /// Runs `work` in a thread inside; the programs that it starts are inside, too.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        in_thread(|| {
            setns(self.namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = umount2(name, MntFlags::MNT_DETACH);
            let _ = fs::remove_file(name);
        }
    }
}

fn in_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(work);
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
