//! What rtnetlink knows: interfaces, neighbour tables, and the answer of the routing tables
//! for one destination.
//!
//! Every function opens a socket of its own in the network namespace of the thread that
//! polls it, and ends within two seconds.

use crate::capture::{
    HookKind, Interface, NeighborAction, NeighborEvent, RouteDetail, neighbor_state,
};
use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, RouteMessageBuilder};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// A kernel that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(2);
/// Entries of one table that are read; the kernel's own limit on neighbours
/// (gc_thresh3) is lower by default.
const MAX_ENTRIES: usize = 65_536;
/// RT_TABLE_LOCAL, include/uapi/linux/rtnetlink.h.
const LOCAL_TABLE: u32 = 255;

/// The interfaces of this network namespace with their addresses.
///
/// # Errors
/// When no socket can be opened, or the kernel does not answer in time.
pub async fn interfaces() -> io::Result<Vec<Interface>> {
    ask(|handle| async move {
        let links = handle.link().get().execute().take(MAX_ENTRIES);
        let links: Vec<LinkMessage> = links.try_collect().await.map_err(refused)?;
        let addresses = handle.address().get().execute().take(MAX_ENTRIES);
        let addresses: Vec<AddressMessage> = addresses.try_collect().await.map_err(refused)?;
        let mut found: Vec<Interface> = links.into_iter().map(interface).collect();
        for message in addresses {
            let owner = found
                .iter_mut()
                .find(|interface| interface.index == message.header.index);
            if let (Some(owner), Some(ip)) = (owner, own_address(&message)) {
                owner.addresses.push((ip, message.header.prefix_len));
                if !message.header.flags.contains(AddressHeaderFlags::Permanent) {
                    owner.temporary.push(ip);
                }
            }
        }
        Ok(found)
    })
    .await
}

/// The neighbour tables of this network namespace (ARP and NDP), without the entries that
/// need no resolution (NUD_NOARP: loopback, multicast).
///
/// # Errors
/// When no socket can be opened, or the kernel does not answer in time.
pub async fn neighbors() -> io::Result<Vec<NeighborEvent>> {
    ask(|handle| async move {
        let entries = handle.neighbours().get().execute().take(MAX_ENTRIES);
        let entries: Vec<NeighbourMessage> = entries.try_collect().await.map_err(refused)?;
        let links = handle.link().get().execute().take(MAX_ENTRIES);
        let links: Vec<LinkMessage> = links.try_collect().await.map_err(refused)?;
        let names: HashMap<u32, String> = links
            .into_iter()
            .map(interface)
            .map(|interface| (interface.index, interface.name))
            .collect();
        Ok(entries
            .iter()
            .filter_map(|entry| neighbor(entry, &names))
            .filter(|event| event.state & neighbor_state::NOARP == 0)
            .collect())
    })
    .await
}

/// What the routing tables say about `destination`, for packets from `source` and sockets
/// of user `uid` where these are known (ip-rule(8) may ask for both).
///
/// A destination the kernel refuses is an answer too: then `error` holds the errno.
///
/// # Errors
/// When no socket can be opened, or the kernel does not answer in time.
pub async fn route_to(
    destination: IpAddr,
    source: Option<IpAddr>,
    uid: Option<u32>,
) -> io::Result<RouteDetail> {
    let destination = destination.to_canonical();
    ask(move |handle| async move {
        // Two questions: the decision for a packet (source address, gateway), and the entry
        // of the table that matched (prefix; RTM_F_FIB_MATCH, inet_rtm_getroute).
        let request = |flags| route_request(destination, source, uid, flags);
        let decision = route(&handle, request(RouteFlags::LookupTable)).await?;
        let entry = request(RouteFlags::LookupTable | RouteFlags::FibMatch);
        let entry = route(&handle, entry).await?.ok();
        let mut detail = match (&decision, &entry) {
            (Err(errno), _) => refused_route(destination, *errno),
            (Ok(decision), entry) => decided_route(destination, decision, entry.as_ref()),
        };
        let index = decision.as_ref().ok().and_then(outgoing);
        if let Some(index) = index {
            let link = handle.link().get().match_index(index).execute();
            let mut link = std::pin::pin!(link);
            if let Some(link) = link.try_next().await.map_err(refused)? {
                let device = interface(link);
                detail.mtu.get_or_insert(device.mtu);
                detail.interface = Some(device.name);
            }
        }
        if let Some(entry) = &entry {
            detail.prefix = prefix(destination, entry);
            detail.kind = kind_name(entry.header.kind).to_owned();
        }
        Ok(detail)
    })
    .await
}

/// Opens a socket, lets `question` use it, and closes it.
async fn ask<T, F>(question: impl FnOnce(Handle) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let driver = tokio::spawn(connection);
    let answer = tokio::time::timeout(PATIENCE, question(handle)).await;
    driver.abort();
    answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn refused(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => {
            let code = message.code.map_or(0, |code| code.get().saturating_neg());
            io::Error::from_raw_os_error(code)
        }
        other => io::Error::other(other.to_string()),
    }
}

fn interface(link: LinkMessage) -> Interface {
    let mut interface = Interface {
        index: link.header.index,
        name: String::new(),
        mac: None,
        mtu: 0,
        addresses: Vec::new(),
        temporary: Vec::new(),
        loopback: link.header.flags.contains(LinkFlags::Loopback),
    };
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name = name,
            LinkAttribute::Mtu(mtu) => interface.mtu = mtu,
            // Tunnels have addresses of other lengths; those are no MAC.
            LinkAttribute::Address(address) => interface.mac = address.try_into().ok(),
            _ => {}
        }
    }
    interface
}

/// IFA_LOCAL where there is one: IFA_ADDRESS is the peer's on a point-to-point link.
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let mut other = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => return Some(*ip),
            AddressAttribute::Address(ip) => other = Some(*ip),
            _ => {}
        }
    }
    other
}

fn neighbor(entry: &NeighbourMessage, names: &HashMap<u32, String>) -> Option<NeighborEvent> {
    let mut ip = None;
    let mut mac = None;
    for attribute in &entry.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                ip = Some(IpAddr::V4(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                ip = Some(IpAddr::V6(*v6));
            }
            NeighbourAttribute::LinkLayerAddress(address) => {
                mac = address.as_slice().try_into().ok();
            }
            _ => {}
        }
    }
    Some(NeighborEvent {
        action: NeighborAction::Listed,
        ip: ip?,
        mac,
        state: u8::try_from(u16::from(entry.header.state)).unwrap_or_default(),
        interface: names.get(&entry.header.ifindex).cloned(),
        pid: 0,
        hook: HookKind::Netlink,
    })
}

fn route_request(
    destination: IpAddr,
    source: Option<IpAddr>,
    uid: Option<u32>,
    flags: RouteFlags,
) -> RouteMessage {
    let bits = |ip: &IpAddr| if ip.is_ipv4() { 32 } else { 128 };
    let mut message = match destination {
        IpAddr::V4(ip) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
            .destination_prefix(ip, bits(&destination))
            .build(),
        IpAddr::V6(ip) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
            .destination_prefix(ip, bits(&destination))
            .build(),
    };
    message.header.flags = flags;
    let source = source
        .map(|ip| ip.to_canonical())
        .filter(|ip| ip.is_ipv4() == destination.is_ipv4() && !ip.is_unspecified());
    if let Some(ip) = source {
        message.header.source_prefix_length = bits(&ip);
        message.attributes.push(RouteAttribute::Source(ip.into()));
    }
    message.attributes.extend(uid.map(RouteAttribute::Uid));
    message
}

/// The kernel's answer, or the errno (positive) with which it refused.
async fn route(handle: &Handle, message: RouteMessage) -> io::Result<Result<RouteMessage, i32>> {
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetRoute(message));
    request.header.flags = NLM_F_REQUEST;
    let mut answers = handle.clone().request(request).map_err(refused)?;
    while let Some(answer) = answers.next().await {
        match answer.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
                return Ok(Ok(route));
            }
            NetlinkPayload::Error(error) => {
                let code = error.code.map_or(0, |code| code.get().saturating_neg());
                return Ok(Err(code));
            }
            _ => {}
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn refused_route(destination: IpAddr, errno: i32) -> RouteDetail {
    // The errno is all that fib_table_lookup says about such a route (fib_props).
    let kind = match errno {
        libc::EACCES => "prohibit",
        libc::EINVAL => "blackhole",
        _ => "unreachable",
    };
    RouteDetail {
        destination,
        prefix: None,
        gateway: None,
        interface: None,
        source: None,
        table: 0,
        mtu: None,
        kind: kind.to_owned(),
        error: Some(errno),
    }
}

fn decided_route(
    destination: IpAddr,
    decision: &RouteMessage,
    entry: Option<&RouteMessage>,
) -> RouteDetail {
    let mut detail = RouteDetail {
        destination,
        prefix: None,
        gateway: None,
        interface: None,
        source: None,
        table: table(entry.unwrap_or(decision)),
        mtu: None,
        kind: kind_name(decision.header.kind).to_owned(),
        error: None,
    };
    for attribute in &decision.attributes {
        match attribute {
            RouteAttribute::Gateway(address) => detail.gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(v4)) => detail.gateway = Some(IpAddr::V4(*v4)),
            RouteAttribute::Via(RouteVia::Inet6(v6)) => detail.gateway = Some(IpAddr::V6(*v6)),
            RouteAttribute::PrefSource(address) => detail.source = ip(address),
            RouteAttribute::Metrics(metrics) => {
                detail.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) if *mtu > 0 => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    detail
}

fn outgoing(message: &RouteMessage) -> Option<u32> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        })
}

fn table(message: &RouteMessage) -> u32 {
    let attribute = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Table(table) => Some(*table),
            _ => None,
        });
    match (message.header.kind, message.header.address_family) {
        // Until the first ip-rule is added, the kernel keeps IPv4's local table inside the
        // main one and says "main" for both (fib_trie_unmerge).
        (RouteType::Local | RouteType::Broadcast, AddressFamily::Inet) => LOCAL_TABLE,
        _ => attribute.unwrap_or_else(|| u32::from(message.header.table)),
    }
}

/// Prefix of a table entry; a default route names no destination.
fn prefix(destination: IpAddr, entry: &RouteMessage) -> Option<(IpAddr, u8)> {
    let length = entry.header.destination_prefix_length;
    let named = entry
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(address) => ip(address),
            _ => None,
        });
    let unspecified: IpAddr = match destination {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    match named {
        Some(ip) => Some((ip, length)),
        None => (length == 0).then_some((unspecified, 0)),
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

/// The words of ip-route(8).
fn kind_name(kind: RouteType) -> &'static str {
    match kind {
        RouteType::Unicast => "unicast",
        RouteType::Local => "local",
        RouteType::Broadcast => "broadcast",
        RouteType::Anycast => "anycast",
        RouteType::Multicast => "multicast",
        RouteType::BlackHole => "blackhole",
        RouteType::Unreachable => "unreachable",
        RouteType::Prohibit => "prohibit",
        RouteType::Throw => "throw",
        RouteType::Nat => "nat",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::{interfaces, route_to};
    use std::net::{IpAddr, Ipv4Addr};

    #[tokio::test]
    async fn loopback_is_listed_with_its_address() {
        let found = interfaces().await.expect("rtnetlink answers");
        let loopback = found
            .iter()
            .find(|interface| interface.loopback)
            .expect("every namespace has one");
        assert_eq!((loopback.index, loopback.name.as_str()), (1, "lo"));
        let address = (IpAddr::V4(Ipv4Addr::LOCALHOST), 8);
        assert!(loopback.addresses.contains(&address), "{loopback:?}");
    }

    #[tokio::test]
    async fn the_way_to_this_host_is_local() {
        let detail = route_to(Ipv4Addr::LOCALHOST.into(), None, Some(0))
            .await
            .expect("rtnetlink answers");
        assert_eq!(detail.kind, "local", "{detail:?}");
        assert_eq!(detail.interface.as_deref(), Some("lo"));
        assert_eq!(detail.source, Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!((detail.table, detail.error), (255, None));
        assert!(detail.prefix.is_some_and(|(_, length)| length >= 8));
    }
}
