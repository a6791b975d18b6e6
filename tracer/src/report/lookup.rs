//! Finding what a journey refers to by id, in a part of a capture.

use crate::journey::model::{Connection, DnsExchange, HttpExchange, Journey, NeighborExchange};
use crate::journey::part::Part;
use foldhash::fast::RandomState;
use std::collections::HashMap as Map;

type HashMap<K, V> = Map<K, V, RandomState>;

/// The objects of a capture by their ids.
#[derive(Debug, Clone, Default)]
pub struct Lookup<'a> {
    connections: HashMap<&'a str, &'a Connection>,
    dns: HashMap<&'a str, &'a DnsExchange>,
    neighbors: HashMap<&'a str, &'a NeighborExchange>,
    journeys: HashMap<&'a str, &'a Journey>,
    /// Journeys by the id of the one that caused them.
    caused: HashMap<&'a str, Vec<&'a Journey>>,
}

impl<'a> Lookup<'a> {
    /// Everything in `part` and beside it.
    pub fn of(part: &'a Part) -> Self {
        Self::from_parts(
            &part.journeys,
            &part.connections,
            part.dns.iter().chain(&part.beside.dns),
            part.neighbors.iter().chain(&part.beside.neighbors),
        )
    }

    /// References to anything else are left out of the output.
    fn from_parts(
        journeys: impl IntoIterator<Item = &'a Journey>,
        connections: impl IntoIterator<Item = &'a Connection>,
        dns: impl IntoIterator<Item = &'a DnsExchange>,
        neighbors: impl IntoIterator<Item = &'a NeighborExchange>,
    ) -> Self {
        let mut lookup = Self {
            connections: by_id(connections, |connection| &connection.id),
            dns: by_id(dns, |exchange| &exchange.id),
            neighbors: by_id(neighbors, |exchange| &exchange.id),
            ..Self::default()
        };
        for journey in journeys {
            lookup.journeys.insert(&journey.id, journey);
            if let Some(cause) = &journey.caused_by {
                lookup.caused.entry(cause).or_default().push(journey);
            }
        }
        lookup
    }

    pub fn connection(&self, id: &str) -> Option<&'a Connection> {
        self.connections.get(id).copied()
    }

    pub fn neighbor(&self, id: &str) -> Option<&'a NeighborExchange> {
        self.neighbors.get(id).copied()
    }

    pub fn journey(&self, id: &str) -> Option<&'a Journey> {
        self.journeys.get(id).copied()
    }

    /// The DNS exchanges of `journey`, in its order.
    pub fn dns_of(&self, journey: &Journey) -> Vec<&'a DnsExchange> {
        let find = |id: &String| self.dns.get(id.as_str()).copied();
        journey.dns.iter().filter_map(find).collect()
    }

    /// The neighbour exchange that `journey` needed.
    pub fn neighbor_of(&self, journey: &Journey) -> Option<&'a NeighborExchange> {
        self.neighbor(journey.neighbor.as_deref()?)
    }

    /// The connection that carried `journey`.
    pub fn connection_of(&self, journey: &Journey) -> Option<&'a Connection> {
        self.connection(journey.connection.as_deref()?)
    }

    /// Every connection that `journey` tried, in its order.
    pub fn attempts_of(&self, journey: &Journey) -> Vec<&'a Connection> {
        let find = |id: &String| self.connection(id);
        journey.attempts.iter().filter_map(find).collect()
    }

    /// The HTTP exchange of `journey`, which has its answer.
    pub fn http_of(&self, journey: &Journey) -> Option<&'a HttpExchange> {
        self.exchanges_of(journey).last()
    }

    /// The HTTP exchange that has the request of `journey`.
    pub fn asked_of(&self, journey: &Journey) -> Option<&'a HttpExchange> {
        self.exchanges_of(journey).first()
    }

    /// The HTTP exchange of `journey`; where it answers an upgrade to HTTP/2, behind the one
    /// in which that was asked for.
    pub fn exchanges_of(&self, journey: &Journey) -> &'a [HttpExchange] {
        self.find_exchanges(journey).unwrap_or_default()
    }

    fn find_exchanges(&self, journey: &Journey) -> Option<&'a [HttpExchange]> {
        let id = journey.http.as_deref()?;
        let exchanges = &self.connection_of(journey)?.http;
        // Ids count from 1 in the order of the exchanges, of which there may be thousands.
        let number = id.rsplit('.').next().and_then(|n| n.parse::<usize>().ok());
        let place = number.and_then(|number| number.checked_sub(1));
        let is_it = |place: &usize| exchanges.get(*place).is_some_and(|it| it.id == id);
        let place = place
            .filter(is_it)
            .or_else(|| exchanges.iter().position(|it| it.id == id))?;
        let upgraded = exchanges.get(place)?.upgraded_from.is_some();
        exchanges.get(place.saturating_sub(usize::from(upgraded))..=place)
    }

    /// The journeys that `journey` caused.
    pub fn caused_by(&self, journey: &Journey) -> &[&'a Journey] {
        self.caused
            .get(journey.id.as_str())
            .map_or(&[], Vec::as_slice)
    }
}

fn by_id<'a, T>(
    items: impl IntoIterator<Item = &'a T>,
    id: impl Fn(&'a T) -> &'a String,
) -> HashMap<&'a str, &'a T> {
    items
        .into_iter()
        .map(|item| (id(item).as_str(), item))
        .collect()
}
