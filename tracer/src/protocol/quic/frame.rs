//! Frames of a packet in clear (RFC 9000, section 19): those that tell something of the
//! handshake, of requests or of the end; the others are skipped.

use super::{google, version};
use crate::protocol::reader::Reader;

/// A frame that matters to the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A part of the handshake.
    Crypto { offset: u64, data: &'a [u8] },
    Stream {
        id: u64,
        offset: u64,
        data: &'a [u8],
        end: bool,
    },
    /// The end of the connection, by the transport or by the application.
    Close {
        application: bool,
        code: u64,
        reason: &'a [u8],
    },
    /// Acknowledgements, flow control and the like.
    Other,
}

/// The frames of `payload`, up to the first that is not understood.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    reader: Reader<'a>,
    /// In the format of Google's versions.
    google: bool,
}

/// The frames of a packet of this version.
pub const fn frames(version: u32, payload: &[u8]) -> Frames<'_> {
    Frames {
        reader: Reader::new(payload),
        google: version::is_google(version),
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        // Padding is the longest run of equal frames there is.
        let padding = self.reader.rest().iter().take_while(|byte| **byte == 0);
        let padding = padding.count();
        self.reader.take(padding)?;
        let frame = match self.google {
            true => google::read(&mut self.reader),
            false => read(&mut self.reader),
        };
        if frame.is_none() {
            self.reader = Reader::new(&[]);
        }
        frame
    }
}

fn read<'a>(reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    let kind = reader.variable()?;
    let integers = match kind {
        // PING, HANDSHAKE_DONE
        0x01 | 0x1e => 0,
        0x02 | 0x03 => return acknowledgment(reader, kind == 0x03),
        0x06 => {
            let offset = reader.variable()?;
            let data = reader.vector()?;
            return Some(Frame::Crypto { offset, data });
        }
        0x08..=0x0f => return stream(reader, kind),
        // MAX_DATA, MAX_STREAMS, DATA_BLOCKED, STREAMS_BLOCKED, RETIRE_CONNECTION_ID
        0x10 | 0x12 | 0x13 | 0x14 | 0x16 | 0x17 | 0x19 => 1,
        // STOP_SENDING, MAX_STREAM_DATA, STREAM_DATA_BLOCKED
        0x05 | 0x11 | 0x15 => 2,
        // RESET_STREAM
        0x04 => 3,
        // NEW_TOKEN, DATAGRAM with a length (RFC 9221)
        0x07 | 0x31 => {
            reader.vector()?;
            0
        }
        // NEW_CONNECTION_ID: sequence, retire prior to, the id, a reset token
        0x18 => {
            reader.variable()?;
            reader.variable()?;
            reader.vector8()?;
            reader.take(16)?;
            0
        }
        // PATH_CHALLENGE, PATH_RESPONSE
        0x1a | 0x1b => {
            reader.take(8)?;
            0
        }
        0x1c | 0x1d => return close(reader, kind == 0x1d),
        // DATAGRAM to the end of the packet
        0x30 => {
            reader.take(reader.rest().len())?;
            0
        }
        _ => return None,
    };
    for _ in 0..integers {
        reader.variable()?;
    }
    Some(Frame::Other)
}

/// RFC 9000, section 19.3. Each range takes at least two bytes, so that the loop ends with
/// the packet.
fn acknowledgment<'a>(reader: &mut Reader<'a>, with_ecn: bool) -> Option<Frame<'a>> {
    reader.variable()?;
    reader.variable()?;
    let ranges = reader.variable()?;
    reader.variable()?;
    for _ in 0..ranges {
        reader.variable()?;
        reader.variable()?;
    }
    for _ in 0..if with_ecn { 3 } else { 0 } {
        reader.variable()?;
    }
    Some(Frame::Other)
}

/// RFC 9000, section 19.8: the three lowest bits tell what is there.
fn stream<'a>(reader: &mut Reader<'a>, kind: u64) -> Option<Frame<'a>> {
    let id = reader.variable()?;
    let offset = if kind & 4 != 0 { reader.variable()? } else { 0 };
    let data = if kind & 2 != 0 {
        reader.vector()?
    } else {
        reader.take(reader.rest().len())?
    };
    Some(Frame::Stream {
        id,
        offset,
        data,
        end: kind & 1 != 0,
    })
}

fn close<'a>(reader: &mut Reader<'a>, application: bool) -> Option<Frame<'a>> {
    let code = reader.variable()?;
    if !application {
        reader.variable()?;
    }
    let reason = reader.vector()?;
    Some(Frame::Close {
        application,
        code,
        reason,
    })
}

/// The name of an error code of the transport (RFC 9000, section 20.1).
pub fn error_name(code: u64) -> String {
    let name = match code {
        0x00 => "NO_ERROR",
        0x01 => "INTERNAL_ERROR",
        0x02 => "CONNECTION_REFUSED",
        0x03 => "FLOW_CONTROL_ERROR",
        0x04 => "STREAM_LIMIT_ERROR",
        0x05 => "STREAM_STATE_ERROR",
        0x06 => "FINAL_SIZE_ERROR",
        0x07 => "FRAME_ENCODING_ERROR",
        0x08 => "TRANSPORT_PARAMETER_ERROR",
        0x09 => "CONNECTION_ID_LIMIT_ERROR",
        0x0a => "PROTOCOL_VIOLATION",
        0x0b => "INVALID_TOKEN",
        0x0c => "APPLICATION_ERROR",
        0x0d => "CRYPTO_BUFFER_EXCEEDED",
        0x0e => "KEY_UPDATE_ERROR",
        0x0f => "AEAD_LIMIT_REACHED",
        0x10 => "NO_VIABLE_PATH",
        // RFC 9368, section 7.
        0x11 => "VERSION_NEGOTIATION_ERROR",
        0x100..=0x1ff => return format!("CRYPTO_ERROR {:#06x}", code),
        _ => return format!("{code:#x}"),
    };
    name.to_owned()
}
