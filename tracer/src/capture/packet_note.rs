//! What people and recorders wrote beside the bytes of packets.

use serde::{Deserialize, Serialize};

/// What a capture file says of one packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PacketNote {
    /// opt_comment, in order; not yet safe to print.
    pub comments: Vec<String>,
    /// Whose packet it is, by the recorder's word.
    pub process: Option<NamedProcess>,
}

impl PacketNote {
    pub fn is_empty(&self) -> bool {
        self.comments.is_empty() && self.process.is_none()
    }
}

/// A process as the recorder named it. Nothing of it is verified, nor safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedProcess {
    pub pid: u32,
    /// Empty where the file does not say.
    pub name: String,
    /// Path of the executable.
    pub path: Option<String>,
    /// What names it.
    pub by: NamedBy,
}

/// What of a capture file names the process of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// A process block of a pcapng, which the packet points at.
    ProcessBlock,
    /// The header of a pktap interface before the packet.
    PacketHeader,
}

impl NamedBy {
    /// In words, as evidence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessBlock => "pcapng process block",
            Self::PacketHeader => "PKTAP header",
        }
    }
}

/// A comment that is about no packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileComment {
    /// The interface that it is about; `None`: all of the section.
    pub interface: Option<u32>,
    /// opt_comment; not yet safe to print.
    pub text: String,
}
