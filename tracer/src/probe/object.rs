//! The kernel programs: embedded, configured, opened. Programs are loaded one by one
//! later, as the plan needs them.

use std::os::unix::fs::MetadataExt as _;

use aya::{Ebpf, EbpfLoader, util::KernelVersion};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use tracer_common::{Config, config::scope};

use crate::capture::LinkType;

use super::{
    ProbeOptions, Scope,
    error::{self, ProbeError},
    interfaces::Interface,
    layout::{KernelTypes, Offsets},
    privileges, reasons,
};
use crate::fence;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer.bpf.o"));

/// Kernel stacks of x86-64 and aarch64 (THREAD_SIZE).
const KERNEL_STACK_BYTES: u32 = 16 * 1024;

/// Is there an object at all?
pub(super) fn check() -> Result<(), ProbeError> {
    if OBJECT.is_empty() {
        Err(ProbeError::NotBuilt)
    } else {
        Ok(())
    }
}

/// The object as it was built.
pub(super) const fn bytes() -> &'static [u8] {
    OBJECT
}

/// A loader. Making one takes a while, because aya tries the kernel's features, so this can
/// be done on the side.
///
/// aya also reads all of the kernel's types whenever it makes a loader, for relocations that
/// the object does not have: 50 million instructions. It makes one without where it cannot
/// open the file.
pub(super) fn loader<'a>() -> EbpfLoader<'a> {
    let loader = fence::without_files(EbpfLoader::new);
    aya::features();
    loader
}

/// Opens the object: creates its maps and fills in its constants.
pub(super) fn open(
    options: &ProbeOptions,
    types: &KernelTypes,
    offsets: &Offsets,
    interfaces: &[Interface],
    loader: EbpfLoader<'_>,
) -> Result<Ebpf, ProbeError> {
    check()?;
    raise_locked_memory();
    let ring_bytes = ring_bytes(options);
    let layout = offsets.bytes();
    let mut link_types = interfaces.iter().map(|interface| interface.link_type);
    let has_raw_ip = link_types.any(|link_type| link_type == LinkType::RawIp);
    let config = config_bytes(options, types, ring_bytes, has_raw_ip);
    let processors = aya::util::nr_cpus().map_err(|(_, source)| ProbeError::System {
        operation: "count the processors",
        source,
    })?;
    // A loader may borrow only what was there before it.
    let mut loader = loader;
    loader
        // The object has no CO-RE relocations: offsets come from our own reader.
        .btf(None)
        .override_global("LAYOUT", layout.as_slice(), true)
        .override_global("CONFIG", config.as_slice(), true)
        .map_max_entries("EVENTS", ring_bytes)
        .map_max_entries("TRACED", options.traced_processes)
        .map_max_entries("FRAME_BUFFERS", u32::try_from(processors).unwrap_or(1))
        .load(OBJECT)
        .map_err(|error| refusal(&error))
}

/// The size that the ring really gets.
pub(super) fn ring_bytes(options: &ProbeOptions) -> u32 {
    let ring_bytes = options.ring_bytes.max(4096).checked_next_power_of_two();
    ring_bytes.unwrap_or(1 << 31)
}

/// Before 5.11 the kernel counts maps and programs as locked memory. Only there, because a
/// traced command would inherit the limit. If it may not be raised, the kernel will say so
/// when there is too little.
fn raise_locked_memory() {
    let is_needed = KernelVersion::current().is_ok_and(|own| own < KernelVersion::new(5, 11, 0));
    if is_needed {
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    }
}

/// The constants of this run, as the programs read them.
fn config_bytes(
    options: &ProbeOptions,
    types: &KernelTypes,
    ring_bytes: u32,
    has_raw_ip: bool,
) -> Vec<u8> {
    let config = Config {
        scope: match options.scope {
            Scope::Processes => scope::PROCESSES,
            Scope::Host => scope::HOST,
        },
        payload_budget: options.payload_budget,
        full: u32::from(options.full),
        // Room for what arrives while the reader wakes up.
        wakeup_bytes: ring_bytes / 4,
        kernel_stack_bytes: KERNEL_STACK_BYTES,
        network: network_namespace().unwrap_or(0),
        drop_not_specified: reasons::number_of_drop(types, "NOT_SPECIFIED"),
        drop_queue_purge: reasons::number_of_drop(types, "QUEUE_PURGE"),
        reset_reason: u32::from(reasons::of_resets_are_told(types)),
        has_raw_ip: u32::from(has_raw_ip),
        ports_only: u32::from(!options.ports.is_empty()),
    };
    [
        config.scope,
        config.payload_budget,
        config.full,
        config.wakeup_bytes,
        config.kernel_stack_bytes,
        config.network,
        config.drop_not_specified,
        config.drop_queue_purge,
        config.reset_reason,
        config.has_raw_ip,
        config.ports_only,
    ]
    .iter()
    .flat_map(|word| word.to_ne_bytes())
    .collect()
}

const _: () = assert!(size_of::<Config>() == 11 * 4);

/// inode number of the calling thread's network namespace, where it is known.
pub(super) fn network_namespace() -> Option<u32> {
    let namespace = std::fs::metadata("/proc/thread-self/ns/net").ok()?;
    u32::try_from(namespace.ino()).ok()
}

/// What the kernel's refusal to open the object means for the user.
fn refusal(error: &aya::EbpfError) -> ProbeError {
    let reason = error::chain(error);
    match error {
        aya::EbpfError::MapError(_) if error::errno(error) == Some(libc::EPERM) => {
            privileges::refused("create BPF maps")
        }
        aya::EbpfError::MapError(_) if reason.contains("EVENTS") => ProbeError::Unsupported {
            what: "the BPF ring buffer".to_owned(),
            reason,
            mend: "Linux 5.8 or newer is needed".to_owned(),
        },
        aya::EbpfError::MapError(_) => ProbeError::Unsupported {
            what: "a kind of BPF map".to_owned(),
            reason,
            mend: "Linux 5.8 or newer is needed".to_owned(),
        },
        _ => ProbeError::Object { reason },
    }
}
