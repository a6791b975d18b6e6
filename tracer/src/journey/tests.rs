//! The assembler over real captures.

use super::assemble::{Assembler, AssemblerOptions};
use super::model::*;
use crate::capture::{Direction, Fact, Frame, HookKind, LinkType, Observation};
use std::path::PathBuf;

fn capture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/captures")
        .join(name)
}

fn read(name: &str, keys: Option<&str>) -> Document {
    let bytes = std::fs::read(capture(name)).expect("the capture");
    let (mut rest, header) = pcap_parser::pcap::parse_pcap_header(&bytes).expect("a pcap header");
    let mut assembler = Assembler::new(AssemblerOptions {
        source: Source::File,
        stream_limit: 1 << 20,
        keep_frames: true,
        show_secrets: false,
        live: false,
    });
    if let Some(keys) = keys {
        for line in std::fs::read_to_string(capture(keys))
            .expect("keys")
            .lines()
        {
            assembler.observe(Observation {
                at_ns: 0,
                fact: Fact::TlsSecret(line.to_owned()),
            });
        }
    }
    let _ = header;
    let mut first = None;
    while let Ok((next, block)) = pcap_parser::pcap::parse_pcap_frame(rest) {
        rest = next;
        let at = u64::from(block.ts_sec) * 1_000_000_000 + u64::from(block.ts_usec) * 1000;
        let start = *first.get_or_insert(at);
        assembler.observe(Observation {
            at_ns: at - start,
            fact: Fact::Frame(Frame {
                interface: 0,
                direction: Direction::Unknown,
                hook: HookKind::Pcap,
                link_type: LinkType::Ethernet,
                cookie: None,
                original_length: block.origlen,
                data: block.data.to_vec(),
            }),
        });
    }
    assembler.finish(document()).document
}

fn document() -> Document {
    Document {
        schema_version: SCHEMA_VERSION,
        tracer: TracerInfo::default(),
        host: HostInfo::default(),
        capture: CaptureInfo {
            source: Source::File,
            started_unix_nano: "0".into(),
            duration_ns: 0,
            interfaces: vec![],
            hooks: vec![],
            lost: Default::default(),
            complete: true,
        },
        dns: vec![],
        neighbors: vec![],
        connections: vec![],
        journeys: vec![],
    }
}

#[test]
fn look() {
    let name = std::env::var("LOOK").unwrap_or("lab/curl-h2".into());
    let keys = format!("{name}.keys");
    let keys = capture(&keys).exists().then_some(keys);
    let document = read(&format!("{name}.pcap"), keys.as_deref());
    println!(
        "{}",
        serde_json::to_string_pretty(&document.journeys).unwrap()
    );
    let trace = Trace {
        document,
        packets: vec![],
    };
    println!(
        "{}",
        crate::report::text::render(
            &trace,
            &crate::report::text::TextOptions {
                verbose: 1,
                ..Default::default()
            }
        )
    );
}
