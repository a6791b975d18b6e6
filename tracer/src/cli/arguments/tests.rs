use super::{Arguments, Command};
use clap::CommandFactory;
use std::ffi::OsString;

fn parsed(line: &[&str]) -> Result<Arguments, clap::Error> {
    let name = std::iter::once("tracer").chain(line.iter().copied());
    Arguments::from_command_line(name.map(OsString::from))
}

/// The error's text without the hint at `--help`.
fn error(line: &[&str]) -> String {
    parsed(line).expect_err("a usage error").to_string()
}

#[test]
fn the_definition_has_no_contradictions() {
    Arguments::command().debug_assert();
}

#[test]
fn help_shows_what_each_command_does() {
    let help = |line: &[&str]| {
        let command = Arguments::command().term_width(90);
        let shown = command.try_get_matches_from([&["tracer"], line, &["--help"]].concat());
        shown.expect_err("help ends the parsing").to_string()
    };
    insta::assert_snapshot!("help", help(&[]));
    for name in ["fetch", "run", "live", "read", "demo", "doctor", "schema"] {
        insta::assert_snapshot!(format!("help_{name}"), help(&[name]));
    }
}

#[test]
fn a_url_alone_is_a_fetch() {
    let arguments = parsed(&["-L", "-H", "A: b", "-o", "x.json", "www.shop.test"]);
    let Ok(Command::Fetch(fetch)) = arguments.map(|arguments| arguments.command) else {
        panic!("not a fetch");
    };
    assert_eq!(fetch.request().url, "https://www.shop.test");
    assert!(fetch.request.location);
    assert_eq!(fetch.request.headers.len(), 1);
}

#[test]
fn the_options_of_a_traced_command_are_its_own() {
    let arguments = parsed(&["run", "-v", "--", "curl", "-o", "/dev/null", "--help"]);
    let Ok(Command::Run(run)) = arguments.map(|arguments| arguments.command) else {
        panic!("not a run");
    };
    assert_eq!(run.command, ["curl", "-o", "/dev/null", "--help"]);
    assert_eq!(run.output.verbose, 1);
    assert!(run.output.output.is_empty());
}

#[test]
fn filters_and_hooks_are_understood() {
    let line = [
        "live",
        "--pid",
        "42",
        "--port",
        "443",
        "--duration",
        "30s",
        "--without",
        "xdp,kprobe",
        "--without",
        "fentry",
        "--force-hook",
        "tcp_state=tracepoint",
        "--payload-budget",
        "64k",
    ];
    let Ok(Command::Live(live)) = parsed(&line).map(|arguments| arguments.command) else {
        panic!("not live");
    };
    assert_eq!(live.pid, Some(42));
    assert_eq!(live.capture.hooks.without.len(), 3);
    assert_eq!(live.capture.payload_budget, Some(65_536));
    assert_eq!(live.duration, Some(std::time::Duration::from_secs(30)));
}

#[test]
fn mistakes_are_answered_with_a_hint() {
    insta::assert_snapshot!(
        "mistakes",
        [
            error(&["live", "--duration", "30x"]),
            error(&["live", "--pid", "0"]),
            error(&["live", "--without", "kprobes"]),
            error(&["demoo"]),
            error(&["shop.test", "-4", "-6"]),
            error(&["run"]),
            error(&["read"]),
        ]
        .join("\n")
    );
}

#[test]
fn every_usage_error_has_the_exit_code_of_usage() {
    for line in [&["demoo"][..], &["fetch"], &["live", "--port", "0"]] {
        assert_eq!(
            parsed(line).expect_err("a usage error").exit_code(),
            2,
            "{line:?}"
        );
    }
    for line in [&["--help"][..], &["--version"], &["live", "-h"]] {
        assert_eq!(parsed(line).expect_err("a text").exit_code(), 0, "{line:?}");
    }
}
