//! The document of `tracer read` against tshark, fact by fact, for every capture of a
//! folder: `../shared/captures` beside the workspace, or the one that `TRACER_CAPTURES`
//! names. A key log beside a capture (`.keys`) is used by both.

mod ours;
#[path = "../support/mod.rs"]
mod support;
mod tshark;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use support::{captures, files};
use tracer::replay::{ReplayOptions, replay};

/// What one side says of a capture: the name of a fact, and each occurrence in words.
pub type Facts = BTreeMap<&'static str, Vec<String>>;

/// Differences that were looked at: end of the file's path, fact, reason.
const REVIEWED: &[(&str, &str, &str)] = &[
    (
        "suricata-verify/tcp-split-handshake-4whs.pcap",
        "syn",
        "four messages: the document has no place for the server's own SYN",
    ),
    (
        "suricata-verify/tcp-split-handshake-4whs.pcap",
        "syn-ack",
        "four messages: the SYN-ACK is the client's, the sequence number shown the server's",
    ),
    (
        "zeek/http-bro.org.pcap",
        "http status",
        "a segment of one body is missing; tshark leaves out the whole response",
    ),
];

pub fn keys(path: &Path) -> Option<PathBuf> {
    let keys = path.with_extension("keys");
    keys.is_file().then_some(keys)
}

fn our_facts(path: &Path) -> Facts {
    let options = ReplayOptions {
        secrets: keys(path)
            .map(|keys| std::fs::read_to_string(keys).expect("readable keys"))
            .unwrap_or_default(),
        show_secrets: true,
        ..ReplayOptions::default()
    };
    let (trace, _) = replay(path, &options).unwrap_or_else(|error| panic!("{error}"));
    ours::facts(&trace.document)
}

/// What only one of two lists has, each element as often as it is missing.
fn missing<'a>(from: &[String], of: &'a [String]) -> Vec<&'a str> {
    let mut from: Vec<&String> = from.iter().collect();
    of.iter()
        .filter(|wanted| match from.iter().position(|one| one == wanted) {
            Some(index) => {
                from.swap_remove(index);
                false
            }
            None => true,
        })
        .map(String::as_str)
        .collect()
}

fn compare(path: &Path, agreements: &mut BTreeMap<&'static str, (usize, usize)>) -> String {
    let (ours, theirs) = (our_facts(path), tshark::facts(path));
    let nothing = Vec::new();
    let mut lines = String::new();
    for fact in tshark::FACTS {
        let ours = ours.get(fact).unwrap_or(&nothing);
        let theirs = theirs.get(fact).unwrap_or(&nothing);
        let (mut only_theirs, only_ours) = (missing(ours, theirs), missing(theirs, ours));
        if fact == "dns data" {
            // tshark does not say in which section a record stood; the document has answers.
            only_theirs.clear();
        }
        let (agreed, all) = agreements.entry(fact).or_default();
        *all += theirs.len().max(ours.len());
        *agreed += theirs.len().max(ours.len()) - only_theirs.len().max(only_ours.len());
        let reviewed = REVIEWED
            .iter()
            .any(|(file, about, _)| path.ends_with(file) && *about == fact);
        let same = only_ours.is_empty() && only_theirs.is_empty();
        if !(reviewed || same) {
            let file = path.display();
            let _ = writeln!(
                lines,
                "{file} {fact}:\n  only tracer {only_ours:?}\n  only tshark {only_theirs:?}"
            );
        }
    }
    lines
}

#[test]
fn the_document_says_what_tshark_says() {
    let files = files(&captures());
    assert!(!files.is_empty(), "the folder holds no captures");
    let mut agreements = BTreeMap::new();
    let differences: String = files
        .iter()
        .map(|path| compare(path, &mut agreements))
        .collect();
    for (fact, (agreed, all)) in &agreements {
        println!("{fact:<16} {agreed} of {all}");
        assert!(*all > 0, "the captures hold no {fact}");
    }
    assert!(differences.is_empty(), "\n{differences}");
}
