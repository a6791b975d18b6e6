//! What a capture file says beside its packets, a line each.

use super::verdict::labelled;
use crate::journey::model::CaptureComment;
use crate::report::page::Page;
use crate::report::style::{Piece, Role};
use crate::report::units;

pub(super) fn write(page: &mut Page, comments: &[CaptureComment]) {
    let mut label = "comments";
    for comment in comments {
        let about = match (comment.frame, &comment.interface) {
            (Some(frame), _) => {
                let at = units::duration(comment.at_ns.unwrap_or(0));
                format!("frame {frame} at {at}: ")
            }
            (None, Some(interface)) => format!("interface {interface}: "),
            (None, None) => String::new(),
        };
        let text = format!("{about}{}", comment.text);
        labelled(page, label, Role::Label, vec![Piece::plain(text)]);
        label = "";
    }
}
