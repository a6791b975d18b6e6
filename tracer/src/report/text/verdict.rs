//! Below the waterfall: states, traffic, addresses that lost, what failed and what is missing.

use super::facts::{lost_attempt, traffic};
use super::header::process;
use super::{BESIDE_LABEL, sentence::Sentence};
use crate::journey::model::{Connection, End, Journey, StateTransition};
use crate::report::lookup::Lookup;
use crate::report::page::Page;
use crate::report::style::{Piece, Role};
use crate::report::units;

pub(super) fn write(page: &mut Page, journey: &Journey, lookup: &Lookup<'_>) {
    if let Some(connection) = lookup.connection_of(journey) {
        write_states(page, journey, connection);
        // A journey that found the connection open did not cause all of its traffic.
        let sentence = traffic(connection);
        if !sentence.is_empty() && !journey.reused_connection {
            labelled(page, "traffic", Role::Label, sentence.into_pieces());
        }
    }
    for connection in lookup.attempts_of(journey) {
        if journey.connection.as_deref() != Some(connection.id.as_str()) {
            labelled(
                page,
                "lost",
                Role::Label,
                lost_attempt(connection).into_pieces(),
            );
        }
    }
    write_failure(page, journey);
    for finding in &journey.findings {
        let text = vec![Piece::plain(finding.message.clone())];
        labelled(page, "finding", Role::Warning, text);
    }
    write_gaps(page, journey);
}

/// `  label     text`, wrapped under the text.
pub(super) fn labelled(page: &mut Page, label: &str, role: Role, text: Vec<Piece>) {
    let head = vec![Piece::new(role, ["  ", label].concat())];
    page.row(head, BESIDE_LABEL, BESIDE_LABEL, text);
}

/// One line for each end whose states were seen; for a connection used again only what
/// happened since.
fn write_states(page: &mut Page, journey: &Journey, connection: &Connection) {
    let since = if journey.reused_connection {
        journey.started_at_ns
    } else {
        0
    };
    let mut label = "states";
    for end in [End::Client, End::Server] {
        let transitions: Vec<&StateTransition> = connection
            .states
            .iter()
            .filter(|transition| transition.end == end && transition.at_ns >= since)
            .collect();
        if transitions.is_empty() {
            continue;
        }
        let mut sentence = Sentence::default();
        let users = users(connection, end);
        sentence.say(Role::Plain, format!("{users}: {}", path(&transitions)));
        let mut hooks: Vec<&str> = Vec::new();
        for transition in &transitions {
            if !hooks.contains(&transition.hook.as_str()) {
                hooks.push(&transition.hook);
            }
        }
        sentence.say(Role::Faint, format!(" ({})", hooks.join(", ")));
        labelled(page, label, Role::Label, sentence.into_pieces());
        label = "";
    }
}

/// `server nginx[12], read by worker[13], written to by worker[14]`
fn users(connection: &Connection, end: End) -> String {
    let (owner, readers, writers) = match end {
        End::Client => (
            &connection.client_process,
            &connection.client_readers,
            &connection.client_writers,
        ),
        End::Server => (
            &connection.server_process,
            &connection.server_readers,
            &connection.server_writers,
        ),
    };
    let mut text = end.name().to_owned();
    if owner.is_some() {
        text.push_str(&format!(" {}", process(owner.as_ref())));
    }
    let writers = writers.as_deref().unwrap_or_default();
    for (how, others) in [("read by", readers.as_slice()), ("written to by", writers)] {
        let names: Vec<String> = others.iter().map(|it| process(Some(it))).collect();
        if !names.is_empty() {
            text.push_str(&format!(", {how} {}", names.join(" and ")));
        }
    }
    text
}

/// `CLOSED → SYN_SENT → ESTABLISHED`; an ellipsis where a transition is missing.
fn path(transitions: &[&StateTransition]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for transition in transitions {
        if names.last() != Some(&transition.from.as_str()) {
            if !names.is_empty() {
                names.push("…");
            }
            names.push(&transition.from);
        }
        names.push(&transition.to);
    }
    names.join(" → ")
}

fn write_failure(page: &mut Page, journey: &Journey) {
    let Some(failure) = &journey.failure else {
        return;
    };
    let mut pieces = vec![Piece::new(Role::Bad, failure.message.clone())];
    if !failure.evidence.is_empty() {
        let text = format!(" [{}]", failure.evidence.join(", "));
        pieces.push(Piece::new(Role::Faint, text));
    }
    labelled(page, "failed", Role::Bad, pieces);
}

fn write_gaps(page: &mut Page, journey: &Journey) {
    for gap in &journey.gaps {
        let amount = match gap.class.as_str() {
            // How much is missing is not known.
            _ if gap.count == 0 => String::new(),
            "payload" => format!("{} not kept ", units::bytes(gap.count)),
            class => format!(
                "{} lost ",
                units::counted(gap.count, &format!("{class} event"))
            ),
        };
        let at = match gap.at_ns.checked_sub(journey.started_at_ns) {
            Some(after) => format!("at +{}", units::duration(after)),
            None => "before the start".into(),
        };
        let text = vec![Piece::plain(format!("{amount}{at}: {}", gap.message))];
        labelled(page, "gap", Role::Warning, text);
    }
}
