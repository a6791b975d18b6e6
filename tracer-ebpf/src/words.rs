//! Memory by the word.
//!
//! What is written to an array of bytes LLVM turns into a call of memset or memcpy, which are
//! loops that go byte by byte: sixteen zeros took some ninety instructions in every run, and the
//! verifier goes round with them.

/// Zeroes `WORDS` words of four bytes.
///
/// # Safety
/// `into` is valid for writes of them, and aligned to four bytes.
#[inline(always)]
pub unsafe fn clear<const WORDS: usize>(into: *mut u8) {
    let mut index = 0;
    while index < WORDS {
        // SAFETY: as the caller promises. Volatile, or it would be memset again.
        unsafe { into.cast::<u32>().add(index).write_volatile(0) };
        index += 1;
    }
}

/// Copies `WORDS` words of eight bytes.
///
/// # Safety
/// `from` is valid for reads and `into` for writes of them; both are aligned to eight bytes.
#[inline(always)]
pub unsafe fn copy<const WORDS: usize>(from: *const u64, into: *mut u64) {
    let mut index = 0;
    while index < WORDS {
        // SAFETY: as the caller promises. Volatile, or it would be memcpy again.
        unsafe { into.add(index).write_volatile(*from.add(index)) };
        index += 1;
    }
}

/// Zeroes the six bytes of an address of the link layer, or of padding.
///
/// # Safety
/// `into` is valid for writes of six bytes, and aligned to two.
#[inline(always)]
pub unsafe fn clear_six(into: *mut u8) {
    let into = into.cast::<u16>();
    // SAFETY: as the caller promises.
    unsafe {
        into.write_volatile(0);
        into.add(1).write_volatile(0);
        into.add(2).write_volatile(0);
    }
}
