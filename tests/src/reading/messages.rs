//! What is said on the connections of the captures that are made: HTTP, TLS and DNS.

/// A certificate for `*.shop.test`; nobody trusts it, everybody can read it.
const CERTIFICATE: &[u8] = include_bytes!("server.der");

/// Most of one record (RFC 8446, section 5.1).
const RECORD: usize = 16_384;

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

pub fn http_request(host: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nCookie: session=5f2c9e71a7; theme=dark\r\n"
    );
    if !body.is_empty() {
        request += &format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
    }
    request += "\r\n";
    [request.as_bytes(), body].concat()
}

pub fn http_response(body: &[u8], chunked: bool) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: max-age=600\r\nETag: \"5f2c9e71\"\r\nVary: Accept-Encoding\r\nX-Cache: HIT\r\n";
    if !chunked {
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        return [head.as_bytes(), length.as_bytes(), body].concat();
    }
    let mut response = [head.as_bytes(), b"Transfer-Encoding: chunked\r\n\r\n"].concat();
    for chunk in body.chunks(8192) {
        response.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        response.extend_from_slice(chunk);
        response.extend_from_slice(b"\r\n");
    }
    response.extend_from_slice(b"0\r\n\r\n");
    response
}

/// Sealed data in as many records as it takes.
pub fn sealed(data: &[u8]) -> Vec<u8> {
    let records = data.chunks(RECORD);
    records
        .flat_map(|part| record(APPLICATION_DATA, part))
        .collect()
}

pub fn change_cipher_spec() -> Vec<u8> {
    record(CHANGE_CIPHER_SPEC, &[1])
}

/// A handshake message that is sealed already.
pub fn finished(noise: &[u8]) -> Vec<u8> {
    record(HANDSHAKE, noise.get(..40).unwrap_or_default())
}

/// RFC 8446, section 4.1.2, as a browser sends it; `modern` offers TLS 1.3.
pub fn client_hello(name: &str, noise: &[u8], modern: bool) -> Vec<u8> {
    let random = noise.get(..32).unwrap_or_default();
    let session = noise.get(32..64).unwrap_or_default();
    let key = noise.get(64..96).unwrap_or_default();
    let name_entry = [&[0], &prefixed(name.as_bytes())[..]].concat();
    let mut extensions = [
        extension(0, &prefixed(&name_entry)),
        extension(23, &[]),
        // Groups: x25519, secp256r1, secp384r1; point format: uncompressed.
        extension(10, &[0, 6, 0, 29, 0, 23, 0, 24]),
        extension(11, &[1, 0]),
        // h2 and http/1.1.
        extension(16, b"\x00\x0c\x02h2\x08http/1.1"),
        extension(5, &[1, 0, 0, 0, 0]),
        extension(13, &[0, 12, 4, 3, 5, 3, 8, 4, 8, 5, 4, 1, 5, 1]),
    ]
    .concat();
    if modern {
        let share = [&[0, 29][..], &prefixed(key)].concat();
        extensions.extend(extension(51, &prefixed(&share)));
        extensions.extend(extension(43, &[4, 3, 4, 3, 3]));
        extensions.extend(extension(45, &[1, 1]));
    }
    let mut body = vec![3, 3];
    body.extend_from_slice(random);
    body.push(32);
    body.extend_from_slice(session);
    let suites: [u16; 9] = [
        0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030,
    ];
    let suites: Vec<u8> = suites.into_iter().flat_map(u16::to_be_bytes).collect();
    body.extend_from_slice(&prefixed(&suites));
    // No compression.
    body.extend_from_slice(&[1, 0]);
    body.extend_from_slice(&prefixed(&extensions));
    record(HANDSHAKE, &message(1, &body))
}

/// The server's first flight in TLS 1.3: all behind the hello is sealed.
pub fn modern_server_flight(noise: &[u8]) -> Vec<u8> {
    let key = noise.get(64..96).unwrap_or_default();
    let share = [&[0, 29][..], &prefixed(key)].concat();
    let extensions = [extension(43, &[3, 4]), extension(51, &share)].concat();
    [
        record(HANDSHAKE, &server_hello(0x1301, noise, &extensions)),
        change_cipher_spec(),
        sealed(noise.get(..900).unwrap_or_default()),
    ]
    .concat()
}

/// The server's first flight in TLS 1.2 (RFC 5246, section 7.3): everything can be read.
pub fn classic_server_flight(noise: &[u8]) -> Vec<u8> {
    let extensions = [extension(23, &[]), extension(16, b"\x00\x09\x08http/1.1")].concat();
    let certificate = [&[0][..], &prefixed(CERTIFICATE)].concat();
    let certificates = [&[0][..], &prefixed(&certificate)].concat();
    let key = noise.get(..65).unwrap_or_default();
    let signature = prefixed(noise.get(..70).unwrap_or_default());
    let exchange = [&[3, 0, 29, 65][..], key, &[4, 3], &signature].concat();
    [
        record(HANDSHAKE, &server_hello(0xc02b, noise, &extensions)),
        record(HANDSHAKE, &message(11, &certificates)),
        record(HANDSHAKE, &message(12, &exchange)),
        record(HANDSHAKE, &message(14, &[])),
    ]
    .concat()
}

/// The client's second flight in TLS 1.2.
pub fn classic_client_flight(noise: &[u8]) -> Vec<u8> {
    let key = [&[65], noise.get(..65).unwrap_or_default()].concat();
    [
        record(HANDSHAKE, &message(16, &key)),
        change_cipher_spec(),
        finished(noise),
    ]
    .concat()
}

fn server_hello(suite: u16, noise: &[u8], extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend_from_slice(noise.get(..32).unwrap_or_default());
    body.push(32);
    body.extend_from_slice(noise.get(32..64).unwrap_or_default());
    body.extend_from_slice(&suite.to_be_bytes());
    body.push(0);
    body.extend_from_slice(&prefixed(extensions));
    message(2, &body)
}

/// With a length of two bytes before it.
fn prefixed(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u16).to_be_bytes(), data].concat()
}

fn extension(number: u16, data: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &prefixed(data)].concat()
}

/// Handshake message (RFC 8446, section 4).
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0][..], &prefixed(body)].concat()
}

/// Record (RFC 8446, section 5.1).
fn record(kind: u8, data: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &prefixed(data)].concat()
}

/// A question for an address (RFC 1035, section 4), and with `answer` its alias and the
/// alias's address.
pub fn dns(id: u16, name: &str, answer: Option<(&str, [u8; 4])>) -> Vec<u8> {
    let (flags, answers) = match answer {
        None => (0x0100_u16, 0_u16),
        Some(_) => (0x8180, 2),
    };
    let mut message = Vec::new();
    for word in [id, flags, 1, answers, 0, 0] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    message.extend_from_slice(&labels(name));
    message.extend_from_slice(&[0, 1, 0, 1]);
    if let Some((alias, address)) = answer {
        let target = labels(alias);
        let begins = (message.len() + 12) as u16;
        // The name is where the question has it: twelve bytes from the start.
        message.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60]);
        message.extend_from_slice(&prefixed(&target));
        message.extend_from_slice(&(0xc000 | begins).to_be_bytes());
        message.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 60]);
        message.extend_from_slice(&prefixed(&address));
    }
    message
}

fn labels(name: &str) -> Vec<u8> {
    let parts = name.split('.').chain([""]);
    parts
        .flat_map(|part| [&[part.len() as u8], part.as_bytes()].concat())
        .collect()
}
