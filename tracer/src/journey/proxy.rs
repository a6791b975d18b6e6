//! Requests to a proxy: who they were really for.

use super::model::HttpExchange;
use super::phases::Carrier;

/// Host and port that a proxy was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    pub port: u16,
}

pub(super) fn is_connect(exchange: &HttpExchange) -> bool {
    exchange.method.as_deref() == Some("CONNECT")
}

/// Who the request of a journey was for, where that is not the server of its connection:
/// the target of a CONNECT, of the tunnel it went through, or of a request in absolute form,
/// which only proxies are sent (RFC 9112, section 3.2).
pub(super) fn target(carrier: Carrier<'_>) -> Option<Target> {
    match carrier.asked {
        Some(exchange) if is_connect(exchange) => authority(exchange.target.as_deref()?),
        Some(exchange) => absolute(exchange).or_else(|| tunnel(carrier)),
        None => tunnel(carrier),
    }
}

/// The target of the tunnel that the rest of the connection is. A stream of HTTP/2 is a
/// tunnel of its own.
fn tunnel(carrier: Carrier<'_>) -> Option<Target> {
    let exchanges = &carrier.analysed.http;
    let granted = carrier.analysed.tunnel.get_or_init(|| {
        exchanges.iter().position(|exchange| {
            let granted = exchange.status.is_some_and(|status| status / 100 == 2);
            is_connect(exchange) && exchange.stream.is_none() && granted
        })
    });
    let granted = exchanges.get((*granted)?)?;
    authority(granted.target.as_deref()?)
}

fn absolute(exchange: &HttpExchange) -> Option<Target> {
    let (scheme, _) = exchange.target.as_deref()?.split_once("://")?;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.bytes().all(letters) {
        return None;
    }
    let url = url::Url::parse(exchange.url.as_deref()?).ok()?;
    Some(Target {
        host: without_brackets(url.host_str()?).to_owned(),
        port: url.port_or_known_default()?,
    })
}

/// `www.shop.test:443`, `[::1]:443` (RFC 9112, section 3.2.3).
fn authority(text: &str) -> Option<Target> {
    let (host, port) = text.rsplit_once(':')?;
    let host = without_brackets(host);
    (!host.is_empty()).then_some(())?;
    Some(Target {
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}

fn without_brackets(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.unwrap_or(host)
}
