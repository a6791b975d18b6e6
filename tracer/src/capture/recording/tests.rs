//! What was observed is what is read back, and a hostile file does no harm.

use super::arbitrary::observations;
use super::note::{Note, NoteError};
use super::{ENTERPRISE, Event, Header, Recorder, Replay, block};
use crate::capture::file::{self, FileSummary, Item};
use crate::capture::{Direction, Fact, Frame, HookKind, LinkType, Observation, PacketNote};
use crate::journey::model::{CaptureInfo, HostInfo, Source, TracerInfo};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const STARTED: u64 = 1_800_000_000_123_456_789;

fn capture(duration_ns: u64) -> CaptureInfo {
    CaptureInfo {
        source: Source::Live,
        network_namespace: None,
        started_unix_nano: STARTED.to_string(),
        duration_ns,
        interfaces: vec!["eth0".into()],
        hooks: Vec::new(),
        lost: BTreeMap::new(),
        losses: Vec::new(),
        cost: None,
        comments: Vec::new(),
        complete: true,
    }
}

fn header() -> Header {
    Header {
        live: true,
        stream_limit: 4096,
        tracer: TracerInfo {
            version: "1".into(),
            command: vec!["tracer".into(), "live".into()],
        },
        host: HostInfo {
            hostname: Some("here".into()),
            kernel: None,
        },
        capture: capture(0),
    }
}

fn frame(number: u8) -> Frame {
    Frame {
        interface: 7,
        direction: Direction::Out,
        hook: HookKind::Tcx,
        link_type: LinkType::Ethernet,
        cookie: Some(4711),
        original_length: 1500,
        data: vec![number; 61],
        note: None,
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("recording.pcapng")
    }

    /// The file that these observations give.
    fn record(&self, observations: &[Observation]) -> Vec<u8> {
        let mut recorder = Recorder::create(&self.path()).unwrap();
        recorder.begin(&header());
        for observation in observations {
            recorder.observe(observation);
        }
        recorder.finish(&capture(99)).unwrap();
        std::fs::read(self.path()).unwrap()
    }
}

struct Seen {
    events: Vec<Event>,
    warnings: Vec<String>,
    summary: FileSummary,
}

impl Seen {
    fn observations(&self) -> Vec<&Observation> {
        let events = self.events.iter();
        events
            .filter_map(|event| match event {
                Event::Observation(observation) => Some(observation),
                _ => None,
            })
            .collect()
    }

    fn has_end(&self) -> bool {
        self.events.iter().any(|it| matches!(it, Event::End(_)))
    }
}

fn replay(bytes: &[u8]) -> Seen {
    let mut events = Vec::new();
    let mut replay = Replay::default();
    let summary = file::read_from(Cursor::new(bytes), "test", &mut |item| {
        replay.item(item, &mut |event| events.push(event));
    });
    replay.finish(&mut |event| events.push(event));
    Seen {
        events,
        warnings: replay.warnings(),
        summary: summary.unwrap(),
    }
}

proptest! {
    #[test]
    fn what_was_observed_is_read_back_in_order(observed in observations()) {
        let seen = replay(&Folder::new().record(&observed));
        let read: Vec<Observation> = seen.observations().into_iter().cloned().collect();
        prop_assert_eq!(read, observed);
        prop_assert!(matches!(seen.events.first(), Some(Event::Begin(_))));
        prop_assert!(seen.has_end());
        prop_assert_eq!(seen.warnings, Vec::<String>::new());
        prop_assert_eq!(seen.summary.truncated_at, None);
    }

    #[test]
    fn a_cut_recording_reads_up_to_the_cut(observed in observations(), part in 0.0..1.0f64) {
        let whole = Folder::new().record(&observed);
        // The section header is read in one piece or not at all.
        let section = usize::try_from(u32::from_le_bytes(whole[4..8].try_into().unwrap())).unwrap();
        let length = section + (part * (whole.len() - section) as f64) as usize;
        let seen = replay(&whole[..length]);
        prop_assert!(!seen.has_end());
        let is_secret = |it: &Observation| matches!(it.fact, Fact::TlsSecret(_));
        // Secrets stand ahead of their place.
        let read = seen.observations().into_iter().filter(|it| !is_secret(it));
        let observed: Vec<_> = observed.iter().filter(|it| !is_secret(it)).collect();
        let read: Vec<_> = read.collect();
        prop_assert_eq!(&read, &observed[..read.len()]);
    }

    #[test]
    fn arbitrary_notes_never_panic(
        kind in any::<[u8; 4]>(),
        body in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut data = b"TRCR".to_vec();
        data.extend(kind);
        data.extend(body);
        let mut replay = Replay::default();
        let encoded = Note::Header(Box::new(header())).encode().unwrap();
        for data in [&encoded, &data, &data[..data.len() / 2].to_vec()] {
            let item = Item::Custom { enterprise: ENTERPRISE, data, big_endian: false };
            replay.item(item, &mut |_| {});
        }
        replay.finish(&mut |_| {});
    }

    #[test]
    fn a_changed_recording_never_panics(
        observed in observations(),
        place in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = Folder::new().record(&observed);
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let mut replay = Replay::default();
        // An error is fine, too.
        let _ = file::read_from(Cursor::new(bytes), "test", &mut |item| {
            replay.item(item, &mut |_| {});
        });
        replay.finish(&mut |_| {});
    }
}

#[test]
fn only_the_owner_may_read_it_even_when_it_was_there_before() {
    let folder = Folder::new();
    std::fs::write(folder.path(), "old").unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o644)).unwrap();
    folder.record(&[]);
    let mode = std::fs::metadata(folder.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_secret_stands_before_the_packets_it_opens() {
    let secret = "CLIENT_RANDOM 00 11";
    let observe = |at_ns, fact| Observation { at_ns, fact };
    let observed = [
        observe(10, Fact::Frame(frame(1))),
        observe(2_000_000, Fact::TlsSecret(secret.into())),
    ];
    let bytes = Folder::new().record(&observed);
    let find = |wanted: &[u8]| bytes.windows(wanted.len()).position(|part| part == wanted);
    assert!(find(secret.as_bytes()).unwrap() < find(&[1; 61]).unwrap());
    let read: Vec<Observation> = replay(&bytes).observations().into_iter().cloned().collect();
    assert_eq!(read, observed);
}

#[test]
fn what_is_old_enough_is_in_the_file_while_the_capture_goes_on() {
    let folder = Folder::new();
    let mut recorder = Recorder::create(&folder.path()).unwrap();
    recorder.begin(&header());
    for number in 0..3 {
        recorder.observe(&Observation {
            at_ns: u64::from(number) * 1_000_000_000,
            fact: Fact::Frame(frame(number)),
        });
    }
    let seen = replay(&std::fs::read(folder.path()).unwrap());
    assert_eq!(seen.observations().len(), 2);
    drop(recorder);
    let seen = replay(&std::fs::read(folder.path()).unwrap());
    assert_eq!(seen.observations().len(), 3);
    assert!(!seen.has_end());
}

#[test]
fn packets_carry_time_direction_and_length_for_other_programs() {
    let fact = Fact::Frame(frame(1));
    let bytes = Folder::new().record(&[Observation { at_ns: 5, fact }]);
    let mut frames = Vec::new();
    let summary = file::read_from(Cursor::new(&bytes), "test", &mut |item| {
        if let Item::Observation(Observation {
            fact: Fact::Frame(frame),
            ..
        }) = item
        {
            frames.push(frame);
        }
    });
    assert_eq!(summary.unwrap().started_unix_nano, Some(STARTED + 5));
    let frame = frames.first().unwrap();
    assert_eq!(frame.direction, Direction::Out);
    assert_eq!((frame.original_length, frame.data.len()), (1500, 61));
}

/// As `editcap -a` writes it, which keeps custom options.
#[test]
fn a_comment_that_somebody_adds_later_stands_by_its_frame() {
    let observed = Observation {
        at_ns: 5,
        fact: Fact::Frame(frame(1)),
    };
    let mut bytes = Folder::new().record(&[observed]);
    let is_packet = |block: &[u8]| block.starts_with(&[6, 0, 0, 0]);
    let mut start = 0;
    let length = loop {
        let length = u32::from_le_bytes(bytes[start + 4..start + 8].try_into().unwrap());
        if is_packet(&bytes[start..]) {
            break length;
        }
        start += length as usize;
    };
    let end = start + length as usize;
    for place in [start + 4, end - 4] {
        bytes[place..place + 4].copy_from_slice(&(length + 8).to_le_bytes());
    }
    // Before the end of the options and the length of the block.
    bytes.splice(end - 8..end - 8, *b"\x01\0\x04\0note");
    let seen = replay(&bytes);
    let mut expected = frame(1);
    expected.note = Some(Box::new(PacketNote {
        comments: vec!["note".to_owned()],
        process: None,
    }));
    let frames = [&Observation {
        at_ns: 5,
        fact: Fact::Frame(expected),
    }];
    assert_eq!(seen.observations(), frames);
    assert_eq!(seen.warnings, Vec::<String>::new());
}

#[test]
fn secrets_that_were_taken_out_are_not_missed() {
    let secret = Fact::TlsSecret("CLIENT_RANDOM 00 11".into());
    let observed = [secret, Fact::Frame(frame(1))].map(|fact| Observation { at_ns: 3, fact });
    let bytes = Folder::new().record(&observed);
    let taken = block::secret("CLIENT_RANDOM 00 11");
    let at = bytes
        .windows(taken.len())
        .position(|it| it == taken)
        .unwrap();
    let without = [&bytes[..at], &bytes[at + taken.len()..]].concat();
    let seen = replay(&without);
    assert_eq!(seen.observations(), [&observed[1]]);
    assert!(seen.has_end() && seen.warnings.is_empty());
}

#[test]
fn notes_of_later_versions_and_kinds_are_skipped_with_a_warning() {
    let known = Note::Take { now_ns: 1 }.encode().unwrap();
    let changed = |place: usize, value| {
        let mut note = known.clone();
        note[place] = value;
        note
    };
    let (version, kind) = (changed(4, 2), changed(5, 99));
    assert_eq!(
        Note::decode(&version).unwrap().unwrap_err(),
        NoteError::Version(2)
    );
    let mut bytes = Folder::new().record(&[]);
    bytes.splice(bytes.len()..bytes.len(), block::custom(&version));
    bytes.splice(bytes.len()..bytes.len(), block::custom(&kind));
    let warnings = replay(&bytes).warnings;
    let warning = warnings.first().unwrap();
    assert!(warning.contains("2 notes") && warning.contains("version 2"));
}

#[test]
fn a_file_opened_in_an_older_recording_was_seen_by_the_tracepoint() {
    let fact = br#"{"at_ns":7,"fact":{"file_open":{"pid":1,"path":"/etc/hosts"}}}"#;
    let observation: Observation = serde_json::from_slice(fact).unwrap();
    let Fact::FileOpen(opened) = observation.fact else {
        panic!("{observation:?}");
    };
    assert_eq!(opened.hook, HookKind::Tracepoint);
}

#[test]
fn custom_blocks_of_others_are_left_alone() {
    let mut bytes = Folder::new().record(&[]);
    bytes.extend(block::custom(b"somebody else's example"));
    assert_eq!(replay(&bytes).warnings, Vec::<String>::new());
}

#[test]
fn a_comment_before_the_header_of_a_recording_does_not_hide_it() {
    let mut long = header();
    // Too long for an option of the section: it follows in a block of its own.
    long.tracer.command = vec!["x".repeat(70_000)];
    let folder = Folder::new();
    let mut recorder = Recorder::create(&folder.path()).unwrap();
    recorder.begin(&long);
    recorder.finish(&capture(99)).unwrap();
    let seen = replay(&std::fs::read(folder.path()).unwrap());
    let begins = |event: &Event| matches!(event, Event::Begin(_));
    assert!(seen.events.iter().any(begins) && seen.has_end());
    assert_eq!(seen.warnings, Vec::<String>::new());
}
