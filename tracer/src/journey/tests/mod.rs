//! The assembler, fed with hand-made observations.

mod attempts;
mod children;
mod fragments;
mod inside;
mod invariants;
mod kernel;
mod leases;
mod live;
mod losses;
mod memory;
mod names;
mod namespaces;
mod odd;
mod parts;
mod remarks;

use super::assemble::{Assembler, AssemblerOptions};
use super::limits::Limits;
use super::model::{
    CaptureInfo, Document, HostInfo, Journey, SCHEMA_VERSION, Source, Trace, TracerInfo,
};
use crate::capture::{
    Direction, Fact, FileOpen, Frame, GetAddrInfoCall, HookKind, LinkType, Observation, PacketNote,
    SocketOwner, SocketUse,
};
use etherparse::PacketBuilder;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;
/// The traced process.
pub(super) const PID: u32 = 42;
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 10);
const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 53);
const IP_TCP: u8 = 6;
const IP_UDP: u8 = 17;

pub(super) fn server(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 2, last)
}

/// One TCP connection of the traced process: where each side's next byte goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    pub port: u16,
    pub server: (Ipv4Addr, u16),
    client_next: u32,
    server_next: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flags {
    Syn,
    SynAck,
    Ack,
    Fin,
    Reset,
}

/// Writes observations, one after the other.
pub(super) struct Script {
    pub assembler: Assembler,
    pub at_ns: u64,
    /// What every segment offers.
    pub window: u16,
    /// What the file says of the next frame.
    pub note: Option<Box<PacketNote>>,
    next_id: u16,
}

impl Script {
    pub fn new(live: bool) -> Self {
        let assembler = Assembler::new(AssemblerOptions {
            source: Source::Live,
            stream_limit: 1 << 16,
            keep_frames: false,
            without_timeline: false,
            show_secrets: false,
            live,
            limits: Limits::default(),
        });
        Self {
            assembler,
            at_ns: 0,
            window: 1000,
            note: None,
            next_id: 1,
        }
    }

    /// Frames of a capture file.
    pub fn of_file(limits: Limits) -> Self {
        let mut script = Self::new(false);
        script.assembler = Assembler::new(AssemblerOptions {
            source: Source::File,
            stream_limit: 1 << 16,
            keep_frames: false,
            without_timeline: false,
            show_secrets: false,
            live: false,
            limits,
        });
        script
    }

    pub fn wait(&mut self, time_ns: u64) {
        self.at_ns += time_ns;
    }

    pub fn fact(&mut self, fact: Fact) {
        // Two things never happen at once.
        self.at_ns += 1000;
        let at_ns = self.at_ns;
        self.assembler.observe(Observation { at_ns, fact });
    }

    fn frame(&mut self, out: bool, cookie: Option<u64>, data: Vec<u8>) {
        let note = self.note.take();
        self.fact(Fact::Frame(Frame {
            interface: 2,
            direction: if out { Direction::Out } else { Direction::In },
            hook: if out { HookKind::Tcx } else { HookKind::Xdp },
            link_type: LinkType::Ethernet,
            cookie,
            original_length: u32::try_from(data.len()).unwrap(),
            data,
            note,
        }));
    }

    /// connect(2) without any frame.
    pub fn connect_call(&mut self, port: u16, server: (Ipv4Addr, u16)) -> Wire {
        self.fact(Fact::SocketOwner(SocketOwner {
            cookie: Some(cookie_of(port)),
            usage: SocketUse::Connect,
            pid: PID,
            tid: PID,
            uid: 1000,
            comm: "client".to_owned(),
            protocol: IP_TCP,
            local: None,
            remote: Some(SocketAddr::from(server)),
            network_namespace: None,
            hook: HookKind::Cgroup,
        }));
        Wire {
            port,
            server,
            client_next: u32::from(port) << 8,
            server_next: 7000,
        }
    }

    fn segment(&mut self, wire: &mut Wire, out: bool, flags: Flags, payload: &[u8]) {
        let cookie = out.then(|| cookie_of(wire.port));
        self.segment_of(wire, out, flags, payload, cookie);
    }

    /// A segment sent by the socket with this cookie.
    fn segment_of(
        &mut self,
        wire: &mut Wire,
        out: bool,
        flags: Flags,
        payload: &[u8],
        cookie: Option<u64>,
    ) {
        let (address, port) = wire.server;
        let (sequence, acknowledgment) = match out {
            true => (wire.client_next, wire.server_next),
            false => (wire.server_next, wire.client_next),
        };
        let (from, to, ports) = match out {
            true => (CLIENT, address, (wire.port, port)),
            false => (address, CLIENT, (port, wire.port)),
        };
        let tcp = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(from.octets(), to.octets(), 64)
            .tcp(ports.0, ports.1, sequence, self.window);
        let tcp = match flags {
            Flags::Syn => tcp.syn(),
            Flags::SynAck => tcp.syn().ack(acknowledgment),
            Flags::Ack => tcp.ack(acknowledgment),
            Flags::Fin => tcp.fin().ack(acknowledgment),
            Flags::Reset => tcp.rst().ack(acknowledgment),
        };
        let mut data = Vec::new();
        tcp.write(&mut data, payload).unwrap();
        let counts = matches!(flags, Flags::Syn | Flags::SynAck | Flags::Fin);
        let length = u32::try_from(payload.len()).unwrap() + u32::from(counts);
        match out {
            true => wire.client_next += length,
            false => wire.server_next += length,
        }
        self.frame(out, cookie, data);
    }

    /// A connection of which only frames are seen.
    pub fn wire(&mut self, port: u16, server: (Ipv4Addr, u16)) -> Wire {
        Wire {
            port,
            server,
            client_next: u32::from(port) << 8,
            server_next: 7000,
        }
    }

    /// The three messages.
    pub fn open(&mut self, wire: &mut Wire) {
        self.segment(wire, true, Flags::Syn, b"");
        self.segment(wire, false, Flags::SynAck, b"");
        self.segment(wire, true, Flags::Ack, b"");
    }

    /// connect(2) and the three messages.
    pub fn connect(&mut self, port: u16, server: (Ipv4Addr, u16)) -> Wire {
        let mut wire = self.connect_call(port, server);
        self.segment(&mut wire, true, Flags::Syn, b"");
        self.segment(&mut wire, false, Flags::SynAck, b"");
        self.segment(&mut wire, true, Flags::Ack, b"");
        wire
    }

    /// connect(2), SYN, RST.
    pub fn refused(&mut self, port: u16, server: (Ipv4Addr, u16)) {
        let mut wire = self.connect_call(port, server);
        self.segment(&mut wire, true, Flags::Syn, b"");
        self.segment(&mut wire, false, Flags::Reset, b"");
    }

    pub fn request(&mut self, wire: &mut Wire, host: &str, path: &str) {
        let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        self.segment(wire, true, Flags::Ack, text.as_bytes());
    }

    pub fn response(&mut self, wire: &mut Wire) {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        self.segment(wire, false, Flags::Ack, text);
    }

    /// The client closes, the server agrees.
    pub fn close(&mut self, wire: &mut Wire) {
        self.segment(wire, true, Flags::Fin, b"");
        self.segment(wire, false, Flags::Fin, b"");
        self.segment(wire, true, Flags::Ack, b"");
    }

    /// Request, response, close.
    pub fn exchange(&mut self, wire: &mut Wire, host: &str, path: &str) {
        self.request(wire, host, path);
        self.response(wire);
        self.close(wire);
    }

    fn datagram(&mut self, out: bool, port: u16, resolver: Ipv4Addr, payload: &[u8]) {
        let (from, to, ports) = match out {
            true => (CLIENT, resolver, (port, 53)),
            false => (resolver, CLIENT, (53, port)),
        };
        let udp = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(from.octets(), to.octets(), 64)
            .udp(ports.0, ports.1);
        let mut data = Vec::new();
        udp.write(&mut data, payload).unwrap();
        self.frame(out, out.then(|| cookie_of(port)), data);
    }

    /// A query for an A record that `PID` sends over a socket of its own.
    pub fn query(&mut self, name: &str, resolver: Ipv4Addr) -> (u16, u16) {
        let id = self.next_id;
        self.next_id += 1;
        let port = 50_000 + id;
        self.fact(Fact::SocketOwner(SocketOwner {
            cookie: Some(cookie_of(port)),
            usage: SocketUse::Connect,
            pid: PID,
            tid: PID,
            uid: 1000,
            comm: "client".to_owned(),
            protocol: IP_UDP,
            local: None,
            remote: Some(SocketAddr::from((resolver, 53))),
            network_namespace: None,
            hook: HookKind::Cgroup,
        }));
        self.datagram(true, port, resolver, &question(id, 0x0100, 0, name));
        (id, port)
    }

    pub fn answer(&mut self, (id, port): (u16, u16), name: &str, addresses: &[Ipv4Addr]) {
        let (flags, count) = match addresses.is_empty() {
            true => (0x8183, 0),
            false => (0x8180, u16::try_from(addresses.len()).unwrap()),
        };
        let mut message = question(id, flags, count, name);
        for address in addresses {
            // A pointer to the question's name, A, IN, 60 s, four bytes.
            message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            message.extend(address.octets());
        }
        self.datagram(false, port, RESOLVER, &message);
    }

    /// A query and its answer; NXDOMAIN without an address.
    pub fn resolve(&mut self, name: &str, addresses: &[Ipv4Addr]) {
        let query = self.query(name, RESOLVER);
        self.wait(MS);
        self.answer(query, name, addresses);
    }

    /// getaddrinfo(3) that was entered at `entered_at_ns` and returns now.
    pub fn getaddrinfo(&mut self, name: &str, entered_at_ns: u64, result: i32) {
        self.fact(Fact::GetAddrInfo(GetAddrInfoCall {
            pid: PID,
            tid: PID,
            comm: "client".to_owned(),
            name: Some(name.to_owned()),
            service: None,
            entered_at_ns,
            result: Some(result),
        }));
    }

    /// `PID` opens one of the resolver's files.
    pub fn open_file(&mut self, path: &str, hook: HookKind) {
        self.fact(Fact::FileOpen(FileOpen {
            pid: PID,
            path: path.to_owned(),
            hook,
        }));
    }

    /// The journeys that are over now, by what they asked for.
    pub fn finished(&mut self) -> Vec<Journey> {
        self.assembler.take_finished(self.at_ns).journeys
    }

    pub fn finish(self) -> Trace {
        let trace = self.assembler.finish(document());
        for journey in &trace.document.journeys {
            check(journey);
        }
        trace
    }

    pub fn journeys(self) -> Vec<Journey> {
        self.finish().document.journeys
    }
}

/// What holds of every journey: its parts lie inside it, and its time is theirs.
pub(super) fn check(journey: &Journey) {
    let phases = &journey.phases;
    let all = [
        &phases.resolve,
        &phases.route,
        &phases.neighbor,
        &phases.connect,
        &phases.tls,
        &phases.request,
        &phases.wait,
        &phases.response,
    ];
    let end = journey.started_at_ns + journey.duration_ns;
    let mut cursor = journey.started_at_ns;
    for phase in all.into_iter().flatten() {
        assert!(phase.at_ns >= cursor, "{phase:?} begins before {cursor}");
        cursor = phase.at_ns + phase.duration_ns;
    }
    assert!(cursor <= end, "a phase ends after its journey");
}

fn cookie_of(port: u16) -> u64 {
    u64::from(port) | 1 << 32
}

/// RFC 1035, section 4.1.
fn question(id: u16, flags: u16, answers: u16, name: &str) -> Vec<u8> {
    let mut message = Vec::new();
    for number in [id, flags, 1, answers, 0, 0] {
        message.extend(number.to_be_bytes());
    }
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

fn document() -> Document {
    Document {
        schema_version: SCHEMA_VERSION,
        tracer: TracerInfo {
            version: String::new(),
            command: Vec::new(),
        },
        host: HostInfo {
            hostname: None,
            kernel: None,
        },
        capture: CaptureInfo {
            source: Source::Live,
            network_namespace: None,
            started_unix_nano: "0".to_owned(),
            duration_ns: 0,
            interfaces: Vec::new(),
            hooks: Vec::new(),
            lost: std::collections::BTreeMap::new(),
            losses: Vec::new(),
            cost: None,
            comments: Vec::new(),
            complete: true,
        },
        dns: Vec::new(),
        neighbors: Vec::new(),
        dhcp: Vec::new(),
        connections: Vec::new(),
        journeys: Vec::new(),
    }
}

pub(super) fn v4(address: Ipv4Addr) -> IpAddr {
    IpAddr::V4(address)
}

pub(super) const fn resolver() -> Ipv4Addr {
    RESOLVER
}
