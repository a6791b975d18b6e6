//! A QUIC connection: its datagrams as they came, and how they are told apart from those
//! of other connections. They are read in [`mod@read`], when the secrets are known.

mod close;
mod events;
mod flows;
mod read;

pub(super) use events::events;
pub(super) use flows::Flows;
pub(super) use read::{Reading, read};

use super::evidence::Mark;
use super::model::{End, PerEnd};
use crate::protocol::quic::keys::Keys;
use crate::protocol::quic::packet::{Kind, Long, MAXIMUM_ID, Packet, packets};
use crate::protocol::quic::version::is_reserved;
use std::hash::{DefaultHasher, Hasher};

/// Payload kept per direction, whatever the budget: handshakes fit many times, and of what
/// follows only the times are told.
const MAXIMUM_KEPT: usize = 1 << 20;
/// Connection ids to which a client may send its first packets: its own choice, and one
/// for each Retry.
const MAXIMUM_INITIAL_IDS: usize = 4;
/// The smallest first datagram of a client, in any version that can be negotiated
/// (RFC 9000, section 14.1).
const SMALLEST_INITIAL: u32 = 1200;
/// The shortest connection id a client may invent (RFC 9000, section 7.2).
const SHORTEST_INVENTED_ID: usize = 8;
/// A packet number has so many bytes at most, and behind them so many hide it (RFC 9001,
/// section 5.4.2).
const LONGEST_NUMBER: usize = 4;
const SAMPLE: usize = 16;
/// Where a datagram of an unknown version is still taken for QUIC.
const PORT: u16 = 443;

/// One datagram, kept whole.
#[derive(Debug)]
struct Datagram {
    end: End,
    mark: Mark,
    payload: Vec<u8>,
    /// Bytes on the wire.
    length: u32,
}

/// What is remembered of one connection.
#[derive(Debug)]
pub(super) struct Conversation {
    datagrams: Vec<Datagram>,
    /// What may still be kept of each direction, in bytes.
    room: [usize; 2],
    /// Connection ids from which keys of Initial packets are derived: the first
    /// destination of the client, then the source of each Retry.
    initial_ids: Vec<Vec<u8>>,
    /// The ids by which each end wants to be addressed, as its last long header says.
    client_id: Option<Vec<u8>>,
    server_id: Option<Vec<u8>>,
    bytes: PerEnd,
    /// Fingerprint of the last whole datagram of each direction.
    last: [Option<u64>; 2],
    /// The version of the client's first packet.
    offered_version: u32,
    watch: close::Watch,
}

impl Conversation {
    /// `limit`: bytes of payload kept per direction.
    fn new(limit: usize, offered_version: u32) -> Self {
        Self {
            datagrams: Vec::new(),
            room: [limit.min(MAXIMUM_KEPT); 2],
            initial_ids: Vec::new(),
            client_id: None,
            server_id: None,
            bytes: PerEnd::default(),
            last: [None; 2],
            offered_version,
            watch: close::Watch::default(),
        }
    }

    /// Payload bytes sent by each end.
    pub fn bytes(&self) -> PerEnd {
        self.bytes
    }

    /// The network, or the point of capture, doubled the last datagram of `end`: a sender
    /// never uses a packet number again (RFC 9000, section 12.3), so that what it sends
    /// anew differs. Datagrams that were cut before that shows may look alike.
    fn is_doubled(&mut self, end: End, payload: &[u8], length: u32) -> bool {
        let [from_client, from_server] = &mut self.last;
        let last = match end {
            End::Client => from_client,
            End::Server => from_server,
        };
        let whole = usize::try_from(length).is_ok_and(|length| length == payload.len());
        let fingerprint = (whole || shows_its_number(payload)).then(|| {
            let mut hasher = DefaultHasher::new();
            hasher.write(payload);
            hasher.finish()
        });
        let before = std::mem::replace(last, fingerprint);
        fingerprint.is_some() && before == fingerprint
    }

    /// Takes one datagram sent by `end`.
    pub fn datagram(&mut self, end: End, payload: &[u8], length: u32, mark: Mark) {
        if self.is_doubled(end, payload, length) {
            return;
        }
        let [from_client, from_server] = &mut self.room;
        let (sent, room) = match end {
            End::Client => (&mut self.bytes.client, from_client),
            End::Server => (&mut self.bytes.server, from_server),
        };
        *sent += u64::from(length);
        // Each datagram costs some bytes beside its payload.
        let cost = payload.len() + size_of::<Datagram>();
        if let Some(left) = room.checked_sub(cost) {
            *room = left;
            self.datagrams.push(Datagram {
                end,
                mark,
                payload: payload.to_vec(),
                length,
            });
        }
        for packet in packets(payload) {
            match packet {
                Packet::Long(long) => self.ids(end, &long),
                // The ids of the client's first packet, whatever its version.
                Packet::Unknown { destination_id, .. } if end == End::Client => {
                    self.initial_id(destination_id);
                }
                _ => {}
            }
        }
    }

    fn ids(&mut self, end: End, long: &Long<'_>) {
        match (end, long.kind) {
            (End::Client, Kind::Initial) if self.server_id.is_none() => {
                self.initial_id(long.destination_id);
            }
            (End::Server, Kind::Retry) => {
                self.initial_id(long.source_id);
                return;
            }
            _ => {}
        }
        let own = match end {
            End::Client => &mut self.client_id,
            End::Server => &mut self.server_id,
        };
        if own.as_deref() != Some(long.source_id) {
            *own = Some(long.source_id.to_vec());
        }
    }

    fn initial_id(&mut self, id: &[u8]) {
        let known = self.initial_ids.iter().any(|known| known == id);
        if !known && self.initial_ids.len() < MAXIMUM_INITIAL_IDS {
            self.initial_ids.push(id.to_vec());
        }
    }

    /// The datagram belongs to another connection between the same addresses: a client's
    /// first packet to an id that neither end of this one knows. While the server has not
    /// said more than that it lacks the version, the client may have chosen a new id
    /// (RFC 9000, section 6.2).
    pub fn is_foreign(&self, payload: &[u8]) -> bool {
        let Some(Packet::Long(long)) = packets(payload).next() else {
            return false;
        };
        long.kind == Kind::Initial
            && self.server_id.is_some()
            && self.server_id.as_deref() != Some(long.destination_id)
            && !self.initial_ids.iter().any(|id| id == long.destination_id)
            && opens(&long)
    }

    /// Where the packet number of a short header sent by `end` begins: behind the id that the
    /// peer chose.
    fn short_number_offset(&self, end: End) -> usize {
        let peer_id = match end {
            End::Client => &self.server_id,
            End::Server => &self.client_id,
        };
        1 + peer_id.as_ref().map_or(0, Vec::len)
    }

    /// Payload bytes in memory.
    pub fn held_bytes(&self) -> u64 {
        let held = self.datagrams.iter().map(|d| d.payload.len() as u64);
        held.sum()
    }

    /// The payload was let go.
    pub fn is_forgotten(&self) -> bool {
        self.room == [0; 2]
    }

    /// Lets go of the payload: the connection was reported.
    pub fn forget(&mut self) {
        self.datagrams = Vec::new();
        self.room = [0; 2];
        self.watch = close::Watch::default();
    }
}

/// Of a datagram that was cut there is enough to tell it from all others of its sender: the
/// bytes that a packet number seals, as many as hide the number itself (RFC 9001, section 5.4.2).
fn shows_its_number(payload: &[u8]) -> bool {
    let number_offset = match packets(payload).next() {
        Some(Packet::Long(long)) if long.number_offset > 0 => long.number_offset,
        Some(Packet::Short(_)) => 1 + MAXIMUM_ID,
        _ => return false,
    };
    payload.len() >= number_offset + LONGEST_NUMBER + SAMPLE
}

/// The version with which `payload`, sent to `port`, opens a QUIC connection; `None` when
/// it does not. Known versions prove it with their seal, unless the capture cut it off.
fn opening(payload: &[u8], length: u32, port: u16) -> Option<u32> {
    let is_cut = usize::try_from(length).is_ok_and(|length| payload.len() < length);
    let invented = |id: &[u8]| length >= SMALLEST_INITIAL && id.len() >= SHORTEST_INVENTED_ID;
    match packets(payload).next()? {
        Packet::Long(long) if long.kind == Kind::Initial => {
            let unproven = is_cut || (port == PORT && is_reserved(long.version));
            let plausible = unproven && invented(long.destination_id);
            (plausible || opens(&long)).then_some(long.version)
        }
        Packet::Unknown {
            version,
            destination_id,
            ..
        } => (port == PORT && invented(destination_id)).then_some(version),
        _ => None,
    }
}

/// The packet is a client's first: it opens with keys of its own destination id.
fn opens(long: &Long<'_>) -> bool {
    let keys = Keys::initial(long.version, long.destination_id, true);
    keys.is_some_and(|mut keys| keys.open(long.bytes, long.number_offset).is_some())
}

#[cfg(test)]
mod tests;
