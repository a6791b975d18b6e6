//! Handshake messages (RFC 8446, section 4; RFC 5246, section 7.4) put together from the
//! records that carry them.

use crate::protocol::reader::Reader;

/// Handshake message types (registry "TLS HandshakeType" of IANA).
pub mod message_type {
    pub const CLIENT_HELLO: u8 = 1;
    pub const SERVER_HELLO: u8 = 2;
    pub const NEW_SESSION_TICKET: u8 = 4;
    pub const END_OF_EARLY_DATA: u8 = 5;
    pub const ENCRYPTED_EXTENSIONS: u8 = 8;
    pub const CERTIFICATE: u8 = 11;
    pub const SERVER_KEY_EXCHANGE: u8 = 12;
    pub const SERVER_HELLO_DONE: u8 = 14;
    pub const FINISHED: u8 = 20;
    pub const KEY_UPDATE: u8 = 24;
    pub const COMPRESSED_CERTIFICATE: u8 = 25;
}

/// One whole handshake message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One of [`message_type`], or another number of the registry.
    pub kind: u8,
    /// Without the four header bytes.
    pub body: Vec<u8>,
    /// Time of the first byte of the message.
    pub first_at_ns: u64,
    /// Time of its last byte.
    pub last_at_ns: u64,
}

impl Message {
    /// The name that RFC 8446 or its predecessors give the message, with HelloRetryRequest
    /// told from ServerHello (RFC 8446, section 4.1.3).
    pub fn name(&self) -> String {
        if self.kind == message_type::SERVER_HELLO
            && super::hello::is_hello_retry_request(&self.body)
        {
            return "HelloRetryRequest".to_owned();
        }
        message_name(self.kind)
            .map_or_else(|| format!("handshake message {}", self.kind), str::to_owned)
    }
}

const fn message_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "HelloRequest",
        1 => "ClientHello",
        2 => "ServerHello",
        3 => "HelloVerifyRequest",
        4 => "NewSessionTicket",
        5 => "EndOfEarlyData",
        6 => "HelloRetryRequest",
        8 => "EncryptedExtensions",
        11 => "Certificate",
        12 => "ServerKeyExchange",
        13 => "CertificateRequest",
        14 => "ServerHelloDone",
        15 => "CertificateVerify",
        16 => "ClientKeyExchange",
        20 => "Finished",
        21 => "CertificateURL",
        22 => "CertificateStatus",
        23 => "SupplementalData",
        24 => "KeyUpdate",
        25 => "CompressedCertificate",
        67 => "NextProtocol",
        203 => "ChannelID",
        254 => "MessageHash",
        _ => return None,
    })
}

/// Puts messages together that lie over several records, one direction at a time.
#[derive(Debug, Clone, Default)]
pub struct Reassembly {
    pending: Vec<u8>,
    /// Bytes of `pending` that were handed out already.
    consumed: usize,
    /// Time of the first byte of the message that is not complete yet.
    started_at_ns: u64,
}

impl Reassembly {
    /// Takes the fragment of one record, first byte at `first_at_ns`, last one at
    /// `last_at_ns`, and returns the messages that end in it.
    pub fn push(&mut self, fragment: &[u8], first_at_ns: u64, last_at_ns: u64) -> Vec<Message> {
        if self.pending.len() == self.consumed {
            self.started_at_ns = first_at_ns;
        }
        self.pending.extend_from_slice(fragment);
        let mut messages = Vec::new();
        while let Some((kind, body)) = self.next_message() {
            messages.push(Message {
                kind,
                body,
                first_at_ns: self.started_at_ns,
                last_at_ns,
            });
            self.started_at_ns = first_at_ns;
        }
        // Moving the rest to the front once a record keeps the work linear: what is moved
        // is less than one message, and each message is moved at most once per record.
        if self.consumed > 0 {
            self.pending.drain(..self.consumed);
            self.consumed = 0;
        }
        messages
    }

    /// Forgets an unfinished message: a key change or a lost record cut it off.
    pub fn reset(&mut self) {
        self.pending.clear();
        self.consumed = 0;
    }

    fn next_message(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut reader = Reader::new(self.pending.get(self.consumed..)?);
        let kind = reader.u8()?;
        let body = reader.vector24()?.to_vec();
        self.consumed += 4 + body.len();
        Some((kind, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_put_together_over_records_and_keep_their_own_times() {
        let mut reassembly = Reassembly::default();
        assert!(reassembly.push(&[14, 0, 0], 1, 2).is_empty());
        let messages = reassembly.push(&[0, 20, 0, 0, 2, 7], 3, 4);
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].first_at_ns, messages[0].last_at_ns), (1, 4));
        let messages = reassembly.push(&[8, 0, 0, 0, 0], 5, 6);
        let names: Vec<_> = messages.iter().map(Message::name).collect();
        assert_eq!(names, ["Finished", "HelloRequest"]);
        assert_eq!(messages[0].body, [7, 8]);
        assert_eq!(messages[0].first_at_ns, 3);
        assert_eq!(messages[1].first_at_ns, 5);
    }

    #[test]
    fn after_a_reset_an_unfinished_message_does_not_swallow_the_next_one() {
        let mut reassembly = Reassembly::default();
        assert!(reassembly.push(&[11, 0, 9, 9, 1, 2], 1, 1).is_empty());
        reassembly.reset();
        assert_eq!(reassembly.push(&[14, 0, 0, 0], 2, 2).len(), 1);
    }
}
