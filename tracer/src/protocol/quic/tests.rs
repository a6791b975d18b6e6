//! Packets of the RFCs, packets made here, and packets made of anything.

use super::crypto::CryptoStream;
use super::frame::{Frame, frames};
use super::keys::Keys;
use super::packet::{Kind, Packet, packets};
use super::version::{self, V1, V2};
use proptest::prelude::*;

/// The client's first destination in the examples of RFC 9001 and RFC 9369, appendix A.
const EXAMPLE_ID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

/// The server's Initial of RFC 9001, appendix A.3.
const SERVER_INITIAL_V1: &str = "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a\
    5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7d\
    deb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c27\
    6456cbc42158407dd074ee";

/// The same of version 2 (RFC 9369, appendix A.3).
const SERVER_INITIAL_V2: &str = "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698\
    baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d88965cf17f9af6e16886c61bfc703106fbaf3\
    cb4cfa52382dd16a393e42757507698075b2c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43ed\
    d9ce7ca84bed8521e2e140";

/// A sealed packet with a long header: Initial (0) or Handshake (2) in the numbers of
/// version 1.
pub fn long_packet(
    keys: &Keys,
    (version, kind): (u32, u8),
    destination_id: &[u8],
    source_id: &[u8],
    number: u32,
    payload: &[u8],
) -> Vec<u8> {
    let id = |id: &[u8]| [&[u8::try_from(id.len()).expect("short")], id].concat();
    let kind_bits = if version == V2 { (kind + 1) & 3 } else { kind };
    let mut header = vec![0xc3 | kind_bits << 4];
    header.extend(version.to_be_bytes());
    header.extend(id(destination_id));
    header.extend(id(source_id));
    if kind == 0 {
        header.push(0);
    }
    let length = u16::try_from(4 + payload.len() + 16).expect("short");
    header.extend((length | 0x4000).to_be_bytes());
    header.extend(number.to_be_bytes());
    keys.seal(&header, number, payload)
}

#[test]
fn frames_of_google_are_read_up_to_the_first_that_is_not_understood() {
    let google = u32::from_be_bytes(*b"T051");
    // An acknowledgement with one more range and two times, a ping, padding, CRYPTO.
    let mut payload = vec![
        0x61, 9, 0, 1, 1, 0, 2, 3, 0, 4, 2, 0, 1, 2, 3, 4, 0, 1, 2, 7, 0, 0,
    ];
    payload.extend([8, 0, 3, 1, 2, 3, 0x30, 8, 0, 1, 9]);
    let found: Vec<_> = frames(google, &payload).collect();
    let crypto = Frame::Crypto {
        offset: 0,
        data: &[1, 2, 3],
    };
    assert_eq!(found, [Frame::Other, Frame::Other, crypto]);
    for end in 0..payload.len() {
        assert!(frames(google, &payload[..end]).count() <= 3);
    }
}

/// A CRYPTO frame.
pub fn crypto_frame(offset: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("short");
    let mut frame = vec![6];
    frame.extend((offset | 0x4000).to_be_bytes());
    frame.extend((length | 0x4000).to_be_bytes());
    frame.extend(data);
    frame
}

fn opened(datagram: &[u8], keys: &mut Keys) -> Option<(u64, Vec<u8>)> {
    let Some(Packet::Long(long)) = packets(datagram).next() else {
        return None;
    };
    let opened = keys.open(long.bytes, long.number_offset)?;
    Some((opened.number, opened.payload))
}

#[test]
fn the_initial_packets_of_the_rfcs_open_with_their_public_keys() {
    for (version, packet) in [(V1, SERVER_INITIAL_V1), (V2, SERVER_INITIAL_V2)] {
        let datagram = hex::decode(packet).expect("hexadecimal");
        let mut keys = Keys::initial(version, &EXAMPLE_ID, false).expect("a known version");
        let (number, payload) = opened(&datagram, &mut keys).expect("the server's packet");
        assert_eq!(number, 1);
        let crypto = frames(V1, &payload).find_map(|frame| match frame {
            Frame::Crypto { offset, data } => Some((offset, data)),
            _ => None,
        });
        let (offset, data) = crypto.expect("a CRYPTO frame");
        let messages = CryptoStream::default().push(offset, data, 7);
        assert_eq!(messages[0].name(), "ServerHello");
        let mut of_client = Keys::initial(version, &EXAMPLE_ID, true).expect("a known version");
        assert!(opened(&datagram, &mut of_client).is_none());
    }
}

#[test]
fn coalesced_packets_end_where_their_length_says_and_padding_is_no_packet() {
    let keys = Keys::initial(V2, b"12345678", true).expect("a known version");
    let mut datagram = long_packet(&keys, (V2, 0), b"12345678", b"c", 0, &[1; 30]);
    datagram.extend(long_packet(&keys, (V2, 2), b"12345678", b"c", 1, &[1; 30]));
    let short = datagram.len();
    datagram.extend([0x41; 30]);
    let found: Vec<_> = packets(&datagram).collect();
    let kinds: Vec<_> = found
        .iter()
        .filter_map(|packet| match packet {
            Packet::Long(long) => Some((long.kind, long.version, long.bytes.len())),
            _ => None,
        })
        .collect();
    assert_eq!(kinds[0].0, Kind::Initial);
    assert_eq!(kinds[1].0, Kind::Handshake);
    assert_eq!(kinds[0].2 + kinds[1].2, short);
    assert_eq!(found.last(), Some(&Packet::Short(&datagram[short..])));
    datagram[short..].fill(0);
    assert_eq!(packets(&datagram).count(), 2);
}

#[test]
fn retry_and_version_negotiation_are_told_by_their_headers() {
    let mut retry = vec![0xf0, 0, 0, 0, 1, 1, 9, 2, 8, 8];
    retry.extend([5; 40]);
    let Some(Packet::Long(long)) = packets(&retry).next() else {
        panic!("a packet");
    };
    assert_eq!((long.kind, long.source_id), (Kind::Retry, &[8, 8][..]));
    // Version 2 numbers the kinds differently.
    let retry = [0xc0, 0x6b, 0x33, 0x43, 0xcf, 0, 0];
    let found = packets(&retry).next();
    assert!(matches!(found, Some(Packet::Long(long)) if long.kind == Kind::Retry));
    let negotiation = [
        0x80, 0, 0, 0, 0, 1, 9, 1, 8, 0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf,
    ];
    let found = packets(&negotiation).next();
    assert!(
        matches!(found, Some(Packet::VersionNegotiation { versions, .. }) if versions == [V1, V2])
    );
}

#[test]
fn after_a_key_update_packets_open_with_the_next_keys_and_only_then() {
    let secret = [7; 32];
    let suite = 0x1303;
    let header = |phase: u8| [0x43 | phase << 2, 9, 9, 0, 0, 0, 0];
    let mut reader = Keys::traffic(V1, suite, &secret).expect("a suite");
    let mut writer = Keys::traffic(V1, suite, &secret).expect("a suite");
    let first = writer.seal(&header(0), 0, &[1; 20]);
    assert!(reader.open(&first, 3).is_some());
    let forged = writer.seal(&header(1), 0, &[1; 20]);
    assert!(reader.open(&forged, 3).is_none());
    assert!(reader.open(&first, 3).is_some());
    writer.update();
    let updated = writer.seal(&header(1), 0, &[2; 20]);
    assert!(reader.open(&updated, 3).is_some());
    assert!(reader.open(&updated, 3).is_some());
    assert!(reader.open(&first, 3).is_none());
}

#[test]
fn versions_have_names() {
    let names = [V1, V2, 0xff00_001d, 0x1a2a_3a4a, 0x5130_3433].map(version::name);
    assert_eq!(names, ["1", "2", "draft-29", "grease (0x1a2a3a4a)", "Q043"]);
}

proptest! {
    #[test]
    fn arbitrary_datagrams_never_panic(datagram in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut whole = 0;
        for packet in packets(&datagram) {
            if let Packet::Long(long) = packet {
                whole += long.bytes.len();
                let keys = Keys::initial(long.version, long.destination_id, true);
                let _ = keys.and_then(|mut keys| keys.open(long.bytes, long.number_offset));
            }
        }
        prop_assert!(whole <= datagram.len());
        prop_assert!(frames(V1, &datagram).count() <= datagram.len());
    }

    #[test]
    fn a_damaged_packet_does_not_open(place in 0_usize..159, change in 1_u8..) {
        let mut datagram = hex::decode(SERVER_INITIAL_V1).expect("hexadecimal");
        let place = place % datagram.len();
        datagram[place] ^= change;
        let mut keys = Keys::initial(V1, &EXAMPLE_ID, false).expect("a known version");
        let found = opened(&datagram, &mut keys);
        prop_assert!(found.is_none());
    }

    #[test]
    fn a_handshake_cut_anywhere_and_shuffled_is_the_same(
        cuts in prop::collection::vec(0_usize..200, 0..12),
        order in any::<u64>(),
    ) {
        let mut message = vec![20, 0, 0, 196];
        message.extend((0..196_u8).map(|byte| byte.wrapping_mul(3)));
        let mut edges = cuts;
        edges.extend([0, 200]);
        edges.sort_unstable();
        let mut parts: Vec<_> = edges.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let turn = usize::try_from(order % 13).expect("small") % parts.len();
        parts.rotate_left(turn);
        let mut stream = CryptoStream::default();
        let mut found = Vec::new();
        for (at_ns, (start, end)) in (0_u64..).zip(parts) {
            found.extend(stream.push(start as u64, &message[start..end], at_ns));
        }
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(&found[0].body[..], &message[4..]);
    }
}
