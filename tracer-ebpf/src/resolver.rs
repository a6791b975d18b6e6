//! The resolver library: calls of getaddrinfo(3), and the files it reads.

use core::mem::MaybeUninit;

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_ktime_get_boot_ns, generated},
    macros::{fentry, kprobe, map, raw_tracepoint, uprobe, uretprobe},
    maps::LruHashMap,
    programs::{FEntryContext, ProbeContext, RawTracePointContext, RetProbeContext},
};
use tracer_common::{
    event::hook,
    limits,
    record::{FileOpen, GetAddrInfo},
};

use crate::{
    emit,
    layout::{offset, read},
    task, words,
};

// Numbers of system calls: arch/x86/entry/syscalls/syscall_64.tbl and, for aarch64,
// include/uapi/asm-generic/unistd.h, which has no open(2).
const OPEN: u64 = if IS_AARCH64 { u64::MAX } else { 2 };
const OPENAT: u64 = if IS_AARCH64 { 56 } else { 257 };
const OPENAT2: u64 = 437;
const IS_AARCH64: bool = cfg!(bpf_target_arch = "aarch64");

/// A call that has not returned yet.
#[repr(C)]
struct Call {
    entered_at_ns: u64,
    /// User addresses of the arguments, 0 for NULL.
    node: u64,
    service: u64,
    has_name: u8,
    has_service: u8,
    reserved: [u8; 6],
    name: [u8; limits::HOST_NAME],
    service_name: [u8; limits::SERVICE_NAME],
}

/// A value to start from: an entry is made first and filled in place, because it is too
/// large for the stack and uprobes can be preempted, which rules out a per-CPU buffer.
static EMPTY: Call = Call {
    entered_at_ns: 0,
    node: 0,
    service: 0,
    has_name: 0,
    has_service: 0,
    reserved: [0; 6],
    name: [0; limits::HOST_NAME],
    service_name: [0; limits::SERVICE_NAME],
};

/// Calls by thread. Least recently used, in case a thread dies without a trace.
#[map]
static CALLS: LruHashMap<u32, Call> = LruHashMap::with_max_entries(4096, 0);

/// int getaddrinfo(const char *node, const char *service, ...)
#[uprobe]
pub fn getaddrinfo_entry(context: ProbeContext) -> u32 {
    if !task::current_is_wanted_here() {
        return 0;
    }
    let tid = task::current().1;
    if CALLS.insert(tid, &EMPTY, 0).is_err() {
        return 0;
    }
    let Some(call) = CALLS.get_ptr_mut(tid) else {
        return 0;
    };
    // SAFETY: `call` points to this thread's entry, which no other thread touches.
    unsafe {
        (*call).entered_at_ns = bpf_ktime_get_boot_ns();
        (*call).node = context.arg(0).unwrap_or(0);
        (*call).service = context.arg(1).unwrap_or(0);
        read_arguments(call);
    }
    0
}

#[uretprobe]
pub fn getaddrinfo_return(context: RetProbeContext) -> u32 {
    read_late(&context);
    let tid = task::current().1;
    let Some(call) = CALLS.get_ptr_mut(tid) else {
        return 0;
    };
    // SAFETY: `call` points to this thread's entry, which no other thread touches. A page
    // that was not in memory at the entry (a string constant) is now: the library read it.
    unsafe { read_arguments(call) };
    report(&context, call, Some(context.ret()));
    let _ = CALLS.remove(tid);
    0
}

/// The current thread ends: if it was inside the resolver, nobody will return from there.
#[inline(always)]
pub fn thread_ends(context: &impl EbpfContext, tid: u32) {
    if let Some(call) = CALLS.get_ptr(tid) {
        report(context, call, None);
        let _ = CALLS.remove(tid);
    }
}

/// Reads the strings that are not known yet.
///
/// # Safety
/// `call` is valid.
#[inline(always)]
unsafe fn read_arguments(call: *mut Call) {
    // SAFETY: as the caller promises; the helper checks the user addresses.
    unsafe {
        if (*call).has_name == 0 && (*call).node != 0 {
            let length = generated::bpf_probe_read_user_str(
                (&raw mut (*call).name).cast(),
                limits::HOST_NAME as u32,
                (*call).node as *const _,
            );
            (*call).has_name = u8::from(length > 0);
        }
        if (*call).has_service == 0 && (*call).service != 0 {
            let length = generated::bpf_probe_read_user_str(
                (&raw mut (*call).service_name).cast(),
                limits::SERVICE_NAME as u32,
                (*call).service as *const _,
            );
            (*call).has_service = u8::from(length > 0);
        }
    }
}

#[inline(always)]
fn report(context: &impl EbpfContext, call: *const Call, result: Option<i32>) {
    let Some(mut slot) = emit::reserve::<GetAddrInfo>(hook::UPROBE, context) else {
        return;
    };
    let (tgid, tid) = task::current();
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `GetAddrInfo`, `call` to an entry of
    // the map. The helper copies because a long copy by hand is a long program.
    unsafe {
        (*record).entered_at_ns = (*call).entered_at_ns;
        (*record).tgid = tgid;
        (*record).tid = tid;
        (*record).returned = u8::from(result.is_some());
        (*record).result = result.unwrap_or(0);
        (*record).has_name = (*call).has_name;
        (*record).has_service = (*call).has_service;
        (*record).reserved = 0;
        task::write_thread_name(&raw mut (*record).comm);
        generated::bpf_probe_read_kernel(
            (&raw mut (*record).name).cast(),
            limits::HOST_NAME as u32,
            (&raw const (*call).name).cast(),
        );
        generated::bpf_probe_read_kernel(
            (&raw mut (*record).service).cast(),
            limits::SERVICE_NAME as u32,
            (&raw const (*call).service_name).cast(),
        );
    }
    slot.submit();
}

// static long do_sys_openat2(int dfd, const char __user *filename, struct open_how *how),
// fs/open.c since Linux 5.6: what open(2), openat(2) and openat2(2) come to.

#[kprobe]
pub fn kprobe_do_sys_openat2(context: ProbeContext) -> u32 {
    opens(&context, hook::KPROBE, || context.arg(1));
    0
}

#[fentry(function = "do_sys_openat2")]
pub fn fentry_do_sys_openat2(context: FEntryContext) -> i32 {
    opens(&context, hook::FENTRY, || Some(context.arg(1)));
    0
}

/// TP_PROTO(struct pt_regs *regs, long id). It runs at every system call of the host: the
/// number is looked at first, and is one of the program's own constants.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn sys_enter(context: RawTracePointContext) -> i32 {
    let number: u64 = context.arg(1);
    let path_is_first = number == OPEN;
    if !path_is_first && number != OPENAT && number != OPENAT2 {
        return 0;
    }
    opens(&context, hook::TRACEPOINT, || {
        read(context.arg(0), argument_offset(path_is_first))
    });
    0
}

// FILE *fopen(const char *pathname, const char *mode), by which the resolver of the GNU C
// library reads all its files. Unlike the hooks of system calls it costs nothing but to those
// who call it.

/// Names that could not be read, by thread: a string constant may not be in memory before the
/// kernel asks for it. They are read at the thread's next look at a file, or when the resolver
/// returns: a hook on the return of fopen would wait for a grace period more to be detached.
#[map]
static UNREAD: LruHashMap<u32, u64> = LruHashMap::with_max_entries(1024, 0);

#[uprobe]
pub fn fopen_entry(context: ProbeContext) -> u32 {
    read_late(&context);
    if opens(&context, hook::UPROBE, || context.arg(0)) == Read::Later {
        let address = context.arg::<u64>(0).unwrap_or(0);
        let _ = UNREAD.insert(task::current().1, address, 0);
    }
    0
}

/// Reads a name that could not be read before.
#[inline(always)]
fn read_late(context: &impl EbpfContext) {
    let tid = task::current().1;
    if let Some(address) = UNREAD.get_ptr(tid) {
        // SAFETY: this thread's entry.
        let address = unsafe { *address };
        opens(context, hook::UPROBE, || Some(address));
        let _ = UNREAD.remove(tid);
    }
}

/// Whether the name of a file could be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Now,
    /// It is not in memory yet.
    Later,
}

/// The beginning of a file's name, aligned as in a [`FileOpen`], so that it is copied by the word.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Path {
    bytes: [u8; limits::RESOLVER_PATH],
}

/// The current task asks for the file whose name is at the user address that `address` gives.
#[inline(always)]
fn opens(context: &impl EbpfContext, hook: u8, address: impl FnOnce() -> Option<u64>) -> Read {
    if !task::current_is_wanted() {
        return Read::Now;
    }
    let Some(address) = address() else {
        return Read::Now;
    };
    let mut path = MaybeUninit::<Path>::uninit();
    // SAFETY: the buffer is as long as it is cleared; the helper checks the user address and
    // writes at most as many bytes.
    let length = unsafe {
        words::clear::<{ limits::RESOLVER_PATH / 4 }>(path.as_mut_ptr().cast());
        generated::bpf_probe_read_user_str(
            path.as_mut_ptr().cast(),
            limits::RESOLVER_PATH as u32,
            address as *const _,
        )
    };
    if length < 0 {
        return Read::Later;
    }
    // SAFETY: cleared, and plain bytes.
    let path = unsafe { path.assume_init_ref() };
    if !is_resolver_file(&path.bytes) {
        return Read::Now;
    }
    let Some(mut slot) = emit::reserve::<FileOpen>(hook, context) else {
        return Read::Now;
    };
    let (tgid, tid) = task::current();
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `FileOpen`.
    unsafe {
        (*record).tgid = tgid;
        (*record).tid = tid;
        words::copy::<{ limits::RESOLVER_PATH / 8 }>(
            (&raw const *path).cast(),
            (&raw mut (*record).path).cast(),
        );
    }
    slot.submit();
    Read::Now
}

/// Where a system call's first or second argument is saved.
#[inline(always)]
fn argument_offset(first: bool) -> u16 {
    if IS_AARCH64 {
        // regs[0] and regs[1] of 64 bits each.
        let registers = offset!(registers_aarch64);
        if first {
            registers
        } else {
            registers.wrapping_add(8)
        }
    } else if first {
        offset!(registers_x86_first)
    } else {
        offset!(registers_x86_second)
    }
}

#[inline(always)]
fn is_resolver_file(path: &[u8; limits::RESOLVER_PATH]) -> bool {
    begins(path, b"/etc/")
        && (begins(path, b"/etc/hosts\0")
            || begins(path, b"/etc/resolv.conf\0")
            || begins(path, b"/etc/nsswitch.conf\0")
            || begins(path, b"/etc/gai.conf\0")
            || begins(path, b"/etc/host.conf\0"))
        || begins(path, b"/run/systemd/resolve/")
        || begins(path, b"/var/run/nscd/socket\0")
}

#[inline(always)]
fn begins<const N: usize>(path: &[u8; limits::RESOLVER_PATH], with: &[u8; N]) -> bool {
    let mut index = 0;
    while index < N {
        if index >= path.len() || path[index] != with[index] {
            return false;
        }
        index += 1;
    }
    true
}
