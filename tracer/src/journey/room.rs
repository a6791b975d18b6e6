//! Memory for the bytes of streams, used again.
//!
//! A capture of a gigabyte has a gigabyte of payload, of which some megabytes live at a
//! time. Memory that goes back to the allocator goes back to the kernel sooner or later, and
//! each page of it costs a page fault when it is touched anew: 8 % of the samples of
//! perf(1) on the mix of the bench. What a stream gave back is the room of the next one
//! instead.

use std::cell::RefCell;
use std::ops::Deref;

/// The smallest room that is kept, a power of two: what is less than it costs little.
const SMALLEST: usize = 8 << 10;
/// Sizes of rooms that are kept: from [`SMALLEST`] on, each double the one before, up to 2 MiB.
const SIZES: usize = 9;
/// Bytes kept for later, in all.
const MAXIMUM: usize = 24 << 20;

thread_local! {
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare::new()) };
}

/// Rooms that nobody uses, by size.
struct Spare {
    rooms: [Vec<Vec<u8>>; SIZES],
    bytes: usize,
}

impl Spare {
    const fn new() -> Self {
        Self {
            rooms: [const { Vec::new() }; SIZES],
            bytes: 0,
        }
    }

    fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        let room = self.rooms.get_mut(index_of(size)?)?.pop()?;
        self.bytes -= room.capacity();
        Some(room)
    }

    fn give_back(&mut self, mut room: Vec<u8>) {
        let size = room.capacity();
        let Some(rooms) = index_of(size).and_then(|index| self.rooms.get_mut(index)) else {
            return;
        };
        if self.bytes + size <= MAXIMUM {
            room.clear();
            self.bytes += size;
            rooms.push(room);
        }
    }
}

/// Which of the sizes this is, if it is one.
fn index_of(size: usize) -> Option<usize> {
    let is_size = size.is_power_of_two() && size >= SMALLEST;
    is_size.then(|| (size.ilog2() - SMALLEST.ilog2()) as usize)
}

/// Bytes that only become more, in memory that is used again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Room(Vec<u8>);

impl Room {
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Appends zeros.
    pub fn extend_zeroed(&mut self, count: usize) {
        self.reserve(count);
        self.0.resize(self.0.len() + count, 0);
    }

    /// Moves to a larger room where this one is too small.
    fn reserve(&mut self, more: usize) {
        let wanted = self.0.len().saturating_add(more);
        // Below the sizes that are kept, and above them, the allocator does as well.
        if wanted <= self.0.capacity() || wanted < SMALLEST {
            return;
        }
        let size = wanted.checked_next_power_of_two().unwrap_or(wanted);
        if index_of(size).is_none_or(|index| index >= SIZES) {
            return;
        }
        let spare = SPARE.with_borrow_mut(|spare| spare.take(size));
        let mut larger = spare.unwrap_or_else(|| Vec::with_capacity(size));
        larger.extend_from_slice(&self.0);
        let smaller = std::mem::replace(&mut self.0, larger);
        SPARE.with_borrow_mut(|spare| spare.give_back(smaller));
    }
}

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Clone for Room {
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        copy.extend_from_slice(&self.0);
        copy
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let room = std::mem::take(&mut self.0);
        // At the end of a thread there is nobody to give it to.
        let _ = SPARE.try_with(|spare| spare.borrow_mut().give_back(room));
    }
}

#[cfg(test)]
mod tests {
    use super::{MAXIMUM, Room, SMALLEST, SPARE};

    fn spare_bytes() -> usize {
        SPARE.with_borrow(|spare| {
            let rooms = spare.rooms.iter().flatten();
            let counted = rooms.map(Vec::capacity).sum();
            assert_eq!(spare.bytes, counted);
            counted
        })
    }

    #[test]
    fn what_one_stream_gave_back_is_the_room_of_the_next() {
        let mut first = Room::default();
        first.extend_from_slice(&[1; SMALLEST + 1]);
        assert_eq!(spare_bytes(), 0);
        drop(first);
        assert_eq!(spare_bytes(), 2 * SMALLEST);
        let mut second = Room::default();
        second.extend_from_slice(&[2; 2 * SMALLEST]);
        assert_eq!(spare_bytes(), 0, "it is in use again");
        assert_eq!(&*second, &[2; 2 * SMALLEST], "and nothing of it is seen");
    }

    #[test]
    fn a_room_that_grows_keeps_its_bytes_and_gives_back_what_it_leaves() {
        let mut room = Room::default();
        let mut expected = Vec::new();
        for number in 0..4000_u32 {
            room.extend_from_slice(&number.to_le_bytes());
            expected.extend_from_slice(&number.to_le_bytes());
        }
        room.extend_zeroed(100_000);
        expected.resize(expected.len() + 100_000, 0);
        assert_eq!(&*room, expected.as_slice());
        assert_eq!(&*room.clone(), expected.as_slice());
    }

    #[test]
    fn no_more_is_kept_than_the_maximum() {
        let rooms: Vec<Room> = (0..100)
            .map(|_| {
                let mut room = Room::default();
                room.extend_from_slice(&[0; 1 << 20]);
                room
            })
            .collect();
        drop(rooms);
        assert!(spare_bytes() > 0 && spare_bytes() <= MAXIMUM);
        let mut huge = Room::default();
        huge.extend_from_slice(&[0; 5 << 20]);
        drop(huge);
        assert!(spare_bytes() <= MAXIMUM);
    }
}
