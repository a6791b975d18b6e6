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

/// The hooks of the plan, each at its place; `None` when there are none.
pub(super) fn of_hooks(types: &KernelTypes) -> Option<Btf> {
    let mut hooks: Vec<_> = types.hooks().collect();
    hooks.sort_by_key(|(.., id)| *id);
    let (.., last) = *hooks.last()?;
    // A type that is only announced takes no more than its fixed part.
    let mut words = [0, FORWARD << 24, 0].repeat(usize::try_from(last).ok()?);
    let mut strings = vec![0];
    for (sort, name, id) in hooks {
        let kind = match sort {
            Sort::Tracepoint => TYPEDEF,
            _ => FUNC,
        };
        let place = usize::try_from(id).ok()?.checked_sub(1)? * 3;
        let offset = u32::try_from(strings.len()).ok()?;
        words
            .get_mut(place..place + 2)?
            .copy_from_slice(&[offset, kind << 24]);
        strings.extend(names::whole(sort, name));
    }
    let types_bytes = u32::try_from(words.len() * 4).ok()?;
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
    let words = header.into_iter().chain(words);
    let mut bytes: Vec<u8> = words.flat_map(u32::to_ne_bytes).collect();
    bytes.extend(strings);
    Btf::parse(&bytes, Endianness::default()).ok()
}
