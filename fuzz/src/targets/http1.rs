//! Messages of HTTP/1.

use crate::Target;
use crate::captures::Capture;
use crate::target::Memory;
use tracer::protocol::http1::{Chunk, Parsed, next_chunk, parse_request, parse_response};

pub const TARGET: Target = Target {
    name: "http1",
    about: "heads and chunks of HTTP/1 at the start of the input",
    run,
    seeds,
    head: 0,
    longest: 8192,
    memory: Memory {
        // Room for 4096 headers before they are counted.
        fixed: 1 << 20,
        per_byte: 64,
    },
};

fn run(input: &[u8]) {
    if let Parsed::Complete(head, length) = parse_request(input) {
        assert!(length <= input.len(), "a head longer than the input");
        head.framing();
        head.expects_continue();
        head.upgrades_to_http2();
    }
    if let Parsed::Complete(head, length) = parse_response(input) {
        assert!(length <= input.len(), "a head longer than the input");
        for method in ["GET", "HEAD", "CONNECT"] {
            head.framing(method);
            head.switches(method);
        }
    }
    let mut rest = input;
    loop {
        match next_chunk(rest) {
            Chunk::Data { line, size } => {
                assert!(
                    line > 0 && line <= rest.len(),
                    "a size line of {line} bytes"
                );
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                let after = line.checked_add(size).and_then(|end| rest.get(end..));
                let Some(after) = after else { return };
                rest = after;
            }
            Chunk::Last { length } => {
                assert!(length <= rest.len(), "trailers longer than the input");
                return;
            }
            Chunk::Broken => return,
        }
    }
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for conversation in captures.iter().flat_map(Capture::conversations) {
        for by_client in [true, false] {
            let mut sent = conversation.sent(by_client);
            sent.truncate(4096);
            let complete = matches!(parse_request(&sent), Parsed::Complete(..))
                || matches!(parse_response(&sent), Parsed::Complete(..));
            if complete {
                seeds.push(sent);
            }
        }
    }
    seeds.push(
        b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
            .to_vec(),
    );
    seeds.push(b"HTTP/1.0 301 Moved\r\nLocation: /\r\nConnection: close\r\n\r\n".to_vec());
    seeds.push(b"3;x=y\r\nabc\r\n0\r\nTrailer: z\r\n\r\n".to_vec());
    seeds
}
