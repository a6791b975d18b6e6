//! The model as text, boxes, JSON: one file or folder per output format.
//!
//! Reports know the model (and the packet parsers, to open packets), never the kernel side.

mod connection_text;
/// What hooks this kernel offers.
pub mod doctor;
#[cfg(test)]
pub(crate) mod examples;
/// The whole document as JSON.
pub mod json;
/// Packets opened as nested boxes.
pub mod layers;
/// Finding what a journey refers to.
pub mod lookup;
/// One JSON object a line.
pub mod ndjson;
/// Where results go.
pub mod outputs;
mod page;
/// JSON Schema of the outputs.
pub mod schema;
/// Colours, characters, widths.
pub mod style;
/// The text view.
pub mod text;
/// Durations and sizes as people read them.
pub mod units;
