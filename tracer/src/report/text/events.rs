//! Every event of a journey on its own line.

use crate::journey::model::{EventDirection, Journey, TimelineEvent};
use crate::report::page::Page;
use crate::report::style::{Piece, Role};

/// With fewer columns for the summaries, evidence moves below them.
const ROOM_FOR_SUMMARY: usize = 40;

pub(super) fn write(page: &mut Page, journey: &Journey) {
    if journey.timeline.is_empty() {
        return;
    }
    page.line(2, vec![Piece::new(Role::Label, "  events")]);
    let times: Vec<String> = journey
        .timeline
        .iter()
        .map(|event| since(journey.started_at_ns, event.at_ns))
        .collect();
    let time_columns = times.iter().map(String::len).max().unwrap_or(0);
    let widest = journey
        .timeline
        .iter()
        .map(|event| page.measure(&event.evidence))
        .max();
    let hang = 4 + time_columns + 2 + 9 + 2;
    let room = page.style.columns().saturating_sub(hang);
    // Evidence stands in a column of its own where the page has the width for two.
    let evidence_column = widest
        .and_then(|widest| room.checked_sub(widest + 2))
        .filter(|summary| *summary >= ROOM_FOR_SUMMARY);
    for (event, time) in journey.timeline.iter().zip(times) {
        let head = vec![
            Piece::new(Role::Faint, format!("    {time:>time_columns$}")),
            Piece::new(Role::Label, format!("  {:<9}", event.layer.name())),
            Piece::plain(format!("{} ", arrow(event))),
        ];
        let mut text = vec![Piece::plain(event.summary.clone())];
        if !event.evidence.is_empty() {
            text.extend(evidence(page, event, evidence_column));
        }
        page.row(head, hang, hang, text);
    }
}

/// Evidence pushed to its column after a short summary, in brackets after a long one.
fn evidence(page: &Page, event: &TimelineEvent, column: Option<usize>) -> [Piece; 2] {
    let free = column.and_then(|column| column.checked_sub(page.measure(&event.summary)));
    match free {
        Some(free) => [
            Piece::plain(" ".repeat(free + 2)),
            Piece::new(Role::Faint, event.evidence.clone()),
        ],
        None => [
            Piece::plain(" "),
            Piece::new(
                Role::Faint,
                format!("[{}]", event.evidence.replace(' ', "\u{a0}")),
            ),
        ],
    }
}

fn arrow(event: &TimelineEvent) -> &'static str {
    match event.direction {
        EventDirection::Out => "→",
        EventDirection::In => "←",
        EventDirection::Local => "·",
    }
}

/// `+1.234 ms`: one unit for all, so that the column can be compared at a glance.
fn since(start_ns: u64, at_ns: u64) -> String {
    let (sign, nanoseconds) = match at_ns.checked_sub(start_ns) {
        Some(after) => ('+', after),
        None => ('-', start_ns - at_ns),
    };
    let (milliseconds, rest) = (nanoseconds / 1_000_000, nanoseconds % 1_000_000);
    format!("{sign}{milliseconds}.{:03} ms", rest / 1_000)
}
