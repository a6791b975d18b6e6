//! Text from the network on its way to a terminal.

use crate::Target;
use crate::captures::Capture;
use crate::target::Memory;
use tracer::protocol::text::{printable, redact_header, redact_url};
use tracer::report::style::Style;

pub const TARGET: Target = Target {
    name: "text",
    about: "text that may hold anything: nothing of it may steer a terminal",
    run,
    seeds,
    head: 0,
    longest: 4096,
    memory: Memory {
        fixed: 64 << 10,
        per_byte: 256,
    },
};

fn run(input: &[u8]) {
    let shown = printable(input);
    assert!(!shown.contains('\n'), "it is one line");
    crate::document::printable(&shown, true);
    assert_eq!(printable(&shown), shown, "what is safe stays as it is");
    let ascii = Style {
        unicode: false,
        ..Style::default()
    };
    let lossy = String::from_utf8_lossy(input);
    let clean = ascii.clean(&lossy).replace('\u{a0}', " ");
    crate::document::printable(&clean, false);
    redact_url(&lossy);
    let (name, value) = lossy.split_once(':').unwrap_or((&lossy, ""));
    redact_header(name, value);
    let secret = redact_header("Authorization", &format!("Bearer {value}"));
    let long = value.trim();
    // A secret of some length cannot be in the placeholder by accident.
    assert!(
        long.len() < 16 || !secret.contains(long),
        "the secret is there"
    );
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        &b"https://user:pass@x.test/a?token=abc&b=%74oken%3dx#access_token=1"[..],
        b"\x1b[31mred\x1b]0;title\x07\x9b2J\xff\xc3(",
        "p\u{e4}ypal\u{202e}moc.\u{ad}\u{2066}x\u{85}".as_bytes(),
        b"Cookie: a=b; c=\"d\"",
        b"Referer: http://x.test/?session=1;jsessionid=2",
    ]
    .map(<[u8]>::to_vec)
    .into();
    for conversation in captures.iter().flat_map(Capture::conversations) {
        let mut sent = conversation.sent(true);
        sent.truncate(512);
        if sent.starts_with(b"GET") {
            seeds.push(sent);
        }
    }
    seeds
}
