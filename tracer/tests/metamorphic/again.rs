//! What was sent again: a list of segments, with a guess at why.

use crate::change::Kind;
use serde_json::Value;

/// Whether the list `after` these changes tells what it told `before`.
pub fn is_kept(before: &[Value], after: &[Value], kinds: &[Kind]) -> bool {
    let has = |kind| kinds.contains(&kind);
    // Whether a late segment was overtaken, or lost and sent again, is told by its time beside
    // the round trip, which in a lab is shorter than the window of the change. What is seen
    // twice was sent twice, as far as a capture can tell.
    let more = has(Kind::Copies) || has(Kind::Order);
    is_within(before, after, kinds) && (more || after.iter().all(|it| was_told(it, before)))
}

/// Whether each of `few` is one of `many`: as it was, or else as it may be told now. They have
/// their times; where those may change, their places may, too.
fn is_within(few: &[Value], many: &[Value], kinds: &[Kind]) -> bool {
    let mut rest: Vec<_> = many.iter().collect();
    let mut take = |wanted: &dyn Fn(&Value) -> bool| {
        let place = rest.iter().position(|other| wanted(other));
        place.map(|place| rest.remove(place)).is_some()
    };
    let mut changed: Vec<_> = few.iter().collect();
    changed.retain(|one| !take(&|other| *one == other));
    let mut found = |one: &Value| take(&|other| is_told(one, other, kinds));
    changed
        .into_iter()
        .all(|one| found(one) || may_be_missing(one, kinds))
}

/// What comes again soon was sent again, and not overtaken, when it ends where the stream does:
/// of a segment that was cut only the last part does, and none that changed places with it.
fn may_be_missing(one: &Value, kinds: &[Kind]) -> bool {
    let moved = kinds.contains(&Kind::Segments) || kinds.contains(&Kind::Order);
    moved && one["kind"] == "unknown"
}

fn is_told(one: &Value, other: &Value, kinds: &[Kind]) -> bool {
    let same = |member: &str| one[member] == other[member];
    // A segment that was cut is told by its first part: behind that there may be new bytes, and
    // the last byte by itself looks like one that keeps the connection alive.
    let cut = kinds.contains(&Kind::Segments) && other["bytes"].as_u64() <= one["bytes"].as_u64();
    // Acknowledgements that are seen twice ask for what they name.
    let asked_for = kinds.contains(&Kind::Copies) && other["kind"] == "fast";
    ["at_ns", "end", "seq", "hook"].into_iter().all(same)
        && (same("bytes") || cut)
        && (same("kind") || asked_for)
}

/// Whether a segment, or that of which it is a part, was sent again before the change, too. Of
/// one that was cut only the first part is what was asked for; and a part may have been
/// acknowledged, and the whole not.
fn was_told(one: &Value, before: &[Value]) -> bool {
    let number = |value: &Value, member: &str| value[member].as_u64().unwrap_or_default();
    let end = |value: &Value| number(value, "seq") + number(value, "bytes");
    one["kind"] == "unknown"
        || before.iter().any(|whole| {
            let same = |member: &str| one[member] == whole[member];
            ["at_ns", "end", "hook"].into_iter().all(same)
                && (same("kind") || whole["kind"] == "fast")
                && number(whole, "seq") <= number(one, "seq")
                && end(one) <= end(whole)
        })
}
