//! System calls that decoding never needs, refused for good (seccomp).
//!
//! A list of what is forbidden and not of what is allowed: libraries find new calls for old
//! work, and a tracer must not fail because of that. A forbidden call returns EPERM.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;

/// Always refused: starting programs, reaching into other processes, changing the file
/// system's tree, mounts, namespaces, keys, the kernel and its clock; and io_uring, which
/// does any of it without a system call.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_userfaultfd,
    libc::SYS_openat2,
    libc::SYS_open_by_handle_at,
    libc::SYS_truncate,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mknodat,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_personality,
];

/// The older forms of the same, which newer machines do not have.
#[cfg(target_arch = "x86_64")]
const REFUSED_OLD: &[libc::c_long] = &[
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_mknod,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_OLD: &[libc::c_long] = &[];

/// Commands of bpf(2) that change what is in the kernel or find what is not ours: enum
/// bpf_cmd of include/uapi/linux/bpf.h. Reading maps and detaching remain.
const BPF_COMMANDS: &[u64] = &[
    0,  // BPF_MAP_CREATE
    5,  // BPF_PROG_LOAD
    6,  // BPF_OBJ_PIN
    7,  // BPF_OBJ_GET
    8,  // BPF_PROG_ATTACH
    10, // BPF_PROG_TEST_RUN
    13, // BPF_PROG_GET_FD_BY_ID
    14, // BPF_MAP_GET_FD_BY_ID
    17, // BPF_RAW_TRACEPOINT_OPEN
    18, // BPF_BTF_LOAD
    28, // BPF_LINK_CREATE
    29, // BPF_LINK_UPDATE
    30, // BPF_LINK_GET_FD_BY_ID
    33, // BPF_ITER_CREATE
];

/// Bits of the number of a call by the x32 ABI, which would get by otherwise.
#[cfg(target_arch = "x86_64")]
const ABIS: &[i64] = &[0, 0x4000_0000];
#[cfg(not(target_arch = "x86_64"))]
const ABIS: &[i64] = &[0];

/// Installs the filter for every thread of this process. Returns how many calls it refuses.
pub(super) fn refuse() -> Result<usize, String> {
    let (program, count) = filter().map_err(|error| error.to_string())?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| error.to_string())?;
    Ok(count)
}

/// Refuses the calling thread to open files.
pub(super) fn refuse_opening() -> Result<(), String> {
    let program = no_opening().map_err(|error| error.to_string())?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

fn no_opening() -> Result<BpfProgram, seccompiler::BackendError> {
    let calls = [libc::SYS_openat, libc::SYS_openat2];
    #[cfg(target_arch = "x86_64")]
    let calls = calls.into_iter().chain([libc::SYS_open]);
    let rules = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let architecture = std::env::consts::ARCH.try_into()?;
    let refused = SeccompAction::Errno(libc::EACCES.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture)?.try_into()
}

fn filter() -> Result<(BpfProgram, usize), seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut add = |call: libc::c_long, conditions: Vec<SeccompRule>| {
        for abi in ABIS {
            rules.insert(call | abi, conditions.clone());
        }
    };
    for call in REFUSED.iter().chain(REFUSED_OLD) {
        add(*call, Vec::new());
    }
    add(libc::SYS_openat, writing(2)?);
    #[cfg(target_arch = "x86_64")]
    add(libc::SYS_open, writing(1)?);
    add(libc::SYS_socket, vec![foreign_socket()?]);
    let commands: Result<_, _> = BPF_COMMANDS
        .iter()
        .map(|command| rule(vec![is(0, SeccompCmpOp::Eq, *command)?]))
        .collect();
    add(libc::SYS_bpf, commands?);
    let count = rules.len() / ABIS.len();
    let architecture = std::env::consts::ARCH.try_into()?;
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture)?;
    Ok((filter.try_into()?, count))
}

/// Opening a file in order to write: outputs are open by now. `flags` counts the arguments
/// from 0.
fn writing(flags: u8) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let bits = |mask: libc::c_int, value: libc::c_int| {
        let mask = SeccompCmpOp::MaskedEq(u64::from(mask.cast_unsigned()));
        rule(vec![is(flags, mask, u64::from(value.cast_unsigned()))?])
    };
    Ok(vec![
        bits(libc::O_ACCMODE, libc::O_WRONLY)?,
        bits(libc::O_ACCMODE, libc::O_RDWR)?,
        bits(libc::O_CREAT, libc::O_CREAT)?,
        bits(libc::O_TRUNC, libc::O_TRUNC)?,
    ])
}

/// Neither rtnetlink, which tells of routes, nor a pair of Unix sockets of a library.
fn foreign_socket() -> Result<SeccompRule, seccompiler::BackendError> {
    let differs = |family: libc::c_int| is(0, SeccompCmpOp::Ne, u64::from(family.cast_unsigned()));
    rule(vec![differs(libc::AF_UNIX)?, differs(libc::AF_NETLINK)?])
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions)
}

fn is(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

#[cfg(test)]
mod tests {
    use super::filter;
    use std::fs::{self, File, OpenOptions};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    /// Runs in a thread behind the fence, which ends with it.
    fn fenced<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let (program, _) = filter().unwrap();
        let thread = std::thread::spawn(move || {
            seccompiler::apply_filter(&program).unwrap();
            work()
        });
        thread.join().unwrap()
    }

    fn is_refused<T>(result: std::io::Result<T>) -> bool {
        result.is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
    }

    #[test]
    fn programs_sockets_and_files_for_writing_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        fs::write(path.join("old"), "old").unwrap();
        let refused = fenced(move || {
            [
                ("execve", is_refused(Command::new("/bin/true").status())),
                ("create", is_refused(File::create(path.join("new")))),
                (
                    "append",
                    is_refused(OpenOptions::new().append(true).open(path.join("old"))),
                ),
                (
                    "update",
                    is_refused(
                        OpenOptions::new()
                            .read(true)
                            .write(true)
                            .open(path.join("old")),
                    ),
                ),
                ("remove", is_refused(fs::remove_file(path.join("old")))),
                (
                    "rename",
                    is_refused(fs::rename(path.join("old"), path.join("new"))),
                ),
                ("folder", is_refused(fs::create_dir(path.join("folder")))),
                ("connect", is_refused(TcpStream::connect("127.0.0.1:9"))),
            ]
        });
        for (call, is_refused) in refused {
            assert!(is_refused, "{call} was let through");
        }
        assert_eq!(
            fs::read_to_string(folder.path().join("old")).unwrap(),
            "old"
        );
    }

    #[test]
    fn one_thread_alone_can_open_no_file() {
        let path = std::path::Path::new("/proc/self/status");
        assert!(crate::fence::without_files(|| File::open(path).is_err()));
        assert!(File::open(path).is_ok());
    }

    #[test]
    fn what_decoding_needs_goes_on() {
        let mut open = tempfile::tempfile().unwrap();
        fenced(move || {
            open.write_all(b"a file that was open before").unwrap();
            let mut status = String::new();
            File::open("/proc/self/status")
                .unwrap()
                .read_to_string(&mut status)
                .unwrap();
            assert!(fs::read_link("/proc/self/exe").is_ok());
            assert!(fs::read_dir("/proc/self/task").is_ok());
            assert!(UnixStream::pair().is_ok());
            std::thread::spawn(|| ()).join().unwrap();
            rustix::net::socket_with(
                rustix::net::AddressFamily::NETLINK,
                rustix::net::SocketType::RAW,
                rustix::net::SocketFlags::CLOEXEC,
                None,
            )
            .unwrap();
        });
    }
}
