//! The memory of the frame before, for the next one. Frames of a file are taken one by one,
//! and most are longer than what the C library's allocator gives back quickly: making room
//! for each anew took a tenth of all time.

use std::cell::Cell;

/// More is not kept: a frame of this size is rare.
const MAXIMUM: usize = 256 * 1024;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A copy of `data`, in memory that was given back where there is some.
pub(super) fn copy_of(data: &[u8]) -> Vec<u8> {
    let mut copy = SPARE.take();
    copy.clear();
    copy.extend_from_slice(data);
    copy
}

/// Gives back the bytes of a frame that nobody needs any more.
pub(crate) fn give_back(data: Vec<u8>) {
    if data.capacity() <= MAXIMUM {
        SPARE.set(data);
    }
}

#[cfg(test)]
mod tests {
    use super::{MAXIMUM, copy_of, give_back};

    #[test]
    fn memory_is_used_again_and_nothing_of_its_content_is_seen() {
        let first = copy_of(&[1; 1000]);
        let place = first.as_ptr();
        give_back(first);
        let second = copy_of(b"short");
        assert_eq!((second.as_slice(), second.as_ptr()), (&b"short"[..], place));
        let other = copy_of(b"other");
        assert_ne!(other.as_ptr(), place, "one is in use");
        give_back(Vec::with_capacity(MAXIMUM + 1));
        assert!(copy_of(b"x").capacity() <= MAXIMUM);
    }
}
