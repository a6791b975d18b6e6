//! Writing to every output, as things become known.

use super::{Destination, Format, OutputError, Outputs, Sink};
use crate::journey::model::{CaptureInfo, Document, HostInfo, Trace, TracerInfo};
use crate::journey::part::Part;
use crate::output_file::{self, Readers};
use crate::report::json::Spool;
use crate::report::lookup::Lookup;
use crate::report::ndjson;
use crate::report::text::{self, TextOptions};
use std::fs::File;
use std::io::{self, Write};

/// All outputs, open. [`Reporter::begin`] comes first, then [`Reporter::part`] for each part
/// that is told, then [`Reporter::end`]; and the same again for the next capture.
pub struct Reporter {
    outlets: Vec<Outlet>,
    journeys: u64,
}

struct Outlet {
    destination: Destination,
    format: Format,
    options: TextOptions,
    /// What the one document of JSON is going to hold.
    spool: Spool,
    /// None when the reader has gone: that is success (a broken pipe).
    writer: Option<Box<dyn Write>>,
}

impl Reporter {
    /// Creates the files and takes the standard streams.
    ///
    /// # Errors
    /// When a file cannot be created.
    pub fn open(outputs: &Outputs) -> Result<Self, OutputError> {
        let open = |sink: &Sink| {
            Ok(Outlet {
                destination: sink.destination.clone(),
                format: sink.format,
                options: outputs.text_options(sink),
                spool: Spool::default(),
                writer: Some(open(&sink.destination)?),
            })
        };
        Ok(Self::with(
            outputs.sinks.iter().map(open).collect::<Result<_, _>>()?,
        ))
    }

    fn with(outlets: Vec<Outlet>) -> Self {
        Self {
            outlets,
            journeys: 0,
        }
    }

    /// Whether anybody still reads; a live capture may stop when not.
    pub fn has_readers(&self) -> bool {
        self.outlets.iter().any(|outlet| outlet.writer.is_some())
    }

    /// The start of a capture. Of `capture`, only what is known at the start is used.
    ///
    /// # Errors
    /// Those of the outputs, here and below; a broken pipe is none. Every output is
    /// served even when another one fails.
    pub fn begin(
        &mut self,
        tracer: &TracerInfo,
        host: &HostInfo,
        capture: &CaptureInfo,
    ) -> Result<(), OutputError> {
        self.journeys = 0;
        self.each(|outlet, writer| match outlet.format {
            Format::Ndjson => ndjson::Writer::new(writer).header(tracer, host, capture),
            Format::Text => Ok(()),
            Format::Json => {
                outlet.spool = Spool::default();
                Ok(())
            }
        })
    }

    /// What was told, in order.
    pub fn part(&mut self, part: &Part) -> Result<(), OutputError> {
        self.journeys += part.journeys.len() as u64;
        let lookup = Lookup::of(part);
        self.each(|outlet, writer| match outlet.format {
            Format::Text => part.journeys.iter().try_for_each(|journey| {
                let text = text::render_journey(journey, &lookup, &part.packets, &outlet.options);
                writer.write_all(text.as_bytes())?;
                writer.write_all(b"\n")
            }),
            Format::Ndjson => ndjson::Writer::new(writer).part(part, &lookup),
            Format::Json => outlet.spool.part(part),
        })
    }

    /// The end of a capture: what `document` says of it as a whole; its lists are empty,
    /// they were told in parts. JSON, being one document, is written here.
    pub fn end(&mut self, document: &Document) -> Result<(), OutputError> {
        let journeys = self.journeys;
        self.each(|outlet, writer| match outlet.format {
            Format::Text => {
                let text = text::render_end(document, journeys, &outlet.options);
                writer.write_all(text.as_bytes())
            }
            Format::Ndjson => ndjson::Writer::new(writer).end(document),
            Format::Json => std::mem::take(&mut outlet.spool).write(document, writer),
        })
    }

    /// A whole capture at once.
    pub fn write(&mut self, trace: &Trace) -> Result<(), OutputError> {
        let (document, part) = Part::of(trace.clone());
        let begun = self.begin(&document.tracer, &document.host, &document.capture);
        let told = self.part(&part);
        let ended = self.end(&document);
        begun.and(told).and(ended)
    }

    /// Serves every outlet and returns the first error.
    fn each(
        &mut self,
        serve: impl Fn(&mut Outlet, &mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let mut first = Ok(());
        for outlet in &mut self.outlets {
            let Some(mut writer) = outlet.writer.take() else {
                continue;
            };
            match serve(outlet, &mut writer).and_then(|()| writer.flush()) {
                Ok(()) => outlet.writer = Some(writer),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(source) if first.is_ok() => {
                    first = Err(OutputError::Write {
                        destination: outlet.destination.clone(),
                        source,
                    });
                }
                Err(_) => {}
            }
        }
        first
    }
}

fn open(destination: &Destination) -> Result<Box<dyn Write>, OutputError> {
    Ok(match destination {
        Destination::Stdout => Box::new(io::BufWriter::new(io::stdout())),
        Destination::Stderr => Box::new(io::BufWriter::new(io::stderr())),
        Destination::File(path) => {
            let opened = output_file::open(path, Readers::Umask);
            let file = opened.map_err(|source| OutputError::Create {
                path: path.clone(),
                source,
            })?;
            let begun = false;
            Box::new(io::BufWriter::new(Replaced { file, begun }))
        }
    })
}

/// A file whose old contents stay until there are new ones: outputs are opened before the
/// capture begins, and it may not even begin.
struct Replaced {
    file: File,
    begun: bool,
}

impl Write for Replaced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !std::mem::replace(&mut self.begun, true) && self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::{Destination, Format, Outlet, Reporter, TextOptions};
    use crate::journey::model::Trace;
    use crate::journey::part::Part;
    use crate::report::examples;
    use crate::report::json::Spool;
    use std::cell::RefCell;
    use std::io::{self, Write};
    use std::rc::Rc;

    /// A writer whose text can be read later, or that fails.
    #[derive(Clone, Default)]
    struct Probe {
        text: Rc<RefCell<Vec<u8>>>,
        failure: Option<io::ErrorKind>,
    }

    impl Write for Probe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.failure {
                Some(kind) => Err(kind.into()),
                None => self.text.borrow_mut().write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn reporter(probes: &[(Format, &Probe)]) -> Reporter {
        let outlet = |(format, probe): &(Format, &Probe)| Outlet {
            destination: Destination::Stdout,
            format: *format,
            options: TextOptions::default(),
            spool: Spool::default(),
            writer: Some(Box::new((*probe).clone())),
        };
        Reporter::with(probes.iter().map(outlet).collect())
    }

    fn trace() -> Trace {
        Trace {
            document: examples::shop(),
            packets: Vec::new(),
        }
    }

    #[test]
    fn a_broken_pipe_is_success_and_leaves_the_other_outputs_alone() {
        let broken = Probe {
            failure: Some(io::ErrorKind::BrokenPipe),
            ..Probe::default()
        };
        let whole = Probe::default();
        let mut reporter = reporter(&[(Format::Json, &broken), (Format::Text, &whole)]);
        assert!(reporter.write(&trace()).is_ok());
        assert!(!whole.text.borrow().is_empty());
        assert!(reporter.has_readers());
    }

    #[test]
    fn without_readers_nothing_is_left_to_do() {
        let broken = Probe {
            failure: Some(io::ErrorKind::BrokenPipe),
            ..Probe::default()
        };
        let mut reporter = reporter(&[(Format::Json, &broken)]);
        assert!(reporter.write(&trace()).is_ok());
        assert!(!reporter.has_readers());
        assert!(reporter.write(&trace()).is_ok());
    }

    #[test]
    fn a_full_disk_is_an_error_and_the_other_outputs_are_still_served() {
        let full = Probe {
            failure: Some(io::ErrorKind::StorageFull),
            ..Probe::default()
        };
        let whole = Probe::default();
        let mut reporter = reporter(&[(Format::Json, &full), (Format::Text, &whole)]);
        let error = reporter.write(&trace()).expect_err("a full disk");
        assert!(error.to_string().contains("standard output"), "{error}");
        assert!(!whole.text.borrow().is_empty());
    }

    #[test]
    fn a_live_capture_says_the_same_as_one_written_at_once() {
        for format in [Format::Text, Format::Json, Format::Ndjson] {
            let (live, whole) = (Probe::default(), Probe::default());
            let (document, part) = Part::of(trace());
            let mut reporter_live = reporter(&[(format, &live)]);
            let begun = reporter_live.begin(&document.tracer, &document.host, &document.capture);
            assert!(begun.is_ok());
            for journey in &part.journeys {
                let alone = Part {
                    journeys: vec![journey.clone()],
                    ..part.clone()
                };
                assert!(reporter_live.part(&alone).is_ok());
            }
            assert!(reporter_live.end(&document).is_ok());
            assert!(reporter(&[(format, &whole)]).write(&trace()).is_ok());
            assert_eq!(*live.text.borrow(), *whole.text.borrow(), "{format:?}");
        }
    }
}
