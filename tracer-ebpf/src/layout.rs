//! What the tracer resolved before it loaded these programs, and reads through it.

use aya_ebpf::helpers::generated;
use tracer_common::{Config, Layout, layout::ABSENT};

// The tracer overwrites both before loading; aya then freezes the map, so that the
// verifier sees constants. Volatile reads keep LLVM from folding these values in.
#[unsafe(no_mangle)]
static LAYOUT: Layout = Layout::UNKNOWN;

#[unsafe(no_mangle)]
static CONFIG: Config = Config {
    scope: 0,
    payload_budget: 0,
    full: 0,
    wakeup_bytes: 0,
    kernel_stack_bytes: 16384,
    network: 0,
    drop_not_specified: u32::MAX,
    drop_queue_purge: u32::MAX,
    reset_reason: 0,
    has_raw_ip: 0,
    ports_only: 0,
};

/// One offset of the kernel's layout: `offset!(sock_cookie)`.
macro_rules! offset {
    ($member:ident) => {
        $crate::layout::entry(core::mem::offset_of!(tracer_common::Layout, $member))
    };
}
pub(crate) use offset;

/// The entry of the table at `place`, for [`offset!`] only.
#[inline(always)]
pub fn entry(place: usize) -> u16 {
    let table = (&raw const LAYOUT).cast::<u8>();
    // SAFETY: `offset!` passes the place of a member, and all members are of this type.
    unsafe { core::ptr::read_volatile(table.add(place).cast::<u16>()) }
}

/// A view of the constants of this run.
#[inline(always)]
pub fn config() -> ConfigView {
    ConfigView
}

macro_rules! config_view {
    ($($member:ident),*) => {
        /// The constants of this run, each read where it is used.
        pub struct ConfigView;

        /// The constants of this run as values.
        impl ConfigView {
            $(#[inline(always)]
            pub fn $member(&self) -> u32 {
                // SAFETY: CONFIG is a static of this program.
                unsafe { core::ptr::read_volatile(&raw const CONFIG.$member) }
            })*
        }
    };
}
config_view!(
    scope,
    payload_budget,
    full,
    wakeup_bytes,
    kernel_stack_bytes,
    network,
    drop_not_specified,
    drop_queue_purge,
    reset_reason,
    has_raw_ip,
    ports_only
);

/// Reads a member of a kernel structure. `None` when this kernel has no such member or the
/// address is not readable.
#[inline(always)]
pub fn read<T: Copy>(base: u64, offset: u16) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the address and writes `size_of::<T>()` bytes, or fails.
    let result = unsafe {
        generated::bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            (base + u64::from(offset)) as *const _,
        )
    };
    // SAFETY: filled by the helper; `T` is plain data.
    (result == 0).then(|| unsafe { value.assume_init() })
}

/// As [`read`], where 0 says enough of what cannot be read. No branch follows: older verifiers
/// go through all that comes behind one twice.
#[inline(always)]
pub fn read_or_zero<T: Copy + Default>(base: u64, offset: u16) -> T {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: an integer or several, whose default is all zeros, as is what a failed read leaves.
    unsafe {
        read_into(value.as_mut_ptr(), base, offset);
        value.assume_init()
    }
}

/// A pointer as a number. Of pointers that the verifier knows (a context, arguments with types) it
/// forbids most arithmetic, but not a helper that copies the variable that holds one.
#[inline(always)]
pub fn number_of<T>(pointer: *const T) -> u64 {
    read_or_zero((&raw const pointer) as u64, 0)
}

/// inode number of a network namespace (`struct net`), 0 where unknown.
#[inline(always)]
pub fn network_inode(network: u64) -> u32 {
    read_or_zero(network, offset!(network_inode))
}

/// inode number of a socket's network namespace, 0 where unknown.
#[inline(always)]
pub fn network_of_socket(socket: u64) -> u32 {
    read::<u64>(socket, offset!(sock_network)).map_or(0, network_inode)
}

/// Is this certainly another network namespace than the watched one?
#[inline(always)]
pub fn is_another(network: u32) -> bool {
    let watched = config().network();
    watched != 0 && network != 0 && network != watched
}

/// Is this device certainly in another network namespace than the watched one?
#[inline(always)]
pub fn is_elsewhere(device: u64) -> bool {
    device != 0 && is_another(read::<u64>(device, offset!(device_network)).map_or(0, network_inode))
}

/// Reads a member straight into a record; zeroes it when that fails.
///
/// # Safety
/// `into` is valid for writes of a `T`, which is plain data.
#[inline(always)]
pub unsafe fn read_into<T>(into: *mut T, base: u64, offset: u16) {
    if offset == ABSENT {
        // SAFETY: as the caller promises.
        unsafe { core::ptr::write_bytes(into, 0, 1) };
        return;
    }
    // SAFETY: as the caller promises; the helper zeroes the memory when it fails.
    unsafe {
        generated::bpf_probe_read_kernel(
            into.cast(),
            size_of::<T>() as u32,
            (base + u64::from(offset)) as *const _,
        );
    }
}
