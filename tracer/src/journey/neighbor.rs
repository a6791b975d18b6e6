//! Neighbour resolution: ARP and NDP on the wire, and the kernel's neighbour table.

use super::evidence::{InterfaceNames, Mark};
use super::model::{NeighborExchange, NeighborOutcome, NeighborProtocol};
use crate::capture::{Direction, Frame, NeighborAction, NeighborEvent, neighbor_state};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// Exchanges remembered; beyond this the oldest are dropped.
const LIMIT: usize = 16_384;
/// The same of a file, which ends.
const FILE_LIMIT: usize = 1 << 20;
/// Requests of one exchange remembered; more are told as another one.
const REQUESTS: usize = 64;
/// A request later than this after the last one is a new exchange. The kernel asks every
/// RETRANS_TIMER (1 s, RFC 4861 section 10) and gives up after three.
pub(super) const SAME_EXCHANGE_NS: u64 = 5_000_000_000;

/// One who-has / is-at, solicitation / advertisement.
#[derive(Debug, Clone)]
pub(super) struct TrackedNeighbor {
    pub number: u64,
    pub protocol: NeighborProtocol,
    pub ip: IpAddr,
    pub mac: Option<Vec<u8>>,
    pub interface: u32,
    /// Who asked.
    pub asker: IpAddr,
    /// At most [`REQUESTS`].
    pub requests: Vec<Mark>,
    pub answer: Option<Mark>,
    /// The kernel gave the entry up.
    pub failed_at_ns: Option<u64>,
    pub kept_frames: Vec<(Mark, Frame)>,
}

impl TrackedNeighbor {
    pub fn id(&self) -> String {
        format!("n{}", self.number)
    }

    /// This host asked; a question of somebody else on the same link is not its business.
    /// Where frames do not say which way they went, everybody's question counts.
    pub fn asked_here(&self) -> bool {
        let first = self.requests.first();
        first.is_none_or(|mark| mark.direction != Direction::In)
    }

    pub fn first_at_ns(&self) -> u64 {
        self.requests.first().map_or(0, |mark| mark.at_ns)
    }

    pub fn end_at_ns(&self) -> Option<u64> {
        self.answer.map(|mark| mark.at_ns).or(self.failed_at_ns)
    }

    pub fn outcome(&self) -> NeighborOutcome {
        // An announcement brings the address along.
        match self.answer.is_some() || self.mac.is_some() {
            true => NeighborOutcome::Resolved,
            false => NeighborOutcome::Failed,
        }
    }

    pub fn exchange(&self, interfaces: &InterfaceNames) -> NeighborExchange {
        let start = self.first_at_ns();
        NeighborExchange {
            id: self.id(),
            at_ns: start,
            duration_ns: self.end_at_ns().map(|end| end.saturating_sub(start)),
            protocol: self.protocol,
            ip: self.ip,
            mac: self.mac.as_ref().map(mac_text),
            interface: interfaces.name(self.interface).map(str::to_owned),
            attempts: self.requests.iter().map(|mark| mark.at_ns).collect(),
            outcome: self.outcome(),
            cached_state: None,
        }
    }
}

/// What the kernel's table said of an address, and when.
#[derive(Debug, Clone)]
pub(super) struct TableEntry {
    pub at_ns: u64,
    pub state: u8,
    pub mac: Option<[u8; 6]>,
    pub interface: Option<String>,
    pub action: NeighborAction,
    pub hook: &'static str,
}

/// A neighbour message as the frame parser hands it over.
pub(super) struct NeighborMessage {
    pub protocol: NeighborProtocol,
    /// The address asked about or answered for.
    pub target: IpAddr,
    /// Who sent the request, or to whom the answer goes.
    pub asker: IpAddr,
    pub mac: Option<Vec<u8>>,
    pub request: bool,
}

type Key = (u32, IpAddr, IpAddr);

/// All neighbour knowledge of a capture.
#[derive(Debug)]
pub(super) struct Neighbors {
    pub exchanges: Vec<TrackedNeighbor>,
    /// By interface, address asked for, and who asked: several hosts of a link may ask for
    /// the same gateway at once.
    pending: HashMap<Key, usize>,
    table: BTreeMap<IpAddr, Vec<TableEntry>>,
    next_number: u64,
    keep_frames: bool,
    limit: usize,
}

impl Neighbors {
    pub fn new(keep_frames: bool, is_file: bool) -> Self {
        Self {
            exchanges: Vec::new(),
            pending: HashMap::new(),
            table: BTreeMap::new(),
            next_number: 1,
            keep_frames,
            limit: if is_file { FILE_LIMIT } else { LIMIT },
        }
    }

    pub fn message(&mut self, message: &NeighborMessage, mark: Mark, frame: &Frame) {
        let key = (mark.interface, message.target, message.asker);
        let pending = self.pending.get(&key).copied();
        let open = pending.and_then(|index| self.exchanges.get_mut(index));
        if !message.request {
            if let Some(exchange) = open.filter(|exchange| exchange.answer.is_none()) {
                exchange.answer = Some(mark);
                exchange.mac.clone_from(&message.mac);
                if self.keep_frames {
                    exchange.kept_frames.push((mark, frame.clone()));
                }
            }
            return;
        }
        if let Some(exchange) = open {
            let last = exchange.requests.last().map_or(0, |mark| mark.at_ns);
            let recent = mark.at_ns.saturating_sub(last) < SAME_EXCHANGE_NS;
            let open = exchange.answer.is_none() && exchange.failed_at_ns.is_none();
            if open && recent && exchange.requests.len() < REQUESTS {
                exchange.requests.push(mark);
                return;
            }
        }
        self.begin(message, mark, frame, key);
    }

    fn begin(&mut self, message: &NeighborMessage, mark: Mark, frame: &Frame, key: Key) {
        if self.exchanges.len() >= self.limit {
            self.exchanges.drain(..self.limit / 2);
            self.pending.clear();
        }
        self.pending.insert(key, self.exchanges.len());
        let kept = self.keep_frames.then(|| (mark, frame.clone()));
        self.exchanges.push(TrackedNeighbor {
            number: self.next_number,
            protocol: message.protocol,
            ip: message.target,
            mac: message.mac.clone(),
            interface: mark.interface,
            asker: message.asker,
            requests: vec![mark],
            answer: None,
            failed_at_ns: None,
            kept_frames: kept.into_iter().collect(),
        });
        self.next_number += 1;
    }

    /// Forgets the oldest exchanges.
    pub fn forget_oldest(&mut self, count: usize) {
        let count = count.min(self.exchanges.len());
        self.exchanges.drain(..count);
        self.pending.retain(|_, index| {
            let left = index.checked_sub(count);
            *index = left.unwrap_or_default();
            left.is_some()
        });
    }

    pub fn event(&mut self, at_ns: u64, event: &NeighborEvent) {
        let failed = event.state & neighbor_state::FAILED != 0;
        if failed && event.action != NeighborAction::Listed {
            let open = self.exchanges.iter_mut().rev().find(|exchange| {
                exchange.ip == event.ip
                    && exchange.answer.is_none()
                    && exchange.failed_at_ns.is_none()
            });
            if let Some(exchange) = open {
                exchange.failed_at_ns = Some(at_ns);
            }
        }
        if self.table.len() >= LIMIT {
            self.table.pop_first();
        }
        let entries = self.table.entry(event.ip).or_default();
        if entries.len() >= 64 {
            entries.drain(..32);
        }
        entries.push(TableEntry {
            at_ns,
            state: event.state,
            mac: event.mac,
            interface: event.interface.clone(),
            action: event.action,
            hook: event.hook.name(),
        });
    }

    /// What the kernel's table said of `ip` last, at `at_ns` or before.
    pub fn entry(&self, ip: IpAddr, at_ns: u64) -> Option<&TableEntry> {
        let entries = self.table.get(&ip)?;
        entries.iter().rev().find(|entry| entry.at_ns <= at_ns)
    }

    /// Kernel events about `ip` in a span of time.
    pub fn events(&self, ip: IpAddr, from: u64, to: u64) -> impl Iterator<Item = &TableEntry> {
        let entries = self.table.get(&ip).into_iter().flatten();
        entries
            .filter(move |e| e.action != NeighborAction::Listed && e.at_ns >= from && e.at_ns <= to)
    }
}

/// Lower-case hexadecimal with colons.
pub(super) fn mac_text(mac: impl AsRef<[u8]>) -> String {
    let bytes = mac.as_ref().iter();
    let bytes: Vec<String> = bytes.map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

/// The name of a state, as ip-neighbour(8) prints it.
pub(super) fn state_name(state: u8) -> &'static str {
    match state {
        neighbor_state::INCOMPLETE => "INCOMPLETE",
        neighbor_state::REACHABLE => "REACHABLE",
        neighbor_state::STALE => "STALE",
        neighbor_state::DELAY => "DELAY",
        neighbor_state::PROBE => "PROBE",
        neighbor_state::FAILED => "FAILED",
        neighbor_state::NOARP => "NOARP",
        neighbor_state::PERMANENT => "PERMANENT",
        _ => "NONE",
    }
}
