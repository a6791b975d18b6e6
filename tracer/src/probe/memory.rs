//! Memory that the start of a capture took.

/// Gives back to the kernel what the program's allocator holds and nobody uses. It keeps freed
/// memory for a second otherwise: of reading the kernel's types and attaching that is three
/// times as much as a capture needs.
pub(super) fn give_back() {
    // SAFETY: it looks at nothing but free memory of the calling thread and of threads that have
    // ended, and may be called at any time, also where another allocator is the program's.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
