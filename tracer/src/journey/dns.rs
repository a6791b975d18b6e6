//! DNS queries paired with their answers, and what else took part in a name's resolution:
//! getaddrinfo(3) calls and the resolver's files.

use super::evidence::Mark;
use super::model::{DnsAnswer, DnsExchange, DnsQuestion, DnsTransport, Endpoint};
use crate::capture::{FileOpen, Frame, GetAddrInfoCall};
use crate::protocol::dns::{self, DnsMessage};
use std::collections::HashMap;

/// Exchanges, calls and file opens remembered each; beyond this the oldest are dropped.
const LIMIT: usize = 16_384;
/// A query with the same key later than this is a new exchange, not a retry: resolvers
/// give up after 30 s at most (RES_MAXRETRANS of resolv.conf(5)).
const RETRY_WINDOW_NS: u64 = 30_000_000_000;
/// Retries of one query remembered.
const RETRIES: usize = 64;
/// DNS (RFC 1035).
pub(super) const PORT: u16 = 53;

/// One query with its retries and answer.
#[derive(Debug, Clone)]
pub(super) struct TrackedQuery {
    pub number: u64,
    pub transport: DnsTransport,
    pub client: Endpoint,
    pub server: Endpoint,
    pub query_id: u16,
    pub question: DnsQuestion,
    pub queries: Vec<Mark>,
    pub answer: Option<(DnsMessage, Mark)>,
    pub cookie: Option<u64>,
    pub first_at_ns: u64,
    /// Frames for the layers view: query, answer.
    pub kept_frames: Vec<(Mark, Frame)>,
}

impl TrackedQuery {
    pub fn id(&self) -> String {
        format!("d{}", self.number)
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

    /// The exchange in the words of the model; the process is added by the caller.
    pub fn exchange(&self) -> DnsExchange {
        let answer = self.answer.as_ref();
        DnsExchange {
            id: self.id(),
            at_ns: self.first_at_ns,
            duration_ns: self.end_at_ns().map(|at| at - self.first_at_ns.min(at)),
            transport: self.transport,
            client: self.client,
            server: self.server,
            query_id: self.query_id,
            question: self.question.clone(),
            attempts: self.queries.iter().map(|mark| mark.at_ns).collect(),
            answered: answer.is_some(),
            rcode: answer.map(|(message, _)| message.rcode.clone()),
            truncated: answer.is_some_and(|(message, _)| message.truncated),
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

type Key = (DnsTransport, Endpoint, Endpoint, u16, Option<DnsQuestion>);

/// All name resolution of a capture.
#[derive(Debug)]
pub(super) struct Resolutions {
    pub queries: Vec<TrackedQuery>,
    pending: HashMap<Key, usize>,
    next_number: u64,
    keep_frames: bool,
    pub calls: Vec<(u64, GetAddrInfoCall)>,
    pub files: Vec<(u64, FileOpen)>,
}

impl Resolutions {
    pub fn new(keep_frames: bool) -> Self {
        Self {
            queries: Vec::new(),
            pending: HashMap::new(),
            next_number: 1,
            keep_frames,
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

    /// Takes one DNS message from `source` to `destination`; `frame` as evidence.
    pub fn message(
        &mut self,
        transport: DnsTransport,
        source: Endpoint,
        destination: Endpoint,
        bytes: &[u8],
        mark: Mark,
        frame: Option<&Frame>,
    ) {
        let Some(message) = dns::parse(bytes) else {
            return;
        };
        let question = message.questions.first().map(|question| DnsQuestion {
            name: question.name.clone(),
            record_type: question.record_type.clone(),
            class: question.class.clone(),
        });
        if message.response {
            let key = (transport, destination, source, message.id, question);
            self.answer(&key, message, mark, frame);
        } else {
            let key = (transport, source, destination, message.id, question);
            self.query(key, mark, frame);
        }
    }

    fn query(&mut self, key: Key, mark: Mark, frame: Option<&Frame>) {
        let kept = frame.filter(|_| self.keep_frames);
        let cookie = frame.and_then(|frame| frame.cookie);
        if let Some(query) = self
            .pending
            .get(&key)
            .and_then(|i| self.queries.get_mut(*i))
        {
            let recent = mark.at_ns.saturating_sub(query.last_at_ns()) < RETRY_WINDOW_NS;
            if query.answer.is_none() && recent {
                if query.queries.len() < RETRIES {
                    query.queries.push(mark);
                }
                query.cookie = query.cookie.or(cookie);
                return;
            }
        }
        if self.queries.len() >= LIMIT {
            self.queries.drain(..LIMIT / 2);
            self.pending.clear();
        }
        let (transport, client, server, query_id, question) = key.clone();
        let Some(question) = question else { return };
        self.pending.insert(key, self.queries.len());
        self.queries.push(TrackedQuery {
            number: self.next_number,
            transport,
            client,
            server,
            query_id,
            question,
            queries: vec![mark],
            answer: None,
            cookie,
            first_at_ns: mark.at_ns,
            kept_frames: kept
                .map(|frame| (mark, frame.clone()))
                .into_iter()
                .collect(),
        });
        self.next_number += 1;
    }

    fn answer(&mut self, key: &Key, message: DnsMessage, mark: Mark, frame: Option<&Frame>) {
        let keep = self.keep_frames;
        let Some(query) = self.pending.get(key).and_then(|i| self.queries.get_mut(*i)) else {
            return;
        };
        if query.answer.is_some() {
            return;
        }
        query.answer = Some((message, mark));
        if let Some(frame) = frame.filter(|_| keep) {
            query.kept_frames.push((mark, frame.clone()));
        }
    }

    /// Takes the DNS messages of a TCP stream, each behind two bytes of length (RFC 1035,
    /// section 4.2.2).
    pub fn stream(
        &mut self,
        source: Endpoint,
        destination: Endpoint,
        bytes: &super::bytes::TimedBytes,
        mark_of: impl Fn(u64) -> Option<Mark>,
    ) {
        let mut offset = 0;
        while let Some(header) = bytes.as_slice().get(offset..offset + 2) {
            let length = header.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
            let start = offset + 2;
            let Some(message) = bytes.as_slice().get(start..start + length) else {
                return;
            };
            let at_ns = bytes.time_of((start + length).saturating_sub(1));
            if let Some(mark) = mark_of(at_ns) {
                self.message(DnsTransport::Tcp, source, destination, message, mark, None);
            }
            offset = start + length;
        }
    }
}

fn halve<T>(list: &mut Vec<T>) {
    if list.len() >= LIMIT {
        list.drain(..LIMIT / 2);
    }
}
