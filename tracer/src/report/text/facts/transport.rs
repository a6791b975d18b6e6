//! The connection: how it opened, what it carried, how it ended.

use crate::journey::model::{
    Close, CloseKind, Connection, End, Handshake, Journey, Outcome, PerEnd, Quic, TcpOptions,
    Transport,
};
use crate::report::style::Role;
use crate::report::text::sentence::Sentence;
use crate::report::units;

/// `10.77.2.80:443: SYN → SYN-ACK → ACK, rtt 0.21 ms, mss 1460, wscale 7, sack`.
pub(in crate::report::text) fn connect(
    journey: &Journey,
    connection: Option<&Connection>,
) -> Sentence {
    let mut sentence = Sentence::default();
    let Some(connection) = connection else {
        return sentence;
    };
    let handshake = &connection.handshake;
    sentence.fact(connection.server.to_string());
    if journey.reused_connection {
        sentence.say(Role::Plain, " reused");
        let opened = handshake.ack_at_ns.or(handshake.syn_at_ns);
        if let Some(age) = opened.and_then(|at| journey.started_at_ns.checked_sub(at)) {
            sentence.fact(format!("open since {} before", units::duration(age)));
        }
        return sentence;
    }
    if connection.transport == Transport::Tcp {
        messages(&mut sentence, connection);
    }
    if let Some(quic) = &connection.quic {
        over_quic(&mut sentence, quic);
        if connection.bytes.server == 0 {
            sentence.fact_in(Role::Bad, "no answer");
        }
    }
    if handshake.syn_retries > 0 {
        let text = match handshake.syn_retries {
            1 => "1 SYN retry".into(),
            retries => format!("{retries} SYN retries"),
        };
        sentence.fact_in(Role::Warning, text);
    }
    if let Some(rtt) = handshake.rtt_ns {
        sentence.fact(format!("rtt {}", units::duration(rtt)));
    }
    options(&mut sentence, handshake);
    sentence
}

/// The messages of the handshake that were seen.
fn messages(sentence: &mut Sentence, connection: &Connection) {
    let (handshake, close) = (&connection.handshake, &connection.close);
    let mut steps = Vec::new();
    let seen = [
        (handshake.syn_at_ns, "SYN"),
        (handshake.syn_ack_at_ns, "SYN-ACK"),
        (handshake.ack_at_ns, "ACK"),
    ];
    steps.extend(
        seen.iter()
            .filter(|(at, _)| at.is_some())
            .map(|(_, name)| *name),
    );
    let mut role = Role::Plain;
    if handshake.syn_ack_at_ns.is_none() && handshake.syn_at_ns.is_some() {
        role = Role::Bad;
        match close.kind {
            CloseKind::Rst => steps.push("RST"),
            CloseKind::Timeout => steps.push("no answer"),
            CloseKind::Fin | CloseKind::Open => role = Role::Warning,
        }
    }
    let silent = connection.segments == PerEnd::default();
    let mut states = connection.states.iter();
    if steps.is_empty() && silent && states.any(|state| state.to == "ESTABLISHED") {
        sentence.say(Role::Warning, ": not seen on any watched interface");
    } else if steps.is_empty() && silent {
        sentence.say(Role::Bad, ": no SYN left this host");
    } else if steps.is_empty() {
        sentence.say(Role::Plain, ", opened before the capture began");
    } else {
        sentence.say(Role::Plain, ": ");
        sentence.say(role, steps.join(" → "));
    }
}

/// What QUIC settles before, or instead of, a handshake of its own.
fn over_quic(sentence: &mut Sentence, quic: &Quic) {
    sentence.say(Role::Plain, format!(": QUIC version {}", quic.version));
    if quic.offered_version != quic.version {
        let text = format!("the client began with {}", quic.offered_version);
        sentence.fact(text);
    }
    if let Some(versions) = &quic.version_negotiation {
        let text = format!(
            "version negotiation: the server speaks {}",
            versions.join(", ")
        );
        sentence.fact_in(Role::Warning, text);
    }
    if quic.retry {
        sentence.fact("Retry: the client had to prove its address");
    }
}

/// What both ends agreed on; where they differ, `client/server`.
fn options(sentence: &mut Sentence, handshake: &Handshake) {
    let client = handshake.client_options.as_ref();
    let server = handshake.server_options.as_ref();
    let of =
        |read: fn(&TcpOptions) -> Option<u64>| both(client.and_then(read), server.and_then(read));
    if let Some(mss) = of(|options| options.mss.map(u64::from)) {
        sentence.fact(format!("mss {mss}"));
    }
    if let Some(scale) = of(|options| options.window_scale.map(u64::from)) {
        sentence.fact(format!("wscale {scale}"));
    }
    // Both must offer it for it to be used (RFC 2018, RFC 7323).
    let agreed =
        |read: fn(&TcpOptions) -> bool| client.is_some_and(read) && server.is_none_or(read);
    if agreed(|options| options.sack_permitted) {
        sentence.fact("sack");
    }
    if agreed(|options| options.timestamps) {
        sentence.fact("timestamps");
    }
    if client.is_some_and(|options| options.fast_open) {
        sentence.fact("fast open");
    }
}

fn both(client: Option<u64>, server: Option<u64>) -> Option<String> {
    match (client, server) {
        (Some(client), Some(server)) if client != server => Some(format!("{client}/{server}")),
        (one, other) => Some(one.or(other)?.to_string()),
    }
}

/// `closed by the client: FIN → ACK ← FIN ← ACK →, four messages`.
pub(in crate::report::text) fn close(
    journey: &Journey,
    connection: Option<&Connection>,
) -> Sentence {
    let mut sentence = Sentence::default();
    let Some(connection) = connection else {
        return sentence;
    };
    let close = &connection.close;
    let journey_end = journey.started_at_ns.saturating_add(journey.duration_ns);
    if let Some(later) = close
        .at_ns
        .and_then(|at| at.checked_sub(journey_end))
        .filter(|later| *later > 0)
    {
        let end = close
            .first
            .map_or(String::new(), |end| format!(" by the {}", end.name()));
        sentence.fact("kept open for reuse");
        sentence.fact(format!("closed{end} {} later", units::duration(later)));
        return sentence;
    }
    let established = connection.handshake.syn_ack_at_ns.is_some() || journey.reused_connection;
    let first = close.first.map_or("an unknown end", End::name);
    match close.kind {
        // A refusal is told beside `connect`.
        CloseKind::Rst | CloseKind::Timeout if !established => return sentence,
        CloseKind::Fin => {
            sentence.fact(format!("the {first} closed first"));
            if close.first.is_none() {
                sentence = Sentence::default();
                sentence.fact("closed");
            }
        }
        CloseKind::Rst => sentence.fact_in(Role::Warning, format!("reset by the {first}")),
        CloseKind::Timeout => sentence.fact_in(Role::Bad, "given up: the other end was silent"),
        CloseKind::Open if !established => return sentence,
        CloseKind::Open => {
            let answered = connection.http.len() > 1 || journey.http.is_some();
            let text = match answered && journey.outcome != Outcome::Incomplete {
                true => "kept open for reuse",
                false => "still open when the capture ended",
            };
            sentence.fact(text);
        }
    }
    close_messages(&mut sentence, close);
    sentence
}

/// Arrows as seen from the client: → is sent, ← is received.
fn close_messages(sentence: &mut Sentence, close: &Close) {
    if close.messages.is_empty() {
        return;
    }
    let words: Vec<String> = close
        .messages
        .iter()
        .map(|message| {
            let arrow = match message.end {
                End::Client => "→",
                End::Server => "←",
            };
            format!("{arrow}\u{a0}{}", message.kind.to_uppercase())
        })
        .collect();
    sentence.say(Role::Plain, format!(": {}", words.join("  ")));
}

/// `client 694 B in 11 segments, server 2913 B in 9; srtt 0.22 ms`.
pub(in crate::report::text) fn traffic(connection: &Connection) -> Sentence {
    let mut sentence = Sentence::default();
    let (bytes, segments) = (connection.bytes, connection.segments);
    if segments.client == 0 && segments.server == 0 {
        return sentence;
    }
    let end = |name, sent, segments| {
        let unit = match connection.transport {
            Transport::Tcp => "segment",
            Transport::Quic => "datagram",
        };
        let (sent, segments) = (units::bytes(sent), units::counted(segments, unit));
        [name, " ", &sent, " in ", &segments].concat()
    };
    let asked = connection
        .http
        .iter()
        .filter(|it| it.upgraded_from.is_none());
    let asked = asked.count() as u64;
    if asked > 1 {
        let requests = units::counted(asked, "request");
        sentence.say(Role::Plain, format!("{requests} on this connection: "));
        sentence.say(Role::Plain, end("client", bytes.client, segments.client));
    } else {
        sentence.fact(end("client", bytes.client, segments.client));
    }
    sentence.fact(end("server", bytes.server, segments.server));
    if !connection.retransmissions.is_empty() {
        let listed = connection.retransmissions.len() as u64;
        let count = listed.saturating_add(connection.retransmissions_unlisted);
        let text = format!("{} sent again", units::counted(count, "segment"));
        sentence.fact_in(Role::Warning, text);
    }
    if !connection.drops.is_empty() {
        let count = connection.drops.len() as u64;
        let text = format!("{} dropped by this kernel", units::counted(count, "packet"));
        sentence.fact_in(Role::Warning, text);
    }
    if let Some(srtt) = connection.srtt_ns {
        sentence.fact(format!("srtt {}", units::duration(srtt)));
    }
    sentence
}

/// What became of a connection that was tried and not used.
pub(in crate::report::text) fn lost_attempt(connection: &Connection) -> Sentence {
    let mut sentence = Sentence::default();
    let handshake = &connection.handshake;
    let close = &connection.close;
    sentence.fact(format!("{}: ", connection.server));
    let after = handshake
        .syn_at_ns
        .zip(close.at_ns.or(handshake.syn_ack_at_ns))
        .and_then(|(start, end)| end.checked_sub(start))
        .map_or_else(String::new, |time| {
            format!(" after {}", units::duration(time))
        });
    let what = match (handshake.syn_ack_at_ns, close.kind) {
        (Some(_), _) => "answered, but another address was used",
        (None, CloseKind::Rst) => "refused (RST)",
        (None, CloseKind::Timeout) => "no answer",
        (None, CloseKind::Fin | CloseKind::Open) => "no answer yet",
    };
    sentence.say(Role::Plain, format!("{what}{after}"));
    match handshake.syn_retries {
        0 => {}
        1 => sentence.fact("1 SYN retry"),
        retries => sentence.fact(format!("{retries} SYN retries")),
    }
    for drop in connection.drops.iter().take(1) {
        sentence.fact(format!("the kernel dropped a packet: {}", drop.reason));
    }
    sentence
}
