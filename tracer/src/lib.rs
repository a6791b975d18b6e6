//! tracer: what really happened when this URL was opened?
pub mod capture;
pub mod cli;
pub mod client;
#[cfg(test)]
mod effort;
pub mod fence;
pub mod journey;
pub mod lab;
pub mod launch;
/// Network namespaces of others.
pub mod network_namespace;
/// Files that the user asked for.
pub mod output_file;
pub mod probe;
pub mod protocol;
pub mod replay;
pub mod report;
pub mod session;
