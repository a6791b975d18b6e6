//! Headers that recorders put before a packet and that never were on a wire.

use super::link::{Link, Protocol};

/// Attributes of a logged packet, include/uapi/linux/netfilter/nfnetlink_log.h.
const NFULA_PAYLOAD: u16 = 9;

/// LINKTYPE_IPOIB (242): the forty bytes of a global routing header, of which a recorder knows
/// the destination only, then what goes before each packet (RFC 4391, section 6): its type,
/// and two bytes that are reserved.
pub(super) fn ip_over_infiniband(data: &[u8]) -> Option<Link<'_>> {
    let (header, payload) = data.split_first_chunk::<44>()?;
    let [.., t0, t1, _, _] = *header;
    Some(Link {
        protocol: Protocol::EtherType(u16::from_be_bytes([t0, t1])),
        payload,
        ..Link::default()
    })
}

/// LINKTYPE_NFLOG (239): address family, version, group; then attributes, each its length,
/// type and value, padded to four bytes. The lengths are in the byte order of the recorder.
pub(super) fn nflog(data: &[u8]) -> Option<Link<'_>> {
    let ([_, version, _, _], attributes) = data.split_first_chunk::<4>()?;
    if *version != 0 {
        return None;
    }
    let [l0, l1] = *attributes.first_chunk::<2>()?;
    // The first attribute is a short one: whichever order makes it so.
    let little = u16::from_le_bytes([l0, l1]) <= u16::from_be_bytes([l0, l1]);
    let packet = nflog_payload(attributes, little)?;
    Some(Link {
        protocol: Protocol::Ip,
        payload: packet,
        ..Link::default()
    })
}

fn nflog_payload(mut attributes: &[u8], little: bool) -> Option<&[u8]> {
    let number = |bytes| match little {
        true => u16::from_le_bytes(bytes),
        false => u16::from_be_bytes(bytes),
    };
    loop {
        let ([l0, l1, t0, t1], value) = attributes.split_first_chunk::<4>()?;
        let length = usize::from(number([*l0, *l1]));
        // An attribute counts its own header.
        let value_length = length.checked_sub(4)?;
        if number([*t0, *t1]) == NFULA_PAYLOAD {
            return Some(value.get(..value_length).unwrap_or(value));
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// LINKTYPE_PKTAP (258): length of the header, kind of what
/// follows (1: a packet) and its link type, in little endian. Source: bsd/net/pktap.h of
/// XNU.
pub(super) fn pktap(data: &[u8]) -> Option<(u16, &[u8])> {
    let ([l0, l1, l2, l3, 1, 0, 0, 0, t0, t1, 0, 0], _) = data.split_first_chunk::<12>()? else {
        return None;
    };
    let length = usize::try_from(u32::from_le_bytes([*l0, *l1, *l2, *l3])).ok()?;
    let packet = data.get(length.max(12)..)?;
    Some((u16::from_le_bytes([*t0, *t1]), packet))
}

/// LINKTYPE_PPI (192): version, flags, length, link type, in little endian.
pub(super) fn per_packet_information(data: &[u8]) -> Option<(u16, &[u8])> {
    let ([0, _, l0, l1, t0, t1, 0, 0], _) = data.split_first_chunk::<8>()? else {
        return None;
    };
    let length = usize::from(u16::from_le_bytes([*l0, *l1])).max(8);
    Some((u16::from_le_bytes([*t0, *t1]), data.get(length..)?))
}

/// LINKTYPE_PFLOG (117): the header's length without its padding, address family, and more.
pub(super) fn pflog(data: &[u8]) -> Option<Link<'_>> {
    let length = usize::from(*data.first()?).max(4).next_multiple_of(4);
    Some(Link {
        protocol: Protocol::Ip,
        payload: data.get(length..)?,
        ..Link::default()
    })
}

/// LINKTYPE_ENC (109), OpenBSD's view into IPsec: address family, SPI, flags.
pub(super) fn enc(data: &[u8]) -> Option<Link<'_>> {
    Some(Link {
        protocol: Protocol::Ip,
        payload: data.get(12..)?,
        ..Link::default()
    })
}
