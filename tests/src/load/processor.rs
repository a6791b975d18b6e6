//! Processor time of processes and of the machine.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// User and system time of a process and all its threads, also of those that ended; what
/// interrupts did on its back is charged to it, too.
pub fn of_process(pid: u32) -> Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?;
    Ok(Duration::from(clock_gettime(clock)?))
}

/// The same of all children of this process that it has waited for.
pub fn of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let time =
        |time: TimeVal| Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0));
    Ok(time(usage.user_time()) + time(usage.system_time()))
}

/// Everything but idling, of all processors: the first line of /proc/stat, proc(5).
pub fn of_machine() -> Result<Duration> {
    /// Idle and waiting for a disk; guests are counted in the first two already.
    const NOT_BUSY: [usize; 4] = [3, 4, 8, 9];
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let numbers = line.split_whitespace().skip(1).enumerate();
    let busy = numbers.filter(|(place, _)| !NOT_BUSY.contains(place));
    let ticks: u64 = busy
        .filter_map(|(_, number)| number.parse::<u64>().ok())
        .sum();
    let frequency = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
    Ok(Duration::from_secs_f64(ticks as f64 / frequency as f64))
}

/// Children of a process, proc_pid_children(5).
pub fn children_of(pid: u32) -> Result<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let children = text.split_whitespace();
    Ok(children.filter_map(|child| child.parse().ok()).collect())
}
