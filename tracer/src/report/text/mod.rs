//! The text view: a waterfall like a browser's, with the evidence of a packet capture.

mod bar;
mod comments;
mod cost;
mod detail;
mod dhcp;
mod events;
mod facts;
mod header;
pub(super) mod kernel;
mod sentence;
mod summary;
mod verdict;
mod waterfall;

use super::layers;
use super::lookup::Lookup;
use super::page::Page;
use super::style::Style;
use crate::journey::model::{Document, Journey, Packet, Trace};
use crate::journey::part::Part;

/// Column of the text beside the labels below the waterfall.
const BESIDE_LABEL: usize = 12;

/// How much is shown, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextOptions {
    pub style: Style,
    /// 0: the waterfall and the verdict; 1: each event, too; 2 and more: hellos, headers
    /// and certificates in full, too.
    pub verbose: u8,
    /// Show what watching took, as `verbose` does.
    pub cost: bool,
    /// Open the key packets layer by layer.
    pub layers: bool,
    /// Packets are opened as they were on the wire, credentials and all.
    pub show_secrets: bool,
}

/// Every journey of a capture and the line about the capture itself.
pub fn render(trace: &Trace, options: &TextOptions) -> String {
    let (document, part) = Part::of(trace.clone());
    let lookup = Lookup::of(&part);
    let mut text = String::new();
    for journey in &part.journeys {
        text.push_str(&render_journey(journey, &lookup, &part.packets, options));
        text.push('\n');
    }
    let journeys = part.journeys.len() as u64;
    text.push_str(&render_end(&document, journeys, options));
    text
}

/// One journey; `packets` may hold those of other journeys, too.
pub fn render_journey(
    journey: &Journey,
    lookup: &Lookup<'_>,
    packets: &[Packet],
    options: &TextOptions,
) -> String {
    let mut page = Page::new(options.style);
    header::write(&mut page, journey, lookup);
    waterfall::write(&mut page, journey, lookup, options.verbose);
    verdict::write(&mut page, journey, lookup);
    if options.verbose >= 1 {
        detail::write_process(&mut page, journey);
        detail::write_own_address(&mut page, journey);
        kernel::write(&mut page, journey, lookup.connection_of(journey));
        detail::write_samples(&mut page, journey, lookup);
        events::write(&mut page, journey);
    }
    if options.verbose >= 2 {
        detail::write_protocols(&mut page, journey, lookup);
    }
    let mut text = page.finish();
    if options.layers {
        text.push_str(&layers::render_journey(journey, packets, options));
    }
    text
}

/// What follows the journeys: how addresses were got (on request, or where there is nothing
/// else to tell), how much was watched, what was lost, which facts had no hook, what it took.
pub fn render_end(document: &Document, journeys: u64, options: &TextOptions) -> String {
    let mut page = Page::new(options.style);
    if options.verbose >= 1 || journeys == 0 {
        for exchange in &document.dhcp {
            dhcp::write(&mut page, exchange);
        }
    }
    summary::write(&mut page, &document.capture, journeys, options.verbose);
    if options.verbose >= 1 {
        comments::write(&mut page, &document.capture.comments);
    }
    let cost = document.capture.cost.as_ref();
    if let Some(cost) = cost.filter(|_| options.cost || options.verbose >= 1) {
        cost::write(&mut page, cost);
    }
    page.finish()
}

#[cfg(test)]
mod tests;
