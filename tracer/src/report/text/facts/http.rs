//! Request and response.

use crate::journey::model::{Connection, HttpExchange, Journey};
use crate::report::lookup::Lookup;
use crate::report::text::sentence::Sentence;
use crate::report::units;

/// `GET /, 3 headers, in 1 segment`; `POST /cart, 5 headers, 12.3 kB in 9 segments`.
pub(in crate::report::text) fn request(journey: &Journey, lookup: &Lookup<'_>) -> Sentence {
    let mut sentence = Sentence::default();
    let Some(exchange) = lookup.asked_of(journey) else {
        if journey.phases.request.is_some() {
            sentence.fact("encrypted");
        }
        return sentence;
    };
    let Some(asked) = exchange.asked() else {
        sentence.fact("not captured");
        return sentence;
    };
    sentence.fact(asked);
    let headers = exchange.request_headers.len() as u64;
    sentence.fact(units::counted(headers, "header"));
    size(
        &mut sentence,
        exchange.request_body_bytes,
        exchange.request_segments,
    );
    if lookup.exchanges_of(journey).len() > 1 {
        sentence.fact(format!("HTTP/{} upgraded to HTTP/2", exchange.version));
    }
    sentence
}

/// `170 B in 1 segment, text/html; charset=utf-8`.
pub(in crate::report::text) fn response(journey: &Journey, lookup: &Lookup<'_>) -> Sentence {
    let mut sentence = Sentence::default();
    let Some(exchange) = lookup.http_of(journey) else {
        if journey.phases.response.is_some() {
            sentence.fact("encrypted");
        }
        return sentence;
    };
    if exchange.response_at_ns.is_none() {
        return sentence;
    }
    if exchange.response_body_bytes == 0 {
        sentence.fact("no body");
    }
    size(
        &mut sentence,
        exchange.response_body_bytes,
        exchange.response_segments,
    );
    for name in ["content-type", "content-encoding"] {
        if let Some(value) = header(exchange, name) {
            sentence.fact(value.to_owned());
        }
    }
    // Hints that a cache or CDN answered (RFC 9111, RFC 9110 section 7.6.3).
    for name in ["age", "x-cache", "via"] {
        if let Some(value) = header(exchange, name) {
            sentence.fact(format!("{name}: {value}"));
        }
    }
    if let Some(place) = header(exchange, "location") {
        sentence.fact(format!("to {place}"));
    }
    sentence
}

/// The time to the first byte, and how much of it is the way there and back.
pub(in crate::report::text) fn wait(
    journey: &Journey,
    connection: Option<&Connection>,
) -> Sentence {
    let mut sentence = Sentence::default();
    let Some(phase) = journey.phases.wait else {
        return sentence;
    };
    sentence.fact("until the first byte of the answer");
    let rtt = connection.and_then(|connection| connection.srtt_ns.or(connection.handshake.rtt_ns));
    if let Some(rtt) = rtt.filter(|rtt| *rtt <= phase.duration_ns) {
        sentence.fact(format!("{} of it one round trip", units::duration(rtt)));
    }
    sentence
}

fn size(sentence: &mut Sentence, body: u64, segments: u64) {
    let segments = (segments > 0).then(|| units::counted(segments, "segment"));
    match (body, segments) {
        (0, None) => {}
        (0, Some(segments)) => sentence.fact(["in ", &segments].concat()),
        (body, None) => sentence.fact(units::bytes(body)),
        (body, Some(segments)) => {
            sentence.fact([units::bytes(body).as_str(), " in ", &segments].concat());
        }
    }
}

fn header<'a>(exchange: &'a HttpExchange, name: &str) -> Option<&'a str> {
    exchange
        .response_headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}
