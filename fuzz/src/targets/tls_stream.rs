//! TLS connections over any segmentation.

use crate::Target;
use crate::captures::Capture;
use crate::pieces::{joined, pieces};
use crate::target::Memory;
use tracer::journey::bytes::TimedBytes;
use tracer::journey::tls::{KeyLog, analyse};

pub const TARGET: Target = Target {
    name: "tls_stream",
    about: "a TLS connection in pieces; tags: 0 client, 1 server, 2 key log, 3 and 4 holes",
    run,
    seeds,
    head: 0,
    longest: 16 << 10,
    memory: Memory {
        fixed: 2 << 20,
        per_byte: 512,
    },
};

/// Both directions, as they came and in one piece each.
#[derive(Debug, Default)]
pub struct Streams {
    pub client: TimedBytes,
    pub server: TimedBytes,
    pub client_whole: TimedBytes,
    pub server_whole: TimedBytes,
    pub secrets: KeyLog,
}

/// All bytes have one time, so that only where they were cut can make a difference.
const AT_NS: u64 = 7;

impl Streams {
    pub fn of(input: &[u8]) -> Self {
        let mut streams = Self::default();
        for (tag, bytes) in pieces(input) {
            match tag {
                0 => streams.client.push(bytes, AT_NS),
                1 => streams.server.push(bytes, AT_NS),
                2 => {
                    for line in String::from_utf8_lossy(bytes).lines() {
                        streams.secrets.add_line(line);
                    }
                }
                3 => streams.client.push_hole(bytes.len(), AT_NS),
                4 => streams.server.push_hole(bytes.len(), AT_NS),
                _ => {}
            }
        }
        streams.client_whole = whole(&streams.client);
        streams.server_whole = whole(&streams.server);
        streams
    }
}

/// The same bytes with as few cuts as there can be: holes stay.
fn whole(stream: &TimedBytes) -> TimedBytes {
    let mut whole = TimedBytes::default();
    let mut together = Vec::new();
    for run in stream.runs() {
        if run.data.is_empty() {
            whole.push(&together, AT_NS);
            together.clear();
            whole.push_hole(run.length, AT_NS);
        } else {
            together.extend_from_slice(run.data);
        }
    }
    whole.push(&together, AT_NS);
    whole
}

fn run(input: &[u8]) {
    let streams = Streams::of(input);
    let cut = analyse(&streams.client, &streams.server, &streams.secrets);
    let whole = analyse(
        &streams.client_whole,
        &streams.server_whole,
        &streams.secrets,
    );
    assert_eq!(
        cut.is_some(),
        whole.is_some(),
        "cuts decide whether it is TLS"
    );
    let (Some(cut), Some(whole)) = (cut, whole) else {
        return;
    };
    let text = |session| serde_json::to_string(session).expect("JSON");
    assert_eq!(text(&cut.session), text(&whole.session), "cuts show");
    let claimed: u64 = cut.session.records.iter().map(|record| record.bytes).sum();
    assert!(claimed <= (streams.client.len() + streams.server.len()) as u64);
    for (one, other) in [
        (cut.client_plaintext, whole.client_plaintext),
        (cut.server_plaintext, whole.server_plaintext),
    ] {
        let bytes = |stream: Option<TimedBytes>| stream.map(|stream| stream.as_slice().to_vec());
        assert_eq!(bytes(one), bytes(other), "cuts change the plaintext");
    }
}

/// The conversations that `wanted` takes, as pieces.
pub fn conversations(captures: &[Capture], wanted: fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for capture in captures {
        for conversation in capture.conversations() {
            if !wanted(&conversation.sent(true)) {
                continue;
            }
            let mut list = Vec::new();
            if !capture.keys.is_empty() {
                list.push((2, capture.keys.as_bytes()));
            }
            let turns = conversation.turns.iter().take(60);
            list.extend(turns.map(|(by_client, bytes)| (u8::from(!by_client), &bytes[..])));
            seeds.push(joined(list));
        }
    }
    seeds
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let is_tls = |sent: &[u8]| tracer::protocol::tls::record::first_record(sent).is_some();
    let mut seeds = conversations(captures, is_tls);
    // An alert of each end, the server's cut in two.
    let alert = [21, 3, 3, 0, 2, 2, 40];
    seeds.push(joined([
        (0, &alert[..]),
        (1, &alert[..3]),
        (1, &alert[3..]),
    ]));
    seeds
}
