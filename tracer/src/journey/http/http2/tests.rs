use crate::journey::bytes::TimedBytes;
use crate::journey::http::analyse;
use crate::journey::model::HttpExchange;
use crate::protocol::http2::PREFACE;
use fluke_hpack::Encoder;

/// Flags of frames (RFC 9113, section 6).
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// One direction in the making: each frame is a segment, one unit of time after the other.
struct Writer {
    encoder: Encoder<'static>,
    stream: TimedBytes,
    now: u64,
}

impl Writer {
    fn new(at: u64, first: &[u8]) -> Self {
        let mut writer = Self {
            encoder: Encoder::new(),
            stream: TimedBytes::default(),
            now: at,
        };
        writer.stream.push(first, at);
        writer.send(4, 0, 0, &[]);
        writer
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.now += 1;
        self.stream
            .push(&frame(kind, flags, stream, payload), self.now);
    }

    fn block(&mut self, headers: &[(&str, &str)]) -> Vec<u8> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        self.encoder.encode(headers)
    }

    fn headers(&mut self, stream: u32, flags: u8, headers: &[(&str, &str)]) {
        let block = self.block(headers);
        self.send(1, flags | END_HEADERS, stream, &block);
    }

    fn get(&mut self, stream: u32, path: &str) {
        let headers = request(path);
        self.headers(stream, END_STREAM, &headers);
    }
}

fn request(path: &str) -> [(&str, &str); 5] {
    [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "shop.test"),
        (":path", path),
        ("user-agent", "test"),
    ]
}

fn client() -> Writer {
    Writer::new(0, PREFACE)
}

fn server() -> Writer {
    Writer::new(100, &[])
}

fn read(client: &Writer, server: &Writer) -> Vec<HttpExchange> {
    analyse(
        &client.stream,
        &server.stream,
        Some("h2"),
        "https",
        "c1",
        false,
    )
}

#[test]
fn streams_that_are_woven_into_each_other_are_told_apart() {
    let (mut client, mut server) = (client(), server());
    client.get(1, "/a");
    client.get(3, "/b");
    server.headers(3, 0, &[(":status", "200"), ("server", "s")]);
    server.headers(1, 0, &[(":status", "404"), ("server", "s")]);
    server.send(0, 0, 3, b"bb");
    server.send(0, END_STREAM, 1, b"a");
    server.send(0, END_STREAM, 3, b"b");
    let exchanges = read(&client, &server);
    let found: Vec<_> = exchanges
        .iter()
        .map(|e| {
            (
                e.id.as_str(),
                e.stream,
                e.target.as_deref().unwrap_or_default(),
                e.status,
                e.response_body_bytes,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("c1.1", Some(1), "/a", Some(404), 1),
            ("c1.2", Some(3), "/b", Some(200), 3)
        ]
    );
    let second = &exchanges[1];
    assert_eq!(
        (second.request_at_ns, second.request_end_at_ns),
        (Some(3), Some(3))
    );
    assert_eq!(
        (second.response_at_ns, second.response_end_at_ns),
        (Some(102), Some(106))
    );
    assert_eq!((second.request_segments, second.response_segments), (1, 3));
    assert_eq!(second.url.as_deref(), Some("https://shop.test/b"));
    assert_eq!(second.host.as_deref(), Some("shop.test"));
    assert_eq!(
        second.request_headers,
        [("user-agent".to_owned(), "test".to_owned())]
    );
    assert_eq!(
        second.response_headers,
        [("server".to_owned(), "s".to_owned())]
    );
}

#[test]
fn a_block_over_continuations_is_one_request() {
    let mut client = client();
    let block = client.block(&request("/long"));
    let (first, rest) = block.split_at(3);
    let mut padded = vec![4];
    padded.extend(first);
    padded.extend([0; 4]);
    client.send(1, END_STREAM | PADDED, 1, &padded);
    client.send(9, 0, 1, &rest[..2]);
    client.send(9, END_HEADERS, 1, &rest[2..]);
    let e = &read(&client, &server())[0];
    assert_eq!(
        (e.target.as_deref().unwrap_or_default(), e.request_segments),
        ("/long", 3)
    );
    assert_eq!((e.request_at_ns, e.request_end_at_ns), (Some(2), Some(4)));
    assert_eq!(e.response_at_ns, None);
}

#[test]
fn an_upload_ends_with_its_last_frame_and_padding_is_not_body() {
    let mut client = client();
    let headers = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/"),
        ("host", "shop.test:443"),
    ];
    client.headers(1, 0, &headers);
    client.send(0, PADDED, 1, &[3, b'a', b'b', 0, 0, 0]);
    client.send(0, 0, 1, b"cd");
    client.headers(1, END_STREAM, &[("digest", "x")]);
    let exchanges = read(&client, &server());
    assert_eq!(exchanges.len(), 1, "trailers are no request");
    assert_eq!(exchanges[0].request_body_bytes, 4);
    assert_eq!(exchanges[0].request_end_at_ns, Some(5));
    assert_eq!(exchanges[0].url.as_deref(), Some("https://shop.test/"));
}

#[test]
fn an_interim_response_is_not_the_answer_and_a_reset_has_no_end() {
    let (mut client, mut server) = (client(), server());
    client.get(1, "/");
    server.headers(1, 0, &[(":status", "103")]);
    server.headers(1, 0, &[(":status", "200")]);
    server.send(0, 0, 1, b"abc");
    server.send(3, 0, 1, &[0, 0, 0, 2]);
    server.send(7, 0, 0, &[0; 8]);
    let e = &read(&client, &server)[0];
    assert_eq!(
        (e.status, e.response_at_ns, e.response_end_at_ns),
        (Some(200), Some(103), None)
    );
    assert_eq!(e.response_body_bytes, 3);
}

#[test]
fn a_pushed_response_has_the_promise_as_its_request() {
    let (mut client, mut server) = (client(), server());
    client.get(1, "/");
    let mut promise = 2_u32.to_be_bytes().to_vec();
    promise.extend(server.block(&request("/style.css")));
    server.send(5, END_HEADERS, 1, &promise);
    server.headers(1, END_STREAM, &[(":status", "204")]);
    server.headers(2, END_STREAM, &[(":status", "200")]);
    let found: Vec<_> = read(&client, &server)
        .into_iter()
        .map(|e| (e.stream, e.target.unwrap_or_default(), e.status))
        .collect();
    assert_eq!(
        found,
        [
            (Some(1), "/".to_owned(), Some(204)),
            (Some(2), "/style.css".to_owned(), Some(200))
        ]
    );
}

#[test]
fn data_in_a_hole_counts_and_lost_headers_are_not_guessed() {
    let (mut client, mut server) = (client(), server());
    client.get(1, "/a");
    client.get(3, "/b");
    server.headers(1, 0, &[(":status", "200")]);
    // A DATA frame of which only the header was captured.
    let data = frame(0, END_STREAM, 1, &[0; 5_000]);
    server.stream.push(&data[..12], 110);
    server.stream.push_hole(data.len() - 12, 111);
    // Headers of which a part was not.
    let block = server.block(&[(":status", "301"), ("location", "/elsewhere")]);
    let lost = frame(1, END_HEADERS, 3, &block);
    server.stream.push(&lost[..10], 112);
    server.stream.push_hole(lost.len() - 10, 112);
    let data = frame(0, END_STREAM, 3, b"xyz");
    server.stream.push(&data, 113);
    let exchanges = read(&client, &server);
    assert_eq!(exchanges[0].response_body_bytes, 5_000);
    assert_eq!(exchanges[0].response_end_at_ns, Some(111));
    assert_eq!(
        (exchanges[1].status, exchanges[1].response_body_bytes),
        (None, 3)
    );
    assert_eq!(exchanges[1].response_end_at_ns, Some(113));
}

const UPGRADE: &[u8] = b"GET /first HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, \
    HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n";
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n";

/// What both ends say after the upgrade: the answer on stream 1, and one request more.
fn after_the_upgrade() -> (Writer, Writer) {
    let (mut client, mut server) = (Writer::new(9, PREFACE), Writer::new(100, &[]));
    client.get(3, "/second");
    server.headers(1, 0, &[(":status", "200")]);
    server.send(0, END_STREAM, 1, b"first");
    server.headers(3, END_STREAM, &[(":status", "204")]);
    (client, server)
}

/// Version, target and status in order.
fn versions(exchanges: &[HttpExchange]) -> Vec<(&str, &str, Option<u16>)> {
    let told = exchanges.iter().map(|e| {
        let target = e.target.as_deref().unwrap_or_default();
        (e.version.as_str(), target, e.status)
    });
    told.collect()
}

#[test]
fn an_upgrade_is_an_exchange_in_each_version() {
    let (after, answers) = after_the_upgrade();
    let mut client = TimedBytes::default();
    client.push(UPGRADE, 1);
    client.push(after.stream.as_slice(), 5);
    let mut server = TimedBytes::default();
    server.push(b"HTTP/1.1 103 Early Hints\r\n\r\n", 2);
    server.push(SWITCHING, 3);
    server.push(answers.stream.as_slice(), 7);
    let exchanges = analyse(&client, &server, None, "http", "c1", false);
    assert_eq!(
        versions(&exchanges),
        [
            ("1.1", "/first", Some(101)),
            ("2", "", Some(200)),
            ("2", "/second", Some(204))
        ]
    );
    let [asked, answer, second] = exchanges.as_slice() else {
        panic!("{exchanges:?}")
    };
    assert_eq!((asked.stream, answer.stream), (None, Some(1)));
    assert_eq!((answer.id.as_str(), second.id.as_str()), ("c1.2", "c1.3"));
    assert_eq!(answer.upgraded_from.as_deref(), Some("c1.1"));
    assert_eq!(
        (&asked.upgraded_from, &second.upgraded_from),
        (&None, &None)
    );
    assert_eq!(asked.informational.len(), 1);
    assert_eq!(
        (
            asked.request_at_ns,
            asked.response_at_ns,
            asked.response_end_at_ns
        ),
        (Some(1), Some(3), Some(3))
    );
    assert_eq!(
        (
            answer.request_at_ns,
            answer.response_at_ns,
            answer.response_body_bytes
        ),
        (None, Some(7), 5)
    );
    assert_eq!(answer.url.as_deref(), Some("http://x/first"));
}

#[test]
fn an_upgrade_whose_answer_is_still_to_come_is_not_over() {
    let mut client = TimedBytes::default();
    client.push(UPGRADE, 1);
    client.push(PREFACE, 5);
    let mut server = TimedBytes::default();
    server.push(SWITCHING, 3);
    let exchanges = analyse(&client, &server, None, "http", "c1", false);
    assert_eq!(versions(&exchanges), [("1.1", "/first", Some(101))]);
    assert_eq!(
        (exchanges[0].response_at_ns, exchanges[0].response_end_at_ns),
        (Some(3), None)
    );
}

/// Of the request and the 101 as much as there is, each followed by HTTP/2.
fn behind(request: &[u8], lost: usize, allowed: &[u8], cut: usize) -> Vec<HttpExchange> {
    let (after, answers) = after_the_upgrade();
    let with_hole = |begin: &[u8], lost: usize, at_ns: u64, rest: &TimedBytes| {
        let mut stream = TimedBytes::default();
        stream.push(begin, at_ns);
        if lost > 0 {
            stream.push_hole(lost, at_ns);
        }
        stream.push(rest.as_slice(), at_ns + 4);
        stream
    };
    let client = with_hole(request, lost, 1, &after.stream);
    let server = with_hole(allowed, cut, 3, &answers.stream);
    analyse(&client, &server, None, "http", "c1", false)
}

#[test]
fn behind_an_upgrade_of_which_a_part_was_lost_is_http2_too() {
    let rest = [("2", "", Some(200)), ("2", "/second", Some(204))];
    let asked = [("1.1", "/first", Some(101))];
    let unknown = [("1.1", "", Some(101))];
    let cut = UPGRADE.get(..30).expect("long enough");
    // Only the preface says what it became.
    let bare = SWITCHING.get(..34).expect("long enough");
    let cases: [(&[u8], usize, &[u8], usize, _); 5] = [
        (cut, 40, SWITCHING, 0, asked),
        (cut, 40, bare, 20, asked),
        (UPGRADE, 0, bare, 20, asked),
        (b"", UPGRADE.len(), SWITCHING, 0, unknown),
        (b"", 0, SWITCHING, 0, unknown),
    ];
    for (case, (request, lost, allowed, part, first)) in cases.into_iter().enumerate() {
        let exchanges = behind(request, lost, allowed, part);
        assert_eq!(
            versions(&exchanges),
            [&first[..], &rest].concat(),
            "case {case}"
        );
        assert_eq!(
            exchanges[1].upgraded_from.as_deref(),
            Some("c1.1"),
            "case {case}"
        );
    }
    // Nothing of the client was captured, but the server says what follows.
    let mut server = TimedBytes::default();
    server.push(SWITCHING, 3);
    server.push(after_the_upgrade().1.stream.as_slice(), 7);
    let exchanges = analyse(&TimedBytes::default(), &server, None, "http", "c1", false);
    assert_eq!(
        versions(&exchanges),
        [&unknown[..], &rest[..1], &[("2", "", Some(204))]].concat()
    );
}

#[test]
fn a_tunnel_is_shown_by_its_authority() {
    let mut client = client();
    client.headers(
        1,
        0,
        &[(":method", "CONNECT"), (":authority", "db.test:5432")],
    );
    let e = &read(&client, &server())[0];
    assert_eq!(
        (e.target.as_deref().unwrap_or_default(), e.url.as_deref()),
        ("db.test:5432", None)
    );
}

/// What was found, by stream: target and status.
fn found(exchanges: &[HttpExchange]) -> Vec<(u64, &str, Option<u16>)> {
    let told = exchanges.iter().map(|e| {
        let target = e.target.as_deref().unwrap_or_default();
        (e.stream.unwrap_or_default(), target, e.status)
    });
    told.collect()
}

#[test]
fn behind_a_segment_that_is_missing_the_next_frame_is_found() {
    let (mut client, mut server) = (client(), server());
    client.get(1, "/a");
    let lost = client.block(&request("/b"));
    client.stream.push_hole(lost.len() + 9, 10);
    // A frame that began in what is missing ends here.
    client.stream.push(b"rest of it", 11);
    client.now = 11;
    client.headers(5, END_STREAM, &[(":method", "GET"), (":path", "/")]);
    server.headers(1, 0, &[(":status", "200"), ("x-cache", "hit")]);
    server.stream.push_hole(20, 110);
    server.now = 110;
    server.headers(5, END_STREAM, &[(":status", "404"), ("x-cache", "hit")]);
    let exchanges = read(&client, &server);
    assert_eq!(
        found(&exchanges),
        [(1, "/a", Some(200)), (5, "/", Some(404))]
    );
    assert!(
        exchanges[1].response_headers.is_empty(),
        "the table from before the loss says nothing any more"
    );
}

#[test]
fn of_a_block_that_was_cut_the_beginning_is_read() {
    let (mut client, mut server) = (client(), server());
    client.get(1, "/a");
    let block = server.block(&[(":status", "301"), ("location", "/elsewhere")]);
    let response = frame(1, END_HEADERS | END_STREAM, 1, &block);
    server.stream.push(&response[..16], 110);
    server.stream.push_hole(response.len() - 16, 110);
    assert_eq!(found(&read(&client, &server)), [(1, "/a", Some(301))]);
}

#[test]
fn without_its_beginning_a_connection_that_agreed_on_it_is_http2() {
    let (mut client, mut server) = (Writer::new(0, &[]), server());
    client.get(1, "/a");
    server.headers(1, 0, &[(":status", "200")]);
    assert_eq!(found(&read(&client, &server)), [(1, "/a", Some(200))]);
}

#[test]
fn the_preface_is_no_request_wherever_it_stands() {
    let mut after = Writer::new(9, PREFACE);
    after.get(3, "/second");
    let mut client = TimedBytes::default();
    client.push(b"GET /first HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n", 1);
    client.push(after.stream.as_slice(), 5);
    let mut answers = Writer::new(100, &[]);
    answers.headers(1, 0, &[(":status", "206")]);
    answers.headers(3, END_STREAM, &[(":status", "204")]);
    // The response that allowed it was lost.
    let mut server = TimedBytes::default();
    server.push_hole(70, 7);
    server.push(answers.stream.as_slice(), 7);
    let exchanges = analyse(&client, &server, None, "http", "c1", false);
    assert_eq!(
        found(&exchanges),
        [
            (0, "/first", None),
            (1, "", Some(206)),
            (3, "/second", Some(204))
        ]
    );
    let mut refused = TimedBytes::default();
    refused.push(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 9);
    let exchanges = analyse(&after.stream, &refused, None, "http", "c1", false);
    assert_eq!(
        found(&exchanges),
        [(0, "", Some(400)), (3, "/second", None)]
    );
}
