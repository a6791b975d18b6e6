//! Lengths the verifier believes.

use aya_ebpf::check_bounds_signed;

/// `length` when it is from 1 to `most`.
///
/// The comparison is made in assembly because LLVM otherwise proves part of it redundant
/// and removes exactly the half that the verifier of older kernels (seen on 6.1) needs.
#[inline(always)]
pub fn from_one(length: u64, most: u64) -> Option<u64> {
    let length = length as i64;
    check_bounds_signed(length, 1, most as i64).then_some(length as u64)
}
