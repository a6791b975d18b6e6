use super::Arguments;
use clap::CommandFactory;
use std::ffi::{OsStr, OsString};

/// Puts `fetch` before the options of a command line that names no command but a URL or
/// a host. Everything else is left as it is, for clap to judge.
pub fn with_implicit_fetch(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let mut command = Arguments::command();
    // Gives `help` its place among the subcommands.
    command.build();
    let Some(fetch) = command.find_subcommand("fetch") else {
        return arguments;
    };
    let Some(free) = first_free(arguments.get(1..).unwrap_or_default(), fetch) else {
        return arguments;
    };
    let known = command.find_subcommand(free).is_some();
    if !known && free.to_str().is_some_and(looks_like_address) {
        arguments.insert(1, "fetch".into());
    }
    arguments
}

/// The first argument that is neither an option of `command` nor the value of one.
fn first_free<'a>(arguments: &'a [OsString], command: &clap::Command) -> Option<&'a OsStr> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let text = argument.to_string_lossy();
        if text == "--" {
            return rest.next().map(OsString::as_os_str);
        }
        if text == "-" || !text.starts_with('-') {
            return Some(argument);
        }
        if expects_value(&text, command) {
            rest.next();
        }
    }
    None
}

/// Whether the argument after `text` is its value.
fn expects_value(text: &str, command: &clap::Command) -> bool {
    let takes_value = |argument: &clap::Arg| argument.get_action().takes_values();
    if let Some(long) = text.strip_prefix("--") {
        // `--name=value` carries its value itself.
        return command
            .get_arguments()
            .any(|argument| argument.get_long() == Some(long) && takes_value(argument));
    }
    // `-kLo` ends with an option that wants a value, `-ofile` carries it.
    let mut letters = text.chars().skip(1);
    while let Some(letter) = letters.next() {
        let named = |argument: &&clap::Arg| argument.get_short() == Some(letter);
        if command.get_arguments().find(named).is_some_and(takes_value) {
            return letters.next().is_none();
        }
    }
    false
}

/// A URL, or a host that cannot be a mistyped command: with a dot, a port or a path.
/// Capture files are for `tracer read`.
fn looks_like_address(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let plain = lower.trim_end_matches(".gz").trim_end_matches(".zst");
    let file = [".pcap", ".pcapng", ".cap"]
        .iter()
        .any(|ending| plain.ends_with(ending));
    let spaced = text.chars().any(|c| c.is_whitespace() || c.is_control());
    if lower.contains("://") {
        return true;
    }
    let path = lower.starts_with(['/', '.']);
    !file && !spaced && !path && (lower == "localhost" || lower.contains(['.', ':', '/']))
}

#[cfg(test)]
mod tests {
    use super::{looks_like_address, with_implicit_fetch};

    fn rewritten(line: &str) -> String {
        let arguments = line.split(' ').map(Into::into).collect();
        with_implicit_fetch(arguments)
            .join(" ".as_ref())
            .into_string()
            .expect("UTF-8")
    }

    #[test]
    fn a_url_or_host_is_fetched() {
        let lines = [
            "https://www.shop.test/",
            "www.shop.test",
            "localhost:8080",
            "[fd77::1]/x",
            "-L https://www.shop.test/",
            "--layers -vv shop.test",
            "-o trace.json https://www.shop.test/",
            "--output=trace.json https://www.shop.test/",
            "-kLo trace.json https://www.shop.test/",
            "-otrace.json shop.test",
            "-H run https://www.shop.test/",
            "-- shop.test",
            "shop.test --unknown-option",
        ];
        for line in lines {
            assert_eq!(
                rewritten(&format!("tracer {line}")),
                format!("tracer fetch {line}")
            );
        }
    }

    #[test]
    fn commands_and_everything_else_are_left_alone() {
        let lines = [
            "tracer",
            "tracer --help",
            "tracer -V",
            "tracer fetch https://www.shop.test/",
            "tracer run -- curl https://www.shop.test/",
            "tracer live --host www.shop.test",
            "tracer help fetch",
            "tracer demoo",
            "tracer trace.pcapng",
            "tracer trace.pcap.zst",
            "tracer -o https://www.shop.test/",
            "tracer -v",
        ];
        for line in lines {
            assert_eq!(rewritten(line), line);
        }
    }

    #[test]
    fn what_looks_like_an_address_cannot_be_a_mistyped_command_or_file() {
        for address in [
            "a.b",
            "10.0.0.1",
            "::1",
            "[::1]:80",
            "host/path",
            "ftp://x",
            "LOCALHOST",
        ] {
            assert!(looks_like_address(address), "{address}");
        }
        for other in [
            "fetsh",
            "",
            "./file.txt",
            "/etc/hosts",
            "a b.c",
            "x.PCAP",
            "-",
        ] {
            assert!(!looks_like_address(other), "{other}");
        }
    }
}
