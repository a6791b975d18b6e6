//! ClientHello, ServerHello and HelloRetryRequest (RFC 8446, sections 4.1.2 to 4.1.4), also
//! in the formats of SSLv2 and of the drafts of TLS 1.3.

use crate::protocol::reader::{Reader, u16_list};

/// Numbers of the extensions that are looked into.
pub mod extension_type {
    pub const SERVER_NAME: u16 = 0;
    pub const SUPPORTED_GROUPS: u16 = 10;
    pub const SIGNATURE_ALGORITHMS: u16 = 13;
    pub const APPLICATION_LAYER_PROTOCOL_NEGOTIATION: u16 = 16;
    pub const ENCRYPT_THEN_MAC: u16 = 22;
    pub const SESSION_TICKET: u16 = 35;
    /// Number of key_share before draft 23 of TLS 1.3.
    pub const KEY_SHARE_DRAFT: u16 = 40;
    pub const PRE_SHARED_KEY: u16 = 41;
    pub const EARLY_DATA: u16 = 42;
    pub const SUPPORTED_VERSIONS: u16 = 43;
    pub const PSK_KEY_EXCHANGE_MODES: u16 = 45;
    pub const KEY_SHARE: u16 = 51;
    pub const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
    pub const ENCRYPTED_SERVER_NAME: u16 = 0xffce;
}

/// The random that marks a ServerHello as HelloRetryRequest: SHA-256 of the words
/// "HelloRetryRequest" (RFC 8446, section 4.1.3).
const HELLO_RETRY_REQUEST_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Whether the body of a ServerHello message is a HelloRetryRequest.
pub fn is_hello_retry_request(body: &[u8]) -> bool {
    body.get(2..34)
        .is_some_and(|random| random == HELLO_RETRY_REQUEST_RANDOM)
}

/// What a client offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    pub legacy_version: u16,
    pub random: [u8; 32],
    pub session_id: Vec<u8>,
    pub cipher_suites: Vec<u16>,
    /// Cipher kinds of a hello in the format of SSLv2, which has no `cipher_suites`.
    pub ssl2_ciphers: Vec<[u8; 3]>,
    pub compression_methods: Vec<u8>,
    /// Types of all extensions, in order.
    pub extensions: Vec<u16>,
    /// The host name of server_name, as sent.
    pub server_name: Option<Vec<u8>>,
    pub alpn: Vec<Vec<u8>>,
    pub supported_versions: Vec<u16>,
    pub groups: Vec<u16>,
    /// Groups for which a key share is included.
    pub key_shares: Vec<u16>,
    pub signature_algorithms: Vec<u16>,
    pub psk_modes: Vec<u8>,
}

impl ClientHello {
    /// Reads the body of a ClientHello. What follows a broken length is left out; `None`
    /// when even version and random are missing.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let mut hello = Self {
            legacy_version: reader.u16()?,
            random: reader.array()?,
            ..Self::default()
        };
        // From here on a broken hello keeps what was read before the break.
        let _ = hello.read_lists(&mut reader);
        Some(hello)
    }

    fn read_lists(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.session_id = reader.vector8()?.to_vec();
        self.cipher_suites = u16_list(reader.vector16()?);
        self.compression_methods = reader.vector8()?.to_vec();
        for_each_extension(reader, |kind, data| {
            let _ = self.read_extension(kind, data);
            self.extensions.push(kind);
        });
        Some(())
    }

    fn read_extension(&mut self, kind: u16, data: &[u8]) -> Option<()> {
        let mut reader = Reader::new(data);
        match kind {
            extension_type::SERVER_NAME => self.server_name = host_name(reader.vector16()?),
            extension_type::APPLICATION_LAYER_PROTOCOL_NEGOTIATION => {
                self.alpn = protocol_names(reader.vector16()?);
            }
            extension_type::SUPPORTED_VERSIONS => {
                self.supported_versions = u16_list(reader.vector8()?);
            }
            extension_type::SUPPORTED_GROUPS => self.groups = u16_list(reader.vector16()?),
            extension_type::SIGNATURE_ALGORITHMS => {
                self.signature_algorithms = u16_list(reader.vector16()?);
            }
            extension_type::KEY_SHARE | extension_type::KEY_SHARE_DRAFT => {
                let mut shares = Reader::new(reader.vector16()?);
                self.key_shares.clear();
                while let Some(group) = shares.u16() {
                    self.key_shares.push(group);
                    shares.vector16()?;
                }
            }
            extension_type::PSK_KEY_EXCHANGE_MODES => self.psk_modes = reader.vector8()?.to_vec(),
            _ => {}
        }
        Some(())
    }

    /// Reads a ClientHello in the format of SSLv2 (RFC 5246, appendix E.2), from the
    /// message type on. The challenge is the end of the random (same place, "random").
    pub fn parse_ssl2(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        reader.u8()?;
        let legacy_version = reader.u16()?;
        let cipher_specs = usize::from(reader.u16()?);
        let session_id = usize::from(reader.u16()?);
        let challenge = usize::from(reader.u16()?);
        let ssl2_ciphers = reader.take(cipher_specs)?.as_chunks().0.to_vec();
        let session_id = reader.take(session_id)?.to_vec();
        let challenge = reader.take(challenge)?;
        let mut random = [0; 32];
        let unused = random.len().checked_sub(challenge.len())?;
        random.get_mut(unused..)?.copy_from_slice(challenge);
        Some(Self {
            legacy_version,
            random,
            session_id,
            ssl2_ciphers,
            ..Self::default()
        })
    }

    pub fn has_extension(&self, kind: u16) -> bool {
        self.extensions.contains(&kind)
    }

    /// A GREASE value (RFC 8701) stands in one of the lists.
    pub fn has_grease(&self) -> bool {
        [
            &self.cipher_suites,
            &self.extensions,
            &self.groups,
            &self.key_shares,
            &self.supported_versions,
            &self.signature_algorithms,
        ]
        .into_iter()
        .flatten()
        .any(|value| super::names::is_grease(*value))
            || self
                .psk_modes
                .iter()
                .any(|mode| super::names::is_grease_psk_mode(*mode))
            || self.alpn.iter().any(|name| {
                <[u8; 2]>::try_from(name.as_slice())
                    .is_ok_and(|name| super::names::is_grease(u16::from_be_bytes(name)))
            })
    }
}

/// What the server chose, or, in a HelloRetryRequest, what it wants offered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerHello {
    pub legacy_version: u16,
    pub random: [u8; 32],
    pub session_id: Vec<u8>,
    pub cipher_suite: u16,
    pub compression_method: u8,
    /// Types of all extensions, in order.
    pub extensions: Vec<u16>,
    /// The version of supported_versions, where present.
    pub selected_version: Option<u16>,
    /// Group of the key share.
    pub group: Option<u16>,
    pub alpn: Option<Vec<u8>>,
    pub hello_retry_request: bool,
}

impl ServerHello {
    /// Reads the body of a ServerHello. What follows a broken length is left out; `None`
    /// when the chosen cipher suite is not reached.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let mut hello = Self {
            legacy_version: reader.u16()?,
            random: reader.array()?,
            hello_retry_request: is_hello_retry_request(body),
            ..Self::default()
        };
        // Until draft 21 the ServerHello of TLS 1.3 had neither session id nor compression.
        if (0x7f00..=0x7f15).contains(&hello.legacy_version) {
            hello.cipher_suite = reader.u16()?;
        } else {
            hello.session_id = reader.vector8()?.to_vec();
            hello.cipher_suite = reader.u16()?;
            hello.compression_method = reader.u8()?;
        }
        for_each_extension(&mut reader, |kind, data| {
            hello.read_extension(kind, data);
            hello.extensions.push(kind);
        });
        Some(hello)
    }

    fn read_extension(&mut self, kind: u16, data: &[u8]) {
        let mut reader = Reader::new(data);
        match kind {
            extension_type::SUPPORTED_VERSIONS => self.selected_version = reader.u16(),
            // ServerHello holds a group and a share, HelloRetryRequest only the group.
            extension_type::KEY_SHARE | extension_type::KEY_SHARE_DRAFT => {
                self.group = reader.u16();
            }
            extension_type::APPLICATION_LAYER_PROTOCOL_NEGOTIATION => {
                self.alpn = chosen_protocol(data);
            }
            _ => {}
        }
    }

    /// The version that holds from here on (RFC 8446, section 4.2.1).
    pub fn version(&self) -> u16 {
        self.selected_version.unwrap_or(self.legacy_version)
    }

    pub fn has_extension(&self, kind: u16) -> bool {
        self.extensions.contains(&kind)
    }
}

/// The protocol that EncryptedExtensions name (RFC 8446, section 4.3.1).
pub fn encrypted_extensions_alpn(body: &[u8]) -> Option<Vec<u8>> {
    let mut alpn = None;
    for_each_extension(&mut Reader::new(body), |kind, data| {
        if kind == extension_type::APPLICATION_LAYER_PROTOCOL_NEGOTIATION {
            alpn = chosen_protocol(data);
        }
    });
    alpn
}

fn chosen_protocol(data: &[u8]) -> Option<Vec<u8>> {
    protocol_names(Reader::new(data).vector16()?)
        .into_iter()
        .next()
}

fn for_each_extension(reader: &mut Reader<'_>, mut visit: impl FnMut(u16, &[u8])) {
    // A hello may end without extensions (RFC 5246, section 7.4.1.2).
    let Some(block) = reader.vector16() else {
        return;
    };
    let mut extensions = Reader::new(block);
    while let Some(kind) = extensions.u16() {
        let Some(data) = extensions.vector16() else {
            return;
        };
        visit(kind, data);
    }
}

/// The first name of type host_name (RFC 6066, section 3).
fn host_name(list: &[u8]) -> Option<Vec<u8>> {
    let mut names = Reader::new(list);
    while let Some(kind) = names.u8() {
        let name = names.vector16()?;
        if kind == 0 {
            return Some(name.to_vec());
        }
    }
    None
}

fn protocol_names(list: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = Reader::new(list);
    std::iter::from_fn(|| reader.vector8())
        .map(<[u8]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello with server_name, ALPN, a GREASE extension and two key shares.
    fn client_hello() -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([0x11; 32]);
        body.extend([0]);
        body.extend([0, 4, 0x13, 0x01, 0x1a, 0x1a]);
        body.extend([1, 0]);
        let extensions: &[(u16, &[u8])] = &[
            (0x0a0a, &[]),
            (0, b"\x00\x0c\x00\x00\x09shop.test"),
            (16, b"\x00\x0c\x02h2\x08http/1.1"),
            (51, &[0, 12, 0x11, 0xec, 0, 2, 1, 2, 0, 29, 0, 2, 3, 4]),
            (43, &[4, 3, 4, 3, 3]),
        ];
        let mut block = Vec::new();
        for (kind, data) in extensions {
            block.extend(kind.to_be_bytes());
            block.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
            block.extend(*data);
        }
        body.extend(u16::try_from(block.len()).expect("short").to_be_bytes());
        body.extend(block);
        body
    }

    #[test]
    fn a_client_hello_is_read_in_full() {
        let hello = ClientHello::parse(&client_hello()).expect("a hello");
        assert_eq!(hello.server_name.as_deref(), Some(&b"shop.test"[..]));
        assert_eq!(hello.alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(hello.key_shares, [0x11ec, 29]);
        assert_eq!(hello.supported_versions, [0x0304, 0x0303]);
        assert_eq!(hello.extensions, [0x0a0a, 0, 16, 51, 43]);
        assert!(hello.has_grease());
    }

    #[test]
    fn a_hello_cut_anywhere_keeps_what_came_before_the_cut() {
        let whole = client_hello();
        for length in 0..whole.len() {
            let hello = ClientHello::parse(&whole[..length]);
            assert_eq!(hello.is_some(), length >= 34, "cut at {length}");
        }
        // An extension block that lies about its length hides the extensions, not the rest.
        let hello = ClientHello::parse(&whole[..whole.len() - 1]).expect("a hello");
        assert_eq!(hello.cipher_suites, [0x1301, 0x1a1a]);
        assert_eq!(hello.server_name, None);
    }

    #[test]
    fn a_server_hello_of_draft_18_has_no_session_id() {
        let mut body = vec![0x7f, 0x12];
        body.extend([0x22; 32]);
        body.extend([0x13, 0x02, 0, 8, 0, 40, 0, 4, 0, 29, 0, 0]);
        let hello = ServerHello::parse(&body).expect("a hello");
        assert_eq!((hello.cipher_suite, hello.group), (0x1302, Some(29)));
        assert_eq!(hello.version(), 0x7f12);
    }

    #[test]
    fn a_hello_retry_request_is_known_by_its_random() {
        let mut body = vec![3, 3];
        body.extend(HELLO_RETRY_REQUEST_RANDOM);
        body.extend([0, 0x13, 0x01, 0, 0, 6, 0, 51, 0, 2, 0, 23]);
        let hello = ServerHello::parse(&body).expect("a hello");
        assert!(hello.hello_retry_request);
        assert_eq!(hello.group, Some(23));
        assert_eq!(
            ring::digest::digest(&ring::digest::SHA256, b"HelloRetryRequest").as_ref(),
            HELLO_RETRY_REQUEST_RANDOM
        );
    }

    #[test]
    fn an_ssl2_hello_gives_its_challenge_as_random() {
        let mut body = vec![1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 0x35];
        body.extend([7; 16]);
        let hello = ClientHello::parse_ssl2(&body).expect("a hello");
        assert_eq!(hello.ssl2_ciphers, [[0, 0, 0x35]]);
        assert_eq!(hello.random[15..18], [0, 7, 7]);
    }
}
