//! The closing line about the capture itself.

use super::sentence::Sentence;
use super::verdict::labelled;
use crate::journey::model::{CaptureInfo, HookReport, HookStatus};
use crate::report::page::Page;
use crate::report::style::{Piece, Role};
use crate::report::units;
use std::collections::BTreeMap;

pub(super) fn write(page: &mut Page, capture: &CaptureInfo, journeys: u64, verbose: u8) {
    let mut sentence = Sentence::default();
    sentence.fact(match journeys {
        0 => "no journey seen".into(),
        count => units::counted(count, "journey"),
    });
    sentence.fact(units::duration(capture.duration_ns));
    if !capture.interfaces.is_empty() {
        let place = capture.network_namespace.as_ref();
        let place = place.map_or_else(String::new, |name| format!(" in network namespace {name}"));
        sentence.fact(format!("on {}{place}", capture.interfaces.join(" and ")));
    }
    let total = capture
        .lost
        .values()
        .fold(0u64, |sum, count| sum.saturating_add(*count));
    let lost: Vec<String> = capture
        .lost
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(class, count)| format!("{count} {class}"))
        .collect();
    match lost.is_empty() {
        true => sentence.fact("no event lost"),
        false => sentence.fact_in(
            Role::Warning,
            format!(
                "{} lost: {}",
                units::counted(total, "event"),
                lost.join(", ")
            ),
        ),
    }
    let head = vec![Piece::new(Role::Label, "capture")];
    page.row(
        head,
        super::BESIDE_LABEL,
        super::BESIDE_LABEL,
        sentence.into_pieces(),
    );
    for (fact, hooks) in by_fact(&capture.hooks) {
        write_fact(page, fact, &hooks, verbose);
    }
}

/// The candidates of each fact, in the order of the plan.
fn by_fact(hooks: &[HookReport]) -> BTreeMap<&str, Vec<&HookReport>> {
    let mut facts: BTreeMap<&str, Vec<&HookReport>> = BTreeMap::new();
    for hook in hooks {
        facts.entry(&hook.fact).or_default().push(hook);
    }
    facts
}

/// Nothing about facts that are served as planned; a word where another candidate had to
/// step in (always when the first was refused, on request when this kernel lacks it); a
/// warning where nobody serves the fact.
fn write_fact(page: &mut Page, fact: &str, hooks: &[&HookReport], verbose: u8) {
    let refused: Vec<String> = hooks
        .iter()
        .filter(|hook| matches!(hook.status, HookStatus::Failed | HookStatus::Unavailable))
        .map(|hook| {
            let reason = hook.reason.as_deref().unwrap_or("no reason given");
            format!("{} {}: {reason}", hook.hook, hook.target)
        })
        .collect();
    if refused.is_empty() {
        return;
    }
    let failed = hooks.iter().any(|hook| hook.status == HookStatus::Failed);
    let serving = hooks
        .iter()
        .find(|hook| hook.status == HookStatus::Attached);
    let (role, text) = match serving {
        Some(hook) if failed || verbose >= 1 => (
            Role::Label,
            format!(
                "{fact} by {} {} instead ({})",
                hook.hook,
                hook.target,
                refused.join("; ")
            ),
        ),
        Some(_) => return,
        None => (
            Role::Warning,
            format!("no {fact}, so {} ({})", meaning(fact), refused.join("; ")),
        ),
    };
    let label = if serving.is_some() { "hook" } else { "missing" };
    labelled(page, label, role, vec![Piece::plain(text)]);
}

/// What a reader must not expect when nobody serves `fact`.
fn meaning(fact: &str) -> &'static str {
    match fact {
        "kernel_path" => "the time in each layer of the kernel is not known",
        "frames_in" => "nothing that arrived was seen",
        "frames_out" => "nothing that was sent was seen",
        "tcp_state" => "states are taken from the frames alone",
        "tcp_sample" => "round-trip times and windows are not told",
        "tcp_retransmit" => "why segments were sent again is guessed from the frames",
        "tcp_reset" => "resets are seen in frames alone",
        "packet_drop" => "it is not known what this kernel dropped, and why",
        "socket_owner" => "connections may lack their process",
        "route" => "the route is what the table says, not what was looked up",
        "neighbor" => "only ARP and NDP frames show neighbours",
        "getaddrinfo" => "resolution is seen only where it sent packets",
        "file_open" => "it is not known which resolver files were read",
        "process" => "children of the traced process may be missed",
        _ => "what it would tell is missing",
    }
}
