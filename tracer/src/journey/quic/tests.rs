//! Conversations made of packets sealed here, told apart and read.

use super::read;
use crate::capture::{Direction, Frame, HookKind, LinkType};
use crate::journey::connection::TrackedConnection;
use crate::journey::connections::Connections;
use crate::journey::evidence::Mark;
use crate::journey::model::{End, Endpoint, PerEnd};
use crate::journey::quic::Reading;
use crate::journey::tls::KeyLog;
use crate::protocol::frame::Udp;
use crate::protocol::quic::keys::Keys;
use crate::protocol::quic::tests::{crypto_frame, long_packet};
use crate::protocol::quic::version::{V1, V2};
use proptest::prelude::*;

const FIRST_ID: &[u8] = b"original";
const SERVER_ID: &[u8] = b"server-id";

fn client() -> Endpoint {
    Endpoint {
        ip: [10, 0, 0, 1].into(),
        port: 40_000,
    }
}

fn server() -> Endpoint {
    Endpoint {
        ip: [10, 0, 0, 2].into(),
        port: 443,
    }
}

/// A ClientHello that holds a server name and little else.
fn client_hello(name: &str) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).expect("short").to_be_bytes();
    let mut extension = vec![0, 0];
    extension.extend(short(name.len() + 5));
    extension.extend(short(name.len() + 3));
    extension.push(0);
    extension.extend(short(name.len()));
    extension.extend(name.as_bytes());
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(short(extension.len()));
    body.extend(extension);
    let mut message = vec![1, 0];
    message.extend(short(body.len()));
    message.extend(body);
    message
}

/// The connections of a capture in the making.
struct Wire {
    connections: Connections,
    secrets: KeyLog,
    frames: u64,
}

impl Wire {
    fn new() -> Self {
        Self {
            connections: Connections::new(1 << 20, false, true),
            secrets: KeyLog::default(),
            frames: 0,
        }
    }

    fn send(&mut self, source: Endpoint, destination: Endpoint, payload: &[u8]) {
        self.send_cut(source, destination, payload, payload.len());
    }

    /// As a capture keeps it that has the beginning of a datagram of `length` bytes only.
    fn send_cut(&mut self, source: Endpoint, destination: Endpoint, payload: &[u8], length: usize) {
        self.frames += 1;
        let frame = Frame {
            interface: 1,
            direction: Direction::Unknown,
            hook: HookKind::Pcap,
            link_type: LinkType::Ethernet,
            cookie: None,
            original_length: 0,
            data: Vec::new(),
            note: None,
        };
        let udp = Udp {
            source_port: source.port,
            destination_port: destination.port,
            payload,
            payload_length: u32::try_from(length).expect("short"),
        };
        let mark = Mark::new(self.frames, self.frames, &frame);
        self.connections
            .datagram(source, destination, &udp, mark, &frame);
        self.connections
            .look_for_close(source, destination, payload, &self.secrets);
    }

    fn initial(&mut self, version: u32, id: &[u8], number: u32, payload: &[u8]) {
        let keys = Keys::initial(version, id, true).expect("a known version");
        let packet = long_packet(&keys, (version, 0), id, b"", number, payload);
        self.send(client(), server(), &packet);
    }

    /// The hellos.
    fn greeting(&mut self) {
        self.initial(V1, FIRST_ID, 0, &crypto_frame(0, &client_hello("one.test")));
        let keys = Keys::initial(V1, FIRST_ID, false).expect("a known version");
        let answer = crypto_frame(0, &server_hello());
        let packet = long_packet(&keys, (V1, 0), b"", SERVER_ID, 0, &answer);
        self.send(server(), client(), &packet);
    }

    fn all(&self) -> Vec<&TrackedConnection> {
        self.connections.iter().collect()
    }

    fn readings(&self) -> Vec<Reading> {
        let secrets = KeyLog::default();
        let all = self.connections.iter();
        all.filter_map(|connection| read(connection, &secrets))
            .collect()
    }
}

fn names(wire: &Wire) -> Vec<Option<String>> {
    let readings = wire.readings().into_iter();
    readings
        .map(|reading| reading.tls.and_then(|tls| tls.session.sni))
        .collect()
}

#[test]
fn a_hello_over_two_datagrams_that_overtook_each_other_is_read() {
    // Versions 1 and 2, draft 29, draft 22 by the number of mvfst, Google's, and one to be refused.
    let google = [u32::from_be_bytes(*b"T050"), u32::from_be_bytes(*b"T051")];
    let others = [V1, V2, 0xff00_001d, 0xface_b001, 0x0a0a_0a0a];
    for version in others.into_iter().chain(google) {
        let hello = client_hello("www.shop.test");
        let part = |offset, data: &[u8]| {
            let mut frame = crypto_frame(offset, data);
            // The same by another number.
            frame[0] = if google.contains(&version) {
                8
            } else {
                frame[0]
            };
            frame
        };
        let mut wire = Wire::new();
        wire.initial(version, FIRST_ID, 1, &part(20, &hello[20..]));
        wire.initial(version, FIRST_ID, 0, &part(0, &hello[..20]));
        assert_eq!(names(&wire), [Some("www.shop.test".to_owned())]);
        let connection = wire.all()[0];
        assert_eq!((connection.client, connection.server), (client(), server()));
        assert_eq!(
            connection.segments(),
            PerEnd {
                client: 2,
                server: 0
            }
        );
    }
}

#[test]
fn after_a_retry_the_packets_open_with_keys_of_its_id() {
    let hello = client_hello("www.shop.test");
    let mut wire = Wire::new();
    wire.initial(V1, FIRST_ID, 0, &crypto_frame(0, &hello[..20]));
    let mut retry = vec![0xf0, 0, 0, 0, 1, 0, 5];
    retry.extend(b"retry");
    retry.extend([9; 30]);
    wire.send(server(), client(), &retry);
    wire.initial(V1, b"retry", 1, &crypto_frame(20, &hello[20..]));
    assert_eq!(names(&wire), [Some("www.shop.test".to_owned())]);
    let quic = &wire.readings()[0].quic;
    assert!(quic.retry);
    assert_eq!(quic.original_destination_id, Some(hex::encode(FIRST_ID)));
}

#[test]
fn a_refused_version_and_the_second_try_are_one_connection() {
    let mut wire = Wire::new();
    // RFC 9000, section 15: a version that exists to be refused.
    let mut unknown = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8];
    unknown.extend(FIRST_ID);
    unknown.push(0);
    unknown.resize(1200, 0);
    wire.send(client(), server(), &unknown);
    let negotiation = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf];
    wire.send(server(), client(), &negotiation);
    let hello = client_hello("www.shop.test");
    wire.initial(V2, b"another-id", 0, &crypto_frame(0, &hello));
    assert_eq!(names(&wire), [Some("www.shop.test".to_owned())]);
    let quic = &wire.readings()[0].quic;
    let expected = ["1".to_owned(), "2".to_owned()];
    assert_eq!(quic.version_negotiation.as_deref(), Some(&expected[..]));
    assert_eq!(quic.offered_version, "grease (0x1a2a3a4a)");
}

#[test]
fn a_new_connection_between_the_same_addresses_is_another_one() {
    let mut wire = Wire::new();
    wire.initial(V1, FIRST_ID, 0, &crypto_frame(0, &client_hello("one.test")));
    let keys = Keys::initial(V1, FIRST_ID, false).expect("a known version");
    let answer = long_packet(&keys, (V1, 0), b"", SERVER_ID, 0, &[1; 20]);
    wire.send(server(), client(), &answer);
    wire.initial(
        V1,
        b"next-one",
        0,
        &crypto_frame(0, &client_hello("two.test")),
    );
    let expected = ["one.test", "two.test"].map(|name| Some(name.to_owned()));
    assert_eq!(names(&wire), expected);
}

#[test]
fn a_client_that_moved_is_found_by_the_id_of_the_server() {
    let mut wire = Wire::new();
    wire.initial(V1, FIRST_ID, 0, &crypto_frame(0, &client_hello("one.test")));
    let keys = Keys::initial(V1, FIRST_ID, false).expect("a known version");
    let answer = long_packet(&keys, (V1, 0), b"", SERVER_ID, 0, &[1; 20]);
    wire.send(server(), client(), &answer);
    let moved = Endpoint {
        port: 50_000,
        ..client()
    };
    let short = [&[0x41], SERVER_ID, &[3; 40]].concat();
    wire.send(moved, server(), &short);
    wire.send(server(), moved, &[0x41; 40]);
    assert_eq!(wire.all().len(), 1);
    assert_eq!(
        wire.all()[0].segments(),
        PerEnd {
            client: 2,
            server: 2
        }
    );
}

#[test]
fn datagrams_that_open_nothing_are_nobodys() {
    let mut wire = Wire::new();
    let keys = Keys::initial(V1, b"not this", true).expect("a known version");
    let packet = long_packet(&keys, (V1, 0), FIRST_ID, b"", 0, &[1; 40]);
    wire.send(client(), server(), &packet);
    wire.send(client(), server(), &[0x41; 60]);
    wire.send(client(), server(), b"\xc0short");
    assert!(wire.all().is_empty());
}

/// A ServerHello that chooses TLS 1.3 and TLS_AES_128_GCM_SHA256.
fn server_hello() -> Vec<u8> {
    let mut message = vec![2, 0, 0, 46, 3, 3];
    message.extend([9; 32]);
    message.extend([0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4]);
    message
}

#[test]
fn a_first_datagram_that_was_cut_opens_a_connection_that_its_answer_tells_of() {
    let mut wire = Wire::new();
    let keys = Keys::initial(V1, FIRST_ID, true).expect("a known version");
    let hello = crypto_frame(0, &client_hello("one.test"));
    let packet = long_packet(&keys, (V1, 0), FIRST_ID, b"", 0, &hello);
    let beginning = &packet[..packet.len() - 30];
    wire.send_cut(client(), server(), beginning, 400);
    assert!(wire.all().is_empty(), "too short for a first datagram");
    wire.send_cut(client(), server(), beginning, 1200);
    let keys = Keys::initial(V1, FIRST_ID, false).expect("a known version");
    let answer = crypto_frame(0, &server_hello());
    let packet = long_packet(&keys, (V1, 0), b"", SERVER_ID, 0, &answer);
    wire.send(server(), client(), &packet);
    let readings = wire.readings();
    assert_eq!(readings.len(), 1);
    let tls = readings[0].tls.as_ref().expect("a ServerHello");
    assert_eq!(tls.session.version.as_deref(), Some("1.3"));
    assert_eq!(tls.session.sni, None, "it was in what is missing");
}

#[test]
fn a_cut_datagram_that_was_doubled_counts_once_where_its_number_can_be_told() {
    let keys = Keys::initial(V1, FIRST_ID, true).expect("a known version");
    let hello = crypto_frame(0, &client_hello("one.test"));
    let packet = |number| long_packet(&keys, (V1, 0), FIRST_ID, b"", number, &hello);
    let counted = |captured: usize| {
        let mut wire = Wire::new();
        for number in [0, 0, 1, 1] {
            wire.send_cut(client(), server(), &packet(number)[..captured], 1200);
        }
        wire.all()[0].bytes().client
    };
    assert_eq!(counted(60), 2 * 1200);
    // Of the packet's number only a part was captured.
    assert_eq!(counted(20), 4 * 1200);
}

#[test]
fn what_is_kept_of_a_connection_is_bounded() {
    let mut wire = Wire::new();
    wire.initial(V1, FIRST_ID, 0, &crypto_frame(0, &client_hello("one.test")));
    for number in 0..40_000_u32 {
        let mut payload = [0x41; 100];
        payload[96..].copy_from_slice(&number.to_be_bytes());
        wire.send(client(), server(), &payload);
    }
    let connection = wire.all()[0];
    let conversation = connection.quic.as_ref().expect("QUIC");
    let kept = conversation.datagrams.iter().map(|d| d.payload.len());
    assert!(kept.sum::<usize>() <= 1 << 20);
    assert_eq!(connection.bytes().client, 4_000_000 + kept_of_hello());
}

/// Bytes of the first datagram of the test above.
fn kept_of_hello() -> u64 {
    let frame = crypto_frame(0, &client_hello("one.test"));
    let keys = Keys::initial(V1, FIRST_ID, true).expect("a known version");
    long_packet(&keys, (V1, 0), FIRST_ID, b"", 0, &frame).len() as u64
}

/// CONNECTION_CLOSE with CRYPTO_ERROR 40 or an application's 0, and padding.
const CLOSE: [u8; 20] = [
    0x1c, 0x41, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
const APPLICATION_CLOSE: [u8; 20] = [
    0x1d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
const PING: [u8; 20] = [1; 20];

#[test]
fn a_connection_is_over_when_an_initial_packet_closes_it() {
    let mut wire = Wire::new();
    wire.initial(V1, FIRST_ID, 0, &crypto_frame(0, &client_hello("one.test")));
    wire.initial(V1, FIRST_ID, 1, &CLOSE);
    assert_eq!(wire.connections.waiting(), 0, "the server has not spoken");
    wire.greeting();
    wire.initial(V1, FIRST_ID, 2, &PING);
    assert_eq!(wire.connections.waiting(), 0);
    wire.initial(V1, FIRST_ID, 3, &CLOSE);
    wire.initial(V1, FIRST_ID, 4, &CLOSE);
    assert_eq!(wire.connections.waiting(), 1, "once");
    assert!(wire.all()[0].over);
}

#[test]
fn a_sealed_close_ends_a_connection_whose_keys_are_known() {
    let secret = [5; 32];
    for (label, end) in [
        ("CLIENT_TRAFFIC_SECRET_0", End::Client),
        ("SERVER_TRAFFIC_SECRET_0", End::Server),
        ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", End::Client),
        ("SERVER_HANDSHAKE_TRAFFIC_SECRET", End::Server),
    ] {
        for known in [true, false] {
            let mut wire = Wire::new();
            if known {
                let (random, secret) = (hex::encode([7; 32]), hex::encode(secret));
                wire.secrets.add_line(&format!("{label} {random} {secret}"));
            }
            wire.greeting();
            let (source, destination, id) = match end {
                End::Client => (client(), server(), SERVER_ID),
                End::Server => (server(), client(), &b""[..]),
            };
            let own_id = if end == End::Client { b"" } else { SERVER_ID };
            let keys = Keys::traffic(V1, 0x1301, &secret).expect("a known suite");
            for (number, payload) in [(0, PING), (1, APPLICATION_CLOSE)] {
                assert_eq!(wire.connections.waiting(), 0);
                let packet = if label.contains("HANDSHAKE") {
                    long_packet(&keys, (V1, 2), id, own_id, number, &payload)
                } else {
                    let header = [&[0x43], id, &number.to_be_bytes()].concat();
                    keys.seal(&header, number, &payload)
                };
                wire.send(source, destination, &packet);
            }
            assert_eq!(wire.connections.waiting(), usize::from(known), "{label}");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_and_mutated_datagrams_never_panic(
        datagrams in prop::collection::vec(
            (any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..20),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut wire = Wire::new();
        wire.initial(V1, FIRST_ID, 0, &crypto_frame(0, &client_hello("one.test")));
        let keys = Keys::initial(V1, FIRST_ID, false).expect("a known version");
        for (from_client, sealed, bytes) in datagrams {
            let mut payload = bytes;
            payload.push(1);
            if sealed {
                payload.resize(40, 0);
                payload = long_packet(&keys, (V1, 0), b"", SERVER_ID, 0, &payload);
                for (place, value) in &changes {
                    let place = place.index(payload.len());
                    payload[place] = *value;
                }
            }
            let (source, destination) =
                if from_client { (client(), server()) } else { (server(), client()) };
            wire.send(source, destination, &payload);
        }
        for reading in wire.readings() {
            prop_assert!(reading.quic.datagrams.len() <= 21);
        }
    }
}
