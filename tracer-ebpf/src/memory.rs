//! Tables that forget. An insert into the kernel's own (`BPF_MAP_TYPE_LRU_HASH`) takes locks and
//! walks lists, which costs as much as a whole program does otherwise.
//!
//! A key may stand in any of the four places of its row, and the oldest gives way. What was
//! forgotten, or was lost when two processors wrote the same row at once, is learned again:
//! good for what only saves records that say the same twice.

use aya_ebpf::maps::Array;

/// A fixed number of integers. All zeros are no key.
pub trait Key: Copy + Eq {
    fn hash(&self) -> u64;
}

impl Key for u64 {
    #[inline(always)]
    fn hash(&self) -> u64 {
        *self
    }
}

/// An entry of a map of rows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Row<K, V> {
    places: [Place<K, V>; 4],
    /// Puts so far: the next one takes this place, modulo four.
    puts: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Place<K, V> {
    key: K,
    value: V,
}

/// 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4): the upper
/// bits of a product with it depend on all bits of the key.
pub const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The row of a key, in a table of `rows` rows, which is a power of two.
#[inline(always)]
pub fn row<K: Key, V>(table: &Array<Row<K, V>>, rows: u32, key: &K) -> Option<*mut Row<K, V>> {
    let mixed = (key.hash().wrapping_mul(SPREAD) >> 32) as u32;
    table.get_ptr_mut(mixed & (rows - 1))
}

/// The value of a key, where it is remembered.
///
/// # Safety
/// `row` points to an entry of the map.
#[inline(always)]
pub unsafe fn find<K: Key, V>(row: *mut Row<K, V>, key: &K) -> Option<*mut V> {
    // Written out: of a loop that LLVM does not unroll, the verifier of 5.10 sees a back-edge.
    // SAFETY: as the caller promises.
    unsafe {
        let first = (&raw mut (*row).places).cast::<Place<K, V>>();
        if (*first).key == *key {
            Some(&raw mut (*first).value)
        } else if (*first.add(1)).key == *key {
            Some(&raw mut (*first.add(1)).value)
        } else if (*first.add(2)).key == *key {
            Some(&raw mut (*first.add(2)).value)
        } else if (*first.add(3)).key == *key {
            Some(&raw mut (*first.add(3)).value)
        } else {
            None
        }
    }
}

/// Remembers a key that [`find`] did not find.
///
/// # Safety
/// `row` points to an entry of the map.
#[inline(always)]
pub unsafe fn put<K: Key, V>(row: *mut Row<K, V>, key: K, value: V) {
    // SAFETY: as the caller promises.
    unsafe {
        let place = (*row).puts & 3;
        (*row).puts = place + 1;
        let first = (&raw mut (*row).places).cast::<Place<K, V>>();
        let entry = Place { key, value };
        if place == 0 {
            *first = entry;
        } else if place == 1 {
            *first.add(1) = entry;
        } else if place == 2 {
            *first.add(2) = entry;
        } else {
            *first.add(3) = entry;
        }
    }
}
