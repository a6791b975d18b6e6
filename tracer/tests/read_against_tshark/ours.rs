//! The document's side.

use crate::Facts;
use tracer::journey::model::{Connection, DnsProtocol, Document, End, Endpoint, NeighborProtocol};

fn name(endpoint: Endpoint) -> String {
    format!("{} {}", endpoint.ip, endpoint.port)
}

fn address(connection: &Connection, end: End) -> String {
    name(match end {
        End::Client => connection.client,
        End::Server => connection.server,
    })
}

pub fn facts(document: &Document) -> Facts {
    let mut facts = Facts::new();
    let mut note = |fact, value: String| facts.entry(fact).or_default().push(value);
    for exchange in &document.dns {
        // One message of multicast DNS answers many.
        let multicast = exchange.protocol == DnsProtocol::Mdns;
        let question = &exchange.question;
        for _ in &exchange.attempts {
            let from = exchange.client.port;
            note(
                "dns query",
                format!("{from} {} {}", exchange.query_id, question.name),
            );
        }
        if exchange.answered && !multicast {
            let to = exchange.client.port;
            let rcode = exchange.rcode.as_deref().unwrap_or("?");
            let count = exchange.answers.len();
            note(
                "dns answer",
                format!("{to} {} {rcode} {count}", exchange.query_id),
            );
            for answer in &exchange.answers {
                if matches!(answer.record_type.as_str(), "A" | "AAAA" | "CNAME") {
                    let data = &answer.data;
                    note("dns data", format!("{to} {} {data}", exchange.query_id));
                }
            }
        }
    }
    for neighbor in &document.neighbors {
        if neighbor.protocol == NeighborProtocol::Arp {
            for _ in &neighbor.attempts {
                note("arp request", neighbor.ip.to_string());
            }
        }
    }
    for connection in &document.connections {
        connection_facts(connection, &mut note);
    }
    facts
}

fn connection_facts(connection: &Connection, note: &mut impl FnMut(&'static str, String)) {
    let handshake = &connection.handshake;
    let mss = |options: &Option<tracer::journey::model::TcpOptions>| {
        let mss = options.as_ref().and_then(|options| options.mss);
        mss.map_or_else(String::new, |mss| mss.to_string())
    };
    let (client, server) = (name(connection.client), name(connection.server));
    if let (Some(_), Some(isn)) = (handshake.syn_at_ns, handshake.client_isn) {
        let mss = mss(&handshake.client_options);
        note("syn", format!("{client} {isn} {mss}"));
    }
    if let (Some(_), Some(isn)) = (handshake.syn_ack_at_ns, handshake.server_isn) {
        let mss = mss(&handshake.server_options);
        note("syn-ack", format!("{server} {isn} {mss}"));
    }
    for entry in &connection.retransmissions {
        let from = address(connection, entry.end);
        note("retransmission", format!("{from} at {}", entry.at_ns));
    }
    for message in &connection.close.messages {
        if message.kind == "rst" {
            let from = address(connection, message.end);
            note("reset", format!("{from} at {}", message.at_ns));
        }
    }
    if let Some(tls) = &connection.tls {
        if let Some(sni) = &tls.sni {
            note("sni", format!("{client} {sni}"));
        }
        if let Some(version) = &tls.version {
            note("tls version", format!("{server} {client} {version}"));
        }
        if let Some(cipher) = &tls.cipher {
            note("tls cipher", format!("{server} {client} {cipher}"));
        }
        if let Some(alpn) = &tls.alpn {
            note("tls alpn", format!("{server} {client} {alpn}"));
        }
    }
    for exchange in &connection.http {
        if let Some((method, target)) = exchange.method.as_ref().zip(exchange.target.as_ref()) {
            note("http request", format!("{client} {method} {target}"));
        }
        for interim in &exchange.informational {
            note("http status", format!("{client} {}", interim.status));
        }
        if let Some(status) = &exchange.status {
            note("http status", format!("{client} {status}"));
        }
    }
}
