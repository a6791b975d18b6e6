//! HTTP/2 header blocks that share a table.

use crate::Target;
use crate::captures::Capture;
use crate::pieces::{joined, pieces};
use crate::target::Memory;
use tracer::protocol::http2::{FrameHeader, HEADER_LENGTH, HeaderDecoder, PREFACE, frame_type};

pub const TARGET: Target = Target {
    name: "hpack",
    about: "HTTP/2 header blocks of one direction, a block a piece; tag 1: a whole frame",
    run,
    seeds,
    head: 0,
    longest: 8192,
    memory: Memory {
        // What one block may unfold to is bounded by 256 headers of a table of 1 MiB.
        fixed: 68 << 20,
        per_byte: 256,
    },
};

fn run(input: &[u8]) {
    let mut decoder = HeaderDecoder::default();
    for (tag, bytes) in pieces(input) {
        let block = match tag {
            1 => FrameHeader::parse(bytes).and_then(|header| {
                let payload = bytes.get(HEADER_LENGTH..)?;
                header.data_length(payload);
                Some(header.block(payload)?.0)
            }),
            _ => Some(bytes),
        };
        let Some(block) = block else { continue };
        if let Some(headers) = decoder.decode(block) {
            assert!(headers.len() <= block.len(), "more headers than bytes");
        }
    }
}

fn seeds(captures: &[Capture]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for conversation in captures.iter().flat_map(Capture::conversations) {
        if !conversation.sent(true).starts_with(PREFACE) {
            continue;
        }
        for by_client in [true, false] {
            let sent = conversation.sent(by_client);
            let sent = sent.strip_prefix(PREFACE).unwrap_or(&sent);
            let blocks = blocks(sent);
            seeds.push(joined(blocks.iter().map(|block| (1, &block[..]))));
        }
    }
    // RFC 7541, appendix C.4: the same request three times, with Huffman coding.
    let first = [
        0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90,
        0xf4, 0xff,
    ];
    let second = [
        0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf,
    ];
    // A size update, then an indexed field.
    let third = [0x3f, 0x0a, 0xbe];
    seeds.push(joined([(0, &first[..]), (0, &second), (0, &third)]));
    seeds
}

/// The frames of `sent` that hold headers.
fn blocks(sent: &[u8]) -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    let mut rest = sent;
    while let Some(header) = FrameHeader::parse(rest) {
        let end = (HEADER_LENGTH + header.length).min(rest.len());
        let (frame, after) = rest.split_at(end);
        if matches!(header.kind, frame_type::HEADERS | frame_type::CONTINUATION) {
            blocks.push(frame.to_vec());
        }
        rest = after;
    }
    blocks
}
