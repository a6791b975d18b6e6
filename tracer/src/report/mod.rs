//! The model as text, boxes, JSON: one file or folder per output format.
//!
//! Reports know the model (and the packet parsers, to open packets), never the kernel side.

#[cfg(test)]
mod examples;
/// Finding what a journey refers to.
pub mod lookup;
mod page;
mod printable;
/// Colours, characters, widths.
pub mod style;
/// The text view.
pub mod text;
/// Durations and sizes as people read them.
pub mod units;
