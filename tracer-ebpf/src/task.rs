//! Who is running, whether it is traced, and whether it is running on its own account.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, generated},
    macros::map,
    maps::HashMap,
};
use tracer_common::{config::scope, event::flag, layout::ABSENT, limits};

use crate::layout::{
    config, is_another, network_inode, number_of, offset, read, read_into, read_or_zero,
};

/// Thread group ids of traced processes. Filled by the tracer for the first one and by
/// `process` for its descendants.
#[map]
static TRACED: HashMap<u32, u32> = HashMap::with_max_entries(limits::TRACED_PROCESSES, 0);

/// `PF_KTHREAD`, include/linux/sched.h.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// Everything on this host is wanted, not only the traced processes.
#[inline(always)]
pub fn whole_host() -> bool {
    config().scope() == scope::HOST
}

/// Is this process traced?
#[inline(always)]
pub fn is_traced(tgid: u32) -> bool {
    TRACED.get_ptr(tgid).is_some()
}

/// Are events of the current task wanted in this run?
#[inline(always)]
pub fn current_is_wanted() -> bool {
    whole_host() || is_traced(current().0)
}

/// As [`current_is_wanted`], for what is told of processes and not of packets: a process of
/// another network namespace is wanted only where it was asked for by itself.
#[inline(always)]
pub fn current_is_wanted_here() -> bool {
    if is_traced(current().0) {
        return true;
    }
    whole_host() && !is_another(current_network())
}

/// Writes the name of the current process, which is that of its first thread: others may have
/// names of their own.
///
/// # Safety
/// `into` is valid for writes.
#[inline(always)]
pub unsafe fn write_name(into: *mut [u8; limits::COMM]) {
    // SAFETY: no arguments.
    let task = unsafe { generated::bpf_get_current_task() };
    let leader = read::<u64>(task, offset!(task_group_leader)).unwrap_or(task);
    // SAFETY: as the caller promises.
    unsafe { read_into(into, leader, offset!(task_comm)) };
}

/// Writes the name of the current thread.
///
/// # Safety
/// `into` is valid for writes.
#[inline(always)]
pub unsafe fn write_thread_name(into: *mut [u8; limits::COMM]) {
    // SAFETY: as the caller promises; the helper writes as many bytes, zeros where it fails.
    unsafe { generated::bpf_get_current_comm(into.cast(), limits::COMM as u32) };
}

/// inode number of the current task's network namespace, 0 where unknown.
#[inline(always)]
fn current_network() -> u32 {
    // SAFETY: no arguments.
    let task = unsafe { generated::bpf_get_current_task() };
    read::<u64>(task, offset!(task_namespaces))
        .and_then(|namespaces| read::<u64>(namespaces, offset!(namespaces_network)))
        .map_or(0, network_inode)
}

/// A process becomes traced. False when the table is full.
#[inline(always)]
pub fn trace(tgid: u32) -> bool {
    TRACED.insert(tgid, 1, 0).is_ok()
}

/// A process is gone.
#[inline(always)]
pub fn forget(tgid: u32) {
    // It may never have been traced: nothing to report.
    let _ = TRACED.remove(tgid);
}

/// Process (thread group) id and thread id of the current task.
#[inline(always)]
pub fn current() -> (u32, u32) {
    let both = bpf_get_current_pid_tgid();
    ((both >> 32) as u32, both as u32)
}

/// [`flag::PROCESS_CONTEXT`] when the current task itself caused what is being observed.
///
/// Softirqs run on a stack of their own on the machines this is built for (x86-64:
/// `do_softirq_own_stack`), also when a system call triggers them on its way out. The
/// program's context lies on the stack of the code that was traced: if that is not the
/// current task's stack, the task merely happened to be there.
#[inline(always)]
pub fn context_flags(context: &impl EbpfContext) -> u8 {
    if runs_on_own_stack(context) {
        flag::PROCESS_CONTEXT
    } else {
        0
    }
}

#[inline(always)]
pub fn runs_on_own_stack(context: &impl EbpfContext) -> bool {
    if offset!(task_stack) == ABSENT {
        return true;
    }
    // SAFETY: no arguments.
    let task = unsafe { generated::bpf_get_current_task() };
    let Some(stack) = read::<u64>(task, offset!(task_stack)) else {
        return true;
    };
    if read_or_zero::<u32>(task, offset!(task_flags)) & KERNEL_THREAD != 0 {
        return false;
    }
    let place = number_of(context.as_ptr());
    place.wrapping_sub(stack) < u64::from(config().kernel_stack_bytes())
}
