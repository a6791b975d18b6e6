//! Captures put together connection by connection, and tshark to compare with.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tracer::capture::{Fact, file};
use tracer::journey::bytes::TimedBytes;
use tracer::journey::http;
use tracer::journey::model::HttpExchange;
use tracer::journey::stream::StreamAssembler;
use tracer::journey::tls::{self, KeyLog, TlsAnalysis};
use tracer::protocol::frame::{self, Ip, Network, Tcp, Transport};

/// The collection: the folder that `TRACER_CAPTURES` names, or `../shared/captures` beside
/// the workspace.
fn collection() -> PathBuf {
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

/// A capture of the collection, for instance `lab/curl-h2.pcap`.
pub fn capture(name: &str) -> PathBuf {
    collection().join(name)
}

/// The names of all captures of the collection.
pub fn captures() -> Vec<String> {
    let root = collection();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if path.is_dir() {
                folders.push(path);
            } else if matches!(ending, Some("pcap" | "pcapng")) {
                let name = path.strip_prefix(&root).expect("below the root");
                found.push(name.display().to_string());
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "the collection holds no captures");
    found
}

/// The key log beside a capture, where there is one.
pub fn key_log(name: &str) -> Option<PathBuf> {
    let path = capture(name).with_extension("keys");
    path.is_file().then_some(path)
}

/// What was read of one TCP connection.
pub struct Connection {
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub tls: Option<TlsAnalysis>,
    pub http: Vec<HttpExchange>,
}

/// One TCP connection being put together.
struct Streams {
    client: SocketAddr,
    server: SocketAddr,
    /// Of the client and of the server.
    assemblers: [StreamAssembler; 2],
    initial: Option<u32>,
}

/// The payload of a TCP connection: of the client and of the server.
pub struct Payload {
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub from_client: TimedBytes,
    pub from_server: TimedBytes,
}

/// What the key log beside a capture holds.
pub fn secrets(name: &str) -> KeyLog {
    let mut secrets = KeyLog::default();
    let text = key_log(name).map(|path| std::fs::read_to_string(path).expect("readable"));
    for line in text.iter().flat_map(|text| text.lines()) {
        secrets.add_line(line);
    }
    secrets
}

/// The connections of a capture, with the key log beside it.
pub fn connections(name: &str) -> Vec<Connection> {
    let secrets = secrets(name);
    let payloads = payloads(name).into_iter();
    payloads.map(|payload| read(&payload, &secrets)).collect()
}

/// The TCP payload of a capture, by connection.
pub fn payloads(name: &str) -> Vec<Payload> {
    let mut all: Vec<Streams> = Vec::new();
    // Damaged captures are part of the collection: what stands before the damage counts.
    let _ = file::read(&capture(name), &mut |observation| {
        if let Fact::Frame(frame) = &observation.fact {
            let parsed = frame::parse(frame.link_type, &frame.data);
            if let Network::Ip(ip) = &parsed.network
                && let Transport::Tcp(tcp) = &ip.transport
            {
                segment(&mut all, ip, tcp, observation.at_ns);
            }
        }
    });
    let payload = |streams: Streams| {
        let [from_client, from_server] = streams.assemblers.map(|mut assembler| {
            assembler.close_gaps();
            assembler.bytes().clone()
        });
        Payload {
            client: streams.client,
            server: streams.server,
            from_client,
            from_server,
        }
    };
    all.into_iter().map(payload).collect()
}

fn segment(all: &mut Vec<Streams>, ip: &Ip<'_>, tcp: &Tcp<'_>, at_ns: u64) {
    let source = SocketAddr::new(ip.source, tcp.source_port);
    let destination = SocketAddr::new(ip.destination, tcp.destination_port);
    let opens = tcp.flags.syn && !tcp.flags.ack;
    let known = all.iter_mut().rev().find(|streams| {
        let same = (streams.client, streams.server) == (source, destination)
            || (streams.server, streams.client) == (source, destination);
        // The same ports with another sequence number are another connection.
        same && !(opens && streams.initial.is_some_and(|isn| isn != tcp.sequence))
    });
    let streams = match known {
        Some(streams) => streams,
        None => {
            let (client, server) = if tcp.flags.syn && tcp.flags.ack {
                (destination, source)
            } else {
                (source, destination)
            };
            all.push(Streams {
                client,
                server,
                assemblers: [StreamAssembler::new(1 << 26), StreamAssembler::new(1 << 26)],
                initial: opens.then_some(tcp.sequence),
            });
            all.last_mut().expect("just pushed")
        }
    };
    let [from_client, from_server] = &mut streams.assemblers;
    let direction = if streams.client == source {
        from_client
    } else {
        from_server
    };
    if tcp.flags.syn {
        direction.set_initial_sequence(tcp.sequence);
    }
    let sequence = tcp.sequence.wrapping_add(u32::from(tcp.flags.syn));
    direction.segment(sequence, tcp.payload, tcp.payload_length, at_ns);
}

/// Reads TLS and HTTP as the assembler of journeys does.
pub fn read(payload: &Payload, secrets: &KeyLog) -> Connection {
    let (client, server) = (&payload.from_client, &payload.from_server);
    let tls = tls::analyse(client, server, secrets);
    let http = match &tls {
        None => http::analyse(client, server, None, "http", "c", true),
        Some(tls) => {
            let plain = |stream: &Option<TimedBytes>| stream.clone().unwrap_or_default();
            let alpn = tls.session.alpn.as_deref();
            let (client, server) = (plain(&tls.client_plaintext), plain(&tls.server_plaintext));
            http::analyse(&client, &server, alpn, "https", "c", true)
        }
    };
    Connection {
        client: payload.client,
        server: payload.server,
        tls,
        http,
    }
}

/// Separates several values of one field in one frame; no capture has it in a value.
const AGGREGATOR: char = '^';

/// One frame of tshark: its ends, and the values of the fields asked for.
#[derive(Debug)]
pub struct Frame {
    pub source: String,
    pub destination: String,
    values: HashMap<String, Vec<String>>,
}

impl Frame {
    pub fn values(&self, field: &str) -> &[String] {
        self.values.get(field).map_or(&[], Vec::as_slice)
    }
}

/// The frames that match `filter`, with `fields`.
pub fn tshark(name: &str, filter: &str, fields: &[&str]) -> Vec<Frame> {
    const ENDS: [&str; 6] = [
        "ip.src",
        "ipv6.src",
        "tcp.srcport",
        "ip.dst",
        "ipv6.dst",
        "tcp.dstport",
    ];
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture(name)).args(["-Y", filter]);
    if let Some(keys) = key_log(name) {
        command.args(["-o", &format!("tls.keylog_file:{}", keys.display())]);
    }
    command.args(["-T", "fields", "-E", &format!("aggregator={AGGREGATOR}")]);
    for field in ENDS.iter().chain(fields) {
        command.args(["-e", field]);
    }
    let output = command
        .output()
        .expect("tshark runs; install the package tshark");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .map(|line| {
            let mut columns = line.split('\t');
            let mut next = || columns.next().unwrap_or_default().to_owned();
            let source = [next() + &next(), next()].join(" ");
            let destination = [next() + &next(), next()].join(" ");
            let values = fields.iter().map(|field| {
                let column = next();
                let values = column.split(AGGREGATOR).filter(|value| !value.is_empty());
                ((*field).to_owned(), values.map(str::to_owned).collect())
            });
            Frame {
                source,
                destination,
                values: values.collect(),
            }
        })
        .collect()
}
