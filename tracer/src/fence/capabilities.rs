//! Giving up capabilities, for good.

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

/// Why rights could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    #[error(
        "cannot give up {what}: {reason}; a tracer with all its rights does not decode what strangers sent, please report this kernel"
    )]
    Refused { what: &'static str, reason: String },
}

/// Keeps these capabilities, those of them that are there, and no others: in the effective,
/// permitted and bounding sets; the inheritable and ambient sets become empty, and no
/// execve(2) gives anything back (no_new_privs).
///
/// Holds for the calling thread and those that it starts, so a program calls it while it has
/// one thread; children that are to keep their rights are started before.
///
/// # Errors
/// When the kernel refuses, which it has no rule to do.
pub fn keep_only(kept: &[Capability]) -> Result<(), FenceError> {
    let refused = |what| {
        move |error: CapsError| FenceError::Refused {
            what,
            reason: error.to_string(),
        }
    };
    let permitted =
        caps::read(None, CapSet::Permitted).map_err(refused("rights that it cannot list"))?;
    let wanted: CapsHashSet = kept.iter().copied().collect();
    let left: CapsHashSet = permitted.intersection(&wanted).copied().collect();
    leave_bounding_set(&left);
    // Linux before 4.3 has no ambient set, and then there is nothing in it.
    let _ = caps::clear(None, CapSet::Ambient);
    caps::clear(None, CapSet::Inheritable).map_err(refused("inheritable capabilities"))?;
    caps::set(None, CapSet::Effective, &left).map_err(refused("effective capabilities"))?;
    caps::set(None, CapSet::Permitted, &left).map_err(refused("permitted capabilities"))?;
    nix::sys::prctl::set_no_new_privs().map_err(|error| FenceError::Refused {
        what: "new rights by execve",
        reason: error.to_string(),
    })
}

/// The bounding set limits what an execve(2) by root gives, which no_new_privs forbids as
/// well: a process without CAP_SETPCAP may not change it and need not.
fn leave_bounding_set(left: &CapsHashSet) {
    let bounding = caps::read(None, CapSet::Bounding).unwrap_or_default();
    for capability in bounding.difference(left) {
        let _ = caps::drop(None, CapSet::Bounding, *capability);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(status: &str, name: &str) -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    }

    #[test]
    fn what_is_not_kept_is_gone_from_every_set_and_does_not_come_back() {
        // Capabilities belong to threads: this one ends with the test.
        let (before, status, regained) = std::thread::spawn(|| {
            let before = caps::read(None, CapSet::Permitted).unwrap();
            keep_only(&[Capability::CAP_KILL]).unwrap();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let regained = caps::raise(None, CapSet::Effective, Capability::CAP_NET_ADMIN);
            (before, status, regained)
        })
        .join()
        .unwrap();
        let kept = before.contains(&Capability::CAP_KILL);
        let kept = if kept {
            Capability::CAP_KILL.bitmask()
        } else {
            0
        };
        for name in ["CapEff:", "CapPrm:"] {
            assert_eq!(set(&status, name), Some(kept), "{name} in {status}");
        }
        for name in ["CapInh:", "CapAmb:"] {
            assert_eq!(set(&status, name), Some(0), "{name} in {status}");
        }
        if before.contains(&Capability::CAP_SETPCAP) {
            assert_eq!(set(&status, "CapBnd:"), Some(kept), "{status}");
        }
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        assert!(regained.is_err(), "a capability came back");
    }
}
