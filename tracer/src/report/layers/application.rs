//! DNS messages, and what a TCP segment carries: TLS records or HTTP heads.

use super::layer::{Context, Layer};
use super::tls;
use crate::protocol::dns::{self, DnsMessage, Record};
use crate::protocol::http1::{self, Headers, Parsed};
use crate::protocol::text::{printable, redact_header, redact_url};

/// Lines of one message that are shown; the rest is counted.
const MAX_LINES: usize = 40;

/// A DNS message in a datagram.
pub(super) fn dns(payload: &[u8], context: &Context<'_>) -> Vec<Layer> {
    let layer = match dns::parse(payload) {
        Some(message) => Some(dns_message(&message)),
        None => Layer::payload("DNS", payload, context.show_secrets),
    };
    layer.into_iter().collect()
}

/// The same after two bytes of length (RFC 7766, section 8).
pub(super) fn dns_over_tcp(payload: &[u8], context: &Context<'_>) -> Vec<Layer> {
    match payload.get(2..) {
        Some(message) => dns(message, context),
        None => Vec::new(),
    }
}

fn dns_message(message: &DnsMessage) -> Layer {
    let mut layer = Layer::new(match message.response {
        true => "DNS response",
        false => "DNS query",
    });
    layer.field("ID", format!("{:#06x}", message.id));
    layer.field("opcode", message.opcode);
    let names = [
        (message.authoritative, "AA"),
        (message.truncated, "TC"),
        (message.recursion_desired, "RD"),
        (message.recursion_available, "RA"),
    ];
    let set: Vec<&str> = names
        .iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| *name)
        .collect();
    layer.field(
        "flags",
        match set.is_empty() {
            true => "none".into(),
            false => set.join(" "),
        },
    );
    if message.response {
        layer.field("RCODE", &message.rcode);
    }
    if let Some(edns) = &message.edns {
        let secure = if edns.dnssec_ok { ", DO" } else { "" };
        let text = format!(
            "version {}, UDP {} bytes{secure}",
            edns.version, edns.udp_payload_size
        );
        layer.field("EDNS", text);
    }
    for question in &message.questions {
        let text = format!(
            "question {} {} {}",
            question.name, question.class, question.record_type
        );
        layer.lines.push(text);
    }
    let sections = [
        ("answer", &message.answers),
        ("authority", &message.authorities),
        ("additional", &message.additionals),
    ];
    for (name, records) in sections {
        layer
            .lines
            .extend(records.iter().map(|record| dns_record(name, record)));
    }
    if message.malformed {
        layer.lines.push("the message breaks off here".into());
    }
    limit(&mut layer.lines);
    layer
}

fn dns_record(section: &str, record: &Record) -> String {
    format!(
        "{section} {} {} ttl {} s: {}",
        record.name, record.record_type, record.ttl, record.data
    )
}

/// The payload of a TCP segment. What the assembler knows of its plain text goes innermost.
pub(super) fn open_stream(payload: &[u8], context: &Context<'_>) -> Vec<Layer> {
    if payload.is_empty() {
        return Vec::new();
    }
    let mut layers = match (tls::records(payload), http(payload, context)) {
        (Some(records), _) => records,
        (None, Some(message)) => return vec![message],
        (None, None) => Layer::payload("payload", payload, context.show_secrets)
            .into_iter()
            .collect(),
    };
    if let Some(text) = context.application {
        let inner = http(text, context).or_else(|| plain(text, context));
        if let Some(last) = layers.last_mut() {
            last.inside.extend(inner);
        }
    }
    layers
}

/// Decrypted text that is no head of HTTP/1: a head of HTTP/2 put into words, a body.
fn plain(text: &[u8], context: &Context<'_>) -> Option<Layer> {
    let Ok(words) = std::str::from_utf8(text) else {
        return Layer::payload("application data", text, context.show_secrets);
    };
    let mut layer = Layer::new("application data");
    layer.lines = words
        .lines()
        .map(|line| match line.split_once(": ") {
            Some((name, value)) if !context.show_secrets => {
                format!("{name}: {}", redact_header(name, value))
            }
            _ => line.to_owned(),
        })
        .map(printable)
        .collect();
    limit(&mut layer.lines);
    Some(layer)
}

/// The head of a request or response at the start of `payload`, its secrets redacted. A
/// body is counted, not shown: it may hold what a form sent.
fn http(payload: &[u8], context: &Context<'_>) -> Option<Layer> {
    let redacted = |text: &str| match context.show_secrets {
        true => text.to_owned(),
        false => redact_url(text),
    };
    let (first, headers, length) = match http1::parse_request(payload) {
        Parsed::Complete(head, length) => {
            let target = redacted(&head.target);
            (
                format!("{} {target} HTTP/{}", head.method, head.version),
                head.headers,
                length,
            )
        }
        Parsed::Partial | Parsed::Invalid => match http1::parse_response(payload) {
            Parsed::Complete(head, length) => (
                format!("HTTP/{} {}", head.version, head.status),
                head.headers,
                length,
            ),
            Parsed::Partial | Parsed::Invalid => return None,
        },
    };
    let mut layer = Layer::new("HTTP");
    layer.lines.push(printable(first));
    layer.lines.extend(header_lines(&headers, context));
    limit(&mut layer.lines);
    let body = payload.get(length..).unwrap_or_default();
    layer
        .inside
        .extend(Layer::payload("body", body, context.show_secrets));
    Some(layer)
}

fn header_lines(headers: &Headers, context: &Context<'_>) -> Vec<String> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value);
            match context.show_secrets {
                true => printable(format!("{name}: {value}")),
                false => printable(format!("{name}: {}", redact_header(name, &value))),
            }
        })
        .collect()
}

fn limit(lines: &mut Vec<String>) {
    if let Some(more) = lines.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
        lines.truncate(MAX_LINES);
        lines.push(format!("and {more} lines more"));
    }
}
