//! Looks for the end of a connection while its datagrams come, so that it need not be told by
//! silence. Everything else is read later, in [`mod@super::read`], when all secrets are known.

use super::Conversation;
use super::read::{HANDSHAKE_SECRETS, TRAFFIC_SECRETS, level_keys, side};
use crate::journey::model::End;
use crate::journey::tls::KeyLog;
use crate::protocol::quic::frame::{Frame, frames};
use crate::protocol::quic::keys::{Keys, Opened};
use crate::protocol::quic::packet::{Kind, Packet, packets};

/// Keys that a key log gave for one conversation.
#[derive(Debug, Default)]
pub(super) struct Watch {
    handshake: Level,
    application: Level,
}

/// Keys of client and server. Asked for when the first packet of each end comes: secrets
/// stand before the packets they open, or are not waited for here.
#[derive(Debug, Default)]
struct Level {
    keys: [Option<Box<Keys>>; 2],
    asked: [bool; 2],
}

impl Level {
    fn keys(
        &mut self,
        conversation: &Conversation,
        end: End,
        labels: [&str; 2],
        secrets: &KeyLog,
    ) -> Option<&mut Keys> {
        let asked = self.asked.get_mut(side(end))?;
        let keys = self.keys.get_mut(side(end))?;
        if !std::mem::replace(asked, true) && !secrets.is_empty() {
            *keys = level_keys(conversation, labels, end, secrets).map(Box::new);
        }
        keys.as_deref_mut()
    }
}

impl Watch {
    fn open(
        &mut self,
        conversation: &Conversation,
        end: End,
        packet: &Packet<'_>,
        secrets: &KeyLog,
    ) -> Option<Opened> {
        match packet {
            // Few: to derive their keys each time is cheaper than to keep them.
            Packet::Long(long) if long.kind == Kind::Initial => {
                let ids = conversation.initial_ids.iter();
                let mut opened = ids.filter_map(|id| {
                    let mut keys = Keys::initial(long.version, id, end == End::Client)?;
                    keys.open(long.bytes, long.number_offset)
                });
                opened.next()
            }
            Packet::Long(long) if long.kind == Kind::Handshake => self
                .handshake
                .keys(conversation, end, HANDSHAKE_SECRETS, secrets)?
                .open(long.bytes, long.number_offset),
            Packet::Short(bytes) => self
                .application
                .keys(conversation, end, TRAFFIC_SECRETS, secrets)?
                .open(bytes, conversation.short_number_offset(end)),
            _ => None,
        }
    }
}

impl Conversation {
    /// Whether a datagram of `end` ends the connection (CONNECTION_CLOSE, RFC 9000, section
    /// 19.19), as far as it can be read now. Not before the server has spoken: until then what
    /// follows from the same address is not known to be another connection.
    pub fn is_closed_by(&mut self, end: End, payload: &[u8], secrets: &KeyLog) -> bool {
        if self.server_id.is_none() {
            return false;
        }
        let version = self.offered_version;
        let mut watch = std::mem::take(&mut self.watch);
        let closed = packets(payload).any(|packet| {
            let opened = watch.open(self, end, &packet, secrets);
            opened.is_some_and(|opened| {
                frames(version, &opened.payload).any(|frame| matches!(frame, Frame::Close { .. }))
            })
        });
        self.watch = watch;
        closed
    }
}
