//! What tracer reads from a frame against what tshark reads from it, frame by frame, for
//! every capture of a folder: `../shared/captures` beside the workspace, or the one that
//! `TRACER_CAPTURES` names.

mod ours;
#[path = "../support/packets.rs"]
mod packets;
#[path = "../support/mod.rs"]
mod support;
mod tshark;

use ours::{our_fields, reassembled};
use packets::{frames, observations};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use support::{captures, files};
use tracer::capture::Fact;
use tshark::{followed, run_quietly, their_fields};

/// What both sides say of one frame: field name to value. A field that one side lacks is
/// a difference.
type Fields = BTreeMap<&'static str, String>;

/// Ports whose UDP payload is compared as DNS.
fn is_dns(port: u16) -> bool {
    matches!(port, 53 | 5353)
}

/// Differences that were looked at: `(end of the file's path, frame, field, reason)`.
const REVIEWED: [(&str, u64, &str, &str); 0] = [];

fn reviewed(path: &Path, number: u64, field: &str) -> bool {
    REVIEWED
        .iter()
        .any(|(file, frame, known, _)| path.ends_with(file) && *frame == number && *known == field)
}

/// Differences of one file, a line each.
fn differences(path: &Path) -> String {
    let (theirs, ours) = (their_fields(path), our_fields(path));
    let mut lines = String::new();
    if theirs.len() != ours.len() {
        let _ = writeln!(
            lines,
            "{}: {} packets, tshark {}",
            path.display(),
            ours.len(),
            theirs.len()
        );
    }
    for (number, (ours, theirs)) in (1..).zip(ours.iter().zip(&theirs)) {
        let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for name in names {
            let (our, their) = (ours.get(name), theirs.get(name));
            if our != their && !reviewed(path, number, name) {
                let _ = writeln!(
                    lines,
                    "{} frame {number} {name}: {our:?}, tshark {their:?}",
                    path.display()
                );
            }
        }
    }
    lines
}

#[test]
fn every_frame_reads_as_in_tshark() {
    let files = files(&captures());
    assert!(!files.is_empty(), "the folder holds no captures");
    let differences: String = files.iter().map(|path| differences(path)).collect();
    assert!(differences.is_empty(), "\n{differences}");
}

/// The files that Wireshark's own tools write from one capture hold the same frames.
#[test]
fn every_format_gives_the_same_frames() {
    let capture = captures().join("lab/curl-h2.pcap");
    let keys = captures().join("lab/curl-h2.keys");
    let expected = frames(&capture);
    assert!(!expected.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let source = capture.to_str().unwrap();
    let inject = format!("tls,{}", keys.display());

    run_quietly("editcap", &["-F", "pcap", source, &at("micro")]);
    run_quietly("editcap", &["-F", "nsecpcap", source, &at("nano")]);
    run_quietly("editcap", &["-F", "pcapng", source, &at("ng")]);
    run_quietly(
        "editcap",
        &[
            "-F",
            "pcapng",
            "--inject-secrets",
            &inject,
            source,
            &at("keys"),
        ],
    );
    for name in ["micro", "nano", "ng", "keys"] {
        let read: Vec<_> = frames(Path::new(&at(name)))
            .into_iter()
            .map(|(at_ns, frame)| (at_ns, frame.original_length, frame.data))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(at_ns, frame)| (*at_ns, frame.original_length, frame.data.clone()))
            .collect();
        assert_eq!(read, expected, "{name}");
    }

    let secrets: Vec<String> = observations(Path::new(&at("keys")))
        .1
        .into_iter()
        .filter_map(|seen| match seen.fact {
            Fact::TlsSecret(line) => Some(line),
            _ => None,
        })
        .collect();
    let lines = std::fs::read_to_string(keys).unwrap();
    let lines: Vec<&str> = lines
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(secrets, lines);
}

/// A cut capture says the same of lengths as the whole one.
#[test]
fn a_short_snapshot_length_changes_no_length() {
    let folder = tempfile::tempdir().unwrap();
    let mut differences = String::new();
    for name in [
        "lab/curl-h2.pcap",
        "zeek/http-get.pcap",
        "zeek/http-qinq-0.pcap",
    ] {
        let cut = folder.path().join("cut.pcap");
        let source = captures().join(name);
        // Behind every header of these frames, before their payload ends.
        run_quietly(
            "editcap",
            &[
                "-F",
                "pcap",
                "-s",
                "96",
                source.to_str().unwrap(),
                cut.to_str().unwrap(),
            ],
        );
        let keep = |fields: &Fields| {
            let mut fields = fields.clone();
            fields.retain(|name, _| *name != "captured" && !name.starts_with("dns"));
            fields
        };
        let whole: Vec<Fields> = our_fields(&source).iter().map(keep).collect();
        let read: Vec<Fields> = our_fields(&cut).iter().map(keep).collect();
        assert_eq!(read, whole, "{name}");
        differences += &self::differences(&cut);
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn streams_reassemble_as_in_tshark() {
    let (mut compared, mut differences) = (0, String::new());
    for path in files(&captures()) {
        let ours = reassembled(&path);
        if ours.is_empty() {
            continue;
        }
        let theirs = followed(&path, ours.len());
        for (number, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            for (end, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                let Some(theirs) = theirs else { continue };
                // tshark follows no stream of cut frames; here it has holes.
                if ours.bytes().next_hole(0).is_some() {
                    continue;
                }
                let ours = ours.bytes().as_slice();
                compared += 1;
                if ours != theirs {
                    let _ = writeln!(
                        differences,
                        "{} stream {number} end {end}: {} bytes, tshark {}",
                        path.display(),
                        ours.len(),
                        theirs.len()
                    );
                }
            }
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
    assert!(compared > 0, "the captures hold no whole TCP stream");
}
