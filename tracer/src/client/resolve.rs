//! Names to addresses, by the same getaddrinfo(3) that every other program calls.

use super::request::{Family, Request};
use dns_lookup::AddrInfoHints;
use std::net::{IpAddr, SocketAddr};
use url::Host;

/// Addresses of the URL's host, in the resolver's order (RFC 6724), families alternating.
pub(super) async fn resolve(request: &Request, url: &url::Url) -> Result<Vec<SocketAddr>, String> {
    let port = url
        .port_or_known_default()
        .ok_or_else(|| "the URL has no port".to_owned())?;
    let addresses = match url.host() {
        None => return Err("the URL has no host".to_owned()),
        Some(Host::Ipv4(ip)) => vec![SocketAddr::new(IpAddr::V4(ip), port)],
        Some(Host::Ipv6(ip)) => vec![SocketAddr::new(IpAddr::V6(ip), port)],
        Some(Host::Domain(name)) => match pinned(request, name, port) {
            Some(addresses) => addresses,
            None => ask(name.to_owned(), port, request.family).await?,
        },
    };
    let usable: Vec<SocketAddr> = addresses
        .into_iter()
        .filter(|address| match request.family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        })
        .collect();
    if usable.is_empty() {
        let host = url.host_str().unwrap_or_default();
        return Err(format!(
            "{host} has no address of the IP version asked for (-4, -6)"
        ));
    }
    Ok(interleave(usable))
}

fn pinned(request: &Request, name: &str, port: u16) -> Option<Vec<SocketAddr>> {
    request
        .pins
        .iter()
        .filter(|pin| pin.host.eq_ignore_ascii_case(name))
        .find(|pin| pin.addresses.iter().any(|address| address.port() == port))
        .map(|pin| pin.addresses.clone())
}

async fn ask(name: String, port: u16, family: Family) -> Result<Vec<SocketAddr>, String> {
    let asked = name.clone();
    let answer = tokio::task::spawn_blocking(move || {
        let hints = AddrInfoHints {
            address: match family {
                Family::Any => libc::AF_UNSPEC,
                Family::V4 => libc::AF_INET,
                Family::V6 => libc::AF_INET6,
            },
            // One entry for each address instead of one for each socket type.
            socktype: libc::SOCK_STREAM,
            ..AddrInfoHints::default()
        };
        let found = dns_lookup::getaddrinfo(Some(&asked), Some(&port.to_string()), Some(hints))
            .map_err(|error| reason(&std::io::Error::from(error)))?;
        Ok::<_, String>(
            found
                .filter_map(Result::ok)
                .map(|entry| entry.sockaddr)
                .collect::<Vec<_>>(),
        )
    })
    .await
    .map_err(|error| error.to_string())
    .and_then(|answer| answer);
    match answer {
        Ok(addresses) if addresses.is_empty() => {
            Err(format!("cannot resolve {name}: it has no address"))
        }
        Ok(addresses) => Ok(addresses),
        Err(why) => Err(format!("cannot resolve {name}: {why}")),
    }
}

/// gai_strerror's own sentence, without the prefix that std-like wrappers add.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(&text);
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}

/// Families alternate, the resolver's first choice first (RFC 8305, section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = (preferred.next(), others.next());
        if pair == (None, None) {
            return ordered;
        }
        ordered.extend(pair.0);
        ordered.extend(pair.1);
    }
}

#[cfg(test)]
mod tests {
    use super::{interleave, resolve};
    use crate::client::options::RequestOptions;
    use crate::client::request::check;
    use std::net::SocketAddr;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_and_keep_the_resolvers_order() {
        let given = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        assert_eq!(
            interleave(given),
            addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"])
        );
        let given = addresses(&["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]);
        assert_eq!(
            interleave(given),
            addresses(&["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"])
        );
        assert_eq!(interleave(Vec::new()), []);
    }

    #[tokio::test]
    async fn a_pinned_name_asks_nobody() {
        let options = RequestOptions {
            url: "https://no.such.name.invalid/".into(),
            resolve: vec!["no.such.name.INVALID:443:10.0.0.9,[fd00::9]".into()],
            ipv6: true,
            ..RequestOptions::default()
        };
        let request = check(&options).expect("usable");
        let found = resolve(&request, &request.url).await;
        assert_eq!(found, Ok(addresses(&["[fd00::9]:443"])));
    }

    #[tokio::test]
    async fn a_literal_address_of_the_other_family_is_an_error_not_an_empty_list() {
        let options = RequestOptions {
            url: "http://10.0.0.1/".into(),
            ipv6: true,
            ..RequestOptions::default()
        };
        let request = check(&options).expect("usable");
        assert!(resolve(&request, &request.url).await.is_err());
    }
}
