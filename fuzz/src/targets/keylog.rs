//! Lines of a key log.

use crate::Target;
use crate::captures::Capture;
use crate::target::Memory;
use tracer::journey::tls::KeyLog;

pub const TARGET: Target = Target {
    name: "keylog",
    about: "the text of a key log (SSLKEYLOGFILE)",
    run,
    seeds,
    head: 0,
    longest: 8192,
    memory: Memory {
        fixed: 64 << 10,
        // The shortest line that is kept has some 70 bytes.
        per_byte: 32,
    },
};

const LABELS: [&str; 4] = [
    "CLIENT_RANDOM",
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_TRAFFIC_SECRET_0",
    "CLIENT_EARLY_TRAFFIC_SECRET",
];

fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut secrets = KeyLog::default();
    for line in text.lines() {
        secrets.add_line(line);
    }
    for line in text.lines() {
        let random = line.split_ascii_whitespace().nth(1).unwrap_or_default();
        let Some(random) = random_of(random) else {
            continue;
        };
        for label in LABELS {
            if let Some(secret) = secrets.secret(label, &random) {
                assert!(secret.len() <= 64, "a secret of {} bytes", secret.len());
            }
        }
    }
}

fn random_of(hexadecimal: &str) -> Option<[u8; 32]> {
    let mut random = [0; 32];
    for (index, byte) in random.iter_mut().enumerate() {
        let digits = hexadecimal.get(2 * index..2 * index + 2)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(random)
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let logs = captures
        .iter()
        .map(|capture| capture.keys.as_bytes().to_vec());
    let mut seeds: Vec<_> = logs.filter(|log| !log.is_empty()).collect();
    let (random, secret) = ("ab".repeat(32), "cd".repeat(48));
    seeds.push(format!("# a comment\nCLIENT_RANDOM {random} {secret}\n").into_bytes());
    seeds
}
