//! A Markdown table whose first column names the rows.

use std::fmt;

use anyhow::{Context, Result, bail};

/// Cells hold neither `|` nor line breaks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The corner, then the names of the columns.
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let head = cells(lines.next().context("an empty table")?)?;
        lines.next().context("a table without a rule")?;
        let rows = lines.map(cells).collect::<Result<Vec<_>>>()?;
        if let Some(row) = rows.iter().find(|row| row.len() != head.len()) {
            bail!("the row {row:?} has not one cell per column");
        }
        Ok(Self { head, rows })
    }
}

fn cells(line: &str) -> Result<Vec<String>> {
    let inner = line
        .trim()
        .strip_prefix('|')
        .and_then(|line| line.strip_suffix('|'));
    let inner = inner.with_context(|| format!("no row of a table: {line}"))?;
    Ok(inner
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect())
}

/// Text as a cell can hold it.
pub fn cell(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "/")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
        writeln!(f, "{}", line(&self.head))?;
        writeln!(f, "|{}", "---|".repeat(self.head.len()))?;
        for row in &self.rows {
            writeln!(f, "{}", line(row))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "| fact | 5.10 |\n|---|---|\n| `route` | tracepoint |\n";

    #[test]
    fn what_was_written_is_read_again() {
        let table = Table::parse(TEXT).unwrap();
        assert_eq!(table.head, ["fact", "5.10"]);
        assert_eq!(table.to_string(), TEXT);
    }

    #[test]
    fn a_row_with_a_cell_too_few_is_an_error() {
        assert!(Table::parse("| a | b |\n|---|---|\n| c |\n").is_err());
        assert!(Table::parse("no table\n|---|\n").is_err());
    }

    #[test]
    fn a_reason_cannot_break_the_table() {
        assert_eq!(cell("a | b\nc"), "a / b c");
    }
}
