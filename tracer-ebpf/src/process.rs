//! Birth, program and end of processes. Children of a traced process become traced here,
//! in the kernel, before they run for the first time.

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_current_uid_gid, generated},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
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
    let parent: u64 = context.arg(0);
    let child: u64 = context.arg(1);
    let (Some(parent), Some(child_id)) = (
        read::<u32>(parent, offset!(task_tgid)),
        read::<u32>(child, offset!(task_tgid)),
    ) else {
        return 0;
    };
    // A new thread shares the thread group of its maker.
    if parent == child_id {
        return 0;
    }
    let traced = task::is_traced(parent);
    if traced && !task::trace(child_id) {
        emit::lose_process();
    }
    if !traced && !task::whole_host() {
        return 0;
    }
    let Some(mut slot) = emit::reserve::<ProcessFork>(hook::TRACEPOINT, &context) else {
        return 0;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `ProcessFork`.
    unsafe {
        (*record).parent = parent;
        (*record).child = child_id;
        read_into(&raw mut (*record).comm, child, offset!(task_comm));
    }
    slot.submit();
    0
}

/// TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn sched_process_exec(context: RawTracePointContext) -> i32 {
    if !task::current_is_wanted() {
        return 0;
    }
    let process: u64 = context.arg(0);
    let binary: u64 = context.arg(2);
    let Some(mut slot) = emit::reserve::<ProcessExec>(hook::TRACEPOINT, &context) else {
        return 0;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `ProcessExec`.
    unsafe {
        (*record).tgid = task::current().0;
        (*record).uid = bpf_get_current_uid_gid() as u32;
        (*record).reserved = 0;
        (*record).comm = bpf_get_current_comm().unwrap_or_default();
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
    0
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
    let (tgid, tid) = task::current();
    resolver::thread_ends(&context, tid);
    let wanted = task::current_is_wanted();
    let process: u64 = context.arg(0);
    // do_exit has counted this thread down already: 0 means that it was the last one.
    let live = read::<u64>(process, offset!(task_signal))
        .and_then(|signal| read::<u32>(signal, offset!(signal_live)));
    let is_last = live.map_or(tid == tgid, |live| live == 0);
    if !wanted || !is_last {
        return 0;
    }
    task::forget(tgid);
    let Some(mut slot) = emit::reserve::<ProcessExit>(hook::TRACEPOINT, &context) else {
        return 0;
    };
    let record = slot.record();
    // SAFETY: `record` points to reserved memory of a `ProcessExit`.
    unsafe {
        (*record).tgid = tgid;
        (*record).code = read_or_zero::<u32>(process, offset!(task_exit_code));
        task::write_name(&raw mut (*record).comm);
    }
    slot.submit();
    0
}
