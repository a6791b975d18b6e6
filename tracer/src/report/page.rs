//! A page of text: pieces are placed in columns and wrapped under them.

use super::style::{Line, Piece, Role, Style, columns_of, width_of};
use crate::protocol::text::is_plain;

/// Facts to be wrapped need at least this many columns, even beyond the page's edge.
const NARROWEST: usize = 16;

/// Bytes of most pages.
const USUAL_LENGTH: usize = 2048;

/// Text under construction.
#[derive(Debug)]
pub(super) struct Page {
    pub style: Style,
    out: String,
    /// The line that is being written, and what is to stand at its right: memory that is
    /// used for one line after the other.
    line: Line,
    beside: Line,
}

impl Page {
    pub fn new(style: Style) -> Self {
        Self {
            style,
            out: String::with_capacity(USUAL_LENGTH),
            line: Line::default(),
            beside: Line::default(),
        }
    }

    pub fn finish(self) -> String {
        self.out
    }

    /// Columns of `text` once it is cleaned.
    pub fn measure(&self, text: &str) -> usize {
        width_of(&self.style.cleaned(text))
    }

    /// One line; what is wider than the page wraps under column `hang`.
    pub fn line(&mut self, hang: usize, pieces: Vec<Piece>) {
        self.row(Vec::new(), 0, hang, pieces);
    }

    /// `head` from the left edge up to column `at`, then `facts`, of which further lines
    /// hang under column `hang`.
    pub fn row(&mut self, head: Vec<Piece>, at: usize, hang: usize, facts: Vec<Piece>) {
        let Self {
            style,
            out,
            line,
            beside,
        } = self;
        let columns = style.columns();
        let room = |from: usize| columns.saturating_sub(from).max(NARROWEST);
        let mut used = set(line, style, &head);
        if used > at && used + NARROWEST > columns {
            // A name that leaves no room beside it has lines of its own.
            std::mem::swap(line, beside);
            line.clear();
            wrap_onto(line, beside, columns, columns, 0, &mut |line| {
                line.write(out, style);
            });
            line.clear();
            used = 0;
        }
        line.push_blanks(at.saturating_sub(used));
        let first = room(used.max(at));
        if set(beside, style, &facts) <= first {
            line.append(beside);
            line.write(out, style);
        } else {
            wrap_onto(line, beside, first, room(hang), hang, &mut |line| {
                line.write(out, style);
            });
        }
    }

    /// `left` and, at the right edge of the same line, `right`. False (and nothing
    /// written) when they do not fit beside each other.
    pub fn spread(&mut self, left: &[Piece], right: &[Piece]) -> bool {
        let used = set(&mut self.line, &self.style, left);
        let used = used + set(&mut self.beside, &self.style, right);
        let Some(between) = self.style.columns().checked_sub(used).filter(|n| *n >= 2) else {
            return false;
        };
        self.line.push_blanks(between);
        self.line.append(&self.beside);
        self.line.write(&mut self.out, &self.style);
        true
    }
}

/// Cleans `pieces` into `line`, in the place of what it held; returns their columns.
fn set(line: &mut Line, style: &Style, pieces: &[Piece]) -> usize {
    line.clear();
    let mut width = 0;
    for piece in pieces {
        if is_plain(&piece.text) {
            width += piece.text.len();
            line.push(piece.role, &piece.text);
            continue;
        }
        let text = style.cleaned(&piece.text);
        width += width_of(&text);
        line.push(piece.role, &text);
    }
    width
}

/// Breaks cleaned pieces into lines of at most `first`, then `rest` columns: at spaces
/// where there are any, within a word where it alone is wider than the line.
pub(super) fn wrap(pieces: Vec<Piece>, first: usize, rest: usize) -> Vec<Vec<Piece>> {
    let mut text = Line::default();
    for piece in &pieces {
        text.push(piece.role, &piece.text);
    }
    let mut lines = Vec::new();
    wrap_onto(&mut Line::default(), &text, first, rest, 0, &mut |line| {
        let pieces = line.stretches();
        lines.push(
            pieces
                .map(|(role, text)| Piece::new(role, text.to_owned()))
                .collect(),
        );
    });
    lines
}

/// As [`wrap`], with `text` behind what `line` holds, and with the further lines under column
/// `hang`; each goes to `write`.
fn wrap_onto(
    line: &mut Line,
    text: &Line,
    first: usize,
    rest: usize,
    hang: usize,
    write: &mut dyn FnMut(&Line),
) {
    let mut lines = Lines {
        line,
        write,
        hang,
        begun: false,
        used: 0,
        room: first,
        rest,
    };
    // A word may go on in the next stretch.
    let mut word: Vec<(Role, &str)> = Vec::new();
    for (role, stretch) in text.stretches() {
        for run in runs(stretch) {
            if word
                .first()
                .is_some_and(|(_, begun)| is_blank(begun) != is_blank(run))
            {
                lines.place(&word);
                word.clear();
            }
            word.push((role, run));
        }
    }
    lines.place(&word);
    (lines.write)(lines.line);
}

/// Runs of blanks and runs of other characters, in turn.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let blank = is_blank(rest);
        let end = rest.bytes().position(|byte| (byte == b' ') != blank);
        let (run, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        (!run.is_empty()).then_some(run)
    })
}

fn is_blank(run: &str) -> bool {
    run.starts_with(' ')
}

/// Lines that are being filled, one after the other.
struct Lines<'a> {
    line: &'a mut Line,
    write: &'a mut dyn FnMut(&Line),
    /// Column of every line but the first.
    hang: usize,
    /// The first line is written.
    begun: bool,
    /// Columns of this one, and how many it may have.
    used: usize,
    room: usize,
    /// Columns of every line but the first.
    rest: usize,
}

impl Lines<'_> {
    fn next(&mut self) {
        (self.write)(self.line);
        self.line.clear();
        self.line.push_blanks(self.hang);
        self.begun = true;
        self.used = 0;
        self.room = self.rest;
    }

    /// Places a run of blanks, or a word.
    fn place(&mut self, word: &[(Role, &str)]) {
        let blank = word.first().is_some_and(|(_, run)| is_blank(run));
        let width: usize = word.iter().map(|(_, run)| width_of(run)).sum();
        if self.used + width > self.room && !blank && self.used > 0 {
            self.next();
        }
        if blank && self.used == 0 && self.begun {
            return;
        }
        if self.used + width <= self.room {
            for (role, run) in word {
                self.line.push(*role, run);
            }
            self.used += width;
            return;
        }
        for (role, run) in word {
            for character in run.chars() {
                self.squeeze(*role, character);
            }
        }
    }

    /// Places a character of what is wider than a line.
    fn squeeze(&mut self, role: Role, character: char) {
        let width = columns_of(character);
        if self.used + width > self.room {
            if character == ' ' {
                return;
            }
            self.next();
        }
        self.line.push(role, character.encode_utf8(&mut [0; 4]));
        self.used += width;
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, Piece, Role, Style};

    fn page(width: usize) -> Page {
        Page::new(Style {
            width,
            ..Style::default()
        })
    }

    #[test]
    fn facts_wrap_under_their_own_column() {
        let mut page = page(40);
        page.row(
            vec![Piece::plain("  tls")],
            12,
            12,
            vec![Piece::plain("X25519, AES-256-GCM, full handshake")],
        );
        assert_eq!(
            page.finish(),
            "  tls       X25519, AES-256-GCM, full\n            handshake\n"
        );
    }

    #[test]
    fn a_word_wider_than_the_line_is_broken() {
        let mut page = page(40);
        page.line(4, vec![Piece::plain("x".repeat(90))]);
        let text = page.finish();
        assert_eq!(
            text.lines().map(str::len).collect::<Vec<_>>(),
            [40, 40, 18],
            "{text}"
        );
    }

    #[test]
    fn colours_do_not_count_as_columns() {
        let mut plain = page(60);
        let mut colored = Page::new(Style {
            color: true,
            width: 60,
            ..Style::default()
        });
        let facts = vec![
            Piece::new(Role::Bad, "one two three four five six seven eight nine"),
            Piece::new(Role::Good, " ten eleven twelve thirteen"),
        ];
        plain.line(2, facts.clone());
        colored.line(2, facts);
        let stripped = anstream::adapter::strip_str(&colored.finish()).to_string();
        assert_eq!(stripped, plain.finish());
    }

    #[test]
    fn right_hand_text_stands_at_the_edge_or_not_at_all() {
        let mut narrow = page(40);
        assert!(narrow.spread(&[Piece::plain("left")], &[Piece::plain("right")]));
        assert!(!narrow.spread(&[Piece::plain("x".repeat(36))], &[Piece::plain("right")]));
        let text = narrow.finish();
        assert_eq!(text.trim_end().len(), 40, "{text}");
        assert_eq!(text.lines().count(), 1);
    }
}
