//! What a capture file says of itself, of its interfaces, and of frames that no connection has.

use super::evidence::{InterfaceNames, Mark};
use super::model::CaptureComment;
use crate::capture::{FileComment, PacketNote};
use crate::protocol::text::printable;

/// Comments kept of one capture; what comes later is left out.
const COMMENTS: usize = 100;
/// Characters kept of one. The readers of files keep no more, but a note of a recording may say
/// anything.
const CHARACTERS: usize = 1000;

/// The comments of one capture, in order of the file.
#[derive(Debug, Default)]
pub(super) struct CaptureRemarks(Vec<CaptureComment>);

impl CaptureRemarks {
    /// Takes what was written of a section or an interface.
    pub fn file(&mut self, comment: &FileComment, interfaces: &InterfaceNames) {
        let name = |index| match interfaces.name(index) {
            Some(name) => printable(name),
            None => index.to_string(),
        };
        self.push(CaptureComment {
            interface: comment.interface.map(name),
            frame: None,
            at_ns: None,
            text: shown(&comment.text),
        });
    }

    /// Takes what was written of a frame that belongs to no connection.
    pub fn frame(&mut self, mark: Mark, note: &PacketNote) {
        for text in &note.comments {
            self.push(CaptureComment {
                interface: None,
                frame: Some(mark.number),
                at_ns: Some(mark.at_ns),
                text: shown(text),
            });
        }
    }

    fn push(&mut self, comment: CaptureComment) {
        if self.0.len() < COMMENTS {
            self.0.push(comment);
        }
    }

    pub fn comments(&self) -> Vec<CaptureComment> {
        self.0.clone()
    }
}

fn shown(text: &str) -> String {
    printable(text.chars().take(CHARACTERS).collect::<String>())
}
