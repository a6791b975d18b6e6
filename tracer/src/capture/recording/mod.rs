//! Recordings: pcapng files that Wireshark opens and that replay into the same journeys.
//!
//! The frames are ordinary Enhanced Packet Blocks, with nanoseconds, direction
//! (epb_flags) and one Interface Description Block per interface and link type; TLS secrets
//! are Decryption Secrets Blocks, one line of a key log each. They stand before the packets
//! they open, because Wireshark reads once; so the latest packets are held back for a
//! moment ([`Recorder`](crate::capture::recording::Recorder)).
//!
//! Everything else is in notes under the enterprise number that IANA reserves for examples,
//! 32473: in custom options (2989) of the packet that follows, of the section header for the
//! first, and in Custom Blocks (type 0x0BAD, which tools may copy) where no packet follows
//! or the note is too long for an option. Wireshark shows custom blocks as lines of the
//! packet list; as options they leave its frame numbers to be ours.
//!
//! ```text
//! 0  magic "TRCR"
//! 4  version of the format: 1
//! 5  kind: 1 header, 2 frame, 3 fact, 4 secret, 5 take, 6 end
//! 6  zeros at the end that are padding: 0 to 3
//! 7  0
//! 8  the note, as its kind asks, and its padding
//! ```
//!
//! | kind | note | stands |
//! |---|---|---|
//! | header | [`Header`](crate::capture::recording::Header) as JSON | in the section header |
//! | frame | what a packet block cannot say, 28 bytes (`note::FrameNote`) | last in its packet block |
//! | fact | [`Observation`](crate::capture::Observation) as JSON | where it was observed |
//! | secret | the time of one line of key log, u64 | where the line was observed |
//! | take | nanoseconds, u64 | where finished journeys were taken from the assembler |
//! | end | the capture as [`CaptureInfo`](crate::journey::model::CaptureInfo) in JSON | after everything else |
//!
//! Numbers in notes are little endian. Times are nanoseconds since the start of the capture.
//! Notes of another version or kind are skipped and counted. JSON was chosen for what is
//! rare and grows: members and variants can be added without a new version.

mod block;
mod note;
mod recorder;
mod replay;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod tests;

pub use recorder::{Recorder, RecordingError};
pub use replay::{Event, Replay};

use crate::journey::model::{CaptureInfo, HostInfo, TracerInfo};
use serde::{Deserialize, Serialize};

/// Private enterprise number for documentation and examples (RFC 5612).
pub const ENTERPRISE: u32 = 32473;

/// Longest line of key log that travels as one; those of TLS have some 200 bytes.
const MAX_SECRET_BYTES: usize = 4096;

/// What a replay must know before the first observation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    /// Journeys were handed out while the capture went on.
    pub live: bool,
    /// Payload bytes that were kept per direction of a connection.
    pub stream_limit: u64,
    /// The program that recorded; its command line is redacted.
    pub tracer: TracerInfo,
    pub host: HostInfo,
    /// As it was at the start.
    pub capture: CaptureInfo,
}
