//! DHCP exchanges: who got which address, for how long, with which gateway and resolvers.

use super::evidence::{InterfaceNames, Mark};
use super::model::{DhcpExchange, DhcpMessage, DhcpOutcome};
use super::neighbor::mac_text;
use crate::protocol::dhcp::Message;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// Exchanges remembered; beyond this the oldest are dropped and counted.
const LIMIT: usize = 4096;
/// Messages of one exchange remembered.
const MESSAGES: usize = 64;
/// Clients repeat a message for about this long (RFC 2131, section 4.1); the same
/// transaction id later is another exchange.
const SAME_EXCHANGE_NS: u64 = 120_000_000_000;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// IP version, transaction id and client.
type Key = (u8, u32, Option<[u8; 6]>);

#[derive(Debug)]
struct Tracked {
    number: u64,
    interface: u32,
    last_at_ns: u64,
    decided_at_ns: Option<u64>,
    told: DhcpExchange,
}

/// All DHCP knowledge of a capture.
#[derive(Debug, Default)]
pub(super) struct Leases {
    exchanges: VecDeque<Tracked>,
    /// Numbers of the exchanges that may go on. DHCPv6 servers need not repeat the
    /// client's hardware address: without it the transaction id alone decides.
    open: HashMap<Key, u64>,
    next_number: u64,
    dropped: u64,
}

impl Leases {
    /// Takes a message seen from `source` to `destination`.
    pub fn message(&mut self, message: Message, source: IpAddr, destination: IpAddr, mark: Mark) {
        let mac = (message.version == 4)
            .then_some(message.client_mac)
            .flatten();
        let key = (message.version, message.transaction_id, mac);
        let known = self.open.get(&key).copied();
        let first = self.exchanges.front().map_or(0, |it| it.number);
        let position = known
            .and_then(|number| usize::try_from(number.checked_sub(first)?).ok())
            .filter(|position| {
                self.exchanges
                    .get(*position)
                    .is_some_and(|tracked| tracked.goes_on(&message, mark))
            });
        let position = position.unwrap_or_else(|| self.begin(key, &message, mark));
        if let Some(tracked) = self.exchanges.get_mut(position) {
            tracked.take(message, source, destination, mark);
        }
    }

    /// A new exchange; its place.
    fn begin(&mut self, key: Key, message: &Message, mark: Mark) -> usize {
        if self.exchanges.len() >= LIMIT {
            self.exchanges.pop_front();
            self.dropped += 1;
            let first = self.exchanges.front().map_or(0, |it| it.number);
            self.open.retain(|_, number| *number >= first);
        }
        self.next_number += 1;
        let number = self.next_number;
        self.open.insert(key, number);
        self.exchanges.push_back(Tracked {
            number,
            interface: mark.interface,
            last_at_ns: mark.at_ns,
            decided_at_ns: None,
            told: DhcpExchange {
                id: format!("l{number}"),
                at_ns: mark.at_ns,
                duration_ns: None,
                version: message.version,
                transaction_id: message.transaction_id,
                client_mac: None,
                host_name: None,
                interface: None,
                messages: Vec::new(),
                outcome: DhcpOutcome::Unanswered,
                server: None,
                address: None,
                prefix_length: None,
                routers: Vec::new(),
                dns: Vec::new(),
                lease_ns: None,
            },
        });
        self.exchanges.len() - 1
    }

    /// Exchanges that were forgotten to bound memory.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Every exchange, in order of its first message.
    pub fn exchanges(&self, interfaces: &InterfaceNames) -> Vec<DhcpExchange> {
        let tracked = self.exchanges.iter();
        tracked
            .map(|tracked| tracked.exchange(interfaces))
            .collect()
    }

    /// The exchange that gave `address` to a client, the last one before `at_ns`.
    pub fn of_address(&self, address: IpAddr, at_ns: u64) -> Option<&DhcpExchange> {
        let tracked = self.exchanges.iter().rev().find(|tracked| {
            tracked.told.outcome == DhcpOutcome::Acknowledged
                && tracked.told.address == Some(address)
                && tracked
                    .decided_at_ns
                    .is_some_and(|decided| decided <= at_ns)
        });
        tracked.map(|tracked| &tracked.told)
    }
}

impl Tracked {
    fn goes_on(&self, message: &Message, mark: Mark) -> bool {
        let recent = mark.at_ns.saturating_sub(self.last_at_ns) < SAME_EXCHANGE_NS;
        // What was decided is over, but for copies of the decision; a client that begins
        // again begins another exchange.
        recent && (self.decided_at_ns.is_none() || outcome_of(message.kind).is_some())
    }

    fn take(&mut self, message: Message, source: IpAddr, destination: IpAddr, mark: Mark) {
        self.last_at_ns = mark.at_ns;
        let told = &mut self.told;
        let mac = message.client_mac.map(mac_text);
        told.client_mac = told.client_mac.take().or(mac);
        if told.messages.len() < MESSAGES {
            told.messages.push(DhcpMessage {
                at_ns: mark.at_ns,
                kind: message.kind.to_owned(),
                source,
                destination,
                frame: mark.number,
            });
        }
        let outcome = outcome_of(message.kind);
        if let Some(outcome) = outcome {
            told.outcome = outcome;
        }
        let decides = outcome.is_some_and(|outcome| outcome != DhcpOutcome::Offered);
        if decides && self.decided_at_ns.is_none() {
            self.decided_at_ns = Some(mark.at_ns);
            told.duration_ns = Some(mark.at_ns.saturating_sub(told.at_ns));
        }
        let answers = outcome.is_some_and(|outcome| outcome != DhcpOutcome::Released);
        told.server = message
            .server
            .or_else(|| answers.then_some(source))
            .or(told.server);
        told.host_name = message.host_name.or(told.host_name.take());
        told.address = message.address.or(told.address);
        told.prefix_length = message.prefix_length.or(told.prefix_length);
        let lease = message.lease_seconds.map(u64::from);
        let lease = lease.map(|seconds| seconds * NANOSECONDS_PER_SECOND);
        told.lease_ns = lease.or(told.lease_ns);
        if !message.routers.is_empty() {
            told.routers = message.routers;
        }
        if !message.dns.is_empty() {
            told.dns = message.dns;
        }
    }

    fn exchange(&self, interfaces: &InterfaceNames) -> DhcpExchange {
        DhcpExchange {
            interface: interfaces.name(self.interface).map(str::to_owned),
            ..self.told.clone()
        }
    }
}

/// What a message by itself says of the outcome; `None` for those that only ask.
fn outcome_of(kind: &str) -> Option<DhcpOutcome> {
    Some(match kind {
        "ack" | "reply" | "bootreply" => DhcpOutcome::Acknowledged,
        "nak" => DhcpOutcome::Refused,
        "offer" | "advertise" => DhcpOutcome::Offered,
        "release" | "decline" => DhcpOutcome::Released,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, Leases, MESSAGES, SAME_EXCHANGE_NS};
    use crate::capture::{Direction, HookKind};
    use crate::journey::evidence::{InterfaceNames, Mark};
    use crate::journey::model::{DhcpExchange, DhcpOutcome};
    use crate::protocol::dhcp::Message;
    use std::net::IpAddr;

    const CLIENT: [u8; 4] = [10, 77, 1, 10];
    const SERVER: [u8; 4] = [10, 77, 1, 1];

    fn message(kind: &'static str, transaction_id: u32) -> Message {
        let asks = matches!(kind, "discover" | "request" | "release");
        Message {
            version: 4,
            kind,
            transaction_id,
            client_mac: Some([2, 0, 0, 0, 0, 1]),
            address: (!asks).then(|| IpAddr::from(CLIENT)),
            server: (!asks).then(|| IpAddr::from(SERVER)),
            lease_seconds: (!asks).then_some(600),
            ..Message::default()
        }
    }

    fn told(messages: &[(u64, &'static str, u32)]) -> Vec<DhcpExchange> {
        let mut leases = Leases::default();
        for (number, (at_ns, kind, transaction_id)) in (1..).zip(messages) {
            take(&mut leases, *at_ns, number, message(kind, *transaction_id));
        }
        leases.exchanges(&InterfaceNames::default())
    }

    fn take(leases: &mut Leases, at_ns: u64, number: u64, message: Message) {
        let mark = Mark {
            at_ns,
            number,
            hook: HookKind::Pcap,
            interface: 0,
            direction: Direction::Unknown,
        };
        leases.message(message, IpAddr::from([0; 4]), IpAddr::from([255; 4]), mark);
    }

    #[test]
    fn four_messages_are_one_exchange_with_a_lease() {
        let exchanges = told(&[
            (10, "discover", 7),
            (20, "offer", 7),
            (30, "request", 7),
            (45, "ack", 7),
            (46, "ack", 7),
        ]);
        let [exchange] = exchanges.as_slice() else {
            panic!("{exchanges:?}")
        };
        let kinds: Vec<_> = exchange
            .messages
            .iter()
            .map(|it| it.kind.as_str())
            .collect();
        assert_eq!(kinds, ["discover", "offer", "request", "ack", "ack"]);
        assert_eq!(exchange.messages[3].frame, 4);
        assert_eq!((exchange.at_ns, exchange.duration_ns), (10, Some(35)));
        assert_eq!(exchange.outcome, DhcpOutcome::Acknowledged);
        assert_eq!(exchange.address, Some(IpAddr::from(CLIENT)));
        assert_eq!(exchange.server, Some(IpAddr::from(SERVER)));
        assert_eq!(exchange.lease_ns, Some(600_000_000_000));
        assert_eq!(exchange.client_mac.as_deref(), Some("02:00:00:00:00:01"));
    }

    #[test]
    fn clients_transactions_and_times_are_kept_apart() {
        let late = 50 + SAME_EXCHANGE_NS;
        let exchanges = told(&[
            (10, "discover", 7),
            (11, "discover", 8),
            (20, "offer", 8),
            (30, "request", 9),
            (40, "nak", 9),
            (41, "request", 9),
            (late, "discover", 7),
        ]);
        let outcomes: Vec<_> = exchanges.iter().map(|it| (it.at_ns, it.outcome)).collect();
        assert_eq!(
            outcomes,
            [
                (10, DhcpOutcome::Unanswered),
                (11, DhcpOutcome::Offered),
                (30, DhcpOutcome::Refused),
                (41, DhcpOutcome::Unanswered),
                (late, DhcpOutcome::Unanswered),
            ]
        );
        let released = told(&[(1, "release", 1)]);
        assert_eq!(released[0].outcome, DhcpOutcome::Released);
        assert_eq!(released[0].server, None);
    }

    #[test]
    fn an_answer_of_dhcpv6_without_the_hardware_address_belongs_to_its_request() {
        let mut leases = Leases::default();
        let mut request = message("solicit", 7);
        request.version = 6;
        let mut answer = message("reply", 7);
        (answer.version, answer.client_mac) = (6, None);
        take(&mut leases, 1, 1, request);
        take(&mut leases, 2, 2, answer);
        let exchanges = leases.exchanges(&InterfaceNames::default());
        assert_eq!(exchanges.len(), 1);
        assert_eq!(exchanges[0].outcome, DhcpOutcome::Acknowledged);
    }

    #[test]
    fn an_address_is_leased_from_its_acknowledgment_on() {
        let mut leases = Leases::default();
        take(&mut leases, 10, 1, message("request", 7));
        take(&mut leases, 20, 2, message("ack", 7));
        let client = IpAddr::from(CLIENT);
        assert_eq!(leases.of_address(client, 19), None);
        assert_eq!(leases.of_address(client, 20).map(|it| it.at_ns), Some(10));
        assert_eq!(leases.of_address(IpAddr::from(SERVER), 20), None);
    }

    #[test]
    fn exchanges_and_messages_do_not_pile_up_unseen() {
        let mut leases = Leases::default();
        let limit = u32::try_from(LIMIT).unwrap();
        for transaction_id in 0..limit + 10 {
            take(&mut leases, 1, 1, message("discover", transaction_id));
        }
        assert_eq!(leases.exchanges.len(), LIMIT);
        assert_eq!(leases.open.len(), LIMIT);
        assert_eq!(leases.dropped(), 10);
        for _ in 0..1000 {
            take(&mut leases, 1, 1, message("discover", limit + 9));
        }
        let last = leases.exchanges.back().unwrap();
        assert_eq!(last.told.messages.len(), MESSAGES);
        assert_eq!(leases.exchanges.len(), LIMIT);
    }
}
