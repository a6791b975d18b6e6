//! Captures, read as `tracer read` reads them, and tshark to compare with.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use tracer::capture::{Fact, Observation, file};
use tracer::journey::assemble::{Assembler, AssemblerOptions};
use tracer::journey::model::{
    CaptureInfo, Connection, Document, HostInfo, SCHEMA_VERSION, Source, TracerInfo,
};

/// A capture of the collection, for instance `lab/curl-h2.pcap`. The collection is where
/// `TRACER_CAPTURES` says, in `tests/captures` of the workspace, or in `shared/captures`
/// beside it.
pub fn capture(name: &str) -> PathBuf {
    let named = std::env::var_os("TRACER_CAPTURES").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .flat_map(|folder| {
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

/// The key log beside a capture, where there is one.
pub fn key_log(name: &str) -> Option<PathBuf> {
    let path = capture(name).with_extension("keys");
    path.is_file().then_some(path)
}

/// The connections of a capture, with the key log beside it.
pub fn connections(name: &str) -> Vec<Connection> {
    let mut assembler = Assembler::new(AssemblerOptions {
        source: Source::File,
        stream_limit: 16 << 20,
        keep_frames: false,
        show_secrets: true,
        live: false,
    });
    let secrets = key_log(name).map(|path| std::fs::read_to_string(path).expect("readable"));
    for line in secrets.iter().flat_map(|text| text.lines()) {
        let fact = Fact::TlsSecret(line.to_owned());
        assembler.observe(Observation { at_ns: 0, fact });
    }
    file::read(&capture(name), &mut |observation| {
        assembler.observe(observation);
    })
    .expect("a capture");
    assembler.finish(empty_document()).document.connections
}

fn empty_document() -> Document {
    Document {
        schema_version: SCHEMA_VERSION,
        tracer: TracerInfo::default(),
        host: HostInfo::default(),
        capture: CaptureInfo {
            source: Source::File,
            started_unix_nano: "0".to_owned(),
            duration_ns: 0,
            interfaces: Vec::new(),
            hooks: Vec::new(),
            lost: BTreeMap::new(),
            complete: true,
        },
        dns: Vec::new(),
        neighbors: Vec::new(),
        connections: Vec::new(),
        journeys: Vec::new(),
    }
}

/// Separates several values of one field in one frame; no capture has it in a value.
const AGGREGATOR: char = '^';

/// One frame of tshark: its TCP stream, its ends, and the values of the fields asked for.
#[derive(Debug)]
pub struct Frame {
    pub stream: String,
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
    const ENDS: [&str; 7] = [
        "tcp.stream",
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
            let stream = next();
            let source = [next() + &next(), next()].join(" ");
            let destination = [next() + &next(), next()].join(" ");
            let values = fields.iter().map(|field| {
                let column = next();
                let values = column.split(AGGREGATOR).filter(|value| !value.is_empty());
                ((*field).to_owned(), values.map(str::to_owned).collect())
            });
            Frame {
                stream,
                source,
                destination,
                values: values.collect(),
            }
        })
        .collect()
}
