//! HTTP exchanges read from the two plaintext byte streams of a connection.

mod exchange;
mod http1;
mod http2;

use super::bytes::TimedBytes;
use super::model;
use crate::protocol::http2::PREFACE;
use exchange::Exchange;

/// Exchanges kept of one connection; those after them are not looked at.
const MAXIMUM_EXCHANGES: usize = 10_000;

/// Reads HTTP/1.x or HTTP/2, told apart by the bytes (the HTTP/2 preface) and `alpn`.
/// `scheme` (`http` or `https`) completes the URLs. Ids are `connection_id` + `.` + n,
/// from 1. Empty when the streams are not HTTP. Secret values are redacted unless
/// `show_secrets`.
///
/// An HTTP/1.1 request that upgrades to HTTP/2 (RFC 7540, section 3.2) is two exchanges, as on
/// the wire: the one that the 101 ends, and behind it that of stream 1, which has the response.
pub fn analyse(
    client: &TimedBytes,
    server: &TimedBytes,
    alpn: Option<&str>,
    scheme: &str,
    connection_id: &str,
    show_secrets: bool,
) -> Vec<model::HttpExchange> {
    let http2 = client.as_slice().starts_with(PREFACE);
    let exchanges = if http2 || alpn.is_none_or(|alpn| alpn.starts_with("http/1")) {
        http1::read(client, server)
    } else if alpn == Some("h2") {
        // The beginning of the client's stream was not captured.
        http2::read(client, 0, server, 0, Vec::new())
    } else {
        // Another protocol was agreed on.
        Vec::new()
    };
    let mut told = Vec::with_capacity(exchanges.len());
    for exchange in in_order(exchanges) {
        let (asked, answer) = exchange.apart();
        let asked = asked.map(|asked| asked.into_model(scheme, show_secrets));
        let mut answer = answer.into_model(scheme, show_secrets);
        if let Some(asked) = asked {
            answer.url.clone_from(&asked.url);
            answer.upgraded_from = Some(String::new());
            told.push(asked);
        }
        told.push(answer);
    }
    number(&mut told, connection_id);
    told
}

/// Names the exchanges of a connection, and in what answers an upgrade the one before it,
/// which asked for it.
pub fn number(exchanges: &mut [model::HttpExchange], connection_id: &str) {
    for (exchange, number) in exchanges.iter_mut().zip(1_u32..) {
        exchange.id = format!("{connection_id}.{number}");
        if let Some(asked) = &mut exchange.upgraded_from {
            *asked = format!("{connection_id}.{}", number.saturating_sub(1));
        }
    }
}

/// Puts requests in the order in which they were sent: those of the client as they stand in
/// its stream, whatever overtook what on the way, and those that a server promised (streams
/// of even numbers, RFC 9113, section 5.1.1) among them by their time.
fn in_order(exchanges: Vec<Exchange>) -> Vec<Exchange> {
    let mut latest = None;
    let timed = exchanges.into_iter().map(|exchange| {
        let at_ns = exchange
            .request
            .first_at_ns
            .or(exchange.response.first_at_ns);
        let promised = exchange.stream.is_some_and(|stream| stream % 2 == 0);
        if promised {
            return (at_ns, exchange);
        }
        latest = latest.max(at_ns);
        (latest, exchange)
    });
    let mut timed: Vec<_> = timed.collect();
    timed.sort_by_key(|(at_ns, _)| *at_ns);
    timed.into_iter().map(|(_, exchange)| exchange).collect()
}

/// Where the tunnel begins in both streams of a connection to a proxy, `(client, server)`:
/// what follows there is a connection of its own, often TLS. `None` when the streams do not
/// begin with a CONNECT that was granted.
pub fn tunnel(client: &TimedBytes, server: &TimedBytes) -> Option<(usize, usize)> {
    http1::tunnel(client, server)
}

#[cfg(test)]
mod tests;
