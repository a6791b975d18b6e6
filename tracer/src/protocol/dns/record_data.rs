//! Record data in presentation format. hickory reads it; its own text differs from what
//! dig(1) prints (final dots, trailing commas, no quotes), so the words are put together
//! here.

use super::cursor::Cursor;
use super::names;
use hickory_proto::rr::rdata::svcb::{SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, Restrict};
use std::fmt::Display;

/// SvcParamKeys that hickory does not name (RFC 9461, RFC 9540).
const DOH_PATH: u16 = 7;
const OHTTP: u16 = 8;

/// The data `raw`, at whose start `cursor` stands in its message. `None` when it does not
/// fit its type.
pub(super) fn presentation(mut cursor: Cursor<'_>, raw: &[u8], number: u16) -> Option<String> {
    // An update (RFC 2136) deletes with empty data.
    if raw.is_empty() {
        return Some(unknown(raw));
    }
    let end = cursor.position() + raw.len();
    let record_type = RecordType::from(number);
    let text = match record_type {
        // The types whose names may be compressed (RFC 3597, section 4) need the message.
        RecordType::CNAME | RecordType::NS | RecordType::PTR | RecordType::DNAME => {
            cursor.name()?
        }
        RecordType::MX => format!("{} {}", cursor.u16()?, cursor.name()?),
        RecordType::SRV => service(&mut cursor)?,
        RecordType::SOA => start_of_authority(&mut cursor)?,
        RecordType::DS => return delegation_signer(raw),
        RecordType::Unknown(_) | RecordType::ANAME | RecordType::ZERO | RecordType::NULL => {
            return Some(unknown(raw));
        }
        known => {
            let mut decoder = BinDecoder::new(raw);
            let length = Restrict::new(u16::try_from(raw.len()).ok()?);
            let data = RData::read(&mut decoder, known, length).ok()?;
            return Some(known_data(&data).unwrap_or_else(|| unknown(raw)));
        }
    };
    (cursor.position() == end && !cursor.is_malformed()).then_some(text)
}

/// RFC 3597, section 5.
pub(super) fn unknown(data: &[u8]) -> String {
    if data.is_empty() {
        return "\\# 0".to_owned();
    }
    format!("\\# {} {}", data.len(), hex::encode(data))
}

/// RFC 2782.
fn service(cursor: &mut Cursor<'_>) -> Option<String> {
    let [priority, weight, port] = [cursor.u16()?, cursor.u16()?, cursor.u16()?];
    Some(format!("{priority} {weight} {port} {}", cursor.name()?))
}

/// RFC 1035, section 3.3.13: two names, serial, refresh, retry, expire, minimum.
fn start_of_authority(cursor: &mut Cursor<'_>) -> Option<String> {
    let mut text = format!("{} {}", cursor.name()?, cursor.name()?);
    for _ in 0..5 {
        text.push_str(&format!(" {}", cursor.u32()?));
    }
    Some(text)
}

fn known_data(data: &RData) -> Option<String> {
    Some(match data {
        RData::A(address) => address.0.to_string(),
        RData::AAAA(address) => address.0.to_string(),
        RData::TXT(txt) => joined(txt.txt_data.iter().map(|text| names::quoted(text)), " "),
        RData::HINFO(hinfo) => {
            format!("{} {}", names::quoted(&hinfo.cpu), names::quoted(&hinfo.os))
        }
        RData::CAA(caa) => format!(
            "{} {} {}",
            u8::from(caa.issuer_critical) << 7 | caa.reserved_flags,
            caa.tag,
            names::quoted(&caa.value)
        ),
        RData::NAPTR(naptr) => format!(
            "{} {} {} {} {} {}",
            naptr.order,
            naptr.preference,
            names::quoted(&naptr.flags),
            names::quoted(&naptr.services),
            names::quoted(&naptr.regexp),
            names::presentation(&naptr.replacement)
        ),
        RData::HTTPS(https) => service_binding(&https.0),
        RData::SVCB(svcb) => service_binding(svcb),
        // Numbers and hexadecimal only.
        RData::TLSA(tlsa) => tlsa.to_string(),
        RData::SSHFP(sshfp) => sshfp.to_string(),
        _ => return None,
    })
}

/// RFC 4034, section 5.3.
fn delegation_signer(data: &[u8]) -> Option<String> {
    let (head, digest) = data.split_first_chunk::<4>()?;
    let [tag_high, tag_low, algorithm, digest_type] = *head;
    let tag = u16::from_be_bytes([tag_high, tag_low]);
    let digest = hex::encode_upper(digest);
    Some(format!("{tag} {algorithm} {digest_type} {digest}"))
}

/// RFC 9460, section 2.1.
fn service_binding(svcb: &SVCB) -> String {
    let mut text = format!(
        "{} {}",
        svcb.svc_priority,
        names::presentation(&svcb.target_name)
    );
    for (key, value) in &svcb.svc_params {
        text.push(' ');
        text.push_str(&service_parameter(*key, value));
    }
    text
}

fn service_parameter(key: SvcParamKey, value: &SvcParamValue) -> String {
    let name = parameter_key(key);
    let value = match value {
        SvcParamValue::Mandatory(keys) => joined(keys.0.iter().copied().map(parameter_key), ","),
        SvcParamValue::Alpn(alpn) => names::quoted(alpn.0.join(",").as_bytes()),
        SvcParamValue::NoDefaultAlpn => return name,
        SvcParamValue::Port(port) => port.to_string(),
        SvcParamValue::Ipv4Hint(hints) => joined(hints.0.iter().map(|hint| hint.0), ","),
        SvcParamValue::Ipv6Hint(hints) => joined(hints.0.iter().map(|hint| hint.0), ","),
        // Displays as base64 in quotes.
        SvcParamValue::EchConfigList(list) => list.to_string().trim_matches('"').to_owned(),
        SvcParamValue::Unknown(bytes) if bytes.0.is_empty() => return name,
        SvcParamValue::Unknown(bytes) => names::quoted(&bytes.0),
    };
    format!("{name}={value}")
}

fn parameter_key(key: SvcParamKey) -> String {
    match u16::from(key) {
        DOH_PATH => "dohpath".to_owned(),
        OHTTP => "ohttp".to_owned(),
        number => match key {
            SvcParamKey::Unknown(_) => format!("key{number}"),
            named => named.to_string(),
        },
    }
}

fn joined<T: Display>(parts: impl Iterator<Item = T>, separator: &str) -> String {
    let parts: Vec<String> = parts.map(|part| part.to_string()).collect();
    parts.join(separator)
}
