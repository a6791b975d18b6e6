//! Reading a recording: from what stands in a capture file back to what was observed.

use super::note::{FrameNote, Note, NoteError};
use super::{ENTERPRISE, Header, MAX_SECRET_BYTES};
use crate::capture::file::Item;
use crate::capture::{Fact, Frame, Observation};
use crate::journey::model::CaptureInfo;
use std::collections::VecDeque;

/// Lines of key log whose place is not known yet; more is damage.
const MAX_SECRETS: usize = 65_536;

/// What a capture file says, whether it is a recording or not.
#[derive(Debug)]
pub enum Event {
    /// The file is a recording. Comes first or not at all.
    Begin(Box<Header>),
    Observation(Observation),
    /// Finished journeys were taken from the assembler here.
    Take {
        now_ns: u64,
    },
    /// The recording is whole; the capture as it was at its end.
    End(Box<CaptureInfo>),
}

/// Turns the items of one capture file into events. Files that are no recordings pass
/// unchanged.
#[derive(Debug, Default)]
pub struct Replay {
    state: State,
    /// What was noted of the next packet.
    frame: Option<FrameNote>,
    secrets: VecDeque<String>,
    now_ns: u64,
    skipped: u64,
    first_skipped: Option<NoteError>,
    foreign_packets: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Nothing,
    /// Packets came before any header: not a recording.
    File,
    Recording,
    /// Behind its end, or in a second recording appended to it.
    Over,
}

impl Replay {
    /// Takes what stands next in the file.
    pub fn item(&mut self, item: Item<'_>, sink: &mut dyn FnMut(Event)) {
        match item {
            Item::Custom {
                enterprise: ENTERPRISE,
                data,
                ..
            } => match Note::decode(data) {
                Some(Ok(note)) => self.note(note, sink),
                Some(Err(error)) => self.skip(error),
                None => {}
            },
            Item::Custom { .. } | Item::NoSecrets | Item::Started(_) => {}
            Item::Observation(observation) => match self.state {
                State::Recording => self.recorded(observation.fact, sink),
                State::Over => {}
                // That of the section stands before everything else.
                State::Nothing if matches!(observation.fact, Fact::Comment(_)) => {
                    sink(Event::Observation(observation));
                }
                State::Nothing | State::File => {
                    self.state = State::File;
                    sink(Event::Observation(observation));
                }
            },
        }
    }

    /// At the end of the file: hands out the secrets whose place was cut off.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        while let Some(line) = self.secrets.pop_front() {
            self.observed(self.now_ns, Fact::TlsSecret(line), sink);
        }
    }

    /// Time of the latest observation.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// What a reader of the results should know, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(error) = &self.first_skipped {
            warnings.push(format!(
                "{} notes of the recording were skipped ({error}); a newer tracer may read them",
                self.skipped
            ));
        }
        if self.foreign_packets > 0 {
            warnings.push(format!(
                "{} packets were not recorded by tracer; their times are those of the packets before",
                self.foreign_packets
            ));
        }
        warnings
    }

    fn note(&mut self, note: Note, sink: &mut dyn FnMut(Event)) {
        match (self.state, note) {
            (State::Nothing, Note::Header(header)) => {
                self.state = State::Recording;
                sink(Event::Begin(header));
            }
            (State::Recording | State::Over, Note::Header(_)) => {
                self.state = State::Over;
                let reason = "a second recording follows in the same file; split it";
                self.skip(NoteError::Damaged(reason.into()));
            }
            (State::Recording, Note::Frame(frame)) => self.frame = Some(frame),
            (State::Recording, Note::Fact(observation)) => {
                self.observed(observation.at_ns, observation.fact, sink);
            }
            (State::Recording, Note::Secret { at_ns }) => {
                // Absent when somebody took the secrets out of the file.
                if let Some(line) = self.secrets.pop_front() {
                    self.observed(at_ns, Fact::TlsSecret(line), sink);
                }
            }
            (State::Recording, Note::Take { now_ns }) => sink(Event::Take { now_ns }),
            (State::Recording, Note::End(capture)) => {
                self.finish(sink);
                self.state = State::Over;
                sink(Event::End(capture));
            }
            (State::Over, _) => {}
            (State::Nothing | State::File, _) => {
                let reason = "its header is missing";
                self.skip(NoteError::Damaged(reason.into()));
            }
        }
    }

    /// What the blocks of every pcapng say, in a recording.
    fn recorded(&mut self, fact: Fact, sink: &mut dyn FnMut(Event)) {
        match fact {
            Fact::Frame(frame) => {
                let (at_ns, frame) = self.restored(frame);
                self.observed(at_ns, Fact::Frame(frame), sink);
            }
            Fact::TlsSecret(line)
                if self.secrets.len() < MAX_SECRETS && line.len() <= MAX_SECRET_BYTES =>
            {
                self.secrets.push_back(line);
            }
            // Interfaces and losses are facts of the recording, too, and said better there.
            _ => {}
        }
    }

    fn restored(&mut self, frame: Frame) -> (u64, Frame) {
        match self.frame.take() {
            Some(note) => (note.at_ns, note.frame(frame.data, frame.note)),
            None => {
                self.foreign_packets += 1;
                (self.now_ns, frame)
            }
        }
    }

    fn observed(&mut self, at_ns: u64, fact: Fact, sink: &mut dyn FnMut(Event)) {
        self.now_ns = self.now_ns.max(at_ns);
        sink(Event::Observation(Observation { at_ns, fact }));
    }

    fn skip(&mut self, error: NoteError) {
        self.skipped += 1;
        self.first_skipped.get_or_insert(error);
    }
}
