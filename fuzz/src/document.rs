//! What every document must hold, whatever it was made from.

use tracer::journey::invariants;
use tracer::journey::model::Trace;
use tracer::report::style::Style;
use tracer::report::text::{self, TextOptions};
use tracer::report::{json, ndjson};

/// Checks the invariants of the contract, and that every format can be written and obeys
/// nothing that came from the wire.
pub fn check(trace: &Trace) {
    let document = &trace.document;
    if let Err(broken) = invariants::check(document) {
        panic!("{broken}");
    }
    let mut written = Vec::new();
    json::write(document, false, &mut written).expect("memory takes everything");
    let mut lines = ndjson::Writer::new(&mut written);
    lines.document(document).expect("memory takes everything");
    for unicode in [true, false] {
        let style = Style {
            color: false,
            unicode,
            width: 80,
        };
        let options = TextOptions {
            cost: true,
            style,
            verbose: 2,
            layers: true,
            show_secrets: unicode,
        };
        printable(&text::render(trace, &options), unicode);
    }
}

/// No character that a terminal would obey.
pub fn printable(text: &str, unicode: bool) {
    for character in text.chars() {
        let allowed = character == '\n' || !character.is_control();
        assert!(allowed, "{character:?} would reach the terminal");
        assert!(
            unicode || character.is_ascii(),
            "{character:?} is not ASCII"
        );
    }
}
