//! The header that macOS puts before a packet of its pktap interface (bsd/net/pktap.h of XNU):
//! which way the packet went, and whose it is. The packet behind it is read with the frames.

use super::remarks::{MAX_NAME, text};
use crate::capture::{Direction, Frame, LinkType, NamedBy, NamedProcess, link_type::number};

const FLAGS: usize = 36;
const PROCESS_ID: usize = 52;
const PROCESS_NAME: usize = 56;
/// MAXCOMLEN of bsd/sys/param.h, and the terminating zero.
const PROCESS_NAME_BYTES: usize = 17;

const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Adds to a frame what such a header says of it, where the file itself says nothing.
pub(super) fn complete(frame: &mut Frame) {
    if frame.link_type != LinkType::Other(number::PKTAP) {
        return;
    }
    let Some(header) = header(&frame.data) else {
        return;
    };
    if frame.direction == Direction::Unknown {
        frame.direction = direction(header);
    }
    if let Some(process) = process(header) {
        let note = frame.note.get_or_insert_default();
        note.process.get_or_insert(process);
    }
}

/// The header alone, by the length that it begins with.
fn header(data: &[u8]) -> Option<&[u8]> {
    let length = u32::from_le_bytes(*data.first_chunk()?);
    data.get(..usize::try_from(length).ok()?)
}

fn direction(header: &[u8]) -> Direction {
    match word(header, FLAGS).map(|flags| flags & (INBOUND | OUTBOUND)) {
        Some(INBOUND) => Direction::In,
        Some(OUTBOUND) => Direction::Out,
        _ => Direction::Unknown,
    }
}

/// The process whose socket it is; one that asked it to act (`pth_epid`) has another socket.
/// Darwin gives a packet of nobody the process id -1 or no name.
fn process(header: &[u8]) -> Option<NamedProcess> {
    let pid = word(header, PROCESS_ID)?;
    let name = header.get(PROCESS_NAME..)?.get(..PROCESS_NAME_BYTES)?;
    let name = text(name.split(|byte| *byte == 0).next()?, MAX_NAME);
    let somebody = i32::try_from(pid).is_ok() && !name.is_empty();
    somebody.then_some(NamedProcess {
        pid,
        name,
        path: None,
        by: NamedBy::PacketHeader,
    })
}

/// All machines that write such headers are little-endian.
fn word(header: &[u8], place: usize) -> Option<u32> {
    let bytes = header.get(place..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::HookKind;

    /// A header of 108 bytes, as of macOS 10.9, with these flags and this process.
    fn frame(flags: u32, pid: u32, name: &[u8]) -> Frame {
        let mut data = vec![0; 108];
        data[..4].copy_from_slice(&108_u32.to_le_bytes());
        data[4] = 1;
        data[8] = 1;
        data[FLAGS..FLAGS + 4].copy_from_slice(&flags.to_le_bytes());
        data[PROCESS_ID..PROCESS_ID + 4].copy_from_slice(&pid.to_le_bytes());
        data[PROCESS_NAME..PROCESS_NAME + name.len()].copy_from_slice(name);
        Frame {
            interface: 0,
            direction: Direction::Unknown,
            hook: HookKind::Pcap,
            link_type: LinkType::Other(number::PKTAP),
            cookie: None,
            original_length: 108,
            data,
            note: None,
        }
    }

    fn told(mut frame: Frame) -> (Direction, Option<(u32, String)>) {
        complete(&mut frame);
        let process = frame.note.and_then(|note| note.process);
        (frame.direction, process.map(|it| (it.pid, it.name)))
    }

    #[test]
    fn a_header_names_the_way_and_the_process() {
        let curl = Some((4711, "curl".to_owned()));
        assert_eq!(told(frame(2, 4711, b"curl")), (Direction::Out, curl));
        // The longest name has no room left but for its end.
        let long = told(frame(1 | 0x40, 1, b"com.apple.WebKit\0"));
        assert_eq!(
            long,
            (Direction::In, Some((1, "com.apple.WebKit".to_owned())))
        );
    }

    #[test]
    fn nobody_is_named_where_the_header_names_nobody() {
        let nobody = |frame| assert_eq!(told(frame), (Direction::Unknown, None));
        nobody(frame(0, u32::MAX, b"curl"));
        nobody(frame(3, 0, b""));
        let mut ethernet = frame(1, 4711, b"curl");
        ethernet.link_type = LinkType::Ethernet;
        nobody(ethernet);
        for length in 0..108 {
            let mut cut = frame(1, 4711, b"curl");
            cut.data.truncate(length);
            nobody(cut);
        }
    }

    #[test]
    fn a_header_that_is_shorter_says_only_what_it_holds() {
        let mut short = frame(1, 4711, b"curl");
        short.data[0] = 40;
        assert_eq!(told(short), (Direction::In, None));
    }

    #[test]
    fn what_the_file_says_itself_is_not_replaced() {
        let mut named = frame(1, 4711, b"curl");
        named.direction = Direction::Out;
        let process = NamedProcess {
            pid: 1,
            name: "launchd".to_owned(),
            path: None,
            by: NamedBy::ProcessBlock,
        };
        named.note.get_or_insert_default().process = Some(process);
        let launchd = Some((1, "launchd".to_owned()));
        assert_eq!(told(named), (Direction::Out, launchd));
    }
}
