//! Programs that are loaded here and not by aya, with the links that attach them.
//!
//! Uprobes as links of their own (`BPF_TRACE_UPROBE_MULTI`, Linux 6.6) aya does not know. Without
//! them each uprobe is a perf event, and the kernel lets go of those one after the other
//! (`event_mutex` in `perf_uprobe_destroy`, kernel/trace/trace_event_perf.c), each with a grace
//! period of some 100 ms. Links end side by side.
//!
//! For programs whose arguments have types (fentry, tp_btf) aya wants the list of all types of the
//! kernel, in which a type's place is its id. To make and read one that was blank but for the hooks
//! took a tenth of the processor time of an emulated guest. The id is enough.

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
};

use aya::{Ebpf, maps::Map};
use aya_obj::{
    Object, ProgramSection,
    generated::{
        bpf_attach_type::{self, BPF_TRACE_FENTRY, BPF_TRACE_RAW_TP, BPF_TRACE_UPROBE_MULTI},
        bpf_attr, bpf_cmd, bpf_insn,
        bpf_prog_type::{self, BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_TRACING},
    },
};

use crate::capture::HookKind;
use crate::probe::{
    layout::KernelTypes,
    libraries::Place,
    object,
    plan::{Candidate, FACTS, Part, Target},
};

/// `BPF_F_UPROBE_MULTI_RETURN`, include/uapi/linux/bpf.h: where the function returns.
const RETURN: u32 = 1;
/// The kernel's list of what programs can be attached to, and this one of it.
pub(in crate::probe) const ATTACH_TYPES: &str = "bpf_attach_type";
const UPROBE_MULTI: &str = "BPF_TRACE_UPROBE_MULTI";
/// For the verifier's words: as much as every kernel takes (`bpf_check`, Linux 5.10).
const LOG_BYTES: u32 = u32::MAX >> 8;

/// The programs, ready to be loaded.
#[derive(Debug)]
pub(in crate::probe) struct Loadable {
    functions: HashMap<&'static str, Function>,
    license: CString,
    links_uprobes: bool,
}

#[derive(Debug)]
struct Function {
    instructions: Vec<bpf_insn>,
    returns: bool,
}

/// What a program is loaded for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Uprobe,
    /// The entry of the kernel's function with this type id.
    Fentry(u32),
    /// The tracepoint whose probes have this type id.
    TypedTracepoint(u32),
}

/// The kernel's refusal, and what its verifier said.
#[derive(Debug)]
pub(super) struct LoadRefusal {
    pub error: io::Error,
    pub log: String,
}

/// A program in the kernel, with its links. It leaves when it is dropped, which may wait for a
/// grace period.
#[derive(Debug)]
pub(in crate::probe) struct LinkedProgram {
    pub name: &'static str,
    program: OwnedFd,
    returns: bool,
    links: Vec<OwnedFd>,
}

impl Kind {
    fn program_type(self) -> bpf_prog_type {
        match self {
            Self::Uprobe => BPF_PROG_TYPE_KPROBE,
            Self::Fentry(_) | Self::TypedTracepoint(_) => BPF_PROG_TYPE_TRACING,
        }
    }

    fn attach_type(self) -> bpf_attach_type {
        match self {
            Self::Uprobe => BPF_TRACE_UPROBE_MULTI,
            Self::Fentry(_) => BPF_TRACE_FENTRY,
            Self::TypedTracepoint(_) => BPF_TRACE_RAW_TP,
        }
    }

    /// 0 is none.
    fn type_id(self) -> u32 {
        match self {
            Self::Uprobe => 0,
            Self::Fentry(id) | Self::TypedTracepoint(id) => id,
        }
    }
}

impl Loadable {
    /// `None` where the object does not fit the maps that are open.
    pub(in crate::probe) fn new(ebpf: &Ebpf, types: &KernelTypes) -> Option<Self> {
        let attach_types = types.enumerators(ATTACH_TYPES);
        let mut object = Object::parse(object::bytes()).ok()?;
        relocate(&mut object, ebpf)?;
        let function_of = |name: &'static str| {
            let program = object.programs.get(name)?;
            let function = object.functions.get(&program.function_key())?;
            let returns = matches!(program.section, ProgramSection::URetProbe { .. });
            let instructions = function.instructions.clone();
            Some((
                name,
                Function {
                    instructions,
                    returns,
                },
            ))
        };
        Some(Self {
            functions: names().filter_map(function_of).collect(),
            license: object.license.clone(),
            links_uprobes: attach_types.iter().any(|(name, _)| name == UPROBE_MULTI),
        })
    }

    /// Does this kernel link uprobes?
    pub(super) fn links_uprobes(&self) -> bool {
        self.links_uprobes
    }

    /// Loads a program; it is attached to nothing yet.
    pub(super) fn load(
        &self,
        name: &'static str,
        kind: Kind,
    ) -> Result<LinkedProgram, LoadRefusal> {
        let silent = |error| LoadRefusal {
            error,
            log: String::new(),
        };
        let missing = || silent(io::Error::other("the object has no such program"));
        let function = self.functions.get(name).ok_or_else(missing)?;
        let program = match load(name, kind, function, &self.license, &mut []) {
            Ok(program) => program,
            Err(error) => {
                // It is asked for its reasons only where it has some.
                let mut log = vec![0; usize::try_from(LOG_BYTES).unwrap_or(0)];
                let _ = load(name, kind, function, &self.license, &mut log);
                let log = CStr::from_bytes_until_nul(&log).unwrap_or_default();
                let log = log.to_string_lossy().into_owned();
                return Err(LoadRefusal { error, log });
            }
        };
        Ok(LinkedProgram {
            name,
            program,
            returns: function.returns,
            links: Vec::new(),
        })
    }
}

/// BPF_PROG_LOAD. What the verifier says is written to `log`, if there is room for anything.
fn load(
    name: &str,
    kind: Kind,
    function: &Function,
    license: &CStr,
    log: &mut [u8],
) -> io::Result<OwnedFd> {
    // SAFETY: plain data, for which zeros are a value.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the member for BPF_PROG_LOAD; all of it is zero.
    let load = unsafe { &mut attributes.__bindgen_anon_3 };
    load.prog_type = kind.program_type() as u32;
    load.expected_attach_type = kind.attach_type() as u32;
    load.attach_btf_id = kind.type_id();
    load.insns = function.instructions.as_ptr().addr() as u64;
    load.insn_cnt = u32::try_from(function.instructions.len()).map_err(io::Error::other)?;
    load.license = license.as_ptr().addr() as u64;
    if !log.is_empty() {
        load.log_level = 1;
        load.log_size = u32::try_from(log.len()).map_err(io::Error::other)?;
        load.log_buf = log.as_mut_ptr().addr() as u64;
    }
    // The last byte stays NUL.
    let room = load.prog_name.len() - 1;
    let letters = name.bytes().take(room).map(u8::cast_signed);
    for (into, letter) in load.prog_name.iter_mut().zip(letters) {
        *into = letter;
    }
    // SAFETY: instructions, licence and log outlive the call, and the counts are theirs.
    unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attributes) }
}

impl LinkedProgram {
    /// Attaches it to what it was loaded for; not for uprobes.
    pub(super) fn attach(&mut self) -> io::Result<()> {
        // SAFETY: plain data, for which zeros are a value.
        let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
        attributes.raw_tracepoint.prog_fd =
            u32::try_from(self.program.as_raw_fd()).map_err(io::Error::other)?;
        // Without a name, as is right for programs of type TRACING (`bpf_raw_tp_link_attach`).
        // SAFETY: the attributes point to nothing.
        let link = unsafe { bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attributes)? };
        self.links.push(link);
        Ok(())
    }

    /// Attaches a uprobe to a function of a library, in all processes.
    pub(super) fn attach_at(&mut self, place: &Place) -> io::Result<()> {
        let path = CString::new(place.path.as_os_str().as_bytes())?;
        let offset = place.offset;
        // SAFETY: plain data, for which zeros are a value.
        let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
        // SAFETY: the member for BPF_LINK_CREATE; all of it is zero.
        let create = unsafe { &mut attributes.link_create };
        create.__bindgen_anon_1.prog_fd =
            u32::try_from(self.program.as_raw_fd()).map_err(io::Error::other)?;
        create.attach_type = BPF_TRACE_UPROBE_MULTI as u32;
        // SAFETY: the member for this type of attachment; all of it is zero.
        let uprobe = unsafe { &mut create.__bindgen_anon_3.uprobe_multi };
        uprobe.path = path.as_ptr().addr() as u64;
        uprobe.offsets = (&raw const offset).addr() as u64;
        uprobe.cnt = 1;
        uprobe.flags = if self.returns { RETURN } else { 0 };
        // SAFETY: path and offset outlive the call, and there is one offset.
        let link = unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attributes)? };
        self.links.push(link);
        Ok(())
    }
}

impl AsFd for LinkedProgram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

/// Names of the programs that may be loaded here.
fn names() -> impl Iterator<Item = &'static str> {
    let candidates = FACTS.iter().flat_map(|fact| fact.candidates);
    let parts = candidates.flat_map(|candidate| {
        let parts = candidate.parts.iter();
        parts.filter(|part| is_ours(candidate, part))
    });
    parts.map(|part| part.program)
}

fn is_ours(candidate: &Candidate, part: &Part) -> bool {
    let kind = part.kind(candidate.kind);
    matches!(part.target, Target::Library(_)) || matches!(kind, HookKind::Fentry | HookKind::TpBtf)
}

/// Puts the maps that are there into the instructions, as aya does.
fn relocate(object: &mut Object, ebpf: &Ebpf) -> Option<()> {
    let text_sections = object
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect();
    let described = std::mem::take(&mut object.maps);
    let open: HashMap<&str, RawFd> = ebpf
        .maps()
        .filter_map(|(name, map)| Some((name, descriptor(map)?)))
        .collect();
    let maps = described.iter().filter_map(|(name, map)| {
        let name = name.as_str();
        Some((name, *open.get(name)?, map))
    });
    object.relocate_maps(maps, &text_sections).ok()?;
    object.relocate_calls(&text_sections).ok()
}

/// Of the kinds of maps that the object has.
fn descriptor(map: &Map) -> Option<RawFd> {
    let data = match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data) => data,
        _ => return None,
    };
    Some(data.fd().as_fd().as_raw_fd())
}

/// bpf(2), for commands that give a descriptor.
///
/// # Safety
/// What the attributes point to is valid for the command.
unsafe fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are a whole `union bpf_attr`; the caller vouches for the rest.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_int,
            std::ptr::from_mut(attributes),
            size_of::<bpf_attr>(),
        )
    };
    let descriptor = RawFd::try_from(result).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
