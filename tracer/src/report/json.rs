//! The whole document as JSON (schema version 1).
//!
//! It can be written only when everything is over, because what was lost stands before what
//! was told. Until then each list is kept as the text that it is going to be, compressed:
//! nothing is written outside the file that was asked for.

use crate::journey::model::{CaptureInfo, Document, HostInfo, TracerInfo};
use crate::journey::part::Part;
use serde::Serialize;
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// Text is compressed in blocks of this size, about. Less is kept as it is.
const BLOCK_BYTES: usize = 1 << 20;
/// Of zstd: 1 is the fastest of those that compress well.
const LEVEL: i32 = 1;
/// The document's members are indented once, the elements of its lists twice.
const ELEMENT_DEPTH: usize = 2;

/// Writes `document` and a line end; `pretty` for people, otherwise one line.
///
/// # Errors
/// Those of `writer`.
pub fn write(document: &Document, pretty: bool, mut writer: impl Write) -> io::Result<()> {
    if pretty {
        serde_json::to_writer_pretty(&mut writer, document)?;
    } else {
        serde_json::to_writer(&mut writer, document)?;
    }
    writer.write_all(b"\n")
}

/// A document that is told in parts, until it can be written.
#[derive(Debug, Default)]
pub struct Spool {
    dns: List,
    neighbors: List,
    connections: List,
    journeys: List,
}

/// What a document says before its lists, in its order.
#[derive(Serialize)]
struct Head<'a> {
    schema_version: u32,
    tracer: &'a TracerInfo,
    host: &'a HostInfo,
    capture: &'a CaptureInfo,
}

impl Spool {
    /// Takes what a part tells.
    ///
    /// # Errors
    /// When it cannot be compressed.
    pub fn part(&mut self, part: &Part) -> io::Result<()> {
        part.dns.iter().try_for_each(|it| self.dns.push(it))?;
        let mut neighbors = part.neighbors.iter();
        neighbors.try_for_each(|it| self.neighbors.push(it))?;
        let mut connections = part.connections.iter();
        connections.try_for_each(|it| self.connections.push(it))?;
        part.journeys
            .iter()
            .try_for_each(|it| self.journeys.push(it))
    }

    /// Writes the document, for people, and a line end. Of the lists of `document`
    /// itself only the short one of DHCP exchanges is looked at.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn write(self, document: &Document, mut writer: impl Write) -> io::Result<()> {
        let head = serde_json::to_string_pretty(&Head {
            schema_version: document.schema_version,
            tracer: &document.tracer,
            host: &document.host,
            capture: &document.capture,
        })?;
        let open = head.strip_suffix("\n}").unwrap_or(&head);
        writer.write_all(open.as_bytes())?;
        let mut dhcp = List::default();
        document.dhcp.iter().try_for_each(|it| dhcp.push(it))?;
        let lists = [
            ("dns", self.dns),
            ("neighbors", self.neighbors),
            ("dhcp", dhcp),
            ("connections", self.connections),
            ("journeys", self.journeys),
        ];
        for (name, list) in lists {
            write!(writer, ",\n  \"{name}\": ")?;
            list.write(&mut writer)?;
        }
        writer.write_all(b"\n}\n")
    }
}

/// The text of one list.
#[derive(Debug, Default)]
struct List {
    /// Compressed, each with the length of its text.
    blocks: Vec<(Box<[u8]>, usize)>,
    /// The end of the text, not compressed yet.
    text: Vec<u8>,
}

impl List {
    fn push(&mut self, element: &impl Serialize) -> io::Result<()> {
        let first = self.text.is_empty() && self.blocks.is_empty();
        let separator: &[u8] = if first { b"\n    " } else { b",\n    " };
        self.text.extend_from_slice(separator);
        let nested = Nested::at(ELEMENT_DEPTH);
        let mut serializer = serde_json::Serializer::with_formatter(&mut self.text, nested);
        element.serialize(&mut serializer)?;
        if self.text.len() >= BLOCK_BYTES {
            // It has room for text that cannot be compressed.
            let block = zstd::bulk::compress(&self.text, LEVEL)?;
            self.blocks
                .push((block.into_boxed_slice(), self.text.len()));
            self.text.clear();
        }
        Ok(())
    }

    fn write(self, writer: &mut impl Write) -> io::Result<()> {
        if self.text.is_empty() && self.blocks.is_empty() {
            return writer.write_all(b"[]");
        }
        writer.write_all(b"[")?;
        // What was written is let go.
        for (block, length) in self.blocks {
            writer.write_all(&zstd::bulk::decompress(&block, length)?)?;
        }
        writer.write_all(&self.text)?;
        writer.write_all(b"\n  ]")
    }
}

/// [`serde_json::ser::PrettyFormatter`] for a value that stands inside another one.
#[derive(Debug)]
struct Nested {
    depth: usize,
    is_filled: bool,
}

impl Nested {
    fn at(depth: usize) -> Self {
        Self {
            depth,
            is_filled: false,
        }
    }

    fn open(&mut self) {
        self.depth += 1;
        self.is_filled = false;
    }

    fn close(&mut self, writer: &mut (impl Write + ?Sized)) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        match self.is_filled {
            true => self.line(writer),
            false => Ok(()),
        }
    }

    fn next(&self, writer: &mut (impl Write + ?Sized), first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }

    fn line(&self, writer: &mut (impl Write + ?Sized)) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Nested {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open();
        writer.write_all(b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer)?;
        writer.write_all(b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.next(to, first)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_filled = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open();
        writer.write_all(b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer)?;
        writer.write_all(b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.next(to, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, Spool, write};
    use crate::journey::model::Document;
    use crate::report::examples;

    fn spooled(document: &Document, times: usize) -> String {
        let mut spool = Spool::default();
        let part = examples::part(document);
        for _ in 0..times {
            spool.part(&part).expect("memory takes everything");
        }
        let mut bytes = Vec::new();
        spool
            .write(document, &mut bytes)
            .expect("memory takes everything");
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    #[test]
    fn a_document_told_in_parts_is_the_document() {
        for (name, mut document) in examples::all() {
            let mut whole = Vec::new();
            write(&document, true, &mut whole).expect("memory takes everything");
            let whole = String::from_utf8(whole).expect("JSON is UTF-8");
            assert_eq!(spooled(&document, 1), whole, "{name}");
            let empty = spooled(&document, 0);
            document.dns.clear();
            document.neighbors.clear();
            document.connections.clear();
            document.journeys.clear();
            let mut none = Vec::new();
            write(&document, true, &mut none).expect("memory takes everything");
            assert_eq!(empty.as_bytes(), none, "{name}");
        }
    }

    #[test]
    fn what_is_compressed_comes_back_in_order() {
        let document = examples::shop();
        let once = spooled(&document, 1).len();
        let times = 4 * BLOCK_BYTES / once;
        let text = spooled(&document, times);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let journeys = value["journeys"].as_array().expect("a list");
        assert_eq!(journeys.len(), times);
        let one: serde_json::Value = serde_json::from_str(&spooled(&document, 1)).expect("JSON");
        assert!(
            journeys
                .iter()
                .all(|journey| *journey == one["journeys"][0])
        );
    }

    fn written(pretty: bool) -> String {
        let mut bytes = Vec::new();
        write(&examples::shop(), pretty, &mut bytes).expect("memory takes everything");
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    #[test]
    fn the_document_has_the_names_of_the_contract() {
        insta::assert_snapshot!("shop", written(true));
    }

    #[test]
    fn without_pretty_there_is_one_line() {
        assert_eq!(written(false).lines().count(), 1);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(value(&written(false)), value(&written(true)));
    }

    #[test]
    fn unknown_is_null_and_never_left_out() {
        let mut bytes = Vec::new();
        write(&examples::incomplete(), false, &mut bytes).expect("memory takes everything");
        let document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        let journey = document.pointer("/journeys/0").expect("a journey");
        for member in [
            "process",
            "failure",
            "http",
            "neighbor",
            "route",
            "caused_by",
        ] {
            assert!(
                journey.get(member).is_some_and(serde_json::Value::is_null),
                "{member}"
            );
        }
        assert_eq!(
            journey.pointer("/phases/wait"),
            Some(&serde_json::Value::Null)
        );
    }
}
