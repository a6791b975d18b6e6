//! The list of types that aya wants in order to find a function or tracepoint.
//!
//! aya's programs take a type's place in the list for its id. To read the kernel's whole list
//! costs aya some 50 million instructions, so it gets one that is blank but for the hooks.

use aya::{Btf, Endianness};

use super::{
    KernelTypes, Sort,
    btf::{FORWARD, FUNC, MAGIC, TYPEDEF},
    names,
};

/// `struct btf_header` of include/uapi/linux/btf.h.
const HEADER_BYTES: u32 = 24;
/// The fixed part of a type, `struct btf_type`.
const TYPE_BYTES: u32 = 12;

/// The hooks of the plan, each at its place; `None` when there are none.
pub(super) fn of_hooks(types: &KernelTypes) -> Option<Btf> {
    let mut hooks: Vec<_> = types.hooks().collect();
    hooks.sort_by_key(|(.., id)| *id);
    let (.., last) = *hooks.last()?;
    let mut strings = vec![0];
    let mut named = Vec::new();
    for (sort, name, id) in hooks {
        let kind = match sort {
            Sort::Tracepoint => TYPEDEF,
            _ => FUNC,
        };
        named.push((id, u32::try_from(strings.len()).ok()?, kind));
        strings.extend(names::whole(sort, name));
    }
    let types_bytes = last.checked_mul(TYPE_BYTES)?;
    let strings_bytes = u32::try_from(strings.len()).ok()?;
    let version = u32::from(MAGIC) | 1 << 16;
    let header = [
        version,
        HEADER_BYTES,
        0,
        types_bytes,
        types_bytes,
        strings_bytes,
    ];
    let length = HEADER_BYTES.checked_add(types_bytes)?;
    // Most of the memory that a start takes: put together in one piece.
    let mut bytes = Vec::with_capacity(usize::try_from(length).ok()? + strings.len());
    let mut add = |words: &[u32]| bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    add(&header);
    let mut named = named.into_iter().peekable();
    for place in 1..=last {
        let hook = named.next_if(|(id, ..)| *id == place);
        // A type that is only announced takes no more than its fixed part.
        let (_, name, kind) = hook.unwrap_or((place, 0, FORWARD));
        add(&[name, kind << 24, 0]);
    }
    bytes.extend(strings);
    Btf::parse(&bytes, Endianness::default()).ok()
}
