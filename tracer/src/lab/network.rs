//! Interfaces, addresses and routes of the lab, all by rtnetlink.

use super::LabError;
use super::address::{
    CLIENT_INTERFACE, CLIENT_MAC, CLIENT_V4, CLIENT_V6, CLOSED_V4, DNS_V4, DNS_V6, GATEWAY_MAC,
    GATEWAY_V4, GATEWAY_V6, PREFIX_V4, PREFIX_V6, SERVER_MAC, SERVER_V4, SERVER_V6,
    SERVICES_GATEWAY_MAC, SERVICES_GATEWAY_V4, SERVICES_GATEWAY_V6,
};
use super::namespace::Namespace;
use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, State};
use rtnetlink::packet_route::neighbour::{NeighbourMessage, NeighbourState};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

/// How long a link may take until it carries packets; it takes about a millisecond.
const LINK_DEADLINE: Duration = Duration::from_secs(5);

/// The kernel gives the first interface of every namespace this index.
const LOOPBACK: u32 = 1;
/// The gateway's ends of the two links.
const GATEWAY_INTERFACES: [&str; 2] = ["client0", "services0"];

const VETH_HINT: &str = "check that the kernel has the veth module (modprobe veth)";
const SYSCTL_HINT: &str = "mount /proc/sys writable (a container needs --privileged)";

/// The namespaces, connected and configured.
pub(super) struct Network {
    pub client: Namespace,
    pub gateway: Namespace,
    pub services: Namespace,
    /// The kernel has IPv6.
    pub ipv6: bool,
}

/// Builds the whole network; every address is usable when it returns.
pub(super) fn build() -> Result<Network, LabError> {
    let ipv6 = Path::new("/proc/sys/net/ipv6").exists();
    let network = Network {
        client: Namespace::create()?,
        gateway: Namespace::create()?,
        services: Namespace::create()?,
        ipv6,
    };
    // Settings first: an interface copies them when it is born.
    for (namespace, forwards) in [
        (&network.client, false),
        (&network.gateway, true),
        (&network.services, false),
    ] {
        namespace.run("configure the lab's network", || settings(ipv6, forwards))?;
    }
    let gateway = &network.gateway;
    gateway.run("connect the lab's hosts", || {
        blocking(connect_hosts(&network))
    })?;
    network.client.run("configure the lab's client", || {
        blocking(async {
            let host = Host::open(ipv6)?;
            host.up(LOOPBACK).await?;
            let link = host.link(CLIENT_INTERFACE).await?;
            host.up(link).await?;
            host.address(link, CLIENT_V4, CLIENT_V6).await?;
            host.default_route(GATEWAY_V4, GATEWAY_V6).await?;
            host.carries(link).await
        })
    })?;
    network.services.run("configure the lab's servers", || {
        blocking(async {
            let host = Host::open(ipv6)?;
            host.up(LOOPBACK).await?;
            let link = host.link(CLIENT_INTERFACE).await?;
            host.up(link).await?;
            host.single_segments(link).await;
            host.address(link, SERVER_V4, SERVER_V6).await?;
            host.address_v4(link, CLOSED_V4).await?;
            host.default_route(SERVICES_GATEWAY_V4, SERVICES_GATEWAY_V6)
                .await?;
            host.carries(link).await
        })
    })?;
    gateway.run("connect the lab's hosts", || {
        blocking(async {
            let host = Host::open(ipv6)?;
            for name in GATEWAY_INTERFACES {
                host.carries(host.link(name).await?).await?;
            }
            Ok(())
        })
    })?;
    Ok(network)
}

/// Two veth pairs, made in the gateway with the far ends born in their namespaces.
async fn connect_hosts(network: &Network) -> Result<(), LabError> {
    let host = Host::open(network.ipv6)?;
    host.up(LOOPBACK).await?;
    for (name, mac, peer_mac, peer) in [
        (
            GATEWAY_INTERFACES[0],
            GATEWAY_MAC,
            CLIENT_MAC,
            &network.client,
        ),
        (
            GATEWAY_INTERFACES[1],
            SERVICES_GATEWAY_MAC,
            SERVER_MAC,
            &network.services,
        ),
    ] {
        let far_end = LinkMessageBuilder::<LinkUnspec>::new()
            .name(CLIENT_INTERFACE)
            .address(peer_mac.to_vec())
            .setns_by_fd(peer.descriptor().as_raw_fd())
            .build();
        let pair = LinkVeth::new(name, CLIENT_INTERFACE)
            .address(mac.to_vec())
            .up()
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far_end)))
            .build();
        host.handle
            .link()
            .add(pair)
            .execute()
            .await
            .map_err(failed("connect two hosts of the lab", VETH_HINT))?;
    }
    for (name, v4, v6) in [
        (GATEWAY_INTERFACES[0], GATEWAY_V4, GATEWAY_V6),
        (
            GATEWAY_INTERFACES[1],
            SERVICES_GATEWAY_V4,
            SERVICES_GATEWAY_V6,
        ),
    ] {
        let link = host.link(name).await?;
        host.address(link, v4, v6).await?;
    }
    // Like a home router, the gateway's host also answers DNS, under an address of its own:
    // so the client asks for the gateway's MAC when it connects, not when it resolves.
    let link = host.link(GATEWAY_INTERFACES[0]).await?;
    host.address(link, DNS_V4, DNS_V6).await
}

/// Kernel settings of the calling thread's network namespace (/proc/sys/net shows that of
/// whoever opens it).
fn settings(ipv6: bool, forwards: bool) -> Result<(), LabError> {
    let set = |name: &str, value: &str| {
        std::fs::write(Path::new("/proc/sys/net").join(name), value)
            .map_err(|error| LabError::kernel("change a network setting", error, SYSCTL_HINT))
    };
    if forwards {
        set("ipv4/ip_forward", "1")?;
    }
    if !ipv6 {
        return Ok(());
    }
    for scope in ["all", "default"] {
        let set = |name: &str, value: &str| set(&format!("ipv6/conf/{scope}/{name}"), value);
        set("disable_ipv6", "0")?;
        // Duplicate address detection would keep addresses unusable for a second
        // (RFC 4862, section 5.4), and nobody else is on these links.
        set("accept_dad", "0")?;
        // No router solicitations among the packets of the journey.
        set("accept_ra", "0")?;
        set("router_solicitations", "0")?;
        if forwards {
            set("forwarding", "1")?;
        }
    }
    Ok(())
}

/// One namespace, configured from inside.
struct Host {
    handle: Handle,
    ipv6: bool,
}

impl Host {
    /// Opens netlink in the calling thread's namespace.
    fn open(ipv6: bool) -> Result<Self, LabError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(|error| {
            LabError::kernel(
                "open a netlink socket",
                error,
                "check the limit on open files (ulimit -n)",
            )
        })?;
        tokio::spawn(connection);
        Ok(Self { handle, ipv6 })
    }

    async fn up(&self, link: u32) -> Result<(), LabError> {
        let up = LinkUnspec::new_with_index(link).up().build();
        let set = self.handle.link().set(up).execute().await;
        set.map_err(failed("start an interface of the lab", VETH_HINT))
    }

    /// Frames as a real wire shows them: without this, TCP hands the link up to 64 KiB at
    /// once, because nobody would ever cut them.
    async fn single_segments(&self, link: u32) {
        let segments = LinkUnspec::new_with_index(link)
            .append_extra_attribute(LinkAttribute::GsoMaxSegs(1))
            .build();
        // A kernel that refuses shows larger frames, nothing worse.
        let _ = self.handle.link().set(segments).execute().await;
    }

    async fn link(&self, name: &str) -> Result<u32, LabError> {
        let name = name.to_owned();
        let mut links = self.handle.link().get().match_name(name).execute();
        let link = links.try_next().await;
        let link = link.map_err(failed("find an interface of the lab", VETH_HINT))?;
        link.map(|link| link.header.index).ok_or_else(|| {
            let missing = io::ErrorKind::NotFound.into();
            LabError::kernel("find an interface of the lab", missing, VETH_HINT)
        })
    }

    /// Waits until the link carries packets: until then its queue drops them, and the first
    /// ARP request of a journey would be lost (linkwatch_do_dev activates the queue).
    async fn carries(&self, link: u32) -> Result<(), LabError> {
        let step = "wait for a link of the lab";
        let up = async {
            loop {
                let mut links = self.handle.link().get().match_index(link).execute();
                let found = links.try_next().await.map_err(failed(step, VETH_HINT))?;
                let is_up = |attribute: &LinkAttribute| {
                    matches!(attribute, LinkAttribute::OperState(State::Up))
                };
                if found.is_some_and(|link| link.attributes.iter().any(is_up)) {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let late = || LabError::kernel(step, io::ErrorKind::TimedOut.into(), VETH_HINT);
        tokio::time::timeout(LINK_DEADLINE, up)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    async fn address(&self, link: u32, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<(), LabError> {
        self.address_v4(link, v4).await?;
        if !self.ipv6 {
            return Ok(());
        }
        let mut request = self.handle.address().add(link, v6.into(), PREFIX_V6);
        let message = request.message_mut();
        message.header.flags |= AddressHeaderFlags::Nodad;
        message
            .attributes
            .push(AddressAttribute::Flags(AddressFlags::Nodad));
        request
            .execute()
            .await
            .map_err(failed("add an IPv6 address", VETH_HINT))
    }

    async fn address_v4(&self, link: u32, v4: Ipv4Addr) -> Result<(), LabError> {
        let request = self.handle.address().add(link, v4.into(), PREFIX_V4);
        request
            .execute()
            .await
            .map_err(failed("add an IPv4 address", VETH_HINT))
    }

    async fn default_route(&self, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<(), LabError> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(v4).build();
        let added = self.handle.route().add(route).execute().await;
        added.map_err(failed("add the IPv4 default route", VETH_HINT))?;
        if !self.ipv6 {
            return Ok(());
        }
        let route = RouteMessageBuilder::<Ipv6Addr>::new().gateway(v6).build();
        let added = self.handle.route().add(route).execute().await;
        added.map_err(failed("add the IPv6 default route", VETH_HINT))
    }

    async fn flush_neighbors(&self) -> Result<(), LabError> {
        let step = "flush a neighbour cache";
        let entries: Vec<NeighbourMessage> = self
            .handle
            .neighbours()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(failed(step, VETH_HINT))?;
        let learned = entries
            .into_iter()
            .filter(|entry| entry.header.state != NeighbourState::Noarp);
        for entry in learned {
            match self.handle.neighbours().del(entry).execute().await {
                // It may have gone by itself.
                Err(rtnetlink::Error::NetlinkError(error)) if errno(&error) == libc::ENOENT => {}
                deleted => deleted.map_err(failed(step, VETH_HINT))?,
            }
        }
        Ok(())
    }
}

/// Makes the neighbour cache of a namespace cold.
pub(super) fn flush_neighbors(namespace: &Namespace) -> Result<(), LabError> {
    namespace.run("flush a neighbour cache", || {
        blocking(async { Host::open(true)?.flush_neighbors().await })
    })
}

fn failed(step: &'static str, hint: &'static str) -> impl Fn(rtnetlink::Error) -> LabError {
    move |error| {
        let source = match &error {
            rtnetlink::Error::NetlinkError(refused) => io::Error::from_raw_os_error(errno(refused)),
            other => io::Error::other(other.to_string()),
        };
        LabError::kernel(step, source, hint)
    }
}

/// The positive errno of a netlink error message.
fn errno(message: &rtnetlink::packet_core::ErrorMessage) -> i32 {
    message.code.map_or(0, |code| code.get().saturating_neg())
}

/// Runs `work` on a runtime of its own in the calling thread (and its namespace).
fn blocking<T>(work: impl Future<Output = Result<T, LabError>>) -> Result<T, LabError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            LabError::kernel(
                "start a runtime",
                error,
                "check the limit on open files (ulimit -n)",
            )
        })?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_on_the_link_of_its_gateway() {
        let link = |ip: Ipv4Addr| u32::from(ip) >> (32 - PREFIX_V4);
        assert_eq!(link(CLIENT_V4), link(GATEWAY_V4));
        assert_eq!(link(CLIENT_V4), link(DNS_V4));
        assert_ne!(link(CLIENT_V4), link(SERVER_V4));
        for ip in [SERVER_V4, CLOSED_V4] {
            assert_eq!(link(ip), link(SERVICES_GATEWAY_V4));
        }
    }
}
