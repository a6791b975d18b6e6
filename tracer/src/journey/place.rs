//! What a journey asked for: URL, scheme, host and port, as far as they were seen.

use super::drafts::{self, Draft};
use super::phases::Carrier;
use super::proxy;
use super::resolution;
use super::scheme;
use super::story::Story;
use crate::protocol::text::redact_url;

/// What was asked for, as far as it was seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub url: Option<String>,
    pub scheme: Option<String>,
    pub host: Option<String>,
    pub port: Option<u16>,
}

impl Place {
    pub fn of(story: &Story<'_>, draft: &Draft, carrier: Option<Carrier<'_>>) -> Self {
        let calls = &story.memory.resolutions.calls;
        let call = draft.resolved.call.and_then(|index| calls.get(index));
        let asked = call.and_then(|(_, call)| call.name.clone()).or_else(|| {
            let first = draft.resolved.queries.first()?;
            Some(resolution::query(story, *first)?.question.name.clone())
        });
        let service = call.and_then(|(_, call)| call.service.as_ref()?.parse().ok());
        let report = draft.report.and_then(|index| {
            let (_, report) = story.memory.client_reports.get(index)?;
            url::Url::parse(&report.url).ok()
        });
        let target = carrier.and_then(proxy::target);
        let host = target
            .as_ref()
            .map(|target| target.host.clone())
            .or_else(|| {
                let carrier = carrier?;
                drafts::request_host(carrier.exchange, carrier.analysed)
            })
            .or_else(|| Some(report.as_ref()?.host_str()?.to_owned()))
            .or(asked)
            .or_else(|| carrier.map(|carrier| carrier.responder().ip.to_string()));
        let port = target
            .as_ref()
            .map(|target| target.port)
            .or_else(|| carrier?.port())
            .or_else(|| report.as_ref()?.port_or_known_default())
            .or(service);
        let scheme = carrier
            .and_then(spoken_scheme)
            .or_else(|| Some(report.as_ref()?.scheme().to_owned()))
            .or_else(|| Some(sealed_scheme(carrier?, port.unwrap_or(0))?.to_owned()));
        let url = carrier
            .and_then(|carrier| carrier.exchange?.url.clone())
            .or_else(|| {
                let text = report.map(|url| url.to_string())?;
                Some(redact(story, text))
            })
            .or_else(|| origin(scheme.as_deref()?, host.as_deref()?, port));
        Self {
            url,
            scheme,
            host,
            port,
        }
    }
}

/// The scheme of a request that was read.
fn spoken_scheme(carrier: Carrier<'_>) -> Option<String> {
    let exchange = carrier.exchange.filter(|it| !proxy::is_connect(it))?;
    let url = exchange
        .url
        .as_deref()
        .and_then(|url| url.split_once("://"));
    let encrypted = carrier.analysed.tls.is_some() || carrier.analysed.quic.is_some();
    let spoken = if encrypted { "https" } else { "http" };
    Some(url.map_or(spoken, |(scheme, _)| scheme).to_owned())
}

/// The scheme where no request was read.
fn sealed_scheme(carrier: Carrier<'_>, port: u16) -> Option<&'static str> {
    let analysed = carrier.analysed;
    if analysed.tls.is_some() || analysed.quic.is_some() {
        return Some(scheme::sealed(analysed, port));
    }
    // A tunnel that was asked for, with requests in clear in it, or with nothing yet.
    carrier.exchange?;
    let clear = analysed.http.iter().any(|it| !proxy::is_connect(it)) || port == 80;
    clear.then_some("http").or_else(|| scheme::service(port))
}

fn redact(story: &Story<'_>, url: String) -> String {
    if story.memory.options.show_secrets {
        url
    } else {
        redact_url(&url)
    }
}

/// The URL as far as it is known when the path is sealed: scheme, host and port.
fn origin(scheme: &str, host: &str, port: Option<u16>) -> Option<String> {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let usual = matches!((scheme, port), ("https", Some(443)) | ("http", Some(80)));
    Some(match port.filter(|_| !usual) {
        Some(port) => format!("{scheme}://{host}:{port}/"),
        None => format!("{scheme}://{host}/"),
    })
}
