//! Which hook serves which fact on which kernel: `docs/COMPATIBILITY.md`, written from what
//! `tracer doctor --all` said on each.

pub mod diagnosis;
mod document;
mod table;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::output::say;
use crate::results::Counts;
use crate::workspace::Workspace;
use diagnosis::Diagnosis;
use document::Document;

/// What becomes of the committed table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Check,
    Write,
}

/// Prints facts x kernels, and checks or writes the committed table. Kernels that were not
/// seen now are left alone; kernels that the table does not know are no failure, because the
/// newest one changes its name by itself.
pub fn settle(workspace: &Workspace, seen: &[Diagnosis], purpose: Use) -> Result<Counts> {
    let place = place(workspace);
    let text =
        fs::read_to_string(&place).with_context(|| format!("cannot read {}", place.display()))?;
    let committed = Document::parse(&text)
        .with_context(|| format!("{} is not as it was written", place.display()))?;
    let now = committed.with(seen);
    say(&now.of(seen).hooks.to_string());
    if purpose == Use::Write {
        fs::write(&place, now.text())
            .with_context(|| format!("cannot write {}", place.display()))?;
        say(&format!("   written: {}", place.display()));
        return Ok(Counts::default());
    }
    for name in committed.unknown(seen) {
        say(&format!(
            "   note: docs/COMPATIBILITY.md has no column {name}; {MEND}"
        ));
    }
    let differences = committed.differences(&now);
    for difference in &differences {
        say(&format!("   failed: docs/COMPATIBILITY.md: {difference}"));
    }
    if differences.is_empty() {
        return Ok(Counts::ONE_PASSED);
    }
    say(&format!("   {MEND}"));
    Ok(Counts::ONE_FAILED)
}

const MEND: &str = "where that is right, run `cargo xtask vm --hooks --write-table` and commit it";

fn place(workspace: &Workspace) -> PathBuf {
    workspace.root.join("docs").join("COMPATIBILITY.md")
}
