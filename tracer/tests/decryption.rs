//! Every cipher suite that a key log opens, over connections of other implementations,
//! compared with what tshark reads in them.

use std::path::{Path, PathBuf};
use std::process::Command;
use tracer::journey::model::{DecryptedBy, Document};
use tracer::replay::{ReplayOptions, replay};

/// Captures of this project's own with the key logs beside them.
fn captures() -> Vec<(PathBuf, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let entries = std::fs::read_dir(folder).expect("readable");
    let mut captures: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "pcap"))
        .map(|path| (path.clone(), path.with_extension("keys")))
        .filter(|(_, keys)| keys.is_file())
        .collect();
    captures.sort();
    captures
}

fn document(capture: &Path, keys: &Path) -> Document {
    let options = ReplayOptions {
        secrets: std::fs::read_to_string(keys).expect("readable"),
        ..ReplayOptions::default()
    };
    let (trace, _) = replay(capture, &options).expect("a capture");
    trace.document
}

/// What tshark says of each HTTP message: request target or status, and the body's length.
fn of_tshark(capture: &Path, keys: &Path) -> Vec<String> {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(capture)
        .args(["-o", &format!("tls.keylog_file:{}", keys.display())])
        .args(["-Y", "http", "-T", "fields"])
        .args(["-e", "http.request.uri", "-e", "http.response.code"])
        .args(["-e", "http.content_length"])
        .output()
        .expect("tshark runs; install the package tshark");
    let text = String::from_utf8_lossy(&output.stdout);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect()
}

fn of_tracer(document: &Document) -> Vec<String> {
    let exchanges = document.connections.iter().flat_map(|it| &it.http);
    let messages = exchanges.flat_map(|exchange| {
        let status = exchange.status.map_or(String::new(), |it| it.to_string());
        let bytes = exchange.response_body_bytes;
        [
            exchange.target.clone().unwrap_or_default(),
            format!("{status} {bytes}"),
        ]
    });
    messages.collect()
}

#[test]
fn what_was_sealed_is_what_tshark_reads() {
    let captures = captures();
    assert!(captures.len() >= 6, "{captures:?}");
    for (capture, keys) in captures {
        let ours = of_tracer(&document(&capture, &keys));
        assert_eq!(ours, of_tshark(&capture, &keys), "{}", capture.display());
        assert!(!ours.is_empty(), "{}", capture.display());
    }
}

#[test]
fn no_record_with_a_known_key_stays_sealed() {
    for (capture, keys) in captures() {
        for connection in document(&capture, &keys).connections {
            let about = format!("{} {}", capture.display(), connection.id);
            let tls = connection.tls.expect("TLS");
            assert_eq!(tls.decrypted_by, DecryptedBy::Keylog, "{about}");
            let sealed = tls.records.iter().flat_map(|record| &record.messages);
            let sealed = sealed.filter(|name| name.starts_with("Encrypted ")).count();
            assert_eq!(sealed, 0, "{about} {:?}", tls.cipher);
            let alerts: Vec<_> = tls.alerts.iter().map(|it| &it.description).collect();
            assert!(alerts.iter().all(|it| *it == "close_notify"), "{about}");
            assert!(!alerts.is_empty(), "{about}");
        }
    }
}

/// Without the keys the same connections keep their secrets.
#[test]
fn nothing_is_read_without_the_key_log() {
    for (capture, _) in captures() {
        let none = Path::new("/dev/null");
        for connection in document(&capture, none).connections {
            assert!(connection.http.is_empty(), "{}", capture.display());
            let tls = connection.tls.expect("TLS");
            assert_eq!(tls.decrypted_by, DecryptedBy::None);
        }
    }
}
