//! What people and recorders wrote beside the bytes of a packet.

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
}
