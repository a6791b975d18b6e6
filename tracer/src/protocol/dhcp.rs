//! DHCP (RFC 2131, RFC 2132) with the BOOTP it grew from (RFC 951), and DHCPv6 (RFC 8415).

use super::reader::Reader;
use super::text;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses kept of one list; more is noise.
const MAX_ADDRESSES: usize = 16;

/// Relays within relays that are opened (RFC 8415, section 7.6: HOP_COUNT_LIMIT).
const MAX_RELAYS: usize = 8;

/// The first bytes of DHCP's options, which tell it from BOOTP (RFC 2131, section 3).
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];

/// What a message says, as far as a host's address is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// 4 or 6: the version of IP that is configured.
    pub version: u8,
    /// The name of the message type in lower case: `discover`, `offer`, `solicit`, ...;
    /// `bootrequest` and `bootreply` for BOOTP, `unknown` for types not assigned.
    pub kind: &'static str,
    /// 32 bits, of DHCPv6 24.
    pub transaction_id: u32,
    /// Hardware address of the client, where it is an Ethernet one.
    pub client_mac: Option<[u8; 6]>,
    /// The address given, offered, or kept.
    pub address: Option<IpAddr>,
    /// From the subnet mask.
    pub prefix_length: Option<u8>,
    /// Of DHCP for IPv4, the server identifier.
    pub server: Option<IpAddr>,
    /// Default gateways, in order of preference.
    pub routers: Vec<IpAddr>,
    /// Recursive name servers, in order of preference.
    pub dns: Vec<IpAddr>,
    /// Seconds; `u32::MAX` is for ever.
    pub lease_seconds: Option<u32>,
    /// The name the client gave itself, safe to show.
    pub host_name: Option<String>,
}

/// Whether these ports are those of DHCP or DHCPv6, and of which IP version.
pub fn version_of_ports(source: u16, destination: u16) -> Option<u8> {
    match (source, destination) {
        (_, 67 | 68) | (67, _) => Some(4),
        (_, 546 | 547) => Some(6),
        _ => None,
    }
}

/// Reads a datagram's payload of the given IP version. `None` when it is no such message.
pub fn parse(version: u8, payload: &[u8]) -> Option<Message> {
    match version {
        4 => parse_v4(payload),
        6 => parse_v6(payload),
        _ => None,
    }
}

/// RFC 2131, section 2.
fn parse_v4(payload: &[u8]) -> Option<Message> {
    let mut reader = Reader::new(payload);
    let operation = reader.u8()?;
    let hardware_type = reader.u8()?;
    let hardware_length = reader.u8()?;
    let _hops = reader.u8()?;
    let transaction_id = reader.u32()?;
    let _seconds_and_flags = reader.u32()?;
    let current = Ipv4Addr::from(reader.u32()?);
    let given = Ipv4Addr::from(reader.u32()?);
    let _next_server_and_relay = reader.array::<8>()?;
    let hardware = reader.array::<16>()?;
    let server_name = reader.take(64)?;
    let file = reader.take(128)?;
    let reply = match operation {
        1 => false,
        2 => true,
        _ => return None,
    };
    let address = [given, current]
        .into_iter()
        .find(|address| !address.is_unspecified());
    let mut message = Message {
        version: 4,
        kind: if reply { "bootreply" } else { "bootrequest" },
        transaction_id,
        // Hardware type 1 is Ethernet (RFC 1700).
        client_mac: (hardware_type == 1 && hardware_length == 6)
            .then(|| hardware.first_chunk().copied())
            .flatten(),
        address: address.map(IpAddr::from),
        ..Message::default()
    };
    if reader.array() == Some(MAGIC_COOKIE) {
        let overload = options_v4(&mut message, reader.rest());
        // RFC 2132, section 9.3: the two fields hold options, too.
        if overload & 1 != 0 {
            options_v4(&mut message, file);
        }
        if overload & 2 != 0 {
            options_v4(&mut message, server_name);
        }
    }
    Some(message)
}

/// Reads options up to their end, or up to one that is cut. Gives the overload option.
fn options_v4(message: &mut Message, options: &[u8]) -> u8 {
    const PAD: u8 = 0;
    const END: u8 = 255;
    let mut overload = 0;
    let mut reader = Reader::new(options);
    while let Some(code) = reader.u8() {
        match code {
            PAD => continue,
            END => break,
            _ => {}
        }
        let Some(value) = reader.vector8() else {
            break;
        };
        match (code, value) {
            (1, &[a, b, c, d]) => {
                let mask = u32::from_be_bytes([a, b, c, d]);
                // A mask with holes is none.
                let length = mask.leading_ones();
                message.prefix_length = (mask.count_ones() == length)
                    .then(|| u8::try_from(length).ok())
                    .flatten();
            }
            (3, routers) => add_v4(&mut message.routers, routers),
            (6, servers) => add_v4(&mut message.dns, servers),
            (12, name) => message.host_name = Some(shown(name)),
            // The address asked for, until a server says more.
            (50, &[a, b, c, d]) if message.address.is_none() => {
                message.address = Some(IpAddr::from([a, b, c, d]));
            }
            (51, &[a, b, c, d]) => {
                message.lease_seconds = Some(u32::from_be_bytes([a, b, c, d]));
            }
            (52, &[fields]) => overload = fields,
            (53, &[kind]) => message.kind = kind_v4(kind),
            (54, &[a, b, c, d]) => message.server = Some(IpAddr::from([a, b, c, d])),
            _ => {}
        }
    }
    overload
}

/// DHCP message types (IANA, BOOTP and DHCP parameters).
fn kind_v4(number: u8) -> &'static str {
    match number {
        1 => "discover",
        2 => "offer",
        3 => "request",
        4 => "decline",
        5 => "ack",
        6 => "nak",
        7 => "release",
        8 => "inform",
        9 => "forcerenew",
        10 => "leasequery",
        11 => "leaseunassigned",
        12 => "leaseunknown",
        13 => "leaseactive",
        _ => "unknown",
    }
}

fn add_v4(list: &mut Vec<IpAddr>, value: &[u8]) {
    let room = MAX_ADDRESSES.saturating_sub(list.len());
    let addresses = value.as_chunks::<4>().0.iter().take(room);
    list.extend(addresses.map(|address| IpAddr::from(*address)));
}

/// RFC 8415, sections 8 and 9.
fn parse_v6(payload: &[u8]) -> Option<Message> {
    const RELAY_FORWARD: u8 = 12;
    const RELAY_REPLY: u8 = 13;
    const RELAY_MESSAGE: u16 = 9;
    let mut payload = payload;
    for _ in 0..MAX_RELAYS {
        let mut reader = Reader::new(payload);
        let kind = reader.u8()?;
        if !matches!(kind, RELAY_FORWARD | RELAY_REPLY) {
            let transaction_id = u32::try_from(reader.u24()?).ok()?;
            let mut message = Message {
                version: 6,
                kind: kind_v6(kind)?,
                transaction_id,
                ..Message::default()
            };
            for (code, value) in (Options { rest: reader }) {
                option_v6(&mut message, code, value);
            }
            return Some(message);
        }
        // Hop count, link address, peer address.
        reader.take(1 + 16 + 16)?;
        let mut options = Options { rest: reader };
        let (_, relayed) = options.find(|(code, _)| *code == RELAY_MESSAGE)?;
        payload = relayed;
    }
    None
}

/// DHCPv6 message types (IANA).
fn kind_v6(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "solicit",
        2 => "advertise",
        3 => "request",
        4 => "confirm",
        5 => "renew",
        6 => "rebind",
        7 => "reply",
        8 => "release",
        9 => "decline",
        10 => "reconfigure",
        11 => "information-request",
        14..=36 => "unknown",
        _ => return None,
    })
}

/// Options of DHCPv6: code, length, value (RFC 8415, section 21.1).
struct Options<'a> {
    rest: Reader<'a>,
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let code = self.rest.u16()?;
        Some((code, self.rest.vector16()?))
    }
}

fn option_v6(message: &mut Message, code: u16, value: &[u8]) {
    match (code, value) {
        // A DUID made from an Ethernet address, with (1) or without (3) a time.
        (1, [0, 1, 0, 1, _, _, _, _, mac @ ..] | [0, 3, 0, 1, mac @ ..]) => {
            message.client_mac = mac.try_into().ok();
        }
        // Addresses for good (IA_NA): identifier and two times before its options; and
        // temporary ones (IA_TA): identifier.
        (3, value) => association(message, value.get(12..)),
        (4, value) => association(message, value.get(4..)),
        (23, servers) => {
            let room = MAX_ADDRESSES.saturating_sub(message.dns.len());
            let addresses = servers.as_chunks::<16>().0.iter().take(room);
            message
                .dns
                .extend(addresses.map(|address| IpAddr::V6(Ipv6Addr::from(*address))));
        }
        _ => {}
    }
}

/// The first address of an association: address, preferred and valid lifetime.
fn association(message: &mut Message, options: Option<&[u8]>) {
    const ADDRESS: u16 = 5;
    let rest = Reader::new(options.unwrap_or_default());
    let Some((_, value)) = (Options { rest }).find(|(code, _)| *code == ADDRESS) else {
        return;
    };
    let mut reader = Reader::new(value);
    if let (None, Some(address), Some(_), Some(valid)) = (
        message.address,
        reader.array::<16>(),
        reader.u32(),
        reader.u32(),
    ) {
        message.address = Some(IpAddr::from(address));
        message.lease_seconds = Some(valid);
    }
}

fn shown(name: &[u8]) -> String {
    // Some clients count the terminating zero.
    text::printable(name.strip_suffix(&[0]).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::{Message, parse, version_of_ports};
    use proptest::prelude::*;
    use std::net::IpAddr;

    const MAC: [u8; 6] = [2, 0x42, 0x0a, 0x4d, 1, 0x0a];

    fn bootp(operation: u8, given: [u8; 4], options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![operation, 1, 6, 0, 0x3d, 0x1d, 0, 1, 0, 0, 0x80, 0];
        bytes.extend([0; 4]);
        bytes.extend(given);
        bytes.extend([0; 8]);
        bytes.extend(MAC);
        bytes.extend([0; 10 + 64 + 128]);
        bytes.extend([99, 130, 83, 99]);
        bytes.extend(options);
        bytes
    }

    fn ack() -> Vec<u8> {
        let options = [
            &[53, 1, 5, 54, 4, 10, 77, 1, 1, 51, 4, 0, 0, 0x0e, 0x10][..],
            &[0, 0, 1, 4, 255, 255, 255, 0, 3, 4, 10, 77, 1, 1],
            &[6, 8, 10, 77, 1, 53, 10, 77, 1, 54, 224, 2, 9, 9, 255],
            &[53, 1, 6],
        ];
        bootp(2, [10, 77, 1, 10], &options.concat())
    }

    #[test]
    fn an_acknowledgment_tells_address_lease_gateway_and_resolvers() {
        assert_eq!(
            parse(4, &ack()),
            Some(Message {
                version: 4,
                kind: "ack",
                transaction_id: 0x3d1d_0001,
                client_mac: Some(MAC),
                address: Some(IpAddr::from([10, 77, 1, 10])),
                prefix_length: Some(24),
                server: Some(IpAddr::from([10, 77, 1, 1])),
                routers: vec![IpAddr::from([10, 77, 1, 1])],
                dns: vec![IpAddr::from([10, 77, 1, 53]), IpAddr::from([10, 77, 1, 54])],
                lease_seconds: Some(3600),
                host_name: None,
            })
        );
    }

    #[test]
    fn a_request_tells_the_address_it_asks_for_and_the_hosts_name() {
        let options = [
            &[53, 1, 3, 50, 4, 10, 77, 1, 10][..],
            &[12, 7, b'l', b'a', b'p', 0x1b, b't', b'o', b'p', 255],
        ];
        let message = parse(4, &bootp(1, [0; 4], &options.concat())).unwrap();
        assert_eq!(message.kind, "request");
        assert_eq!(message.address, Some(IpAddr::from([10, 77, 1, 10])));
        let name = message.host_name.unwrap();
        assert!(name.starts_with("lap") && name.ends_with("top"));
        assert!(!name.contains('\x1b'), "escapes never reach the terminal");
    }

    #[test]
    fn options_overflow_into_the_fields_of_bootp() {
        let mut bytes = bootp(2, [10, 77, 1, 10], &[53, 1, 2, 52, 1, 3, 255]);
        // The server name stands at 44, the file at 108.
        bytes[44..51].copy_from_slice(&[3, 4, 10, 77, 1, 1, 255]);
        bytes[108..115].copy_from_slice(&[51, 4, 0, 0, 0, 60, 255]);
        let message = parse(4, &bytes).unwrap();
        assert_eq!((message.kind, message.lease_seconds), ("offer", Some(60)));
        assert_eq!(message.routers, [IpAddr::from([10, 77, 1, 1])]);
    }

    #[test]
    fn bootp_without_options_and_odd_masks_are_understood() {
        let mut bytes = bootp(1, [0; 4], &[]);
        bytes.truncate(236);
        assert_eq!(parse(4, &bytes).unwrap().kind, "bootrequest");
        let holes = bootp(2, [10, 0, 0, 1], &[1, 4, 255, 0, 255, 0]);
        assert_eq!(parse(4, &holes).unwrap().prefix_length, None);
        // Not Ethernet: no MAC. Neither request nor reply: no message.
        let mut token = ack();
        token[1] = 6;
        assert_eq!(parse(4, &token).unwrap().client_mac, None);
        token[0] = 3;
        assert_eq!(parse(4, &token), None);
    }

    /// A reply with an address for an hour, a resolver, and the client's identity.
    fn reply() -> Vec<u8> {
        let address = [0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
        let mut bytes = vec![7, 0x12, 0x34, 0x56, 0, 1, 0, 14, 0, 1, 0, 1, 1, 2, 3, 4];
        bytes.extend(MAC);
        bytes.extend([0, 3, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 24]);
        bytes.extend(address);
        bytes.extend([0, 0, 7, 8, 0, 0, 0x0e, 0x10, 0, 23, 0, 16]);
        bytes.extend(address);
        bytes
    }

    #[test]
    fn dhcp_for_ipv6_is_read_also_through_a_relay() {
        let address: IpAddr = "fd77::10".parse().unwrap();
        let expected = Message {
            version: 6,
            kind: "reply",
            transaction_id: 0x12_3456,
            client_mac: Some(MAC),
            address: Some(address),
            dns: vec![address],
            lease_seconds: Some(3600),
            ..Message::default()
        };
        assert_eq!(parse(6, &reply()), Some(expected.clone()));
        let mut relayed = vec![13, 0];
        relayed.extend([0; 32]);
        relayed.extend([0, 9]);
        relayed.extend(u16::try_from(reply().len()).unwrap().to_be_bytes());
        relayed.extend(reply());
        assert_eq!(parse(6, &relayed), Some(expected));
        assert_eq!(parse(6, &[1, 0, 0, 7]).unwrap().kind, "solicit");
        assert_eq!(parse(6, &[0, 0, 0, 7]), None);
    }

    #[test]
    fn relays_within_relays_end() {
        let mut message = vec![1, 0, 0, 7];
        for _ in 0..100 {
            let mut relay = vec![12, 0];
            relay.extend([0; 32]);
            relay.extend([0, 9]);
            relay.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
            relay.extend(message);
            message = relay;
        }
        assert_eq!(parse(6, &message), None);
    }

    #[test]
    fn both_versions_are_told_by_their_ports() {
        assert_eq!(version_of_ports(68, 67), Some(4));
        assert_eq!(version_of_ports(67, 68), Some(4));
        assert_eq!(version_of_ports(67, 67), Some(4), "a relay");
        assert_eq!(version_of_ports(546, 547), Some(6));
        assert_eq!(version_of_ports(547, 546), Some(6));
        assert_eq!(version_of_ports(5000, 53), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse(4, &bytes);
            let _ = parse(6, &bytes);
        }

        #[test]
        fn no_change_to_a_message_breaks_the_parser(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            kept in any::<prop::sample::Index>(),
        ) {
            for (version, mut bytes) in [(4, ack()), (6, reply())] {
                for (place, value) in &changes {
                    let place = place.index(bytes.len());
                    bytes[place] = *value;
                }
                bytes.truncate(kept.index(bytes.len() + 1));
                if let Some(message) = parse(version, &bytes) {
                    prop_assert!(message.dns.len() <= super::MAX_ADDRESSES);
                }
            }
        }
    }
}
