//! Birth, program and end of processes. Children of a traced process become traced here,
//! in the kernel, before they run for the first time.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_uid_gid, generated},
    macros::{kprobe, raw_tracepoint},
    programs::{ProbeContext, RawTracePointContext},
};
use tracer_common::{
    event::hook,
    limits,
    record::{ProcessExec, ProcessExit, ProcessFork},
};

use crate::{
    bounds, emit,
    layout::{offset, read, read_into, read_or_zero},
    resolver, task,
};

/// TP_PROTO(struct task_struct *parent, struct task_struct *child), called from
/// `copy_process`' caller before the child is woken.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn sched_process_fork(context: RawTracePointContext) -> i32 {
    forks(&context, hook::TRACEPOINT, context.arg(0), context.arg(1));
    0
}

/// void wake_up_new_task(struct task_struct *p), with which `kernel_clone` lets go of what it
/// made, a few lines behind the tracepoint.
#[kprobe]
pub fn kprobe_wake_up_new_task(context: ProbeContext) -> u32 {
    if let Some(child) = context.arg(0) {
        // SAFETY: no arguments.
        let parent = unsafe { generated::bpf_get_current_task() };
        forks(&context, hook::KPROBE, parent, child);
    }
    0
}

#[inline(always)]
fn forks(context: &impl EbpfContext, hook: u8, parent: u64, child: u64) {
    let (Some(parent), Some(child_id)) = (
        read::<u32>(parent, offset!(task_tgid)),
        read::<u32>(child, offset!(task_tgid)),
    ) else {
        return;
    };
    // A new thread shares the thread group of its maker.
    if parent == child_id {
        return;
    }
    let traced = task::is_traced(parent);
    if traced && !task::trace(child_id) {
        emit::lose_process();
    }
    if !traced && !task::whole_host() {
        return;
    }
    let Some(mut slot) = emit::reserve::<ProcessFork>(hook, context) else {
        return;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `ProcessFork`.
    unsafe {
        (*record).parent = parent;
        (*record).child = child_id;
        read_into(&raw mut (*record).comm, child, offset!(task_comm));
    }
    slot.submit();
}

/// TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn sched_process_exec(context: RawTracePointContext) -> i32 {
    executes(&context, hook::TRACEPOINT, context.arg(0), context.arg(2));
    0
}

/// void finalize_exec(struct linux_binprm *bprm), with which a loader is done: the new command
/// line is there, and the tracepoint comes next.
#[kprobe]
pub fn kprobe_finalize_exec(context: ProbeContext) -> u32 {
    if let Some(binary) = context.arg(0) {
        // SAFETY: no arguments.
        let process = unsafe { generated::bpf_get_current_task() };
        executes(&context, hook::KPROBE, process, binary);
    }
    0
}

#[inline(always)]
fn executes(context: &impl EbpfContext, hook: u8, process: u64, binary: u64) {
    if !task::current_is_wanted() {
        return;
    }
    let Some(mut slot) = emit::reserve::<ProcessExec>(hook, context) else {
        return;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `ProcessExec`.
    unsafe {
        (*record).tgid = task::current().0;
        (*record).uid = bpf_get_current_uid_gid() as u32;
        (*record).reserved = 0;
        task::write_thread_name(&raw mut (*record).comm);
        (*record).filename[0] = 0;
        if let Some(name) = read::<u64>(binary, offset!(binary_file_name)) {
            generated::bpf_probe_read_kernel_str(
                (&raw mut (*record).filename).cast(),
                limits::FILE_NAME as u32,
                name as *const _,
            );
        }
        (*record).arguments_length = arguments(process, &raw mut (*record).arguments);
    }
    slot.submit_now();
}

/// Copies the command line, which exec has just written to the new stack. Taken here and
/// not from /proc, because a short-lived process is gone before anybody looks.
#[inline(always)]
fn arguments(process: u64, into: *mut [u8; limits::COMMAND_LINE]) -> u32 {
    let Some(memory) = read::<u64>(process, offset!(task_memory)) else {
        return 0;
    };
    let (Some(start), Some(end)) = (
        read::<u64>(memory, offset!(memory_argument_start)),
        read::<u64>(memory, offset!(memory_argument_end)),
    ) else {
        return 0;
    };
    let length = end.wrapping_sub(start).min(limits::COMMAND_LINE as u64);
    let Some(length) = bounds::from_one(length, limits::COMMAND_LINE as u64) else {
        return 0;
    };
    // SAFETY: the length is within the record's member, the helper checks the address.
    let result =
        unsafe { generated::bpf_probe_read_user(into.cast(), length as u32, start as *const _) };
    if result == 0 { length as u32 } else { 0 }
}

/// TP_PROTO(struct task_struct *p, ...), called once per thread.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn sched_process_exit(context: RawTracePointContext) -> i32 {
    exits(&context, hook::TRACEPOINT, context.arg(0));
    0
}

/// void exit_files(struct task_struct *tsk), by which `do_exit` closes files and sockets.
#[kprobe]
pub fn kprobe_exit_files(context: ProbeContext) -> u32 {
    if let Some(process) = context.arg(0) {
        exits(&context, hook::KPROBE, process);
    }
    0
}

#[inline(always)]
fn exits(context: &impl EbpfContext, hook: u8, process: u64) {
    let (tgid, tid) = task::current();
    resolver::thread_ends(context, tid);
    let wanted = task::current_is_wanted();
    // do_exit has counted this thread down already: 0 means that it was the last one.
    let live = read::<u64>(process, offset!(task_signal))
        .and_then(|signal| read::<u32>(signal, offset!(signal_live)));
    let is_last = live.map_or(tid == tgid, |live| live == 0);
    if !wanted || !is_last {
        return;
    }
    task::forget(tgid);
    let Some(mut slot) = emit::reserve::<ProcessExit>(hook, context) else {
        return;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `ProcessExit`.
    unsafe {
        (*record).tgid = tgid;
        (*record).code = read_or_zero::<u32>(process, offset!(task_exit_code));
        task::write_name(&raw mut (*record).comm);
    }
    slot.submit();
}
