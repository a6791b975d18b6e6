//! What a capture file says, through the assembler as `tracer read` does it.

use crate::document;
use tracer::capture::file::FileSummary;
use tracer::capture::recording::{Event, Header};
use tracer::journey::assemble::{Assembler, AssemblerOptions};
use tracer::journey::limits::Limits;
use tracer::journey::model::{
    CaptureInfo, Document, HostInfo, SCHEMA_VERSION, Source, Trace, TracerInfo,
};
use tracer::journey::part::Part;

/// Payload kept per direction of a connection, as `tracer read` has it.
const STREAM_LIMIT: usize = 16 << 20;

/// One file on its way into the assembler.
#[derive(Debug, Default)]
pub struct Player {
    assembler: Option<Assembler>,
    live: bool,
    finished: Vec<Part>,
}

impl Player {
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Begin(header) => {
                self.live = header.live;
                self.assembler = Some(begin(Some(&header)));
            }
            Event::Observation(observation) => self.assembler().observe(observation),
            Event::Take { now_ns } => {
                let finished = self.assembler().take_finished(now_ns);
                self.finished.push(finished);
            }
            Event::End(_) => {}
        }
    }

    fn assembler(&mut self) -> &mut Assembler {
        self.assembler.get_or_insert_with(|| begin(None))
    }

    /// The whole story, checked.
    pub fn finish(mut self, summary: &FileSummary) {
        let mut assembler = self.assembler.take().unwrap_or_else(|| begin(None));
        let mut trace = if self.live {
            self.finished.push(assembler.take_remaining());
            told(self.finished)
        } else {
            assembler.finish(empty())
        };
        trace.document.capture.duration_ns = summary.duration_ns;
        document::check(&trace);
    }
}

fn begin(header: Option<&Header>) -> Assembler {
    let limit = header.map_or(Some(STREAM_LIMIT), |header| {
        usize::try_from(header.stream_limit).ok()
    });
    Assembler::new(AssemblerOptions {
        source: match header {
            Some(_) => Source::Live,
            None => Source::File,
        },
        stream_limit: limit.unwrap_or(usize::MAX),
        keep_frames: true,
        without_timeline: false,
        show_secrets: false,
        live: header.is_some_and(|header| header.live),
        limits: Limits::default(),
    })
}

/// What was told while the capture went on; what several journeys refer to stands once.
fn told(finished: Vec<Part>) -> Trace {
    let mut trace = Trace {
        document: empty(),
        packets: Vec::new(),
    };
    let document = &mut trace.document;
    for one in finished {
        for connection in one.connections {
            match document
                .connections
                .iter_mut()
                .find(|known| known.id == connection.id)
            {
                Some(known) => *known = connection,
                None => document.connections.push(connection),
            }
        }
        for exchange in one.dns {
            if document.dns.iter().all(|known| known.id != exchange.id) {
                document.dns.push(exchange);
            }
        }
        for neighbor in one.neighbors {
            if document
                .neighbors
                .iter()
                .all(|known| known.id != neighbor.id)
            {
                document.neighbors.push(neighbor);
            }
        }
        document.journeys.extend(one.journeys);
        trace.packets.extend(one.packets);
    }
    trace
}

/// A document without a story.
pub fn empty() -> Document {
    Document {
        schema_version: SCHEMA_VERSION,
        tracer: TracerInfo::default(),
        host: HostInfo::default(),
        capture: capture(),
        dns: Vec::new(),
        dhcp: Vec::new(),
        neighbors: Vec::new(),
        connections: Vec::new(),
        journeys: Vec::new(),
    }
}

pub fn capture() -> CaptureInfo {
    CaptureInfo {
        source: Source::File,
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
