//! Runs of `tracer demo` that several scenarios look at. Each is made once: in a guest a run takes
//! two seconds of processor time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use crate::outcome::Outcome;
use crate::program::Tracer;

/// What `tracer demo` with these options alone said, of the one run of this program.
pub fn told_with(options: &'static [&'static str]) -> Result<&'static Outcome> {
    static TOLD: Mutex<BTreeMap<&[&str], &Outcome>> = Mutex::new(BTreeMap::new());
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(outcome) = told.get(options) {
        return Ok(outcome);
    }
    let outcome = Tracer::new(["demo"].iter().chain(options)).run()?;
    let outcome: &Outcome = Box::leak(Box::new(outcome.expect_code(0)?));
    told.insert(options, outcome);
    Ok(outcome)
}
