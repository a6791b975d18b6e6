//! The DNS server of the lab: one zone, `test`, and one name that is never answered.

use super::Configuration;
use crate::lab::address::{CLOSED_V4, NOBODY_V4, SERVER_V4, SERVER_V6, SHOP_CHAIN, dns_addresses};
use hickory_proto::op::{Header, HeaderCounts, Metadata};
use hickory_proto::rr::rdata::{CNAME, NS, SOA};
use hickory_proto::rr::{LowerName, Name, RData, Record};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};

/// Seconds; different for alias and address, as a CDN has them.
const ALIAS_TTL: u32 = 300;
const ADDRESS_TTL: u32 = 20;
/// The name whose queries are never answered.
const SILENT: &str = "silent.test.";
/// Aliases of `long.test`: with their long labels the answer passes 512 bytes, and the
/// client must ask again over TCP (RFC 1035, section 4.2.1).
const LONG_CHAIN: u8 = 7;
/// How long an idle TCP client is kept.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// Answers that may wait for a slow TCP client.
const TCP_BUFFER: usize = 16;

pub(super) struct Names(Server<Answers>);

/// Binds UDP and TCP port 53 of every address of the server.
pub(super) async fn listen(configuration: &Configuration) -> io::Result<Names> {
    let catalog = catalog(configuration.ipv6).map_err(io::Error::other)?;
    let mut server = Server::new(Answers { catalog });
    for ip in dns_addresses(configuration.ipv6) {
        server.register_socket(UdpSocket::bind((ip, 53)).await?);
        let listener = TcpListener::bind((ip, 53)).await?;
        server.register_listener(listener, TCP_TIMEOUT, TCP_BUFFER);
    }
    Ok(Names(server))
}

impl Names {
    pub async fn serve(mut self) -> io::Result<()> {
        self.0.block_until_done().await.map_err(io::Error::other)
    }
}

/// The zone, except for the name that stays silent.
struct Answers {
    catalog: Catalog,
}

#[async_trait::async_trait]
impl RequestHandler for Answers {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        response: R,
    ) -> ResponseInfo {
        let silent = request
            .request_info()
            .is_ok_and(|info| info.query.name().to_string() == SILENT);
        if silent {
            return ResponseInfo::from(Header {
                metadata: Metadata::response_from_request(&request.metadata),
                counts: HeaderCounts::default(),
            });
        }
        self.catalog.handle_request::<R, T>(request, response).await
    }
}

fn catalog(ipv6: bool) -> Result<Catalog, String> {
    let origin = name("test.")?;
    let mut zone = InMemoryZoneHandler::<hickory_server::net::runtime::TokioRuntimeProvider>::empty(
        origin.clone(),
        ZoneType::Primary,
        AxfrPolicy::Deny,
    );
    for record in records(ipv6)? {
        let described = record.to_string();
        if !zone.upsert_mut(record, 1) {
            return Err(format!("the zone does not take the record {described}"));
        }
    }
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::new(&origin), vec![Arc::new(zone)]);
    Ok(catalog)
}

fn records(ipv6: bool) -> Result<Vec<Record>, String> {
    let mut zone = Zone {
        records: Vec::new(),
        ipv6,
    };
    let (origin, server) = (name("test.")?, name("ns1.test.")?);
    let soa = SOA::new(
        server.clone(),
        name("hostmaster.test.")?,
        1,
        7200,
        900,
        1_209_600,
        60,
    );
    zone.add(&origin, 3600, RData::SOA(soa));
    zone.add(&origin, 3600, RData::NS(NS(server.clone())));
    zone.add(&server, 3600, RData::A(crate::lab::DNS_V4.into()));
    zone.chain(&SHOP_CHAIN.map(|label| format!("{label}.")))?;
    zone.host("shop.test.", Some(SERVER_V4), Some(SERVER_V6))?;
    for both in [
        "plain.test.",
        "redirect.test.",
        "badcert.test.",
        "expired.test.",
        "closes.test.",
        "alert.test.",
    ] {
        zone.host(both, Some(SERVER_V4), Some(SERVER_V6))?;
    }
    zone.host("v4only.test.", Some(SERVER_V4), None)?;
    zone.host("v6only.test.", None, Some(SERVER_V6))?;
    zone.host("refused.test.", Some(CLOSED_V4), None)?;
    zone.host("unreachable.test.", Some(NOBODY_V4), None)?;
    let mut long = vec!["long.test.".to_owned()];
    long.extend((1..=LONG_CHAIN).map(|hop| format!("{}-{hop}.test.", "alias".repeat(12))));
    zone.chain(&long)?;
    Ok(zone.records)
}

/// Records in the making.
struct Zone {
    records: Vec<Record>,
    ipv6: bool,
}

impl Zone {
    fn add(&mut self, owner: &Name, ttl: u32, data: RData) {
        self.records
            .push(Record::from_rdata(owner.clone(), ttl, data));
    }

    fn host(
        &mut self,
        owner: &str,
        v4: Option<Ipv4Addr>,
        v6: Option<Ipv6Addr>,
    ) -> Result<(), String> {
        let owner = name(owner)?;
        let v6 = v6.filter(|_| self.ipv6).map(IpAddr::V6);
        for address in v4.map(IpAddr::V4).into_iter().chain(v6) {
            let data = match address {
                IpAddr::V4(ip) => RData::A(ip.into()),
                IpAddr::V6(ip) => RData::AAAA(ip.into()),
            };
            self.add(&owner, ADDRESS_TTL, data);
        }
        Ok(())
    }

    /// Each name is an alias of the next; the last one is the web server.
    fn chain(&mut self, names: &[String]) -> Result<(), String> {
        for pair in names.windows(2) {
            if let [alias, target] = pair {
                let data = RData::CNAME(CNAME(name(target)?));
                self.add(&name(alias)?, ALIAS_TTL, data);
            }
        }
        let last = names.last().ok_or("a chain without names")?;
        self.host(last, Some(SERVER_V4), Some(SERVER_V6))
    }
}

fn name(text: &str) -> Result<Name, String> {
    Name::from_ascii(text).map_err(|error| format!("{text}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{catalog, records};
    use hickory_proto::rr::RecordType;

    #[test]
    fn the_zone_takes_every_record() {
        assert!(catalog(true).is_ok(), "{:?}", catalog(true).err());
        assert!(catalog(false).is_ok());
    }

    #[test]
    fn a_kernel_without_ipv6_offers_no_ipv6_addresses() {
        let quads = |ipv6| {
            records(ipv6)
                .expect("records")
                .iter()
                .filter(|record| record.record_type() == RecordType::AAAA)
                .count()
        };
        assert!(quads(true) > 5);
        assert_eq!(quads(false), 0);
    }
}
