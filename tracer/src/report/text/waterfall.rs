//! One row per phase: name, bar, duration, facts.

use super::bar::{Scale, idle_bar, idle_ns, phase_bar};
use super::facts;
use super::sentence::Sentence;
use crate::journey::model::{Close, Connection, Journey, Outcome, Phase};
use crate::report::lookup::Lookup;
use crate::report::page::Page;
use crate::report::style::{Piece, Role};
use crate::report::units;

/// Columns before the bar: two blanks, the longest name, one blank.
const BEFORE_BAR: usize = 11;
/// Columns between bar and facts: blank, duration, two blanks.
const AFTER_BAR: usize = 12;

/// One row.
struct Row {
    name: &'static str,
    role: Role,
    phase: Option<Phase>,
    facts: Sentence,
}

pub(super) fn write(page: &mut Page, journey: &Journey, lookup: &Lookup<'_>, verbose: u8) {
    let columns = page.style.columns().saturating_sub(BEFORE_BAR + AFTER_BAR);
    let scale = Scale::of(journey, (columns / 4).clamp(8, 40));
    let mut rows = rows(journey, lookup, verbose);
    for row in &mut rows {
        let bar = row.phase.map_or_else(String::new, |phase| {
            phase_bar(&scale, phase, page.style.unicode)
        });
        write_row(
            page,
            &scale,
            row.name,
            row.role,
            bar,
            row.phase.map(|phase| phase.duration_ns),
            std::mem::take(&mut row.facts),
        );
    }
    write_remainder(page, &scale, &rows, journey.outcome);
}

fn write_row(
    page: &mut Page,
    scale: &Scale,
    name: &str,
    role: Role,
    bar: String,
    duration_ns: Option<u64>,
    facts: Sentence,
) {
    let duration = duration_ns.map_or_else(String::new, units::duration);
    let padding = scale.cells.saturating_sub(bar.chars().count());
    let measured = page.measure(&duration);
    let head = vec![
        Piece::new(Role::Label, label(name)),
        Piece::new(role, bar),
        Piece::plain(" ".repeat(padding + 1 + 9usize.saturating_sub(measured))),
        Piece::plain(duration),
        Piece::plain("  "),
    ];
    let hang = BEFORE_BAR + scale.cells + AFTER_BAR;
    page.row(head, hang, hang, facts.into_pieces());
}

/// A name, with blanks up to the bar.
fn label(name: &str) -> String {
    let mut label = String::with_capacity(BEFORE_BAR);
    label.push_str("  ");
    label.push_str(name);
    label.extend(std::iter::repeat_n(
        ' ',
        BEFORE_BAR.saturating_sub(label.len()),
    ));
    label
}

/// The phases that happened, and those that have something to say about why they did not.
fn rows(journey: &Journey, lookup: &Lookup<'_>, verbose: u8) -> Vec<Row> {
    let phases = &journey.phases;
    let connection = lookup.connection_of(journey);
    let candidates = [
        (
            "resolve",
            Role::Resolve,
            phases.resolve,
            facts::resolve(journey, lookup, verbose),
        ),
        ("route", Role::Route, phases.route, facts::route(journey)),
        (
            "neighbor",
            Role::Route,
            phases.neighbor,
            facts::neighbor(journey, lookup),
        ),
        (
            "connect",
            Role::Connect,
            phases.connect,
            facts::connect(journey, connection),
        ),
        (
            "tls",
            Role::Tls,
            phases.tls,
            facts::tls(journey, connection),
        ),
        (
            "request",
            Role::Request,
            phases.request,
            facts::request(journey, lookup),
        ),
        (
            "wait",
            Role::Wait,
            phases.wait,
            facts::wait(journey, connection),
        ),
        (
            "response",
            Role::Response,
            phases.response,
            facts::response(journey, lookup),
        ),
        (
            "close",
            Role::Faint,
            connection.and_then(|connection| close_phase(journey, connection)),
            facts::close(journey, connection),
        ),
    ];
    candidates
        .into_iter()
        .map(|(name, role, phase, facts)| Row {
            name,
            role,
            phase,
            facts,
        })
        // How a refused connection ended is told beside `connect`.
        .filter(|row| !row.facts.is_empty() || (row.phase.is_some() && row.name != "close"))
        .collect()
}

/// From the first to the last message of the close, where it belongs to this journey: on
/// a connection used again it came much later.
fn close_phase(journey: &Journey, connection: &Connection) -> Option<Phase> {
    let Close {
        at_ns, messages, ..
    } = &connection.close;
    let start = (*at_ns)?;
    let end = messages
        .iter()
        .map(|message| message.at_ns)
        .max()
        .unwrap_or(start);
    let journey_end = journey.started_at_ns.saturating_add(journey.duration_ns);
    (journey.started_at_ns..=journey_end)
        .contains(&start)
        .then(|| Phase {
            at_ns: start,
            duration_ns: end.saturating_sub(start),
        })
}

/// The client's own time as a last bar, and where the whole time went.
fn write_remainder(page: &mut Page, scale: &Scale, rows: &[Row], outcome: Outcome) {
    let busy: Vec<Phase> = rows.iter().filter_map(|row| row.phase).collect();
    let idle = idle_ns(scale, &busy);
    let worth_a_row = idle > scale.duration_ns / 50;
    if worth_a_row {
        let mut facts = Sentence::default();
        facts.fact(match outcome {
            Outcome::Incomplete => "the client's own time, or what was not seen",
            Outcome::Ok | Outcome::Failed => "the client's own time, between the phases",
        });
        let bar = idle_bar(scale, &busy);
        write_row(page, scale, "client", Role::Faint, bar, Some(idle), facts);
    }
    let mut shares: Vec<(&str, u64)> = rows
        .iter()
        .filter_map(|row| Some((row.name, row.phase?.duration_ns)))
        .chain(std::iter::once(("client", idle)))
        .filter_map(|(name, duration)| Some((name, percent(duration, scale.duration_ns)?)))
        .filter(|(_, percent)| *percent >= 2)
        .collect();
    if shares.len() < 2 {
        return;
    }
    shares.sort_by_key(|(_, percent)| std::cmp::Reverse(*percent));
    let mut facts = Sentence::default();
    for (index, (name, percent)) in shares.into_iter().enumerate() {
        let role = if index == 0 {
            Role::Strong
        } else {
            Role::Plain
        };
        facts.fact_in(role, [name, " ", &percent.to_string(), "\u{a0}%"].concat());
    }
    super::verdict::labelled(page, "shares", Role::Label, facts.into_pieces());
}

/// Rounded share in percent, at most 100; none of nothing.
fn percent(part: u64, whole: u64) -> Option<u64> {
    let whole = u128::from(whole);
    let rounded = (u128::from(part) * 100 + whole / 2).checked_div(whole)?;
    u64::try_from(rounded.min(100)).ok()
}
