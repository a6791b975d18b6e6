//! IP packets put together from their fragments (RFC 791, section 3.2; RFC 8200, section
//! 4.5).
//!
//! Bounded in packets, pieces and time. Fragments that the capture cut never make a whole
//! packet; frames seen twice (loopback) make it twice.

use super::frame::{self, Ip, Transport};
use std::collections::HashMap;
use std::net::IpAddr;

/// Packets that wait for their fragments at a time: at most 8 MiB together.
const MAX_PACKETS: usize = 64;

/// A packet of 64 KiB over a link of 1280 bytes has 53 fragments.
const MAX_PIECES: usize = 512;

/// Longest payload of an IP packet, bytes.
const MAX_LENGTH: u32 = 65_535;

/// Bytes kept for one packet: room for every byte twice, should pieces overlap.
const MAX_BYTES: usize = 2 * 65_535;

/// How long the pieces of a packet are waited for: what RFC 8200 gives a receiver.
const TIMEOUT_NS: u64 = 60_000_000_000;

/// Puts packets together.
#[derive(Debug, Clone, Default)]
pub struct Fragments {
    waiting: HashMap<Key, Waiting>,
}

/// What the fragments of one packet have in common. The protocol is part of it for IPv4
/// only, where hosts count identifications per protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    protocol: Option<u8>,
}

#[derive(Debug, Clone)]
struct Waiting {
    /// When the first of its fragments was seen.
    since_ns: u64,
    /// Offset in the packet and bytes, in order of arrival.
    pieces: Vec<(u32, Vec<u8>)>,
    /// Known once the last fragment was seen.
    length: Option<u32>,
}

/// The upper layer of a whole packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassembled {
    version: u8,
    protocol: u8,
    data: Vec<u8>,
}

impl Reassembled {
    /// Protocol number and transport, as an unfragmented packet would have them.
    pub fn open(&self) -> (u8, Transport<'_>) {
        frame::parse_upper(self.version, self.protocol, &self.data)
    }
}

impl Fragments {
    /// Takes a packet seen at `at_ns`. Gives the whole upper layer when this was the
    /// fragment that completed it; `None` for whole packets and for pieces of others.
    pub fn add(&mut self, ip: &Ip<'_>, at_ns: u64) -> Option<Reassembled> {
        let fragment = ip.fragment?;
        let Transport::Other { payload } = ip.transport else {
            return None;
        };
        let length = u32::try_from(payload.len()).ok()?;
        let end = fragment.offset.checked_add(length)?;
        if payload.is_empty() || end > MAX_LENGTH {
            return None;
        }
        self.waiting
            .retain(|_, waiting| at_ns.saturating_sub(waiting.since_ns) <= TIMEOUT_NS);
        let key = Key {
            source: ip.source,
            destination: ip.destination,
            identification: fragment.identification,
            protocol: ip.source.is_ipv4().then_some(ip.protocol),
        };
        if !self.waiting.contains_key(&key) {
            self.make_room();
        }
        let waiting = self.waiting.entry(key).or_insert_with(|| Waiting {
            since_ns: at_ns,
            pieces: Vec::new(),
            length: None,
        });
        if !fragment.more {
            waiting.length = Some(end);
        }
        waiting.keep(fragment.offset, payload);
        let data = waiting.whole()?;
        self.waiting.remove(&key);
        Some(Reassembled {
            version: if ip.source.is_ipv4() { 4 } else { 6 },
            protocol: ip.protocol,
            data,
        })
    }

    /// Gives up on the packet that waits longest when there are too many.
    fn make_room(&mut self) {
        if self.waiting.len() < MAX_PACKETS {
            return;
        }
        let oldest = self.waiting.iter().min_by_key(|(_, it)| it.since_ns);
        if let Some(key) = oldest.map(|(key, _)| *key) {
            self.waiting.remove(&key);
        }
    }
}

impl Waiting {
    fn keep(&mut self, offset: u32, payload: &[u8]) {
        let known = |(at, piece): &(u32, Vec<u8>)| *at == offset && piece.len() == payload.len();
        if self.pieces.len() < MAX_PIECES
            && self.bytes() + payload.len() <= MAX_BYTES
            && !self.pieces.iter().any(known)
        {
            self.pieces.push((offset, payload.to_vec()));
        }
    }

    fn bytes(&self) -> usize {
        self.pieces.iter().map(|(_, piece)| piece.len()).sum()
    }

    /// The packet, when no byte is missing. Of a byte that came twice the first copy stays.
    fn whole(&self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.length?).ok()?;
        if self.bytes() < length {
            return None;
        }
        let mut data = vec![None; length];
        for (offset, piece) in &self.pieces {
            let places = data.iter_mut().skip(usize::try_from(*offset).ok()?);
            for (place, byte) in places.zip(piece) {
                place.get_or_insert(*byte);
            }
        }
        data.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fragments, MAX_PACKETS, Reassembled, TIMEOUT_NS};
    use crate::protocol::frame::{Fragment, Ip, Transport};
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn fragment(identification: u32, offset: u32, more: bool, payload: &[u8]) -> Ip<'_> {
        Ip {
            source: IpAddr::from([10, 0, 0, 1]),
            destination: IpAddr::from([10, 0, 0, 2]),
            ttl: 64,
            total_length: 0,
            protocol: 17,
            fragment: Some(Fragment {
                identification,
                offset,
                more,
            }),
            transport: Transport::Other { payload },
        }
    }

    /// A UDP datagram of 24 bytes.
    fn datagram() -> Vec<u8> {
        [&[0x13, 0x88, 0, 53, 0, 24, 0, 0][..], &[b'x'; 16]].concat()
    }

    fn payload(whole: &Reassembled) -> Vec<u8> {
        match whole.open() {
            (17, Transport::Udp(udp)) => udp.payload.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fragments_make_a_packet_in_any_order() {
        let datagram = datagram();
        let parts = [
            (0, true, &datagram[..8]),
            (8, true, &datagram[8..16]),
            (16, false, &datagram[16..]),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut fragments = Fragments::default();
            let mut wholes = Vec::new();
            for index in order {
                let (offset, more, part) = parts[index];
                wholes.extend(fragments.add(&fragment(7, offset, more, part), 1));
                // Another packet's piece does not disturb.
                assert_eq!(fragments.add(&fragment(8, 0, true, &[1; 8]), 1), None);
            }
            assert_eq!(wholes.len(), 1);
            assert_eq!(payload(&wholes[0]), [b'x'; 16]);
        }
    }

    #[test]
    fn of_bytes_that_came_twice_the_first_stay() {
        let datagram = datagram();
        let mut fragments = Fragments::default();
        let mut add =
            |offset, more, part: &[u8]| fragments.add(&fragment(7, offset, more, part), 1);
        assert_eq!(add(8, true, &datagram[8..16]), None);
        assert_eq!(add(16, false, &datagram[16..]), None);
        let mut other = datagram[..16].to_vec();
        other[8..].fill(b'y');
        assert_eq!(payload(&add(0, true, &other).unwrap()), [b'x'; 16]);
    }

    #[test]
    fn a_missing_piece_makes_no_packet() {
        let datagram = datagram();
        let mut fragments = Fragments::default();
        assert_eq!(
            fragments.add(&fragment(7, 0, true, &datagram[..8]), 1),
            None
        );
        assert_eq!(
            fragments.add(&fragment(7, 16, false, &datagram[16..]), 1),
            None
        );
        // A minute later the number belongs to another packet.
        let late = fragment(7, 8, true, &datagram[8..16]);
        assert_eq!(fragments.add(&late, TIMEOUT_NS + 2), None);
        assert_eq!(fragments.waiting.len(), 1);
    }

    #[test]
    fn extension_headers_behind_the_fragment_header_are_walked() {
        let mut data = vec![17, 0, 1, 4, 0, 0, 0, 0];
        data.extend(datagram());
        let mut ip = fragment(7, 0, true, &data[..16]);
        ip.source = "fd77::1".parse().unwrap();
        ip.protocol = 60;
        let mut fragments = Fragments::default();
        assert_eq!(fragments.add(&ip, 1), None);
        ip.fragment = Some(Fragment {
            identification: 7,
            offset: 16,
            more: false,
        });
        ip.transport = Transport::Other {
            payload: &data[16..],
        };
        assert_eq!(payload(&fragments.add(&ip, 2).unwrap()), [b'x'; 16]);
    }

    #[test]
    fn packets_that_never_complete_do_not_pile_up() {
        let mut fragments = Fragments::default();
        for identification in 0..10_000 {
            fragments.add(&fragment(identification, 0, true, &[0; 8]), 1);
        }
        assert_eq!(fragments.waiting.len(), MAX_PACKETS);
    }

    proptest! {
        #[test]
        fn no_fragments_break_it(
            pieces in prop::collection::vec((0_u32..3, 0_u32..70_000, any::<bool>(), 0_usize..3000), 0..60),
        ) {
            let mut fragments = Fragments::default();
            let data = [0; 3000];
            for (identification, offset, more, length) in pieces {
                let ip = fragment(identification, offset, more, &data[..length]);
                if let Some(whole) = fragments.add(&ip, 1) {
                    prop_assert!(whole.data.len() <= 65_535);
                    whole.open();
                }
            }
        }
    }
}
