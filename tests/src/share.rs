//! A part of the scenarios: those of one kernel are dealt out to several guests.

use std::env::{self, VarError};

use anyhow::{Context, Result, ensure};

/// `2/4`: the second of four parts. Not set: everything.
const VARIABLE: &str = "TRACER_SHARE";

/// Every `of`th, from the `number`th on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    number: usize,
    of: usize,
}

impl Share {
    /// What the environment asks for.
    ///
    /// # Errors
    /// What is no part of anything.
    pub fn asked_for() -> Result<Self> {
        match env::var(VARIABLE) {
            Ok(text) => Self::parse(&text).with_context(|| format!("{VARIABLE}={text}: not `2/4`")),
            Err(VarError::NotPresent) => Ok(Self { number: 1, of: 1 }),
            Err(error) => Err(error).context(VARIABLE),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let (number, of) = text.split_once('/').context("no slash")?;
        let (number, of) = (number.parse()?, of.parse()?);
        ensure!((1..=of).contains(&number), "no such part");
        Ok(Self { number, of })
    }

    /// This part of `all`, in its order.
    pub fn part_of<T>(self, all: Vec<T>) -> impl Iterator<Item = T> {
        all.into_iter().skip(self.number - 1).step_by(self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn all_parts_together_are_everything_once() {
        let mut dealt: Vec<u32> = (1..=4)
            .flat_map(|number| Share { number, of: 4 }.part_of((0..10).collect()))
            .collect();
        dealt.sort_unstable();
        assert_eq!(dealt, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_part_is_refused() {
        assert_eq!(Share::parse("2/4").unwrap(), Share { number: 2, of: 4 });
        for text in ["", "2", "0/4", "5/4", "1/0", "a/b", "-1/2"] {
            assert!(Share::parse(text).is_err(), "{text}");
        }
    }
}
