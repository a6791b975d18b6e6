//! What holds of every document.

use tracer::journey::invariants;
use tracer::journey::model::Document;

/// Panics with `name` and what does not hold.
pub fn check(name: &str, document: &Document) {
    if let Err(broken) = invariants::check(document) {
        panic!("{name}: {broken}");
    }
}
