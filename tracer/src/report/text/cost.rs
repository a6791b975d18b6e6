//! What watching took, below the line about the capture.

use super::sentence::Sentence;
use super::verdict::labelled;
use crate::journey::model::{Cost, KernelCost};
use crate::report::page::Page;
use crate::report::style::Role;
use crate::report::units;

/// Programs that are named one by one; the others take next to nothing.
const PROGRAMS: usize = 8;

pub(super) fn write(page: &mut Page, cost: &Cost) {
    let events = cost.event_count();
    let mut sentence = Sentence::default();
    sentence.fact(units::counted(events, "event"));
    sentence.fact(format!("{} a second", cost.events_per_second));
    sentence.fact(format!(
        "at most {} of {} in the ring",
        units::bytes(cost.ring.peak_bytes),
        units::bytes(cost.ring.bytes)
    ));
    labelled(page, "cost", Role::Label, sentence.into_pieces());

    let mut sentence = Sentence::default();
    sentence.fact(format!(
        "tracer {} user",
        units::duration(cost.tracer.user_ns)
    ));
    sentence.fact(format!("{} system", units::duration(cost.tracer.system_ns)));
    sentence.time_of_an_event(cost.tracer.ns_per_event);
    below(page, sentence);

    match &cost.kernel {
        Some(kernel) => write_kernel(page, kernel),
        None => below(page, {
            let mut sentence = Sentence::default();
            sentence.fact("the kernel did not count what its programs took");
            sentence
        }),
    }
}

fn write_kernel(page: &mut Page, kernel: &KernelCost) {
    let mut sentence = Sentence::default();
    sentence.fact(format!("kernel {}", units::duration(kernel.run_time_ns)));
    sentence.fact(units::counted(kernel.run_count, "run"));
    sentence.time_of_an_event(kernel.ns_per_event);
    below(page, sentence);
    for program in kernel.programs.iter().take(PROGRAMS) {
        let mut sentence = Sentence::default();
        sentence.fact(format!("  {} ({})", program.name, program.fact));
        sentence.fact(format!(
            "{} of {}",
            units::counted(program.run_count, "run"),
            units::duration(program.ns_per_run)
        ));
        below(page, sentence);
    }
}

/// One more line under the label.
fn below(page: &mut Page, sentence: Sentence) {
    labelled(page, "", Role::Label, sentence.into_pieces());
}

impl Sentence {
    /// What one of many took, where that is known.
    fn time_of_an_event(&mut self, nanoseconds: Option<u64>) {
        if let Some(nanoseconds) = nanoseconds {
            self.fact(format!("{} an event", units::duration(nanoseconds)));
        }
    }
}
