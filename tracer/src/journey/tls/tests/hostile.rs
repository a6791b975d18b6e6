//! Input that was made to break the reader, and real input that was damaged.

use super::conversation::Ends;
use super::{all, talk};
use crate::effort;
use crate::journey::bytes::TimedBytes;
use crate::journey::tls::{KeyLog, analyse};
use proptest::prelude::*;
use rustls::crypto::ring;
use std::sync::OnceLock;
use std::time::Duration;

fn stream(bytes: &[u8]) -> TimedBytes {
    let mut stream = TimedBytes::default();
    for (at, segment) in (0..).zip(bytes.chunks(700)) {
        stream.push(segment, at);
    }
    stream
}

/// Client bytes, server bytes and secrets of one connection.
type Real = (Vec<u8>, Vec<u8>, KeyLog);

/// A connection of each version.
fn real() -> &'static [Real] {
    static REAL: OnceLock<Vec<Real>> = OnceLock::new();
    REAL.get_or_init(|| {
        [
            ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
            ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ]
        .map(|suite| {
            let ends = Ends::with_suite(suite);
            let conversation = talk(&ends);
            (
                conversation.from_client.as_slice().to_vec(),
                conversation.from_server.as_slice().to_vec(),
                ends.log.secrets(all),
            )
        })
        .into()
    })
}

/// Nothing that ends begins later, and no record claims bytes that were not there.
fn check(client: &TimedBytes, server: &TimedBytes, secrets: &KeyLog) {
    let Some(analysis) = analyse(client, server, secrets) else {
        return;
    };
    let claimed: u64 = analysis
        .session
        .records
        .iter()
        .map(|record| record.bytes)
        .sum();
    assert!(claimed <= (client.len() + server.len()) as u64);
    for (first, last) in [
        analysis.client_application_data,
        analysis.server_application_data,
    ]
    .into_iter()
    .flatten()
    {
        assert!(first <= last);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        client in prop::collection::vec(any::<u8>(), 0..600),
        server in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        check(&stream(&client), &stream(&server), &KeyLog::default());
    }

    #[test]
    fn arbitrary_handshakes_in_a_valid_record_never_panic(
        kind in 0..26_u8,
        body in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut bytes = vec![22, 3, 1, 0, 0, kind, 0, 0, 0];
        bytes.extend(&body);
        let [high, low] = u16::try_from(body.len() + 4).expect("short").to_be_bytes();
        (bytes[3], bytes[4]) = (high, low);
        let [high, low] = u16::try_from(body.len()).expect("short").to_be_bytes();
        (bytes[7], bytes[8]) = (high, low);
        check(&stream(&bytes), &stream(&bytes), &KeyLog::default());
    }

    #[test]
    fn damaged_real_connections_never_panic(
        version in 0..2_usize,
        damage in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
        hole in 0..900_usize,
    ) {
        let (client, server, secrets) = &real()[version];
        let mut ends = [client.clone(), server.clone()];
        for (end, place, value) in damage {
            let bytes = &mut ends[usize::from(end)];
            // Damage near the beginning hits the lengths of the handshake.
            let length = bytes.len().min(3_000);
            bytes[place.index(length)] = value;
        }
        let [client, server] = ends;
        let cut = cut.index(server.len());
        let mut holed = stream(&server[..cut]);
        holed.push_hole(hole, 7);
        holed.push(server.get(cut + hole..).unwrap_or_default(), 8);
        check(&stream(&client), &holed, secrets);
    }
}

/// Time for `units` repetitions of `unit` after a prefix.
fn time(prefix: &[u8], unit: &[u8], units: usize) -> Duration {
    let mut bytes = prefix.to_vec();
    bytes.extend(unit.iter().copied().cycle().take(unit.len() * units));
    let stream = stream(&bytes);
    effort::of(|| check(&stream, &stream, &KeyLog::default()))
}

#[test]
fn four_times_the_input_takes_no_more_than_some_four_times_as_long() {
    let cases: [(&str, &[u8], &[u8]); 4] = [
        ("empty records", &[], &[23, 3, 3, 0, 0]),
        // A message of 16 MiB that never ends, a byte a record.
        (
            "fragments",
            &[22, 3, 3, 0, 4, 1, 0xff, 0xff, 0xff],
            &[22, 3, 3, 0, 1, 7],
        ),
        (
            "empty messages",
            &[],
            &[22, 3, 3, 0, 8, 14, 0, 0, 0, 14, 0, 0, 0],
        ),
        ("alerts", &[], &[21, 3, 3, 0, 2, 1, 0]),
    ];
    for (name, prefix, unit) in cases {
        let short = time(prefix, unit, 50_000);
        let long = time(prefix, unit, 200_000);
        // Quadratic work would take sixteen times as long.
        assert!(
            long < short * 10 + Duration::from_millis(500),
            "{name}: {short:?}, then {long:?}"
        );
    }
}
