//! Real bytes to start from: the shared captures, taken apart.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tracer::capture::{Fact, Frame, file};
use tracer::protocol::frame::{Network, Tcp, Transport, parse_cut};

/// What one capture file holds.
#[derive(Debug)]
pub struct Capture {
    /// The file as it is.
    pub bytes: Vec<u8>,
    /// Its frames, each with its time in nanoseconds.
    pub frames: Vec<(u64, Frame)>,
    /// The key log beside it; empty where there is none.
    pub keys: String,
}

/// Payload of one TCP connection, in the order of the capture: whether the client sent it,
/// and the bytes.
#[derive(Debug, Default)]
pub struct Conversation {
    pub server_port: u16,
    pub turns: Vec<(bool, Vec<u8>)>,
}

/// A UDP payload.
#[derive(Debug)]
pub struct Datagram {
    pub source_port: u16,
    pub destination_port: u16,
    pub payload: Vec<u8>,
}

/// Where the captures are: `../shared/captures` beside the workspace, or the folder that
/// TRACER_CAPTURES names.
fn folder() -> PathBuf {
    std::env::var_os("TRACER_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures"),
        PathBuf::from,
    )
}

/// Every capture there is, in order of their names; none where the folder is absent.
pub fn all() -> Vec<Capture> {
    let mut paths = Vec::new();
    let mut folders = vec![folder()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if path.is_dir() {
                folders.push(path);
            } else if matches!(ending, Some("pcap" | "pcapng")) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.iter().filter_map(|path| read(path)).collect()
}

fn read(path: &Path) -> Option<Capture> {
    let bytes = std::fs::read(path).ok()?;
    let keys = std::fs::read_to_string(path.with_extension("keys")).unwrap_or_default();
    let mut frames = Vec::new();
    file::read(path, &mut |seen| {
        if let Fact::Frame(frame) = seen.fact {
            frames.push((seen.at_ns, frame));
        }
    })
    .ok()?;
    Some(Capture {
        bytes,
        frames,
        keys,
    })
}

impl Capture {
    /// The TCP connections that carry data.
    pub fn conversations(&self) -> Vec<Conversation> {
        let mut found: BTreeMap<(SocketAddr, SocketAddr), Conversation> = BTreeMap::new();
        for (_, frame) in &self.frames {
            let parsed = parse_cut(frame.link_type, &frame.data, frame.original_length);
            let Network::Ip(ip) = &parsed.network else {
                continue;
            };
            let Transport::Tcp(tcp) = &ip.transport else {
                continue;
            };
            let source = SocketAddr::new(ip.source, tcp.source_port);
            let destination = SocketAddr::new(ip.destination, tcp.destination_port);
            let from_client = is_from_client(tcp);
            let (client, server) = match from_client {
                true => (source, destination),
                false => (destination, source),
            };
            let conversation = found.entry((client, server)).or_default();
            conversation.server_port = server.port();
            if !tcp.payload.is_empty() {
                let turn = (from_client, tcp.payload.to_vec());
                conversation.turns.push(turn);
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.retain(|conversation| !conversation.turns.is_empty());
        found
    }

    /// The UDP payloads, in order.
    pub fn datagrams(&self) -> Vec<Datagram> {
        let mut datagrams = Vec::new();
        for (_, frame) in &self.frames {
            let parsed = parse_cut(frame.link_type, &frame.data, frame.original_length);
            if let Network::Ip(ip) = &parsed.network
                && let Transport::Udp(udp) = &ip.transport
            {
                datagrams.push(Datagram {
                    source_port: udp.source_port,
                    destination_port: udp.destination_port,
                    payload: udp.payload.to_vec(),
                });
            }
        }
        datagrams
    }
}

/// Servers have the lower port; good enough for seeds.
fn is_from_client(tcp: &Tcp<'_>) -> bool {
    tcp.source_port > tcp.destination_port
}

impl Conversation {
    /// All that one end sent.
    pub fn sent(&self, by_client: bool) -> Vec<u8> {
        let turns = self.turns.iter().filter(|turn| turn.0 == by_client);
        turns.flat_map(|turn| turn.1.iter().copied()).collect()
    }
}
