//! Records of the ring -> observations.
//!
//! The kernel programs are ours, but what they copied is not: a record that makes no sense
//! is refused and counted by the caller, never trusted.

mod fields;
mod tcp;

use tracer_common::{event, record};

use super::{clock::Clock, reasons::Reasons};
use crate::capture::{
    Direction, Fact, FileOpen, Frame, GetAddrInfoCall, HookKind, KernelLayer, LayerPassage,
    LinkType, NeighborAction, NeighborEvent, Observation, ProcessEvent, RouteLookup, SocketOwner,
    SocketUse, TcpState, TcpStateChange,
};
use fields::{
    address, known_address, known_socket_address, namespace, record, socket_address, text,
};

/// A record that is too short for what it claims to be, or holds a number that has no
/// meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A record of the ring of losses.
pub(super) fn lost(bytes: &[u8]) -> Result<record::Lost, Malformed> {
    record(bytes)
}

/// Turns records into observations.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    clock: Clock,
    /// How classifiers are attached in this run: the programs themselves cannot tell.
    classifier: HookKind,
    /// What watches each place on the way through the kernel.
    watchers: Vec<(u8, String)>,
    reasons: Reasons,
}

impl Decoder {
    pub(super) fn new(clock: Clock, classifier: HookKind) -> Self {
        Self {
            clock,
            classifier,
            watchers: Vec::new(),
            reasons: Reasons::default(),
        }
    }

    /// With what watches each place on the way through the kernel.
    pub(super) fn with_watchers(mut self, watchers: Vec<(u8, String)>) -> Self {
        self.watchers = watchers;
        self
    }

    /// With the kernel's words for its reasons.
    pub(super) fn with_reasons(mut self, reasons: Reasons) -> Self {
        self.reasons = reasons;
        self
    }

    /// Appends what one record says; most say one thing.
    pub(super) fn decode(
        &self,
        bytes: &[u8],
        into: &mut Vec<Observation>,
    ) -> Result<(), Malformed> {
        let header: record::Header = record(bytes)?;
        let hook = self.hook(header.hook)?;
        let at_ns = self.clock.since_start(header.at_ns);
        let mut say = |fact| into.push(Observation { at_ns, fact });
        match header.event {
            event::FRAME => say(Fact::Frame(frame(bytes, hook)?)),
            event::TCP_STATE => {
                let (change, listener) = tcp_state(record(bytes)?, hook)?;
                say(Fact::TcpState(change));
                if let Some(listener) = listener {
                    say(Fact::SocketOwner(listener));
                }
            }
            event::LAYER_PASSAGE => {
                let passage: record::LayerPassage = record(bytes)?;
                let mut watchers = self.watchers.iter();
                let function = watchers.find(|(place, _)| *place == passage.place);
                let function = function.map(|(_, name)| name.clone()).unwrap_or_default();
                say(Fact::LayerPassage(layer_passage(&passage, hook, function)?));
            }
            event::TCP_SAMPLE => say(Fact::TcpSample(tcp::sample(&record(bytes)?, hook)?)),
            event::TCP_RETRANSMIT => {
                say(Fact::TcpRetransmit(tcp::retransmit(&record(bytes)?, hook)?));
            }
            event::TCP_RESET => {
                let reset = tcp::reset(&record(bytes)?, hook, &self.reasons)?;
                say(Fact::TcpReset(reset));
            }
            event::PACKET_DROP => {
                let dropped = tcp::dropped(&record(bytes)?, hook, &self.reasons)?;
                say(Fact::PacketDrop(dropped));
            }
            event::SOCKET_OWNER => say(Fact::SocketOwner(socket_owner(record(bytes)?, hook)?)),
            event::ROUTE => say(Fact::RouteLookup(route(record(bytes)?)?)),
            event::NEIGHBOR => say(Fact::Neighbor(neighbor(record(bytes)?, hook)?)),
            event::GET_ADDR_INFO => say(Fact::GetAddrInfo(self.get_addr_info(&record(bytes)?))),
            event::FILE_OPEN => {
                let opened: record::FileOpen = record(bytes)?;
                say(Fact::FileOpen(FileOpen {
                    pid: opened.tgid,
                    path: text(&opened.path),
                    hook,
                }));
            }
            event::PROCESS_FORK => {
                let fork: record::ProcessFork = record(bytes)?;
                say(Fact::Process(ProcessEvent::Fork {
                    parent: fork.parent,
                    child: fork.child,
                    comm: text(&fork.comm),
                }));
            }
            event::PROCESS_EXEC => say(Fact::Process(exec(&record(bytes)?))),
            event::PROCESS_EXIT => {
                let exit: record::ProcessExit = record(bytes)?;
                say(Fact::Process(ProcessEvent::Exit {
                    pid: exit.tgid,
                    comm: text(&exit.comm),
                    code: exit.code,
                }));
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    fn hook(&self, number: u8) -> Result<HookKind, Malformed> {
        Ok(match number {
            event::hook::XDP => HookKind::Xdp,
            event::hook::TC => self.classifier,
            event::hook::KPROBE => HookKind::Kprobe,
            event::hook::FENTRY => HookKind::Fentry,
            event::hook::TRACEPOINT => HookKind::Tracepoint,
            event::hook::TP_BTF => HookKind::TpBtf,
            event::hook::SOCK_OPS => HookKind::SockOps,
            event::hook::UPROBE => HookKind::Uprobe,
            event::hook::CGROUP => HookKind::Cgroup,
            _ => return Err(Malformed),
        })
    }

    fn get_addr_info(&self, call: &record::GetAddrInfo) -> GetAddrInfoCall {
        GetAddrInfoCall {
            pid: call.tgid,
            tid: call.tid,
            comm: text(&call.comm),
            name: (call.has_name != 0).then(|| text(&call.name)),
            service: (call.has_service != 0).then(|| text(&call.service)),
            entered_at_ns: self.clock.since_start(call.entered_at_ns),
            result: (call.returned != 0).then_some(call.result),
        }
    }
}

fn frame(bytes: &[u8], hook: HookKind) -> Result<Frame, Malformed> {
    let head: record::FrameHead = record(bytes)?;
    let captured = usize::try_from(head.captured).map_err(|_| Malformed)?;
    let data = bytes
        .get(size_of::<record::FrameHead>()..)
        .and_then(|rest| rest.get(..captured))
        .ok_or(Malformed)?;
    let link_type = match head.link {
        event::link::ETHERNET => LinkType::Ethernet,
        event::link::RAW_IP => LinkType::RawIp,
        _ => return Err(Malformed),
    };
    let (data, added) = fields::with_vlan_tag(data, head.vlan_protocol, head.vlan_tag, link_type);
    Ok(Frame {
        interface: head.interface,
        direction: match head.direction {
            event::direction::IN => Direction::In,
            event::direction::OUT => Direction::Out,
            _ => return Err(Malformed),
        },
        hook,
        link_type,
        cookie: (head.cookie != 0).then_some(head.cookie),
        original_length: head.original_length.saturating_add(added),
        data,
        note: None,
    })
}

/// The transition, and with one to LISTEN by a system call, whose socket it is.
fn tcp_state(
    state: record::TcpState,
    hook: HookKind,
) -> Result<(TcpStateChange, Option<SocketOwner>), Malformed> {
    let from = TcpState::try_from(state.from).map_err(|_| Malformed)?;
    let to = TcpState::try_from(state.to).map_err(|_| Malformed)?;
    // A child that leaves LISTEN still has the cookie of its listener, where that has one: it
    // gets its own a few lines later (inet_csk_clone_lock, net/ipv4/inet_connection_sock.c).
    let is_copy = from == TcpState::Listen && to == TcpState::SynRecv;
    let cookie = (state.cookie != 0 && !is_copy).then_some(state.cookie);
    let local = socket_address(state.family, &state.local, state.local_port)?;
    let remote = socket_address(state.family, &state.remote, state.remote_port)?;
    let by_system_call = state.header.flags & event::flag::PROCESS_CONTEXT != 0;
    let listener = (to == TcpState::Listen && by_system_call).then(|| SocketOwner {
        cookie,
        usage: SocketUse::Listen,
        pid: state.tgid,
        tid: state.tid,
        uid: state.uid,
        comm: text(&state.comm),
        protocol: 6,
        local: Some(local),
        remote: None,
        network_namespace: namespace(state.network),
        hook,
    });
    let change = TcpStateChange {
        socket: state.socket,
        cookie,
        network_namespace: namespace(state.network),
        from,
        to,
        local,
        remote,
        current_pid: state.tgid,
        hook,
    };
    Ok((change, listener))
}

fn layer_passage(
    passage: &record::LayerPassage,
    hook: HookKind,
    function: String,
) -> Result<LayerPassage, Malformed> {
    use event::place;
    let layer = match passage.place {
        place::SOCKET_WRITE => KernelLayer::SocketWrite,
        place::TCP_TRANSMIT => KernelLayer::TcpTransmit,
        place::IP_OUTPUT | place::IP6_OUTPUT => KernelLayer::IpOutput,
        place::NEIGHBOR | place::NEIGHBOR6 => KernelLayer::Neighbor,
        place::QUEUE => KernelLayer::Queue,
        place::DEVICE => KernelLayer::Device,
        place::SENT => KernelLayer::Sent,
        place::BACKLOG | place::GRO => KernelLayer::Driver,
        place::RECEIVE => KernelLayer::DeviceReceive,
        place::IP_INPUT | place::IP6_INPUT => KernelLayer::IpReceive,
        place::TCP_INPUT | place::TCP6_INPUT => KernelLayer::TcpReceive,
        place::WAKE_UP => KernelLayer::WakeUp,
        place::READ => KernelLayer::Read,
        _ => return Err(Malformed),
    };
    Ok(LayerPassage {
        layer,
        source: socket_address(passage.family, &passage.source, passage.source_port)?,
        destination: socket_address(
            passage.family,
            &passage.destination,
            passage.destination_port,
        )?,
        sequence: passage.sequence,
        length: passage.length,
        function,
        hook,
    })
}

fn socket_owner(owner: record::SocketOwner, hook: HookKind) -> Result<SocketOwner, Malformed> {
    Ok(SocketOwner {
        cookie: (owner.cookie != 0).then_some(owner.cookie),
        usage: match owner.usage {
            event::usage::CONNECT => SocketUse::Connect,
            event::usage::SEND_MESSAGE => SocketUse::SendMessage,
            event::usage::RECEIVE => SocketUse::Receive,
            event::usage::SEND => SocketUse::Send,
            _ => return Err(Malformed),
        },
        pid: owner.tgid,
        tid: owner.tid,
        uid: owner.uid,
        comm: text(&owner.comm),
        protocol: owner.protocol,
        local: known_socket_address(owner.family, &owner.local, owner.local_port)?,
        remote: known_socket_address(owner.family, &owner.remote, owner.remote_port)?,
        network_namespace: namespace(owner.network),
        hook,
    })
}

fn route(route: record::Route) -> Result<RouteLookup, Malformed> {
    let gateway = match route.gateway_family {
        0 => None,
        family => known_address(family, &route.gateway)?,
    };
    Ok(RouteLookup {
        pid: route.tgid,
        in_process_context: route.header.flags & event::flag::PROCESS_CONTEXT != 0,
        table: route.table,
        error: if route.family == event::family::INET6 {
            fields::ipv6_route_error(route.route_type, route.no_match != 0)
        } else {
            route.error
        },
        destination: address(route.family, &route.destination)?,
        source: known_address(route.family, &route.source)?,
        gateway,
        interface: Some(text(&route.interface)).filter(|name| !name.is_empty()),
    })
}

fn neighbor(entry: record::Neighbor, hook: HookKind) -> Result<NeighborEvent, Malformed> {
    Ok(NeighborEvent {
        action: match entry.action {
            event::neighbor::CREATE => NeighborAction::Create,
            event::neighbor::UPDATE | event::neighbor::TIMER => NeighborAction::Update,
            event::neighbor::USED => NeighborAction::Used,
            event::neighbor::DEAD => NeighborAction::Dead,
            _ => return Err(Malformed),
        },
        ip: address(entry.family, &entry.ip)?,
        mac: (entry.has_mac != 0).then_some(entry.mac),
        state: entry.state,
        interface: Some(text(&entry.interface)).filter(|name| !name.is_empty()),
        // In an interrupt, whoever was running has nothing to do with it.
        pid: if entry.header.flags & event::flag::PROCESS_CONTEXT != 0 {
            entry.tgid
        } else {
            0
        },
        hook,
    })
}

fn exec(exec: &record::ProcessExec) -> ProcessEvent {
    ProcessEvent::Exec {
        pid: exec.tgid,
        uid: exec.uid,
        comm: text(&exec.comm),
        filename: text(&exec.filename),
        executable: None,
        command: fields::arguments(&exec.arguments, exec.arguments_length),
        cgroup: None,
        namespace_pid: None,
    }
}

#[cfg(test)]
mod tests;
