//! What only those see who ask twice: the process, DNS records, hellos, certificates, headers.

use super::header::attribution;
use super::verdict::labelled;
use crate::journey::model::{
    Certificate, ClientHello, Container, DnsExchange, End, HttpExchange, Journey, ServerHello,
    TcpSample, Tls,
};
use crate::report::lookup::Lookup;
use crate::report::page::Page;
use crate::report::style::{Piece, Role};
use crate::report::units;
use std::borrow::Cow;

/// Columns of field names below a heading.
const FIELD: usize = 22;

pub(super) fn write_process(page: &mut Page, journey: &Journey) {
    let Some(process) = &journey.process else {
        return;
    };
    let mut words = Vec::new();
    words.extend(process.exe.clone());
    let inner = process.namespace_pid;
    words.extend(inner.map(|pid| format!("{pid} in its own pid namespace")));
    words.extend(process.uid.map(|uid| format!("uid {uid}")));
    words.extend(
        process
            .cgroup
            .as_ref()
            .map(|cgroup| format!("cgroup {cgroup}")),
    );
    words.extend(process.container.as_ref().map(container));
    words.push(format!("known by {}", attribution(process)));
    if !process.command.is_empty() {
        words.push(format!("command {}", process.command.join(" ")));
    }
    let text = vec![Piece::plain(words.join(", "))];
    labelled(page, "process", Role::Label, text);
}

/// Engine and the beginning of the id, as `docker ps` and `crictl ps` print it.
fn container(container: &Container) -> String {
    let short: String = container.id.chars().take(12).collect();
    let engine = container.engine.as_deref().unwrap_or("of unknown engine");
    let pod = container.pod.as_ref();
    let pod = pod.map_or_else(String::new, |pod| format!(" in pod {pod}"));
    format!("container {short} ({engine}){pod}")
}

/// The address the client spoke from, and where it came from.
pub(super) fn write_own_address(page: &mut Page, journey: &Journey) {
    let Some(own) = &journey.own_address else {
        return;
    };
    let mut address = own.ip.to_string();
    if let Some(length) = own.prefix_length {
        address = format!("{address}/{length}");
    }
    if let Some(interface) = &own.interface {
        address = format!("{address} on {interface}");
    }
    let mut words = vec![address];
    words.extend(own.mac.as_ref().map(|mac| format!("MAC {mac}")));
    words.extend(own.permanent.map(|permanent| {
        match permanent {
            true => "configured for good",
            false => "leased or announced (DHCP, router advertisement)",
        }
        .to_owned()
    }));
    words.extend(
        own.lease
            .as_ref()
            .map(|_| "leased by DHCP in this capture".to_owned()),
    );
    if !own.resolvers.is_empty() {
        let resolvers: Vec<String> = own.resolvers.iter().map(ToString::to_string).collect();
        words.push(format!("resolver {}", resolvers.join(", ")));
    }
    let text = vec![Piece::plain(words.join(", "))];
    labelled(page, "own", Role::Label, text);
}

/// Round-trip time and congestion window, per end: at first and at last.
pub(super) fn write_samples(page: &mut Page, journey: &Journey, lookup: &Lookup<'_>) {
    let Some(connection) = lookup.connection_of(journey) else {
        return;
    };
    for end in [End::Client, End::Server] {
        let samples = connection.tcp_samples.iter();
        let samples: Vec<&TcpSample> = samples.filter(|sample| sample.end == end).collect();
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
            continue;
        };
        let mut words = vec![format!("{}: ", end.name())];
        words.extend(last.srtt_ns.map(|srtt| {
            let deviation = last.rttvar_ns.map(units::duration);
            let deviation = deviation.map(|it| format!(" \u{b1} {it}"));
            format!(
                "srtt {}{}, ",
                units::duration(srtt),
                deviation.unwrap_or_default()
            )
        }));
        words.extend(last.cwnd.map(|cwnd| match first.cwnd {
            Some(before) if before != cwnd => format!("cwnd {before} to {cwnd}, "),
            _ => format!("cwnd {cwnd}, "),
        }));
        words.extend(
            last.ssthresh
                .map(|threshold| format!("ssthresh {threshold}, ")),
        );
        words.extend(
            last.retransmits
                .filter(|count| *count > 0)
                .map(|count| format!("{} sent again, ", units::counted(count.into(), "segment"))),
        );
        words.push(format!(
            "{} by {}",
            units::counted(samples.len() as u64, "sample"),
            last.hook
        ));
        labelled(
            page,
            "socket",
            Role::Label,
            vec![Piece::plain(words.concat())],
        );
    }
}

pub(super) fn write_protocols(page: &mut Page, journey: &Journey, lookup: &Lookup<'_>) {
    for exchange in lookup.dns_of(journey) {
        write_dns(page, exchange);
    }
    if let Some(tls) = lookup
        .connection_of(journey)
        .and_then(|connection| connection.tls.as_ref())
    {
        write_tls(page, tls, journey.started_at_ns);
    }
    for exchange in lookup.exchanges_of(journey) {
        write_http(page, exchange);
    }
}

fn heading(page: &mut Page, text: impl Into<Cow<'static, str>>) {
    page.line(4, vec![Piece::plain("  "), Piece::new(Role::Strong, text)]);
}

fn field(page: &mut Page, name: &str, value: impl Into<String>) {
    let value = value.into();
    if value.is_empty() {
        return;
    }
    let head = vec![Piece::new(Role::Label, format!("    {name} "))];
    page.row(head, FIELD + 4, FIELD + 4, vec![Piece::plain(value)]);
}

fn write_dns(page: &mut Page, exchange: &DnsExchange) {
    let question = &exchange.question;
    heading(
        page,
        format!(
            "DNS {} {} {}, id {:#06x}, {} to {}",
            question.class,
            question.record_type,
            question.name,
            exchange.query_id,
            exchange.client,
            exchange.server
        ),
    );
    for answer in &exchange.answers {
        let value = format!(
            "{} {} (ttl {} s)",
            answer.record_type, answer.data, answer.ttl
        );
        field(page, &answer.name, value);
    }
}

fn write_tls(page: &mut Page, tls: &Tls, started_at_ns: u64) {
    if let Some(hello) = &tls.client_hello {
        write_client_hello(page, tls, hello);
    }
    if let Some(hello) = &tls.server_hello {
        write_server_hello(page, hello);
    }
    if !tls.records.is_empty() {
        heading(page, "TLS records");
        for record in &tls.records {
            let after = record.at_ns.saturating_sub(started_at_ns);
            let mut value = format!("{}, {}", record.record_type, units::bytes(record.bytes));
            if !record.messages.is_empty() {
                value.push_str(&format!(": {}", record.messages.join(", ")));
            }
            if record.encrypted {
                value.push_str(" (encrypted on the wire)");
            }
            field(
                page,
                &format!("+{} {}", units::duration(after), record.end.name()),
                value,
            );
        }
    }
    for (depth, certificate) in tls.certificates.iter().enumerate() {
        write_certificate(page, depth, certificate);
    }
}

fn write_client_hello(page: &mut Page, tls: &Tls, hello: &ClientHello) {
    heading(page, "ClientHello");
    field(page, "legacy_version", hello.legacy_version.clone());
    field(
        page,
        "supported_versions",
        hello.supported_versions.join(", "),
    );
    field(page, "random", hello.random.clone());
    field(page, "session_id", hello.session_id.clone());
    field(page, "cipher_suites", hello.cipher_suites.join(", "));
    field(
        page,
        "compression_methods",
        hello.compression_methods.join(", "),
    );
    field(page, "server_name", tls.sni.clone().unwrap_or_default());
    field(page, "alpn", tls.alpn_offered.join(", "));
    field(page, "supported_groups", hello.groups.join(", "));
    field(page, "key_share", hello.key_shares.join(", "));
    field(
        page,
        "signature_algs",
        hello.signature_algorithms.join(", "),
    );
    field(page, "psk_modes", hello.psk_modes.join(", "));
    field(page, "psk", if hello.psk { "offered" } else { "" });
    field(page, "grease", if hello.grease { "present" } else { "" });
    field(page, "extensions", hello.extensions.join(", "));
}

fn write_server_hello(page: &mut Page, hello: &ServerHello) {
    heading(page, "ServerHello");
    field(page, "legacy_version", hello.legacy_version.clone());
    field(page, "random", hello.random.clone());
    field(page, "session_id", hello.session_id.clone());
    field(page, "cipher_suite", hello.cipher_suite.clone());
    field(page, "compression_method", hello.compression_method.clone());
    field(page, "extensions", hello.extensions.join(", "));
}

fn write_certificate(page: &mut Page, depth: usize, certificate: &Certificate) {
    heading(
        page,
        format!("certificate {depth}: {}", certificate.subject),
    );
    field(page, "issuer", certificate.issuer.clone());
    field(page, "names", certificate.san.join(", "));
    field(
        page,
        "valid",
        format!("{} to {}", certificate.not_before, certificate.not_after),
    );
    field(page, "key", certificate.key.clone());
    field(page, "serial", certificate.serial.clone());
    field(page, "sha256", certificate.sha256.clone());
}

fn write_http(page: &mut Page, exchange: &HttpExchange) {
    let stream = exchange
        .stream
        .map_or_else(String::new, |stream| format!(", stream {stream}"));
    let asked = exchange.asked().unwrap_or_else(|| {
        let known = exchange.upgraded_from.is_some();
        let words = if known {
            "answer in"
        } else {
            "request not captured"
        };
        words.into()
    });
    heading(page, format!("{asked} HTTP/{}{stream}", exchange.version));
    for (name, value) in &exchange.request_headers {
        field(page, name, value.clone());
    }
    let Some(status) = exchange.status else {
        return;
    };
    heading(page, format!("HTTP/{} {status}", exchange.version));
    for (name, value) in &exchange.response_headers {
        field(page, name, value.clone());
    }
}
