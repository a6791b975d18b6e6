//! Texts of the command line that become values, each with an error that helps.

use crate::capture::HookKind;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A header of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub name: http::HeaderName,
    pub value: http::HeaderValue,
}

/// Where a part of the request's body comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Text(String),
    File(PathBuf),
    StandardInput,
}

/// Addresses to be taken for a host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// Lower case, without brackets.
    pub host: String,
    pub port: u16,
    /// At least one.
    pub addresses: Vec<IpAddr>,
}

/// A fact that only one kind of hook may serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForcedHook {
    pub fact: String,
    pub hook: HookKind,
}

const HOOKS: [HookKind; 12] = [
    HookKind::Xdp,
    HookKind::Tcx,
    HookKind::Clsact,
    HookKind::Kprobe,
    HookKind::Fentry,
    HookKind::TpBtf,
    HookKind::Tracepoint,
    HookKind::Uprobe,
    HookKind::SockOps,
    HookKind::Cgroup,
    HookKind::Netlink,
    HookKind::Pcap,
];

/// A URL; without a scheme https, or http where certificates are not usual.
pub(super) fn url(text: &str) -> Result<url::Url, String> {
    let text = text.trim();
    let parsed = match text.contains("://") {
        true => url::Url::parse(text),
        false => url::Url::parse(&format!("https://{text}")),
    };
    let mut parsed = parsed.map_err(|error| format!("{error}; try https://host/path"))?;
    if !text.contains("://") && (is_local(&parsed) || parsed.port() == Some(80)) {
        // Cannot fail between these two schemes.
        let _ = parsed.set_scheme("http");
    }
    match parsed.scheme() {
        "http" | "https" => {}
        other => return Err(format!("{other} is not traced; only http and https are")),
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("a user or password in a URL is not sent; use -H 'Authorization: ...'".into());
    }
    if parsed.port() == Some(0) {
        return Err("port 0 cannot be connected to".into());
    }
    Ok(parsed)
}

/// Hosts that a developer runs without a certificate.
fn is_local(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => true,
        None => false,
    }
}

/// `500ms`, `30s`, `2m`, `1h`; plain numbers are seconds, as curl has them.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let help = "write a number with ms, s, m or h, for instance 500ms, 30s or 2m";
    let split = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("unknown unit `{other}`; {help}")),
    };
    let number: f64 = number.parse().map_err(|_| format!("not a time; {help}"))?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err(format!("no time at all; {help}")),
        Err(_) => Err(format!("too long; {help}")),
    }
}

/// Bytes, with `k` and `M` for powers of 1024.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let help = "write a number of bytes, for instance 65536, 64k or 1M";
    let lower = text.trim().to_ascii_lowercase();
    let split = lower
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(split);
    let factor: u64 = match unit.trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        other => return Err(format!("unknown unit `{other}`; {help}")),
    };
    let number: u64 = number.parse().map_err(|_| format!("not a size; {help}"))?;
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("too large; {help}"))
}

/// An interface's name as the kernel allows it (dev_valid_name in net/core/dev.c).
pub(super) fn interface(text: &str) -> Result<String, String> {
    // IFNAMSIZ counts the final zero.
    let valid = (1..16).contains(&text.len())
        && text != "."
        && text != ".."
        && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    match valid {
        true => Ok(text.into()),
        false => Err("not the name of an interface; `ip link` lists them".into()),
    }
}

/// A kind of hook by its word.
pub(super) fn hook(text: &str) -> Result<HookKind, String> {
    let found = HOOKS.into_iter().find(|hook| hook.name() == text);
    found.ok_or_else(|| {
        let names = HOOKS.map(HookKind::name).join(", ");
        format!("no such kind of hook; there are {names}")
    })
}

/// `tcp_state=tracepoint`.
pub(super) fn forced_hook(text: &str) -> Result<ForcedHook, String> {
    let (fact, kind) = text
        .split_once('=')
        .ok_or("write FACT=HOOK, for instance tcp_state=tracepoint; `tracer doctor` lists both")?;
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if fact.is_empty() || !fact.chars().all(word) {
        return Err(format!(
            "`{fact}` is not a fact; `tracer doctor` lists them"
        ));
    }
    Ok(ForcedHook {
        fact: fact.into(),
        hook: hook(kind)?,
    })
}

/// A method is a token (RFC 9110, section 9.1).
pub(super) fn method(text: &str) -> Result<String, String> {
    http::Method::from_bytes(text.as_bytes())
        .map(|method| method.as_str().to_owned())
        .map_err(|_| "not a request method; GET, POST, PUT, ... are".into())
}

/// `Name: value` or, for an empty value, `Name;`.
pub(super) fn header(text: &str) -> Result<Header, String> {
    let help = "write `Name: value`, or `Name;` for an empty one";
    let (name, value) = match (text.split_once(':'), text.strip_suffix(';')) {
        (Some((_, value)), _) if value.trim().is_empty() => {
            return Err(format!("the value is missing; {help}"));
        }
        (Some((name, value)), _) => (name, value.trim()),
        (None, Some(name)) => (name, ""),
        (None, None) => return Err(format!("the colon is missing; {help}")),
    };
    let name = http::HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| format!("`{name}` cannot be the name of a header; {help}"))?;
    let value = http::HeaderValue::from_str(value)
        .map_err(|_| "the value has characters that no header may have".to_owned())?;
    Ok(Header { name, value })
}

/// curl's `-d`: `@` means a file.
pub(super) fn data(text: &str) -> Result<Data, String> {
    Ok(match text.strip_prefix('@') {
        None => Data::Text(text.into()),
        Some("-") => Data::StandardInput,
        Some("") => return Err("the name of the file is missing after @".into()),
        Some(path) => Data::File(path.into()),
    })
}

/// curl's `--resolve`: `HOST:PORT:ADDRESS[,ADDRESS]`, IPv6 with or without brackets.
pub(super) fn resolve(text: &str) -> Result<Resolve, String> {
    let help = "write HOST:PORT:ADDRESS, for instance shop.test:443:127.0.0.1";
    let unbracketed = |text: &str| {
        text.trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned()
    };
    let end_of_host = match text.starts_with('[') {
        true => text.find("]:").map(|bracket| bracket + 1),
        false => text.find(':'),
    };
    let (host, rest) = end_of_host
        .and_then(|end| text.split_at_checked(end))
        .ok_or(help)?;
    let (port, list) = rest
        .trim_start_matches(':')
        .split_once(':')
        .ok_or_else(|| format!("the address is missing; {help}"))?;
    let port: u16 = port
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("`{port}` is not a port; {help}"))?;
    let address = |text: &str| {
        unbracketed(text)
            .parse::<IpAddr>()
            .map_err(|_| format!("`{text}` is not an address; {help}"))
    };
    let addresses = list
        .split(',')
        .map(address)
        .collect::<Result<Vec<_>, _>>()?;
    if host.is_empty() {
        return Err(format!("the host is missing; {help}"));
    }
    Ok(Resolve {
        host: unbracketed(host).to_ascii_lowercase(),
        port,
        addresses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_get_the_scheme_a_browser_would_choose() {
        let expected = [
            ("https://www.shop.test/a?b", "https://www.shop.test/a?b"),
            ("www.shop.test", "https://www.shop.test/"),
            ("www.shop.test:80/x", "http://www.shop.test/x"),
            ("localhost:8080", "http://localhost:8080/"),
            ("[::1]:8443/", "http://[::1]:8443/"),
            ("10.0.0.1", "http://10.0.0.1/"),
        ];
        for (text, result) in expected {
            assert_eq!(url(text).map(String::from).as_deref(), Ok(result), "{text}");
        }
        for (text, hint) in [
            ("ftp://x/", "only http and https"),
            ("https://me:secret@x/", "Authorization"),
            ("https://", "try https://host/path"),
            ("http://x:0/", "port 0"),
            ("https://x:99999/", "port"),
        ] {
            let error = url(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn times_have_units_and_plain_numbers_are_seconds() {
        let expected = [
            ("500ms", 500),
            ("30s", 30_000),
            ("2m", 120_000),
            ("2.5", 2_500),
            ("1h", 3_600_000),
        ];
        for (text, milliseconds) in expected {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for wrong in [
            "",
            "s",
            "-1",
            "30x",
            "1.2.3",
            "0",
            "9e99",
            "99999999999999999999h",
            "µ",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units() {
        let expected = [
            ("0", 0),
            ("65536", 65_536),
            ("64k", 65_536),
            ("1M", 1 << 20),
            ("2 GiB", 2 << 30),
        ];
        for (text, count) in expected {
            assert_eq!(bytes(text), Ok(count), "{text}");
        }
        for wrong in [
            "",
            "k",
            "-1",
            "1t",
            "99999999999999999999",
            "18446744073709551615k",
        ] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hooks_are_the_words_of_the_contract() {
        assert_eq!(hook("tp_btf"), Ok(HookKind::TpBtf));
        assert!(
            hook("kprobes")
                .expect_err("plural")
                .contains("kprobe, fentry")
        );
        let forced = forced_hook("tcp_state=tracepoint").expect("well formed");
        assert_eq!(
            (forced.fact.as_str(), forced.hook),
            ("tcp_state", HookKind::Tracepoint)
        );
        for wrong in ["tcp_state", "=xdp", "TCP=xdp", "tcp_state=magic"] {
            assert!(forced_hook(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_are_checked_before_anything_is_sent() {
        let accepted = header("X-Test:  a:b ").expect("well formed");
        assert_eq!(
            (accepted.name.as_str(), accepted.value.as_bytes()),
            ("x-test", &b"a:b"[..])
        );
        assert!(header("X-Empty;").expect("well formed").value.is_empty());
        for wrong in ["X-Test", "X Test: a", "X: a\r\nY: b", "X-Test:", ": a"] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn resolve_takes_both_families() {
        let both = resolve("Shop.test:443:127.0.0.1,[::1]").expect("well formed");
        assert_eq!((both.host.as_str(), both.port), ("shop.test", 443));
        assert_eq!(
            both.addresses,
            ["127.0.0.1", "::1"].map(|a| a.parse::<IpAddr>().expect("address"))
        );
        assert_eq!(resolve("x:80:fd77::1").map(|r| r.addresses.len()), Ok(1));
        assert_eq!(
            resolve("[fd77::1]:80:::1").map(|r| r.host).as_deref(),
            Ok("fd77::1")
        );
        for wrong in [
            "x",
            "x:80",
            "x:y:1.2.3.4",
            "x:0:1.2.3.4",
            "x:80:",
            "x:80:host",
            ":80:1.2.3.4",
            "[x",
        ] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn data_methods_and_interfaces() {
        assert_eq!(data("a=b"), Ok(Data::Text("a=b".into())));
        assert_eq!(data("@-"), Ok(Data::StandardInput));
        assert_eq!(data("@x"), Ok(Data::File("x".into())));
        assert!(data("@").is_err());
        assert_eq!(method("PATCH").as_deref(), Ok("PATCH"));
        assert!(method("GET /").is_err());
        assert!(interface("eth0.100").is_ok());
        for wrong in ["", "a/b", "sixteen-letters-", "a b", ".."] {
            assert!(interface(wrong).is_err(), "{wrong}");
        }
    }
}
