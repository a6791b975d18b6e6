//! Files are written out byte by byte here; against other programs' files they are
//! compared in `tests/wire_against_tshark.rs`.

mod damage;
mod remarks;
mod sources;

use super::{FileError, FileSummary, Item, read_from};
use crate::capture::{Direction, Fact, Frame, HookKind, LinkType, Observation};
use std::io::Cursor;
use std::net::IpAddr;

fn read_all(bytes: &[u8]) -> Result<(FileSummary, Vec<Observation>), FileError> {
    let mut seen = Vec::new();
    let summary = read_from(Cursor::new(bytes), "test", &mut |item| {
        if let Item::Observation(observation) = item {
            seen.push(observation);
        }
    })?;
    Ok((summary, seen))
}

fn frames(observations: &[Observation]) -> Vec<(u64, &Frame)> {
    observations
        .iter()
        .filter_map(|observation| match &observation.fact {
            Fact::Frame(frame) => Some((observation.at_ns, frame)),
            _ => None,
        })
        .collect()
}

/// Numbers in the byte order of a file.
#[derive(Debug, Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    fn u32(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    fn u64(self, number: u64) -> [u8; 8] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

fn pcap(order: Order, magic: u32, link_type: u32, packets: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let mut file = order.u32(magic).to_vec();
    file.extend([order.u16(2), order.u16(4)].concat());
    file.extend(
        [0, 0, 262_144, link_type]
            .map(|number| order.u32(number))
            .concat(),
    );
    for (seconds, fraction, data) in packets {
        let length = u32::try_from(data.len()).unwrap();
        file.extend(
            [*seconds, *fraction, length, length + 5]
                .map(|it| order.u32(it))
                .concat(),
        );
        file.extend(*data);
    }
    file
}

/// A pcapng file under construction.
struct Pcapng {
    order: Order,
    bytes: Vec<u8>,
}

impl Pcapng {
    fn new(order: Order) -> Self {
        let mut file = Self {
            order,
            bytes: Vec::new(),
        };
        file.section(order);
        file
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let padding = body.len().next_multiple_of(4) - body.len();
        let length = self
            .order
            .u32(u32::try_from(body.len() + padding + 12).unwrap());
        self.bytes.extend(self.order.u32(kind));
        self.bytes.extend(length);
        self.bytes.extend(body);
        self.bytes.extend(vec![0; padding]);
        self.bytes.extend(length);
    }

    fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap();
        let mut option = [self.order.u16(code), self.order.u16(length)].concat();
        option.extend(value);
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn section(&mut self, order: Order) {
        self.section_with(order, &[]);
    }

    fn section_with(&mut self, order: Order, options: &[Vec<u8>]) {
        self.order = order;
        let mut body = order.u32(0x1a2b_3c4d).to_vec();
        body.extend([order.u16(1), order.u16(0)].concat());
        body.extend(order.u64(u64::MAX));
        body.extend(options.concat());
        self.block(0x0a0d_0d0a, &body);
    }

    fn interface(&mut self, link_type: u16, options: &[Vec<u8>]) {
        let mut body = self.order.u16(link_type).to_vec();
        body.extend([0; 6]);
        body.extend(options.concat());
        self.block(1, &body);
    }

    fn packet(&mut self, interface: u32, ticks: u64, data: &[u8], options: &[Vec<u8>]) {
        let length = u32::try_from(data.len()).unwrap();
        let high = u32::try_from(ticks >> 32).unwrap();
        let low = u32::try_from(ticks & 0xffff_ffff).unwrap();
        let mut body = [interface, high, low, length, length]
            .map(|number| self.order.u32(number))
            .concat();
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(options.concat());
        self.block(6, &body);
    }
}

#[test]
fn every_magic_gives_the_same_packets() {
    for order in [Order::Little, Order::Big] {
        for (magic, unit) in [(0xa1b2_c3d4, 1), (0xa1b2_3c4d, 1000)] {
            let bytes = pcap(
                order,
                magic,
                101,
                &[
                    (1_700_000_000, 5 * unit, b"one"),
                    (1_700_000_001, 7 * unit, b"three"),
                ],
            );
            let (summary, seen) = read_all(&bytes).unwrap();
            assert_eq!(summary.started_unix_nano, Some(1_700_000_000_000_005_000));
            assert_eq!(summary.duration_ns, 1_000_002_000);
            assert_eq!((summary.packets, summary.truncated_at), (2, None));
            let expected = Frame {
                interface: 0,
                direction: Direction::Unknown,
                hook: HookKind::Pcap,
                link_type: LinkType::RawIp,
                cookie: None,
                original_length: 8,
                data: b"one".to_vec(),
                note: None,
            };
            assert_eq!(frames(&seen)[0], (0, &expected));
            assert_eq!(frames(&seen)[1].0, 1_000_002_000);
            assert_eq!(frames(&seen)[1].1.original_length, 10);
        }
    }
}

#[test]
fn a_packet_earlier_than_the_first_has_time_zero() {
    let packets: [(u32, u32, &[u8]); 3] = [(10, 0, b"a"), (9, 0, b"b"), (12, 0, b"c")];
    let bytes = pcap(Order::Little, 0xa1b2_c3d4, 1, &packets);
    let (summary, seen) = read_all(&bytes).unwrap();
    let times: Vec<u64> = frames(&seen).iter().map(|frame| frame.0).collect();
    assert_eq!(times, [0, 0, 2_000_000_000]);
    assert_eq!(summary.duration_ns, 2_000_000_000);
}

#[test]
fn a_link_type_with_check_sequence_bits_is_still_ethernet() {
    let bytes = pcap(Order::Big, 0xa1b2_c3d4, 0x2400_0001, &[(1, 0, b"a")]);
    let (_, seen) = read_all(&bytes).unwrap();
    assert_eq!(frames(&seen)[0].1.link_type, LinkType::Ethernet);
}

#[test]
fn sections_interfaces_and_resolutions_of_pcapng_are_kept_apart() {
    let mut file = Pcapng::new(Order::Little);
    file.interface(
        1,
        &[
            file.option(2, b"eth0"),
            file.option(6, &[2, 0, 0, 0, 0, 1]),
            file.option(4, &[10, 77, 1, 10, 255, 255, 255, 0]),
            file.option(
                5,
                &[0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 64],
            ),
        ],
    );
    file.interface(113, &[file.option(9, &[9])]);
    file.packet(0, 1_000_000_000_000_001, b"micro", &[]);
    file.packet(1, 1_000_000_000_000_002_000, b"nano", &[]);
    file.section(Order::Big);
    // Units of 2^-10 seconds, counted from 999 999 990.
    file.interface(
        276,
        &[
            file.option(2, b"any\0"),
            file.option(9, &[0x80 | 10]),
            file.option(14, &999_999_990_u64.to_be_bytes()),
        ],
    );
    file.packet(0, 11 * 1024 + 512, b"binary", &[]);
    let (summary, seen) = read_all(&file.bytes).unwrap();

    assert_eq!(summary.started_unix_nano, Some(1_000_000_000_000_001_000));
    assert_eq!(summary.interfaces, ["eth0", "any"]);
    let read: Vec<_> = frames(&seen)
        .into_iter()
        .map(|(at, frame)| (at, frame.interface, frame.link_type))
        .collect();
    assert_eq!(
        read,
        [
            (0, 1, LinkType::Ethernet),
            (1000, 2, LinkType::LinuxCookedV1),
            (1_499_999_000, 3, LinkType::LinuxCookedV2),
        ]
    );
    let Fact::Interface(first) = &seen[0].fact else {
        panic!("{:?}", seen[0])
    };
    assert_eq!((first.index, first.name.as_str()), (1, "eth0"));
    assert_eq!(first.mac, Some([2, 0, 0, 0, 0, 1]));
    assert_eq!(
        first.addresses,
        [
            (IpAddr::from([10, 77, 1, 10]), 24),
            ("fd77::1".parse().unwrap(), 64)
        ]
    );
}

#[test]
fn key_log_blocks_become_secrets() {
    let mut file = Pcapng::new(Order::Big);
    let log = b"# comment\nCLIENT_RANDOM 00 11\r\n\nSERVER_TRAFFIC_SECRET_0 22 33\n";
    let mut body = file.order.u32(0x544c_534b).to_vec();
    body.extend(file.order.u32(u32::try_from(log.len()).unwrap()));
    body.extend(log);
    file.block(10, &body);
    let (_, seen) = read_all(&file.bytes).unwrap();
    let facts: Vec<_> = seen.into_iter().map(|seen| seen.fact).collect();
    assert_eq!(
        facts,
        [
            Fact::TlsSecret("CLIENT_RANDOM 00 11".to_owned()),
            Fact::TlsSecret("SERVER_TRAFFIC_SECRET_0 22 33".to_owned()),
        ]
    );
}

#[test]
fn directions_losses_and_simple_packets_are_understood() {
    for order in [Order::Little, Order::Big] {
        let mut file = Pcapng::new(order);
        file.interface(101, &[]);
        file.packet(0, 5_000_000, b"in", &[file.option(2, &order.u32(1))]);
        file.packet(0, 6_000_000, b"out", &[file.option(2, &order.u32(2))]);
        let mut simple = order.u32(3).to_vec();
        simple.extend(b"abc");
        file.block(3, &simple);
        for dropped in [4, 4, 7] {
            let mut statistics = [0, 0, 0].map(|number| order.u32(number)).concat();
            statistics.extend(file.option(5, &order.u64(dropped)));
            file.block(5, &statistics);
        }
        let (summary, seen) = read_all(&file.bytes).unwrap();
        let read: Vec<_> = frames(&seen)
            .into_iter()
            .map(|(at, frame)| (at, frame.direction, frame.data.as_slice()))
            .collect();
        assert_eq!(
            read,
            [
                (0, Direction::In, &b"in"[..]),
                (1_000_000_000, Direction::Out, b"out"),
                (1_000_000_000, Direction::Unknown, b"abc"),
            ]
        );
        assert_eq!(summary.packets, 3);
        let lost: Vec<u64> = seen
            .iter()
            .filter_map(|seen| match seen.fact {
                Fact::Lost { count, .. } => Some(count),
                _ => None,
            })
            .collect();
        assert_eq!(lost, [4, 3]);
    }
}

#[test]
fn obsolete_packet_blocks_are_packets() {
    for order in [Order::Little, Order::Big] {
        let mut file = Pcapng::new(order);
        file.interface(1, &[]);
        file.interface(101, &[file.option(9, &[9])]);
        // Interface 1 and 3 packets dropped, time, captured and original length.
        let mut body = [order.u16(1), order.u16(3)].concat();
        let ticks = 1_000_000_000_000_000_007_u64;
        body.extend(order.u32(u32::try_from(ticks >> 32).unwrap()));
        body.extend(order.u32(u32::try_from(ticks & 0xffff_ffff).unwrap()));
        body.extend([order.u32(5), order.u32(900)].concat());
        body.extend(b"fives\0\0\0");
        body.extend(file.option(1, b"a comment"));
        file.block(2, &body);
        // One that is cut within its header is no packet.
        file.block(2, &body[..16]);
        let (summary, seen) = read_all(&file.bytes).unwrap();
        assert_eq!(summary.started_unix_nano, Some(ticks));
        let expected = Frame {
            interface: 2,
            direction: Direction::Unknown,
            hook: HookKind::Pcap,
            link_type: LinkType::RawIp,
            cookie: None,
            original_length: 900,
            data: b"fives".to_vec(),
            note: None,
        };
        assert_eq!(frames(&seen), [(0, &expected)]);
    }
}

#[test]
fn blocks_that_are_not_packets_leave_the_packets_alone() {
    for order in [Order::Little, Order::Big] {
        let mut file = Pcapng::new(order);
        let mut expected = 0;
        file.interface(101, &[file.option(1, b"comment of an interface")]);
        // Name resolution: an IPv4 record, the end of the records.
        let mut names = [order.u16(1), order.u16(11)].concat();
        names.extend(b"\x0a\x4d\x01\x0ashop.t\0\0");
        names.extend([0; 4]);
        // Secrets of another kind (WireGuard), which are not lines for us.
        let mut secrets = order.u32(0x5747_4b4c).to_vec();
        secrets.extend(order.u32(4));
        secrets.extend(b"k=v\n");
        // What macOS calls a process event: process id, name (option 2), identity (4).
        let mut process = order.u32(4711).to_vec();
        process.extend(file.option(2, b"curl"));
        process.extend(file.option(4, &[7; 16]));
        let journal = b"__REALTIME_TIMESTAMP=1\nMESSAGE=x\n".to_vec();
        let mut not_copied = order.u32(32473).to_vec();
        not_copied.extend(b"abcd");
        for (kind, body) in [
            (4, names),
            (10, secrets),
            (0x8000_0001, process),
            (9, journal),
            (0x4000_0bad, not_copied),
            (0x0000_0b16, b"a block of tomorrow".to_vec()),
            (0x8000_4711, Vec::new()),
        ] {
            file.block(kind, &body);
            // A comment; the process event it belongs to, as macOS writes it; a hash.
            let options = [
                file.option(1, b"seen at the gateway"),
                file.option(0x8001, &order.u32(0)),
                file.option(3, &[2, 1, 2, 3, 4]),
            ];
            file.packet(0, 5_000_000 + expected, b"data", &options);
            expected += 1;
        }
        let (summary, seen) = read_all(&file.bytes).unwrap();
        assert_eq!((summary.packets, summary.truncated_at), (expected, None));
        let times: Vec<u64> = frames(&seen).iter().map(|(at_ns, _)| *at_ns).collect();
        assert_eq!(times, [0, 1000, 2000, 3000, 4000, 5000, 6000]);
        assert!(frames(&seen).iter().all(|(_, frame)| frame.data == b"data"));
        let secret = |seen: &Observation| matches!(seen.fact, Fact::TlsSecret(_));
        assert!(!seen.iter().any(secret));
    }
}

#[test]
fn kuznetzovs_variant_of_pcap_is_read() {
    // Eight bytes more in each record header: interface index, protocol, packet type.
    let mut file = 0xa1b2_cd34_u32.to_le_bytes().to_vec();
    file.extend([2, 0, 4, 0]);
    file.extend([0, 0, 65_535, 101].map(u32::to_le_bytes).concat());
    for (second, data) in [(7_u32, b"one"), (8, b"two")] {
        file.extend([second, 5, 3, 90].map(u32::to_le_bytes).concat());
        file.extend([2, 0, 0, 0, 8, 0, 4, 0]);
        file.extend(data);
    }
    let (summary, seen) = read_all(&file).unwrap();
    assert_eq!(summary.started_unix_nano, Some(7_000_005_000));
    let read: Vec<_> = frames(&seen)
        .into_iter()
        .map(|(at, frame)| (at, frame.data.as_slice(), frame.original_length))
        .collect();
    assert_eq!(read, [(0, &b"one"[..], 90), (1_000_000_000, b"two", 90)]);
}

#[test]
fn custom_blocks_are_handed_over() {
    let mut file = Pcapng::new(Order::Little);
    let mut body = file.order.u32(32473).to_vec();
    body.extend(b"abcd");
    file.block(0xbad, &body);
    let mut custom = Vec::new();
    read_from(Cursor::new(&file.bytes), "test", &mut |item| {
        if let Item::Custom {
            enterprise,
            data,
            big_endian,
        } = item
        {
            custom.push((enterprise, data.to_vec(), big_endian));
        }
    })
    .unwrap();
    assert_eq!(custom, [(32473, b"abcd".to_vec(), false)]);
}

#[test]
fn unknown_link_types_are_counted_and_named() {
    let mut file = Pcapng::new(Order::Little);
    file.interface(227, &[]);
    file.interface(1, &[]);
    file.packet(0, 1, b"a", &[]);
    file.packet(1, 2, b"b", &[]);
    file.packet(0, 3, b"c", &[]);
    file.packet(9, 4, b"d", &[]);
    let (summary, seen) = read_all(&file.bytes).unwrap();
    assert_eq!(summary.packets, 4);
    let counted: Vec<_> = summary
        .unknown_link_types
        .iter()
        .map(|unknown| (unknown.name.as_str(), unknown.packets))
        .collect();
    assert_eq!(counted, [("CAN", 2), ("undeclared interface", 1)]);
    assert_eq!(frames(&seen).len(), 4, "numbers stay those of the file");
}
