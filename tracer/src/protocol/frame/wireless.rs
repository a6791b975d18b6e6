//! IEEE 802.11, bare or behind what a wireless card tells about its reception. Only data
//! frames in clear are opened, of an aggregate (A-MSDU) the first packet.

use super::link::{Link, Protocol};

/// Frame control, first byte (IEEE 802.11-2020, section 9.2.4.1).
const VERSION: u8 = 0b0000_0011;
const TYPE: u8 = 0b0000_1100;
const TYPE_DATA: u8 = 0b0000_1000;
/// Bits of the subtype of data frames.
const NO_DATA: u8 = 0b0100_0000;
const QOS: u8 = 0b1000_0000;

/// Frame control, second byte.
const TO_DS: u8 = 0x01;
const FROM_DS: u8 = 0x02;
const PROTECTED: u8 = 0x40;
/// In QoS data frames: four bytes of HT control follow.
const ORDER: u8 = 0x80;

/// QoS control, first byte: the body is an aggregate of packets.
const AGGREGATE: u8 = 0x80;

/// Radiotap: bits of the first word of `present`, and of its flags field.
const TSFT: u32 = 1;
const FLAGS: u32 = 1 << 1;
const MORE_PRESENT: u32 = 1 << 31;
const FLAG_DATA_PAD: u8 = 0x20;

/// LINKTYPE_IEEE802_11 (105).
pub(super) fn ieee_802_11(data: &[u8]) -> Option<Link<'_>> {
    open(data, false)
}

/// LINKTYPE_IEEE802_11_RADIOTAP (127): version, padding, length, words of `present`,
/// fields; all in little endian. Source: radiotap.org.
pub(super) fn radiotap(data: &[u8]) -> Option<Link<'_>> {
    let ([version, _, l0, l1], _) = data.split_first_chunk::<4>()?;
    if *version != 0 {
        return None;
    }
    let (header, frame) = data.split_at_checked(usize::from(u16::from_le_bytes([*l0, *l1])))?;
    let flags = radiotap_flags(header).unwrap_or(0);
    open(frame, flags & FLAG_DATA_PAD != 0)
}

/// The flags field, where there is one; only a time of eight bytes may stand before it.
fn radiotap_flags(header: &[u8]) -> Option<u8> {
    let words = header.get(4..)?.as_chunks::<4>().0;
    let first = u32::from_le_bytes(*words.first()?);
    let word_count = words
        .iter()
        .take_while(|word| u32::from_le_bytes(**word) & MORE_PRESENT != 0)
        .count()
        + 1;
    let mut offset = 4 + 4 * word_count;
    if first & TSFT != 0 {
        offset = offset.next_multiple_of(8) + 8;
    }
    (first & FLAGS != 0)
        .then(|| header.get(offset).copied())
        .flatten()
}

/// LINKTYPE_PRISM_HEADER (119) and LINKTYPE_IEEE802_11_AVS (163). A Prism header has its
/// length at byte 4 in the byte order of the card's host, an AVS header begins with a magic
/// number and has it there in network order.
pub(super) fn prism_or_avs(data: &[u8]) -> Option<Link<'_>> {
    let ([m0, m1, _, _, length @ ..], _) = data.split_first_chunk::<8>()?;
    let network = u32::from_be_bytes(*length);
    let length = match [*m0, *m1] {
        [0x80, 0x21] => network,
        _ => network.min(u32::from_le_bytes(*length)),
    };
    open(data.get(usize::try_from(length).ok()?..)?, false)
}

/// What an access point and its controller send each other: some write the two bytes of frame
/// control in the other order.
pub(super) fn of_controller(frame: &[u8]) -> Option<Link<'_>> {
    let [first, second, ..] = *frame.first_chunk::<2>()?;
    match is_data(second) && !is_data(first) {
        true => open_as([second, first], frame, false),
        false => open(frame, false),
    }
}

const fn is_data(control: u8) -> bool {
    control & (VERSION | TYPE | NO_DATA) == TYPE_DATA
}

/// `padded`: the header is filled up to a multiple of four bytes.
fn open(frame: &[u8], padded: bool) -> Option<Link<'_>> {
    open_as(*frame.first_chunk::<2>()?, frame, padded)
}

/// With this frame control.
fn open_as([control, flags]: [u8; 2], frame: &[u8], padded: bool) -> Option<Link<'_>> {
    let (header, _) = frame.split_first_chunk::<24>()?;
    let [_, _, _, _, a @ .., sequence, _] = *header;
    // Later fragments have no header to begin with.
    let later_fragment = sequence & 0x0f != 0;
    if !is_data(control) || flags & PROTECTED != 0 || later_fragment {
        return None;
    }
    let [a1, a2, a3] = [0, 6, 12].map(|at| address(&a, at));
    let mut length = 24;
    let (destination, source) = match (flags & TO_DS != 0, flags & FROM_DS != 0) {
        (false, false) => (a1, a2),
        (true, false) => (a3, a2),
        (false, true) => (a1, a3),
        (true, true) => {
            length += 6;
            (a3, address(frame, 24))
        }
    };
    let mut aggregate = false;
    if control & QOS != 0 {
        aggregate = frame.get(length)? & AGGREGATE != 0;
        length += 2;
        if flags & ORDER != 0 {
            length += 4;
        }
    }
    if padded {
        length = length.next_multiple_of(4);
    }
    let body = frame.get(length..)?;
    // Each part of an aggregate is like a frame of IEEE 802.3: addresses and length.
    Some(Link {
        source_mac: source,
        destination_mac: destination,
        protocol: if aggregate {
            Protocol::Ethernet
        } else {
            Protocol::Llc
        },
        payload: body,
        ..Link::default()
    })
}

fn address(bytes: &[u8], at: usize) -> Option<[u8; 6]> {
    bytes.get(at..at + 6)?.try_into().ok()
}
