//! `--layers`: packets opened like nested boxes, from the link layer to the message, every
//! header field by its name in the RFC.

mod application;
mod boxes;
mod layer;
mod link;
mod network;
mod quic;
mod tls;
mod transport;

use super::style::{Piece, Role, width_of, write_line};
use super::text::TextOptions;
use super::units;
use crate::capture::Direction;
use crate::journey::model::{Journey, Packet};

/// Wider boxes put the eye too far from one value to the next.
const WIDEST: usize = 110;

/// The packets of `journey` among `packets`, each below a line that says when it passed.
pub fn render_journey(journey: &Journey, packets: &[Packet], options: &TextOptions) -> String {
    let mut text = String::new();
    for packet in packets.iter().filter(|packet| packet.journey == journey.id) {
        text.push('\n');
        headline(&mut text, journey, packet, options);
        through_the_kernel(&mut text, packet, options);
        let layers = open(packet, options.show_secrets);
        let width = options.style.columns().min(WIDEST);
        for line in boxes::draw(&layers, &options.style, width) {
            write_line(&mut text, &options.style, &line);
        }
    }
    text
}

/// Everything that can be read of a packet; never empty.
fn open(packet: &Packet, show_secrets: bool) -> Vec<layer::Layer> {
    let context = layer::Context {
        application: packet.application.as_deref(),
        show_secrets,
    };
    let frame = &packet.frame;
    link::open(frame.link_type, &frame.data, &context)
}

/// `SYN   frame 9   +1.57 ms   sent on client0   74 bytes   (tcx)`.
fn headline(text: &mut String, journey: &Journey, packet: &Packet, options: &TextOptions) {
    let frame = &packet.frame;
    let after = match packet.at_ns.checked_sub(journey.started_at_ns) {
        Some(after) => format!("+{}", units::duration(after)),
        None => "before the start".into(),
    };
    let way = match frame.direction {
        Direction::In => "received",
        Direction::Out => "sent",
        Direction::Unknown => "seen",
    };
    let place = packet
        .interface
        .as_ref()
        .map_or_else(String::new, |name| format!(" on {name}"));
    let captured = frame.data.len();
    let length = match usize::try_from(frame.original_length) {
        Ok(original) if original > captured => {
            format!("{original} bytes, {captured} captured")
        }
        _ => format!("{captured} bytes"),
    };
    let rest = format!(
        "frame {}   {after}   {way}{place}   {length}   ({})",
        packet.number,
        frame.hook.name()
    );
    let clean = |role, text: &str| Piece::new(role, options.style.clean(text));
    let role = clean(Role::Strong, &packet.role);
    let gap = if width_of(&role.text) == 0 { "" } else { "   " };
    let line = vec![role, Piece::plain(gap), clean(Role::Plain, &rest)];
    for line in super::page::wrap(line, options.style.columns(), options.style.columns()) {
        write_line(text, &options.style, &line);
    }
}

/// `down through the kernel, 13 µs: socket write 5 µs → …`, below the headline.
fn through_the_kernel(text: &mut String, packet: &Packet, options: &TextOptions) {
    let Some(path) = &packet.kernel_path else {
        return;
    };
    let pieces = super::text::kernel::in_a_line(path).into_iter();
    let pieces: Vec<Piece> = pieces
        .map(|piece| Piece::new(piece.role, options.style.clean(&piece.text)))
        .collect();
    let columns = options.style.columns().min(WIDEST);
    for line in super::page::wrap(pieces, columns, columns) {
        write_line(text, &options.style, &line);
    }
}

#[cfg(test)]
mod tests;
