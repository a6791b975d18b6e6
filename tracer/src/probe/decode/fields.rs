//! The parts that records are made of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tracer_common::{event::family, record as records};

use super::Malformed;
use crate::capture::LinkType;

/// A record that may be read from any bytes of its length.
///
/// # Safety
/// The implementor is `repr(C)` and made of integers and arrays of them, for which every
/// pattern of bits is a value.
pub(super) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($record:ident),*) => {$(
        // SAFETY: see tracer_common::record: integers and byte arrays only.
        unsafe impl Plain for records::$record {}
    )*};
}

plain!(
    Header,
    Lost,
    FrameHead,
    TcpState,
    TcpSample,
    TcpRetransmit,
    TcpReset,
    PacketDrop,
    SocketOwner,
    LayerPassage,
    Route,
    Neighbor,
    GetAddrInfo,
    FileOpen,
    ProcessFork,
    ProcessExec,
    ProcessExit
);

/// Reads a record from the start of `bytes`.
pub(super) fn record<T: Plain>(bytes: &[u8]) -> Result<T, Malformed> {
    if bytes.len() < size_of::<T>() {
        return Err(Malformed);
    }
    // SAFETY: there are enough bytes, any of them make a `T`, and alignment is not needed.
    Ok(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// Text up to the first NUL. What is not UTF-8 is replaced, not refused.
pub(super) fn text(bytes: &[u8]) -> String {
    let length = bytes.iter().position(|byte| *byte == 0);
    let bytes = length.map_or(bytes, |length| bytes.split_at(length).0);
    String::from_utf8_lossy(bytes).into_owned()
}

/// Arguments separated by NUL; an incomplete last one is kept as far as it goes.
pub(super) fn arguments(bytes: &[u8], length: u32) -> Vec<String> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let bytes = bytes.get(..length).unwrap_or(bytes);
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes
        .split(|byte| *byte == 0)
        .map(|one| String::from_utf8_lossy(one).into_owned())
        .collect()
}

/// inode number of a network namespace, `None` where unknown.
pub(super) fn namespace(inode: u32) -> Option<u32> {
    (inode != 0).then_some(inode)
}

/// An address in the first 4 or all 16 bytes, network byte order. An IPv4 address that
/// travels in an IPv6 socket (RFC 4291, section 2.5.5.2) is the IPv4 address it is.
pub(super) fn address(of_family: u16, bytes: &[u8; 16]) -> Result<IpAddr, Malformed> {
    match of_family {
        family::INET => {
            let [a, b, c, d, ..] = *bytes;
            Ok(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        family::INET6 => Ok(IpAddr::V6(Ipv6Addr::from(*bytes)).to_canonical()),
        _ => Err(Malformed),
    }
}

/// As [`address`], `None` for 0.0.0.0 and ::, which say that nothing is chosen.
pub(super) fn known_address(of_family: u16, bytes: &[u8; 16]) -> Result<Option<IpAddr>, Malformed> {
    Ok(Some(address(of_family, bytes)?).filter(|ip| !ip.is_unspecified()))
}

pub(super) fn socket_address(
    of_family: u16,
    bytes: &[u8; 16],
    port: u16,
) -> Result<SocketAddr, Malformed> {
    Ok(SocketAddr::new(address(of_family, bytes)?, port))
}

/// As [`socket_address`], `None` when neither address nor port is chosen.
pub(super) fn known_socket_address(
    of_family: u16,
    bytes: &[u8; 16],
    port: u16,
) -> Result<Option<SocketAddr>, Malformed> {
    let found = socket_address(of_family, bytes, port)?;
    Ok(Some(found).filter(|address| port != 0 || !address.ip().is_unspecified()))
}

/// The errno that IPv6 makes of a route's type: `fib6_prop` in net/ipv6/route.c. A table
/// without any match says -EAGAIN, as IPv4's do: the next table is asked.
pub(super) fn ipv6_route_error(route_type: u8, no_match: bool) -> i32 {
    if no_match {
        return -libc::EAGAIN;
    }
    match route_type {
        libc::RTN_BLACKHOLE => -libc::EINVAL,
        libc::RTN_UNREACHABLE => -libc::EHOSTUNREACH,
        libc::RTN_PROHIBIT => -libc::EACCES,
        libc::RTN_THROW => -libc::EAGAIN,
        _ => 0,
    }
}

/// Puts a VLAN tag that the network card took out back where it was on the wire (IEEE
/// 802.1Q: after the two addresses). Also says how many bytes that added.
pub(super) fn with_vlan_tag(
    data: &[u8],
    protocol: u16,
    tag: u16,
    link_type: LinkType,
) -> (Vec<u8>, u32) {
    match data.split_at_checked(12) {
        Some((addresses, rest)) if protocol != 0 && link_type == LinkType::Ethernet => {
            let [a, b] = protocol.to_be_bytes();
            let [c, d] = tag.to_be_bytes();
            ([addresses, &[a, b, c, d], rest].concat(), 4)
        }
        _ => (data.to_vec(), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_nul_and_survives_what_is_not_utf8() {
        assert_eq!(text(b"curl\0\xff\xff"), "curl");
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(text(b""), "");
    }

    #[test]
    fn an_empty_argument_in_the_middle_is_an_argument() {
        assert_eq!(arguments(b"a\0\0b\0junk", 5), ["a", "", "b"]);
        assert_eq!(arguments(b"cut", 3), ["cut"]);
        assert_eq!(arguments(b"", 0), [""; 0]);
        assert_eq!(arguments(b"ab", 99), ["ab"]);
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_socket_is_an_ipv4_address() {
        let mut mapped = [0; 16];
        mapped[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
        assert_eq!(
            address(family::INET6, &mapped),
            Ok(IpAddr::from([10, 0, 0, 1]))
        );
        assert_eq!(address(1, &mapped), Err(Malformed));
    }

    #[test]
    fn an_out_of_band_tag_is_put_back_after_the_addresses() {
        let frame = [1_u8, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 8, 0];
        let (tagged, added) = with_vlan_tag(&frame, 0x8100, 0x0005, LinkType::Ethernet);
        assert_eq!(added, 4);
        assert_eq!(tagged[12..], [0x81, 0, 0, 5, 8, 0]);
        assert_eq!(
            with_vlan_tag(&frame[..4], 0x8100, 5, LinkType::Ethernet).1,
            0
        );
    }

    #[test]
    fn a_table_without_a_match_sends_the_search_on() {
        assert_eq!(ipv6_route_error(libc::RTN_UNREACHABLE, true), -libc::EAGAIN);
        assert_eq!(
            ipv6_route_error(libc::RTN_UNREACHABLE, false),
            -libc::EHOSTUNREACH
        );
        assert_eq!(ipv6_route_error(libc::RTN_UNICAST, false), 0);
    }
}
