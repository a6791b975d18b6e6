//! TLS records (RFC 8446, section 5) and the hellos in them.

use super::layer::Layer;
use crate::protocol::tls::handshake::{Reassembly, message_type};
use crate::protocol::tls::hello::{ClientHello, ServerHello};
use crate::protocol::tls::names;
use crate::protocol::tls::record::{content_type, content_type_name, first_record, record_at};

/// Records of one segment that are opened; the rest is counted.
const MAX_RECORDS: usize = 12;

/// The records of a segment that starts with one; none when it does not.
pub(super) fn records(payload: &[u8]) -> Option<Vec<Layer>> {
    let mut next = first_record(payload);
    next?;
    let mut layers = Vec::new();
    // After this, handshake messages are sealed and their bytes mean nothing.
    let mut sealed = false;
    while let Some(record) = next {
        if layers.len() == MAX_RECORDS {
            let mut rest = Layer::new("more TLS records");
            let count = payload.len().saturating_sub(record.offset);
            rest.field("length", format!("{count} bytes"));
            layers.push(rest);
            break;
        }
        let end = record.end().min(payload.len());
        let body = payload.get(record.body_start()..end).unwrap_or_default();
        let mut layer = Layer::new("TLS record");
        layer.field(
            "type",
            format!(
                "{} ({})",
                record.content_type,
                content_type_name(record.content_type)
            ),
        );
        layer.field(
            "legacy version",
            format!(
                "{:#06x} (TLS {})",
                record.version,
                names::version(record.version)
            ),
        );
        layer.field("length", record.length);
        if body.len() < record.length {
            layer.field("in this packet", format!("{} bytes", body.len()));
        }
        match record.content_type {
            content_type::HANDSHAKE if !record.ssl2 && !sealed => layer.inside = messages(body),
            content_type::ALERT => alert(&mut layer, body),
            content_type::CHANGE_CIPHER_SPEC => sealed = true,
            _ => {}
        }
        layers.push(layer);
        next = record_at(payload, record.end());
    }
    Some(layers)
}

/// Two bytes in clear; anything longer is sealed.
fn alert(layer: &mut Layer, body: &[u8]) {
    if let [level, description] = body {
        layer.field("level", names::alert_level(*level));
        layer.field("description", names::alert_description(*description));
    }
}

/// The messages that are whole, and the beginning of one that is not.
fn messages(body: &[u8]) -> Vec<Layer> {
    let found = Reassembly::default().push(body, 0, 0);
    let read: usize = found.iter().map(|message| message.body.len() + 4).sum();
    let mut layers: Vec<Layer> = found
        .iter()
        .map(|message| {
            let mut layer = Layer::new(message.name());
            layer.field("length", message.body.len());
            match message.kind {
                message_type::CLIENT_HELLO => client_hello(&mut layer, &message.body),
                message_type::SERVER_HELLO => server_hello(&mut layer, &message.body),
                _ => {}
            }
            layer
        })
        .collect();
    let rest = body.get(read..).unwrap_or_default();
    if let Some(&[kind, high, middle, low]) = rest.first_chunk::<4>() {
        let length = u32::from_be_bytes([0, high, middle, low]);
        // A ClientHello with post-quantum shares takes two segments: what is here is read.
        let mut layer = Layer::new("handshake message, continued in the next segment");
        layer.field("type", kind);
        layer.field("length", length);
        if kind == message_type::CLIENT_HELLO {
            layer.title = "ClientHello, continued in the next segment".into();
            client_hello(&mut layer, rest.get(4..).unwrap_or_default());
        }
        layers.push(layer);
    }
    layers
}

fn named<T: Copy>(values: &[T], name: fn(T) -> String) -> Vec<String> {
    values.iter().map(|value| name(*value)).collect()
}

fn lossy(names: &[Vec<u8>]) -> Vec<String> {
    names
        .iter()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

fn session_id(bytes: &[u8]) -> String {
    match bytes.is_empty() {
        true => "empty".into(),
        false => hex::encode(bytes),
    }
}

fn client_hello(layer: &mut Layer, body: &[u8]) {
    let Some(hello) = ClientHello::parse(body) else {
        return;
    };
    layer.field("legacy_version", names::version(hello.legacy_version));
    layer.field("random", hex::encode(hello.random));
    layer.field("legacy_session_id", session_id(&hello.session_id));
    layer.list(
        "cipher_suites",
        &named(&hello.cipher_suites, names::cipher_suite),
    );
    layer.list(
        "legacy_compression_methods",
        &named(&hello.compression_methods, names::compression),
    );
    if let Some(name) = &hello.server_name {
        layer.field("server_name", String::from_utf8_lossy(name));
    }
    layer.list("alpn", &lossy(&hello.alpn));
    layer.list(
        "supported_versions",
        &named(&hello.supported_versions, names::version),
    );
    layer.list("supported_groups", &named(&hello.groups, names::group));
    layer.list("key_share", &named(&hello.key_shares, names::group));
    layer.list(
        "signature_algorithms",
        &named(&hello.signature_algorithms, names::signature_scheme),
    );
    layer.list(
        "psk_key_exchange_modes",
        &named(&hello.psk_modes, names::psk_mode),
    );
    layer.list("extensions", &named(&hello.extensions, names::extension));
}

fn server_hello(layer: &mut Layer, body: &[u8]) {
    let Some(hello) = ServerHello::parse(body) else {
        return;
    };
    layer.field("legacy_version", names::version(hello.legacy_version));
    layer.field("random", hex::encode(hello.random));
    layer.field("legacy_session_id_echo", session_id(&hello.session_id));
    layer.field("cipher_suite", names::cipher_suite(hello.cipher_suite));
    layer.field(
        "legacy_compression_method",
        names::compression(hello.compression_method),
    );
    if let Some(version) = hello.selected_version {
        layer.field("selected_version", names::version(version));
    }
    if let Some(group) = hello.group {
        layer.field("key_share", names::group(group));
    }
    layer.list("extensions", &named(&hello.extensions, names::extension));
}
