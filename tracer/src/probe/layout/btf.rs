//! A reader for the kernel's own type information (BTF), as far as it is needed: offsets
//! of structure members, and whether a tracepoint or function exists.
//!
//! aya parses BTF too, but keeps the members of structures to itself. Format:
//! Documentation/bpf/btf.rst. The input is the kernel's, but a damaged file must not
//! panic: every access is checked.
//!
//! A kernel has far more than a hundred thousand types, and every start of the tracer reads
//! them: they are walked through once, and of their names only the wanted ones are looked at.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read as _,
};

use super::names::{Names, Sort};
use crate::probe::error::ProbeError;

const PATH: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
/// Fewer than any kernel's types take on average, strings included: room for their places.
const BYTES_PER_TYPE: usize = 32;
/// Types inside types, and typedefs of typedefs, are followed this deep.
const DEPTH: u32 = 16;

const INT: u32 = 1;
const POINTER: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FORWARD: u32 = 7;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const DECL_TAG: u32 = 17;
const TYPE_TAG: u32 = 18;
const ENUM64: u32 = 19;

/// For [`KernelTypes::programs_can_be_interrupted`].
pub(super) const SRCU_OF_TRACEPOINTS: &str = "tracepoint_srcu_srcu_data";
pub(super) const FAST_SRCU: &str = "init_srcu_struct_fast";

/// The types of the running kernel.
#[derive(Debug)]
pub(in crate::probe) struct KernelTypes {
    data: Vec<u8>,
    /// Where the string section begins in `data`.
    strings: usize,
    /// Where each type begins in `data`; type ids start at 1.
    types: Vec<u32>,
    /// Type ids of the names that were wanted.
    named: HashMap<(Sort, &'static str), u32>,
}

/// The fixed part of a type.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    length: u32,
    /// Member offsets hold a bit-field size in their upper byte.
    packs_bitfields: bool,
    /// Size in bytes, or the id of another type.
    size_or_type: u32,
    /// Where what follows the fixed part begins.
    rest: usize,
}

impl KernelTypes {
    /// Reads the running kernel's.
    pub(super) fn read(names: &Names) -> Result<Self, ProbeError> {
        let data =
            fs::read(PATH).map_err(|error| ProbeError::no_types(format!("{PATH}: {error}")))?;
        Self::parse(data, names).ok_or_else(|| ProbeError::no_types(format!("{PATH} is damaged")))
    }

    /// Does the running kernel tell its types at all? Reads no more than their first bytes.
    pub(in crate::probe) fn are_told() -> Result<(), ProbeError> {
        let mut begin = [0; 2];
        File::open(PATH)
            .and_then(|mut file| file.read_exact(&mut begin))
            .map_err(|error| ProbeError::no_types(format!("{PATH}: {error}")))?;
        if u16::from_ne_bytes(begin) == MAGIC {
            Ok(())
        } else {
            Err(ProbeError::no_types(format!("{PATH} is damaged")))
        }
    }

    fn parse(data: Vec<u8>, names: &Names) -> Option<Self> {
        if u16_at(&data, 0)? != MAGIC {
            return None;
        }
        let header = u32_at(&data, 4)?;
        let section = |offset: u32| usize::try_from(header.checked_add(offset)?).ok();
        let begin = section(u32_at(&data, 8)?)?;
        let end = begin.checked_add(usize::try_from(u32_at(&data, 12)?).ok()?)?;
        let strings = section(u32_at(&data, 16)?)?;
        let mut read = Self {
            types: Vec::with_capacity(data.len() / BYTES_PER_TYPE),
            data,
            strings,
            named: HashMap::new(),
        };
        let mut place = begin;
        while place < end {
            let found = read.type_at(place)?;
            read.types.push(u32::try_from(place).ok()?);
            if let Some(sort) = sort_of(found.kind)
                && let Some(name) = names.wanted(sort, read.text(found.name)?)
            {
                let id = u32::try_from(read.types.len()).ok()?;
                // The first one is the kernel proper's; later ones are local namesakes.
                read.named.entry((sort, name)).or_insert(id);
            }
            place = found.rest.checked_add(rest_length(found)?)?;
        }
        Some(read)
    }

    /// Byte offset of a member, found through anonymous structures and unions. `path` may
    /// lead through named ones: `ns.inum`.
    pub(in crate::probe) fn member_offset(&self, structure: &str, path: &str) -> Option<u16> {
        let mut id = self.id(Sort::Structure, structure)?;
        let mut bits = 0_u32;
        for name in path.split('.') {
            let (offset, member) = self.find_member(id, name.as_bytes(), DEPTH)?;
            bits = bits.checked_add(offset)?;
            id = member;
        }
        bits.is_multiple_of(8)
            .then(|| u16::try_from(bits / 8).ok())?
    }

    /// How many arguments the probes of a tracepoint get, `None` where there is no such
    /// tracepoint. Newer kernels add arguments at the end.
    pub(in crate::probe) fn tracepoint_arguments(&self, name: &str) -> Option<u32> {
        let typedef = self.find(Sort::Tracepoint, name)?;
        let pointer = self.type_of(typedef.size_or_type)?;
        let prototype = self.type_of(pointer.size_or_type)?;
        // The first argument is the one that was registered with the probe.
        (pointer.kind == POINTER && prototype.kind == FUNC_PROTO)
            .then(|| prototype.length.checked_sub(1))?
    }

    /// Names and numbers of an enumeration; empty where there is none of this name.
    pub(in crate::probe) fn enumerators(&self, name: &str) -> Vec<(String, u32)> {
        let Some(found) = self.find(Sort::Enumeration, name) else {
            return Vec::new();
        };
        (0..found.length)
            .map_while(|index| {
                let place = found.rest + usize::try_from(index).ok()? * 8;
                let text = self.name(u32_at(&self.data, place)?)?;
                let number = u32_at(&self.data, place + 4)?;
                Some((String::from_utf8_lossy(text).into_owned(), number))
            })
            .collect()
    }

    /// May a task take the processor while a program of a tracepoint (or of fentry) runs? Then the
    /// runs that this task would cause are skipped (`bpf_prog_get_recursion_context`). So it is
    /// where the fast kind of sleepable RCU protects tracepoints, not a processor that is kept
    /// (`__DO_TRACE_CALL`, include/linux/tracepoint.h, Linux 7.0); older kernels have only one of
    /// the two names. Programs of kprobes always keep their processor.
    pub(in crate::probe) fn programs_can_be_interrupted(&self) -> bool {
        let signs = [
            (Sort::Variable, SRCU_OF_TRACEPOINTS),
            (Sort::Function, FAST_SRCU),
        ];
        signs
            .into_iter()
            .all(|(sort, name)| self.id(sort, name).is_some())
    }

    /// The id of the first type of this name, where this kernel has it.
    pub(in crate::probe) fn id(&self, sort: Sort, name: &str) -> Option<u32> {
        self.named.get(&(sort, name)).copied()
    }

    fn find(&self, sort: Sort, name: &str) -> Option<Type> {
        self.type_of(self.id(sort, name)?)
    }

    /// Bit offset and type of a member.
    fn find_member(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let depth = depth.checked_sub(1)?;
        let structure = self.structure(id)?;
        for index in 0..structure.length {
            let place = structure.rest + usize::try_from(index).ok()? * 12;
            let member_name = u32_at(&self.data, place)?;
            let member_type = u32_at(&self.data, place + 4)?;
            let mut bits = u32_at(&self.data, place + 8)?;
            if structure.packs_bitfields {
                bits &= 0x00ff_ffff;
            }
            if member_name == 0 {
                if let Some((inner, found)) = self.find_member(member_type, name, depth) {
                    return Some((bits.checked_add(inner)?, found));
                }
            } else if self.name(member_name)? == name {
                return Some((bits, member_type));
            }
        }
        None
    }

    /// The structure or union behind typedefs and qualifiers.
    fn structure(&self, mut id: u32) -> Option<Type> {
        for _ in 0..DEPTH {
            let found = self.type_of(id)?;
            match found.kind {
                STRUCT | UNION => return Some(found),
                TYPEDEF | VOLATILE | CONST | TYPE_TAG => id = found.size_or_type,
                _ => return None,
            }
        }
        None
    }

    fn type_of(&self, id: u32) -> Option<Type> {
        let index = usize::try_from(id.checked_sub(1)?).ok()?;
        self.type_at(usize::try_from(*self.types.get(index)?).ok()?)
    }

    fn type_at(&self, place: usize) -> Option<Type> {
        let [name, information, size_or_type] = words(self.data.get(place..)?)?;
        Some(Type {
            name,
            kind: (information >> 24) & 0x1f,
            length: information & 0xffff,
            packs_bitfields: information >> 31 != 0,
            size_or_type,
            rest: place + 12,
        })
    }

    fn name(&self, offset: u32) -> Option<&[u8]> {
        self.text(offset)?.split(|byte| *byte == 0).next()
    }

    /// The strings from this one on.
    fn text(&self, offset: u32) -> Option<&[u8]> {
        let begin = self.strings.checked_add(usize::try_from(offset).ok()?)?;
        self.data.get(begin..)
    }
}

/// What a type that is looked up by its name can be. The type of a tracepoint's probes is
/// `btf_trace_NAME`.
fn sort_of(kind: u32) -> Option<Sort> {
    match kind {
        STRUCT => Some(Sort::Structure),
        ENUM => Some(Sort::Enumeration),
        TYPEDEF => Some(Sort::Tracepoint),
        FUNC => Some(Sort::Function),
        VAR => Some(Sort::Variable),
        _ => None,
    }
}

/// Bytes that follow the fixed part; `None` for a kind that we do not know, because what
/// comes after it cannot be found then.
fn rest_length(found: Type) -> Option<usize> {
    let length = usize::try_from(found.length).ok()?;
    Some(match found.kind {
        INT | VAR | DECL_TAG => 4,
        ARRAY => 12,
        STRUCT | UNION | DATASEC | ENUM64 => 12 * length,
        ENUM | FUNC_PROTO => 8 * length,
        // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
        POINTER | FORWARD..=FUNC | 16 | TYPE_TAG => 0,
        _ => return None,
    })
}

/// The three words that every type begins with.
fn words(data: &[u8]) -> Option<[u32; 3]> {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *data.first_chunk::<12>()?;
    Some([
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
        u32::from_ne_bytes([i, j, k, l]),
    ])
}

fn u16_at(data: &[u8], place: usize) -> Option<u16> {
    let bytes = data.get(place..)?.first_chunk::<2>()?;
    Some(u16::from_ne_bytes(*bytes))
}

fn u32_at(data: &[u8], place: usize) -> Option<u32> {
    let bytes = data.get(place..)?.first_chunk::<4>()?;
    Some(u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(data: Vec<u8>) -> Option<KernelTypes> {
        let names = [
            (Sort::Structure, "outer"),
            (Sort::Structure, "nothing"),
            (Sort::Tracepoint, "seen"),
            (Sort::Tracepoint, "unseen"),
            (Sort::Function, "btf_trace_seen"),
        ];
        KernelTypes::parse(data, &Names::new(names))
    }

    /// Type information for
    /// `struct outer { int first; union { struct { int pad; int deep; }; }; struct inner in; }`
    /// and `struct inner { int a; int b; }`.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0outer\0first\0pad\0deep\0in\0inner\0a\0b\0btf_trace_seen\0";
        let at = |name: &str| {
            let needle = [&[0], name.as_bytes(), &[0]].concat();
            let place = strings
                .windows(needle.len())
                .position(|window| window == needle)
                .map_or(0, |found| found + 1);
            u32::try_from(place).unwrap_or(0)
        };
        let kind = |kind: u32, length: u32| kind << 24 | length;
        let words = [
            // 1: int
            vec![at("int"), kind(INT, 0), 4, 32],
            // 2: struct inner
            vec![
                at("inner"),
                kind(STRUCT, 2),
                8,
                at("a"),
                1,
                0,
                at("b"),
                1,
                32,
            ],
            // 3: anonymous struct
            vec![0, kind(STRUCT, 2), 8, at("pad"), 1, 0, at("deep"), 1, 32],
            // 4: anonymous union
            vec![0, kind(UNION, 1), 8, 0, 3, 0],
            // 5: struct outer
            vec![
                at("outer"),
                kind(STRUCT, 3),
                20,
                at("first"),
                1,
                0,
                0,
                4,
                32,
                at("in"),
                2,
                96,
            ],
            // 6: typedef of a tracepoint
            vec![at("btf_trace_seen"), kind(TYPEDEF, 0), 1],
        ]
        .concat();
        let types = u32::try_from(words.len() * 4).unwrap_or(0);
        let mut data = MAGIC.to_ne_bytes().to_vec();
        data.extend([1, 0]);
        for word in [
            24,
            0,
            types,
            types,
            u32::try_from(strings.len()).unwrap_or(0),
        ] {
            data.extend(u32::to_ne_bytes(word));
        }
        for word in words {
            data.extend(word.to_ne_bytes());
        }
        data.extend(strings);
        data
    }

    #[test]
    fn programs_can_be_interrupted_where_both_signs_are_there() {
        let mut types = parse(sample()).unwrap();
        assert!(!types.programs_can_be_interrupted());
        // Until Linux 6.12 alone.
        let variable = (Sort::Variable, SRCU_OF_TRACEPOINTS);
        types.named.insert(variable, 1);
        assert!(!types.programs_can_be_interrupted());
        types.named.insert((Sort::Function, FAST_SRCU), 2);
        assert!(types.programs_can_be_interrupted());
        types.named.remove(&variable);
        assert!(!types.programs_can_be_interrupted());
    }

    #[test]
    fn members_are_found_through_anonymous_and_named_structures() {
        let types = parse(sample()).expect("sample");
        assert_eq!(types.member_offset("outer", "first"), Some(0));
        assert_eq!(types.member_offset("outer", "deep"), Some(8));
        assert_eq!(types.member_offset("outer", "in.b"), Some(16));
        assert_eq!(types.member_offset("outer", "b"), None);
        assert_eq!(types.member_offset("nothing", "b"), None);
    }

    #[test]
    fn tracepoints_are_known_by_their_typedef() {
        let types = parse(sample()).expect("sample");
        assert_eq!(types.id(Sort::Tracepoint, "seen"), Some(6));
        assert_eq!(types.id(Sort::Tracepoint, "unseen"), None);
        assert_eq!(types.id(Sort::Function, "btf_trace_seen"), None);
    }

    #[test]
    fn a_damaged_file_is_refused_and_never_panics() {
        let whole = sample();
        for length in 0..whole.len() {
            let _ = parse(whole[..length].to_vec());
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0xff;
            if let Some(types) = parse(damaged) {
                let _ = types.member_offset("outer", "in.b");
            }
        }
        assert!(parse(Vec::new()).is_none());
    }

    #[test]
    fn a_structure_that_contains_itself_does_not_loop() {
        let mut data = sample();
        // The anonymous union's member becomes the union itself.
        let place = 24 + (4 + 9 + 9) * 4 + 16;
        data[place..place + 4].copy_from_slice(&4_u32.to_ne_bytes());
        let types = parse(data).expect("sample");
        assert_eq!(types.member_offset("outer", "deep"), None);
    }
}
