//! pcap: one header with the link type and the unit of time, then packets.

use super::{Decode, Reading};
use crate::capture::{Direction, Frame, HookKind, LinkType, spare};
use pcap_parser::{LegacyPcapBlock, PcapBlockOwned, PcapHeader};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

pub(super) struct Decoder {
    link_type: LinkType,
    /// Nanoseconds per unit of the second half of a time.
    unit_ns: u64,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            link_type: LinkType::Ethernet,
            unit_ns: 1000,
        }
    }
}

impl Decode for Decoder {
    fn block(&mut self, block: PcapBlockOwned<'_>, reading: &mut Reading<'_>) {
        match block {
            PcapBlockOwned::LegacyHeader(header) => self.header(&header),
            PcapBlockOwned::Legacy(packet) => self.packet(&packet, reading),
            PcapBlockOwned::NG(_) => {}
        }
    }
}

impl Decoder {
    fn header(&mut self, header: &PcapHeader) {
        // The upper bits tell about a frame check sequence at the end of each packet, which
        // the lengths of the packets inside make harmless.
        let [.., high, low] = header.network.0.to_be_bytes();
        self.link_type = LinkType::from_number(u16::from_be_bytes([high, low]));
        self.unit_ns = if header.is_nanosecond_precision() {
            1
        } else {
            1000
        };
    }

    fn packet(&self, packet: &LegacyPcapBlock<'_>, reading: &mut Reading<'_>) {
        let unix_nano = u64::from(packet.ts_sec) * NANOSECONDS_PER_SECOND
            + u64::from(packet.ts_usec) * self.unit_ns;
        let frame = Frame {
            interface: 0,
            direction: Direction::Unknown,
            hook: HookKind::Pcap,
            link_type: self.link_type,
            cookie: None,
            original_length: packet.origlen.max(packet.caplen),
            data: spare::copy_of(packet.data),
            note: None,
        };
        reading.packet(Some(unix_nano), frame);
    }
}
