//! Every promise of a document can be broken, and is then named.

use super::{Script, server};
use crate::journey::invariants::check;
use crate::journey::model::{Document, Phase};

fn whole() -> Document {
    let mut script = Script::new(false);
    let mut wire = script.connect(40_001, (server(1), 80));
    script.exchange(&mut wire, "shop.test", "/");
    script.close(&mut wire);
    script.finish().document
}

/// What is wrong with a whole document after this was done to it.
fn broken(change: impl FnOnce(&mut Document)) -> String {
    let mut document = whole();
    change(&mut document);
    check(&document).expect_err("nothing is broken")
}

#[test]
fn a_whole_document_keeps_every_promise() {
    assert_eq!(check(&whole()), Ok(()));
}

#[test]
fn a_broken_promise_is_named_with_its_object() {
    let said = broken(|it| it.journeys[0].connection = Some("c99".to_owned()));
    assert_eq!(said, "j1: there is no connection c99");
    let said = broken(|it| it.connections.push(it.connections[0].clone()));
    assert!(said.ends_with("is there twice"), "{said}");
    let said = broken(|it| it.journeys[0].duration_ns = 1);
    assert_eq!(said, "j1: a phase leaves its journey");
    let said = broken(|it| {
        let journey = &mut it.journeys[0];
        let at_ns = journey.started_at_ns;
        let duration_ns = 1;
        journey.phases.response = Some(Phase { at_ns, duration_ns });
    });
    assert_eq!(said, "j1: phases overlap");
    let said = broken(|it| it.journeys[0].timeline.reverse());
    assert_eq!(said, "j1: the timeline goes back");
    let said = broken(|it| it.journeys[0].timeline[0].evidence.clear());
    assert_eq!(said, "j1: an event has no evidence");
    let said = broken(|it| it.connections[0].http[0].request_end_at_ns = Some(0));
    assert!(said.ends_with("it ends before it begins"), "{said}");
}
