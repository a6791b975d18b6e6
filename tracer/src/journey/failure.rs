//! What failed, in one sentence, and what shows it.

use super::connection::TrackedConnection;
use super::dns::TrackedQuery;
use super::drafts::{self, Draft};
use super::model::{CloseKind, End, Failure, NeighborOutcome, Outcome, Stage};
use super::phases::{Carrier, Path};
use super::quic::Reading;
use super::resolution;
use super::route;
use super::story::Story;
use crate::capture::{ClientEvent, neighbor_state};

/// Alerts that concern the certificate (RFC 8446, section 6.2).
const CERTIFICATE_ALERTS: [&str; 8] = [
    "bad_certificate",
    "unsupported_certificate",
    "certificate_revoked",
    "certificate_expired",
    "certificate_unknown",
    "unknown_ca",
    "bad_certificate_status_response",
    "certificate_required",
];

/// The verdict on one journey.
pub(super) fn judge(
    story: &Story<'_>,
    draft: &Draft,
    carrier: Option<Carrier<'_>>,
    path: &Path<'_>,
) -> (Outcome, Option<Failure>) {
    let verdict = draft.report.and_then(|r| drafts::verdict(story, r));
    let seen = match carrier {
        None => resolve_failure(story, draft),
        Some(carrier) => connection_failure(story, carrier, path),
    };
    let answered = carrier
        .and_then(|carrier| carrier.exchange)
        .is_some_and(|exchange| exchange.response_end_at_ns.is_some());
    match (seen, verdict) {
        (Some(failure), Some((_, ClientEvent::Failed { message, .. }))) => {
            (Outcome::Failed, Some(with_claim(failure, message)))
        }
        (Some(_), Some((_, ClientEvent::Finished { .. }))) => (Outcome::Ok, None),
        (Some(failure), _) => (Outcome::Failed, Some(failure)),
        (None, Some((_, ClientEvent::Failed { stage, message }))) => {
            (Outcome::Failed, Some(claimed(stage, message)))
        }
        (None, Some((_, ClientEvent::Finished { .. }))) => (Outcome::Ok, None),
        (None, _) if answered || sealed_answer(carrier) => (Outcome::Ok, None),
        (None, _) if plain_connection(carrier) => (Outcome::Ok, None),
        (None, _) => (Outcome::Incomplete, None),
    }
}

/// A sealed connection on which both ends sent application data: all that can be seen.
fn sealed_answer(carrier: Option<Carrier<'_>>) -> bool {
    carrier.is_some_and(|carrier| {
        carrier.exchange.is_none()
            && carrier.analysed.tls.as_ref().is_some_and(|tls| {
                tls.client_application_data.is_some() && tls.server_application_data.is_some()
            })
    })
}

/// Another protocol than TLS or HTTP that exchanged data and closed in order.
fn plain_connection(carrier: Option<Carrier<'_>>) -> bool {
    carrier.is_some_and(|carrier| {
        carrier.analysed.tls.is_none()
            && carrier.exchange.is_none()
            && carrier.connection.ack.is_some()
            && carrier.connection.close().kind == CloseKind::Fin
    })
}

fn with_claim(mut failure: Failure, message: &str) -> Failure {
    failure.evidence.push(format!("the client says: {message}"));
    failure
}

/// Only the client's own word.
fn claimed(stage: &str, message: &str) -> Failure {
    let stage = match stage {
        "resolve" => Stage::Resolve,
        "tls" => Stage::Tls,
        "http" => Stage::Http,
        _ => Stage::Connect,
    };
    failure(
        stage,
        "client_error",
        message.to_owned(),
        vec!["the client's own report".to_owned()],
    )
}

fn failure(stage: Stage, kind: &str, message: String, evidence: Vec<String>) -> Failure {
    Failure {
        stage,
        kind: kind.to_owned(),
        message,
        evidence,
    }
}

fn resolve_failure(story: &Story<'_>, draft: &Draft) -> Option<Failure> {
    if draft.resolved.is_empty() {
        return None;
    }
    let interfaces = &story.memory.interfaces;
    let queries: Vec<&TrackedQuery> = draft
        .resolved
        .queries
        .iter()
        .filter_map(|index| resolution::query(story, *index))
        .collect();
    let call = draft
        .resolved
        .call
        .and_then(|index| story.memory.resolutions.calls.get(index));
    if call.is_some_and(|(_, call)| call.result == Some(0)) {
        return None;
    }
    let name = call
        .and_then(|(_, call)| call.name.clone())
        .or_else(|| queries.first().map(|q| q.question.name.clone()))
        .unwrap_or_else(|| "the name".to_owned());
    let mut evidence: Vec<String> = Vec::new();
    if let Some(code) = call.and_then(|(_, call)| call.result) {
        evidence.push(format!(
            "uprobe getaddrinfo returned {}",
            resolver_error(code)
        ));
    }
    for query in &queries {
        if let Some((message, mark)) = &query.answer {
            let place = interfaces.evidence(*mark);
            evidence.push(format!("{} from {}: {place}", message.rcode, query.server));
        }
    }
    let code_of = |wanted: &str| queries.iter().find(|q| q.rcode() == Some(wanted));
    if let Some(query) = code_of("NXDOMAIN") {
        let message = format!("{name} does not exist: {} answered NXDOMAIN", query.server);
        return Some(failure(Stage::Resolve, "nxdomain", message, evidence));
    }
    let unanswered: Vec<_> = queries.iter().filter(|q| q.answer.is_none()).collect();
    if let Some(query) = unanswered.first() {
        let tries: usize = unanswered.iter().map(|query| query.queries.len()).sum();
        let last = unanswered.iter().map(|query| query.last_at_ns()).max();
        let waited = call
            .map_or(last, |(returned, _)| Some(*returned))
            .unwrap_or(0)
            .saturating_sub(query.first_at_ns);
        let marks = unanswered.iter().flat_map(|query| &query.queries);
        evidence.extend(marks.map(|mark| interfaces.evidence(*mark)));
        let message = format!(
            "no DNS answer for {name}: {tries} {} to {} stayed unanswered for {:.1} s",
            if tries == 1 { "query" } else { "queries" },
            query.server,
            waited as f64 / 1e9
        );
        return Some(failure(Stage::Resolve, "dns_timeout", message, evidence));
    }
    let refused = queries.iter().find_map(|query| {
        let code = query.rcode().filter(|code| *code != "NOERROR")?;
        Some((code.to_ascii_lowercase(), query))
    });
    if let Some((code, query)) = refused {
        let message = format!(
            "{name} could not be resolved: {} answered {}",
            query.server,
            code.to_ascii_uppercase()
        );
        return Some(failure(Stage::Resolve, &code, message, evidence));
    }
    let message = if queries.is_empty() {
        format!("{name} could not be resolved, and no DNS query left this host")
    } else {
        format!("{name} has no address: the answers hold no A or AAAA record")
    };
    Some(failure(Stage::Resolve, "no_address", message, evidence))
}

/// Names of netdb.h.
pub(super) fn resolver_error(code: i32) -> String {
    match code {
        0 => "0".to_owned(),
        -2 => "EAI_NONAME (name or service not known)".to_owned(),
        -3 => "EAI_AGAIN (temporary failure in name resolution)".to_owned(),
        -4 => "EAI_FAIL (non-recoverable failure in name resolution)".to_owned(),
        -5 => "EAI_NODATA (no address associated with the name)".to_owned(),
        -11 => "EAI_SYSTEM (system error)".to_owned(),
        other => format!("error {other}"),
    }
}

fn connection_failure(story: &Story<'_>, carrier: Carrier<'_>, path: &Path<'_>) -> Option<Failure> {
    let connection = carrier.connection;
    if story.is_out_of_sight(connection) {
        return None;
    }
    if let Some(reading) = &carrier.analysed.quic {
        return quic_failure(story, carrier, reading, path);
    }
    if connection.syn_ack.is_none() && connection.bytes().server == 0 {
        return connect_failure(story, connection, path);
    }
    tls_failure(story, carrier).or_else(|| http_failure(story, carrier))
}

/// QUIC has no RST: it is refused by ICMP, by CONNECTION_CLOSE or by silence.
fn quic_failure(
    story: &Story<'_>,
    carrier: Carrier<'_>,
    reading: &Reading,
    path: &Path<'_>,
) -> Option<Failure> {
    let connection = carrier.connection;
    let interfaces = &story.memory.interfaces;
    if connection.bytes().server == 0 {
        return connect_failure(story, connection, path).or_else(|| {
            let (sent, server) = (connection.segments().client, connection.server);
            let message = format!("{server} does not answer: {sent} datagrams of QUIC sent");
            let evidence = connection.frame_at(End::Client, connection.first_at_ns);
            let evidence = evidence.map(|mark| interfaces.evidence(mark));
            let evidence = evidence.into_iter().collect();
            Some(failure(Stage::Connect, "timeout", message, evidence))
        });
    }
    tls_failure(story, carrier).or_else(|| {
        let close = reading.quic.close.as_ref()?;
        let early = carrier
            .analysed
            .tls
            .as_ref()?
            .session
            .finished_at_ns
            .is_none();
        let code = close.name.clone()?;
        let message = format!("the {} closed the connection: {code}", close.end.name());
        let mark = connection.frame_at(close.end, close.at_ns);
        let evidence = mark.map(|mark| interfaces.evidence(mark));
        let evidence = evidence.into_iter().collect();
        early.then(|| failure(Stage::Tls, "closed_early", message, evidence))
    })
}

fn connect_failure(
    story: &Story<'_>,
    connection: &TrackedConnection,
    path: &Path<'_>,
) -> Option<Failure> {
    let interfaces = &story.memory.interfaces;
    let server = connection.server;
    if let Some(reset) = connection.reset.filter(|reset| reset.end == End::Server) {
        let message = format!("{server} refused the connection: its host answered SYN with RST");
        let evidence = vec![interfaces.evidence(reset.mark)];
        return Some(failure(Stage::Connect, "refused", message, evidence));
    }
    if let Some((version, kind, code, mark)) = connection.icmp_error {
        let reason = icmp_words(version, kind, code);
        let message = format!("{server} is unreachable: {reason}");
        let evidence = vec![interfaces.evidence(mark)];
        return Some(failure(Stage::Connect, "unreachable", message, evidence));
    }
    route_failure(connection, path)
        .or_else(|| neighbor_failure(story, connection, path))
        .or_else(|| timeout(story, connection))
        .or_else(|| refused_unseen(connection))
}

fn route_failure(connection: &TrackedConnection, path: &Path<'_>) -> Option<Failure> {
    if !connection.syns.is_empty() || path.lookups.iter().any(|(_, l)| l.error == 0) {
        return None;
    }
    let (_, lookup) = path.lookups.last()?;
    let words = route::error_words(lookup.error);
    let message = format!("no route to {}: {words}", connection.server.ip);
    let evidence = vec![format!("tracepoint fib_table_lookup: {}", lookup.error)];
    Some(failure(Stage::Route, "no_route", message, evidence))
}

fn neighbor_failure(
    story: &Story<'_>,
    connection: &TrackedConnection,
    path: &Path<'_>,
) -> Option<Failure> {
    if !connection.syns.is_empty() {
        return None;
    }
    let next_hop = path.next_hop?;
    let interfaces = &story.memory.interfaces;
    let exchange = path
        .neighbor
        .filter(|n| n.outcome() == NeighborOutcome::Failed);
    let table = story
        .memory
        .neighbors
        .entry(next_hop, connection.last_at_ns);
    let failed = table.filter(|entry| entry.state & neighbor_state::FAILED != 0);
    if exchange.is_none() && failed.is_none() {
        return None;
    }
    let requests = exchange.map_or(0, |exchange| exchange.requests.len());
    let mut evidence: Vec<String> = exchange
        .map(|exchange| {
            let marks = exchange.requests.iter();
            marks.map(|mark| interfaces.evidence(*mark)).collect()
        })
        .unwrap_or_default();
    if let Some(entry) = failed {
        evidence.push(format!("{} neigh: FAILED", entry.hook));
    }
    let what = if next_hop == connection.server.ip {
        format!("{next_hop} does not answer on its own link")
    } else {
        format!("the gateway {next_hop} does not answer")
    };
    let asked = match requests {
        0 => "the kernel's neighbour entry is FAILED".to_owned(),
        1 => "1 request stayed unanswered".to_owned(),
        n => format!("{n} requests stayed unanswered"),
    };
    let message = format!("host unreachable: {what}, {asked}");
    Some(failure(
        Stage::Neighbor,
        "neighbor_failed",
        message,
        evidence,
    ))
}

fn timeout(story: &Story<'_>, connection: &TrackedConnection) -> Option<Failure> {
    let first = connection.syns.first()?;
    let waited = connection.last_at_ns.saturating_sub(first.at_ns);
    let marks = connection.syns.iter();
    let evidence = marks
        .map(|m| story.memory.interfaces.evidence(*m))
        .collect();
    let message = format!(
        "{} does not answer: {} SYN sent in {:.1} s, nothing came back (filtered or down)",
        connection.server,
        connection.syns.len(),
        waited as f64 / 1e9
    );
    Some(failure(Stage::Connect, "timeout", message, evidence))
}

/// The kernel closed a socket that never sent a frame.
fn refused_unseen(connection: &TrackedConnection) -> Option<Failure> {
    let closed = connection.states.iter().find(|s| s.to == "CLOSED")?;
    let message = format!(
        "the connection to {} never left this host",
        connection.server
    );
    let evidence = vec![format!("{} {} -> CLOSED", closed.hook, closed.from)];
    Some(failure(Stage::Connect, "not_sent", message, evidence))
}

fn tls_failure(story: &Story<'_>, carrier: Carrier<'_>) -> Option<Failure> {
    let tls = carrier.analysed.tls.as_ref()?;
    let fatal = tls
        .session
        .alerts
        .iter()
        .find(|alert| alert.level == "fatal" && alert.description != "close_notify");
    if let Some(alert) = fatal {
        let kind = if CERTIFICATE_ALERTS.contains(&alert.description.as_str()) {
            "certificate"
        } else {
            "alert"
        };
        let message = format!(
            "the {} ended the TLS handshake with the alert {}",
            alert.end.name(),
            alert.description
        );
        let mark = carrier.connection.frame_at(alert.end, alert.at_ns);
        let evidence = mark.map(|m| story.memory.interfaces.evidence(m));
        return Some(failure(
            Stage::Tls,
            kind,
            message,
            evidence.into_iter().collect(),
        ));
    }
    let no_data = tls.server_application_data.is_none() && carrier.exchange.is_none();
    let unfinished = tls.session.server_hello_at_ns.is_none()
        || tls.session.finished_at_ns.is_none() && tls.client_application_data.is_none();
    (no_data && unfinished)
        .then(|| early_end(story, carrier.connection, Stage::Tls, "the TLS handshake"))?
}

fn http_failure(story: &Story<'_>, carrier: Carrier<'_>) -> Option<Failure> {
    match carrier.exchange {
        Some(exchange) if exchange.response_end_at_ns.is_none() => {
            let what = match exchange.response_at_ns {
                None => "the response began",
                Some(_) => "the response was complete",
            };
            early_end(story, carrier.connection, Stage::Http, what)
        }
        Some(_) => None,
        None => {
            let tls = carrier.analysed.tls.as_ref();
            let silent = tls.map_or(carrier.connection.bytes().server == 0, |tls| {
                tls.server_application_data.is_none()
            });
            silent
                .then(|| early_end(story, carrier.connection, Stage::Http, "the response began"))?
        }
    }
}

/// The connection ended before `what`.
fn early_end(
    story: &Story<'_>,
    connection: &TrackedConnection,
    stage: Stage,
    what: &str,
) -> Option<Failure> {
    let close = connection.close();
    let who = close.first.map_or("one end", End::name);
    let (kind, verb) = match close.kind {
        CloseKind::Rst => ("reset", "reset the connection"),
        CloseKind::Fin => ("closed_early", "closed the connection"),
        CloseKind::Timeout => ("timeout", "gave up"),
        CloseKind::Open => return None,
    };
    let evidence = connection
        .close_messages
        .first()
        .map(|(_, mark)| story.memory.interfaces.evidence(*mark));
    let until = if stage == Stage::Tls {
        "was complete"
    } else {
        ""
    };
    let message = format!("the {who} {verb} before {what} {until}");
    Some(failure(
        stage,
        kind,
        message.trim_end().to_owned(),
        evidence.into_iter().collect(),
    ))
}

/// Destination unreachable codes (RFC 792, RFC 4443 section 3.1).
fn icmp_words(version: u8, kind: u8, code: u8) -> String {
    let words = match (version, kind, code) {
        (4, 3, 0) => "network unreachable",
        (4, 3, 1) => "host unreachable",
        (4, 3, 2) => "protocol unreachable",
        (4, 3, 3) | (6, 1, 4) => "port unreachable",
        (4, 3, 9 | 10 | 13) | (6, 1, 1) => "administratively prohibited",
        (6, 1, 0) => "no route to the destination",
        (6, 1, 3) => "address unreachable",
        (4, 11, _) | (6, 3, _) => "time exceeded on the way",
        _ => return format!("ICMPv{version} type {kind} code {code}"),
    };
    format!("ICMP says {words}")
}
