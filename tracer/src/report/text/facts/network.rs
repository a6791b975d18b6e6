//! Names, routes and neighbours.

use crate::journey::model::{
    DnsExchange, DnsTransport, Journey, NeighborExchange, NeighborOutcome, NeighborProtocol,
    ResolutionSource,
};
use crate::report::lookup::Lookup;
use crate::report::style::Role;
use crate::report::text::sentence::{Sentence, some_of};
use crate::report::units;

/// More addresses or queries than this are counted, unless details were asked for.
const SHORT_LIST: usize = 4;

/// `www.shop.test → shop.cdn.test → 10.77.2.80; 10.77.1.53 over UDP: A NOERROR 1.12 ms`.
pub(in crate::report::text) fn resolve(
    journey: &Journey,
    lookup: &Lookup<'_>,
    verbose: u8,
) -> Sentence {
    let mut sentence = Sentence::default();
    let limit = if verbose == 0 { SHORT_LIST } else { usize::MAX };
    if journey.reused_connection && journey.phases.resolve.is_none() && journey.dns.is_empty() {
        return sentence;
    }
    let resolution = &journey.resolution;
    let addresses: Vec<String> = resolution
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    match resolution.source {
        ResolutionSource::Literal => sentence.fact("a literal address: nothing to resolve"),
        ResolutionSource::Unknown if addresses.is_empty() && journey.dns.is_empty() => {
            unseen(&mut sentence, journey);
        }
        _ => {
            let mut chain = resolution.chain.clone();
            if chain.is_empty() {
                chain.extend(journey.host.clone());
            }
            let silent = matches!(
                resolution.source,
                ResolutionSource::Hosts | ResolutionSource::Cache
            );
            match addresses.is_empty() {
                // No packet named the addresses; the process shows them by using one.
                true if silent => {
                    let connection = lookup.connection_of(journey);
                    chain.extend(connection.map(|c| c.server.ip.to_string()));
                }
                true => chain.push("no address".into()),
                false => chain.push(some_of(&addresses, limit, ", ")),
            }
            sentence.fact(chain.join(" → "));
        }
    }
    match resolution.source {
        ResolutionSource::Hosts => sentence.part("from /etc/hosts, no packet sent"),
        ResolutionSource::Cache => sentence.part("from a cache, no packet sent"),
        _ => {}
    }
    queries(&mut sentence, journey, &lookup.dns_of(journey), limit);
    sentence
}

/// A name, an address, and nothing between them that was seen.
fn unseen(sentence: &mut Sentence, journey: &Journey) {
    let named = journey
        .host
        .as_ref()
        .is_some_and(|host| host.parse::<std::net::IpAddr>().is_err());
    // Only where the process is known would its lookup have been seen.
    if named && journey.connection.is_some() && journey.process.is_some() {
        sentence.fact("no lookup seen: the program knew the address or asked by other means");
    }
}

/// Who was asked, for what, with which result; one part for each server in a row.
fn queries(sentence: &mut Sentence, journey: &Journey, exchanges: &[&DnsExchange], limit: usize) {
    let shown = exchanges
        .get(..limit.min(exchanges.len()))
        .unwrap_or_default();
    for group in shown.chunk_by(|a, b| a.server == b.server && a.transport == b.transport) {
        let Some(first) = group.first() else { continue };
        let server = match first.server.port {
            53 => first.server.ip.to_string(),
            _ => first.server.to_string(),
        };
        sentence.part(format!("{server} over {}: ", transport(first.transport)));
        for (index, exchange) in group.iter().enumerate() {
            if index > 0 {
                sentence.say(Role::Plain, ", ");
            }
            query(sentence, journey, exchange);
        }
    }
    if let Some(more) = exchanges.len().checked_sub(limit).filter(|more| *more > 0) {
        sentence.fact(format!("{more} more queries"));
    }
}

/// `A NOERROR 1.12 ms`, with the name where it is another one than the journey's.
fn query(sentence: &mut Sentence, journey: &Journey, exchange: &DnsExchange) {
    let question = &exchange.question;
    let mut text = question.record_type.clone();
    if !journey
        .host
        .as_ref()
        .is_some_and(|host| host.eq_ignore_ascii_case(&question.name))
    {
        text.push_str(&format!(" {}", question.name));
    }
    sentence.say(Role::Plain, text);
    match &exchange.rcode {
        Some(rcode) if exchange.answered => {
            let role = if rcode == "NOERROR" {
                Role::Plain
            } else {
                Role::Warning
            };
            sentence.say(role, format!("\u{a0}{rcode}"));
        }
        _ if exchange.answered => {}
        _ => sentence.say(Role::Bad, "\u{a0}unanswered"),
    }
    if exchange.truncated {
        sentence.say(Role::Warning, "\u{a0}truncated");
    }
    if let Some(duration) = exchange.duration_ns {
        sentence.say(Role::Plain, format!("\u{a0}{}", units::duration(duration)));
    }
    if exchange.attempts.len() > 1 {
        let text = format!(" after {} tries", exchange.attempts.len());
        sentence.say(Role::Warning, text);
    }
}

fn transport(transport: DnsTransport) -> &'static str {
    match transport {
        DnsTransport::Udp => "UDP",
        DnsTransport::Tcp => "TCP",
        DnsTransport::Tls => "TLS",
        DnsTransport::Https => "HTTPS",
    }
}

/// `not on this link: 0.0.0.0/0 via 10.77.1.1 dev eth0 src 10.77.1.10`, in the words of ip-route(8).
pub(in crate::report::text) fn route(journey: &Journey) -> Sentence {
    let mut sentence = Sentence::default();
    let Some(route) = &journey.route else {
        return sentence;
    };
    let local = route.table.as_deref() == Some("local");
    let mut words = Vec::new();
    if let Some(prefix) = &route.prefix {
        words.push(prefix.clone());
    }
    if let Some(gateway) = route.gateway {
        words.push(format!("via {gateway}"));
    }
    if let Some(interface) = &route.interface {
        words.push(format!("dev {interface}"));
    }
    if let Some(source) = route.source {
        words.push(format!("src {source}"));
    }
    if let Some(table) = route
        .table
        .as_ref()
        .filter(|table| *table != "main" && !local)
    {
        words.push(format!("table {table}"));
    }
    // 1500 is what everybody has; anything else explains segment sizes.
    if let Some(mtu) = route.mtu.filter(|mtu| *mtu != 1500) {
        words.push(format!("mtu {mtu}"));
    }
    let place = match route.on_link {
        _ if local => "this host itself: ",
        Some(true) => "on this link: ",
        Some(false) => "not on this link: ",
        None => "",
    };
    if words.is_empty() {
        words.push(route.destination.to_string());
    }
    sentence.fact(format!("{place}{}", words.join(" ")));
    sentence
}

/// `10.77.1.1 (the gateway) is 02:42:0a:4d:01:01, asked by ARP`.
pub(in crate::report::text) fn neighbor(journey: &Journey, lookup: &Lookup<'_>) -> Sentence {
    let mut sentence = Sentence::default();
    let Some(exchange) = lookup.neighbor_of(journey) else {
        return sentence;
    };
    let gateway = journey.route.as_ref().and_then(|route| route.gateway);
    let mut who = exchange.ip.to_string();
    if gateway == Some(exchange.ip) {
        who.push_str(" (the gateway)");
    }
    match (&exchange.mac, exchange.outcome) {
        (_, NeighborOutcome::Failed) => {
            sentence.fact_in(Role::Bad, format!("{who} did not answer"))
        }
        (Some(mac), _) => sentence.fact(format!("{who} is {mac}")),
        (None, _) => sentence.fact(who),
    }
    how_learnt(&mut sentence, exchange);
    sentence
}

fn how_learnt(sentence: &mut Sentence, exchange: &NeighborExchange) {
    let protocol = match exchange.protocol {
        NeighborProtocol::Arp => "ARP",
        NeighborProtocol::Ndp => "NDP",
    };
    let tries = exchange.attempts.len() as u64;
    match (exchange.outcome, tries) {
        (NeighborOutcome::Cached, _) => sentence.fact(match &exchange.cached_state {
            Some(state) => format!("known already ({state})"),
            None => "known already".into(),
        }),
        (_, 0) => {}
        (NeighborOutcome::Resolved, 1) => sentence.fact(format!("asked by {protocol}")),
        (_, tries) => sentence.fact_in(
            Role::Warning,
            units::counted(tries, &format!("{protocol} request")),
        ),
    }
}
