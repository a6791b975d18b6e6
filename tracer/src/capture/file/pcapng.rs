//! pcapng: sections with their own byte order and interfaces, packets, TLS secrets, and
//! what recorders counted.

use super::remarks::{self, Processes, option};
use super::{Decode, Item, Reading};
use crate::capture::{
    Direction, Fact, FileComment, Frame, HookKind, Interface, LinkType, link_type, spare,
};
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{
    Block, CustomBlock, DecryptionSecretsBlock, EnhancedPacketBlock, InterfaceDescriptionBlock,
    InterfaceStatisticsBlock, OptionCode, PcapBlockOwned, PcapNGOption, SecretsType,
    SimplePacketBlock,
};
use std::net::IpAddr;

/// Interfaces of one section, and names in the summary; more is damage.
const MAX_INTERFACES: usize = 4096;

/// Longest interface name that is kept, bytes. Linux has 15, Windows writes paths.
const MAX_NAME_BYTES: usize = 255;

/// The Packet Block, obsolete but still met (draft-ietf-opsawg-pcapng, appendix A);
/// pcap-parser leaves it to us.
const PACKET_BLOCK: u32 = 2;

/// What macOS calls the process event block, and the length of one without options.
const PROCESS_BLOCK: u32 = 0x8000_0001;
const PROCESS_BLOCK_LENGTH: u32 = 16;

/// Type of a section header block, the same in both byte orders; its length has the order
/// that the section is about to have.
const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const MIN_BLOCK_BYTES: u32 = 12;

/// Option codes that pcap-parser does not name or reads wrongly.
const IF_IPV6_ADDRESS: OptionCode = OptionCode(5);
const EPB_FLAGS: OptionCode = OptionCode(2);
/// opt_custom with bytes that may be copied.
const CUSTOM_BYTES: OptionCode = OptionCode(2989);

#[derive(Default)]
pub(super) struct Decoder {
    big_endian: bool,
    /// Of this section, by their order.
    interfaces: Vec<Described>,
    /// Interfaces of the sections before.
    earlier: u32,
    /// Of this section.
    processes: Processes,
}

/// An interface of this section.
struct Described {
    link_type: LinkType,
    resolution: Resolution,
    /// Packets it dropped, as last counted.
    dropped: u64,
}

impl Decode for Decoder {
    fn block(&mut self, block: PcapBlockOwned<'_>, reading: &mut Reading<'_>) {
        let PcapBlockOwned::NG(block) = block else {
            return;
        };
        match block {
            Block::SectionHeader(section) => {
                self.big_endian = section.big_endian();
                self.earlier = self.earlier.saturating_add(count(&self.interfaces));
                self.interfaces.clear();
                self.processes = Processes::default();
                self.custom_options(&section.options, reading);
                comments(None, &section.options, reading);
            }
            Block::InterfaceDescription(interface) => {
                if let Some(index) = self.interface(&interface, reading) {
                    comments(Some(index), &interface.options, reading);
                }
            }
            Block::EnhancedPacket(packet) => self.enhanced_packet(&packet, reading),
            Block::SimplePacket(packet) => self.simple_packet(&packet, reading),
            Block::InterfaceStatistics(statistics) => self.statistics(&statistics, reading),
            Block::DecryptionSecrets(secrets) => decryption_secrets(&secrets, reading),
            Block::Custom(custom) => self.custom(&custom, reading),
            Block::Unknown(block) if self.is_packet_block(block.block_type) => {
                self.obsolete_packet(block.data, reading);
            }
            Block::ProcessInformation(process) => {
                self.processes.push(process.process_id, &process.options);
            }
            // Names, journals: their packets are read without them.
            _ => {}
        }
    }

    /// A block is at least its type and twice its length. pcap-parser 0.17 subtracts from
    /// the length of a process block what it did not check to be there, and panics in debug
    /// builds.
    fn is_damage(&self, data: &[u8]) -> bool {
        let Some(([k0, k1, k2, k3, length @ ..], _)) = data.split_first_chunk::<8>() else {
            return false;
        };
        let (kind, length) = match self.big_endian {
            true => (
                u32::from_be_bytes([*k0, *k1, *k2, *k3]),
                u32::from_be_bytes(*length),
            ),
            false => (
                u32::from_le_bytes([*k0, *k1, *k2, *k3]),
                u32::from_le_bytes(*length),
            ),
        };
        let least = match kind {
            PROCESS_BLOCK => PROCESS_BLOCK_LENGTH,
            _ => MIN_BLOCK_BYTES,
        };
        !data.starts_with(&SECTION_HEADER) && length < least
    }
}

/// What was written of an interface, or of the section.
fn comments(interface: Option<u32>, options: &[PcapNGOption<'_>], reading: &mut Reading<'_>) {
    for text in remarks::comments(options) {
        reading.fact(Fact::Comment(FileComment { interface, text }));
    }
}

impl Decoder {
    /// Returns its index, unless there are too many.
    fn interface(
        &mut self,
        block: &InterfaceDescriptionBlock<'_>,
        reading: &mut Reading<'_>,
    ) -> Option<u32> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return None;
        }
        let [.., high, low] = block.linktype.0.to_be_bytes();
        self.interfaces.push(Described {
            link_type: LinkType::from_number(u16::from_be_bytes([high, low])),
            resolution: Resolution {
                exponent: option(&block.options, OptionCode::IfTsresol)
                    .and_then(|value| value.first())
                    .copied()
                    .unwrap_or(Resolution::MICROSECONDS),
                offset_seconds: option(&block.options, OptionCode::IfTsoffset)
                    .and_then(|value| self.number(value))
                    .map_or(0, u64::cast_signed),
            },
            dropped: 0,
        });
        // From 1: 0 stands for a file that does not say.
        let index = self.earlier.saturating_add(count(&self.interfaces));
        let Some(name) = option(&block.options, OptionCode::IfName)
            .map(interface_name)
            .filter(|name| !name.is_empty())
        else {
            return Some(index);
        };
        let names = &mut reading.summary.interfaces;
        if !names.contains(&name) && names.len() < MAX_INTERFACES {
            names.push(name.clone());
        }
        reading.fact(Fact::Interface(Interface {
            index,
            loopback: name == "lo" || name == "lo0",
            name,
            mac: option(&block.options, OptionCode::IfMacAddr)
                .and_then(|value| value.try_into().ok()),
            mtu: 0,
            addresses: block.options.iter().filter_map(address).collect(),
            temporary: Vec::new(),
        }));
        Some(index)
    }

    fn enhanced_packet(&self, block: &EnhancedPacketBlock<'_>, reading: &mut Reading<'_>) {
        let interface = usize::try_from(block.if_id)
            .ok()
            .and_then(|index| self.interfaces.get(index));
        let ticks = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
        let direction = option(&block.options, EPB_FLAGS)
            .and_then(|value| self.number(value))
            .map_or(Direction::Unknown, |flags| match flags & 0b11 {
                0b01 => Direction::In,
                0b10 => Direction::Out,
                _ => Direction::Unknown,
            });
        let frame = Frame {
            interface: interface.map_or(0, |_| {
                self.earlier.saturating_add(block.if_id).saturating_add(1)
            }),
            direction,
            hook: HookKind::Pcap,
            link_type: interface.map_or(LinkType::Other(link_type::UNDECLARED), |it| it.link_type),
            cookie: None,
            original_length: block.origlen.max(length(block.packet_data())),
            data: spare::copy_of(block.packet_data()),
            note: remarks::note(
                &block.options,
                |value| self.number(value),
                |index| self.processes.get(index),
            ),
        };
        let time = interface.map(|interface| interface.resolution.unix_nano(ticks));
        self.custom_options(&block.options, reading);
        reading.packet(time, frame);
    }

    /// pcap-parser reads the types of blocks in little endian, whatever the section's order.
    fn is_packet_block(&self, block_type: u32) -> bool {
        match self.big_endian {
            true => block_type.swap_bytes() == PACKET_BLOCK,
            false => block_type == PACKET_BLOCK,
        }
    }

    /// Interface (16 bits), packets dropped before this one (16 bits), time, captured and
    /// original length, data, options; of the options only the flags would matter.
    fn obsolete_packet(&self, body: &[u8], reading: &mut Reading<'_>) {
        let Some((header, rest)) = body.split_first_chunk::<20>() else {
            return;
        };
        let [i0, i1, _, _, times @ ..] = *header;
        let index = match self.big_endian {
            true => u16::from_be_bytes([i0, i1]),
            false => u16::from_le_bytes([i0, i1]),
        };
        let mut numbers = times
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| match self.big_endian {
                true => u32::from_be_bytes(*bytes),
                false => u32::from_le_bytes(*bytes),
            });
        let mut next = || numbers.next().unwrap_or(0);
        let (high, low, captured, original_length) = (next(), next(), next(), next());
        let data = usize::try_from(captured)
            .ok()
            .and_then(|length| rest.get(..length));
        let data = data.unwrap_or(rest);
        let interface = self.interfaces.get(usize::from(index));
        let frame = Frame {
            interface: interface.map_or(0, |_| {
                self.earlier
                    .saturating_add(u32::from(index))
                    .saturating_add(1)
            }),
            direction: Direction::Unknown,
            hook: HookKind::Pcap,
            link_type: interface.map_or(LinkType::Other(link_type::UNDECLARED), |it| it.link_type),
            cookie: None,
            original_length: original_length.max(length(data)),
            data: spare::copy_of(data),
            note: None,
        };
        let ticks = u64::from(high) << 32 | u64::from(low);
        let time = interface.map(|interface| interface.resolution.unix_nano(ticks));
        reading.packet(time, frame);
    }

    /// A packet without a time, on the first interface.
    fn simple_packet(&self, block: &SimplePacketBlock<'_>, reading: &mut Reading<'_>) {
        let interface = self.interfaces.first();
        let frame = Frame {
            interface: interface.map_or(0, |_| self.earlier.saturating_add(1)),
            direction: Direction::Unknown,
            hook: HookKind::Pcap,
            link_type: interface.map_or(LinkType::Other(link_type::UNDECLARED), |it| it.link_type),
            cookie: None,
            original_length: block.origlen.max(length(block.packet_data())),
            data: spare::copy_of(block.packet_data()),
            note: None,
        };
        reading.packet(None, frame);
    }

    /// What the recorder could not record. Counters count up, so the difference to the
    /// last one is new.
    fn statistics(&mut self, block: &InterfaceStatisticsBlock<'_>, reading: &mut Reading<'_>) {
        let dropped = [OptionCode::IsbIfDrop, OptionCode::IsbOsDrop]
            .into_iter()
            .filter_map(|code| option(&block.options, code))
            .filter_map(|value| self.number(value))
            .fold(0, u64::saturating_add);
        let Some(interface) = usize::try_from(block.if_id)
            .ok()
            .and_then(|index| self.interfaces.get_mut(index))
        else {
            return;
        };
        let count = dropped.saturating_sub(interface.dropped);
        interface.dropped = interface.dropped.max(dropped);
        if count > 0 {
            reading.fact(Fact::Lost {
                class: "frame",
                count,
                place: None,
            });
        }
    }

    fn custom(&self, block: &CustomBlock<'_>, reading: &mut Reading<'_>) {
        (reading.sink)(Item::Custom {
            enterprise: block.pen,
            data: block.data,
            big_endian: self.big_endian,
        });
    }

    /// Custom options are handed out as custom blocks are, before the block they stand in.
    fn custom_options(&self, options: &[PcapNGOption<'_>], reading: &mut Reading<'_>) {
        for option in options.iter().filter(|it| it.code == CUSTOM_BYTES) {
            let Ok(value) = option.as_bytes() else {
                continue;
            };
            let Some((enterprise, data)) = value.split_first_chunk::<4>() else {
                continue;
            };
            let enterprise = match self.big_endian {
                true => u32::from_be_bytes(*enterprise),
                false => u32::from_le_bytes(*enterprise),
            };
            (reading.sink)(Item::Custom {
                enterprise,
                data,
                big_endian: self.big_endian,
            });
        }
    }

    /// A number of four or eight bytes in the byte order of the section.
    fn number(&self, value: &[u8]) -> Option<u64> {
        let short = |bytes| {
            u64::from(if self.big_endian {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            })
        };
        let long = |bytes| {
            if self.big_endian {
                u64::from_be_bytes(bytes)
            } else {
                u64::from_le_bytes(bytes)
            }
        };
        let from_long = value.try_into().ok().map(long);
        from_long.or_else(|| value.try_into().ok().map(short))
    }
}

/// The lines of a TLS key log.
fn decryption_secrets(block: &DecryptionSecretsBlock<'_>, reading: &mut Reading<'_>) {
    if block.secrets_type != SecretsType::TlsKeyLog {
        return;
    }
    let data = usize::try_from(block.secrets_len)
        .ok()
        .and_then(|length| block.data.get(..length))
        .unwrap_or(block.data);
    for line in String::from_utf8_lossy(data).lines() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            reading.fact(Fact::TlsSecret(line.to_owned()));
        }
    }
}

/// An address of an interface with its prefix length. Addresses are bytes in network order
/// whatever the order of the section.
fn address(option: &PcapNGOption<'_>) -> Option<(IpAddr, u8)> {
    let value = option.as_bytes().ok()?;
    if option.code == OptionCode::IfIpv4Addr {
        let (address, mask) = value.split_first_chunk::<4>()?;
        let mask = u32::from_be_bytes(mask.try_into().ok()?);
        let prefix = u8::try_from(mask.leading_ones()).ok()?;
        return Some((IpAddr::from(*address), prefix));
    }
    if option.code == IF_IPV6_ADDRESS {
        let (address, prefix) = value.split_first_chunk::<16>()?;
        return Some((IpAddr::from(*address), *prefix.first()?));
    }
    None
}

fn interface_name(value: &[u8]) -> String {
    let value = value.get(..MAX_NAME_BYTES).unwrap_or(value);
    // Some writers count the terminating zero.
    let name = String::from_utf8_lossy(value);
    name.trim_end_matches('\0').to_owned()
}

fn count(interfaces: &[Described]) -> u32 {
    u32::try_from(interfaces.len()).unwrap_or(u32::MAX)
}

fn length(data: &[u8]) -> u32 {
    u32::try_from(data.len()).unwrap_or(u32::MAX)
}

/// Unit and origin of an interface's times.
#[derive(Debug, Clone, Copy)]
struct Resolution {
    /// if_tsresol: the unit is 10^-n seconds, or 2^-n with the top bit set.
    exponent: u8,
    offset_seconds: i64,
}

impl Resolution {
    const MICROSECONDS: u8 = 6;

    /// Nanoseconds since 1970 of `ticks`. pcap-parser's own conversion knows no binary
    /// units. Times before 1970 become 0, times after 2554 the last one.
    fn unix_nano(self, ticks: u64) -> u64 {
        let ticks = u128::from(ticks);
        let exponent = u32::from(self.exponent & 0x7f);
        let nanoseconds = if self.exponent & 0x80 != 0 {
            // Both shifts stay within 128 bits: 64 of ticks and 30 of the factor.
            (ticks * 1_000_000_000).checked_shr(exponent).unwrap_or(0)
        } else if exponent <= 9 {
            ticks * 10_u128.pow(9 - exponent)
        } else {
            10_u128
                .checked_pow(exponent - 9)
                .map_or(0, |divisor| ticks / divisor)
        };
        let nanoseconds = i128::try_from(nanoseconds).unwrap_or(i128::MAX);
        let offset = i128::from(self.offset_seconds) * 1_000_000_000;
        u64::try_from(nanoseconds.saturating_add(offset).max(0)).unwrap_or(u64::MAX)
    }
}
