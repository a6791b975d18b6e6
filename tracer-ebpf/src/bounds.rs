//! Lengths and places the verifier believes.

use aya_ebpf::check_bounds_signed;

/// `length` when it is from 1 to `most`.
///
/// The comparison is made in assembly because LLVM otherwise proves part of it redundant
/// and removes exactly the half that the verifier of older kernels (seen on 6.1) needs.
#[inline(always)]
pub fn from_one(length: u64, most: u64) -> Option<u64> {
    within(length, 1, most)
}

/// `place` when it is from 0 to `most`.
#[inline(always)]
pub fn from_zero(place: u64, most: u64) -> Option<u64> {
    within(place, 0, most)
}

#[inline(always)]
fn within(number: u64, least: u64, most: u64) -> Option<u64> {
    let number = number as i64;
    check_bounds_signed(number, least as i64, most as i64).then_some(number as u64)
}
