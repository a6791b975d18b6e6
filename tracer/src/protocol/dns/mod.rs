//! DNS messages (RFC 1035); record data is decoded by hickory-proto.
//!
//! hickory reads a message whole or not at all; a timeline wants what could be read of a
//! broken one. So the walk over the sections and the names are ours (see `cursor`), and
//! hickory reads the record data.

mod cursor;
mod names;
mod record_data;

#[cfg(test)]
mod tests;

use cursor::Cursor;
use names::Spelling;

/// The question of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// Without the final dot, as sent (case kept); `.` for the root. Bytes that are not
    /// printable ASCII are escaped (RFC 1035, section 5.1). `...` stands for the rest of a
    /// name that could not be read to its end.
    pub name: String,
    /// A, AAAA, HTTPS, ...; `TYPE65280` for unknown ones (RFC 3597).
    pub record_type: String,
    pub class: String,
}

/// A resource record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// As in [`Question::name`].
    pub name: String,
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// Presentation format (RFC 1035, section 5.1), names without the final dot; `\# length hex`
    /// (RFC 3597) for types that are not known and data that is broken.
    pub data: String,
}

/// What the EDNS pseudo-record says (RFC 6891).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edns {
    /// Largest UDP message the sender takes, bytes.
    pub udp_payload_size: u16,
    pub version: u8,
    /// The DO bit: the sender wants DNSSEC records.
    pub dnssec_ok: bool,
}

/// What a DNS message says, as far as the timeline needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsMessage {
    pub id: u16,
    pub response: bool,
    /// 0 is a query; 4 NOTIFY and 5 UPDATE use the sections for other things.
    pub opcode: u8,
    pub authoritative: bool,
    pub truncated: bool,
    pub recursion_desired: bool,
    pub recursion_available: bool,
    /// NOERROR, NXDOMAIN, ...; of a query it means nothing. With EDNS all twelve bits;
    /// `RCODE17` for numbers without a name.
    pub rcode: String,
    pub questions: Vec<Question>,
    /// Records in the answer section as the header counts them: more than there are in
    /// `answers` where the message broke off.
    pub answer_count: u16,
    pub answers: Vec<Record>,
    /// Of a referral the servers to ask, of a negative answer the SOA.
    pub authorities: Vec<Record>,
    /// Without the EDNS record.
    pub additionals: Vec<Record>,
    pub edns: Option<Edns>,
    /// The message broke off or lied about a length; what was read until there stands above.
    pub malformed: bool,
    /// Bytes follow the last record.
    pub trailing: bool,
}

/// Reads one message, without the length prefix of TCP. `None` when even the twelve header
/// bytes are missing.
pub fn parse(message: &[u8]) -> Option<DnsMessage> {
    read(message, Spelling::Internet)
}

/// As [`parse`], for multicast DNS (RFC 6762) and LLMNR (RFC 4795), whose names are words of
/// people: UTF-8 that can be printed stays as sent, but for dots and backslashes in a label.
pub fn parse_local(message: &[u8]) -> Option<DnsMessage> {
    read(message, Spelling::Local)
}

fn read(message: &[u8], spelling: Spelling) -> Option<DnsMessage> {
    let header = Header::read(message)?;
    let mut body = Body {
        cursor: Cursor::new(message, HEADER_LENGTH, spelling),
        edns: None,
        extended_rcode: 0,
        malformed: false,
    };
    let [questions, answers, authorities, additionals] = header.counts;
    let answer_count = answers;
    let questions = body.section(questions, Body::question);
    let answers = body.section(answers, Body::record);
    let authorities = body.section(authorities, Body::record);
    let additionals = body.section(additionals, Body::record);
    Some(DnsMessage {
        id: header.id,
        response: header.flags & flag::RESPONSE != 0,
        opcode: header.flags.to_be_bytes()[0] >> 3 & 0x0f,
        authoritative: header.flags & flag::AUTHORITATIVE != 0,
        truncated: header.flags & flag::TRUNCATED != 0,
        recursion_desired: header.flags & flag::RECURSION_DESIRED != 0,
        recursion_available: header.flags & flag::RECURSION_AVAILABLE != 0,
        rcode: names::rcode(u16::from(body.extended_rcode) << 4 | header.flags & 0x000f),
        questions,
        answer_count,
        answers: answers.into_iter().flatten().collect(),
        authorities: authorities.into_iter().flatten().collect(),
        additionals: additionals.into_iter().flatten().collect(),
        edns: body.edns,
        malformed: body.malformed || body.cursor.is_malformed(),
        trailing: body.cursor.position() < message.len(),
    })
}

/// Whether a datagram between ports that mean nothing is one whole DNS message: the reply or
/// the query of one question about the Internet, read to its last byte.
pub fn is_unmistakable(datagram: &[u8]) -> bool {
    let Some(header) = Header::read(datagram) else {
        return false;
    };
    let [questions, answers, authorities, additionals] = header.counts;
    let response = header.flags & flag::RESPONSE != 0;
    let records = usize::from(answers) + usize::from(authorities) + usize::from(additionals);
    let plausible = header.flags & flag::OPCODE_OR_RESERVED == 0
        && questions == 1
        && (response || answers == 0 && authorities == 0 && additionals <= 2)
        // The shortest record: a pointer or the root for a name, ten bytes, no data.
        && records.saturating_mul(11) <= datagram.len();
    plausible && parse(datagram).is_some_and(|message| whole_question(&message, response))
}

fn whole_question(message: &DnsMessage, response: bool) -> bool {
    let Some(question) = message.questions.first() else {
        return false;
    };
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte);
    let known = !question.record_type.starts_with("TYPE");
    !message.malformed
        && !message.trailing
        && known
        && question.class == "IN"
        && question.name.bytes().all(usual)
        && (response || question.name.contains('.'))
}

const HEADER_LENGTH: usize = 12;

/// Bits of the second header word (RFC 1035, section 4.1.1).
mod flag {
    pub(super) const RESPONSE: u16 = 0x8000;
    pub(super) const AUTHORITATIVE: u16 = 0x0400;
    pub(super) const TRUNCATED: u16 = 0x0200;
    pub(super) const RECURSION_DESIRED: u16 = 0x0100;
    pub(super) const RECURSION_AVAILABLE: u16 = 0x0080;
    /// Zero in a standard query and its answer (RFC 1035, section 4.1.1).
    pub(super) const OPCODE_OR_RESERVED: u16 = 0x7840;
}

struct Header {
    id: u16,
    flags: u16,
    /// Questions, answers, authorities, additionals.
    counts: [u16; 4],
}

impl Header {
    fn read(message: &[u8]) -> Option<Self> {
        let [i0, i1, f0, f1, q0, q1, n0, n1, u0, u1, d0, d1] =
            *message.first_chunk::<HEADER_LENGTH>()?;
        Some(Self {
            id: u16::from_be_bytes([i0, i1]),
            flags: u16::from_be_bytes([f0, f1]),
            counts: [[q0, q1], [n0, n1], [u0, u1], [d0, d1]].map(u16::from_be_bytes),
        })
    }
}

/// What follows the header, read entry by entry until it breaks.
struct Body<'a> {
    cursor: Cursor<'a>,
    edns: Option<Edns>,
    extended_rcode: u8,
    malformed: bool,
}

impl Body<'_> {
    /// Reads up to `count` entries. Every entry takes bytes off the message, so that a
    /// count that lies ends with the message.
    fn section<T>(&mut self, count: u16, entry: fn(&mut Self) -> Option<T>) -> Vec<T> {
        let mut entries = Vec::new();
        for _ in 0..count {
            let Some(entry) = entry(self) else {
                self.malformed = true;
                // Nothing behind a broken entry has a known place.
                self.cursor.skip_all();
                break;
            };
            entries.push(entry);
        }
        entries
    }

    fn question(&mut self) -> Option<Question> {
        Some(Question {
            name: self.cursor.name()?,
            record_type: names::record_type(self.cursor.u16()?),
            class: names::class(self.cursor.u16()?),
        })
    }

    /// `Some(None)` for the EDNS pseudo-record, which is no record.
    fn record(&mut self) -> Option<Option<Record>> {
        let name = self.cursor.name()?;
        let record_type = self.cursor.u16()?;
        let class = self.cursor.u16()?;
        let ttl = self.cursor.u32()?;
        let length = usize::from(self.cursor.u16()?);
        let within = self.cursor.clone();
        let raw = self.cursor.take(length)?;
        if record_type == names::OPT {
            self.take_edns(class, ttl);
            return Some(None);
        }
        let data = record_data::presentation(within, raw, record_type);
        self.malformed |= data.is_none();
        Some(Some(Record {
            name,
            record_type: names::record_type(record_type),
            ttl,
            data: data.unwrap_or_else(|| record_data::unknown(raw)),
        }))
    }

    /// RFC 6891, section 6.1.3: the class is a size, the TTL holds the upper bits of the
    /// response code, the version and the flags.
    fn take_edns(&mut self, class: u16, ttl: u32) {
        let [extended_rcode, version, flags, _] = ttl.to_be_bytes();
        self.extended_rcode = extended_rcode;
        self.edns = Some(Edns {
            udp_payload_size: class,
            version,
            dnssec_ok: flags & 0x80 != 0,
        });
    }
}
