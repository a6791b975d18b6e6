//! Lines as they are collected, or only their times.

use crate::journey::model::{EventDirection, Layer, TimelineEvent};
use crate::journey::story::Story;

/// What a journey's lines came to.
pub(in crate::journey) struct Timeline {
    /// Empty where nobody is going to read them.
    pub events: Vec<TimelineEvent>,
    /// Times of the first and the last line, also where the lines are left out.
    pub span: Option<(u64, u64)>,
}

pub(super) struct Lines<'a> {
    pub story: &'a Story<'a>,
    /// Somebody is going to read them; otherwise only their times count.
    wanted: bool,
    events: Vec<TimelineEvent>,
    span: Option<(u64, u64)>,
}

impl<'a> Lines<'a> {
    pub fn new(story: &'a Story<'a>) -> Self {
        Self {
            story,
            wanted: !story.memory.options.without_timeline,
            events: Vec::new(),
            span: None,
        }
    }

    /// The lines in order of time.
    pub fn finish(mut self) -> Timeline {
        self.events.sort_by_key(|event| event.at_ns);
        Timeline {
            events: self.events,
            span: self.span,
        }
    }

    /// Composes the words only where they are wanted.
    pub fn add(
        &mut self,
        at_ns: u64,
        layer: Layer,
        direction: EventDirection,
        summary: impl FnOnce() -> String,
        evidence: impl FnOnce() -> String,
    ) {
        self.reach(at_ns);
        if self.wanted {
            self.events.push(TimelineEvent {
                at_ns,
                layer,
                direction,
                summary: summary(),
                evidence: evidence(),
            });
        }
    }

    pub fn push(&mut self, event: TimelineEvent) {
        self.reach(event.at_ns);
        if self.wanted {
            self.events.push(event);
        }
    }

    fn reach(&mut self, at_ns: u64) {
        let (first, last) = self.span.unwrap_or((at_ns, at_ns));
        self.span = Some((first.min(at_ns), last.max(at_ns)));
    }

    pub fn local(
        &mut self,
        at_ns: u64,
        layer: Layer,
        summary: impl FnOnce() -> String,
        evidence: &str,
    ) {
        let evidence = || evidence.to_owned();
        self.add(at_ns, layer, EventDirection::Local, summary, evidence);
    }
}
