use crate::journey::bytes::TimedBytes;
use crate::journey::http::{analyse, tunnel};
use crate::journey::model::HttpExchange;

/// One segment a unit of time; `at` is the time of the first.
fn stream(at: u64, segments: &[&str]) -> TimedBytes {
    let mut stream = TimedBytes::default();
    for (at, segment) in (at..).zip(segments) {
        stream.push(segment.as_bytes(), at);
    }
    stream
}

fn read(client: &TimedBytes, server: &TimedBytes) -> Vec<HttpExchange> {
    analyse(client, server, None, "http", "c1", false)
}

fn statuses(exchanges: &[HttpExchange]) -> Vec<(&str, Option<u16>, u64)> {
    exchanges
        .iter()
        .map(|e| {
            (
                e.target.as_deref().unwrap_or_default(),
                e.status,
                e.response_body_bytes,
            )
        })
        .collect()
}

#[test]
fn times_and_segments_are_those_of_the_wire() {
    let client = stream(
        10,
        &[
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-",
            "Length: 4\r\n\r\nab",
            "cd",
        ],
    );
    let server = stream(
        20,
        &["HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nx", "yz"],
    );
    let exchanges = read(&client, &server);
    assert_eq!(exchanges.len(), 1);
    let e = &exchanges[0];
    assert_eq!(
        (e.id.as_str(), e.version.as_str(), e.stream),
        ("c1.1", "1.1", None)
    );
    assert_eq!((e.request_at_ns, e.request_end_at_ns), (Some(10), Some(12)));
    assert_eq!(
        (e.response_at_ns, e.response_end_at_ns),
        (Some(20), Some(21))
    );
    assert_eq!((e.request_body_bytes, e.response_body_bytes), (4, 3));
    assert_eq!((e.request_segments, e.response_segments), (3, 2));
    assert_eq!(e.url.as_deref(), Some("http://x/a"));
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let client = stream(
        1,
        &[&[request("/a"), request("/b"), request("/c")].concat()],
    );
    let server = stream(
        2,
        &[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\n!",
        ],
    );
    assert_eq!(
        statuses(&read(&client, &server)),
        [
            ("/a", Some(200), 5),
            ("/b", Some(304), 0),
            ("/c", Some(404), 1)
        ]
    );
}

#[test]
fn head_has_no_body_whatever_the_length_says() {
    let client = stream(
        1,
        &["HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"],
    );
    let server = stream(
        2,
        &["HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"],
    );
    assert_eq!(
        statuses(&read(&client, &server)),
        [("/", Some(200), 0), ("/2", Some(204), 0)]
    );
}

#[test]
fn interim_responses_are_not_the_answer() {
    let client = stream(
        1,
        &[
            "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
            "ok",
        ],
    );
    let server = stream(
        5,
        &[
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ],
    );
    let exchanges = read(&client, &server);
    assert_eq!(statuses(&exchanges), [("/", Some(200), 0)]);
    assert_eq!(exchanges[0].response_at_ns, Some(7));
    assert_eq!(exchanges[0].request_body_bytes, 2);
}

#[test]
fn a_refused_body_is_never_sent() {
    let client = stream(
        1,
        &[
            "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 30\r\n\r\n",
            "GET /next HTTP/1.1\r\nHost: x\r\n\r\n",
        ],
    );
    let server = stream(
        5,
        &[
            "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ],
    );
    let exchanges = read(&client, &server);
    assert_eq!(
        statuses(&exchanges),
        [("/", Some(417), 0), ("/next", Some(200), 0)]
    );
    assert_eq!(exchanges[0].request_body_bytes, 0);
}

#[test]
fn without_a_length_the_close_ends_the_body() {
    let client = stream(1, &["GET / HTTP/1.0\r\n\r\n"]);
    let server = stream(5, &["HTTP/1.0 200 OK\r\n\r\nab", "cd", "ef"]);
    let e = &read(&client, &server)[0];
    assert_eq!((e.version.as_str(), e.url.as_deref()), ("1.0", None));
    assert_eq!((e.response_body_bytes, e.response_end_at_ns), (6, Some(7)));
}

#[test]
fn after_an_upgrade_or_a_tunnel_nothing_is_http() {
    for (request, response) in [
        (
            "GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        ),
        (
            "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
            "HTTP/1.1 200 Connection established\r\n\r\n",
        ),
    ] {
        let inside = "GET /inside HTTP/1.1\r\nHost: x\r\n\r\n";
        let client = stream(1, &[request, inside]);
        let server = stream(2, &[response, "HTTP/1.1 200 OK\r\n\r\n"]);
        let exchanges = read(&client, &server);
        assert_eq!(exchanges.len(), 1, "{request}");
        assert_eq!(exchanges[0].response_body_bytes, 0);
        assert_eq!(exchanges[0].response_end_at_ns, Some(2));
    }
}

#[test]
fn a_tunnel_begins_after_the_connect_that_was_granted() {
    let connect = "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n";
    let refusal = "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno";
    let grant = "HTTP/1.1 200 Connection established\r\n\r\n";
    let client = stream(1, &[connect, connect, "inner"]);
    let server = stream(2, &[refusal, grant, "answer"]);
    let (client_start, server_start) = tunnel(&client, &server).expect("granted");
    assert_eq!(client.tail(client_start).as_slice(), b"inner");
    assert_eq!(server.tail(server_start).as_slice(), b"answer");
    for response in [refusal, ""] {
        let once = stream(1, &[connect]);
        assert_eq!(tunnel(&once, &stream(2, &[response])), None);
    }
    let get = stream(1, &["GET / HTTP/1.1\r\nHost: x\r\n\r\n"]);
    assert_eq!(tunnel(&get, &stream(2, &["HTTP/1.1 101 X\r\n\r\n"])), None);
}

#[test]
fn a_refused_tunnel_stays_http() {
    let client = stream(
        1,
        &[
            "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: y\r\n\r\n",
        ],
    );
    let server = stream(
        2,
        &[
            "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ],
    );
    let exchanges = read(&client, &server);
    assert_eq!(
        statuses(&exchanges),
        [("x:443", Some(407), 2), ("/", Some(200), 0)]
    );
    assert_eq!(exchanges[0].url, None);
}

#[test]
fn a_body_in_a_hole_is_counted_and_the_next_message_is_found() {
    let client = stream(
        1,
        &[
            "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /b HTTP/1.1\r\nHost: x\r\n\r\n",
        ],
    );
    let mut server = stream(5, &["HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\nab"]);
    server.push_hole(8_998, 6);
    server.push(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 7);
    let exchanges = read(&client, &server);
    assert_eq!(
        statuses(&exchanges),
        [("/a", Some(200), 9_000), ("/b", Some(500), 0)]
    );
    assert_eq!(exchanges[0].response_end_at_ns, Some(6));
}

#[test]
fn a_body_that_is_not_all_there_has_no_end() {
    let client = stream(1, &["GET / HTTP/1.1\r\nHost: x\r\n\r\n"]);
    for (response, bytes) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nabc", 3),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabcd",
            4,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n",
            4,
        ),
    ] {
        let e = &read(&client, &stream(2, &[response]))[0];
        assert_eq!(
            (e.response_body_bytes, e.response_end_at_ns),
            (bytes, None),
            "{response}"
        );
        assert_eq!(e.response_at_ns, Some(2));
    }
}

#[test]
fn lost_messages_do_not_shift_the_answers() {
    let message = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = |status: u16| format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
    let mut client = TimedBytes::default();
    client.push(message("/a").as_bytes(), 10);
    client.push_hole(40, 30);
    client.push(message("/c").as_bytes(), 50);
    client.push(message("/d").as_bytes(), 70);
    let mut server = TimedBytes::default();
    server.push(answer(201).as_bytes(), 20);
    // The answer to what was lost on the way there is here; the next one was lost.
    server.push(answer(202).as_bytes(), 40);
    server.push_hole(40, 60);
    server.push(answer(204).as_bytes(), 80);
    let exchanges = read(&client, &server);
    let found: Vec<_> = exchanges
        .iter()
        .map(|e| (e.target.as_deref().unwrap_or_default(), e.status))
        .collect();
    // What answers the lost request stands for itself.
    let unasked = ("", Some(202));
    assert_eq!(
        found,
        [("/a", Some(201)), unasked, ("/c", None), ("/d", Some(204))]
    );
}

#[test]
fn text_from_the_network_cannot_move_the_cursor() {
    let client = stream(
        1,
        &["GET /\u{9b}31m HTTP/1.1\r\nHost: x\r\nX: a\tb\u{202e}\r\n\r\n"],
    );
    let e = &read(&client, &TimedBytes::default())[0];
    for text in [e.target.as_ref().unwrap(), &e.request_headers[1].1] {
        assert!(
            text.chars().all(|c| !c.is_control() && c != '\u{202e}'),
            "{text:?}"
        );
    }
}

#[test]
fn what_is_not_http_gives_nothing() {
    for text in ["SSH-2.0-OpenSSH_9.2\r\n", "EHLO x\r\n", "\0\0\0\0", "GET"] {
        assert!(
            read(
                &stream(1, &[text]),
                &stream(2, &["HTTP is not spoken here\r\n\r\n"])
            )
            .is_empty()
        );
    }
    let request = stream(1, &["GET / HTTP/1.1\r\nHost: x\r\n\r\n"]);
    assert!(
        analyse(
            &request,
            &TimedBytes::default(),
            Some("imap"),
            "https",
            "c",
            false
        )
        .is_empty()
    );
}

#[test]
fn a_response_without_its_request_is_an_exchange_of_its_own() {
    let timeout = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    let alone = &read(&TimedBytes::default(), &stream(5, &[timeout]))[0];
    assert_eq!(
        (&alone.method, &alone.target, &alone.url),
        (&None, &None, &None)
    );
    assert_eq!((alone.status, alone.request_at_ns), (Some(408), None));
    assert_eq!(alone.response_at_ns, Some(5));

    let mut server = stream(2, &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"]);
    server.push(timeout.as_bytes(), 9);
    let client = stream(1, &["GET /a HTTP/1.1\r\nHost: x\r\n\r\n"]);
    let after = read(&client, &server);
    let found: Vec<_> = after.iter().map(|e| (e.asked(), e.status)).collect();
    let asked = Some("GET /a".to_owned());
    assert_eq!(found, [(asked, Some(200)), (None, Some(408))]);
}

#[test]
fn interim_responses_are_kept_beside_the_final_one() {
    let client = stream(1, &["GET /a HTTP/1.1\r\nHost: x\r\n\r\n"]);
    let mut server = stream(2, &["HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]);
    server.push(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 3);
    let e = &read(&client, &server)[0];
    let interim: Vec<_> = e
        .informational
        .iter()
        .map(|it| (it.status, it.at_ns))
        .collect();
    assert_eq!(
        (interim, e.status, e.response_at_ns),
        (vec![(103, 2)], Some(200), Some(3))
    );
}

#[test]
fn after_a_body_that_lied_the_next_message_begins_a_segment() {
    let mut client = stream(1, &["HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n"]);
    client.push(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n", 20);
    client.push(b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n", 40);
    let mut server = stream(10, &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"]);
    server.push(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        30,
    );
    server.push(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 50);
    let exchanges = read(&client, &server);
    let found: Vec<_> = exchanges
        .iter()
        .map(|e| (e.target.as_deref(), e.status))
        .collect();
    assert_eq!(
        found,
        [
            (Some("/a"), Some(200)),
            (Some("/b"), Some(200)),
            (Some("/c"), Some(404))
        ]
    );
}

#[test]
fn a_mail_that_quotes_http_is_a_mail() {
    let mut client = stream(2, &["DATA\r\n"]);
    client.push(b"GET / HTTP/1.1\r\n\r\n.\r\n", 4);
    let mut server = stream(1, &["220 mail.test ESMTP\r\n"]);
    server.push(b"354 go on\r\n", 3);
    assert!(read(&client, &server).is_empty());
}

/// As a capture keeps it that has `kept` bytes of each segment at most.
fn cut(kept: usize, segments: &[(u64, &str)]) -> TimedBytes {
    let mut stream = TimedBytes::default();
    for (at, segment) in segments {
        let (seen, lost) = segment.as_bytes().split_at(kept.min(segment.len()));
        stream.push(seen, *at);
        stream.push_hole(lost.len(), *at);
    }
    stream
}

#[test]
fn of_heads_that_were_cut_what_is_whole_is_told() {
    let client = cut(
        20,
        &[
            (1, "GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
            (5, "POST /b HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
            (6, "field=value&other=value"),
            (9, "GET /c HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
            (13, "GET /too/long/for/what/is/kept HTTP/1.1\r\n\r\n"),
        ],
    );
    let server = cut(
        20,
        &[
            (2, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n"),
            (3, "a body that looks like nothing"),
            (7, "HTTP/1.1 303 See Other\r\nLocation: /c\r\n\r\n"),
            (10, "HTTP/1.1 404 Not Found\r\n\r\n"),
        ],
    );
    let exchanges = read(&client, &server);
    assert_eq!(
        statuses(&exchanges),
        [
            ("/a", Some(200), 0),
            ("/b", Some(303), 0),
            ("/c", Some(404), 0)
        ]
    );
    let ends: Vec<_> = exchanges
        .iter()
        .map(|e| (e.request_end_at_ns, e.response_end_at_ns))
        .collect();
    assert_eq!(ends, [(None, None); 3], "where they end is not known");
}

#[test]
fn an_answer_is_not_given_to_a_request_that_was_cut_before_it() {
    let client = cut(
        20,
        &[
            (1, "GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
            (5, "GET /b HTTP/1.1\r\nHost: shop.test\r\n\r\n"),
        ],
    );
    let server = cut(20, &[(6, "HTTP/1.1 204 No Content\r\n\r\n")]);
    assert_eq!(
        statuses(&read(&client, &server)),
        [("/a", None, 0), ("/b", Some(204), 0)]
    );
}

#[test]
fn after_a_length_that_is_none_nothing_is_a_request() {
    for length in ["-1", "0x5", "5, 6", "99999999999999999999"] {
        let post = format!(
            "POST /a HTTP/1.1\r\nContent-Length: {length}\r\n\r\nhelloGET /b HTTP/1.1\r\n\r\n"
        );
        let client = stream(1, &[&post]);
        let exchanges = read(&client, &TimedBytes::default());
        assert_eq!(statuses(&exchanges), [("/a", None, 0)], "{length}");
    }
}
