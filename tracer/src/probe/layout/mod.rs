//! Where the running kernel keeps the members that the programs read.

mod btf;
mod names;

pub(super) use btf::KernelTypes;
pub(super) use names::Sort;

use names::Names;
use tracer_common::{
    Layout,
    layout::{ABSENT, MEMBERS},
};

use super::{attach, error::ProbeError, plan, reasons};

/// The types of the running kernel: those that have a name which anybody here asks for.
pub(super) fn of_this_kernel() -> Result<KernelTypes, ProbeError> {
    let structures = MEMBERS.iter().map(|(name, _)| (Sort::Structure, *name));
    let hooks = plan::hooks();
    let lists = reasons::LISTS.into_iter().chain([attach::ATTACH_TYPES]);
    let enumerations = lists.map(|name| (Sort::Enumeration, name));
    let signs = [
        (Sort::Variable, btf::SRCU_OF_TRACEPOINTS),
        (Sort::Function, btf::FAST_SRCU),
    ];
    let all = structures.chain(hooks).chain(enumerations).chain(signs);
    KernelTypes::read(&Names::new(all))
}

/// The offsets of this kernel, in the order of [`MEMBERS`].
#[derive(Debug, Clone)]
pub(super) struct Offsets(Vec<u16>);

impl Offsets {
    pub(super) fn resolve(types: &KernelTypes) -> Self {
        Self(
            MEMBERS
                .iter()
                .map(|(structure, member)| types.member_offset(structure, member).unwrap_or(ABSENT))
                .collect(),
        )
    }

    /// The bytes of a [`Layout`], which is an array of 16-bit integers by definition.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let bytes: Vec<u8> = self
            .0
            .iter()
            .flat_map(|offset| offset.to_ne_bytes())
            .collect();
        debug_assert_eq!(bytes.len(), size_of::<Layout>());
        bytes
    }

    /// Those of `wanted` (as `structure.member`) that this kernel does not have.
    pub(super) fn missing(&self, wanted: &[&str]) -> Vec<String> {
        MEMBERS
            .iter()
            .zip(&self.0)
            .filter(|(_, offset)| **offset == ABSENT)
            .map(|((structure, member), _)| format!("{structure}.{member}"))
            .filter(|name| wanted.contains(&name.as_str()))
            .collect()
    }
}
