//! What a change of the packets may change in the document, and why; all else stays.

use crate::again;
use crate::change::Kind;
use serde_json::Value;
use std::collections::BTreeSet;
use tracer::journey::model::Document;

/// A member that some changes may change.
struct Declared {
    kinds: &'static [Kind],
    /// Where it stands, array positions left out; `*` for any beginning.
    member: &'static str,
    what: What,
}

/// How far it may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// To anything.
    Value,
    /// A list that may get more entries; those that were there stay, in their order.
    More,
    /// A list whose entries may change places.
    Order,
    /// A text whose numbers may change.
    Numbers,
    /// A text that may change from its first dot on.
    Ending,
    /// A list whose entries with this member, and these words at its beginning, may change.
    Those(&'static str, &'static str),
    /// What was sent again: see [`again`].
    Again,
}

use Kind::{Copies, Fragments, Order, Segments};
use What::{Again, Ending, More, Numbers, Order as Places, Those, Value as Any};

const fn declared(kinds: &'static [Kind], member: &'static str, what: What) -> Declared {
    Declared {
        kinds,
        member,
        what,
    }
}

const DECLARED: &[Declared] = &[
    // Frames are counted in the file: with more of them before it, or behind one that
    // overtook it, the same frame has another number.
    declared(
        &[Segments, Order, Copies, Fragments],
        "journeys.timeline.evidence",
        Any,
    ),
    declared(
        &[Segments, Order, Copies, Fragments],
        "journeys.failure.evidence",
        Any,
    ),
    declared(
        &[Segments, Order, Copies, Fragments],
        "dhcp.messages.frame",
        Any,
    ),
    declared(
        &[Segments, Order, Copies, Fragments],
        "capture.comments.frame",
        Any,
    ),
    // Counters of segments: the change is about their number.
    declared(&[Segments, Copies], "connections.segments.client", Any),
    declared(&[Segments, Copies], "connections.segments.server", Any),
    declared(&[Segments], "connections.http.request_segments", Any),
    declared(&[Segments], "connections.http.response_segments", Any),
    // What is seen twice was sent twice, as far as a capture can tell.
    declared(&[Copies], "connections.handshake.syn_retries", Any),
    declared(&[Copies], "connections.close.messages", More),
    declared(&[Copies], "dns.attempts", More),
    declared(&[Copies], "dns", More),
    declared(&[Copies], "neighbors.attempts", More),
    declared(&[Copies], "dhcp.messages", More),
    declared(&[Copies], "capture.comments", More),
    declared(&[Copies], "journeys.timeline", More),
    // Answers that are seen again have the number of their exchange, and one of their own.
    declared(&[Copies], "dns.id", Ending),
    declared(&[Copies], "journeys.failure.message", Numbers),
    // They count the above in words.
    declared(&[Copies, Order], "journeys.findings", Any),
    declared(
        &[Segments],
        "journeys.findings",
        Those("kind", "retransmissions"),
    ),
    declared(
        &[Segments, Order, Copies],
        "journeys.timeline",
        Those("summary", "retransmission ("),
    ),
    declared(
        &[Segments, Order, Copies],
        "connections.retransmissions",
        Again,
    ),
    // A segment that changes places brings its bytes at another time.
    declared(&[Order], "*_ns", Any),
    declared(&[Order], "journeys.timeline", More),
    // Lists in order of time, and the numbers that come of it.
    declared(&[Order], "journeys.timeline", Places),
    declared(&[Order], "journeys", Places),
    declared(&[Order], "journeys.id", Any),
    declared(&[Order], "journeys.caused_by", Any),
];

/// The document without what these changes may change.
pub fn facts(document: &Document, kinds: &[Kind]) -> Value {
    let mut value = serde_json::to_value(document).expect("JSON");
    strip(&mut value, "", kinds);
    value
}

/// What these changes may do to a member.
fn declared_of<'a>(path: &'a str, kinds: &'a [Kind]) -> impl Iterator<Item = What> + 'a {
    let of_it = DECLARED.iter().filter(move |declared| {
        let matches = match declared.member.strip_prefix('*') {
            Some(ending) => path.ends_with(ending),
            None => path == declared.member,
        };
        matches && declared.kinds.iter().any(|kind| kinds.contains(kind))
    });
    of_it.map(|declared| declared.what)
}

fn is_declared(path: &str, kinds: &[Kind], what: What) -> bool {
    declared_of(path, kinds).any(|declared| declared == what)
}

fn strip(value: &mut Value, path: &str, kinds: &[Kind]) {
    match value {
        Value::Array(items) => {
            for declared in declared_of(path, kinds) {
                if let Those(member, words) = declared {
                    let begins = |it: &Value| it[member].as_str()?.strip_prefix(words).map(|_| ());
                    items.retain(|it| begins(it).is_none());
                }
            }
            items.iter_mut().for_each(|it| strip(it, path, kinds));
            if is_declared(path, kinds, Places) {
                items.sort_by_key(Value::to_string);
            }
        }
        Value::Object(members) => {
            members.retain(|name, _| !is_declared(&join(path, name), kinds, Any));
            for (name, member) in members {
                strip(member, &join(path, name), kinds);
            }
        }
        Value::String(text) => {
            if is_declared(path, kinds, Numbers) {
                *text = text.split(|it: char| it.is_ascii_digit()).collect();
            }
            if is_declared(path, kinds, Ending) {
                text.truncate(text.find('.').unwrap_or(text.len()));
            }
        }
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The first places where two documents differ: path, before, after.
pub fn differences(before: &Value, after: &Value, kinds: &[Kind]) -> Vec<String> {
    let mut comparison = Comparison {
        kinds,
        found: Vec::new(),
    };
    comparison.compare("", before, after);
    comparison.found.truncate(8);
    comparison.found
}

struct Comparison<'a> {
    kinds: &'a [Kind],
    found: Vec<String>,
}

impl Comparison<'_> {
    fn compare(&mut self, path: &str, before: &Value, after: &Value) {
        match (before, after) {
            (Value::Object(one), Value::Object(other)) => {
                let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
                for name in names {
                    let one = one.get(name).unwrap_or(&Value::Null);
                    let other = other.get(name).unwrap_or(&Value::Null);
                    self.compare(&join(path, name), one, other);
                }
            }
            (Value::Array(one), Value::Array(other)) => {
                let explained = is_declared(path, self.kinds, More)
                    && self.is_within(path, one, other)
                    || is_declared(path, self.kinds, Again)
                        && again::is_kept(one, other, self.kinds);
                if explained {
                    return;
                }
                if one.len() != other.len() {
                    let only = |these: &[Value], those: &[Value]| {
                        let only = these.iter().filter(|it| !those.contains(it));
                        Value::Array(only.cloned().collect())
                    };
                    self.differ(path, &only(one, other), &only(other, one));
                    return;
                }
                one.iter()
                    .zip(other)
                    .for_each(|(one, other)| self.compare(path, one, other));
            }
            _ if before == after => {}
            _ => self.differ(path, before, after),
        }
    }

    /// Whether all of `few` are in `many`, in their order.
    fn is_within(&self, path: &str, few: &[Value], many: &[Value]) -> bool {
        let mut many = many.iter();
        let same = |one: &Value, other: &Value| {
            let mut entry = Comparison {
                kinds: self.kinds,
                found: Vec::new(),
            };
            entry.compare(path, one, other);
            entry.found.is_empty()
        };
        few.iter().all(|one| many.any(|other| same(one, other)))
    }

    fn differ(&mut self, path: &str, before: &Value, after: &Value) {
        let short = |value: &Value| value.to_string().chars().take(400).collect::<String>();
        let (before, after) = (short(before), short(after));
        self.found.push(format!("{path}: {before} -> {after}"));
    }
}
