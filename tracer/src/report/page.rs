//! A page of text: pieces are placed in columns and wrapped under them.

use super::style::{Piece, Role, Style, columns_of, width_of, write_line};

/// Facts to be wrapped need at least this many columns, even beyond the page's edge.
const NARROWEST: usize = 16;

/// Bytes of most pages.
const USUAL_LENGTH: usize = 2048;

/// Bytes of most lines.
const USUAL_LINE: usize = 128;

/// Text under construction.
#[derive(Debug)]
pub(super) struct Page {
    pub style: Style,
    out: String,
}

impl Page {
    pub fn new(style: Style) -> Self {
        Self {
            style,
            out: String::with_capacity(USUAL_LENGTH),
        }
    }

    pub fn finish(self) -> String {
        self.out
    }

    /// Columns of `text` once it is cleaned.
    pub fn measure(&self, text: &str) -> usize {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return text.len();
        }
        width_of(&self.style.clean(text))
    }

    /// One line; what is wider than the page wraps under column `hang`.
    pub fn line(&mut self, hang: usize, pieces: Vec<Piece>) {
        self.row(Vec::new(), 0, hang, pieces);
    }

    /// `head` from the left edge up to column `at`, then `facts`, of which further lines
    /// hang under column `hang`.
    pub fn row(&mut self, head: Vec<Piece>, at: usize, hang: usize, facts: Vec<Piece>) {
        let mut first: Vec<Piece> = head.into_iter().map(|piece| self.cleaned(piece)).collect();
        let mut used: usize = first.iter().map(|piece| width_of(&piece.text)).sum();
        let columns = self.style.columns();
        let room = |from: usize| columns.saturating_sub(from).max(NARROWEST);
        if used > at && used + NARROWEST > columns {
            // A name that leaves no room beside it has lines of its own.
            for line in wrap(std::mem::take(&mut first), columns, columns) {
                write_line(&mut self.out, &self.style, &line);
            }
            used = 0;
        }
        first.push(Piece::plain(" ".repeat(at.saturating_sub(used))));
        let start = used.max(at);
        let facts: Vec<Piece> = facts.into_iter().map(|piece| self.cleaned(piece)).collect();
        for (index, mut line) in wrap(facts, room(start), room(hang)).into_iter().enumerate() {
            if index == 0 {
                first.append(&mut line);
                write_line(&mut self.out, &self.style, &first);
            } else {
                line.insert(0, Piece::plain(" ".repeat(hang)));
                write_line(&mut self.out, &self.style, &line);
            }
        }
    }

    /// `left` and, at the right edge of the same line, `right`. False (and nothing
    /// written) when they do not fit beside each other.
    pub fn spread(&mut self, left: &[Piece], right: &[Piece]) -> bool {
        let left: Vec<Piece> = left.iter().cloned().map(|p| self.cleaned(p)).collect();
        let right: Vec<Piece> = right.iter().cloned().map(|p| self.cleaned(p)).collect();
        let width = |pieces: &[Piece]| pieces.iter().map(|p| width_of(&p.text)).sum::<usize>();
        let used = width(&left) + width(&right);
        let Some(between) = self.style.columns().checked_sub(used).filter(|n| *n >= 2) else {
            return false;
        };
        let mut line = left;
        line.push(Piece::plain(" ".repeat(between)));
        line.extend(right);
        write_line(&mut self.out, &self.style, &line);
        true
    }

    fn cleaned(&self, piece: Piece) -> Piece {
        Piece {
            role: piece.role,
            text: self.style.cleaned(piece.text),
        }
    }
}

/// Breaks cleaned pieces into lines of at most `first`, then `rest` columns: at spaces
/// where there are any, within a word where it alone is wider than the line.
pub(super) fn wrap(pieces: Vec<Piece>, first: usize, rest: usize) -> Vec<Vec<Piece>> {
    let width: usize = pieces.iter().map(|piece| width_of(&piece.text)).sum();
    if width <= first {
        return vec![joined(pieces)];
    }
    let mut lines = Lines {
        lines: vec![Vec::new()],
        used: 0,
        first,
        rest,
    };
    // A word may go on in the next piece.
    let mut word: Vec<(Role, &str)> = Vec::new();
    for piece in &pieces {
        for run in runs(&piece.text) {
            if word
                .first()
                .is_some_and(|(_, begun)| is_blank(begun) != is_blank(run))
            {
                lines.place(&word);
                word.clear();
            }
            word.push((piece.role, run));
        }
    }
    lines.place(&word);
    lines.lines
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

/// Lines that are being filled.
struct Lines {
    lines: Vec<Vec<Piece>>,
    /// Columns of the last one.
    used: usize,
    first: usize,
    rest: usize,
}

impl Lines {
    fn room(&self) -> usize {
        match self.lines.len() {
            1 => self.first,
            _ => self.rest,
        }
    }

    fn next(&mut self) {
        self.lines.push(Vec::new());
        self.used = 0;
    }

    /// Places a run of blanks, or a word.
    fn place(&mut self, word: &[(Role, &str)]) {
        let blank = word.first().is_some_and(|(_, run)| is_blank(run));
        let width: usize = word.iter().map(|(_, run)| width_of(run)).sum();
        if self.used + width > self.room() && !blank && self.used > 0 {
            self.next();
        }
        if blank && self.used == 0 && self.lines.len() > 1 {
            return;
        }
        if self.used + width <= self.room() {
            for (role, run) in word {
                self.append(*role, run);
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
        if self.used + width > self.room() {
            if character == ' ' {
                return;
            }
            self.next();
        }
        self.append(role, character.encode_utf8(&mut [0; 4]));
        self.used += width;
    }

    /// Text behind what has the same role, or as a piece of its own.
    fn append(&mut self, role: Role, text: &str) {
        let Some(line) = self.lines.last_mut() else {
            return;
        };
        match line.last_mut().filter(|last| last.role == role) {
            Some(last) => last.text.push_str(text),
            None => {
                // Most of a line has one role.
                let mut begun = String::with_capacity(self.rest.min(USUAL_LINE));
                begun.push_str(text);
                line.push(Piece::new(role, begun));
            }
        }
    }
}

/// Neighbours of the same role put together.
fn joined(mut pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.retain(|piece| !piece.text.is_empty());
    pieces.dedup_by(|next, last| {
        let same = next.role == last.role;
        if same {
            last.text.push_str(&next.text);
        }
        same
    });
    pieces
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
