//! What a file says beside the bytes of its packets.

use super::{Order, Pcapng, frames, pcap, read_all};
use crate::capture::{Direction, Fact, FileComment, NamedBy, NamedProcess};

#[test]
fn comments_and_processes_come_with_their_packets() {
    for order in [Order::Little, Order::Big] {
        let mut file = Pcapng::new(order);
        file.interface(101, &[]);
        let process = |file: &mut Pcapng, pid: u32, options: &[Vec<u8>]| {
            let body = [&order.u32(pid)[..], &options.concat()].concat();
            file.block(0x8000_0001, &body);
        };
        let name = file.option(2, b"curl\0");
        let path = file.option(3, b"/usr/bin/curl");
        process(&mut file, u32::MAX, &[]);
        process(&mut file, 4711, &[name, path]);
        let long = "\u{e9}".repeat(5000);
        let comments = [
            file.option(1, b"one"),
            file.option(1, b""),
            file.option(1, long.as_bytes()),
        ];
        file.packet(0, 1, b"a", &comments);
        let many: Vec<_> = (0..100).map(|_| file.option(1, b"again")).collect();
        file.packet(0, 2, b"b", &many);
        for index in [0, 1, 2, u32::MAX] {
            let named = file.option(0x8001, &order.u32(index));
            file.packet(0, 3, b"c", &[named]);
        }
        file.section(order);
        file.interface(101, &[]);
        let named = file.option(0x8001, &order.u32(1));
        file.packet(0, 3, b"d", &[named]);
        let (_, seen) = read_all(&file.bytes).unwrap();

        let notes: Vec<_> = frames(&seen).iter().map(|it| it.1.note.clone()).collect();
        let [one, many, nobody, curl, missing, far, next_section] = &notes[..] else {
            panic!("{} packets", notes.len());
        };
        let comments = &one.as_ref().unwrap().comments;
        assert_eq!(comments[..], ["one".to_owned(), "\u{e9}".repeat(1000)]);
        assert_eq!(many.as_ref().unwrap().comments.len(), 8);
        let process = NamedProcess {
            pid: 4711,
            name: "curl".to_owned(),
            path: Some("/usr/bin/curl".to_owned()),
            by: NamedBy::ProcessBlock,
        };
        assert_eq!(curl.as_ref().unwrap().process, Some(process));
        assert_eq!([nobody, missing, far, next_section], [&None; 4]);
    }
}

#[test]
fn a_process_block_shorter_than_its_own_header_is_damage() {
    for order in [Order::Little, Order::Big] {
        for length in [0, 4, 8, 11, 12, 15] {
            let mut file = Pcapng::new(order);
            file.interface(101, &[]);
            file.packet(0, 1, b"data", &[]);
            let offset = u64::try_from(file.bytes.len()).unwrap();
            file.bytes.extend(order.u32(0x8000_0001));
            file.bytes.extend(order.u32(length));
            file.bytes.extend([0; 24]);
            let (summary, _) = read_all(&file.bytes).unwrap();
            assert_eq!((summary.packets, summary.truncated_at), (1, Some(offset)));
        }
    }
}

#[test]
fn comments_of_sections_and_interfaces_are_told_where_they_stand() {
    for order in [Order::Little, Order::Big] {
        let mut file = Pcapng::new(order);
        let many: Vec<_> = (0..100).map(|_| file.option(1, b"again")).collect();
        let name = file.option(2, b"eth0");
        let comment = file.option(1, b"at the gateway\0");
        file.interface(101, &[comment, name]);
        file.interface(101, &many);
        let of_section = file.option(1, b"the second section");
        file.section_with(order, &[of_section]);
        let comment = file.option(1, b"its interface");
        file.interface(101, &[comment]);
        let (_, seen) = read_all(&file.bytes).unwrap();

        let facts: Vec<_> = seen.iter().map(|it| &it.fact).collect();
        // Who reads a comment can name its interface by then.
        assert!(matches!(facts[0], Fact::Interface(it) if it.index == 1));
        let comment = |interface, text: &str| {
            Fact::Comment(FileComment {
                interface,
                text: text.to_owned(),
            })
        };
        assert_eq!(facts[1], &comment(Some(1), "at the gateway"));
        assert_eq!(facts[2..10], [&comment(Some(2), "again"); 8]);
        assert_eq!(facts[10], &comment(None, "the second section"));
        assert_eq!(facts[11..], [&comment(Some(3), "its interface")]);
    }
}

/// One packet of a pktap interface, of this process.
fn tap() -> Vec<u8> {
    let mut header = vec![0; 108];
    for (place, value) in [(0, 108_u32), (4, 1), (8, 1), (36, 1), (52, 4711)] {
        header[place..place + 4].copy_from_slice(&value.to_le_bytes());
    }
    header[56..60].copy_from_slice(b"curl");
    header
}

#[test]
fn a_header_of_pktap_names_the_process_in_every_kind_of_file() {
    let mut pcapng = Pcapng::new(Order::Big);
    pcapng.interface(258, &[]);
    pcapng.packet(0, 1, &tap(), &[]);
    let pcap = pcap(Order::Little, 0xa1b2_c3d4, 258, &[(1, 0, &tap())]);
    for file in [pcapng.bytes, pcap] {
        let (_, seen) = read_all(&file).unwrap();
        let (_, frame) = frames(&seen)[0];
        assert_eq!(frame.direction, Direction::In);
        let process = NamedProcess {
            pid: 4711,
            name: "curl".to_owned(),
            path: None,
            by: NamedBy::PacketHeader,
        };
        assert_eq!(frame.note.as_ref().unwrap().process, Some(process));
    }
}
