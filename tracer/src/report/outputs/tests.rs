use super::{Destination, Format, Outputs, Request, Terminal};
use clap::ColorChoice;
use std::path::PathBuf;

fn terminal(variables: &[(&str, &str)]) -> Terminal {
    let find = |name: &str| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Terminal {
        stdout_is_terminal: true,
        stderr_is_terminal: true,
        ..Terminal::from_environment(find, Some(132))
    }
}

fn planned(format: Option<Format>, files: &[&str]) -> Result<Vec<(String, Format)>, String> {
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    let request = Request {
        format,
        files: &files,
        ..Request::default()
    };
    let outputs = Outputs::plan(&request, Destination::Stdout, &terminal(&[]));
    let outputs = outputs.map_err(|error| error.to_string())?;
    let of = |sink: super::Sink| (sink.destination.to_string(), sink.format);
    Ok(outputs.sinks.into_iter().map(of).collect())
}

#[test]
fn endings_decide_and_dash_is_standard_output() {
    let plan = planned(None, &["a.json", "b.NDJSON", "c.txt", "d", "-"]).expect("a plan");
    let expected = [
        ("a.json", Format::Json),
        ("b.NDJSON", Format::Ndjson),
        ("c.txt", Format::Text),
        ("d", Format::Text),
        ("standard output", Format::Text),
    ];
    assert_eq!(
        plan,
        expected.map(|(name, format)| (name.to_owned(), format))
    );
}

#[test]
fn without_files_results_go_to_the_default() {
    let plan = planned(Some(Format::Ndjson), &[]).expect("a plan");
    assert_eq!(plan, [("standard output".to_owned(), Format::Ndjson)]);
}

#[test]
fn contradictions_are_refused_with_a_way_out() {
    let error = planned(Some(Format::Json), &["a.txt"]).expect_err("a contradiction");
    assert!(error.contains("leave --format out"), "{error}");
    let error = planned(None, &["a.json", "a.json"]).expect_err("a collision");
    assert!(error.contains("its own file"), "{error}");
    assert!(planned(Some(Format::Json), &["a.json", "b"]).is_ok());
}

#[test]
fn colour_needs_a_terminal_that_wants_it() {
    let color = |terminal: &Terminal, choice| {
        let style = terminal.style_of(&Destination::Stdout, choice);
        style.color
    };
    let plain = terminal(&[("TERM", "xterm-256color")]);
    assert!(color(&plain, ColorChoice::Auto));
    assert!(!color(&plain, ColorChoice::Never));
    assert!(!color(&terminal(&[("NO_COLOR", "1")]), ColorChoice::Auto));
    assert!(color(&terminal(&[("NO_COLOR", "")]), ColorChoice::Auto));
    assert!(color(&terminal(&[("NO_COLOR", "1")]), ColorChoice::Always));
    assert!(!color(&terminal(&[("TERM", "dumb")]), ColorChoice::Auto));
    let piped = Terminal {
        stdout_is_terminal: false,
        ..plain
    };
    assert!(!color(&piped, ColorChoice::Auto));
    let file = Destination::File("x.txt".into());
    assert!(!terminal(&[]).style_of(&file, ColorChoice::Auto).color);
}

#[test]
fn the_locale_decides_about_unicode_and_columns_about_width() {
    let style = |variables: &[(&str, &str)]| {
        let terminal = terminal(variables);
        terminal.style_of(&Destination::Stdout, ColorChoice::Auto)
    };
    assert!(style(&[]).unicode);
    assert!(style(&[("LANG", "de_DE.UTF-8")]).unicode);
    assert!(!style(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")]).unicode);
    assert!(!style(&[("LANG", "de_DE.ISO-8859-1")]).unicode);
    assert!(!style(&[("TERM", "dumb")]).unicode);
    assert_eq!(style(&[]).width, 132);
    assert_eq!(style(&[("COLUMNS", "90")]).width, 90);
    assert_eq!(style(&[("COLUMNS", "many")]).width, 132);
    assert_eq!(style(&[("COLUMNS", "100000")]).width, 200);
}

#[test]
fn a_missing_folder_is_noticed_before_anything_is_captured() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("missing").join("x.json");
    let request = Request {
        files: std::slice::from_ref(&path),
        ..Request::default()
    };
    let outputs = Outputs::plan(&request, Destination::Stdout, &terminal(&[])).expect("a plan");
    let error = super::Reporter::open(&outputs)
        .err()
        .expect("no folder")
        .to_string();
    assert!(error.contains("choose another file"), "{error}");
}

#[test]
fn only_plain_text_is_spared_the_events() {
    let show = |format, verbose| {
        let request = Request {
            format: Some(format),
            verbose,
            ..Request::default()
        };
        let outputs = Outputs::plan(&request, Destination::Stdout, &terminal(&[]));
        outputs.expect("a plan").show_events()
    };
    assert!(!show(Format::Text, 0));
    assert!(show(Format::Text, 1));
    assert!(show(Format::Json, 0) && show(Format::Ndjson, 0));
}
