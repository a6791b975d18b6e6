//! What the end-to-end programs share: running the tracer, and checking what it says.
//!
//! ```no_run
//! use tracer_tests::program::Tracer;
//!
//! fn a_scenario() -> anyhow::Result<()> {
//!     let report = Tracer::new(["demo", "--format", "json"]).run()?.expect_code(0)?.json()?;
//!     assert_eq!(report["schema_version"], 1);
//!     Ok(())
//! }
//! ```

pub mod crowd;
pub mod demo;
pub mod handover;
pub mod journey;
pub mod load;
pub mod network;
pub mod outcome;
pub mod pieces;
pub mod program;
pub mod reading;
pub mod requests;
pub mod running;
pub mod scenario;
pub mod scenarios;
pub mod schema;
pub mod share;
