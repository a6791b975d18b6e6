//! The way of a segment through the kernel, layer by layer.

use super::bar::{Scale, phase_bar};
use super::sentence::Sentence;
use super::verdict::labelled;
use crate::capture::KernelLayer;
use crate::journey::model::{
    Connection, End, Journey, KernelPath, LayerStep, LayerSummary, Phase, SegmentPath,
};
use crate::report::page::Page;
use crate::report::style::{Piece, Role};
use crate::report::units;

/// Columns of the names of layers.
const NAME: usize = 16;
/// Columns of a bar.
const BAR: usize = 16;
/// Columns of a duration.
const TIME: usize = 9;

/// The request's and the response's way at the client, and what is usual.
pub(super) fn write(page: &mut Page, journey: &Journey, connection: Option<&Connection>) {
    let Some(path) = connection.and_then(|connection| connection.kernel_path.as_ref()) else {
        return;
    };
    let phases = &journey.phases;
    let down = match (phases.request, phases.tls) {
        (Some(request), _) => Some(("request down", request)),
        (None, tls) => tls.map(|tls| ("handshake down", tls)),
    };
    let up = phases.response.map(|response| ("response up", response));
    let mut label = "kernel";
    for (moment, segments) in [(down, &path.down), (up, &path.up)] {
        let found =
            moment.and_then(|(title, phase)| Some((title, at_moment(segments, phase.at_ns)?)));
        if let Some((title, segment)) = found {
            write_segment(page, label, title, segment);
            label = "";
        }
    }
    for (what, is_down) in [("down", true), ("up", false)] {
        let sentence = usual(path, what, is_down);
        if !sentence.is_empty() {
            labelled(page, label, Role::Label, sentence.into_pieces());
            label = "";
        }
    }
}

/// The client's segment whose frame passed at `at_ns`: between its first and last layer.
fn at_moment(segments: &[SegmentPath], at_ns: u64) -> Option<&SegmentPath> {
    let mut segments = segments.iter().rev();
    segments.find(|segment| segment.end == End::Client && segment.is_under_way(at_ns))
}

/// A bar for each layer.
fn write_segment(page: &mut Page, label: &str, title: &str, segment: &SegmentPath) {
    let total = segment.duration_ns();
    let head = format!(
        "{title}, {}, {} in this kernel",
        units::bytes(segment.bytes),
        units::duration(total)
    );
    labelled(page, label, Role::Label, vec![Piece::plain(head)]);
    let scale = Scale {
        start_ns: segment.at_ns,
        duration_ns: total,
        cells: BAR,
    };
    for step in &segment.layers {
        let (bar, time) = match step.duration_ns {
            Some(duration_ns) => {
                let at_ns = step.at_ns;
                let phase = Phase { at_ns, duration_ns };
                let bar = phase_bar(&scale, phase, page.style.unicode);
                (bar, units::duration(duration_ns))
            }
            None => (" ".repeat(BAR), String::new()),
        };
        let head = vec![
            Piece::new(Role::Label, format!("    {:<NAME$}", words(step.layer))),
            Piece::new(Role::Wait, bar),
            Piece::plain(format!("{time:>TIME$}  ")),
        ];
        let at = 4 + NAME + BAR + TIME + 2;
        let evidence = Piece::new(Role::Faint, evidence(step));
        page.row(head, at, at, vec![evidence]);
    }
}

/// `fentry tcp_sendmsg`.
fn evidence(step: &LayerStep) -> String {
    format!("{} {}", step.hook.name(), step.function)
}

/// `median of 8 segments down: socket write 5 µs, IP output 3 µs`.
fn usual(path: &KernelPath, what: &str, is_down: bool) -> Sentence {
    let mut sentence = Sentence::default();
    let of_client = |entry: &&LayerSummary| {
        entry.end == End::Client && entry.layer.is_down() == is_down && entry.segments > 1
    };
    let entries: Vec<&LayerSummary> = path.summary.iter().filter(of_client).collect();
    let Some(count) = entries.iter().map(|entry| entry.segments).max() else {
        return sentence;
    };
    let head = format!("median of {count} segments {what}: ");
    sentence.say(Role::Plain, head);
    for (index, entry) in entries.into_iter().enumerate() {
        let median = units::duration(entry.median_ns);
        let text = format!("{} {median}", words(entry.layer)).replace(' ', "\u{a0}");
        match index {
            0 => sentence.say(Role::Plain, text),
            _ => sentence.fact(text),
        }
    }
    sentence
}

/// All of one segment's way in a line, for the layers view.
pub(in crate::report) fn in_a_line(segment: &SegmentPath) -> Vec<Piece> {
    let way = match segment.layers.first() {
        Some(first) if first.layer.is_down() => "down",
        _ => "up",
    };
    let mut pieces = vec![Piece::new(
        Role::Label,
        format!(
            "{way} through the kernel, {}: ",
            units::duration(segment.duration_ns())
        ),
    )];
    for (index, step) in segment.layers.iter().enumerate() {
        let arrow = if index == 0 { "" } else { " → " };
        let time = step.duration_ns.map(units::duration);
        let time = time.map_or_else(String::new, |time| format!("\u{a0}{time}"));
        let name = words(step.layer).replace(' ', "\u{a0}");
        pieces.push(Piece::plain(format!("{arrow}{name}{time}")));
        pieces.push(Piece::new(Role::Faint, format!(" ({})", step.function)));
    }
    pieces
}

fn words(layer: KernelLayer) -> &'static str {
    match layer {
        KernelLayer::SocketWrite => "socket write",
        KernelLayer::TcpTransmit => "TCP transmit",
        KernelLayer::IpOutput => "IP output",
        KernelLayer::Neighbor => "neighbour",
        KernelLayer::Queue => "queue",
        KernelLayer::Device => "device",
        KernelLayer::Sent => "sent",
        KernelLayer::Driver => "driver",
        KernelLayer::DeviceReceive => "device receive",
        KernelLayer::IpReceive => "IP receive",
        KernelLayer::TcpReceive => "TCP receive",
        KernelLayer::WakeUp => "socket wake-up",
        KernelLayer::Read => "read",
    }
}
