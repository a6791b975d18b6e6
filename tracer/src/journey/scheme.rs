//! The scheme of a URL whose path is sealed: what the connection itself says it is.

use super::story::Analysed;

/// Ports that IANA has registered for HTTP over TLS and that servers are found on.
const HTTPS_PORTS: [u16; 6] = [443, 7443, 8243, 8443, 9443, 16993];

/// What a connection to `port` that speaks TLS or QUIC is used for: its application protocol
/// (ALPN), else the service that the port is registered for. `tls` or `quic` where neither
/// is known.
pub(super) fn sealed(analysed: &Analysed, port: u16) -> &'static str {
    let unknown = if analysed.quic.is_some() {
        "quic"
    } else {
        "tls"
    };
    let service = || service(port).unwrap_or(unknown);
    alpn(analysed, unknown).unwrap_or_else(service)
}

/// What was agreed on. Where that is sealed (TLS 1.3) or nothing was, the first protocol
/// that was offered and has a scheme; `unknown` where none of them has.
fn alpn(analysed: &Analysed, unknown: &'static str) -> Option<&'static str> {
    let tls = &analysed.tls.as_ref()?.session;
    match &tls.alpn {
        Some(agreed) => Some(of_protocol(agreed).unwrap_or(unknown)),
        None if tls.alpn_offered.is_empty() => None,
        None => {
            let mut offered = tls.alpn_offered.iter();
            Some(
                offered
                    .find_map(|name| of_protocol(name))
                    .unwrap_or(unknown),
            )
        }
    }
}

/// Registry "TLS Application-Layer Protocol Negotiation (ALPN) Protocol IDs".
fn of_protocol(name: &str) -> Option<&'static str> {
    match name {
        "h2" | "h3" | "http/1.1" | "http/1.0" | "http/0.9" => Some("https"),
        // Drafts of HTTP/3 and its predecessors, and what came before HTTP/2.
        _ if ["h3-", "hq-", "spdy/"]
            .iter()
            .any(|it| name.starts_with(it)) =>
        {
            Some("https")
        }
        "imap" => Some("imaps"),
        "pop3" => Some("pop3s"),
        "ftp" => Some("ftps"),
        "nntp" | "nnsp" => Some("nntps"),
        "sip/2" => Some("sips"),
        "irc" => Some("ircs"),
        "mqtt" => Some("mqtts"),
        "xmpp-client" | "xmpp-server" => Some("xmpps"),
        "postgresql" => Some("postgresql"),
        _ => None,
    }
}

/// The scheme of a service that begins with TLS or changes over to it (registry "Service
/// Name and Transport Protocol Port Number").
pub(super) fn service(port: u16) -> Option<&'static str> {
    match port {
        _ if HTTPS_PORTS.contains(&port) => Some("https"),
        21 => Some("ftp"),
        25 | 587 => Some("smtp"),
        110 => Some("pop3"),
        119 => Some("nntp"),
        143 => Some("imap"),
        389 | 3268 => Some("ldap"),
        465 => Some("smtps"),
        563 => Some("nntps"),
        636 | 3269 => Some("ldaps"),
        989 | 990 => Some("ftps"),
        992 => Some("telnets"),
        993 => Some("imaps"),
        994 | 6697 => Some("ircs"),
        995 => Some("pop3s"),
        3306 => Some("mysql"),
        4190 => Some("sieve"),
        5061 => Some("sips"),
        5222 | 5269 => Some("xmpp"),
        5223 | 5270 => Some("xmpps"),
        5349 => Some("turns"),
        5432 => Some("postgresql"),
        5671 => Some("amqps"),
        8883 => Some("mqtts"),
        _ => None,
    }
}
