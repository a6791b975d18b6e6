//! Frames that are told apart at first sight: nearly all that a busy host sends and receives
//! while somebody traces one command, or watches one port.
//!
//! Looks at the packet where it lies, without a helper and without taking it apart. Whatever is
//! not plain (tags, options, fragments, headers that are not in one piece) takes the long way.

use core::ptr::read_unaligned;

use crate::ports;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
/// Version 4, header of five words: no options.
const PLAIN_IPV4: u8 = 0x45;
/// More fragments, and the offset of this one (RFC 791, section 3.1).
const FRAGMENTED: u16 = 0x3fff;

const ETHERNET: usize = 14;
const IPV4: usize = ETHERNET + 20;
const IPV6: usize = ETHERNET + 40;
const PORTS: usize = 4;

/// Is this certainly a TCP segment between ports of which none is wanted? `start` and `end`
/// are those of an Ethernet frame's first piece.
#[inline(always)]
pub fn is_of_others(start: usize, end: usize) -> bool {
    if ports::all_are_wanted() || start + IPV4 + PORTS > end {
        return false;
    }
    match load::<u16>(start, 12).to_be() {
        ETHERTYPE_IPV4 => {
            let is_plain = load::<u8>(start, ETHERNET) == PLAIN_IPV4
                && load::<u16>(start, ETHERNET + 6).to_be() & FRAGMENTED == 0
                && load::<u8>(start, ETHERNET + 9) == TCP;
            is_plain && !may_be_wanted(start, IPV4)
        }
        ETHERTYPE_IPV6 => {
            let is_plain = start + IPV6 + PORTS <= end && load::<u8>(start, ETHERNET + 6) == TCP;
            is_plain && !may_be_wanted(start, IPV6)
        }
        _ => false,
    }
}

#[inline(always)]
fn may_be_wanted(start: usize, place: usize) -> bool {
    let source = load::<u16>(start, place).to_be();
    let destination = load::<u16>(start, place + 2).to_be();
    source == 53 || destination == 53 || ports::may_be_wanted(source, destination)
}

#[inline(always)]
fn load<T: Copy>(start: usize, place: usize) -> T {
    // SAFETY: within the bounds that were compared above, as the verifier checks once more;
    // plain integers, wherever they are.
    unsafe { read_unaligned((start + place) as *const T) }
}
