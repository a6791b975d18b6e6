//! Frames of Google's versions of QUIC ("QUIC Wire Layout Specification"), as far as they stand
//! in the packets of a handshake: `T050` and `T051` put TLS into them.

use super::frame::Frame;
use crate::protocol::reader::Reader;

/// Bytes of a number in an acknowledgement, by two bits of the frame's type.
const LENGTHS: [usize; 4] = [1, 2, 4, 6];

/// The next frame; `None` at one that is not understood.
pub(super) fn read<'a>(reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    match reader.u8()? {
        // PING
        0x07 => Some(Frame::Other),
        0x08 => {
            let offset = reader.variable()?;
            let data = reader.vector()?;
            Some(Frame::Crypto { offset, data })
        }
        kind @ 0x40..=0x7f => acknowledgment(reader, kind),
        _ => None,
    }
}

/// The largest packet number and when it came, ranges, times of other packets.
fn acknowledgment<'a>(reader: &mut Reader<'a>, kind: u8) -> Option<Frame<'a>> {
    let length = |bits: u8| LENGTHS.get(usize::from(bits & 3)).copied();
    let (largest, range) = (length(kind >> 2)?, length(kind)?);
    reader.take(largest + 2)?;
    let ranges = match kind & 0x20 {
        0 => 0,
        _ => usize::from(reader.u8()?),
    };
    reader.take(range + ranges * (1 + range))?;
    // The first with four bytes of time, the others with two.
    match usize::from(reader.u8()?) {
        0 => {}
        times => {
            reader.take(5 + (times - 1) * 3)?;
        }
    }
    Some(Frame::Other)
}
