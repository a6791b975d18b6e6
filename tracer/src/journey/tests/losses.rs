//! Events that the kernel could not hand over: who is told, and who is not.

use super::{SECOND, Script, server};
use crate::capture::Fact;
use crate::journey::model::Outcome;

/// Three requests a second apart, with frames lost while the second one was under way.
fn script() -> Script {
    let mut script = Script::new(false);
    for (port, last) in [(40_001, 1), (40_002, 2), (40_003, 3)] {
        let mut wire = script.connect(port, (server(last), 80));
        script.request(&mut wire, "shop.test", "/");
        if last == 2 {
            script.fact(Fact::Lost {
                class: "frame",
                count: 7,
                place: None,
            });
        }
        script.response(&mut wire);
        script.close(&mut wire);
        script.wait(SECOND);
    }
    script
}

#[test]
fn a_loss_marks_the_journey_it_touches_and_no_other() {
    let journeys = script().journeys();
    let outcomes: Vec<Outcome> = journeys.iter().map(|journey| journey.outcome).collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Incomplete, Outcome::Ok]);
    let gaps: Vec<(&str, u64)> = journeys[1]
        .gaps
        .iter()
        .map(|gap| (gap.class.as_str(), gap.count))
        .collect();
    assert_eq!(gaps, [("frame", 7)]);
    assert!(journeys[0].gaps.is_empty() && journeys[2].gaps.is_empty());
}

#[test]
fn a_loss_is_counted_in_the_capture_and_makes_it_incomplete() {
    let capture = script().finish().document.capture;
    assert_eq!(capture.lost.get("frame"), Some(&7));
    assert!(!capture.complete);
    let mut quiet = Script::new(false);
    let mut wire = quiet.connect(40_001, (server(1), 80));
    quiet.exchange(&mut wire, "shop.test", "/");
    let capture = quiet.finish().document.capture;
    assert!(capture.complete && capture.lost.is_empty());
}
