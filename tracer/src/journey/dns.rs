//! DNS queries paired with their answers, and what else took part in a name's resolution:
//! getaddrinfo(3) calls and the resolver's files.

use super::evidence::Mark;
use super::model::{DnsAnswer, DnsExchange, DnsProtocol, DnsQuestion, DnsTransport, Endpoint};
use crate::capture::{FileOpen, Frame, GetAddrInfoCall};
use crate::protocol::dns::{self, DnsMessage};
use std::collections::{BTreeSet, HashMap};

/// Exchanges, calls and file opens remembered each; beyond this the oldest are dropped.
const LIMIT: usize = 16_384;
/// The same of a file, which ends.
const FILE_LIMIT: usize = 1 << 20;
/// Questions looked at in one message; more than one are seen in multicast DNS only.
const QUESTIONS: usize = 32;
/// An answer of multicast DNS later than this answers somebody else (RFC 6762, section 5.2:
/// the second query follows after a second at least).
const MULTICAST_WINDOW_NS: u64 = 5_000_000_000;
/// Responders repeat themselves after a second at the earliest (RFC 6762, section 6).
const COPY_NS: u64 = 100_000_000;
/// A query with the same key later than this is a new exchange, not a retry: resolvers
/// give up after 30 s at most (RES_MAXRETRANS of resolv.conf(5)).
pub(super) const RETRY_WINDOW_NS: u64 = 30_000_000_000;
/// Retries of one query, and repetitions of its answer, remembered; more are told as another
/// exchange.
const RETRIES: usize = 64;
/// What an exchange and a record of its answer cost with their strings, bytes, about.
const EXCHANGE_BYTES: usize = 600;
const RECORD_BYTES: usize = 200;
/// DNS (RFC 1035).
pub(super) const PORT: u16 = 53;

/// One query with its retries and answer.
#[derive(Debug, Clone)]
pub(super) struct TrackedQuery {
    pub number: u64,
    pub transport: DnsTransport,
    pub protocol: DnsProtocol,
    pub client: Endpoint,
    pub server: Endpoint,
    pub query_id: u16,
    pub question: DnsQuestion,
    pub queries: Vec<Mark>,
    pub answer: Option<(DnsMessage, Mark)>,
    /// When the same answer was seen again: to a retry, or copied by the network or by a
    /// capture at several places.
    pub repeated: Vec<Mark>,
    pub cookie: Option<u64>,
    pub first_at_ns: u64,
    /// Frames for the layers view: query, answer.
    pub kept_frames: Vec<(Mark, Frame)>,
}

impl TrackedQuery {
    pub fn id(&self) -> String {
        format!("d{}", self.number)
    }

    /// Memory that it takes, in bytes, about.
    pub fn weight(&self) -> usize {
        let answer = self.answer.as_ref();
        let records = answer.map_or(0, |(message, _)| message.answers.len());
        let frames = self.kept_frames.iter().map(|(_, frame)| frame.data.len());
        EXCHANGE_BYTES + records * RECORD_BYTES + frames.sum::<usize>()
    }

    pub fn end_at_ns(&self) -> Option<u64> {
        self.answer.as_ref().map(|(_, mark)| mark.at_ns)
    }

    /// The last thing that happened: answer or retry.
    pub fn last_at_ns(&self) -> u64 {
        let last_query = self.queries.last().map_or(self.first_at_ns, |m| m.at_ns);
        self.end_at_ns().unwrap_or(0).max(last_query)
    }

    pub fn rcode(&self) -> Option<&str> {
        self.answer
            .as_ref()
            .map(|(message, _)| message.rcode.as_str())
    }

    /// Addresses of the answer.
    pub fn addresses(&self) -> impl Iterator<Item = std::net::IpAddr> {
        let answers = self.answer.iter().flat_map(|(message, _)| &message.answers);
        answers
            .filter(|record| matches!(record.record_type.as_str(), "A" | "AAAA"))
            .filter_map(|record| record.data.parse().ok())
    }

    /// The chain of names from the question through every CNAME (RFC 1034, section 3.6.2).
    pub fn chain(&self) -> Vec<String> {
        let mut chain = vec![self.question.name.clone()];
        let Some((message, _)) = &self.answer else {
            return chain;
        };
        while chain.len() <= message.answers.len() {
            let Some(last) = chain.last() else { break };
            let next = message.answers.iter().find(|record| {
                record.record_type == "CNAME" && record.name.eq_ignore_ascii_case(last)
            });
            let Some(next) = next else { break };
            let target = next.data.trim_end_matches('.').to_owned();
            if chain.contains(&target) {
                break;
            }
            chain.push(target);
        }
        chain
    }

    /// The same answer each time that it was seen again, as an entry beside the exchange: its
    /// id is that of the exchange and a number.
    pub fn repetitions(&self) -> impl Iterator<Item = DnsExchange> {
        let again = self.repeated.iter().zip(2..);
        again.map(|(mark, number)| DnsExchange {
            id: format!("{}.{number}", self.id()),
            at_ns: mark.at_ns,
            duration_ns: None,
            attempts: Vec::new(),
            ..self.exchange()
        })
    }

    /// The exchange in the words of the model; the process is added by the caller.
    pub fn exchange(&self) -> DnsExchange {
        let answer = self.answer.as_ref();
        DnsExchange {
            id: self.id(),
            at_ns: self.first_at_ns,
            duration_ns: self
                .end_at_ns()
                .filter(|_| !self.queries.is_empty())
                .map(|at| at.saturating_sub(self.first_at_ns)),
            transport: self.transport,
            protocol: self.protocol,
            client: self.client,
            server: self.server,
            query_id: self.query_id,
            question: self.question.clone(),
            attempts: self.queries.iter().map(|mark| mark.at_ns).collect(),
            answered: answer.is_some(),
            rcode: answer.map(|(message, _)| message.rcode.clone()),
            truncated: answer.is_some_and(|(message, _)| message.truncated),
            malformed: answer.is_some_and(|(message, _)| message.malformed),
            answer_count: answer.map(|(message, _)| message.answer_count),
            answers: answer
                .map(|(message, _)| message.answers.iter().map(record).collect())
                .unwrap_or_default(),
            process: None,
        }
    }
}

fn record(record: &dns::Record) -> DnsAnswer {
    DnsAnswer {
        name: record.name.clone(),
        record_type: record.record_type.clone(),
        ttl: record.ttl,
        data: record.data.clone(),
    }
}

/// One DNS message and how it travelled.
pub(super) struct DnsPacket<'a> {
    pub protocol: DnsProtocol,
    pub transport: DnsTransport,
    pub source: Endpoint,
    pub destination: Endpoint,
    /// Without the length prefix of TCP.
    pub bytes: &'a [u8],
}

/// What a query and its answer have in common. Servers may answer in another case than
/// they were asked in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    transport: DnsTransport,
    protocol: DnsProtocol,
    client: Endpoint,
    /// `None` where the question goes to a group and the answer comes from a member.
    server: Option<Endpoint>,
    id: u16,
    name: String,
    record_type: String,
}

impl Key {
    fn new(packet: &DnsPacket<'_>, message: &DnsMessage, question: &DnsQuestion) -> Self {
        let (client, server) = ends(packet, message);
        Self {
            transport: packet.transport,
            protocol: packet.protocol,
            client,
            server: (packet.protocol == DnsProtocol::Dns).then_some(server),
            id: message.id,
            name: question.name.to_ascii_lowercase(),
            record_type: question.record_type.clone(),
        }
    }
}

/// Client and server of a message.
fn ends(packet: &DnsPacket<'_>, message: &DnsMessage) -> (Endpoint, Endpoint) {
    match message.response {
        true => (packet.destination, packet.source),
        false => (packet.source, packet.destination),
    }
}

fn questions(message: &DnsMessage) -> Vec<DnsQuestion> {
    let questions = message.questions.iter().take(QUESTIONS);
    questions
        .map(|question| DnsQuestion {
            name: question.name.clone(),
            record_type: question.record_type.clone(),
            class: question.class.clone(),
        })
        .collect()
}

/// All name resolution of a capture.
#[derive(Debug)]
pub(super) struct Resolutions {
    pub queries: Vec<TrackedQuery>,
    pending: HashMap<Key, usize>,
    /// Questions of multicast DNS by name and type, which anybody may have asked.
    multicast: HashMap<(String, String), Vec<usize>>,
    /// The last answer each host gave to a group: the same again at once is a copy.
    announced: HashMap<Endpoint, (u64, DnsMessage)>,
    /// The last query between two ends with an id, for answers that repeat no question.
    by_id: HashMap<(Endpoint, Endpoint, u16), usize>,
    next_number: u64,
    keep_frames: bool,
    limit: usize,
    /// Memory that the queries take, in bytes, about.
    weight: usize,
    pub calls: Vec<(u64, GetAddrInfoCall)>,
    pub files: Vec<(u64, FileOpen)>,
}

impl Resolutions {
    pub fn new(keep_frames: bool, is_file: bool) -> Self {
        Self {
            queries: Vec::new(),
            pending: HashMap::new(),
            multicast: HashMap::new(),
            announced: HashMap::new(),
            by_id: HashMap::new(),
            next_number: 1,
            keep_frames,
            limit: if is_file { FILE_LIMIT } else { LIMIT },
            weight: 0,
            calls: Vec::new(),
            files: Vec::new(),
        }
    }

    pub fn call(&mut self, at_ns: u64, call: GetAddrInfoCall) {
        halve(&mut self.calls);
        self.calls.push((at_ns, call));
    }

    pub fn file(&mut self, at_ns: u64, file: FileOpen) {
        halve(&mut self.files);
        self.files.push((at_ns, file));
    }

    /// Memory that the queries take, in bytes, about.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Forgets the queries with these numbers.
    pub fn forget(&mut self, numbers: &BTreeSet<u64>) {
        let mut left = 0;
        let places = self.queries.iter().map(|query| {
            let kept = !numbers.contains(&query.number);
            let place = kept.then_some(left);
            left += usize::from(kept);
            place
        });
        let places: Vec<Option<usize>> = places.collect();
        let moved = |index: &mut usize| {
            let place = places.get(*index).copied().flatten();
            *index = place.unwrap_or_default();
            place.is_some()
        };
        self.pending.retain(|_, index| moved(index));
        self.by_id.retain(|_, index| moved(index));
        self.multicast.retain(|_, asking| {
            asking.retain_mut(moved);
            !asking.is_empty()
        });
        self.announced.clear();
        self.queries
            .retain(|query| !numbers.contains(&query.number));
        self.weight = self.queries.iter().map(TrackedQuery::weight).sum();
    }

    /// Takes one DNS message; `frame` as evidence.
    pub fn message(&mut self, packet: &DnsPacket<'_>, mark: Mark, frame: Option<&Frame>) {
        let message = match packet.protocol {
            DnsProtocol::Dns => dns::parse(packet.bytes),
            DnsProtocol::Mdns | DnsProtocol::Llmnr => dns::parse_local(packet.bytes),
        };
        let Some(message) = message else {
            return;
        };
        if !message.response {
            for question in questions(&message) {
                self.query(packet, &message, question, mark, frame);
            }
        } else if packet.protocol == DnsProtocol::Mdns {
            self.multicast_answer(packet, message, mark, frame);
        } else {
            self.answer(packet, message, mark, frame);
        }
    }

    fn query(
        &mut self,
        packet: &DnsPacket<'_>,
        message: &DnsMessage,
        question: DnsQuestion,
        mark: Mark,
        frame: Option<&Frame>,
    ) {
        let key = Key::new(packet, message, &question);
        let cookie = frame.and_then(|frame| frame.cookie);
        let known = self.pending.get(&key);
        if let Some(query) = known.and_then(|index| self.queries.get_mut(*index)) {
            let recent = mark.at_ns.saturating_sub(query.last_at_ns()) < RETRY_WINDOW_NS;
            if query.answer.is_none() && recent && query.queries.len() < RETRIES {
                query.queries.push(mark);
                query.cookie = query.cookie.or(cookie);
                return;
            }
        }
        let index = self.begin(packet, message, question, mark, frame);
        if packet.protocol == DnsProtocol::Mdns {
            let asked = (key.name.clone(), key.record_type.clone());
            let asking = self.multicast.entry(asked).or_default();
            if asking.len() >= QUESTIONS {
                asking.remove(0);
            }
            asking.push(index);
        }
        let ends = (packet.source, packet.destination, message.id);
        self.by_id.insert(ends, index);
        self.pending.insert(key, index);
        if let Some(query) = self.queries.get_mut(index) {
            query.queries.push(mark);
        }
    }

    /// A new exchange without query and answer yet; gives its index.
    fn begin(
        &mut self,
        packet: &DnsPacket<'_>,
        message: &DnsMessage,
        question: DnsQuestion,
        mark: Mark,
        frame: Option<&Frame>,
    ) -> usize {
        if self.queries.len() >= self.limit {
            self.queries.drain(..self.limit / 2);
            self.pending.clear();
            self.multicast.clear();
            self.announced.clear();
            self.by_id.clear();
            self.weight = self.queries.iter().map(TrackedQuery::weight).sum();
        }
        let (client, server) = ends(packet, message);
        let kept = frame.filter(|_| self.keep_frames);
        let kept = kept.map(|frame| (mark, frame.clone()));
        self.queries.push(TrackedQuery {
            number: self.next_number,
            transport: packet.transport,
            protocol: packet.protocol,
            client,
            server,
            query_id: message.id,
            question,
            queries: Vec::new(),
            answer: None,
            repeated: Vec::new(),
            cookie: frame.and_then(|frame| frame.cookie),
            first_at_ns: mark.at_ns,
            kept_frames: kept.into_iter().collect(),
        });
        self.next_number += 1;
        self.weight += self.queries.last().map_or(0, TrackedQuery::weight);
        self.queries.len() - 1
    }

    fn answer(
        &mut self,
        packet: &DnsPacket<'_>,
        message: DnsMessage,
        mark: Mark,
        frame: Option<&Frame>,
    ) {
        let (client, server) = ends(packet, &message);
        let mut asked = questions(&message);
        if asked.is_empty() {
            let index = self.by_id.get(&(client, server, message.id)).copied();
            if let Some(index) = index.filter(|index| !self.is_another(*index, &message)) {
                return self.set_answer(index, message, mark, frame);
            }
            // The messages of a zone transfer after the first need not repeat the question
            // (RFC 5936, section 2.2.1). Where nobody was seen to ask, what was asked can be
            // read from the first record of an answer.
            let query = index.and_then(|index| self.queries.get(index));
            let question = query.map(|query| query.question.clone());
            let question = question.or_else(|| message.answers.first().map(question_of));
            asked.push(question.unwrap_or_else(unknown));
        }
        // Several questions in one message are multicast's; here they are answered together
        // when they were asked together, and mean nothing otherwise.
        let is_pending = |question: &DnsQuestion| {
            self.pending
                .contains_key(&Key::new(packet, &message, question))
        };
        match asked.iter().any(is_pending) {
            true => asked.retain(is_pending),
            false => asked.truncate(1),
        }
        for question in asked {
            let key = Key::new(packet, &message, &question);
            let known = self.pending.get(&key).copied();
            let index = match known.filter(|index| !self.is_another(*index, &message)) {
                Some(index) => index,
                None => {
                    // The query was before the capture, took another way, or somebody else
                    // answered it first; a zone transfer comes in several messages.
                    let index = self.begin(packet, &message, question, mark, None);
                    self.pending.insert(key, index);
                    index
                }
            };
            self.set_answer(index, message.clone(), mark, frame);
        }
    }

    /// Whether the exchange has its answer already, and this is not that.
    fn is_another(&self, index: usize, message: &DnsMessage) -> bool {
        self.queries.get(index).is_some_and(|query| {
            let answer = query.answer.as_ref();
            answer.is_some_and(|(first, _)| first != message) || query.repeated.len() >= RETRIES
        })
    }

    /// An answer to a group answers everybody who asked lately; nobody may have asked.
    fn multicast_answer(
        &mut self,
        packet: &DnsPacket<'_>,
        message: DnsMessage,
        mark: Mark,
        frame: Option<&Frame>,
    ) {
        let copy = self
            .announced
            .insert(packet.source, (mark.at_ns, message.clone()))
            .is_some_and(|(at_ns, last)| {
                last == message && mark.at_ns.saturating_sub(at_ns) < COPY_NS
            });
        if copy {
            return;
        }
        let mut answered = Vec::new();
        for record in message.answers.iter().take(QUESTIONS) {
            let name = record.name.to_ascii_lowercase();
            for record_type in [record.record_type.as_str(), "ANY"] {
                let asking = self
                    .multicast
                    .remove(&(name.clone(), record_type.to_owned()));
                answered.extend(asking.into_iter().flatten());
            }
        }
        answered.sort_unstable();
        answered.dedup();
        answered.retain(|index| {
            self.queries.get(*index).is_some_and(|query| {
                mark.at_ns.saturating_sub(query.last_at_ns()) < MULTICAST_WINDOW_NS
            })
        });
        if answered.is_empty()
            && let Some(record) = message.answers.first()
        {
            answered.push(self.begin(packet, &message, question_of(record), mark, None));
        }
        for index in answered {
            self.set_answer(index, message.clone(), mark, frame);
        }
    }

    fn set_answer(&mut self, index: usize, message: DnsMessage, mark: Mark, frame: Option<&Frame>) {
        let keep = self.keep_frames;
        let Some(query) = self.queries.get_mut(index) else {
            return;
        };
        if query.answer.is_some() {
            if query.protocol != DnsProtocol::Mdns {
                query.repeated.push(mark);
            }
            return;
        }
        let before = query.weight();
        query.answer = Some((message, mark));
        if let Some(frame) = frame.filter(|_| keep) {
            query.kept_frames.push((mark, frame.clone()));
        }
        self.weight += query.weight() - before;
    }
}

/// Of an answer that does not say what was asked.
fn unknown() -> DnsQuestion {
    DnsQuestion {
        name: "...".to_owned(),
        record_type: "...".to_owned(),
        class: "...".to_owned(),
    }
}

fn question_of(record: &dns::Record) -> DnsQuestion {
    DnsQuestion {
        name: record.name.clone(),
        record_type: record.record_type.clone(),
        class: "IN".to_owned(),
    }
}

/// Where the messages of a TCP stream stand, each behind two bytes of length (RFC 1035,
/// section 4.2.2), and when each was complete. Of one that the capture cut the beginning.
pub(super) fn in_stream(stream: &super::bytes::TimedBytes) -> Vec<(u64, std::ops::Range<usize>)> {
    let bytes = stream.as_slice();
    let mut found = Vec::new();
    let mut offset = 0;
    while let Some(header) = bytes.get(offset..offset + 2) {
        let hole = stream.next_hole(offset).map_or(usize::MAX, |hole| hole.0);
        if hole < offset + 2 {
            break;
        }
        let length = header.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
        let start = offset + 2;
        let end = start + length;
        if end > bytes.len() {
            break;
        }
        found.push((stream.time_of(end.saturating_sub(1)), start..end.min(hole)));
        offset = end;
    }
    found
}

fn halve<T>(list: &mut Vec<T>) {
    if list.len() >= LIMIT {
        list.drain(..LIMIT / 2);
    }
}

#[cfg(test)]
mod tests;
