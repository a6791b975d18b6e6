//! A checked request: everything that can be found wrong before anything starts.

use super::options::RequestOptions;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Which IP versions may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Any,
    V4,
    V6,
}

/// Where the bytes of the request body come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Literal(String),
    File(PathBuf),
}

/// An address given on the command line for one host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub host: String,
    pub addresses: Vec<SocketAddr>,
}

/// A request that can be made.
#[derive(Debug, Clone)]
pub struct Request {
    pub url: Url,
    pub method: Option<Method>,
    /// Added to, or replacing, the default headers.
    pub headers: HeaderMap,
    /// Default headers that are not sent.
    pub removed_headers: Vec<HeaderName>,
    pub data: Vec<Data>,
    pub insecure: bool,
    pub follow: bool,
    pub family: Family,
    pub ca_certificates: Option<PathBuf>,
    /// Do not offer HTTP/2.
    pub only_http1: bool,
    pub pins: Vec<Pin>,
    pub body_file: Option<PathBuf>,
    pub max_time: Option<Duration>,
    pub connect_timeout: Option<Duration>,
}

/// Why a request cannot be made, with a hint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("cannot open `{url}`: {reason}; {hint}")]
    Url {
        url: String,
        reason: String,
        hint: String,
    },
    #[error("cannot use {option} `{value}`: {reason}; {hint}")]
    Option {
        option: &'static str,
        value: String,
        reason: String,
        hint: &'static str,
    },
}

/// Checks the options. Pure: touches neither files nor network.
///
/// # Errors
/// The first option that cannot be used, why, and what to write instead.
pub fn check(options: &RequestOptions) -> Result<Request, UsageError> {
    let (headers, removed_headers) = headers(&options.headers)?;
    Ok(Request {
        url: url(&options.url)?,
        method: options.method.as_deref().map(method).transpose()?,
        headers,
        removed_headers,
        data: options.data.iter().map(|text| data(text)).collect(),
        insecure: options.insecure,
        follow: options.location,
        family: match (options.ipv4, options.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        },
        ca_certificates: options.cacert.clone(),
        only_http1: options.http1,
        pins: options
            .resolve
            .iter()
            .map(|text| pin(text))
            .collect::<Result<_, _>>()?,
        body_file: options.body.clone(),
        max_time: seconds("--max-time", options.max_time)?,
        connect_timeout: seconds("--connect-timeout", options.connect_timeout)?,
    })
}

fn url(text: &str) -> Result<Url, UsageError> {
    let refuse = |reason: &str, hint: String| UsageError::Url {
        url: text.to_owned(),
        reason: reason.to_owned(),
        hint,
    };
    let guess = || format!("did you mean `https://{text}`?");
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => refuse("it has no scheme", guess()),
        other => refuse(
            &other.to_string(),
            "a URL looks like `https://host:port/path`".to_owned(),
        ),
    })?;
    match url.scheme() {
        "http" | "https" => {}
        // `localhost:8080/x` parses as a URL with the scheme `localhost`.
        _ if !text.contains("://") => return Err(refuse("it has no scheme", guess())),
        _ => {
            return Err(refuse(
                "its scheme is neither http nor https",
                "open an http or https URL".to_owned(),
            ));
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not repeated in the message: it would put the password on the screen.
        return Err(UsageError::Url {
            url: format!("{}://...", url.scheme()),
            reason: "it holds a user name or password".to_owned(),
            hint: "send `-H 'Authorization: ...'` instead".to_owned(),
        });
    }
    if url.port() == Some(0) {
        return Err(refuse(
            "port 0 cannot be connected to",
            "name a port from 1 to 65535".to_owned(),
        ));
    }
    Ok(url)
}

fn method(text: &str) -> Result<Method, UsageError> {
    Method::from_bytes(text.as_bytes()).map_err(|_| UsageError::Option {
        option: "-X",
        value: text.to_owned(),
        reason: "it is not a method".to_owned(),
        hint: "a method is one word, for instance `PUT`",
    })
}

fn headers(lines: &[String]) -> Result<(HeaderMap, Vec<HeaderName>), UsageError> {
    let mut headers = HeaderMap::new();
    let mut removed = Vec::new();
    for line in lines {
        let refuse = |reason: &str| UsageError::Option {
            option: "-H",
            value: line.clone(),
            reason: reason.to_owned(),
            hint: "write it as `Name: value`",
        };
        // curl's notation: `Name:` takes a header out, `Name;` sends it empty.
        let (name, value) = match line.split_once(':') {
            Some((name, value)) => (name, value.trim()),
            None => (
                line.strip_suffix(';')
                    .ok_or_else(|| refuse("it has no colon"))?,
                "",
            ),
        };
        let parsed = HeaderName::from_bytes(name.trim().as_bytes())
            .map_err(|_| refuse("its name has characters that a header cannot have"))?;
        if value.is_empty() && line.contains(':') {
            removed.push(parsed);
            continue;
        }
        let value = HeaderValue::from_str(value)
            .map_err(|_| refuse("its value has characters that a header cannot have"))?;
        headers.append(parsed, value);
    }
    Ok((headers, removed))
}

fn data(text: &str) -> Data {
    match text.strip_prefix('@') {
        Some(path) => Data::File(path.into()),
        None => Data::Literal(text.to_owned()),
    }
}

/// `HOST:PORT:ADDRESS[,ADDRESS]`, with IPv6 addresses in brackets or without.
fn pin(text: &str) -> Result<Pin, UsageError> {
    let refuse = |reason: &str| UsageError::Option {
        option: "--resolve",
        value: text.to_owned(),
        reason: reason.to_owned(),
        hint: "write it as `host:port:address`, for instance `www.shop.test:443:10.77.2.80`",
    };
    let mut parts = text.splitn(3, ':');
    let (Some(host), Some(port), Some(addresses)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(refuse("it has not three parts"));
    };
    if host.is_empty() {
        return Err(refuse("it names no host"));
    }
    let port: u16 = port
        .parse()
        .map_err(|_| refuse("its port is not a number from 1 to 65535"))?;
    let addresses = addresses
        .split(',')
        .map(|address| {
            let bare = address
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .unwrap_or(address);
            bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| refuse("its address is not an IP address"))?;
    Ok(Pin {
        host: host.to_ascii_lowercase(),
        addresses,
    })
}

fn seconds(option: &'static str, value: Option<f64>) -> Result<Option<Duration>, UsageError> {
    let Some(value) = value else {
        return Ok(None);
    };
    // curl's meaning: 0 is no limit.
    if value == 0.0 {
        return Ok(None);
    }
    Duration::try_from_secs_f64(value)
        .map(Some)
        .map_err(|_| UsageError::Option {
            option,
            value: value.to_string(),
            reason: "it is not a time".to_owned(),
            hint: "give seconds, for instance `2.5`",
        })
}

#[cfg(test)]
mod tests {
    use super::{Data, RequestOptions, check, pin};

    fn with(url: &str) -> RequestOptions {
        RequestOptions {
            url: url.to_owned(),
            ..RequestOptions::default()
        }
    }

    #[test]
    fn a_url_without_scheme_is_answered_with_the_likely_one() {
        for url in ["www.shop.test", "localhost:8080/x", "10.0.0.1/", "[::1]"] {
            let message = check(&with(url)).expect_err(url).to_string();
            assert!(
                message.contains(&format!("did you mean `https://{url}`?")),
                "{message}"
            );
        }
    }

    #[test]
    fn urls_that_cannot_be_opened_are_refused_with_a_hint() {
        for url in [
            "ftp://a.test/",
            "https://",
            "http://a.test:0/",
            "http://a b/",
            "",
        ] {
            let message = check(&with(url)).expect_err(url).to_string();
            assert!(message.contains("; "), "{message}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        let message = check(&with("https://ada:secret@a.test/"))
            .expect_err("refused")
            .to_string();
        assert!(!message.contains("secret"), "{message}");
        assert!(message.contains("Authorization"), "{message}");
    }

    #[test]
    fn literal_addresses_and_ports_are_fine() {
        for url in ["http://10.77.2.80/", "https://[fd77:2::80]:8443/a?b#c"] {
            assert!(check(&with(url)).is_ok(), "{url}");
        }
    }

    #[test]
    fn headers_follow_curls_notation() {
        let mut options = with("http://a.test");
        options.headers = ["X-One: 1", "X-One: 2", "User-Agent:", "X-Empty;"]
            .map(str::to_owned)
            .to_vec();
        let request = check(&options).expect("usable");
        assert_eq!(request.headers.get_all("x-one").iter().count(), 2);
        assert_eq!(request.headers.get("x-empty").map(|v| v.len()), Some(0));
        assert_eq!(request.removed_headers, ["user-agent"]);
        for line in ["novalue", "bad name: x", "X: a\u{7}b", ": x"] {
            options.headers = vec![line.to_owned()];
            assert!(check(&options).is_err(), "{line:?}");
        }
    }

    #[test]
    fn pins_take_both_address_families() {
        let pinned = pin("A.test:443:[::1],10.0.0.1").expect("usable");
        assert_eq!(pinned.host, "a.test");
        assert_eq!(
            pinned.addresses,
            [
                "[::1]:443".parse().unwrap(),
                "10.0.0.1:443".parse().unwrap()
            ]
        );
        assert!(pin("a.test:443:::1").is_ok());
        for text in [
            "a.test:443",
            "a.test:x:10.0.0.1",
            "a.test:1:name",
            ":1:10.0.0.1",
        ] {
            assert!(pin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_that_are_no_times_are_refused() {
        let mut options = with("http://a.test");
        for time in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            options.max_time = Some(time);
            assert!(check(&options).is_err(), "{time}");
        }
        options.max_time = Some(0.0);
        assert_eq!(check(&options).expect("usable").max_time, None);
    }

    #[test]
    fn data_may_come_from_a_file() {
        let mut options = with("http://a.test");
        options.data = vec!["@form.txt".into(), "a=b".into()];
        let request = check(&options).expect("usable");
        assert_eq!(
            request.data,
            [Data::File("form.txt".into()), Data::Literal("a=b".into())]
        );
    }
}
