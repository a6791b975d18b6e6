//! The headline of a journey.

use crate::journey::model::{Journey, Outcome, Process};
use crate::report::lookup::Lookup;
use crate::report::page::Page;
use crate::report::style::{Piece, Role};
use crate::report::units;

const GAP: &str = "   ";

/// `GET https://www.shop.test/   200   HTTP/2   TLS 1.3   7.10 ms   curl[4242]   complete, 0 lost`,
/// on two lines where one is too narrow, and the redirects that lead here and onward.
pub(super) fn write(page: &mut Page, journey: &Journey, lookup: &Lookup<'_>) {
    let completeness = completeness(journey);
    let mut one_line = subject(journey, lookup);
    let behind_subject = one_line.len();
    one_line.push(Piece::plain(GAP));
    one_line.extend(attributes(journey, lookup));
    if !page.spread(&one_line, std::slice::from_ref(&completeness)) {
        let mut second = vec![Piece::plain("  ")];
        second.extend(one_line.drain(behind_subject..).skip(1));
        page.line(4, one_line);
        if !page.spread(&second, std::slice::from_ref(&completeness)) {
            second.extend([Piece::plain(GAP), completeness]);
            page.line(2, second);
        }
    }
    write_redirects(page, journey, lookup);
}

/// What was asked for.
fn subject(journey: &Journey, lookup: &Lookup<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    if let Some(exchange) = lookup.asked_of(journey)
        && let Some(method) = &exchange.method
    {
        pieces.push(Piece::new(Role::Strong, method.clone()));
        pieces.push(Piece::plain(" "));
    }
    pieces.push(Piece::new(Role::Strong, address(journey, lookup)));
    pieces
}

/// The URL, or the best name there is for the other end.
pub(super) fn address(journey: &Journey, lookup: &Lookup<'_>) -> String {
    let port = |host: &String| match journey.port {
        Some(port) => format!("{host}:{port}"),
        None => host.clone(),
    };
    journey
        .url
        .clone()
        .or_else(|| journey.host.as_ref().map(port))
        .or_else(|| {
            lookup
                .connection_of(journey)
                .map(|connection| connection.server.to_string())
        })
        .unwrap_or_else(|| "an unknown address".into())
}

/// Status, versions, total and process.
fn attributes(journey: &Journey, lookup: &Lookup<'_>) -> Vec<Piece> {
    let exchange = lookup.http_of(journey);
    let tls = lookup
        .connection_of(journey)
        .and_then(|connection| connection.tls.as_ref());
    let mut list = Vec::new();
    if let Some(status) = exchange.and_then(|exchange| exchange.status) {
        list.push(Piece::new(status_role(status), status.to_string()));
    }
    if let Some(failure) = &journey.failure {
        list.push(Piece::new(
            Role::Bad,
            format!("FAILED at {}", stage(failure.stage)),
        ));
    } else if journey.outcome == Outcome::Failed {
        list.push(Piece::new(Role::Bad, "FAILED"));
    }
    let version = exchange.map(|exchange| exchange.version.as_str());
    let negotiated = match tls.and_then(|tls| tls.alpn.as_deref()) {
        Some("h2") => Some("2"),
        Some("http/1.1") => Some("1.1"),
        Some("h3") => Some("3"),
        _ => None,
    };
    if let Some(version) = version.or(negotiated) {
        list.push(Piece::plain(format!("HTTP/{version}")));
    }
    let quic = lookup
        .connection_of(journey)
        .and_then(|connection| connection.quic.as_ref());
    if let Some(quic) = quic {
        list.push(Piece::plain(format!("QUIC {}", quic.version)));
    }
    if let Some(version) = tls.and_then(|tls| tls.version.as_ref()) {
        list.push(Piece::plain(format!("TLS {version}")));
    }
    list.push(Piece::new(
        Role::Strong,
        units::duration(journey.duration_ns),
    ));
    list.push(Piece::plain(process(journey.process.as_ref())));
    let mut pieces = Vec::new();
    for piece in list {
        if !pieces.is_empty() {
            pieces.push(Piece::plain(GAP));
        }
        pieces.push(piece);
    }
    pieces
}

/// The word of the JSON contract.
fn stage(stage: crate::journey::model::Stage) -> &'static str {
    use crate::journey::model::Stage;
    match stage {
        Stage::Resolve => "resolve",
        Stage::Route => "route",
        Stage::Neighbor => "neighbor",
        Stage::Connect => "connect",
        Stage::Tls => "tls",
        Stage::Http => "http",
    }
}

/// `curl[4242]`, with the grade of the attribution where it is not the best one.
pub(super) fn process(process: Option<&Process>) -> String {
    let Some(process) = process else {
        return "process unknown".into();
    };
    let name = format!("{}[{}]", process.comm, process.pid);
    match attribution(process) {
        "socket-cookie" => name,
        grade => format!("{name} ({grade})"),
    }
}

/// The word of the JSON contract.
pub(super) fn attribution(process: &Process) -> &'static str {
    use crate::journey::model::Attribution;
    match process.attribution {
        Attribution::SocketCookie => "socket-cookie",
        Attribution::Tuple => "tuple",
        Attribution::Procfs => "procfs",
        Attribution::Unknown => "unknown",
    }
}

fn status_role(status: u16) -> Role {
    match status {
        200..400 => Role::Good,
        400..500 => Role::Warning,
        500.. => Role::Bad,
        _ => Role::Plain,
    }
}

/// Whether the story has holes. Payload beyond the budget is counted, not lost.
fn completeness(journey: &Journey) -> Piece {
    let gaps = || journey.gaps.iter().filter(|gap| gap.class != "payload");
    let lost = gaps().fold(0u64, |sum, gap| sum.saturating_add(gap.count));
    match (journey.outcome, lost) {
        (_, 0) if journey.outcome == Outcome::Incomplete || gaps().next().is_some() => {
            Piece::new(Role::Warning, "incomplete, 0 lost")
        }
        (_, 0) => Piece::new(Role::Faint, "complete, 0 lost"),
        (_, lost) => Piece::new(Role::Warning, format!("incomplete, {lost} lost")),
    }
}

fn write_redirects(page: &mut Page, journey: &Journey, lookup: &Lookup<'_>) {
    let mut link = |word: &str, other: &Journey| {
        let status = lookup.http_of(other).and_then(|exchange| exchange.status);
        let mut text = format!("{word} {}", address(other, lookup));
        if let (Some(status), "redirected from") = (status, word) {
            text.push_str(&format!(" ({status})"));
        }
        page.line(4, vec![Piece::plain("  "), Piece::new(Role::Faint, text)]);
    };
    if let Some(cause) = journey.caused_by.as_ref().and_then(|id| lookup.journey(id)) {
        link("redirected from", cause);
    }
    for effect in lookup.caused_by(journey) {
        link("redirects to", effect);
    }
}
