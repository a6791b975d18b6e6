//! Which names of the kernel's types are wanted, and telling them from all others fast.

use std::collections::HashMap;

/// What a name stands for. Different sorts may share a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::probe) enum Sort {
    Structure,
    Enumeration,
    Function,
    Tracepoint,
    /// Of each processor: others are not among the types.
    Variable,
}

/// What the type of a tracepoint's probes is called before the tracepoint's name.
const TRACEPOINT: &[u8] = b"btf_trace_";
/// Bytes of a name that are looked at first; its end counts as one.
const BEGINNING: usize = 4;
const SLOTS: usize = 1 << 12;

/// The wanted names.
#[derive(Debug)]
pub(in crate::probe) struct Names {
    wanted: HashMap<(Sort, &'static [u8]), &'static str>,
    /// By the beginning of a name: may it be a wanted one? Few of the others pass.
    beginnings: Box<[bool; SLOTS]>,
}

impl Names {
    pub(super) fn new(names: impl IntoIterator<Item = (Sort, &'static str)>) -> Self {
        let mut new = Self {
            wanted: HashMap::new(),
            beginnings: Box::new([false; SLOTS]),
        };
        for (sort, name) in names {
            let whole = whole(sort, name);
            // A name that is shorter than that would never be found.
            debug_assert!(whole.len() >= BEGINNING, "{name}");
            if let Some(slot) = slot(&whole).and_then(|slot| new.beginnings.get_mut(slot)) {
                *slot = true;
            }
            new.wanted.insert((sort, name.as_bytes()), name);
        }
        new
    }

    /// The wanted name that `text` begins with, up to its first NUL.
    pub(super) fn wanted(&self, sort: Sort, text: &[u8]) -> Option<&'static str> {
        if !*self.beginnings.get(slot(text)?)? {
            return None;
        }
        let mut name = text.split(|byte| *byte == 0).next()?;
        if sort == Sort::Tracepoint {
            name = name.strip_prefix(TRACEPOINT)?;
        }
        self.wanted.get(&(sort, name)).copied()
    }
}

/// The type's name with its end.
fn whole(sort: Sort, name: &str) -> Vec<u8> {
    let prefix = match sort {
        Sort::Tracepoint => TRACEPOINT,
        _ => b"",
    };
    [prefix, name.as_bytes(), b"\0"].concat()
}

/// Multiplicative hashing by the golden ratio.
fn slot(text: &[u8]) -> Option<usize> {
    let beginning = u32::from_ne_bytes(*text.first_chunk::<BEGINNING>()?);
    usize::try_from(beginning.wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOTS.ilog2())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_whole_and_by_its_sort() {
        let names = Names::new([
            (Sort::Structure, "net"),
            (Sort::Function, "tcp_set_state"),
            (Sort::Tracepoint, "kfree_skb"),
        ]);
        let wanted = |sort, text: &str| names.wanted(sort, text.as_bytes());
        assert_eq!(wanted(Sort::Structure, "net\0other\0"), Some("net"));
        assert_eq!(wanted(Sort::Structure, "network\0"), None);
        assert_eq!(
            wanted(Sort::Function, "tcp_set_state\0"),
            Some("tcp_set_state")
        );
        assert_eq!(wanted(Sort::Function, "tcp_set_states\0"), None);
        assert_eq!(wanted(Sort::Structure, "tcp_set_state\0"), None);
        assert_eq!(
            wanted(Sort::Tracepoint, "btf_trace_kfree_skb\0"),
            Some("kfree_skb")
        );
        assert_eq!(wanted(Sort::Tracepoint, "kfree_skb\0"), None);
        assert_eq!(wanted(Sort::Structure, "n"), None);
    }
}
