//! What the kernel says of a program of ours: by its descriptor, which takes no right.

use std::{
    mem::size_of,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use aya_obj::generated::bpf_prog_info;

/// `None` when the kernel does not answer. Members that it does not know are 0.
pub(super) fn of(program: BorrowedFd<'_>) -> Option<bpf_prog_info> {
    /// The member of `union bpf_attr` for BPF_OBJ_GET_INFO_BY_FD.
    #[repr(C)]
    struct Query {
        program: u32,
        length: u32,
        information: u64,
    }
    const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;

    // SAFETY: plain data, for which zeros are a value: no buffers are offered to fill.
    let mut information: bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut query = Query {
        program: u32::try_from(program.as_raw_fd()).ok()?,
        length: u32::try_from(size_of::<bpf_prog_info>()).ok()?,
        information: (&raw mut information).addr() as u64,
    };
    // SAFETY: the query names a structure of the length it says, which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_OBJ_GET_INFO_BY_FD,
            &raw mut query,
            size_of::<Query>(),
        )
    };
    (result == 0).then_some(information)
}
