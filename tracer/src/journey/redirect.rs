//! Redirects: which journey caused which.

use super::model::HttpExchange;
use std::collections::BTreeMap;

/// Targets that nobody has followed yet; beyond this they are forgotten.
const TARGETS: usize = 16_384;

/// Targets of redirects that were told, by process, with the journey that was sent there.
#[derive(Debug, Default)]
pub(super) struct Redirects(BTreeMap<(Option<u32>, String), String>);

impl Redirects {
    /// The journey that sent `pid` to `url`, once.
    pub fn cause(&mut self, pid: Option<u32>, url: &str) -> Option<String> {
        self.0.remove(&(pid, url.to_owned()))
    }

    /// The exchange of `journey` may send `pid` elsewhere.
    pub fn note(&mut self, pid: Option<u32>, exchange: &HttpExchange, journey: &str) {
        if let Some(target) = target(exchange) {
            if self.0.len() >= TARGETS {
                self.0.clear();
            }
            self.0.insert((pid, target), journey.to_owned());
        }
    }
}

/// The absolute URL of a redirect (RFC 9110, section 15.4 and 10.2.2).
fn target(exchange: &HttpExchange) -> Option<String> {
    if !matches!(exchange.status?, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let mut headers = exchange.response_headers.iter();
    let (_, location) = headers.find(|(name, _)| name.eq_ignore_ascii_case("location"))?;
    let base = url::Url::parse(exchange.url.as_deref()?).ok()?;
    Some(base.join(location).ok()?.to_string())
}
