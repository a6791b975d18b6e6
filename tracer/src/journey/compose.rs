//! Tells the story: from what the assembler remembered to the model.

use super::assemble::Assembler;
use super::connection::{Cut, CutBy, TrackedConnection};
use super::drafts::{self, Draft};
use super::losses::{self, Touched, Used};
use super::model::{
    Attribution, Connection, DnsExchange, End, Finding, Gap, Journey, NeighborExchange,
    NeighborOutcome, NeighborProtocol, Outcome, OwnAddress, Packet, Process, Transport,
};
use super::phases::{self, Carrier, Path};
use super::place::Place;
use super::proxy;
use super::story::{Analysed, Story};
use super::{dns, failure, neighbor, packets, resolution, timeline};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Exchanges of a connection whose segments' way through the kernel is always listed.
const KEY_EXCHANGES: usize = 32;

/// One journey with everything it refers to.
#[derive(Debug, Clone)]
pub struct Told {
    pub journey: Journey,
    /// A neighbour entry that was already in the table is made into an exchange here.
    pub cached_neighbor: Option<NeighborExchange>,
    pub packets: Vec<Packet>,
}

/// DNS over TCP of the chosen connections is read from the streams, each once.
pub(super) fn dns_over_tcp(memory: &mut Assembler, over: impl Fn(&TrackedConnection) -> bool) {
    let connections = memory.connections.iter();
    let unread = connections.filter(|it| it.has_unread_dns() && over(it));
    let numbers: Vec<u64> = unread.map(|it| it.number).collect();
    for number in numbers {
        memory.dns_over_tcp(number);
    }
}

pub(super) fn tell(story: &Story<'_>, draft: &Draft, id: String) -> Told {
    let carrier = phases::carrier(story, draft);
    let path = phases::path(story, draft);
    let milestones = phases::milestones(story, draft, carrier, &path);
    let (outcome, failure) = failure::judge(story, draft, carrier, &path);
    let start = draft.at_ns;
    let reported_end = draft.report.and_then(|r| drafts::verdict(story, r));
    let known_end = milestones.last().unwrap_or(start);
    let done_at = match (&failure, reported_end) {
        (Some(_), Some((at_ns, _))) => known_end.max(at_ns),
        _ => known_end,
    };
    let closed_at = carrier.and_then(|c| phases::closed_at(draft, c.connection, done_at));
    let end = done_at.max(closed_at.unwrap_or(0)).max(start);
    let lines = timeline::timeline(
        story,
        draft,
        carrier,
        &path,
        (start, end),
        closed_at.is_some(),
    );
    // A line can lie behind the last phase (the kernel's last state change), never outside.
    let (first, last) = lines.span.unwrap_or((start, end));
    let (start, end) = (start.min(first), end.max(last));
    let packets = packets::packets(story, draft, carrier, &path, &id);
    let (neighbor, cached_neighbor) = neighbor_of(story, &path, start, end);
    let place = Place::of(story, draft, carrier);
    let failed = failure.is_some();
    let journey = Journey {
        process: process_of(story, draft),
        outcome,
        failure,
        findings: findings(story, draft, carrier, failed),
        started_at_ns: start,
        duration_ns: end - start,
        phases: phases::clip(&milestones, start, end),
        resolution: resolution::describe(story, draft, place.host.as_deref()),
        dns: draft
            .resolved
            .queries
            .iter()
            .filter(|_| draft.opens && !draft.resolved.remembered)
            .filter_map(|index| resolution::query(story, *index))
            .map(dns::TrackedQuery::id)
            .collect(),
        route: path.route.clone(),
        own_address: own_address(story, draft, carrier),
        neighbor,
        attempts: draft.attempts.iter().map(|n| format!("c{n}")).collect(),
        connection: carrier.map(|carrier| carrier.connection.id()),
        http: carrier.and_then(|c| Some(c.exchange?.id.clone())),
        reused_connection: !draft.opens,
        caused_by: None,
        timeline: lines.events,
        gaps: gaps(story, draft, carrier, (start, end)),
        url: place.url,
        scheme: place.scheme,
        host: place.host,
        port: place.port,
        id,
    };
    Told {
        journey: mark_incomplete(journey),
        cached_neighbor,
        packets,
    }
}

/// Whose journey it is: the process that asks, on a connection that was turned round the one
/// that accepted it.
fn process_of(story: &Story<'_>, draft: &Draft) -> Option<Process> {
    let carrier = phases::carrier(story, draft);
    if let Some(carrier) = carrier.filter(|it| it.analysed.requester == End::Server) {
        return story.named_process(carrier.connection, End::Server);
    }
    let first = draft.attempts.first();
    let process = first.and_then(|number| {
        let (connection, _) = story.connection(*number)?;
        story.named_process(connection, End::Client)
    });
    process.or_else(|| {
        let processes = &story.memory.processes;
        Some(processes.describe(draft.pid?, Attribution::SocketCookie))
    })
}

/// Does anybody want to be told this journey?
pub(super) fn is_wanted(story: &Story<'_>, draft: &Draft) -> bool {
    let wanted = &story.memory.wanted;
    wanted.is_everything() || {
        let carrier = phases::carrier(story, draft);
        let place = Place::of(story, draft, carrier);
        let port = carrier.map_or(place.port, |carrier| Some(carrier.connection.server.port));
        wanted.admits(process_of(story, draft).as_ref(), &place, port)
    }
}

/// The address of the connection's client end, as this host's interfaces have it or as a
/// server gave it in this capture.
fn own_address(
    story: &Story<'_>,
    draft: &Draft,
    carrier: Option<Carrier<'_>>,
) -> Option<OwnAddress> {
    let carrier = carrier?;
    let ip = carrier.connection.address(carrier.analysed.requester).ip;
    let mut interfaces = story.memory.interfaces.iter();
    let known = interfaces.find_map(|interface| {
        let mut own = interface.addresses.iter();
        let (_, length) = own.find(|(address, _)| *address == ip)?;
        Some((interface, *length))
    });
    let lease = story.memory.leases.of_address(ip, draft.at_ns);
    if known.is_none() && lease.is_none() {
        return None;
    }
    let mut resolvers = Vec::new();
    for index in &draft.resolved.queries {
        if let Some(query) = resolution::query(story, *index)
            && !resolvers.contains(&query.server.ip)
        {
            resolvers.push(query.server.ip);
        }
    }
    let interface = known.map(|(interface, _)| interface);
    let own_mac = interface.and_then(|it| it.mac).map(neighbor::mac_text);
    Some(OwnAddress {
        ip,
        prefix_length: known
            .map(|(_, length)| length)
            .or_else(|| lease?.prefix_length),
        interface: interface.map(|it| it.name.clone()),
        mac: own_mac.or_else(|| lease?.client_mac.clone()),
        lease: lease.map(|it| it.id.clone()),
        permanent: interface
            .filter(|_| !story.is_file())
            .map(|it| !it.temporary.contains(&ip)),
        resolvers,
    })
}

/// A gap makes an otherwise good journey incomplete.
fn mark_incomplete(mut journey: Journey) -> Journey {
    if journey.outcome == Outcome::Ok && journey.gaps.iter().any(|gap| gap.class != "payload") {
        journey.outcome = Outcome::Incomplete;
    }
    journey
}

/// The journey's neighbour: an exchange on the wire, or the entry that made it unnecessary.
fn neighbor_of(
    story: &Story<'_>,
    path: &Path<'_>,
    start: u64,
    end: u64,
) -> (Option<String>, Option<NeighborExchange>) {
    if let Some(exchange) = path.neighbor {
        return (Some(exchange.id()), None);
    }
    let Some(next_hop) = path.next_hop else {
        return (None, None);
    };
    let entry = story.memory.neighbors.entry(next_hop, end);
    let Some(entry) = entry.filter(|entry| entry.mac.is_some_and(|mac| mac != [0; 6])) else {
        return (None, None);
    };
    let cached = NeighborExchange {
        id: format!("n-{next_hop}"),
        at_ns: start,
        duration_ns: None,
        protocol: if next_hop.is_ipv4() {
            NeighborProtocol::Arp
        } else {
            NeighborProtocol::Ndp
        },
        ip: next_hop,
        mac: entry.mac.map(neighbor::mac_text),
        interface: entry.interface.clone(),
        attempts: Vec::new(),
        outcome: NeighborOutcome::Cached,
        cached_state: Some(neighbor::state_name(entry.state).to_owned()),
    };
    (Some(cached.id.clone()), Some(cached))
}

/// The kernel counts full queues without saying whose: only of a server on this host whose
/// client sent its SYN again meanwhile can it be the reason.
fn waited_for_a_full_queue(story: &Story<'_>, connection: &TrackedConnection) -> u64 {
    let memory = story.memory;
    let server = connection.server.ip;
    let mut interfaces = memory.interfaces.iter();
    let is_here = server.is_loopback()
        || interfaces.any(|one| one.addresses.iter().any(|(address, _)| *address == server));
    let (Some(first), true) = (connection.syns.first(), is_here) else {
        return 0;
    };
    let end = connection
        .syn_ack
        .map_or(connection.last_at_ns, |it| it.at_ns);
    let told = memory.full_queues.iter();
    // They are asked for twice a second.
    let meanwhile =
        told.filter(|(at_ns, _)| (first.at_ns..=end.saturating_add(1_000_000_000)).contains(at_ns));
    meanwhile.map(|(_, full)| full.overflows).sum()
}

fn findings(
    story: &Story<'_>,
    draft: &Draft,
    carrier: Option<Carrier<'_>>,
    failed: bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |kind: &str, message: String| {
        findings.push(Finding {
            kind: kind.to_owned(),
            message,
        });
    };
    let Some(carrier) = carrier else {
        return findings;
    };
    if proxy::target(carrier).is_some() {
        let server = carrier.connection.server;
        let proxy = std::net::SocketAddr::new(server.ip, server.port);
        add("proxy", format!("sent through the proxy {proxy}"));
    }
    if carrier.analysed.requester == End::Server {
        let server = carrier.connection.server;
        let asks = std::net::SocketAddr::new(server.ip, server.port);
        add(
            "turned_round",
            format!("{asks} accepted the connection, and asks on it"),
        );
    }
    let retries = carrier.connection.handshake().syn_retries;
    if draft.opens && retries > 0 {
        add("syn_retries", format!("SYN was sent {} times", retries + 1));
    }
    if draft.opens && retries > 0 {
        let full = waited_for_a_full_queue(story, carrier.connection);
        if full > 0 {
            add(
                "listen_overflow",
                format!(
                    "a server on this host did not accept in time: the queue of a listening \
                     socket was full {full} times while this connection waited"
                ),
            );
        }
    }
    let data = carrier.connection.retransmissions.iter();
    let listed = data.filter(|(entry, _)| entry.kind != "syn").count();
    let unlisted = carrier.connection.retransmissions.unlisted();
    let repeated = unlisted.saturating_add(listed as u64);
    if repeated > 0 {
        add(
            "retransmissions",
            match repeated {
                1 => "1 segment was sent again".to_owned(),
                _ => format!("{repeated} segments were sent again"),
            },
        );
    }
    let told = &carrier.connection.told;
    // A drop in a connection that went well is a matter of the timeline only.
    if failed || repeated > 0 || retries > 0 {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for dropped in &told.drops {
            *reasons.entry(&dropped.reason).or_default() += 1;
        }
        for (reason, count) in reasons {
            let message = match count {
                1 => format!("this kernel dropped a packet: {reason}"),
                _ => format!("this kernel dropped {count} packets: {reason}"),
            };
            add("kernel_drop", message);
        }
    }
    for end in [End::Client, End::Server] {
        let closed = told.zero_windows.iter().filter(|it| it.end == end).count();
        if closed > 0 {
            let times = if closed == 1 { "once" } else { "several times" };
            let message = format!(
                "the {} had no room for more data {times} (window 0): it read too slowly",
                end.name()
            );
            add("zero_window", message);
        }
    }
    if draft.carried && draft.attempts.len() > 1 {
        let lost = draft.attempts.len() - 1;
        add(
            "lost_attempts",
            format!("{lost} other addresses were tried first or at once"),
        );
    }
    findings
}

/// The connection was not seen to its end, and what is missing may belong to this journey.
fn cut(story: &Story<'_>, carrier: Carrier<'_>) -> Option<Gap> {
    let connection = carrier.connection;
    let sealed_close = carrier
        .analysed
        .quic
        .as_ref()
        .and_then(|it| it.close.as_ref());
    let exchange = carrier.exchange;
    let whole = exchange.is_some_and(|exchange| exchange.response_end_at_ns.is_some())
        || exchange.is_none() && (connection.is_closed() || sealed_close.is_some());
    if whole {
        return None;
    }
    let (class, at_ns, message) = match connection.cut {
        Some(Cut { at_ns, why }) => match why {
            CutBy::Payload => {
                let message = "the payload after this was not kept: others needed the memory";
                ("payload", at_ns, message)
            }
            CutBy::Connections => {
                let message = "this connection was not followed on: others needed the memory";
                ("connections", at_ns, message)
            }
        },
        None if story.memory.is_cut => {
            let message = "the capture ends here: it was cut while the connection was open";
            ("capture", story.memory.last_at_ns, message)
        }
        None => return None,
    };
    Some(Gap {
        class: class.to_owned(),
        count: 0,
        at_ns,
        duration_ns: 0,
        message: message.to_owned(),
    })
}

/// Losses inside the journey's time, and payload that was not captured.
fn gaps(
    story: &Story<'_>,
    draft: &Draft,
    carrier: Option<Carrier<'_>>,
    (from_ns, until_ns): (u64, u64),
) -> Vec<Gap> {
    let attempts = draft.attempts.iter();
    let connections = attempts.filter_map(|number| story.connection(*number));
    let mut gaps = story.memory.losses.touching(&Touched {
        from_ns,
        until_ns,
        opens: draft.opens,
        closes: draft.closes,
        connections: connections
            .map(|(it, _)| Used {
                ports: losses::ports(it.client.port, it.server.port),
                saw_begin: it.handshake().syn_at_ns.is_some(),
                saw_first_state: it.saw_first_state(),
                saw_end: it.is_closed() && it.saw_last_states(),
            })
            .collect(),
    });
    let Some(carrier) = carrier else { return gaps };
    gaps.extend(cut(story, carrier));
    if story.is_out_of_sight(carrier.connection) {
        gaps.push(Gap {
            class: "namespace".to_owned(),
            count: 0,
            at_ns: carrier.connection.first_at_ns,
            duration_ns: 0,
            message: "the client is in another network namespace, whose interfaces were not \
                      watched: `--netns PID` watches them"
                .to_owned(),
        });
    }
    for end in [End::Client, End::Server] {
        if let Some(hole) = carrier.connection.first_hole(end) {
            gaps.push(Gap {
                class: "payload".to_owned(),
                count: hole.length as u64,
                at_ns: hole.at_ns,
                duration_ns: 0,
                message: format!(
                    "payload of the {} from byte {} on was not captured",
                    end.name(),
                    hole.offset
                ),
            });
        }
    }
    gaps
}

/// The connection as it is told. What its streams were read into goes into it: mostly nobody
/// else has it.
pub(super) fn describe(
    story: &Story<'_>,
    connection: &TrackedConnection,
    analysed: Arc<Analysed>,
) -> Connection {
    let interfaces = &story.memory.interfaces;
    let analysed = Arc::unwrap_or_clone(analysed);
    let kernel_path = connection.passages.describe(&key_moments(&analysed));
    Connection {
        id: connection.id(),
        transport: match analysed.quic {
            Some(_) => Transport::Quic,
            None => Transport::Tcp,
        },
        client: connection.client,
        server: connection.server,
        interface: connection
            .interface
            .and_then(|index| interfaces.name(index))
            .map(str::to_owned),
        client_process: story.named_process(connection, End::Client),
        server_process: story.named_process(connection, End::Server),
        client_readers: story.readers(connection, End::Client),
        server_readers: story.readers(connection, End::Server),
        client_writers: story.writers(connection, End::Client),
        server_writers: story.writers(connection, End::Server),
        handshake: connection.handshake(),
        states: connection.states.clone(),
        bytes: connection.bytes(),
        segments: connection.segments(),
        retransmissions: connection
            .retransmissions
            .iter()
            .map(|(entry, _)| entry.clone())
            .collect(),
        retransmissions_unlisted: connection.retransmissions.unlisted(),
        srtt_ns: connection.told.srtt_ns(),
        drops: connection.told.drops.clone(),
        tcp_samples: connection.told.samples(),
        resets: connection.told.resets.clone(),
        zero_windows: connection.told.zero_windows.clone(),
        comments: connection
            .remarks
            .as_ref()
            .map_or_else(Vec::new, |remarks| remarks.comments.clone()),
        close: analysed
            .quic
            .as_ref()
            .and_then(|reading| reading.close.clone())
            .unwrap_or_else(|| connection.close()),
        kernel_path,
        requester: analysed.requester,
        quic: analysed.quic.map(|reading| Box::new(reading.quic)),
        tls: analysed.tls.map(|tls| Box::new(tls.session)),
        http: analysed.http,
    }
}

/// When requests and responses began: the segments that carried them are always listed.
fn key_moments(analysed: &Analysed) -> Vec<u64> {
    let exchanges = analysed.http.iter().take(KEY_EXCHANGES);
    exchanges
        .flat_map(|exchange| [exchange.request_at_ns, exchange.response_at_ns])
        .flatten()
        .collect()
}

/// The DNS exchanges of one journey: no others are described, which counts when a live
/// capture remembers thousands.
pub(super) fn dns_of(story: &Story<'_>, journey: &Journey) -> Vec<DnsExchange> {
    let ids = journey.dns.iter();
    let numbers: Vec<u64> = ids
        .filter_map(|id| id.strip_prefix('d')?.parse().ok())
        .collect();
    if numbers.is_empty() {
        return Vec::new();
    }
    let queries = story.memory.resolutions.queries.iter();
    queries
        .filter(|query| numbers.contains(&query.number))
        .flat_map(|query| dns_exchanges(story, query))
        .collect()
}

/// A DNS exchange and the repetitions of its answer, with the process that asked.
pub(super) fn dns_exchanges<'a>(
    story: &Story<'_>,
    query: &'a dns::TrackedQuery,
) -> impl Iterator<Item = DnsExchange> + use<'a> {
    let process = story.query_process(query);
    let all = std::iter::once(query.exchange()).chain(query.repetitions());
    all.map(move |exchange| DnsExchange {
        process: process.clone(),
        ..exchange
    })
}

/// The neighbour exchange of one journey, if one was on the wire.
pub(super) fn neighbor_on_wire(story: &Story<'_>, journey: &Journey) -> Option<NeighborExchange> {
    let number = journey.neighbor.as_deref()?.strip_prefix('n')?;
    let number: u64 = number.parse().ok()?;
    let mut exchanges = story.memory.neighbors.exchanges.iter();
    let exchange = exchanges.find(|exchange| exchange.number == number)?;
    Some(exchange.exchange(&story.memory.interfaces))
}
