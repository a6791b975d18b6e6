//! Recordings: they replay into the same journeys, and other programs read them.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::outcome::Outcome;
use crate::program::{Program, Tracer, find_program};
use crate::requests;
use crate::scenario::{Scenario, Skipped};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "recording_of_a_demo_replays_into_the_same_report",
        run: demo,
    },
    Scenario {
        name: "recording_of_a_failure_replays_into_the_same_report",
        run: failure,
    },
    Scenario {
        name: "recording_of_a_live_capture_replays_into_the_same_report",
        run: live,
    },
    Scenario {
        name: "recording_of_a_killed_tracer_reads_up_to_the_cut",
        run: killed,
    },
    Scenario {
        name: "recording_is_read_and_decrypted_by_tshark",
        run: tshark,
    },
    Scenario {
        name: "recording_that_cannot_be_created_is_an_error_before_anything_is_traced",
        run: not_created,
    },
];

/// Files of one scenario, by short names.
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn tracer(&self, arguments: &[&str]) -> Tracer {
        Tracer::new(arguments).with(|program| program.folder(self.0.path()))
    }

    pub(super) fn text(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.path(name)).with_context(|| format!("no {name}"))
    }

    /// The recording says what the capture said, in every format.
    pub(super) fn check_replay(&self, live: &str) -> Result<()> {
        let read = [
            "read",
            "capture.pcapng",
            "-o",
            "read.json",
            "-o",
            "read.txt",
        ];
        let outcome = self.tracer(&read).run()?.expect_code(0)?;
        ensure!(outcome.stderr.is_empty(), "{}", outcome.describe());
        let [of_capture, of_replay] = [self.text(&format!("{live}.txt"))?, self.text("read.txt")?];
        ensure!(
            of_capture == of_replay,
            "{of_capture}\nreplay:\n{of_replay}"
        );
        // One word differs: the source.
        let of_capture = self.text(&format!("{live}.json"))?;
        let expected = of_capture.replacen("\"source\": \"live\"", "\"source\": \"file\"", 1);
        let of_replay = self.text("read.json")?;
        ensure!(expected != of_capture, "{of_capture}");
        ensure!(expected == of_replay, "{expected}\nreplay:\n{of_replay}");
        Ok(())
    }
}

const DEMO: [&str; 7] = [
    "demo",
    "--save",
    "capture.pcapng",
    "-o",
    "live.json",
    "-o",
    "live.txt",
];

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

fn demo() -> Result<()> {
    let files = Files::new()?;
    files.tracer(&DEMO).run()?.expect_code(0)?;
    ensure!(mode(&files.path("capture.pcapng"))? == 0o600);
    files.check_replay("live")?;
    let document: Value = serde_json::from_str(&files.text("read.json")?)?;
    ensure!(document["journeys"][0]["outcome"] == "ok", "{document:#}");
    ensure!(
        document["connections"][0]["http"][0]["status"] == 200,
        "{document:#}"
    );
    // The layers come from the frames of the recording.
    let layers = ["read", "--layers", "capture.pcapng"];
    let outcome = files.tracer(&layers).run()?.expect_code(0)?;
    ensure!(
        outcome.stdout.contains("Ethernet"),
        "{}",
        outcome.describe()
    );
    Ok(())
}

fn failure() -> Result<()> {
    let files = Files::new()?;
    let arguments = [&DEMO[..], &["https://refused.test/"]].concat();
    files.tracer(&arguments).run()?.expect_code(1)?;
    files.check_replay("live")
}

/// A live capture of three requests, ended by `signal`.
fn capture_live(files: &Files, signal: Signal) -> Result<Outcome> {
    let server = requests::server(false)?;
    let port = server.port().to_string();
    let arguments = [
        "live",
        "--save",
        "capture.pcapng",
        "-o",
        "-",
        "-o",
        "live.json",
        "-o",
        "live.txt",
    ];
    let running = files.tracer(&arguments).start()?;
    running.wait_for_stderr("watching")?;
    let client = Program::new(env::current_exe()?)
        .args([requests::CLIENT, &port, "3"])
        .start()?;
    client.finish()?.expect_code(0)?;
    running.wait_for_stdout(&format!(":{port}"))?;
    running.signal(signal)?;
    running.finish()
}

fn live() -> Result<()> {
    let files = Files::new()?;
    capture_live(&files, Signal::SIGINT)?.expect_code(0)?;
    files.check_replay("live")?;
    let document: Value = serde_json::from_str(&files.text("read.json")?)?;
    let journeys = document["journeys"].as_array().context("no journeys")?;
    ensure!(journeys.len() >= 3, "{document:#}");
    Ok(())
}

fn killed() -> Result<()> {
    let files = Files::new()?;
    capture_live(&files, Signal::SIGKILL)?;
    let read = ["read", "--format", "json", "capture.pcapng"];
    let outcome = files.tracer(&read).run()?.expect_code(0)?;
    let outcome = outcome.expect_stderr("the recording has no end")?;
    let document = outcome.unchecked_json()?;
    ensure!(document["capture"]["complete"] == false, "{document:#}");
    Ok(())
}

fn tshark() -> Result<()> {
    let tools = find_program("tshark").zip(find_program("capinfos"));
    let Some((tshark, capinfos)) = tools else {
        return Err(Skipped("tshark is not installed".into()).into());
    };
    let files = Files::new()?;
    files.tracer(&DEMO).run()?.expect_code(0)?;
    let file = files.path("capture.pcapng");
    let file = file.to_string_lossy();
    let arguments = ["-r", &file, "-Y", "http2.headers.status == 200"];
    let outcome = Program::new(&tshark)
        .args(arguments)
        .run()?
        .expect_code(0)?;
    ensure!(
        outcome.stdout.contains("200 OK"),
        "not decrypted\n{}",
        outcome.describe()
    );
    // Damage is told on standard error; so is, always, that it runs as root.
    let complaints = ["appears to", "damaged", "corrupt", "truncated"];
    let complains = complaints.iter().any(|word| outcome.stderr.contains(word));
    ensure!(!complains, "{}", outcome.describe());
    let outcome = Program::new(&capinfos)
        .args([&*file])
        .run()?
        .expect_code(0)?;
    for words in ["nanoseconds", "Name = eth0", "tracer"] {
        ensure!(outcome.stdout.contains(words), "{}", outcome.describe());
    }
    check_frame_numbers(&files, &tshark, &file)
}

/// The frame with the first SYN is number n in the report and in Wireshark.
fn check_frame_numbers(files: &Files, tshark: &Path, file: &str) -> Result<()> {
    let filter = "tcp.flags.syn == 1 && tcp.flags.ack == 0";
    let fields = [
        "-r",
        file,
        "-Y",
        filter,
        "-T",
        "fields",
        "-e",
        "frame.number",
    ];
    let outcome = Program::new(tshark).args(fields).run()?.expect_code(0)?;
    let theirs = outcome.stdout.lines().next().context("no SYN")?.to_owned();
    let document: Value = serde_json::from_str(&files.text("live.json")?)?;
    let timeline = document["journeys"][0]["timeline"].as_array();
    let mut events = timeline.context("no timeline")?.iter();
    let is_syn = |event: &&Value| {
        let summary = event["summary"].as_str().unwrap_or_default();
        event["layer"] == "tcp" && summary.starts_with("SYN") && event["direction"] == "out"
    };
    let syn = events.find(is_syn).context("no SYN in the timeline")?;
    let evidence = syn["evidence"].as_str().unwrap_or_default();
    ensure!(
        evidence.split([' ', ',']).any(|word| word == theirs),
        "frame {theirs} for tshark, but {syn}"
    );
    Ok(())
}

fn not_created() -> Result<()> {
    let files = Files::new()?;
    let arguments = [
        "demo",
        "--save",
        "missing/capture.pcapng",
        "-o",
        "live.json",
    ];
    let outcome = files.tracer(&arguments).run()?.expect_code(1)?;
    let outcome = outcome.expect_stderr("cannot create recording missing/capture.pcapng")?;
    ensure!(!files.path("live.json").exists(), "{}", outcome.describe());
    Ok(())
}
