//! The one assembler: observations in, journeys out.
//!
//! It only remembers; the story is told by `compose` from what was remembered,
//! at the end of a capture or, in live mode, whenever a connection falls quiet.

use super::connection::ConnectCall;
use super::connections::Connections;
use super::dhcp::Leases;
use super::dns::{DnsPacket, Resolutions};
use super::evidence::{InterfaceNames, Mark};
use super::limits::Limits;
use super::losses::Losses;
use super::model::{DhcpExchange, DnsProtocol, DnsTransport, Endpoint, NeighborProtocol, Source};
use super::neighbor::{NeighborMessage, Neighbors};
use super::process::Processes;
use super::remarks::CaptureRemarks;
use super::route::Routes;
use super::settle::Settling;
use super::tls::KeyLog;
use super::wanted::Wanted;
use crate::capture::{
    ClientReport, Direction, Fact, Frame, HookKind, ListenQueue, Observation, SocketOwner,
    SocketUse, spare,
};
use crate::protocol::dhcp;
use crate::protocol::dns;
use crate::protocol::fragments::Fragments;
use crate::protocol::frame::{
    self, Arp, ArpOperation, Icmp, IcmpMessage, Ip, Network, ParsedFrame, Transport, Udp,
};
use std::net::IpAddr;

/// IP protocol number of TCP.
const TCP: u8 = 6;
/// NetBIOS names (RFC 1002, section 4.2) look like those of DNS.
const NETBIOS_NAMES: u16 = 137;
/// IP protocol number of UDP.
const UDP: u8 = 17;

/// How many uses of UDP sockets are looked through for the connect(2) of a new connection.
const RECENT_OWNERS: usize = 256;

/// Times at which listening queues were full that are remembered; asked for twice a second.
const FULL_QUEUES: usize = 4096;

/// Tunnels within tunnels that are opened.
const TUNNELS: usize = 4;

/// What the assembler is to do.
#[derive(Debug, Clone)]
pub struct AssemblerOptions {
    pub source: Source,
    /// Payload bytes kept per direction of a connection.
    pub stream_limit: usize,
    /// Keep whole frames of the key moments, for the layers view.
    pub keep_frames: bool,
    /// Leave out the lines of each journey: they are most of the words, and no output that
    /// was asked for shows them.
    pub without_timeline: bool,
    /// Show secret values instead of redacting them.
    pub show_secrets: bool,
    /// Journeys are reported while the capture goes on; memory is bounded by forgetting
    /// what was reported.
    pub live: bool,
    /// Of a capture file.
    pub limits: Limits,
}

/// Everything remembered of a capture.
#[derive(Debug)]
pub struct Assembler {
    pub(super) options: AssemblerOptions,
    pub(super) interfaces: InterfaceNames,
    pub(super) connections: Connections,
    pub(super) resolutions: Resolutions,
    pub(super) neighbors: Neighbors,
    pub(super) routes: Routes,
    pub(super) leases: Leases,
    pub(super) processes: Processes,
    pub(super) secrets: KeyLog,
    pub(super) client_reports: Vec<(u64, ClientReport)>,
    pub(super) losses: Losses,
    pub(super) remarks: CaptureRemarks,
    /// When listening sockets of this host had no room.
    pub(super) full_queues: Vec<(u64, ListenQueue)>,
    pub(super) last_at_ns: u64,
    frames: u64,
    fragments: Fragments,
    /// The last frame was a part of a packet that is not whole.
    waits_for_fragments: bool,
    pub(super) reported: super::live::Reported,
    pub(super) next_journey: u64,
    pub(super) wanted: Wanted,
    pub(super) settling: Settling,
    /// Everything on this host was wanted, not what one command does.
    pub(super) of_whole_host: bool,
    /// The capture was cut: it did not end here by itself.
    pub(super) is_cut: bool,
    /// UDP sockets: who sent the DNS queries when the frame itself does not name a socket.
    pub(super) datagram_owners: Vec<(u64, SocketOwner)>,
}

impl Assembler {
    pub fn new(options: AssemblerOptions) -> Self {
        let keep = options.keep_frames;
        let is_file = options.source == Source::File;
        let mut connections = Connections::new(options.stream_limit, keep, is_file);
        if is_file && !options.limits.keep_unread {
            connections.skim();
        }
        Self {
            connections,
            resolutions: Resolutions::new(keep, is_file),
            neighbors: Neighbors::new(keep, is_file),
            interfaces: InterfaceNames::default(),
            routes: Routes::default(),
            leases: Leases::default(),
            processes: Processes::default(),
            secrets: KeyLog::default(),
            client_reports: Vec::new(),
            losses: Losses::default(),
            remarks: CaptureRemarks::default(),
            full_queues: Vec::new(),
            last_at_ns: 0,
            frames: 0,
            fragments: Fragments::default(),
            waits_for_fragments: false,
            reported: super::live::Reported::default(),
            next_journey: 1,
            wanted: Wanted::default(),
            settling: Settling::default(),
            of_whole_host: options.live,
            is_cut: false,
            datagram_owners: Vec::new(),
            options,
        }
    }

    /// Takes the next observation, in time order.
    pub fn observe(&mut self, observation: Observation) {
        let at_ns = observation.at_ns;
        self.last_at_ns = self.last_at_ns.max(at_ns);
        match observation.fact {
            Fact::Frame(frame) => {
                self.frame(at_ns, &frame);
                // What comes in fragments comes with the last of them.
                if !self.waits_for_fragments {
                    self.settle_closed(at_ns);
                }
                self.keep_within_limits(at_ns, frame.data.len());
                spare::give_back(frame.data);
            }
            Fact::TcpState(change) => self.connections.state(at_ns, change),
            Fact::LayerPassage(passage) => self.connections.passage(at_ns, passage),
            Fact::TcpSample(sample) => {
                let ends = (sample.local, sample.remote);
                let namespace = sample.network_namespace;
                if let Some((it, end)) = self.connections.end_of_socket(ends, namespace) {
                    it.sample(at_ns, end, &sample);
                }
            }
            Fact::TcpRetransmit(again) => {
                let ends = (again.local, again.remote);
                let namespace = again.network_namespace;
                if let Some((it, end)) = self.connections.end_of_socket(ends, namespace) {
                    it.retransmit_told(at_ns, end, &again);
                }
            }
            Fact::TcpReset(reset) => {
                let ends = (reset.local, reset.remote);
                let namespace = reset.network_namespace;
                if let Some((it, end)) = self.connections.end_of_socket(ends, namespace) {
                    it.reset_told(at_ns, end, &reset);
                }
            }
            Fact::PacketDrop(dropped) => {
                if let Some((it, end)) = self.connections.sender_of_drop(&dropped) {
                    it.dropped(at_ns, end, &dropped);
                }
            }
            Fact::ListenQueue(full) => {
                if self.full_queues.len() < FULL_QUEUES {
                    self.full_queues.push((at_ns, full));
                }
            }
            Fact::SocketOwner(owner) => self.owner(at_ns, owner),
            Fact::RouteLookup(lookup) => self.routes.lookup(at_ns, lookup),
            Fact::RouteDetail(detail) => self.routes.detail(detail),
            Fact::Neighbor(event) => self.neighbors.event(at_ns, &event),
            Fact::GetAddrInfo(call) => self.resolutions.call(at_ns, call),
            Fact::FileOpen(file) => self.resolutions.file(at_ns, file),
            Fact::Process(event) => self.processes.event(at_ns, event),
            Fact::Interface(interface) => {
                self.connections.watched.has(&interface);
                self.interfaces.insert(interface);
            }
            Fact::NetworkNamespace(inode) => self.connections.watched.is(inode),
            Fact::Comment(comment) => self.remarks.file(&comment, &self.interfaces),
            Fact::TlsSecret(line) => self.secrets.add_line(&line),
            Fact::Client(report) => self.client_reports.push((at_ns, report)),
            Fact::Lost {
                class,
                count,
                place,
            } => self.losses.push(at_ns, class, count, place),
        }
    }

    /// The capture was cut: what is open now went on unseen.
    pub fn cut(&mut self) {
        self.is_cut = true;
    }

    /// Names of the interfaces that the capture told of so far.
    pub fn interfaces(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for interface in self.interfaces.iter() {
            if !names.contains(&interface.name) {
                names.push(interface.name.clone());
            }
        }
        names
    }

    /// Frames seen so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// No connection that had any frame is still open.
    pub fn all_closed(&self) -> bool {
        let mut connections = self.connections.iter();
        // What ends a QUIC connection is sealed, or is silence.
        connections.all(|connection| {
            connection.is_closed() || !connection.has_frames() || connection.quic.is_some()
        })
    }

    /// The DHCP exchanges, so far.
    pub fn dhcp(&self) -> Vec<DhcpExchange> {
        self.leases.exchanges(&self.interfaces)
    }

    fn owner(&mut self, at_ns: u64, owner: SocketOwner) {
        self.processes.owner(&owner);
        if owner.protocol == TCP {
            self.connections.owner(at_ns, &owner);
        } else if matches!(owner.usage, SocketUse::Connect | SocketUse::SendMessage) {
            if self.datagram_owners.len() >= 16_384 {
                self.datagram_owners.drain(..8192);
            }
            self.datagram_owners.push((at_ns, owner));
        }
    }

    fn frame(&mut self, at_ns: u64, frame: &Frame) {
        self.frames += 1;
        self.waits_for_fragments = false;
        let mark = Mark::new(at_ns, self.frames, frame);
        // On loopback every packet leaves and arrives; it counts once, where it leaves.
        let arrived_on_loopback = frame.direction == Direction::In
            && frame.hook != HookKind::Pcap
            && self.interfaces.is_loopback(frame.interface);
        if arrived_on_loopback {
            return;
        }
        let parsed = frame::parse_cut(frame.link_type, &frame.data, frame.original_length);
        let has_connection = self.network(&parsed, TUNNELS, mark, frame);
        if let Some(note) = frame.note.as_deref().filter(|_| !has_connection) {
            self.remarks.frame(mark, note);
        }
    }

    fn arp(&mut self, arp: &Arp, mark: Mark, frame: &Frame) {
        let request = match arp.operation {
            ArpOperation::Request => true,
            ArpOperation::Reply => false,
            ArpOperation::Other(_) => return,
        };
        let (asked, asker) = if request {
            (arp.target_ip, arp.sender_ip)
        } else {
            (arp.sender_ip, arp.target_ip)
        };
        let message = NeighborMessage {
            protocol: NeighborProtocol::Arp,
            target: IpAddr::V4(asked),
            asker: IpAddr::V4(asker),
            // An announcement is about the sender itself (RFC 5227, section 2.3).
            mac: (!request || asked == asker).then(|| arp.sender_mac.clone()),
            request,
        };
        self.neighbors.message(&message, mark, frame);
    }

    /// What a frame carries, or what a tunnel in it carries, with so many `tunnels` in that at
    /// most. True when a connection has it.
    fn network(
        &mut self,
        parsed: &ParsedFrame<'_>,
        tunnels: usize,
        mark: Mark,
        frame: &Frame,
    ) -> bool {
        if let Some(inner) = self.inside(parsed, tunnels) {
            return self.network(&inner, tunnels - 1, mark, frame);
        }
        match &parsed.network {
            Network::Arp(arp) => {
                self.arp(arp, mark, frame);
                false
            }
            Network::Ip(ip) => self.packet(ip, tunnels, mark, frame),
            Network::Other { .. } => false,
        }
    }

    /// What a tunnel carries, in files: a live capture sees that again where the tunnel ends,
    /// a file mostly does not.
    fn inside<'a>(&self, parsed: &ParsedFrame<'a>, tunnels: usize) -> Option<ParsedFrame<'a>> {
        let opens = tunnels > 0 && self.options.source == Source::File;
        let inner = opens.then(|| frame::parse_inner(parsed)).flatten()?;
        (!matches!(inner.network, Network::Other { .. })).then_some(inner)
    }

    /// A packet, whole or in fragments. True when a connection has it.
    fn packet(&mut self, ip: &Ip<'_>, tunnels: usize, mark: Mark, frame: &Frame) -> bool {
        let Some(whole) = self.fragments.add(ip, mark.at_ns) else {
            let is_part = matches!(ip.transport, Transport::Other { .. });
            self.waits_for_fragments = ip.fragment.is_some() && is_part;
            return self.transport(ip, &ip.transport, mark, frame);
        };
        let (protocol, transport) = whole.open();
        let whole = ParsedFrame {
            source_mac: None,
            destination_mac: None,
            vlans: Vec::new(),
            network: Network::Ip(Ip {
                protocol,
                fragment: None,
                transport,
                ..ip.clone()
            }),
        };
        self.network(&whole, tunnels, mark, frame)
    }

    fn transport(
        &mut self,
        ip: &Ip<'_>,
        transport: &Transport<'_>,
        mark: Mark,
        frame: &Frame,
    ) -> bool {
        match transport {
            Transport::Tcp(tcp) => {
                let source = endpoint(ip.source, tcp.source_port);
                let destination = endpoint(ip.destination, tcp.destination_port);
                self.connections
                    .segment(source, destination, tcp, mark, frame)
            }
            Transport::Udp(udp) => self.datagram(ip, udp, mark, frame),
            Transport::Icmp(icmp) => {
                self.icmp(ip, icmp, mark, frame);
                false
            }
            Transport::Other { .. } => false,
        }
    }

    fn icmp(&mut self, ip: &Ip<'_>, icmp: &Icmp<'_>, mark: Mark, frame: &Frame) {
        let message = match &icmp.message {
            IcmpMessage::Error { quoted } => {
                self.icmp_error((icmp.version, icmp.kind, icmp.code), quoted, mark);
                return;
            }
            IcmpMessage::NeighborSolicitation { target, .. } => NeighborMessage {
                protocol: NeighborProtocol::Ndp,
                target: *target,
                asker: ip.source,
                mac: None,
                request: true,
            },
            IcmpMessage::NeighborAdvertisement {
                target, target_mac, ..
            } => NeighborMessage {
                protocol: NeighborProtocol::Ndp,
                target: *target,
                asker: ip.destination,
                mac: target_mac.map(Vec::from),
                request: false,
            },
            IcmpMessage::Other => return,
        };
        self.neighbors.message(&message, mark, frame);
    }

    fn datagram(&mut self, ip: &Ip<'_>, udp: &Udp<'_>, mark: Mark, frame: &Frame) -> bool {
        let source = endpoint(ip.source, udp.source_port);
        let destination = endpoint(ip.destination, udp.destination_port);
        let protocol = DnsProtocol::of_ports(source.port, destination.port).or_else(|| {
            let named = [source.port, destination.port].contains(&NETBIOS_NAMES);
            // A resolver may listen on any port; that of dnscrypt-proxy or CoreDNS is chosen.
            (!named && dns::is_unmistakable(udp.payload)).then_some(DnsProtocol::Dns)
        });
        if let Some(protocol) = protocol {
            let message = DnsPacket {
                protocol,
                transport: DnsTransport::Udp,
                source,
                destination,
                bytes: udp.payload,
            };
            self.resolutions.message(&message, mark, Some(frame));
            return false;
        }
        if let Some(version) = dhcp::version_of_ports(source.port, destination.port)
            && let Some(message) = dhcp::parse(version, udp.payload)
        {
            self.leases
                .message(message, source.ip, destination.ip, mark);
            return false;
        }
        let connections = &mut self.connections;
        let found = connections.datagram(source, destination, udp, mark, frame);
        connections.look_for_close(source, destination, udp.payload, &self.secrets);
        let opened = found.filter(|(_, opened)| *opened);
        let connection = opened.and_then(|(number, _)| connections.get_mut(number));
        // A UDP socket that was connected chose its route then, before the first datagram.
        let calls = self.datagram_owners.iter().rev();
        let call = |(_, owner): &&(u64, SocketOwner)| {
            owner.cookie.is_some()
                && owner.cookie == frame.cookie
                && owner.usage == SocketUse::Connect
                && owner.remote.map(Endpoint::from) == Some(destination)
        };
        if let Some(connection) = connection
            && let Some((at_ns, owner)) = calls.take(RECENT_OWNERS).find(call)
        {
            connection.connect = Some(ConnectCall {
                at_ns: *at_ns,
                pid: owner.pid,
            });
        }
        found.is_some()
    }

    fn icmp_error(&mut self, error: (u8, u8, u8), quoted: &[u8], mark: Mark) {
        let Some((protocol, source, source_port, destination, destination_port)) =
            frame::parse_quoted(quoted)
        else {
            return;
        };
        let (one, other) = (
            endpoint(source, source_port),
            endpoint(destination, destination_port),
        );
        let number = match protocol {
            TCP => self.connections.between(one, other),
            UDP => self.connections.quic_between(one, other),
            _ => None,
        };
        if let Some(connection) = number.and_then(|number| self.connections.get_mut(number)) {
            let (version, kind, code) = error;
            connection
                .icmp_error
                .get_or_insert((version, kind, code, mark));
            connection.touched = true;
        }
    }
}

fn endpoint(ip: IpAddr, port: u16) -> Endpoint {
    Endpoint { ip, port }
}
