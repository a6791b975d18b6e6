//! The lines of one journey, in time order, each with its evidence.

mod lines;

use super::connection::TrackedConnection;
use super::dns::TrackedQuery;
use super::drafts::{self, Draft};
use super::model::{CloseMessage, End, EventDirection, HttpExchange, Layer, NeighborProtocol};
use super::neighbor::{self, TrackedNeighbor};
use super::phases::{Carrier, Path};
use super::resolution;
use super::story::{Analysed, Story};
use super::{failure, quic, route};
use crate::capture::{ClientEvent, NeighborAction};
use lines::{Lines, Timeline};
use std::net::IpAddr;

/// States that a connection passes on its way up; the others belong to its end.
const OPENING_STATES: [&str; 3] = ["SYN_SENT", "SYN_RECV", "ESTABLISHED"];

/// Collects the lines of a journey from `from` to `to`.
pub(super) fn timeline(
    story: &Story<'_>,
    draft: &Draft,
    carrier: Option<Carrier<'_>>,
    path: &Path<'_>,
    (from, to): (u64, u64),
    with_close: bool,
) -> Timeline {
    let mut lines = Lines::new(story);
    if draft.opens {
        lines.process(draft, from, to);
        if !draft.resolved.remembered {
            lines.resolution(draft);
        }
        lines.route(path);
        lines.neighbor(path, from, to);
        lines.other_neighbors(draft, path, from, to);
        for number in &draft.attempts {
            if let Some((connection, _)) = story.connection(*number) {
                lines.opening(connection);
            }
        }
    }
    if let Some(carrier) = carrier {
        if draft.opens {
            lines.tls(carrier.connection, carrier.analysed);
            if let Some(reading) = &carrier.analysed.quic {
                let interfaces = &story.memory.interfaces;
                let events = quic::events(reading, carrier.connection, interfaces, to);
                events.into_iter().for_each(|event| lines.push(event));
            }
        }
        if let Some(exchange) = carrier.exchange {
            if let Some(asked) = carrier.asked.filter(|asked| asked.id != exchange.id) {
                lines.heads(carrier, asked);
            }
            lines.http(carrier, exchange);
        }
        lines.retransmissions(carrier.connection, from, to);
    }
    for number in &draft.attempts {
        if let Some((connection, _)) = story.connection(*number) {
            lines.told(connection, from, to);
            lines.remarks(connection, from, to);
        }
    }
    if with_close {
        for number in &draft.attempts {
            if let Some((connection, _)) = story.connection(*number) {
                lines.closing(connection);
            }
        }
    }
    lines.finish()
}

impl Lines<'_> {
    fn process(&mut self, draft: &Draft, from: u64, to: u64) {
        let story = self.story;
        if let Some(pid) = draft.pid {
            let line = story.memory.processes.line_of(pid);
            for event in &story.memory.processes.life {
                if line.contains(&event.pid) && (from..=to).contains(&event.at_ns) {
                    let summary = || event.summary.clone();
                    self.local(event.at_ns, Layer::Process, summary, event.evidence);
                }
            }
        }
        let Some(index) = draft.report else { return };
        if let Some((at_ns, report)) = story.memory.client_reports.get(index) {
            let summary = || format!("asks for {}", report.url);
            self.local(*at_ns, Layer::Process, summary, "the client's own report");
        }
        if let Some((at_ns, ClientEvent::Failed { stage, message })) = drafts::verdict(story, index)
        {
            let summary = || format!("gives up ({stage}): {message}");
            if at_ns <= to {
                self.local(at_ns, Layer::Process, summary, "the client's own report");
            }
        }
    }

    fn resolution(&mut self, draft: &Draft) {
        let story = self.story;
        let calls = &story.memory.resolutions.calls;
        if let Some((returned, call)) = draft.resolved.call.and_then(|index| calls.get(index)) {
            let name = call.name.as_deref().unwrap_or("(no name)");
            let summary = || format!("{}[{}] calls getaddrinfo({name})", call.comm, call.pid);
            self.local(
                call.entered_at_ns,
                Layer::Dns,
                summary,
                "uprobe getaddrinfo",
            );
            let result = || match call.result {
                Some(0) => "getaddrinfo returns with addresses".to_owned(),
                Some(code) => format!("getaddrinfo returns {}", failure::resolver_error(code)),
                None => "getaddrinfo never returns".to_owned(),
            };
            self.local(*returned, Layer::Dns, result, "uretprobe getaddrinfo");
        }
        for (at_ns, file) in resolution::files(story, draft) {
            let summary = || format!("reads {}", file.path);
            self.local(at_ns, Layer::Dns, summary, &file.evidence());
        }
        for index in &draft.resolved.queries {
            if let Some(query) = resolution::query(story, *index) {
                self.query(query);
            }
        }
    }

    fn query(&mut self, query: &TrackedQuery) {
        let interfaces = &self.story.memory.interfaces;
        let what = || format!("{} {}", query.question.record_type, query.question.name);
        for (index, mark) in query.queries.iter().enumerate() {
            let again = if index > 0 { " again" } else { "" };
            let summary = || {
                format!(
                    "asks {} for {}{again} (id {:#06x})",
                    query.server,
                    what(),
                    query.query_id
                )
            };
            let evidence = || interfaces.evidence(*mark);
            self.add(
                mark.at_ns,
                Layer::Dns,
                EventDirection::Out,
                summary,
                evidence,
            );
        }
        let Some((message, mark)) = &query.answer else {
            return;
        };
        let summary = || {
            let addresses: Vec<String> = query.addresses().map(|a| a.to_string()).collect();
            let chain = query.chain();
            let found = match (addresses.is_empty(), chain.len()) {
                (true, 1) => "no record of this type".to_owned(),
                (true, _) => format!("{}, no record of this type", chain.join(" -> ")),
                (false, 1) => addresses.join(", "),
                (false, _) => format!("{} -> {}", chain.join(" -> "), addresses.join(", ")),
            };
            let cut = if message.truncated { ", truncated" } else { "" };
            format!("answer {}: {}: {found}{cut}", message.rcode, what())
        };
        let evidence = || interfaces.evidence(*mark);
        self.add(
            mark.at_ns,
            Layer::Dns,
            EventDirection::In,
            summary,
            evidence,
        );
    }

    fn route(&mut self, path: &Path<'_>) {
        let Some((at_ns, last)) = path.lookups.last() else {
            return;
        };
        let evidence = format!(
            "tracepoint {} ({} lookups)",
            if last.destination.is_ipv4() {
                "fib_table_lookup"
            } else {
                "fib6_table_lookup"
            },
            path.lookups.len()
        );
        let summary = || match &path.route {
            Some(route) => {
                let way = match route.gateway {
                    Some(gateway) => format!("not on this link: via {gateway}"),
                    None => "on this link".to_owned(),
                };
                let device = route.interface.as_deref().unwrap_or("?");
                let source = route.source.map(|s| format!(" src {s}"));
                let prefix = route.prefix.as_ref().map(|p| format!(", route {p}"));
                format!(
                    "{}: {way} dev {device}{}{}",
                    route.destination,
                    source.unwrap_or_default(),
                    prefix.unwrap_or_default()
                )
            }
            None => {
                let words = route::error_words(last.error);
                format!("{}: {words}", last.destination)
            }
        };
        self.local(*at_ns, Layer::Route, summary, &evidence);
    }

    fn neighbor(&mut self, path: &Path<'_>, from: u64, to: u64) {
        let story = self.story;
        if let Some(exchange) = path.neighbor {
            self.neighbor_exchange(exchange);
        }
        let Some(next_hop) = path.next_hop else {
            return;
        };
        let events = story.memory.neighbors.events(next_hop, from, to);
        let mut last = None;
        for entry in events {
            // The table is asked for every packet; only what changes is a story.
            if last == Some((entry.state, entry.mac)) || entry.action == NeighborAction::Used {
                continue;
            }
            last = Some((entry.state, entry.mac));
            let mac = entry.mac.filter(|mac| *mac != [0; 6]);
            let mac = mac.map_or(String::new(), |m| format!(" {}", neighbor::mac_text(m)));
            let state = neighbor::state_name(entry.state);
            let summary = || format!("neighbour table: {next_hop} is {state}{mac}");
            let evidence = format!("{} neigh", entry.hook);
            self.local(entry.at_ns, Layer::Link, summary, &evidence);
        }
    }

    /// Neighbours that the client had to ask for on the way, for instance its DNS server.
    fn other_neighbors(&mut self, draft: &Draft, path: &Path<'_>, from: u64, to: u64) {
        let story = self.story;
        let queries = draft.resolved.queries.iter();
        let servers: Vec<IpAddr> = queries
            .filter_map(|index| resolution::query(story, *index))
            .map(|query| story.memory.routes.next_hop(query.server.ip))
            .collect();
        let shown = path.neighbor.map(|exchange| exchange.number);
        for exchange in &story.memory.neighbors.exchanges {
            let during = (from..=to).contains(&exchange.first_at_ns());
            if during && servers.contains(&exchange.ip) && Some(exchange.number) != shown {
                self.neighbor_exchange(exchange);
            }
        }
    }

    fn neighbor_exchange(&mut self, exchange: &TrackedNeighbor) {
        let interfaces = &self.story.memory.interfaces;
        let (ask, answer) = match exchange.protocol {
            NeighborProtocol::Arp => ("ARP who has", "ARP"),
            NeighborProtocol::Ndp => ("NDP solicits", "NDP"),
        };
        for (index, mark) in exchange.requests.iter().enumerate() {
            let again = if index > 0 { " (again)" } else { "" };
            let summary = || format!("{ask} {}? tell {}{again}", exchange.ip, exchange.asker);
            let evidence = || interfaces.evidence(*mark);
            self.add(
                mark.at_ns,
                Layer::Link,
                EventDirection::Out,
                summary,
                evidence,
            );
        }
        if let (Some(mark), Some(mac)) = (exchange.answer, &exchange.mac) {
            let summary = || format!("{answer} {} is at {}", exchange.ip, neighbor::mac_text(mac));
            let evidence = || interfaces.evidence(mark);
            self.add(
                mark.at_ns,
                Layer::Link,
                EventDirection::In,
                summary,
                evidence,
            );
        }
    }

    fn opening(&mut self, connection: &TrackedConnection) {
        let interfaces = &self.story.memory.interfaces;
        if let Some(call) = &connection.connect {
            let summary = || format!("connect to {}", connection.server);
            self.local(call.at_ns, Layer::Process, summary, "cgroup connect");
        }
        let handshake = connection.handshake();
        let describe = |options: &Option<super::model::TcpOptions>| {
            let Some(options) = options else {
                return String::new();
            };
            let mss = options.mss.map(|mss| format!(", mss {mss}"));
            let scale = options
                .window_scale
                .map(|scale| format!(", wscale {scale}"));
            let sack = if options.sack_permitted { ", sack" } else { "" };
            format!(
                "{}{}{sack}",
                mss.unwrap_or_default(),
                scale.unwrap_or_default()
            )
        };
        for (index, mark) in connection.syns.iter().enumerate() {
            let again = if index > 0 { " again" } else { "" };
            let summary = || {
                format!(
                    "SYN{again} to {}, seq {}{}",
                    connection.server,
                    handshake.client_isn.unwrap_or(0),
                    describe(&handshake.client_options)
                )
            };
            let evidence = || interfaces.evidence(*mark);
            self.add(
                mark.at_ns,
                Layer::Tcp,
                EventDirection::Out,
                summary,
                evidence,
            );
        }
        if let Some(mark) = connection.syn_ack {
            let summary = || {
                format!(
                    "SYN-ACK from {}, seq {}{}",
                    connection.server,
                    handshake.server_isn.unwrap_or(0),
                    describe(&handshake.server_options)
                )
            };
            let evidence = || interfaces.evidence(mark);
            self.add(
                mark.at_ns,
                Layer::Tcp,
                EventDirection::In,
                summary,
                evidence,
            );
        }
        if let Some(mark) = connection.ack {
            let evidence = || interfaces.evidence(mark);
            let summary = || "ACK: the connection is established".to_owned();
            self.add(
                mark.at_ns,
                Layer::Tcp,
                EventDirection::Out,
                summary,
                evidence,
            );
        }
        if let Some((version, kind, code, mark)) = connection.icmp_error {
            let summary = || format!("ICMPv{version} error, type {kind} code {code}");
            let evidence = || interfaces.evidence(mark);
            let layer = match connection.quic {
                Some(_) => Layer::Quic,
                None => Layer::Tcp,
            };
            self.add(mark.at_ns, layer, EventDirection::In, summary, evidence);
        }
        self.states(connection, true);
    }

    fn states(&mut self, connection: &TrackedConnection, opening: bool) {
        for state in &connection.states {
            if OPENING_STATES.contains(&state.to.as_str()) == opening {
                let summary = || format!("{} {} -> {}", state.end.name(), state.from, state.to);
                let evidence = format!("{} TCP state", state.hook);
                self.local(state.at_ns, Layer::Tcp, summary, &evidence);
            }
        }
    }

    fn tls(&mut self, connection: &TrackedConnection, analysed: &Analysed) {
        let Some(tls) = &analysed.tls else { return };
        let story = self.story;
        for record in &tls.session.records {
            let summary = || {
                let what = if record.messages.is_empty() {
                    record.record_type.replace('_', " ")
                } else {
                    record.messages.join(", ")
                };
                let sealed = if record.encrypted { ", sealed" } else { "" };
                format!("{what} ({} B{sealed})", record.bytes)
            };
            let evidence = || sent_in(story, connection, record.end, record.at_ns);
            let direction = direction(record.end);
            self.add(record.at_ns, Layer::Tls, direction, summary, evidence);
        }
    }

    fn http(&mut self, carrier: Carrier<'_>, exchange: &HttpExchange) {
        self.heads(carrier, exchange);
        let story = self.story;
        let responder = carrier.analysed.requester.peer();
        if let Some(at_ns) = exchange.response_end_at_ns {
            let summary = || format!("response complete, {} B body", exchange.response_body_bytes);
            let place = || sent_in(story, carrier.connection, responder, at_ns);
            self.add(at_ns, Layer::Http, direction(responder), summary, place);
        }
    }

    /// The request and what was answered to it.
    fn heads(&mut self, carrier: Carrier<'_>, exchange: &HttpExchange) {
        let story = self.story;
        let requester = carrier.analysed.requester;
        let mut add = |end: End, at_ns: u64, summary: &dyn Fn() -> String| {
            let evidence = || sent_in(story, carrier.connection, end, at_ns);
            self.add(at_ns, Layer::Http, direction(end), summary, evidence);
        };
        let version = &exchange.version;
        if let Some((at_ns, asked)) = exchange.request_at_ns.zip(exchange.asked()) {
            add(requester, at_ns, &|| format!("{asked} HTTP/{version}"));
        }
        for interim in &exchange.informational {
            let summary = || format!("HTTP/{version} {}", interim.status);
            add(requester.peer(), interim.at_ns, &summary);
        }
        if let Some(at_ns) = exchange.response_at_ns {
            add(requester.peer(), at_ns, &|| {
                let status = exchange.status.map_or("?".to_owned(), |s| s.to_string());
                format!("HTTP/{version} {status}")
            });
        }
    }

    fn retransmissions(&mut self, connection: &TrackedConnection, from: u64, to: u64) {
        let interfaces = &self.story.memory.interfaces;
        for (entry, mark) in connection.retransmissions.iter() {
            if entry.kind != "syn" && (from..=to).contains(&entry.at_ns) {
                let summary = || {
                    format!(
                        "retransmission ({}): {} B at {}",
                        entry.kind, entry.bytes, entry.seq
                    )
                };
                let evidence = || match (interfaces.evidence(*mark), entry.hook.as_str()) {
                    (frame, "frames") => frame,
                    (frame, hook) => format!("{frame}, {hook} tcp_retransmit_skb"),
                };
                let direction = direction(entry.end);
                self.add(entry.at_ns, Layer::Tcp, direction, summary, evidence);
            }
        }
    }

    /// What the kernel told of the connection, and windows that closed.
    fn told(&mut self, connection: &TrackedConnection, from: u64, to: u64) {
        let told = &connection.told;
        let during = |at_ns: &u64| (from..=to).contains(at_ns);
        for dropped in told.drops.iter().filter(|it| during(&it.at_ns)) {
            let what = match dropped.flags.as_str() {
                "" => "a datagram".to_owned(),
                flags => format!("a segment ({flags})"),
            };
            let (end, reason) = (dropped.end.name(), &dropped.reason);
            let summary = || format!("the kernel drops {what} of the {end}: {reason}");
            let evidence = format!("{} kfree_skb", dropped.hook);
            self.local(dropped.at_ns, Layer::Tcp, summary, &evidence);
        }
        for reset in told.resets.iter().filter(|it| during(&it.at_ns)) {
            let reason = reset.reason.as_ref().map(|reason| format!(": {reason}"));
            let (end, action) = (reset.end.name(), &reset.action);
            let summary = || {
                format!(
                    "the {end}'s TCP has {action} a reset{}",
                    reason.unwrap_or_default()
                )
            };
            let hook = match action.as_str() {
                "sent" => "tcp_send_reset",
                _ => "tcp_receive_reset",
            };
            let evidence = format!("{} {hook}", reset.hook);
            self.local(reset.at_ns, Layer::Tcp, summary, &evidence);
        }
        for closed in told.zero_windows.iter().filter(|it| during(&it.at_ns)) {
            let summary = || format!("the {} has no room: window 0", closed.end.name());
            let direction = direction(closed.end);
            let evidence = || "TCP header".to_owned();
            self.add(closed.at_ns, Layer::Tcp, direction, summary, evidence);
        }
    }

    /// What the capture file says beside the bytes of the packets.
    fn remarks(&mut self, connection: &TrackedConnection, from: u64, to: u64) {
        let Some(remarks) = &connection.remarks else {
            return;
        };
        let layer = match connection.quic {
            Some(_) => Layer::Quic,
            None => Layer::Tcp,
        };
        let during = |at_ns: &u64| (from..=to).contains(at_ns);
        for comment in remarks.comments.iter().filter(|it| during(&it.at_ns)) {
            let summary = || format!("comment: {}", comment.text);
            let evidence = || format!("pcapng comment, frame {}", comment.frame);
            let direction = direction(comment.end);
            self.add(comment.at_ns, layer, direction, summary, evidence);
        }
        for end in [End::Client, End::Server] {
            let better = self.story.owner(connection, end).is_some();
            let named = remarks.process(end).filter(|_| !better);
            if let Some((process, by, mark)) = named.filter(|(.., mark)| during(&mark.at_ns)) {
                let (end, comm, pid) = (end.name(), process.comm, process.pid);
                let summary = || format!("the capture file names {comm}[{pid}] as the {end}");
                let evidence = format!("{}, frame {}", by.name(), mark.number);
                self.local(mark.at_ns, Layer::Process, summary, &evidence);
            }
        }
    }

    fn closing(&mut self, connection: &TrackedConnection) {
        let interfaces = &self.story.memory.interfaces;
        for (CloseMessage { at_ns, end, kind }, mark) in &connection.close_messages {
            let summary = || match kind.as_str() {
                "fin" => format!("FIN: the {} has nothing more to send", end.name()),
                "ack" => format!("ACK of the FIN, by the {}", end.name()),
                _ => format!("RST: the {} resets the connection", end.name()),
            };
            let evidence = || interfaces.evidence(*mark);
            self.add(*at_ns, Layer::Tcp, direction(*end), summary, evidence);
        }
        self.states(connection, false);
    }
}

/// Which frame had the byte that `end` sent at `at_ns`.
fn sent_in(story: &Story<'_>, connection: &TrackedConnection, end: End, at_ns: u64) -> String {
    let mark = connection.frame_at(end, at_ns);
    mark.map_or("TCP stream".to_owned(), |mark| {
        story.memory.interfaces.evidence(mark)
    })
}

fn direction(end: End) -> EventDirection {
    match end {
        End::Client => EventDirection::Out,
        End::Server => EventDirection::In,
    }
}
