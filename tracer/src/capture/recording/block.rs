//! Blocks of pcapng, written little endian (draft-ietf-opsawg-pcapng).

use super::ENTERPRISE;
use crate::capture::{Direction, Frame, Interface};
use std::net::IpAddr;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;
/// The kind of custom block that a tool may copy into a changed file.
const CUSTOM_COPYABLE: u32 = 0x0bad;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const TLS_KEY_LOG: u32 = 0x544c_534b;

/// opt_custom with bytes, which a tool may copy.
const CUSTOM_OPTION: u16 = 2989;
const COMMENT: u16 = 1;
const SHB_OS: u16 = 3;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_IPV4_ADDRESS: u16 = 4;
const IF_IPV6_ADDRESS: u16 = 5;
const IF_MAC_ADDRESS: u16 = 6;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;

/// if_tsresol: 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// A block in the making.
struct Block {
    bytes: Vec<u8>,
    options: bool,
}

impl Block {
    fn new(kind: u32) -> Self {
        let mut bytes = kind.to_le_bytes().to_vec();
        // Its length, once that is known.
        bytes.extend([0; 4]);
        Self {
            bytes,
            options: false,
        }
    }

    fn number(mut self, number: u32) -> Self {
        self.bytes.extend(number.to_le_bytes());
        self
    }

    fn halves(mut self, halves: [u16; 2]) -> Self {
        self.bytes
            .extend(halves.into_iter().flat_map(u16::to_le_bytes));
        self
    }

    /// Padded to four bytes.
    fn data(mut self, data: &[u8]) -> Self {
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// What does not fit into an option is cut.
    fn option(self, code: u16, value: &[u8]) -> Self {
        let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        let mut block = self.halves([code, length]).data(value);
        block.options = true;
        block
    }

    fn note(self, note: &[u8]) -> Self {
        let mut value = ENTERPRISE.to_le_bytes().to_vec();
        value.extend_from_slice(note);
        self.option(CUSTOM_OPTION, &value)
    }

    fn finish(mut self) -> Vec<u8> {
        if self.options {
            // opt_endofopt
            self = self.number(0);
        }
        let length = length(&self.bytes).saturating_add(4).to_le_bytes();
        if let Some(place) = self.bytes.get_mut(4..8) {
            place.copy_from_slice(&length);
        }
        self.bytes.extend(length);
        self.bytes
    }
}

/// The beginning of the file. Texts are for people who open it with other programs.
/// `note` is one of our own, where it fits.
pub(super) fn section(
    application: &str,
    system: Option<&str>,
    comment: &str,
    note: Option<&[u8]>,
) -> Vec<u8> {
    let mut block = Block::new(SECTION_HEADER)
        .number(BYTE_ORDER_MAGIC)
        // Version 1.0
        .halves([1, 0])
        // The length of the section is not given.
        .number(u32::MAX)
        .number(u32::MAX)
        .option(COMMENT, comment.as_bytes());
    if let Some(system) = system {
        block = block.option(SHB_OS, system.as_bytes());
    }
    block = block.option(SHB_USERAPPL, application.as_bytes());
    if let Some(note) = note {
        block = block.note(note);
    }
    block.finish()
}

/// An interface with what is known of it.
pub(super) fn interface(link_type: u16, known: Option<&Interface>) -> Vec<u8> {
    // Snapshot length 0: no limit.
    let mut block = Block::new(INTERFACE_DESCRIPTION)
        .halves([link_type, 0])
        .number(0);
    if let Some(known) = known {
        block = block.option(IF_NAME, known.name.as_bytes());
        for (address, prefix) in &known.addresses {
            block = match address {
                IpAddr::V4(address) => {
                    let mask = u32::MAX.checked_shl(32 - u32::from(*prefix).min(32));
                    let mut value = address.octets().to_vec();
                    value.extend(mask.unwrap_or(0).to_be_bytes());
                    block.option(IF_IPV4_ADDRESS, &value)
                }
                IpAddr::V6(address) => {
                    let mut value = address.octets().to_vec();
                    value.push(*prefix);
                    block.option(IF_IPV6_ADDRESS, &value)
                }
            };
        }
        if let Some(mac) = known.mac {
            block = block.option(IF_MAC_ADDRESS, &mac);
        }
    }
    block.option(IF_TSRESOL, &[NANOSECONDS]).finish()
}

/// A packet with notes of our own; `interface` is the position of its description.
pub(super) fn packet(interface: u32, unix_nano: u64, frame: &Frame, notes: &[Vec<u8>]) -> Vec<u8> {
    let [high, low] = [unix_nano >> 32, unix_nano & u64::from(u32::MAX)]
        .map(|half| u32::try_from(half).unwrap_or(u32::MAX));
    let captured = length(&frame.data);
    let mut block = Block::new(ENHANCED_PACKET)
        .number(interface)
        .number(high)
        .number(low)
        .number(captured)
        .number(frame.original_length.max(captured))
        .data(&frame.data);
    let flags: Option<u32> = match frame.direction {
        Direction::In => Some(1),
        Direction::Out => Some(2),
        Direction::Unknown => None,
    };
    if let Some(flags) = flags {
        block = block.option(EPB_FLAGS, &flags.to_le_bytes());
    }
    for note in notes {
        block = block.note(note);
    }
    block.finish()
}

/// One line of a TLS key log.
pub(super) fn secret(line: &str) -> Vec<u8> {
    let line = format!("{line}\n");
    Block::new(DECRYPTION_SECRETS)
        .number(TLS_KEY_LOG)
        .number(length(line.as_bytes()))
        .data(line.as_bytes())
        .finish()
}

/// One of our own notes.
pub(super) fn custom(note: &[u8]) -> Vec<u8> {
    Block::new(CUSTOM_COPYABLE)
        .number(ENTERPRISE)
        .data(note)
        .finish()
}

/// Whether a note fits into an option, beside the enterprise number.
pub(super) fn fits_option(note: &[u8]) -> bool {
    note.len() <= usize::from(u16::MAX) - 4
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
