//! Reads captures for tests: pcap-parser, etherparse and the simplest reassembly that can
//! work. To be replaced by the crate's own reader and reassembly when they are merged.

use etherparse::{LaxSlicedPacket, TransportSlice};
use pcap_parser::{Linktype, PcapBlockOwned, PcapError, create_reader};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use tracer::journey::bytes::TimedBytes;
use tracer::journey::tls::KeyLog;

/// A capture of the shared collection, for instance `lab/curl-h2.pcap`. The collection is
/// where `TRACER_CAPTURES` says, in `tests/captures` of the workspace, or in
/// `shared/captures` beside it.
pub fn capture(name: &str) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("TRACER_CAPTURES").map(PathBuf::from);
    let beside = manifest.ancestors().flat_map(|folder| {
        [
            folder.join("tests/captures"),
            folder.join("shared/captures"),
        ]
    });
    named
        .into_iter()
        .chain(beside)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("no capture {name}: set TRACER_CAPTURES to the collection"))
}

/// All captures of a folder whose name begins with `prefix`.
pub fn captures(folder: &str, prefix: &str) -> Vec<String> {
    let example = match folder {
        "lab" => "lab/curl-h2.pcap",
        "zeek" => "zeek/tls-tls1.2.pcap",
        _ => "suricata-verify/http2-range.pcap",
    };
    let example = capture(example);
    let parent = example.parent().expect("a folder");
    let mut names: Vec<String> = std::fs::read_dir(parent)
        .expect("readable")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix) && name.ends_with(".pcap"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no captures {folder}/{prefix}*");
    names
}

/// The key log beside a capture, empty when there is none.
pub fn key_log(name: &str) -> KeyLog {
    let mut log = KeyLog::default();
    let path = capture(name).with_extension("keys");
    for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
        log.add_line(line);
    }
    log
}

/// One end of a connection.
pub type Endpoint = (IpAddr, u16);

/// The two byte streams of a TCP connection.
pub struct Streams {
    pub client: Endpoint,
    pub server: Endpoint,
    pub from_client: TimedBytes,
    pub from_server: TimedBytes,
}

#[derive(Default)]
struct Direction {
    /// Sequence number of the first byte.
    base: Option<u32>,
    /// By offset: time, bytes, and bytes that were cut off.
    segments: BTreeMap<u32, (u64, Vec<u8>, usize)>,
}

impl Direction {
    fn add(&mut self, sequence: u32, at_ns: u64, data: &[u8], cut: usize) {
        let offset = sequence.wrapping_sub(*self.base.get_or_insert(sequence));
        if data.is_empty() || offset > 1 << 30 {
            return;
        }
        let longer = self
            .segments
            .get(&offset)
            .is_none_or(|(_, known, _)| known.len() < data.len());
        if longer {
            self.segments.insert(offset, (at_ns, data.to_vec(), cut));
        }
    }

    fn bytes(&self) -> TimedBytes {
        let mut stream = TimedBytes::default();
        for (offset, (at_ns, data, cut)) in &self.segments {
            let offset = *offset as usize;
            if offset > stream.len() {
                stream.push_hole(offset - stream.len(), *at_ns);
            }
            let known = stream.len() - offset;
            if let Some(fresh) = data.get(known..) {
                stream.push(fresh, *at_ns);
                stream.push_hole(*cut, *at_ns);
            }
        }
        stream
    }
}

/// All TCP connections of a capture, in order of their first segment.
pub fn tcp_streams(name: &str) -> Vec<Streams> {
    let mut connections: Vec<(Endpoint, Endpoint, Direction, Direction)> = Vec::new();
    for (link_type, at_ns, frame) in packets(&capture(name)) {
        let Some(packet) = slice(link_type, &frame) else {
            continue;
        };
        let (Some(net), Some(TransportSlice::Tcp(tcp))) = (packet.net, packet.transport) else {
            continue;
        };
        let (source, destination): (IpAddr, IpAddr) = match &net {
            etherparse::LaxNetSlice::Ipv4(ip) => (
                ip.header().source_addr().into(),
                ip.header().destination_addr().into(),
            ),
            etherparse::LaxNetSlice::Ipv6(ip) => (
                ip.header().source_addr().into(),
                ip.header().destination_addr().into(),
            ),
            etherparse::LaxNetSlice::Arp(_) => continue,
        };
        let source = (source, tcp.source_port());
        let destination = (destination, tcp.destination_port());
        let fresh = tcp.syn() && !tcp.ack();
        let known = connections.iter().rposition(|(client, server, _, _)| {
            (*client, *server) == (source, destination)
                || (*server, *client) == (source, destination)
        });
        let reopened =
            known.is_some_and(|index| fresh && !connections[index].3.segments.is_empty());
        let index = known.filter(|_| !reopened).unwrap_or_else(|| {
            connections.push((
                source,
                destination,
                Direction::default(),
                Direction::default(),
            ));
            connections.len() - 1
        });
        let connection = &mut connections[index];
        let direction = if connection.0 == source {
            &mut connection.2
        } else {
            &mut connection.3
        };
        let sequence = tcp.sequence_number().wrapping_add(u32::from(tcp.syn()));
        direction.add(sequence, at_ns, tcp.payload(), 0);
    }
    connections
        .into_iter()
        .map(|(client, server, from_client, from_server)| Streams {
            client,
            server,
            from_client: from_client.bytes(),
            from_server: from_server.bytes(),
        })
        .collect()
}

fn slice(link_type: Linktype, frame: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    match link_type {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(frame).ok(),
        Linktype::RAW => LaxSlicedPacket::from_ip(frame).ok(),
        Linktype::NULL => LaxSlicedPacket::from_ip(frame.get(4..)?).ok(),
        Linktype::LINUX_SLL => LaxSlicedPacket::from_ip(frame.get(16..)?).ok(),
        _ => None,
    }
}

/// Link type, time since the first packet in nanoseconds, and bytes of each packet.
fn packets(path: &Path) -> Vec<(Linktype, u64, Vec<u8>)> {
    let file = std::fs::File::open(path).expect("readable");
    let mut reader = create_reader(1 << 20, file).expect("a capture");
    let mut link_types = Vec::new();
    let mut nanoseconds = false;
    let mut packets = Vec::new();
    loop {
        match reader.next() {
            Ok((consumed, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        nanoseconds = header.is_nanosecond_precision();
                        link_types = vec![header.network];
                    }
                    PcapBlockOwned::Legacy(block) => {
                        let unit = if nanoseconds { 1 } else { 1_000 };
                        let at_ns = u64::from(block.ts_sec) * 1_000_000_000
                            + u64::from(block.ts_usec) * unit;
                        packets.push((link_types[0], at_ns, block.data.to_vec()));
                    }
                    PcapBlockOwned::NG(pcap_parser::Block::InterfaceDescription(interface)) => {
                        link_types.push(interface.linktype);
                    }
                    PcapBlockOwned::NG(pcap_parser::Block::EnhancedPacket(block)) => {
                        // Microseconds, the default resolution of pcapng.
                        let at = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
                        let link_type = link_types[block.if_id as usize];
                        let length = block.caplen as usize;
                        packets.push((link_type, at * 1_000, block.data[..length].to_vec()));
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                reader.consume(consumed);
            }
            Err(PcapError::Eof) => break,
            Err(PcapError::Incomplete(_)) => {
                if reader.refill().is_err() || reader.reader_exhausted() {
                    break;
                }
            }
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    let start = packets.first().map_or(0, |packet| packet.1);
    for packet in &mut packets {
        packet.1 -= start.min(packet.1);
    }
    packets
//! What the tests against captures share.

use std::path::{Path, PathBuf};
use tracer::capture::{Fact, Frame, Observation, file};

/// The captures: `../shared/captures` beside the workspace, or the folder that
/// `TRACER_CAPTURES` names.
pub fn captures() -> PathBuf {
    let folder = std::env::var_os("TRACER_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures"),
        PathBuf::from,
    );
    assert!(
        folder.is_dir(),
        "no captures at {}: put some there, or name a folder in TRACER_CAPTURES",
        folder.display()
    );
    folder
}

/// Captures below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|ending| ending == "pcap" || ending == "pcapng")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

pub fn observations(path: &Path) -> (file::FileSummary, Vec<Observation>) {
    let mut seen = Vec::new();
    let summary = file::read(path, &mut |observation| seen.push(observation))
        .unwrap_or_else(|error| panic!("{error}"));
    (summary, seen)
}

pub fn frames(path: &Path) -> Vec<(u64, Frame)> {
    let frame = |seen: Observation| match seen.fact {
        Fact::Frame(frame) => Some((seen.at_ns, frame)),
        _ => None,
    };
    observations(path).1.into_iter().filter_map(frame).collect()
}
