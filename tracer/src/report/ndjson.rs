//! One JSON object a line, for `jq`, log shippers and dashboards.
//!
//! The header comes first and the loss summary last. A journey's line holds the objects
//! themselves where the document holds their ids, so that a reader joins nothing.

use super::lookup::Lookup;
use crate::journey::model::{
    CaptureComment, CaptureInfo, Close, Comment, Connection, Cost, DhcpExchange, DnsExchange,
    Document, Drop, End, Endpoint, Failure, Finding, Gap, Handshake, HookReport, HostInfo,
    HttpExchange, Journey, KernelPath, LossReport, NeighborExchange, Outcome, OwnAddress, PerEnd,
    Phases, Process, Quic, Reset, Resolution, Retransmission, Route, Source, StateTransition,
    TcpSample, TimelineEvent, Tls, Trace, TracerInfo, Transport, ZeroWindow,
};
use crate::journey::part::Part;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};

/// One line.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Line<'a> {
    /// The header, always the first line.
    Capture(Header<'a>),
    /// A journey with everything it refers to.
    Journey(Box<JourneyLine<'a>>),
    /// A connection that no journey refers to.
    Connection(&'a Connection),
    /// A DNS exchange that no journey refers to.
    Dns(&'a DnsExchange),
    /// A neighbour resolution that no journey refers to.
    Neighbor(&'a NeighborExchange),
    /// How a host got its address.
    Dhcp(&'a DhcpExchange),
    /// What was lost, always the last line.
    Lost(Losses<'a>),
}

/// What is known before the first journey.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Header<'a> {
    /// Version of this format.
    pub schema_version: u32,
    /// The program that wrote it.
    pub tracer: &'a TracerInfo,
    /// The host on which it was captured.
    pub host: &'a HostInfo,
    /// How it is captured.
    pub capture: CaptureStart<'a>,
}

/// The capture as far as it is known at its start.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CaptureStart<'a> {
    pub source: Source,
    /// Start of the capture in nanoseconds since 1970 (UTC), as a decimal string.
    pub started_unix_nano: &'a str,
    /// Names of the interfaces that are watched.
    pub interfaces: &'a [String],
    /// Which hook serves which fact, and which were refused and why.
    pub hooks: &'a [HookReport],
}

/// The end of a capture.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Losses<'a> {
    /// Lost events per class; empty when nothing was lost.
    pub lost: &'a BTreeMap<String, u64>,
    /// Where and when they were lost, per class and processor.
    pub losses: &'a [LossReport],
    /// What watching took of this host; null in files that are no recordings.
    pub cost: Option<&'a Cost>,
    /// What a capture file says of itself, of its interfaces and of frames that no connection
    /// has.
    pub comments: &'a [CaptureComment],
    /// Nothing was lost and every planned fact had a hook.
    pub complete: bool,
    pub duration_ns: u64,
}

/// A journey with the objects it refers to in place of their ids.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JourneyLine<'a> {
    pub id: &'a str,
    /// Null where the scheme or host is not known. The path is shown only where it was seen.
    pub url: Option<&'a str>,
    /// `http` or `https`.
    pub scheme: Option<&'a str>,
    pub host: Option<&'a str>,
    pub port: Option<u16>,
    pub process: Option<&'a Process>,
    pub outcome: Outcome,
    pub failure: Option<&'a Failure>,
    pub findings: &'a [Finding],
    pub started_at_ns: u64,
    pub duration_ns: u64,
    pub phases: Phases,
    pub resolution: &'a Resolution,
    /// The DNS exchanges of this journey.
    pub dns: Vec<&'a DnsExchange>,
    pub route: Option<&'a Route>,
    pub own_address: Option<&'a OwnAddress>,
    /// The neighbour resolution this journey needed.
    pub neighbor: Option<&'a NeighborExchange>,
    /// Every connection tried, in order.
    #[schemars(with = "Vec<Connection>")]
    pub attempts: Vec<Box<RawValue>>,
    /// The connection that carried it; its `http` holds this journey's exchange only (and before
    /// it the one that an upgrade to HTTP/2 was asked for in), its `tcp_samples` those of this
    /// journey's time.
    #[schemars(with = "Option<Connection>")]
    pub connection: Option<Box<RawValue>>,
    /// The HTTP exchange of this journey.
    pub http: Option<&'a HttpExchange>,
    pub reused_connection: bool,
    /// Id of the journey that caused this one (a redirect).
    pub caused_by: Option<&'a str>,
    pub timeline: &'a [TimelineEvent],
    pub gaps: &'a [Gap],
}

impl<'a> JourneyLine<'a> {
    /// Resolves what `journey` refers to.
    ///
    /// # Errors
    /// None that a model could lead to.
    pub fn new(journey: &'a Journey, lookup: &Lookup<'a>) -> serde_json::Result<Self> {
        let exchanges = lookup.exchanges_of(journey);
        let mut carrier = None;
        let mut attempts = Vec::with_capacity(journey.attempts.len());
        for connection in lookup.attempts_of(journey) {
            let carried = journey.connection.as_ref() == Some(&connection.id);
            let http = if carried { exchanges } else { &[] };
            let text = to_raw_value(&OwnConnection::of(connection, journey, http))?;
            // Mostly the only one: written once, told twice.
            if carried {
                carrier = Some(text.clone());
            }
            attempts.push(text);
        }
        if carrier.is_none()
            && let Some(connection) = lookup.connection_of(journey)
        {
            let own = OwnConnection::of(connection, journey, exchanges);
            carrier = Some(to_raw_value(&own)?);
        }
        Ok(Self {
            id: &journey.id,
            url: journey.url.as_deref(),
            scheme: journey.scheme.as_deref(),
            host: journey.host.as_deref(),
            port: journey.port,
            process: journey.process.as_ref(),
            outcome: journey.outcome,
            failure: journey.failure.as_ref(),
            findings: &journey.findings,
            started_at_ns: journey.started_at_ns,
            duration_ns: journey.duration_ns,
            phases: journey.phases,
            resolution: &journey.resolution,
            dns: lookup.dns_of(journey),
            route: journey.route.as_ref(),
            own_address: journey.own_address.as_ref(),
            neighbor: lookup.neighbor_of(journey),
            attempts,
            connection: carrier,
            http: exchanges.last(),
            reused_connection: journey.reused_connection,
            caused_by: journey.caused_by.as_deref(),
            timeline: &journey.timeline,
            gaps: &journey.gaps,
        })
    }
}

/// A connection without the exchanges and samples of other journeys: with them, the lines of
/// a long keep-alive connection would grow with the square of its requests. The members are
/// those of [`Connection`], which a test sees to.
#[derive(Debug, Serialize)]
struct OwnConnection<'a> {
    id: &'a str,
    transport: Transport,
    client: Endpoint,
    server: Endpoint,
    interface: Option<&'a str>,
    client_process: Option<&'a Process>,
    server_process: Option<&'a Process>,
    client_readers: &'a [Process],
    server_readers: &'a [Process],
    client_writers: Option<&'a [Process]>,
    server_writers: Option<&'a [Process]>,
    handshake: &'a Handshake,
    states: &'a [StateTransition],
    bytes: PerEnd,
    segments: PerEnd,
    retransmissions: &'a [Retransmission],
    retransmissions_unlisted: u64,
    srtt_ns: Option<u64>,
    drops: &'a [Drop],
    tcp_samples: &'a [TcpSample],
    resets: &'a [Reset],
    zero_windows: &'a [ZeroWindow],
    #[serde(skip_serializing_if = "<[Comment]>::is_empty")]
    comments: &'a [Comment],
    close: &'a Close,
    kernel_path: Option<&'a KernelPath>,
    requester: End,
    quic: Option<&'a Quic>,
    tls: Option<&'a Tls>,
    http: &'a [HttpExchange],
}

impl<'a> OwnConnection<'a> {
    /// `http`: the exchanges of `journey`, if this connection carried it.
    fn of(connection: &'a Connection, journey: &Journey, http: &'a [HttpExchange]) -> Self {
        Self {
            id: &connection.id,
            transport: connection.transport,
            client: connection.client,
            server: connection.server,
            interface: connection.interface.as_deref(),
            client_process: connection.client_process.as_ref(),
            server_process: connection.server_process.as_ref(),
            client_readers: &connection.client_readers,
            server_readers: &connection.server_readers,
            client_writers: connection.client_writers.as_deref(),
            server_writers: connection.server_writers.as_deref(),
            handshake: &connection.handshake,
            states: &connection.states,
            bytes: connection.bytes,
            segments: connection.segments,
            retransmissions: &connection.retransmissions,
            retransmissions_unlisted: connection.retransmissions_unlisted,
            srtt_ns: connection.srtt_ns,
            drops: &connection.drops,
            tcp_samples: samples_of(connection, journey),
            resets: &connection.resets,
            zero_windows: &connection.zero_windows,
            comments: &connection.comments,
            close: &connection.close,
            kernel_path: connection.kernel_path.as_ref(),
            requester: connection.requester,
            quic: connection.quic.as_deref(),
            tls: connection.tls.as_deref(),
            http,
        }
    }
}

/// The samples of a journey's time, of the first one on a connection also those before. They
/// are in time order.
fn samples_of<'a>(connection: &'a Connection, journey: &Journey) -> &'a [TcpSample] {
    let end_ns = journey.started_at_ns.saturating_add(journey.duration_ns);
    let samples = &connection.tcp_samples;
    let begin = match journey.reused_connection {
        true => samples.partition_point(|sample| sample.at_ns < journey.started_at_ns),
        false => 0,
    };
    let end = samples.partition_point(|sample| sample.at_ns <= end_ns);
    samples.get(begin..end).unwrap_or_default()
}

/// Writes lines as they become known. Nothing is flushed.
#[derive(Debug)]
pub struct Writer<W> {
    writer: W,
    /// The line that is being written: memory that is used for one after the other.
    text: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub fn new(writer: W) -> Self {
        let text = Vec::new();
        Self { writer, text }
    }

    /// The first line. Of `capture`, only what is known at the start is used.
    ///
    /// # Errors
    /// Those of the writer, here and below.
    pub fn header(
        &mut self,
        tracer: &TracerInfo,
        host: &HostInfo,
        capture: &CaptureInfo,
    ) -> io::Result<()> {
        self.line(&Line::Capture(Header {
            schema_version: crate::journey::model::SCHEMA_VERSION,
            tracer,
            host,
            capture: CaptureStart {
                source: capture.source,
                started_unix_nano: &capture.started_unix_nano,
                interfaces: &capture.interfaces,
                hooks: &capture.hooks,
            },
        }))
    }

    /// One journey with what `lookup` knows of its references.
    pub fn journey(&mut self, journey: &Journey, lookup: &Lookup<'_>) -> io::Result<()> {
        self.line(&Line::Journey(Box::new(JourneyLine::new(journey, lookup)?)))
    }

    /// What belongs to no journey by its nature, and the last line.
    pub fn end(&mut self, document: &Document) -> io::Result<()> {
        for exchange in &document.dhcp {
            self.line(&Line::Dhcp(exchange))?;
        }
        let capture = &document.capture;
        self.line(&Line::Lost(Losses {
            lost: &capture.lost,
            losses: &capture.losses,
            cost: capture.cost.as_ref(),
            comments: &capture.comments,
            complete: capture.complete,
            duration_ns: capture.duration_ns,
        }))
    }

    /// A whole document: header, its lists as one part, losses.
    pub fn document(&mut self, document: &Document) -> io::Result<()> {
        let (document, part) = Part::of(Trace {
            document: document.clone(),
            packets: Vec::new(),
        });
        self.header(&document.tracer, &document.host, &document.capture)?;
        self.part(&part, &Lookup::of(&part))?;
        self.end(&document)
    }

    /// A part: its journeys, and what no journey refers to.
    pub fn part(&mut self, part: &Part, lookup: &Lookup<'_>) -> io::Result<()> {
        for journey in &part.journeys {
            self.journey(journey, lookup)?;
        }
        self.unclaimed(part)
    }

    /// Objects that belong to no journey are facts, too.
    fn unclaimed(&mut self, part: &Part) -> io::Result<()> {
        let claimed: HashSet<&str> = part
            .journeys
            .iter()
            .flat_map(|journey| {
                let single = journey.connection.iter().chain(&journey.neighbor);
                single.chain(&journey.attempts).chain(&journey.dns)
            })
            .chain(&part.claimed)
            .map(String::as_str)
            .collect();
        let free = |id: &String| !claimed.contains(id.as_str());
        for connection in part.connections.iter().filter(|item| free(&item.id)) {
            self.line(&Line::Connection(connection))?;
        }
        for exchange in part.dns.iter().filter(|item| free(&item.id)) {
            self.line(&Line::Dns(exchange))?;
        }
        for exchange in part.neighbors.iter().filter(|item| free(&item.id)) {
            self.line(&Line::Neighbor(exchange))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.text.clear();
        serde_json::to_writer(&mut self.text, line)?;
        self.text.push(b'\n');
        self.writer.write_all(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{OwnConnection, Writer};
    use crate::journey::model::Document;
    use crate::report::examples;
    use serde_json::Value;

    fn lines(document: &Document) -> Vec<Value> {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes)
            .document(document)
            .expect("memory takes everything");
        String::from_utf8(bytes)
            .expect("JSON is UTF-8")
            .lines()
            .map(|line| serde_json::from_str(line).expect("one object a line"))
            .collect()
    }

    fn kinds(lines: &[Value]) -> Vec<&str> {
        lines
            .iter()
            .filter_map(|line| line["type"].as_str())
            .collect()
    }

    #[test]
    fn the_header_is_first_and_the_losses_are_last() {
        let lines = lines(&examples::incomplete());
        assert_eq!(kinds(&lines), ["capture", "journey", "lost"]);
        assert_eq!(lines[0]["schema_version"], 1);
        assert_eq!(lines[2]["lost"]["frame"], 14);
        assert_eq!(lines[2]["complete"], false);
    }

    #[test]
    fn a_journey_needs_no_join() {
        let lines = lines(&examples::shop());
        let journey = &lines[1];
        assert_eq!(journey["url"], "https://www.shop.test/");
        assert_eq!(journey["connection"]["tls"]["version"], "1.3");
        assert_eq!(journey["attempts"][0]["server"]["ip"], "10.77.2.80");
        assert_eq!(journey["dns"][1]["question"]["type"], "AAAA");
        assert_eq!(journey["neighbor"]["mac"], "02:42:0a:4d:01:01");
        assert_eq!(journey["http"]["status"], 200);
    }

    #[test]
    fn a_journey_line_has_every_member_of_the_documents_journey() {
        let document = examples::shop();
        let journey = serde_json::to_value(&document.journeys[0]).expect("JSON");
        let members = journey.as_object().expect("an object");
        let line = &lines(&document)[1];
        for member in members.keys() {
            assert!(line.get(member).is_some(), "{member}");
        }
        assert_eq!(
            line.as_object().map(|line| line.len()),
            Some(members.len() + 1)
        );
    }

    #[test]
    fn a_reused_connection_does_not_repeat_the_other_exchanges() {
        let lines = lines(&examples::reused());
        assert_eq!(kinds(&lines), ["capture", "journey", "journey", "lost"]);
        let exchanges = lines[2]["connection"]["http"].as_array().expect("a list");
        assert_eq!(exchanges.len(), 1);
        assert_eq!(exchanges[0]["id"], "c1.2");
    }

    #[test]
    fn an_upgrade_has_both_exchanges_and_the_answer_is_the_journeys() {
        let line = &lines(&examples::upgraded())[1];
        let exchanges = line["connection"]["http"].as_array().expect("a list");
        let told: Vec<_> = exchanges.iter().map(|it| &it["status"]).collect();
        assert_eq!(told, [101, 200]);
        assert_eq!(line["http"], exchanges[1]);
        assert_eq!(line["http"]["upgraded_from"], exchanges[0]["id"]);
    }

    /// Where a journey leaves nothing out of a connection, the text is the same.
    #[test]
    fn a_line_has_every_member_of_the_documents_connection() {
        let mut document = examples::shop();
        let journey = document.journeys.remove(0);
        let mut seen = 0;
        for mut connection in document.connections {
            connection.http.truncate(1);
            let http = connection.http.clone();
            let own = OwnConnection::of(&connection, &journey, &http);
            let text = serde_json::to_string(&own).expect("JSON");
            let samples = own.tcp_samples.to_vec();
            seen += samples.len();
            connection.tcp_samples = samples;
            assert_eq!(text, serde_json::to_string(&connection).expect("JSON"));
        }
        assert!(seen > 0, "no sample to leave out or not");
    }

    #[test]
    fn what_no_journey_claims_is_not_dropped() {
        let mut document = examples::shop();
        document.journeys.clear();
        let lines = lines(&document);
        assert_eq!(
            kinds(&lines),
            ["capture", "connection", "dns", "dns", "neighbor", "lost"]
        );
    }
}
