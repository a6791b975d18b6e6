//! What a pcapng says beside the bytes of its packets: comments, and the processes that
//! macOS names (bsd/net/pktap.h of XNU, pcapng.h of Apple's libpcap).

use crate::capture::{NamedBy, NamedProcess, PacketNote};
use pcap_parser::{OptionCode, PcapNGOption};

/// Comments of one packet, interface or section, and characters of each, that are kept.
const MAX_COMMENTS: usize = 8;
const MAX_COMMENT: usize = 1000;
/// Processes of one section that are kept, and characters of their names and paths.
const MAX_PROCESSES: usize = 4096;
pub(super) const MAX_NAME: usize = 255;

const PROCESS_NAME: OptionCode = OptionCode(2);
const PROCESS_PATH: OptionCode = OptionCode(3);
/// Number of the process block in its section, from 0.
const PROCESS_INDEX: OptionCode = OptionCode(0x8001);

/// The processes of one section, by their order.
#[derive(Debug, Default)]
pub(super) struct Processes(Vec<NamedProcess>);

impl Processes {
    pub fn push(&mut self, pid: u32, options: &[PcapNGOption<'_>]) {
        if self.0.len() < MAX_PROCESSES {
            let of = |code| option(options, code).map(|value| text(value, MAX_NAME));
            self.0.push(NamedProcess {
                pid,
                name: of(PROCESS_NAME).unwrap_or_default(),
                path: of(PROCESS_PATH),
                by: NamedBy::ProcessBlock,
            });
        }
    }

    /// `None` for a packet of no process, which Darwin gives the number -1.
    pub fn get(&self, index: u64) -> Option<&NamedProcess> {
        let process = self.0.get(usize::try_from(index).ok()?)?;
        i32::try_from(process.pid).is_ok().then_some(process)
    }
}

/// What the options of a packet say of it, with their numbers read and their processes found
/// in the way of their section.
pub(super) fn note<'a>(
    options: &[PcapNGOption<'_>],
    number: impl Fn(&[u8]) -> Option<u64>,
    process: impl Fn(u64) -> Option<&'a NamedProcess>,
) -> Option<Box<PacketNote>> {
    let note = PacketNote {
        comments: comments(options).collect(),
        process: option(options, PROCESS_INDEX)
            .and_then(number)
            .and_then(process)
            .cloned(),
    };
    (!note.is_empty()).then(|| Box::new(note))
}

/// What was written of a packet, an interface or a section.
pub(super) fn comments(options: &[PcapNGOption<'_>]) -> impl Iterator<Item = String> {
    let comments = options.iter().filter(|it| it.code == OptionCode::Comment);
    comments
        .filter_map(|comment| comment.as_bytes().ok())
        .map(|value| text(value, MAX_COMMENT))
        .filter(|comment| !comment.is_empty())
        .take(MAX_COMMENTS)
}

/// The value of the first option with this code, without its padding.
pub(super) fn option<'a>(options: &'a [PcapNGOption<'_>], code: OptionCode) -> Option<&'a [u8]> {
    let option = options.iter().find(|option| option.code == code)?;
    option.as_bytes().ok()
}

/// At most `limit` characters. Some writers count the terminating zero.
pub(super) fn text(value: &[u8], limit: usize) -> String {
    let whole = String::from_utf8_lossy(value);
    whole.trim_end_matches('\0').chars().take(limit).collect()
}
