//! Drawing boxes within boxes.

use super::layer::Layer;
use crate::report::page::wrap;
use crate::report::style::{Piece, Role, Style, width_of};

/// Fields of up to this many columns share a line.
const SHORT_FIELD: usize = 56;

/// Lines of `layers`, one below the other, each exactly `width` columns wide where the
/// width allows for a border at all.
pub(super) fn draw(layers: &[Layer], style: &Style, width: usize) -> Vec<Vec<Piece>> {
    layers
        .iter()
        .flat_map(|layer| draw_one(layer, style, width))
        .collect()
}

fn draw_one(layer: &Layer, style: &Style, width: usize) -> Vec<Vec<Piece>> {
    let inner = width.saturating_sub(4).max(1);
    let mut lines = vec![top(layer, style, width)];
    for line in content(layer, style, inner) {
        lines.push(framed(line, style, inner));
    }
    for line in draw(&layer.inside, style, inner) {
        lines.push(framed(line, style, inner));
    }
    lines.push(vec![border(style, "└", width.saturating_sub(2), "┘")]);
    lines
}

/// `┌ IPv4 ─────┐`.
fn top(layer: &Layer, style: &Style, width: usize) -> Vec<Piece> {
    let room = width.saturating_sub(6).max(1);
    let title = style.clean(&layer.title);
    let title = wrap(vec![Piece::new(Role::Strong, title)], room, room)
        .into_iter()
        .next();
    let title = title.unwrap_or_default();
    let used: usize = title.iter().map(|piece| width_of(&piece.text)).sum();
    let mut line = vec![Piece::new(Role::Faint, style.clean("┌ "))];
    line.extend(title);
    line.push(border(style, " ", width.saturating_sub(used + 4), "┐"));
    line
}

fn border(style: &Style, left: &str, dashes: usize, right: &str) -> Piece {
    Piece::new(
        Role::Faint,
        style.clean(&format!("{left}{}{right}", "─".repeat(dashes))),
    )
}

/// `│ line │`.
fn framed(mut line: Vec<Piece>, style: &Style, inner: usize) -> Vec<Piece> {
    let used: usize = line.iter().map(|piece| width_of(&piece.text)).sum();
    line.insert(0, Piece::new(Role::Faint, style.clean("│ ")));
    line.push(Piece::plain(" ".repeat(inner.saturating_sub(used))));
    line.push(Piece::new(Role::Faint, style.clean(" │")));
    line
}

/// Short fields flow, with three blanks between them; long ones, and lines, stand for
/// themselves.
fn content(layer: &Layer, style: &Style, inner: usize) -> Vec<Vec<Piece>> {
    let mut lines = Vec::new();
    let mut flow: Vec<Piece> = Vec::new();
    for (name, value) in &layer.fields {
        let value = style.clean(value);
        let label = style.clean(name);
        if width_of(&value) + width_of(&label) < SHORT_FIELD {
            if !flow.is_empty() {
                flow.push(Piece::plain("   "));
            }
            // Moved to the next line rather than broken.
            flow.push(Piece::new(
                Role::Label,
                format!("{label} ").replace(' ', "\u{a0}"),
            ));
            flow.push(Piece::plain(value.replace(' ', "\u{a0}")));
        } else {
            lines.extend(taken(&mut flow, inner));
            flow.push(Piece::new(Role::Label, format!("{label} ")));
            flow.push(Piece::plain(value));
            lines.extend(taken(&mut flow, inner));
        }
    }
    lines.extend(taken(&mut flow, inner));
    for line in &layer.lines {
        lines.extend(wrap(vec![Piece::plain(style.clean(line))], inner, inner));
    }
    lines
}

/// The lines of what has gathered.
fn taken(flow: &mut Vec<Piece>, inner: usize) -> Vec<Vec<Piece>> {
    match std::mem::take(flow) {
        gathered if gathered.is_empty() => Vec::new(),
        gathered => wrap(gathered, inner, inner),
    }
}
