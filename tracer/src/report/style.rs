//! How text output may look, and the only place where strings become terminal output.
//!
//! Text from the network is data (RFC 9110, section 17 and common sense): every piece goes
//! through [`Style::clean`](crate::report::style::Style::clean) when it is placed, whoever wrote it, so that no view can forget.

use crate::protocol::text::{is_plain, is_printable, printable};
use std::borrow::Cow;
use std::fmt::Write;
use unicode_width::UnicodeWidthChar;

/// What the reader's terminal or file can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Emit ANSI colour sequences.
    pub color: bool,
    /// Characters beyond ASCII may be used.
    pub unicode: bool,
    /// Columns; at least [`Style::MINIMUM_WIDTH`] are assumed.
    pub width: usize,
}

impl Default for Style {
    /// What can be read everywhere but in museums: no colour, Unicode, 80 columns.
    fn default() -> Self {
        Self {
            color: false,
            unicode: true,
            width: 80,
        }
    }
}

impl Style {
    /// Below this, columns would hold a letter or two each.
    pub const MINIMUM_WIDTH: usize = 40;

    /// Columns to fill.
    pub fn columns(&self) -> usize {
        self.width.max(Self::MINIMUM_WIDTH)
    }

    /// `text` without anything a terminal would obey or could not show.
    pub fn clean(&self, text: &str) -> String {
        self.cleaned(text).into_owned()
    }

    /// As [`Style::clean`]; most text is clean and stays where it is.
    pub(super) fn cleaned<'text>(&self, text: &'text str) -> Cow<'text, str> {
        let text = match is_printable(text) {
            true => Cow::Borrowed(text),
            false => Cow::Owned(printable(text)),
        };
        if self.unicode || text.is_ascii() {
            return text;
        }
        let mut ascii = String::with_capacity(text.len());
        for character in text.chars() {
            match (character.is_ascii(), transliterate(character)) {
                (true, _) => ascii.push(character),
                (false, Some(known)) => ascii.push_str(known),
                (false, None) => ascii.extend(character.escape_unicode()),
            }
        }
        Cow::Owned(ascii)
    }
}

/// ASCII for the signs tracer itself uses.
fn transliterate(character: char) -> Option<&'static str> {
    Some(match character {
        // A blank that does not break a line; the page makes it an ordinary one.
        '\u{a0}' => "\u{a0}",
        '→' => "->",
        '←' => "<-",
        '↔' => "<->",
        '·' => "-",
        '…' => "...",
        'µ' => "u",
        '×' => "x",
        '–' | '─' => "-",
        '│' => "|",
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' => "+",
        '█' | '▉' | '▊' | '▋' | '▌' | '▐' => "#",
        '▍' | '▎' | '▏' | '▕' => ":",
        '░' => ".",
        '✓' => "+",
        '✗' => "x",
        _ => return None,
    })
}

/// What a piece of text is, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    #[default]
    Plain,
    /// URLs, verdicts.
    Strong,
    /// Names of rows and fields.
    Label,
    /// Evidence and other asides.
    Faint,
    Good,
    Warning,
    Bad,
    /// Bars of the waterfall, in the colours that browsers taught.
    Resolve,
    Route,
    Connect,
    Tls,
    Request,
    Wait,
    Response,
}

impl Role {
    fn ansi(self) -> anstyle::Style {
        use anstyle::AnsiColor::{Blue, Cyan, Green, Magenta, Red, Yellow};
        let colored = |color: anstyle::AnsiColor| color.on_default();
        match self {
            Self::Plain => anstyle::Style::new(),
            Self::Strong => anstyle::Style::new().bold(),
            Self::Label => colored(Cyan),
            Self::Faint => anstyle::Style::new().dimmed(),
            Self::Good | Self::Wait => colored(Green),
            Self::Warning => colored(Yellow),
            Self::Bad => colored(Red).bold(),
            Self::Resolve => colored(Cyan),
            Self::Route | Self::Request => colored(Blue),
            Self::Connect => colored(Yellow),
            Self::Tls => colored(Magenta),
            Self::Response => colored(anstyle::AnsiColor::BrightBlue),
        }
    }
}

/// A stretch of text with one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub role: Role,
    pub text: Cow<'static, str>,
}

impl Piece {
    pub fn new(role: Role, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            role,
            text: text.into(),
        }
    }

    pub fn plain(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Role::Plain, text)
    }
}

/// Columns that `text` takes on a terminal.
pub fn width_of(text: &str) -> usize {
    match is_plain(text) {
        true => text.len(),
        false => text.chars().map(columns_of).sum(),
    }
}

/// Columns of one character; characters without a width take none.
pub fn columns_of(character: char) -> usize {
    match character {
        // Most are, and need no table.
        ' '..='~' => 1,
        // So are the blank within a fact, arrows, and what lines and bars are drawn with.
        '\u{a0}' | 'µ' | '·' | '←' | '→' | '\u{2500}'..='\u{259f}' => 1,
        _ => character.width().unwrap_or(0),
    }
}

/// Appends `text` with plain blanks for those that have kept a number and its unit together.
fn push_breaking(out: &mut String, text: &str) {
    let mut rest = text;
    // The first byte of the blank: searching for one byte is quicker than for a character.
    while let Some(place) = memchr::memchr(0xc2, rest.as_bytes()) {
        let (part, behind) = rest.split_at(place);
        out.push_str(part);
        let mut characters = behind.chars();
        match characters.next() {
            Some('\u{a0}') | None => out.push(' '),
            Some(other) => out.push(other),
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
}

/// As many as most indents have.
const BLANKS: &str = "                                                ";

/// A line of cleaned text, and the role of each stretch of it.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: String,
    /// Where each stretch ends.
    stretches: Vec<(Role, usize)>,
}

impl Line {
    pub fn clear(&mut self) {
        self.text.clear();
        self.stretches.clear();
    }

    /// Adds `text` to the last stretch where that has the same role.
    pub fn push(&mut self, role: Role, text: &str) {
        self.text.push_str(text);
        self.grown(role);
    }

    pub fn push_blanks(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let some = BLANKS.get(..left).unwrap_or(BLANKS);
            self.text.push_str(some);
            left -= some.len();
        }
        self.grown(Role::Plain);
    }

    /// What was added at the end has this role.
    fn grown(&mut self, role: Role) {
        let length = self.text.len();
        match self.stretches.last_mut() {
            Some((_, end)) if *end == length => {}
            Some((last, end)) if *last == role => *end = length,
            _ if length == 0 => {}
            _ => self.stretches.push((role, length)),
        }
    }

    pub fn append(&mut self, other: &Self) {
        other
            .stretches()
            .for_each(|(role, text)| self.push(role, text));
    }

    pub fn stretches(&self) -> impl Iterator<Item = (Role, &str)> {
        let mut start = 0;
        self.stretches.iter().map(move |(role, end)| {
            let text = self.text.get(start..*end).unwrap_or_default();
            start = *end;
            (*role, text)
        })
    }

    /// Writes the line, colours included, without trailing blanks.
    pub fn write(&self, out: &mut String, style: &Style) {
        let text = self.text.trim_end();
        if style.color {
            self.write_colored(out, text.len());
        } else {
            push_breaking(out, text);
        }
        out.push('\n');
    }

    fn write_colored(&self, out: &mut String, length: usize) {
        let mut left = length;
        for (role, text) in self.stretches() {
            let text = text.get(..left).unwrap_or(text);
            left -= text.len();
            let ansi = role.ansi();
            let colored = !ansi.is_plain() && !text.trim().is_empty();
            // Writing to a String cannot fail.
            if colored {
                let _ = write!(out, "{ansi}");
            }
            push_breaking(out, text);
            if colored {
                let _ = write!(out, "{ansi:#}");
            }
        }
    }
}

/// Writes one line of cleaned pieces, colours included, without trailing blanks.
pub(super) fn write_line(out: &mut String, style: &Style, pieces: &[Piece]) {
    let mut line = Line::default();
    for piece in pieces {
        line.text.push_str(&piece.text);
        line.stretches.push((piece.role, line.text.len()));
    }
    line.write(out, style);
}
