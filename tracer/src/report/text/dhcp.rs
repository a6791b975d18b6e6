//! The DHCP exchanges of a capture, a paragraph each.

use super::verdict::labelled;
use crate::journey::model::{DhcpExchange, DhcpOutcome};
use crate::report::page::Page;
use crate::report::style::{Piece, Role};
use crate::report::units;
use std::fmt::Display;

pub(super) fn write(page: &mut Page, exchange: &DhcpExchange) {
    let role = match exchange.outcome {
        DhcpOutcome::Acknowledged | DhcpOutcome::Released => Role::Label,
        DhcpOutcome::Refused | DhcpOutcome::Offered | DhcpOutcome::Unanswered => Role::Warning,
    };
    let kinds: Vec<&str> = exchange
        .messages
        .iter()
        .map(|message| message.kind.as_str())
        .collect();
    let mut words = vec![format!(
        "at {} {}",
        units::duration(exchange.at_ns),
        kinds.join(", ")
    )];
    words.extend(
        exchange
            .duration_ns
            .map(|it| format!("in {}", units::duration(it))),
    );
    words.push(
        match exchange.outcome {
            DhcpOutcome::Acknowledged => "acknowledged",
            DhcpOutcome::Refused => "refused",
            DhcpOutcome::Offered => "offered, not taken",
            DhcpOutcome::Released => "given up",
            DhcpOutcome::Unanswered => "no answer",
        }
        .to_owned(),
    );
    words.extend(
        exchange
            .address
            .map(|address| match exchange.prefix_length {
                Some(length) => format!("address {address}/{length}"),
                None => format!("address {address}"),
            }),
    );
    words.extend(exchange.lease_ns.map(lease));
    words.extend(exchange.server.map(|server| format!("by {server}")));
    words.extend(list("router", &exchange.routers));
    words.extend(list("DNS", &exchange.dns));
    words.extend(
        exchange
            .client_mac
            .as_ref()
            .map(|mac| format!("client {mac}")),
    );
    words.extend(
        exchange
            .host_name
            .as_ref()
            .map(|name| format!("called {name}")),
    );
    words.extend(exchange.interface.as_ref().map(|name| format!("on {name}")));
    let frames: Vec<u64> = exchange.messages.iter().map(|it| it.frame).collect();
    words.extend(list("frame", &frames));
    labelled(page, "dhcp", role, vec![Piece::plain(words.join(", "))]);
}

/// Leases are whole seconds.
fn lease(lease_ns: u64) -> String {
    match lease_ns / 1_000_000_000 {
        seconds if seconds == u64::from(u32::MAX) => "for ever".to_owned(),
        seconds => format!("for {seconds} s"),
    }
}

fn list(word: &str, items: &[impl Display]) -> Option<String> {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    (!items.is_empty()).then(|| format!("{word} {}", items.join(" ")))
}
