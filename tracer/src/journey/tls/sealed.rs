//! What the order and size of sealed TLS 1.3 records prove where there are no keys.

use super::direction::{Content, Outcome, Row, SEALED_HANDSHAKE, Span, extend};
use super::session::Session;
use crate::protocol::tls::hello::extension_type::EARLY_DATA;

/// Bytes that TLS 1.3 adds to the plaintext of a record: content type and tag.
const fn overhead(cipher_suite: u16) -> u64 {
    const TLS_AES_128_CCM_8_SHA256: u16 = 0x1305;
    let tag = if cipher_suite == TLS_AES_128_CCM_8_SHA256 {
        8
    } else {
        16
    };
    1 + tag
}

/// Length of a sealed alert: level and description.
const fn sealed_alert(cipher_suite: u16) -> u64 {
    2 + overhead(cipher_suite)
}

/// Length of a sealed Finished: message header and a hash (RFC 8446, section 4.4.4).
const fn sealed_finished(cipher_suite: u16) -> u64 {
    const TLS_AES_256_GCM_SHA384: u16 = 0x1302;
    let hash = if cipher_suite == TLS_AES_256_GCM_SHA384 {
        48
    } else {
        32
    };
    4 + hash + overhead(cipher_suite)
}

/// Names the sealed records that can only be handshake, finds the client's Finished, and
/// counts the rest as application data: `(client, server)`.
pub fn judge(
    client: &mut Outcome,
    server: &mut Outcome,
    session: &mut Session,
) -> (Option<Span>, Option<Span>) {
    let early_data = session
        .client_hello()
        .is_some_and(|hello| hello.has_extension(EARLY_DATA));
    // Where even the handshake keys were known, the Finished messages were read and what is
    // still sealed was put down as application data.
    if session.is_tls13() {
        let client_begins = client.rows.iter().find(|row| is_sealed(row));
        let client_begins = client_begins.map(|row| row.record.at_ns);
        mark_server_flight(server, client_begins, early_data);
        if !early_data {
            mark_client_flight(client, session);
        }
    }
    let cipher_suite = session.server_hello().map_or(0, |hello| hello.cipher_suite);
    let alert = sealed_alert(cipher_suite);
    (application(client, alert), application(server, alert))
}

fn is_sealed(row: &Row) -> bool {
    row.content == Content::Sealed
}

fn mark(row: &mut Row) {
    row.record.messages.push(SEALED_HANDSHAKE.to_owned());
    row.content = Content::Control;
}

/// The server's first sealed record starts with EncryptedExtensions (RFC 8446, section
/// 4.3.1), and before the client has answered, the rest of that flight follows. With early
/// data the server may answer requests in between, and without the client's records nothing
/// shows where the flight ends, so then only the first is certain.
fn mark_server_flight(server: &mut Outcome, client_begins: Option<u64>, early_data: bool) {
    let before = client_begins.unwrap_or(u64::MAX);
    let certain = if early_data || client_begins.is_none() {
        1
    } else {
        usize::MAX
    };
    server
        .rows
        .iter_mut()
        .filter(|row| is_sealed(row) && row.record.at_ns <= before)
        .take(certain)
        .for_each(mark);
}

/// Without early data the client's first sealed record is its Finished, a certificate
/// before it, or an alert; the length tells which.
fn mark_client_flight(client: &mut Outcome, session: &mut Session) {
    let Some(cipher_suite) = session.server_hello().map(|hello| hello.cipher_suite) else {
        return;
    };
    let Some(first) = client.rows.iter_mut().find(|row| is_sealed(row)) else {
        return;
    };
    if first.record.bytes == sealed_alert(cipher_suite) {
        first.content = Content::Control;
        return;
    }
    mark(first);
    if first.record.bytes == sealed_finished(cipher_suite) {
        session.finished(first.record.at_ns);
    }
}

/// All sealed records that are not known to be something else, except a last one that has
/// the size of an `alert`: with it both ends say close_notify (RFC 8446, section 6.1).
fn application(outcome: &Outcome, alert: u64) -> Option<Span> {
    let mut span = outcome.application;
    let last = outcome.rows.last().filter(|row| {
        row.record.bytes == alert && is_sealed(row) && outcome.sealed_beyond.is_none()
    });
    let sealed = outcome.rows.len() - usize::from(last.is_some());
    for row in outcome
        .rows
        .iter()
        .take(sealed)
        .filter(|row| is_sealed(row))
    {
        extend(&mut span, row.first_at_ns, row.record.at_ns);
    }
    if let Some((first, last)) = outcome.sealed_beyond {
        extend(&mut span, first, last);
    }
    // Bytes that were on the wire but not captured, after application data began, are more
    // of it.
    if let (Some((first, _)), Some(last)) = (span, outcome.continues_until) {
        extend(&mut span, first, last);
    }
    span
}
