//! The kernel's own counters of full listening queues, for the watched network namespace.
//!
//! No hook tells of every such SYN: kernels without drop reasons only count them. The
//! counters are asked for now and then, and tell how many since the last time.

use std::{fs::File, os::unix::fs::FileExt as _};

use crate::capture::ListenQueue;

/// Counters of the network namespace of the thread that opens it.
const PATH: &str = "/proc/thread-self/net/netstat";
/// The file is about 4 KiB; a file longer than this is not the one we know.
const MAX_BYTES: usize = 64 * 1024;

/// The counters as they were last seen.
#[derive(Debug, Default)]
pub(super) struct Counters {
    file: Option<File>,
    told: Option<(u64, u64)>,
}

impl Counters {
    /// From now on.
    pub(super) fn now() -> Self {
        let file = File::open(PATH).ok();
        let told = file.as_ref().and_then(read);
        Self { file, told }
    }

    /// What was added since the last call; `None` for nothing.
    pub(super) fn since_last(&mut self) -> Option<ListenQueue> {
        let now = read(self.file.as_ref()?)?;
        let before = self.told.replace(now)?;
        let added = ListenQueue {
            overflows: now.0.saturating_sub(before.0),
            drops: now.1.saturating_sub(before.1),
        };
        (added.overflows + added.drops > 0).then_some(added)
    }
}

/// A file of procfs is written anew for each read from its beginning.
fn read(file: &File) -> Option<(u64, u64)> {
    let mut text = vec![0; MAX_BYTES];
    let mut length = 0;
    loop {
        let rest = text.get_mut(length..).filter(|rest| !rest.is_empty())?;
        match file.read_at(rest, u64::try_from(length).ok()?).ok()? {
            0 => break,
            more => length += more,
        }
    }
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    Some((find(text, "ListenOverflows")?, find(text, "ListenDrops")?))
}

/// A counter of the group `TcpExt`: a line of names, then a line of numbers.
fn find(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let mut names = lines.next()?.split_ascii_whitespace();
    let mut numbers = lines.next()?.split_ascii_whitespace();
    numbers
        .nth(names.position(|one| one == name)?)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_names_in_their_own_group() {
        let text = "TcpExt: A ListenOverflows ListenDrops\nTcpExt: 1 22 333\n\
                    IpExt: ListenOverflows\nIpExt: 9\n";
        assert_eq!(find(text, "ListenOverflows"), Some(22));
        assert_eq!(find(text, "ListenDrops"), Some(333));
        assert_eq!(find(text, "Nothing"), None);
        assert_eq!(find("TcpExt: A B\nTcpExt: 1\n", "B"), None);
        assert_eq!(find("", "A"), None);
    }
}
