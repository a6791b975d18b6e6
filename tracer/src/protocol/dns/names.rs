//! Names and numbers as people read them.

use crate::protocol::text;
use hickory_proto::rr::{Name, RecordType};
use std::fmt::Write;

/// The EDNS pseudo-record (RFC 6891).
pub(super) const OPT: u16 = 41;

/// Types of the IANA registry that hickory does not name.
const MORE_TYPES: [(u16, &str); 20] = [
    (7, "MB"),
    (11, "WKS"),
    (17, "RP"),
    (18, "AFSDB"),
    (29, "LOC"),
    (36, "KX"),
    (42, "APL"),
    (45, "IPSECKEY"),
    (49, "DHCID"),
    (55, "HIP"),
    (63, "ZONEMD"),
    (99, "SPF"),
    (108, "EUI48"),
    (109, "EUI64"),
    (128, "NXNAME"),
    (249, "TKEY"),
    (256, "URI"),
    (260, "AMTRELAY"),
    (32768, "TA"),
    (32769, "DLV"),
];

/// Name of a record type; `TYPE123` for those without one (RFC 3597, section 5).
pub(super) fn record_type(number: u16) -> String {
    if let Some((_, name)) = MORE_TYPES.iter().find(|(known, _)| *known == number) {
        return (*name).to_owned();
    }
    match RecordType::from(number) {
        // ANAME never got a number; hickory lends it one for private use.
        RecordType::Unknown(_) | RecordType::ANAME | RecordType::ZERO => format!("TYPE{number}"),
        known => known.to_string(),
    }
}

/// Name of a class; `CLASS123` for those without one (RFC 3597, section 5). The top bit is
/// a flag of multicast DNS (RFC 6762, sections 10.2 and 18.12) and not part of the class.
pub(super) fn class(number: u16) -> String {
    match number & 0x7fff {
        1 => "IN".to_owned(),
        3 => "CH".to_owned(),
        4 => "HS".to_owned(),
        254 => "NONE".to_owned(),
        255 => "ANY".to_owned(),
        other => format!("CLASS{other}"),
    }
}

/// Name of a response code (IANA, DNS parameters). 17 to 22 have names too, but only in
/// TSIG and TKEY records, never in a header.
pub(super) fn rcode(number: u16) -> String {
    let name = match number {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        11 => "DSOTYPENI",
        16 => "BADVERS",
        23 => "BADCOOKIE",
        other => return format!("RCODE{other}"),
    };
    name.to_owned()
}

/// How the names of a message are meant to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// RFC 1035, section 5.1.
    Internet,
    /// Words of people in UTF-8, with spaces (RFC 6762, section 16; RFC 6763, section 4.1).
    Local,
}

/// Appends a label to a name without the final dot. Labels stay as sent: an `xn--` label
/// shown as Unicode could look like another name.
pub(super) fn push_label(name: &mut String, label: &[u8], spelling: Spelling) {
    if !name.is_empty() {
        name.push('.');
    }
    if spelling == Spelling::Local
        && let Ok(words) = std::str::from_utf8(label)
        && text::is_printable(words)
    {
        // RFC 6763, section 4.3.
        name.push_str(&words.replace('\\', "\\\\").replace('.', "\\."));
        return;
    }
    // The characters that a zone file gives a meaning to (RFC 1035, section 5.1).
    escape(name, label, |byte| {
        matches!(byte, b'.' | b'"' | b'(' | b')' | b';' | b'@' | b'$' | b'\\')
    });
}

/// A name that hickory read; `.` for the root. hickory's own display turns `xn--` labels
/// into Unicode, escapes in octal and adds a final dot.
pub(super) fn presentation(name: &Name) -> String {
    let mut text = String::new();
    for label in name.iter() {
        push_label(&mut text, label, Spelling::Internet);
    }
    if text.is_empty() {
        text.push('.');
    }
    text
}

/// A character string in quotes (RFC 1035, section 5.1).
pub(super) fn quoted(text: &[u8]) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let mut rest = text;
    // Spaces need no escape inside quotes.
    while let Some(space) = rest.iter().position(|byte| *byte == b' ') {
        let (word, tail) = rest.split_at(space);
        escape(&mut quoted, word, |byte| matches!(byte, b'"' | b'\\'));
        quoted.push(' ');
        rest = tail.get(1..).unwrap_or_default();
    }
    escape(&mut quoted, rest, |byte| matches!(byte, b'"' | b'\\'));
    quoted.push('"');
    quoted
}

/// Appends `bytes`: those that are `special` behind a backslash, those that are not
/// printable ASCII or a space as `\DDD`.
fn escape(text: &mut String, bytes: &[u8], special: fn(u8) -> bool) {
    for &byte in bytes {
        if !byte.is_ascii_graphic() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\{byte:03}");
            continue;
        }
        if special(byte) {
            text.push('\\');
        }
        text.push(char::from(byte));
    }
}
