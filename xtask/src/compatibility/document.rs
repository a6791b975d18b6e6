//! The two tables of `docs/COMPATIBILITY.md`, between marks, and the text around them.

use anyhow::{Context, Result};

use super::diagnosis::{Diagnosis, Fact};
use super::table::{Table, cell};

/// The marks in the document, for each table.
const HOOKS: [&str; 2] = ["<!-- hooks: begin -->\n", "<!-- hooks: end -->"];
const REFUSALS: [&str; 2] = ["<!-- refusals: begin -->\n", "<!-- refusals: end -->"];

/// Of a fact that a kernel cannot serve at all.
const NOTHING: &str = "none";
/// Of a fact that is newer than the last visit of that kernel.
const NOT_SEEN: &str = "not seen yet";

/// The document in its parts.
#[derive(Debug, Clone)]
pub struct Document {
    before: String,
    /// Facts x kernels.
    pub hooks: Table,
    between: String,
    /// Kernel, fact, hook and target, reason: a row for each.
    refusals: Table,
    after: String,
}

impl Document {
    pub fn parse(text: &str) -> Result<Self> {
        let (before, hooks, rest) = split(text, HOOKS)?;
        let (between, refusals, after) = split(rest, REFUSALS)?;
        Ok(Self {
            before: before.to_owned(),
            hooks: Table::parse(hooks)?,
            between: between.to_owned(),
            refusals: Table::parse(refusals)?,
            after: after.to_owned(),
        })
    }

    pub fn text(&self) -> String {
        let [hooks_begin, hooks_end] = HOOKS;
        let [refusals_begin, refusals_end] = REFUSALS;
        format!(
            "{}{hooks_begin}{}{hooks_end}{}{refusals_begin}{}{refusals_end}{}",
            self.before, self.hooks, self.between, self.refusals, self.after
        )
    }

    /// With what was seen now in the place of what was known of those kernels. The plan of the
    /// tracer that was run says which facts there are, and their order.
    pub fn with(&self, seen: &[Diagnosis]) -> Self {
        let mut new = self.clone();
        let Some(first) = seen.first() else {
            return new;
        };
        let known = |fact: &Fact| {
            let name = format!("`{}`", fact.name);
            let row = self
                .hooks
                .rows
                .iter()
                .find(|row| row.first() == Some(&name));
            row.cloned().unwrap_or_else(|| {
                let mut row = vec![NOT_SEEN.to_owned(); self.hooks.head.len()];
                name.clone_into(&mut row[0]);
                row
            })
        };
        new.hooks.rows = first.facts.iter().map(known).collect();
        for diagnosis in seen {
            new.replace_column(diagnosis);
            new.replace_refusals(diagnosis);
        }
        new.sort();
        new
    }

    fn replace_column(&mut self, diagnosis: &Diagnosis) {
        let column = diagnosis.column();
        let place = self.hooks.head.iter().position(|name| *name == column);
        let place = place.unwrap_or_else(|| {
            self.hooks.head.push(column);
            self.hooks.head.len() - 1
        });
        for (row, fact) in self.hooks.rows.iter_mut().zip(&diagnosis.facts) {
            row.resize(row.len().max(place + 1), NOT_SEEN.to_owned());
            row[place] = served(fact);
        }
    }

    fn replace_refusals(&mut self, diagnosis: &Diagnosis) {
        let column = diagnosis.column();
        let rows = &mut self.refusals.rows;
        rows.retain(|row| row.first() != Some(&column));
        for fact in &diagnosis.facts {
            for hook in &fact.hooks {
                let Some(reason) = &hook.reason else { continue };
                let what = if hook.attached { "attached, but " } else { "" };
                rows.push(vec![
                    column.clone(),
                    format!("`{}`", fact.name),
                    cell(&format!("{} {}", hook.kind, hook.target)),
                    cell(&format!("{what}{reason}")),
                ]);
            }
        }
    }

    /// Kernels from the oldest on.
    fn sort(&mut self) {
        let mut order: Vec<usize> = (1..self.hooks.head.len()).collect();
        order.sort_by_key(|place| age(&self.hooks.head[*place]));
        order.insert(0, 0);
        let arranged = |row: &Vec<String>| order.iter().map(|place| row[*place].clone()).collect();
        self.hooks.rows = self.hooks.rows.iter().map(arranged).collect();
        self.hooks.head = arranged(&self.hooks.head);
        self.refusals.rows.sort_by_key(|row| age(&row[0]));
    }

    /// Only the columns of these kernels.
    pub fn of(&self, seen: &[Diagnosis]) -> Self {
        let columns: Vec<String> = seen.iter().map(Diagnosis::column).collect();
        let mut narrow = self.clone();
        let lines = std::iter::once(&mut narrow.hooks.head).chain(&mut narrow.hooks.rows);
        for line in lines {
            let mut cells = self.hooks.head.iter().enumerate();
            line.retain(|_| {
                let next = cells.next();
                next.is_some_and(|(place, name)| place == 0 || columns.contains(name))
            });
        }
        narrow
    }

    /// Columns that were seen and that this document does not have.
    pub fn unknown(&self, seen: &[Diagnosis]) -> Vec<String> {
        let columns = seen.iter().map(Diagnosis::column);
        columns
            .filter(|name| !self.hooks.head.contains(name))
            .collect()
    }

    /// Where `now` says something else, in the columns that this document has. The reasons in
    /// the second table are for people and may change with a point release.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let names = |document: &Self| -> Vec<String> {
            document
                .hooks
                .rows
                .iter()
                .map(|row| row[0].clone())
                .collect()
        };
        let (old, new) = (names(self), names(now));
        found.extend(
            old.iter()
                .filter(|name| !new.contains(name))
                .map(|name| format!("{name} is no fact any more")),
        );
        for row in &now.hooks.rows {
            for (column, cell) in now.hooks.head.iter().zip(row).skip(1) {
                let Some(place) = self.hooks.head.iter().position(|name| name == column) else {
                    continue;
                };
                let known = self.hooks.rows.iter().find(|known| known[0] == row[0]);
                let known = known.map_or("nothing", |known| known[place].as_str());
                if known != cell {
                    found.push(format!(
                        "{} on {column}: it says \"{known}\", the kernel says \"{cell}\"",
                        row[0]
                    ));
                }
            }
        }
        found
    }
}

/// The text before, between and behind two marks.
fn split<'a>(text: &'a str, [begin, end]: [&str; 2]) -> Result<(&'a str, &'a str, &'a str)> {
    let missing = |mark: &str| format!("the mark {} is missing", mark.trim());
    let (before, rest) = text.split_once(begin).with_context(|| missing(begin))?;
    let (inner, after) = rest.split_once(end).with_context(|| missing(end))?;
    Ok((before, inner, after))
}

/// The hook that a capture would choose, then the others that serve as well.
fn served(fact: &Fact) -> String {
    match fact.serving().as_slice() {
        [] => NOTHING.to_owned(),
        [chosen] => format!("**{chosen}**"),
        [chosen, others @ ..] => format!("**{chosen}**, {}", others.join(", ")),
    }
}

/// Versions by number; what has no number comes last.
fn age(column: &str) -> (Vec<u32>, String) {
    let version = column.split([',', ' ']).next().unwrap_or_default();
    let numbers = version
        .split('.')
        .map(|part| part.parse().unwrap_or(u32::MAX));
    (numbers.collect(), column.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::diagnosis::tests::kernel;
    use super::*;

    const EMPTY: &str = "Head.\n<!-- hooks: begin -->\n| fact |\n|---|\n<!-- hooks: end -->\nMiddle.\n\
        <!-- refusals: begin -->\n| kernel | fact | hook | reason |\n|---|---|---|---|\n\
        <!-- refusals: end -->\nEnd.\n";

    fn empty() -> Document {
        Document::parse(EMPTY).unwrap()
    }

    #[test]
    fn kernels_stand_in_the_order_of_their_age() {
        let seen = [
            kernel("6.1.0", false, &["kprobe", "fentry"]),
            kernel("6.18.2", true, &["tracepoint"]),
            kernel("5.10.0", false, &["kprobe"]),
        ];
        let text = empty().with(&seen).text();
        let expected = "Head.\n<!-- hooks: begin -->\n\
            | fact | 5.10 | 6.1 | 6.18, no kprobes |\n|---|---|---|---|\n\
            | `tcp_state` | **kprobe** | **kprobe**, fentry | **tracepoint** |\n\
            | `packet_drop` | none | none | none |\n\
            <!-- hooks: end -->\nMiddle.\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains(
                "| 5.10 | `packet_drop` | tracepoint skb:kfree_skb | no / reason is told |"
            ),
            "{text}"
        );
        assert!(text.ends_with("<!-- refusals: end -->\nEnd.\n"), "{text}");
    }

    #[test]
    fn one_kernels_visit_leaves_the_others_alone() {
        let first = empty().with(&[
            kernel("5.10.0", false, &["kprobe"]),
            kernel("6.1.0", false, &["kprobe"]),
        ]);
        let again = Document::parse(&first.text()).unwrap();
        let now = again.with(&[kernel("6.1.9", false, &["kprobe"])]);
        assert_eq!(now.text(), first.text());
        assert!(again.differences(&now).is_empty());
    }

    #[test]
    fn a_program_that_is_refused_now_is_a_difference_with_its_place() {
        let committed = empty().with(&[kernel("6.1.0", false, &["kprobe", "fentry"])]);
        let now = committed.with(&[kernel("6.1.1", false, &["fentry"])]);
        let differences = committed.differences(&now);
        assert_eq!(differences.len(), 1);
        assert!(
            differences[0].contains("`tcp_state` on 6.1"),
            "{differences:?}"
        );
    }

    #[test]
    fn a_kernel_that_the_document_does_not_have_is_no_difference() {
        let committed = empty().with(&[kernel("7.2.0", false, &["kprobe"])]);
        let seen = [kernel("7.3.0", false, &["fentry"])];
        let now = committed.with(&seen);
        assert!(committed.differences(&now).is_empty());
        assert_eq!(committed.unknown(&seen), ["7.3"]);
    }

    #[test]
    fn a_lost_mark_is_named() {
        let error = Document::parse("no marks").unwrap_err().to_string();
        assert!(error.contains("hooks: begin"), "{error}");
    }
}
