//! What a capture file says of a connection's packets beside their bytes.

use crate::capture::{Direction, NamedBy, NamedProcess, PacketNote};
use crate::journey::evidence::Mark;
use crate::journey::model::{Attribution, Comment, End, Process};
use crate::protocol::text::printable;

/// Comments kept of one connection; what comes later is left out.
const COMMENTS: usize = 100;

/// What was written of the packets of one connection.
#[derive(Debug, Default)]
pub(in crate::journey) struct Remarks {
    pub comments: Vec<Comment>,
    /// The first process that was named at each end, and by which frame.
    client: Option<(NamedProcess, Mark)>,
    server: Option<(NamedProcess, Mark)>,
}

impl Remarks {
    /// Takes what was written of a frame that `sender` sent.
    pub fn frame(&mut self, sender: End, mark: Mark, note: &PacketNote) {
        let room = COMMENTS.saturating_sub(self.comments.len());
        let comments = note.comments.iter().take(room);
        self.comments.extend(comments.map(|text| Comment {
            at_ns: mark.at_ns,
            end: sender,
            frame: mark.number,
            text: printable(text),
        }));
        let Some(process) = &note.process else { return };
        // It is a process of the host that captured, which the direction tells.
        let named = match (mark.direction, sender) {
            (Direction::Out, End::Client) | (Direction::In, End::Server) => &mut self.client,
            (Direction::Out, End::Server) | (Direction::In, End::Client) => &mut self.server,
            (Direction::Unknown, _) => &mut self.client,
        };
        named.get_or_insert_with(|| (process.clone(), mark));
    }

    /// The process at one end by the file's word, and what of which frame named it. The kernel that
    /// recorded looked it up for a packet; that it is this connection's follows from addresses
    /// and ports.
    pub fn process(&self, end: End) -> Option<(Process, NamedBy, Mark)> {
        let named = match end {
            End::Client => &self.client,
            End::Server => &self.server,
        };
        let (process, mark) = named.as_ref()?;
        let described = Process {
            pid: process.pid,
            namespace_pid: None,
            comm: printable(&process.name),
            exe: process.path.as_ref().map(printable),
            command: Vec::new(),
            uid: None,
            cgroup: None,
            container: None,
            attribution: Attribution::Tuple,
        };
        Some((described, process.by, *mark))
    }

    /// Memory that the comments take, in bytes.
    pub fn weight(&self) -> usize {
        let comments = self.comments.iter();
        let texts: usize = comments.map(|comment| comment.text.len()).sum();
        size_of::<Self>() + self.comments.len() * size_of::<Comment>() + texts
    }
}
