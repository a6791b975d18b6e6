//! What stands in our custom blocks.

use super::Header;
use crate::capture::{Direction, Frame, HookKind, LinkType, Observation, PacketNote};
use crate::journey::model::CaptureInfo;
use serde::Serialize;
use serde::de::DeserializeOwned;

const MAGIC: &[u8; 4] = b"TRCR";
const VERSION: u8 = 1;

const HEADER: u8 = 1;
const FRAME: u8 = 2;
const FACT: u8 = 3;
const SECRET: u8 = 4;
const TAKE: u8 = 5;
const END: u8 = 6;

/// A note in a recording.
#[derive(Debug, Clone)]
pub(super) enum Note {
    Header(Box<Header>),
    Frame(FrameNote),
    Fact(Box<Observation>),
    /// The next line of key log was observed here.
    Secret {
        at_ns: u64,
    },
    /// Finished journeys were taken here.
    Take {
        now_ns: u64,
    },
    End(Box<CaptureInfo>),
}

/// What a packet block cannot say of the frame in it. 28 bytes:
/// time (u64), socket cookie (u64), interface index (u32), length on the wire (u32), link
/// type (u16), hook (u8), direction (bits 0-1) and whether there is a cookie (bit 2) (u8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameNote {
    pub at_ns: u64,
    pub cookie: Option<u64>,
    pub interface: u32,
    pub original_length: u32,
    pub link_type: LinkType,
    pub hook: HookKind,
    pub direction: Direction,
}

/// Why a note is skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoteError {
    #[error("version {0} of the format is not known")]
    Version(u8),
    #[error("notes of kind {0} are not known")]
    Kind(u8),
    #[error("a note is not readable: {0}")]
    Damaged(String),
}

const COOKIE_KNOWN: u8 = 0b100;

impl FrameNote {
    const LENGTH: usize = 28;

    pub fn of(at_ns: u64, frame: &Frame) -> Self {
        Self {
            at_ns,
            cookie: frame.cookie,
            interface: frame.interface,
            original_length: frame.original_length,
            link_type: frame.link_type,
            hook: frame.hook,
            direction: frame.direction,
        }
    }

    /// The frame whose bytes a packet block gave, and what others wrote beside them since.
    pub fn frame(self, data: Vec<u8>, note: Option<Box<PacketNote>>) -> Frame {
        Frame {
            interface: self.interface,
            direction: self.direction,
            hook: self.hook,
            link_type: self.link_type,
            cookie: self.cookie,
            original_length: self.original_length,
            data,
            note,
        }
    }

    fn encode(self) -> Vec<u8> {
        let direction = match self.direction {
            Direction::Unknown => 0,
            Direction::In => 1,
            Direction::Out => 2,
        };
        let cookie = self.cookie.map_or(0, |_| COOKIE_KNOWN);
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.extend(self.at_ns.to_le_bytes());
        bytes.extend(self.cookie.unwrap_or(0).to_le_bytes());
        bytes.extend(self.interface.to_le_bytes());
        bytes.extend(self.original_length.to_le_bytes());
        bytes.extend(link_number(self.link_type).to_le_bytes());
        bytes.extend([hook_number(self.hook), direction | cookie]);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (at_ns, rest) = bytes.split_first_chunk()?;
        let (cookie, rest) = rest.split_first_chunk()?;
        let (interface, rest) = rest.split_first_chunk()?;
        let (original_length, rest) = rest.split_first_chunk()?;
        let (link_type, rest) = rest.split_first_chunk()?;
        let [hook, bits] = *rest.first_chunk()?;
        Some(Self {
            at_ns: u64::from_le_bytes(*at_ns),
            cookie: (bits & COOKIE_KNOWN != 0).then_some(u64::from_le_bytes(*cookie)),
            interface: u32::from_le_bytes(*interface),
            original_length: u32::from_le_bytes(*original_length),
            link_type: link_type_of(u16::from_le_bytes(*link_type)),
            hook: hook_of(hook)?,
            direction: match bits & 0b11 {
                1 => Direction::In,
                2 => Direction::Out,
                _ => Direction::Unknown,
            },
        })
    }
}

impl Note {
    /// The note with what stands before it. Fails only when a fact cannot be written as
    /// JSON, which no fact but a frame does.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let (kind, body) = match self {
            Self::Header(header) => (HEADER, json(header)?),
            Self::Frame(frame) => (FRAME, frame.encode()),
            Self::Fact(fact) => (FACT, json(fact)?),
            Self::Secret { at_ns } => (SECRET, at_ns.to_le_bytes().to_vec()),
            Self::Take { now_ns } => (TAKE, now_ns.to_le_bytes().to_vec()),
            Self::End(capture) => (END, json(capture)?),
        };
        let padding = body.len().next_multiple_of(4) - body.len();
        let mut bytes = MAGIC.to_vec();
        bytes.extend([VERSION, kind, u8::try_from(padding).unwrap_or(0), 0]);
        bytes.extend(body);
        // Written here, so that a note is the same in a block and in an option.
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        Ok(bytes)
    }

    /// Reads a custom block; `None` when it is not ours.
    pub fn decode(data: &[u8]) -> Option<Result<Self, NoteError>> {
        let rest = data.strip_prefix(MAGIC)?;
        let ([version, kind, padding, _], body) = rest.split_first_chunk()?;
        if *version != VERSION {
            return Some(Err(NoteError::Version(*version)));
        }
        let end = body.len().checked_sub(usize::from(*padding));
        let body = end.and_then(|end| body.get(..end));
        Some(match body {
            Some(body) => Self::decode_body(*kind, body),
            None => Err(NoteError::Damaged("it is cut".into())),
        })
    }

    fn decode_body(kind: u8, body: &[u8]) -> Result<Self, NoteError> {
        let number = || {
            let bytes = body.first_chunk().copied();
            let number = bytes.map(u64::from_le_bytes);
            number.ok_or_else(|| NoteError::Damaged("a time is cut".into()))
        };
        Ok(match kind {
            HEADER => Self::Header(parse(body)?),
            FRAME => {
                let frame = FrameNote::decode(body);
                Self::Frame(frame.ok_or_else(|| {
                    NoteError::Damaged("it names a hook that is not known, or is cut".into())
                })?)
            }
            FACT => Self::Fact(parse(body)?),
            SECRET => Self::Secret { at_ns: number()? },
            TAKE => Self::Take { now_ns: number()? },
            END => Self::End(parse(body)?),
            other => return Err(NoteError::Kind(other)),
        })
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(value)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<Box<T>, NoteError> {
    let parsed = serde_json::from_slice(body);
    parsed.map_err(|error| NoteError::Damaged(error.to_string()))
}

/// Number in libpcap's registry of link-layer header types.
pub(super) const fn link_number(link_type: LinkType) -> u16 {
    match link_type {
        LinkType::Null => 0,
        LinkType::Ethernet => 1,
        LinkType::RawIp => 101,
        LinkType::Loop => 108,
        LinkType::LinuxCookedV1 => 113,
        LinkType::LinuxCookedV2 => 276,
        LinkType::Other(number) => number,
    }
}

const fn link_type_of(number: u16) -> LinkType {
    match number {
        0 => LinkType::Null,
        1 => LinkType::Ethernet,
        101 => LinkType::RawIp,
        108 => LinkType::Loop,
        113 => LinkType::LinuxCookedV1,
        276 => LinkType::LinuxCookedV2,
        other => LinkType::Other(other),
    }
}

/// Hooks by their numbers in the format.
const HOOKS: [HookKind; 12] = [
    HookKind::Xdp,
    HookKind::Tcx,
    HookKind::Clsact,
    HookKind::Kprobe,
    HookKind::Fentry,
    HookKind::TpBtf,
    HookKind::Tracepoint,
    HookKind::Uprobe,
    HookKind::SockOps,
    HookKind::Cgroup,
    HookKind::Netlink,
    HookKind::Pcap,
];

fn hook_number(hook: HookKind) -> u8 {
    let position = HOOKS.iter().position(|known| *known == hook);
    position
        .and_then(|position| u8::try_from(position).ok())
        .unwrap_or(u8::MAX)
}

fn hook_of(number: u8) -> Option<HookKind> {
    HOOKS.get(usize::from(number)).copied()
}
