//! The kernel's words for why it gave up a packet or reset a connection. The numbers differ
//! from kernel to kernel, so that the running one's own lists are asked (BTF).

use std::collections::BTreeMap;

use tracer_common::record::UNKNOWN;

use super::layout::KernelTypes;

const DROPS: &str = "skb_drop_reason";
const DROP_PREFIX: &str = "SKB_DROP_REASON_";
const RESETS: &str = "sk_rst_reason";
const RESET_PREFIX: &str = "SK_RST_REASON_";
const NOT_SPECIFIED: &str = "NOT_SPECIFIED";
/// `SKB_DROP_REASON_SUBSYS_SHIFT`, include/net/dropreason.h: above it stands the number of
/// a subsystem that registered its reasons at run time.
const SUBSYSTEM_SHIFT: u32 = 16;

/// The kernel's lists of reasons.
pub(super) const LISTS: [&str; 2] = [DROPS, RESETS];

/// Names by number.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons {
    drops: BTreeMap<u32, String>,
    resets: BTreeMap<u32, String>,
}

impl Reasons {
    /// Those of the running kernel.
    pub(super) fn of(types: &KernelTypes) -> Self {
        Self {
            drops: names(types, DROPS, DROP_PREFIX),
            resets: names(types, RESETS, RESET_PREFIX),
        }
    }

    /// The name of a drop's reason; one that the kernel itself does not list keeps its number.
    pub(super) fn drop(&self, number: u32) -> String {
        if let Some(name) = self.drops.get(&number) {
            return name.clone();
        }
        match number >> SUBSYSTEM_SHIFT {
            0 => format!("REASON_{number}"),
            subsystem => {
                let own = number & ((1 << SUBSYSTEM_SHIFT) - 1);
                format!("SUBSYSTEM_{subsystem}_REASON_{own}")
            }
        }
    }

    /// The name of a reset's reason; `None` where the kernel gave none.
    pub(super) fn reset(&self, number: u32) -> Option<String> {
        let name = self.resets.get(&number).filter(|_| number != UNKNOWN)?;
        (name != NOT_SPECIFIED).then(|| name.clone())
    }
}

fn names(types: &KernelTypes, enumeration: &str, prefix: &str) -> BTreeMap<u32, String> {
    let enumerators = types.enumerators(enumeration).into_iter();
    enumerators
        .map(|(name, number)| {
            (
                number,
                name.strip_prefix(prefix).unwrap_or(&name).to_owned(),
            )
        })
        .collect()
}

/// The number of a drop's reason on this kernel, `u32::MAX` where it has no such.
pub(super) fn number_of_drop(types: &KernelTypes, name: &str) -> u32 {
    let wanted = format!("{DROP_PREFIX}{name}");
    let mut enumerators = types.enumerators(DROPS).into_iter();
    enumerators
        .find_map(|(name, number)| (name == wanted).then_some(number))
        .unwrap_or(u32::MAX)
}

/// Does `tcp:tcp_send_reset` tell the reason (`sk`, `skb`, `reason`)?
pub(super) fn of_resets_are_told(types: &KernelTypes) -> bool {
    types.tracepoint_arguments("tcp_send_reset") >= Some(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_without_a_name_keeps_its_number() {
        let mut reasons = Reasons::default();
        reasons.drops.insert(3, "NO_SOCKET".to_owned());
        assert_eq!(reasons.drop(3), "NO_SOCKET");
        assert_eq!(reasons.drop(900), "REASON_900");
        assert_eq!(reasons.drop(2 << 16 | 5), "SUBSYSTEM_2_REASON_5");
    }

    #[test]
    fn a_reset_without_a_reason_has_none() {
        let mut reasons = Reasons::default();
        reasons.resets.insert(0, NOT_SPECIFIED.to_owned());
        reasons.resets.insert(14, "TCP_STATE".to_owned());
        assert_eq!(reasons.reset(14).as_deref(), Some("TCP_STATE"));
        assert_eq!(reasons.reset(0), None);
        assert_eq!(reasons.reset(UNKNOWN), None);
    }
}
