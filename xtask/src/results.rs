//! Counts of tests, read from what test programs print.

use std::fmt;
use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Counts {
    pub const ONE_PASSED: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    pub const ONE_FAILED: Self = Self {
        passed: 0,
        failed: 1,
        skipped: 0,
    };

    /// Sums every `test result:` line, of libtest and libtest-mimic alike.
    ///
    /// A line may begin with other text: a guest's kernel shares the console with the tests.
    pub fn parse(output: &str) -> Self {
        let mut sum = Self::default();
        for line in output.lines() {
            if let Some((_, rest)) = line.split_once("test result: ") {
                sum += Self::parse_line(rest);
            }
        }
        sum
    }

    /// `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
    fn parse_line(line: &str) -> Self {
        let counts = line
            .split_once(". ")
            .map_or(line, |(_verdict, counts)| counts);
        let mut found = Self::default();
        for part in counts.split(';') {
            let mut words = part.split_whitespace();
            let Some(Ok(number)) = words.next().map(str::parse) else {
                continue;
            };
            match words.next() {
                Some("passed") => found.passed = number,
                Some("failed") => found.failed = number,
                Some("ignored") => found.skipped = number,
                _ => {}
            }
        }
        found
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = self.skipped.saturating_add(other.skipped);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_several_test_programs_are_summed() {
        let output = "\
running 3 tests
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 1.20s
";
        assert_eq!(
            Counts::parse(output),
            Counts {
                passed: 13,
                failed: 2,
                skipped: 1
            }
        );
    }

    #[test]
    fn a_line_from_a_guests_console_is_understood() {
        let output = "[    5.1] clock\r\n[ 6.0] xtest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.52s\r\n";
        assert_eq!(
            Counts::parse(output),
            Counts {
                passed: 2,
                failed: 0,
                skipped: 0
            }
        );
    }

    #[test]
    fn other_output_counts_nothing() {
        assert!(Counts::parse("warning: 3 passed the limit\n").is_empty());
    }

    #[test]
    fn skipped_tests_appear_only_when_there_are_some() {
        assert_eq!(
            Counts {
                passed: 2,
                failed: 0,
                skipped: 0
            }
            .to_string(),
            "2 passed, 0 failed"
        );
        assert_eq!(
            Counts {
                passed: 2,
                failed: 1,
                skipped: 3
            }
            .to_string(),
            "2 passed, 1 failed, 3 skipped"
        );
    }
}
