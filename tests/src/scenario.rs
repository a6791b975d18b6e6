//! What a scenario is, and how one says that this machine cannot play it.

use std::fmt;

use anyhow::Result;
use libtest_mimic::{Completion, Failed, Trial};

/// One end-to-end test: a name that says which behaviour it guards, and what to do.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub run: fn() -> Result<()>,
}

/// Why a scenario cannot be played here. Returned as an error, it counts as skipped:
/// `return Err(Skipped("this kernel has no fentry".into()).into())`.
#[derive(Debug)]
pub struct Skipped(pub String);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped: {}", self.0)
    }
}

impl std::error::Error for Skipped {}

impl Scenario {
    /// The scenario as libtest-mimic runs it.
    pub fn into_trial(self) -> Trial {
        Trial::ignorable_test(self.name, move || completion((self.run)()))
    }
}

fn completion(result: Result<()>) -> Result<Completion, Failed> {
    match result {
        Ok(()) => Ok(Completion::Completed),
        Err(error) => match error.downcast_ref::<Skipped>() {
            Some(Skipped(reason)) => Ok(Completion::ignored_with(reason)),
            None => Err(Failed::from(format!("{error:#}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_neither_success_nor_failure() {
        let skipped = completion(Err(Skipped("no fentry".into()).into()));
        assert!(
            matches!(skipped, Ok(Completion::Ignored { reason: Some(reason) }) if reason == "no fentry")
        );
        assert!(matches!(completion(Ok(())), Ok(Completion::Completed)));
        assert!(completion(Err(anyhow::anyhow!("broken"))).is_err());
    }
}
