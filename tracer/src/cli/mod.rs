//! The command line.

/// The types of the command line.
pub mod arguments;
