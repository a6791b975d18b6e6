//! Texts of the command line that become values, each with an error that helps.

use crate::capture::HookKind;
use std::time::Duration;

/// A fact that only one kind of hook may serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForcedHook {
    pub fact: String,
    pub hook: HookKind,
}

/// A URL with its scheme; without one https, or http where certificates are not usual.
/// What cannot be a URL at all is left for the client's own check.
pub(super) fn with_scheme(text: &str) -> String {
    let text = text.trim();
    if text.contains("://") {
        return text.to_owned();
    }
    let secure = format!("https://{text}");
    match url::Url::parse(&secure) {
        Ok(parsed) if is_local(&parsed) || parsed.port() == Some(80) => format!("http://{text}"),
        Ok(_) => secure,
        Err(_) => text.to_owned(),
    }
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

/// Size of a ring buffer: the kernel takes powers of two that are whole pages only
/// (ringbuf_map_alloc in kernel/bpf/ringbuf.c).
pub(super) fn ring(text: &str) -> Result<u32, String> {
    let size = bytes(text)?;
    let valid = |size: &u32| size.is_power_of_two() && (4 << 10..=1 << 30).contains(size);
    u32::try_from(size).ok().filter(valid).ok_or_else(|| {
        let (lower, upper) = neighbours(size.clamp(4 << 10, 1 << 30));
        format!(
            "the kernel makes rings of a power of two only, here from 4K to 1G; \
             write for instance {lower} or {upper}"
        )
    })
}

/// The powers of two around a size, as words.
fn neighbours(size: u64) -> (String, String) {
    let word = |size: u64| match size.ilog2() {
        power @ 0..20 => format!("{}K", 1_u64 << (power - power.min(10))),
        power => format!("{}M", 1_u64 << (power - 20)),
    };
    let lower = 1_u64 << size.ilog2();
    (word(lower), word((lower * 2).min(1 << 30)))
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

/// A name of ip-netns(8), which is a file's, or the pid of a process.
pub(super) fn network_namespace(text: &str) -> Result<String, String> {
    let valid = (1..256).contains(&text.len())
        && text != "."
        && text != ".."
        && !text.contains(|c: char| c == '/' || c.is_control());
    match valid {
        true => Ok(text.into()),
        false => Err("neither a name, which `ip netns` lists, nor a pid".into()),
    }
}

/// A kind of hook by its word.
pub(super) fn hook(text: &str) -> Result<HookKind, String> {
    let found = HookKind::ALL.into_iter().find(|hook| hook.name() == text);
    found.ok_or_else(|| {
        let names = HookKind::ALL.map(HookKind::name).join(", ");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_get_the_scheme_a_browser_would_choose() {
        for (text, result) in [
            ("https://www.shop.test/a?b", "https://www.shop.test/a?b"),
            ("ftp://x/", "ftp://x/"),
            ("www.shop.test", "https://www.shop.test"),
            ("www.shop.test:80/x", "http://www.shop.test:80/x"),
            ("localhost:8080", "http://localhost:8080"),
            ("[::1]:8443/", "http://[::1]:8443/"),
            ("10.0.0.1", "http://10.0.0.1"),
            ("x y", "x y"),
        ] {
            assert_eq!(with_scheme(text), result, "{text}");
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
    fn rings_are_powers_of_two() {
        for (text, size) in [
            ("4K", 4096),
            ("64k", 65_536),
            ("8M", 8 << 20),
            ("1G", 1 << 30),
        ] {
            assert_eq!(ring(text), Ok(size), "{text}");
        }
        for (wrong, help) in [
            ("5k", "4K or 8K"),
            ("3M", "2M or 4M"),
            ("0", "4K or 8K"),
            ("2G", "1024M or 1024M"),
        ] {
            let said = ring(wrong).expect_err(wrong);
            assert!(
                said.contains("power of two") && said.contains(help),
                "{said}"
            );
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
}
