//! Facts put together to a sentence.

use crate::report::style::{Piece, Role};
use std::borrow::Cow;

/// Facts with commas between them; parts with semicolons.
#[derive(Debug, Default)]
pub(super) struct Sentence {
    pieces: Vec<Piece>,
}

impl Sentence {
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn into_pieces(self) -> Vec<Piece> {
        self.pieces
    }

    /// Goes on without any separator.
    pub fn say(&mut self, role: Role, text: impl Into<Cow<'static, str>>) {
        self.pieces.push(Piece::new(role, text));
    }

    /// One more fact.
    pub fn fact(&mut self, text: impl Into<Cow<'static, str>>) {
        self.fact_in(Role::Plain, text);
    }

    pub fn fact_in(&mut self, role: Role, text: impl Into<Cow<'static, str>>) {
        self.separate(", ");
        self.say(role, kept_together(text.into()));
    }

    /// A fact about something else.
    pub fn part(&mut self, text: impl Into<Cow<'static, str>>) {
        self.separate("; ");
        self.say(Role::Plain, text);
    }

    fn separate(&mut self, separator: &'static str) {
        if !self.pieces.is_empty() {
            self.say(Role::Plain, separator);
        }
    }
}

/// Facts of a few words are moved to the next line rather than broken.
fn kept_together(text: Cow<'static, str>) -> Cow<'static, str> {
    const FEW: usize = 24;
    let one_word = !text.as_bytes().contains(&b' ');
    match one_word || text.chars().count() > FEW {
        true => text,
        false => Cow::Owned(text.replace(' ', "\u{a0}")),
    }
}

/// `items` with `separator` between them, the tail counted where there are more than `limit`.
pub(super) fn some_of(items: &[String], limit: usize, separator: &str) -> String {
    let shown: Vec<&str> = items.iter().take(limit).map(String::as_str).collect();
    let mut text = shown.join(separator);
    if let Some(more) = items.len().checked_sub(limit).filter(|more| *more > 0) {
        text.push_str(&format!("{separator}and {more} more"));
    }
    text
}
