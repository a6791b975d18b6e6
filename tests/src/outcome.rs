//! How a program ended and what it said, with checks that explain themselves.

use std::fmt::Write as _;
use std::process::ExitStatus;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::schema;

/// A program that ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The command, for messages.
    pub line: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// None when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Itself, when it ended with this code.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        if self.code() == Some(code) {
            return Ok(self);
        }
        bail!("expected exit code {code}\n{}", self.describe())
    }

    /// Itself, when standard error holds these words.
    pub fn expect_stderr(self, words: &str) -> Result<Self> {
        if self.stderr.contains(words) {
            return Ok(self);
        }
        bail!("expected {words:?} on standard error\n{}", self.describe())
    }

    /// Standard output as one document, valid by the schema that `tracer schema` prints.
    pub fn json(&self) -> Result<Value> {
        let document = self.unchecked_json()?;
        schema::validate(&document).with_context(|| self.describe())?;
        Ok(document)
    }

    /// Standard output as JSON of any form.
    pub fn unchecked_json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("standard output is not JSON\n{}", self.describe()))
    }

    /// Each line of standard output as an object.
    pub fn json_lines(&self) -> Result<Vec<Value>> {
        self.stdout
            .lines()
            .enumerate()
            .map(|(number, line)| {
                serde_json::from_str(line).map_err(|error| {
                    anyhow!(
                        "line {} is not JSON: {error}\n{}",
                        number + 1,
                        self.describe()
                    )
                })
            })
            .collect()
    }

    /// Command, status and both streams, for the message of a failed check.
    pub fn describe(&self) -> String {
        let mut text = format!("command: {}\n{}\n", self.line, self.status);
        for (name, content) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let _ = writeln!(text, "{name}:\n{}", shortened(content));
        }
        text
    }
}

/// Beginning and end of a long text: failures are read by people.
fn shortened(text: &str) -> String {
    const HALF: usize = 8000;
    let characters = text.chars().count();
    if characters <= 2 * HALF {
        return text.to_owned();
    }
    let head: String = text.chars().take(HALF).collect();
    let tail: String = text.chars().skip(characters - HALF).collect();
    format!(
        "{head}\n... {} characters left out ...\n{tail}",
        characters - 2 * HALF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_output_is_shortened_in_the_middle() {
        let text = format!("begin{}end", "é".repeat(20_000));
        let short = shortened(&text);
        assert!(short.starts_with("begin") && short.ends_with("end"));
        assert!(
            short.contains("4008 characters left out"),
            "{}",
            short.len()
        );
    }
}
