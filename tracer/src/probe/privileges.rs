//! Which capability is missing, and for what. Asked before anything else, because the
//! kernel's own answer is a bare EPERM.

use std::fs;

use super::error::ProbeError;

/// Numbers of include/uapi/linux/capability.h.
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

const NEEDED: [(u32, &str, &str); 3] = [
    (CAP_BPF, "CAP_BPF", "to load programs into the kernel"),
    (
        CAP_PERFMON,
        "CAP_PERFMON",
        "to attach them to kernel and library functions",
    ),
    (
        CAP_NET_ADMIN,
        "CAP_NET_ADMIN",
        "to watch interfaces and sockets",
    ),
];

/// Fails with the first capability that this process lacks.
pub(super) fn check() -> Result<(), ProbeError> {
    let status = fs::read_to_string("/proc/self/status").map_err(|source| ProbeError::System {
        operation: "read /proc/self/status",
        source,
    })?;
    // An unreadable line is not a reason to refuse: the kernel will say so itself.
    match effective(&status).and_then(missing) {
        None => Ok(()),
        Some((capability, purpose)) => Err(ProbeError::NotPermitted {
            capability: capability.to_owned(),
            purpose: purpose.to_owned(),
            mend: "run tracer with sudo".to_owned(),
        }),
    }
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

/// The effective set of a /proc/PID/status.
fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The first needed capability that is not in the set. CAP_SYS_ADMIN stands in for those
/// that were split from it in Linux 5.8.
fn missing(effective: u64) -> Option<(&'static str, &'static str)> {
    let has = |number: u32| effective & (1 << number) != 0;
    NEEDED
        .iter()
        .find(|(number, _, _)| {
            let stands_in = *number >= CAP_PERFMON && has(CAP_SYS_ADMIN);
            !(has(*number) || stands_in)
        })
        .map(|(_, name, purpose)| (*name, *purpose))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tcat\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000001000\n";

    #[test]
    fn the_effective_set_is_read_and_not_the_permitted_one() {
        assert_eq!(effective(STATUS), Some(1 << CAP_NET_ADMIN));
    }

    #[test]
    fn an_ordinary_user_lacks_cap_bpf() {
        assert_eq!(missing(0).map(|(name, _)| name), Some("CAP_BPF"));
    }

    #[test]
    fn cap_sys_admin_stands_in_for_bpf_and_perfmon_but_not_for_net_admin() {
        let admin = 1 << CAP_SYS_ADMIN;
        assert_eq!(missing(admin).map(|(name, _)| name), Some("CAP_NET_ADMIN"));
        assert_eq!(missing(admin | 1 << CAP_NET_ADMIN), None);
    }
}
