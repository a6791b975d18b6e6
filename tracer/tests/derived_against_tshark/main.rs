//! The document of `tracer read` against tshark, fact by fact, for captures that are not
//! whole: derived from those of `../shared/captures` (or the folder that `TRACER_CAPTURES`
//! names) by changes that are always the same.

mod derive;
#[path = "../support/invariants.rs"]
mod invariants;
#[path = "../read_against_tshark/ours.rs"]
mod ours;
#[path = "../support/packets.rs"]
mod packets;
#[path = "../support/mod.rs"]
mod support;
#[path = "../read_against_tshark/tshark.rs"]
mod tshark;

use derive::Change;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::{captures, files};
use tracer::replay::{ReplayOptions, replay};

/// What one side says of a capture: the name of a fact, and each occurrence in words.
pub type Facts = BTreeMap<&'static str, Vec<String>>;

const SOURCES: [&str; 12] = [
    "lab/curl-redirect.pcap",
    "suricata-verify/dns-over-http2.pcap",
    "suricata-verify/http2-range.pcap",
    "suricata-verify/quic-retry.pcap",
    "zeek/dns-edns-ecs.pcap",
    "zeek/http-100-continue.pcap",
    "zeek/http-bro.org.pcap",
    "zeek/http-pipelined-requests.pcap",
    "zeek/tcp-retransmit-fast009.pcap",
    "zeek/tls-chrome-1250-tls-x25519-kyber.pcap",
    "zeek/tls-client-certificate.pcap",
    "zeek/tls-tls1.2.pcap",
];

const CHANGES: [Change; 8] = [
    Change::Snapshot(128),
    Change::Snapshot(400),
    Change::Late(4),
    Change::Loss(20),
    Change::OneWay { of_first: true },
    Change::OneWay { of_first: false },
    Change::Swap(10),
    Change::Tag,
];

/// A fact, how much of what tshark says of it the document says, and of what either says how
/// much both say: per mille. What is not all is for the reason beside it. What only the document
/// says, and tshark of the whole source, is no difference: tshark does not put segments in order,
/// and leaves out what overtook another, or was cut.
const FLOORS: [(&str, usize, usize, &str); 12] = [
    ("dns query", 1000, 1000, ""),
    ("dns answer", 1000, 1000, ""),
    ("dns data", 1000, 1000, ""),
    ("syn", 1000, 1000, ""),
    ("syn-ack", 1000, 1000, ""),
    ("retransmission", 1000, 1000, ""),
    ("reset", 1000, 1000, ""),
    (
        "sni",
        940,
        940,
        "a client of QUIC that starts over after a Retry that was not captured is one connection here, two there",
    ),
    ("tls version", 1000, 1000, ""),
    ("tls cipher", 1000, 1000, ""),
    ("http request", 1000, 1000, ""),
    (
        "http status",
        1000,
        980,
        "tshark leaves out a response whose body is not all there, in the source as well",
    ),
];

/// The key log beside a capture is that of its source.
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
    invariants::check(&path.display().to_string(), &trace.document);
    ours::facts(&trace.document)
}

/// How much of a fact one side says, the other side says, and both say.
#[derive(Debug, Default, Clone, Copy)]
struct Agreement {
    ours: usize,
    theirs: usize,
    both: usize,
    /// What only we say, and tshark says of the source, too: it is true.
    true_of_source: usize,
}

/// A derived capture, how it was made, and what tshark says of its source.
struct Derived {
    path: PathBuf,
    change: Change,
    of_source: Arc<Facts>,
}

/// Takes from `left` what `facts` have, and returns how many that were. Each counts once.
fn take(left: &mut Vec<String>, facts: &[String]) -> usize {
    let before = left.len();
    for one in facts {
        if let Some(index) = left.iter().position(|other| other == one) {
            left.swap_remove(index);
        }
    }
    before - left.len()
}

fn compare(derived: &Derived) -> BTreeMap<&'static str, Agreement> {
    let Derived { path, change, .. } = derived;
    let (mut ours, theirs) = (our_facts(path), tshark::facts(path));
    let mut found = BTreeMap::new();
    for fact in tshark::FACTS {
        // tshark tells what the header of a message says of it; of one that was cut the
        // document has what is there.
        if matches!(change, Change::Snapshot(_)) && fact.starts_with("dns") {
            continue;
        }
        let mut left = ours.remove(fact).unwrap_or_default();
        let theirs = theirs.get(fact).map_or(&[][..], Vec::as_slice);
        let mut agreement = Agreement {
            ours: left.len(),
            theirs: theirs.len(),
            both: 0,
            true_of_source: 0,
        };
        let mut said = left.clone();
        agreement.both = take(&mut left, theirs);
        // Of what the source has, what both say is not to be had twice.
        let of_source = derived.of_source.get(fact).map_or(&[][..], Vec::as_slice);
        let of_source = take(&mut said, of_source);
        let more = of_source.saturating_sub(agreement.both);
        agreement.true_of_source = more.min(left.len());
        if fact == "dns data" {
            // tshark does not say in which section a record stood; the document has answers.
            agreement.theirs = agreement.both;
        }
        if !left.is_empty() || agreement.both < agreement.theirs {
            println!(
                "{} {fact}: {agreement:?}, only ours {left:?}",
                path.display()
            );
        }
        found.insert(fact, agreement);
    }
    found
}

/// Writes the derived captures into `folder`.
fn derived(folder: &Path) -> Vec<Derived> {
    let mut written = Vec::new();
    let sources = files(&captures()).into_iter();
    for path in sources.filter(|path| SOURCES.iter().any(|source| path.ends_with(source))) {
        let frames = packets::frames(&path);
        let of_source = Arc::new(tshark::facts(&path));
        let name = path.file_stem().expect("a name").to_string_lossy();
        for (number, change) in CHANGES.iter().enumerate() {
            let Some(changed) = change.apply(&frames) else {
                continue;
            };
            let file = folder.join(format!("{name}-{number}.pcap"));
            std::fs::write(&file, derive::pcap(&changed)).expect("a temporary file");
            if let Some(keys) = keys(&path) {
                std::fs::copy(keys, file.with_extension("keys")).expect("a temporary file");
            }
            written.push(Derived {
                path: file,
                change: *change,
                of_source: of_source.clone(),
            });
        }
    }
    written
}

#[test]
fn captures_that_are_not_whole_say_what_tshark_says_of_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = derived(folder.path());
    let mut sums: BTreeMap<&str, Agreement> = BTreeMap::new();
    // tshark takes longer to start than to read.
    let compared: Vec<_> = std::thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(4));
        let threads =
            parts.map(|part| scope.spawn(|| part.iter().map(compare).collect::<Vec<_>>()));
        let threads: Vec<_> = threads.collect();
        let joined = threads
            .into_iter()
            .flat_map(|it| it.join().expect("no panic"));
        joined.collect()
    });
    for (fact, agreement) in compared.into_iter().flatten() {
        let sum = sums.entry(fact).or_default();
        sum.ours += agreement.ours;
        sum.theirs += agreement.theirs;
        sum.both += agreement.both;
        sum.true_of_source += agreement.true_of_source;
    }
    let mut below = Vec::new();
    for (fact, said, same, reason) in FLOORS {
        let sum = sums.get(fact).copied().unwrap_or_default();
        let reason = if reason.is_empty() {
            "all agreed"
        } else {
            reason
        };
        let union = sum.ours + sum.theirs - sum.both - sum.true_of_source;
        println!("{fact:<16} {sum:?}, union {union}");
        assert!(sum.theirs > 0, "the captures hold no {fact}");
        if sum.both * 1000 < said * sum.theirs || sum.both * 1000 < same * union {
            below.push(format!("{fact}: {sum:?}; before: {reason}"));
        }
    }
    assert!(below.is_empty(), "below the floor: {below:#?}");
}
