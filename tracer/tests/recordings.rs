//! A recording read back gives what its capture told, whatever was seen.

#[path = "support/packets.rs"]
mod packets;
mod support;

use std::path::Path;
use tracer::capture::file::read_items;
use tracer::capture::recording::{Event, Header, Recorder, Replay};
use tracer::capture::{Fact, Frame, Observation};
use tracer::journey::assemble::{Assembler, AssemblerOptions};
use tracer::journey::limits::Limits;
use tracer::journey::model::{CaptureInfo, HostInfo, Source, TracerInfo};
use tracer::journey::part::Part;

const STREAM_LIMIT: usize = 1 << 20;
/// Journeys that are over are taken so often, as far as the capture's own time goes.
const TICK_NS: u64 = 250_000_000;
/// Frames of each capture: an assembler of a live capture looks through all it knows at each tick.
const FRAMES: usize = 2000;

fn assembler(stream_limit: usize) -> Assembler {
    Assembler::new(AssemblerOptions {
        source: Source::Live,
        stream_limit,
        keep_frames: true,
        without_timeline: false,
        show_secrets: false,
        live: true,
        limits: Limits::default(),
    })
}

fn capture() -> CaptureInfo {
    CaptureInfo {
        source: Source::Live,
        network_namespace: None,
        started_unix_nano: "1700000000000000000".to_owned(),
        duration_ns: 0,
        interfaces: Vec::new(),
        hooks: Vec::new(),
        lost: std::collections::BTreeMap::new(),
        losses: Vec::new(),
        cost: None,
        comments: Vec::new(),
        complete: true,
    }
}

/// What a live capture of these frames tells, part by part; its recording goes to `path`.
fn captured(frames: &[(u64, Frame)], path: &Path) -> Vec<String> {
    let mut recorder = Recorder::create(path).expect("a new file");
    recorder.begin(&Header {
        live: true,
        stream_limit: STREAM_LIMIT as u64,
        tracer: TracerInfo::default(),
        host: HostInfo::default(),
        capture: capture(),
    });
    let mut assembler = assembler(STREAM_LIMIT);
    let mut told = Vec::new();
    let mut now_ns = 0;
    for (at_ns, frame) in frames {
        // A probe hands over in order of time.
        let tick_ns = now_ns + TICK_NS;
        if *at_ns >= tick_ns {
            let over = assembler.journeys_over();
            told.extend(words(&assembler.take_finished(tick_ns)));
            recorder.take(tick_ns, assembler.journeys_over() != over);
            recorder.release(tick_ns);
        }
        now_ns = now_ns.max(*at_ns);
        let fact = Fact::Frame(Frame {
            // Only a file says something of a frame.
            note: None,
            ..frame.clone()
        });
        let observation = Observation {
            at_ns: now_ns,
            fact,
        };
        recorder.observe(&observation);
        assembler.observe(observation);
    }
    told.extend(words(&assembler.take_remaining()));
    recorder.finish(&capture()).expect("room for a small file");
    told
}

/// What `tracer read` makes of a recording.
fn read_back(path: &Path) -> Vec<String> {
    let mut memory = None;
    let mut told = Vec::new();
    let mut play = |event: Event| match event {
        Event::Begin(header) => {
            let stream_limit = usize::try_from(header.stream_limit).expect("as it was");
            memory = Some(assembler(stream_limit));
        }
        Event::Observation(observation) => {
            let memory: &mut Assembler = memory.as_mut().expect("a header first");
            memory.observe(observation);
        }
        Event::Take { now_ns } => {
            let memory: &mut Assembler = memory.as_mut().expect("a header first");
            told.extend(words(&memory.take_finished(now_ns)));
        }
        Event::End(_) => {}
    };
    let mut replay = Replay::default();
    read_items(path, &mut |item| replay.item(item, &mut play)).expect("a recording");
    replay.finish(&mut play);
    let mut memory = memory.expect("a header");
    told.extend(words(&memory.take_remaining()));
    told
}

/// A part in words; none of one that tells nothing.
fn words(part: &Part) -> Option<String> {
    (!part.journeys.is_empty() || !part.connections.is_empty()).then(|| format!("{part:?}"))
}

#[test]
fn a_recording_tells_what_its_capture_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut told = 0;
    for (number, path) in support::files(&support::captures()).iter().enumerate() {
        let mut frames = packets::frames(path);
        frames.truncate(FRAMES);
        let recording = folder.path().join(format!("{number}.pcapng"));
        let live = captured(&frames, &recording);
        let back = read_back(&recording);
        let differs = live.iter().zip(&back).position(|(live, back)| live != back);
        assert_eq!(
            (differs, back.len()),
            (None, live.len()),
            "{}",
            path.display()
        );
        told += live.len();
        std::fs::remove_file(&recording).expect("just written");
    }
    assert!(told > 0, "no capture told anything");
}
