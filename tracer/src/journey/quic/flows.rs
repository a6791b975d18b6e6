//! Which datagram belongs to which connection.

use super::{Conversation, opening};
use crate::journey::connections::tuple;
use crate::journey::model::Endpoint;
use crate::protocol::quic::packet::{MAXIMUM_ID, Packet, packets};
use crate::protocol::quic::version::is_known;
use std::collections::{BTreeSet, HashMap};

/// Ids shorter than this are not unique enough to recognise a client that moved.
const SHORTEST_TELLING_ID: usize = 4;
/// Ids of servers remembered at once.
const MAXIMUM_IDS: usize = 65_536;
/// Connections of unknown versions followed at once: only their shape speaks for them.
const MAXIMUM_UNKNOWN: usize = 1024;

/// Connections by addresses, and by the ids that servers gave out.
#[derive(Debug, Default)]
pub(in crate::journey) struct Flows {
    by_addresses: HashMap<(Endpoint, Endpoint), u64>,
    by_id: HashMap<Vec<u8>, (Endpoint, u64)>,
    /// Bit n: `by_id` has ids of n bytes.
    id_lengths: u32,
    unknown: usize,
}

impl Flows {
    /// The connection between two addresses, whichever is the client.
    pub fn between(&self, one: Endpoint, other: Endpoint) -> Option<u64> {
        self.by_addresses.get(&tuple(one, other)).copied()
    }

    /// The connection of a datagram: by its addresses, else by the id it is addressed to,
    /// which outlives a change of the client's address (RFC 9000, section 9).
    pub fn find(&mut self, source: Endpoint, destination: Endpoint, payload: &[u8]) -> Option<u64> {
        let known = self.between(source, destination);
        if known.is_some() || self.id_lengths == 0 {
            return known;
        }
        let number = match packets(payload).next()? {
            Packet::Long(long) => self.addressed(destination, long.destination_id),
            Packet::Short(bytes) => (SHORTEST_TELLING_ID..=MAXIMUM_ID)
                .filter(|length| self.id_lengths >> length & 1 == 1)
                .filter_map(|length| bytes.get(1..=length))
                .find_map(|id| self.addressed(destination, id)),
            _ => None,
        }?;
        self.tie(source, destination, number);
        Some(number)
    }

    fn addressed(&self, server: Endpoint, id: &[u8]) -> Option<u64> {
        let (owner, number) = self.by_id.get(id)?;
        (*owner == server).then_some(*number)
    }

    /// What follows between these addresses belongs to connection `number`.
    pub fn tie(&mut self, one: Endpoint, other: Endpoint, number: u64) {
        self.by_addresses.insert(tuple(one, other), number);
    }

    /// A new conversation, when the datagram opens one.
    pub fn open(
        &mut self,
        payload: &[u8],
        length: u32,
        port: u16,
        limit: usize,
    ) -> Option<Conversation> {
        let version = opening(payload, length, port)?;
        if !is_known(version) {
            if self.unknown >= MAXIMUM_UNKNOWN {
                return None;
            }
            self.unknown += 1;
        }
        Some(Conversation::new(limit, version))
    }

    /// Remembers the id that a server wants to be addressed by.
    pub fn learn(&mut self, server: Endpoint, conversation: &Conversation, number: u64) {
        let Some(id) = &conversation.server_id else {
            return;
        };
        let telling = id.len() >= SHORTEST_TELLING_ID && self.by_id.len() < MAXIMUM_IDS;
        if telling && !self.by_id.contains_key(id) {
            self.id_lengths |= 1 << id.len();
            self.by_id.insert(id.clone(), (server, number));
        }
    }

    /// Forgets a connection.
    pub fn remove(&mut self, number: u64, conversation: &Conversation) {
        self.count_out(conversation);
        self.by_addresses.retain(|_, value| *value != number);
        self.by_id.retain(|_, (_, value)| *value != number);
    }

    /// Forgets the keys of many connections at once; [`Flows::count_out`] was told of each.
    pub fn remove_all(&mut self, numbers: &BTreeSet<u64>) {
        self.by_addresses
            .retain(|_, value| !numbers.contains(value));
        self.by_id.retain(|_, (_, value)| !numbers.contains(value));
    }

    /// A connection that is forgotten makes room for another.
    pub fn count_out(&mut self, conversation: &Conversation) {
        if !is_known(conversation.offered_version) {
            self.unknown = self.unknown.saturating_sub(1);
        }
    }
}
