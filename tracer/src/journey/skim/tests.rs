use super::Skimmer;
use crate::journey::model::End::{self, Client, Server};
use crate::journey::stream::StreamAssembler;
use crate::journey::tls::KeyLog;
use crate::journey::{http, tls};

/// Large against all that has to be kept.
const BODY: usize = 100_000;

struct Pair {
    client: StreamAssembler,
    server: StreamAssembler,
}

impl Pair {
    fn new() -> Self {
        let [mut client, mut server] = [(); 2].map(|()| StreamAssembler::new(1 << 24));
        client.set_initial_sequence(0);
        server.set_initial_sequence(0);
        Self { client, server }
    }

    fn take(&mut self, end: End, data: &[u8], at_ns: u64) {
        let stream = match end {
            Client => &mut self.client,
            Server => &mut self.server,
        };
        let sequence = u32::try_from(stream.highest() + 1).expect("short");
        let length = u32::try_from(data.len()).expect("short");
        stream.segment(sequence, data, length, at_ns);
    }

    fn told(&self) -> String {
        let (client, server) = (self.client.bytes(), self.server.bytes());
        let session = tls::analyse(client, server, &KeyLog::default());
        let session = session.map(|it| (it.session, it.server_application_data));
        let exchanges = http::analyse(client, server, None, "http", "c1", false);
        serde_json::to_string(&(session, exchanges)).expect("JSON")
    }

    fn room(&self) -> usize {
        self.client.bytes().room() + self.server.bytes().room()
    }
}

/// Both ways in segments of any length: what is told must be the same. Returns the memory
/// that the streams take in the worse case.
fn skimmed(seals_stay: bool, conversation: &[(End, &[u8])]) -> usize {
    let room = [1, 7, 1460, 65_000].map(|length| {
        let (mut whole, mut skimmed) = (Pair::new(), Pair::new());
        let mut skimmer = Skimmer::new(seals_stay);
        let segments = conversation
            .iter()
            .flat_map(|(end, data)| data.chunks(length).map(|data| (*end, data)));
        for (at_ns, (end, data)) in (1..).zip(segments) {
            whole.take(end, data, at_ns);
            skimmed.take(end, data, at_ns);
            skimmer.follow(end, &mut skimmed.client, &mut skimmed.server);
        }
        assert_eq!(skimmed.told(), whole.told(), "segments of {length}");
        skimmed.room()
    });
    room.into_iter().max().unwrap_or(0)
}

fn with_body(head: &str) -> Vec<u8> {
    [head.as_bytes(), &[b'x'; BODY]].concat()
}

fn answer() -> Vec<u8> {
    with_body(&format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n"
    ))
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// What a segment of 65 000 bytes may leave, with its room.
const LITTLE: usize = 16_384;

#[test]
fn bodies_whose_end_is_known_are_not_kept() {
    let posted = with_body(&format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {BODY}\r\n\r\n"
    ));
    let to_the_end = with_body("HTTP/1.0 200 OK\r\n\r\n");
    let room = skimmed(
        false,
        &[
            (Client, GET),
            (Server, &answer()),
            (Client, &posted),
            (Server, b"HTTP/1.1 100 Continue\r\n\r\n"),
            (Server, b"HTTP/1.1 204 No Content\r\n\r\n"),
            (Client, GET),
            (Server, &to_the_end),
        ],
    );
    assert!(room < LITTLE, "{room}");
}

#[test]
fn chunks_are_not_kept_and_their_lines_are() {
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for size in [20_000, 5, 1000, 70_000] {
        chunked.extend_from_slice(format!("{size:x};x=y\r\n").as_bytes());
        chunked.extend(std::iter::repeat_n(b'\n', size));
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\nTrailer: 1\r\n\r\n");
    let room = skimmed(
        false,
        &[
            (Client, GET),
            (Server, &chunked),
            (Client, GET),
            (Server, &answer()),
        ],
    );
    assert!(room < LITTLE, "{room}");
}

fn records(kind: u8, body: &[u8]) -> Vec<u8> {
    let records = body.chunks(16_384).flat_map(|part| {
        let length = u16::try_from(part.len()).expect("short").to_be_bytes();
        [&[kind, 3, 3, length[0], length[1]], part].concat()
    });
    records.collect()
}

#[test]
fn what_is_sealed_is_kept_only_where_a_key_may_come() {
    let hello = records(22, &[&[1, 0, 0, 200][..], &[3; 200]].concat());
    let sealed = records(23, &[7; BODY]);
    let conversation = [
        (Client, &hello[..]),
        (Server, &hello),
        (Client, &sealed),
        (Server, &sealed),
    ];
    let room = skimmed(true, &conversation);
    assert!(room < LITTLE, "{room}");
    let room = skimmed(false, &conversation);
    assert!(room > 2 * BODY, "{room}");
}

/// Each of these would be read wrongly by who believes the length in the head.
#[test]
fn in_doubt_everything_is_kept() {
    let answer = answer();
    let kept: [&[(End, &[u8])]; 5] = [
        // To a request of which nothing was seen yet.
        &[(Server, &answer), (Client, GET), (Server, &answer)],
        &[
            (Client, b"CONNECT a.test:443 HTTP/1.1\r\n\r\n"),
            (Server, &answer),
        ],
        &[
            (Client, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            (Server, &answer),
        ],
        &[
            (Client, GET),
            (Server, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
            (Server, &answer),
        ],
        // A greeting: what follows is the text of a message.
        &[
            (Server, b"220 mail.test\r\n"),
            (Client, GET),
            (Server, &answer),
        ],
    ];
    for conversation in kept {
        let room = skimmed(true, conversation);
        assert!(room >= BODY, "{room}: {:?}", conversation.first());
    }
    // The answer to HEAD has no body.
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n");
    skimmed(
        true,
        &[
            (Client, HEAD),
            (Server, length.as_bytes()),
            (Client, GET),
            (Server, &answer),
        ],
    );
}

#[test]
fn a_stream_whose_start_is_a_guess_is_kept() {
    let mut pair = Pair::new();
    pair.server = StreamAssembler::new(1 << 24);
    let mut skimmer = Skimmer::new(true);
    for (end, data) in [(Client, GET), (Server, &answer())] {
        pair.take(end, data, 1);
        skimmer.follow(end, &mut pair.client, &mut pair.server);
    }
    assert!(pair.room() >= BODY);
}
