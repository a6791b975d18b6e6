//! Which capability is missing, and for what. Asked before anything else, because the
//! kernel's own answer is a bare EPERM.

use caps::{CapSet, Capability};

use super::error::ProbeError;

/// Bits of a capability set: include/uapi/linux/capability.h.
type Set = u64;

/// One capability and what tracer does with it.
#[derive(Debug, PartialEq, Eq)]
struct Use {
    capability: Capability,
    purpose: &'static str,
}

/// Without one of these nothing is captured at all.
const NEEDED: [Use; 3] = [
    Use {
        capability: Capability::CAP_BPF,
        purpose: "to load programs into the kernel",
    },
    Use {
        capability: Capability::CAP_PERFMON,
        purpose: "to attach them to kernel and library functions",
    },
    Use {
        capability: Capability::CAP_NET_ADMIN,
        purpose: "to watch interfaces and sockets",
    },
];

/// Without one of these the timeline is poorer.
const USEFUL: [Use; 2] = [
    Use {
        capability: Capability::CAP_DAC_READ_SEARCH,
        purpose: "to read tracefs, which only root may enter",
    },
    Use {
        capability: Capability::CAP_SYS_PTRACE,
        purpose: "to learn the executables and the older sockets of other users' processes",
    },
];

/// `PID_NS_INIT_INO` of include/uapi/linux/nsfs.h, which has been the same since Linux 3.8.
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// Are the numbers of processes in /proc those that the kernel tells?
fn is_on_host() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // Where it cannot be asked, nothing speaks against it.
    std::fs::metadata("/proc/self/ns/pid").map_or(true, |own| own.ino() == FIRST_PID_NAMESPACE)
}

/// Fails with the first capability that this process lacks, and inside a pid namespace.
pub(super) fn check() -> Result<(), ProbeError> {
    if !is_on_host() {
        return Err(ProbeError::PidNamespace);
    }
    // An unreadable set is not a reason to refuse: the kernel will say so itself.
    match effective().and_then(missing) {
        None => Ok(()),
        Some(Use {
            capability,
            purpose,
        }) => Err(ProbeError::NotPermitted {
            capability: capability.to_string(),
            purpose: (*purpose).to_owned(),
            mend: mend(),
        }),
    }
}

/// What a capture will not tell, because this process lacks a capability.
pub(super) fn restrictions() -> Vec<String> {
    let has = effective().unwrap_or(Set::MAX);
    USEFUL
        .iter()
        .filter(|useful| has & useful.capability.bitmask() == 0)
        .map(|useful| format!("{} is missing {}", useful.capability, useful.purpose))
        .collect()
}

/// Both ways to the rights.
fn mend() -> String {
    let names: Vec<String> = NEEDED
        .iter()
        .chain(&USEFUL)
        .map(|one| one.capability.to_string().to_ascii_lowercase())
        .collect();
    let program = std::env::current_exe().unwrap_or_else(|_| "tracer".into());
    format!(
        "run tracer with sudo, or once `sudo setcap {}=ep {}`",
        names.join(","),
        program.display()
    )
}

/// What to say when the kernel refuses with EPERM although the capabilities are there.
pub(super) fn refused(what: &str) -> ProbeError {
    ProbeError::NotPermitted {
        capability: "CAP_BPF in the initial user namespace".to_owned(),
        purpose: format!("to {what}"),
        mend: "run tracer on the host and not in an unprivileged container, and check that \
               kernel lockdown is off"
            .to_owned(),
    }
}

/// The effective set of this thread.
fn effective() -> Option<Set> {
    let set = caps::read(None, CapSet::Effective).ok()?;
    Some(set.iter().fold(0, |bits, one| bits | one.bitmask()))
}

/// The first needed capability that is not in the set. CAP_SYS_ADMIN stands in for those
/// that were split from it in Linux 5.8.
fn missing(effective: Set) -> Option<&'static Use> {
    let has = |capability: Capability| effective & capability.bitmask() != 0;
    NEEDED.iter().find(|needed| {
        let is_split = matches!(
            needed.capability,
            Capability::CAP_BPF | Capability::CAP_PERFMON
        );
        let stands_in = is_split && has(Capability::CAP_SYS_ADMIN);
        !(has(needed.capability) || stands_in)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_missing(set: &[Capability]) -> Option<Capability> {
        let bits = set.iter().fold(0, |bits, one| bits | one.bitmask());
        missing(bits).map(|needed| needed.capability)
    }

    #[test]
    fn each_needed_capability_is_asked_for_by_itself() {
        use Capability::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
        assert_eq!(first_missing(&[]), Some(CAP_BPF));
        assert_eq!(first_missing(&[CAP_PERFMON, CAP_NET_ADMIN]), Some(CAP_BPF));
        assert_eq!(first_missing(&[CAP_BPF, CAP_NET_ADMIN]), Some(CAP_PERFMON));
        assert_eq!(first_missing(&[CAP_BPF, CAP_PERFMON]), Some(CAP_NET_ADMIN));
        assert_eq!(first_missing(&[CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN]), None);
    }

    #[test]
    fn cap_sys_admin_stands_in_for_bpf_and_perfmon_but_not_for_net_admin() {
        use Capability::{CAP_NET_ADMIN, CAP_SYS_ADMIN};
        assert_eq!(first_missing(&[CAP_SYS_ADMIN]), Some(CAP_NET_ADMIN));
        assert_eq!(first_missing(&[CAP_SYS_ADMIN, CAP_NET_ADMIN]), None);
    }

    #[test]
    fn the_mend_gives_everything_that_is_used() {
        let mend = mend();
        let wanted = "cap_bpf,cap_perfmon,cap_net_admin,cap_dac_read_search,cap_sys_ptrace=ep";
        assert!(mend.contains(wanted) && mend.contains("sudo"), "{mend}");
    }
}
