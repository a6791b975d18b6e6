//! The kernel's side of a live capture: loads the programs, attaches them by plan, and
//! turns what they report into one ordered stream of observations. The only place that
//! knows aya.

mod attach;
mod cgroup;
mod cleanup;
mod clock;
mod cost;
mod counters;
mod decode;
mod detach;
mod error;
mod information;
mod interfaces;
mod layout;
mod libraries;
mod losses;
mod memory;
mod misses;
mod needs;
/// Interfaces, neighbours and routes by rtnetlink.
pub mod netlink;
mod object;
mod options;
mod order;
mod owners;
mod plan;
mod privileges;
mod reasons;
mod ring;
mod sockets;
mod steps;

use std::time::{Duration, Instant};

use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError},
};
use tracer_common::event::link;

pub use clock::Clock;
pub use detach::{DetachReport, Detaching};
pub use error::ProbeError;
pub use libraries::calls_c_library;
pub use options::{ProbeOptions, Scope};
pub use steps::Steps;

use crate::{
    capture::{Fact, HookKind, LinkType, LossPlace, Observation},
    fence::Capability,
    journey::model::{Cost, HookReport, HookStatus},
};
use interfaces::Interface;

/// Observations are held back this long, so that none can be overtaken by an older one.
/// Longer than a program takes from its time stamp to its submit.
const HOLD_NS: u64 = 5_000_000;

/// Skipped runs are asked for this often: they are rare, and each program is a system call.
const MISSES_PERIOD: Duration = Duration::from_millis(500);

/// How thoroughly losses are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// What takes no system call where there are none.
    Ring,
    AlsoMisses,
    /// At the end of the capture.
    Last,
}

/// A running capture.
pub struct Probe {
    clock: Clock,
    hooks: Vec<HookReport>,
    restrictions: Vec<String>,
    interfaces: Vec<String>,
    /// `None` once it is being taken away.
    attached: Option<detach::Attached>,
    /// Filters must be taken away by netlink messages.
    leaves_filters: bool,
    traced: HashMap<MapData, u32, u32>,
    traced_sockets: HashMap<MapData, u64, u32>,
    /// Ports that traced processes use.
    ports: Array<MapData, u8>,
    /// Ports on which traced processes listen.
    listeners: HashMap<MapData, u16, u32>,
    ring: ring::Reader,
    meter: cost::Meter,
    losses: losses::Losses,
    misses: misses::Misses,
    counters: counters::Counters,
    misses_asked: Instant,
    decoder: decode::Decoder,
    owners: owners::Owners,
    /// inode number of the watched network namespace, where known.
    network_namespace: Option<u32>,
    /// The sockets that were there before, by inode number.
    older: std::collections::HashMap<u64, sockets::Inherited>,
    order: order::Reorder,
    /// Records that made no sense since they were last told.
    malformed: u64,
}

impl Probe {
    /// Loads and attaches. When this returns, everything that the report says is attached
    /// sees the next event. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`ProbeError`]. A hook that cannot be attached is not an error unless it was
    /// forced: it is in [`Probe::hooks`].
    pub async fn attach(options: ProbeOptions) -> Result<Self, ProbeError> {
        privileges::check()?;
        let restrictions = privileges::restrictions();
        let interfaces = interfaces::select(&options.interfaces)?;
        options.steps.begin(interfaces.len());
        let (mut ebpf, types, offsets) = open(&options, &interfaces)?;
        name_link_types(&mut ebpf, &interfaces)?;
        note_ports(&mut ebpf, &options.ports)?;
        // Not being able to look for leftovers is no reason not to work.
        let _ = cleanup::remove_leftovers(&interfaces).await;
        let meter = cost::Meter::start(options.statistics, object::ring_bytes(&options));
        let clock = Clock::now();
        let loadable = attach::Loadable::new(&ebpf, &types);
        let ground = attach::Ground {
            options: &options,
            types: &types,
            offsets: &offsets,
            interfaces: &interfaces,
            loadable: loadable.as_ref(),
        };
        let outcome = attach::attach(&mut ebpf, &ground)?;
        let reasons = reasons::Reasons::of(&types);
        // Whole in memory from now on: not before all that only attaching took is given back.
        drop((types, loadable));
        memory::give_back();
        let (ring, losses) = match readers(&mut ebpf, &outcome.reports) {
            Ok(readers) => readers,
            Err(error) => {
                attach::take_away(&mut ebpf, outcome.linked, outcome.qdiscs);
                return Err(error);
            }
        };
        Ok(Self {
            misses: misses::Misses::of(&ebpf),
            counters: counters::Counters::now(),
            misses_asked: Instant::now(),
            clock,
            hooks: outcome.reports,
            restrictions,
            interfaces: interfaces.into_iter().map(|one| one.name).collect(),
            traced: typed_map(&mut ebpf, "TRACED")?,
            traced_sockets: typed_map(&mut ebpf, "TRACED_SOCKETS")?,
            ports: Array::try_from(take_map(&mut ebpf, "PORTS")?).map_err(unusable)?,
            listeners: typed_map(&mut ebpf, "LISTENERS")?,
            attached: Some(detach::Attached {
                ebpf,
                linked: outcome.linked,
                qdiscs: outcome.qdiscs,
            }),
            leaves_filters: outcome.classifier == Some(HookKind::Clsact),
            ring,
            meter,
            losses,
            decoder: decode::Decoder::new(clock, outcome.classifier.unwrap_or(HookKind::Tcx))
                .with_watchers(outcome.watchers)
                .with_reasons(reasons),
            owners: owners::Owners::default(),
            network_namespace: object::network_namespace(),
            older: std::collections::HashMap::new(),
            order: order::Reorder::default(),
            malformed: 0,
        })
    }

    /// The clocks at the start of the capture.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What became of every hook of the plan.
    pub fn hooks(&self) -> &[HookReport] {
        &self.hooks
    }

    /// What reading, describing and detaching still take; attaching took more.
    pub fn capabilities(&self) -> Vec<Capability> {
        let mut kept = vec![
            // Before Linux 5.19 even reading a map takes it, where
            // kernel.unprivileged_bpf_disabled is set (bpf_sys in kernel/bpf/syscall.c).
            Capability::CAP_BPF,
            // /proc/PID/exe of another user's process (proc_pid_readlink in fs/proc/base.c).
            Capability::CAP_SYS_PTRACE,
        ];
        if self.leaves_filters {
            // Filters on clsact are no links that end with their descriptor.
            kept.push(Capability::CAP_NET_ADMIN);
        }
        kept
    }

    /// What this capture cannot tell for lack of a capability.
    pub fn restrictions(&self) -> &[String] {
        &self.restrictions
    }

    /// Names of the watched interfaces.
    pub fn interfaces(&self) -> &[String] {
        &self.interfaces
    }

    /// What watching took so far, while the programs are in the kernel.
    pub fn cost(&self) -> Option<Cost> {
        let attached = self.attached.as_ref()?;
        Some(self.meter.read(attached))
    }

    /// inode number of the watched network namespace, where it is known.
    pub fn network_namespace(&self) -> Option<u32> {
        self.network_namespace
    }

    /// Which network namespace is watched, and the sockets that were there before the capture,
    /// each with the process that had it open. Described in /proc: asked for once, right after
    /// attaching, so that what is opened later is seen by a hook.
    pub fn surroundings(&mut self) -> Vec<Observation> {
        let older = sockets::list(self.network_namespace);
        self.older = older.inherited;
        let mut all = Vec::new();
        all.extend(self.network_namespace.map(|inode| Observation {
            at_ns: 0,
            fact: Fact::NetworkNamespace(inode),
        }));
        for owner in older.owners {
            let mut observation = sockets::observation(owner);
            all.extend(self.owners.complete(&mut observation));
            all.push(observation);
        }
        all
    }

    /// Traces a process and, from now on, its descendants, and the sockets that it inherited.
    /// Call it before the process replaces its program, so that nothing is missed.
    ///
    /// # Errors
    /// When the kernel refuses an entry in a map.
    pub fn trace_process(&mut self, pid: u32) -> Result<(), ProbeError> {
        self.traced
            .insert(pid, 1, 0)
            .map_err(|error| ProbeError::Map {
                operation: "trace a process",
                reason: error::chain(&error),
            })?;
        for inode in sockets::of_process(pid) {
            if let Some(socket) = self.older.get(&inode).copied() {
                self.trace_socket(socket, pid)
                    .map_err(|error| ProbeError::Map {
                        operation: "trace a socket",
                        reason: error::chain(&error),
                    })?;
            }
        }
        Ok(())
    }

    /// Counts a socket among the traced ones, as the programs do with those that they see.
    fn trace_socket(&mut self, socket: sockets::Inherited, pid: u32) -> Result<(), MapError> {
        if let Some(cookie) = socket.cookie {
            self.traced_sockets.insert(cookie, pid, 0)?;
        }
        if socket.port != 0 {
            self.ports.set(u32::from(socket.port), 1, 0)?;
            if socket.listens {
                self.listeners.insert(socket.port, pid, 0)?;
            }
        }
        Ok(())
    }

    /// Waits for the next observations, in the order of their times. Cancel-safe: nothing
    /// is lost when the future is dropped.
    ///
    /// # Errors
    /// When the ring can no longer be waited for.
    pub async fn next(&mut self) -> Result<Vec<Observation>, ProbeError> {
        loop {
            self.ring.wait().await?;
            let ready = self.collect();
            if !ready.is_empty() {
                return Ok(ready);
            }
        }
    }

    /// Everything that is still under way, for the end of the capture.
    pub async fn drain(&mut self) -> Vec<Observation> {
        while !self.read_ring() {
            tokio::task::yield_now().await;
        }
        self.note_losses(Look::Last);
        self.order.finish()
    }

    /// Takes every program out of the kernel, on the side: there are grace periods to wait
    /// for. Dropping the probe does the same at once.
    pub fn detach(mut self) -> Detaching {
        self.misses.release();
        Detaching::begin(self.attached.take())
    }

    /// Reads what is in the ring and hands out what can no longer be overtaken.
    fn collect(&mut self) -> Vec<Observation> {
        let before = self.clock.elapsed_ns();
        let is_empty = self.read_ring();
        let is_due = self.misses_asked.elapsed() >= MISSES_PERIOD;
        self.note_losses(if is_due { Look::AlsoMisses } else { Look::Ring });
        if is_empty {
            self.order.release(before.saturating_sub(HOLD_NS))
        } else {
            self.order.release_behind_newest(HOLD_NS)
        }
    }

    /// True when the ring was read to its end.
    fn read_ring(&mut self) -> bool {
        let Self {
            ring,
            meter,
            decoder,
            owners,
            order,
            malformed,
            ..
        } = self;
        let mut said = Vec::new();
        let reading = ring.read(|record| {
            meter.count(record);
            if decoder.decode(record, &mut said).is_err() {
                *malformed += 1;
            }
            for mut observation in said.drain(..) {
                if let Some(description) = owners.complete(&mut observation) {
                    order.push(description);
                }
                order.push(observation);
            }
        });
        meter.found(reading.bytes);
        reading.is_whole
    }

    fn note_losses(&mut self, look: Look) {
        let with_misses = look != Look::Ring;
        let Self {
            losses,
            order,
            clock,
            ..
        } = self;
        losses.since_last(look == Look::Last, clock, |lost| order.push(lost));
        let at_ns = self.clock.elapsed_ns();
        if self.malformed != 0 {
            let malformed = std::mem::take(&mut self.malformed);
            self.note_loss(at_ns, "malformed", malformed, None);
        }
        if with_misses {
            let lasted = std::mem::replace(&mut self.misses_asked, Instant::now()).elapsed();
            let lasted_ns = u64::try_from(lasted.as_nanos()).unwrap_or(u64::MAX);
            let place = LossPlace {
                lasted_ns,
                processor: None,
                ports: None,
            };
            for (class, count) in self.misses.since_last() {
                self.note_loss(at_ns.saturating_sub(lasted_ns), class, count, Some(place));
            }
        }
        if with_misses && let Some(added) = self.counters.since_last() {
            self.order.push(Observation {
                at_ns,
                fact: Fact::ListenQueue(added),
            });
        }
    }

    fn note_loss(&mut self, at_ns: u64, class: &'static str, count: u64, place: Option<LossPlace>) {
        self.order.push(Observation {
            at_ns,
            fact: Fact::Lost {
                class,
                count,
                place,
            },
        });
    }
}

/// Can anything be traced here at all? What [`Probe::attach`] asks first.
///
/// # Errors
/// [`ProbeError::NotPermitted`], [`ProbeError::Unsupported`], [`ProbeError::NotBuilt`].
pub fn check() -> Result<(), ProbeError> {
    privileges::check()?;
    layout::KernelTypes::are_told()?;
    object::check()
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.misses.release();
        if let Some(attached) = self.attached.take() {
            attached.take_away();
        }
    }
}

/// A fact that the timeline is complete without, and that not every kernel can tell.
pub fn is_optional(fact: &str) -> bool {
    plan::OPTIONAL.contains(&fact)
}

/// Tries every hook of the plan on this kernel and takes each away again, on the loopback
/// interface alone, so that nothing else is touched.
///
/// # Errors
/// As [`Probe::attach`], when nothing can be tried at all. A hook that is refused is no error:
/// its report says why.
pub fn inspect() -> Result<Vec<HookReport>, ProbeError> {
    privileges::check()?;
    let options = ProbeOptions::default();
    let interfaces = interfaces::select(&["lo".to_owned()])?;
    let (mut ebpf, types, offsets) = open(&options, &interfaces)?;
    name_link_types(&mut ebpf, &interfaces)?;
    let loadable = attach::Loadable::new(&ebpf, &types);
    let ground = attach::Ground {
        options: &options,
        types: &types,
        offsets: &offsets,
        interfaces: &interfaces,
        loadable: loadable.as_ref(),
    };
    let outcome = attach::inspect(&mut ebpf, &ground);
    cleanup::remove_qdiscs(outcome.qdiscs);
    require_any(&outcome.reports)?;
    Ok(outcome.reports)
}

/// Opens the object with what this kernel's types say.
fn open(
    options: &ProbeOptions,
    interfaces: &[Interface],
) -> Result<(Ebpf, layout::KernelTypes, layout::Offsets), ProbeError> {
    // The one waits for the kernel, the other one reads its types.
    let (loader, types) = std::thread::scope(|scope| {
        let loader = scope.spawn(object::loader);
        let types = layout::of_this_kernel();
        let loader = loader
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (loader, types)
    });
    let types = types?;
    let offsets = layout::Offsets::resolve(&types);
    let ebpf = object::open(options, &types, &offsets, interfaces, loader)?;
    Ok((ebpf, types, offsets))
}

/// The readers' ends of both rings; there must be something to read.
fn readers(
    ebpf: &mut Ebpf,
    reports: &[HookReport],
) -> Result<(ring::Reader, losses::Losses), ProbeError> {
    require_any(reports)?;
    Ok((ring::Reader::new(ebpf)?, losses::Losses::new(ebpf)?))
}

/// A capture without a single hook is none.
fn require_any(hooks: &[HookReport]) -> Result<(), ProbeError> {
    if hooks.iter().any(|hook| hook.status == HookStatus::Attached) {
        return Ok(());
    }
    let reason = hooks
        .iter()
        .find_map(|hook| hook.reason.clone())
        .unwrap_or_else(|| "no hook was tried".to_owned());
    if reason.contains("Operation not permitted") {
        return Err(privileges::refused("load programs into the kernel"));
    }
    Err(ProbeError::Unsupported {
        what: "every hook that tracer knows".to_owned(),
        reason,
        mend: "`tracer doctor` lists them one by one".to_owned(),
    })
}

/// Tells the packet programs which interfaces carry bare IP packets.
fn name_link_types(ebpf: &mut Ebpf, interfaces: &[Interface]) -> Result<(), ProbeError> {
    // Borrowed and not taken: a program that is loaded later refers to its maps by number.
    let map = ebpf
        .map_mut("LINK_TYPES")
        .ok_or_else(|| no_map("LINK_TYPES"))?;
    let mut link_types: HashMap<&mut MapData, u32, u32> =
        HashMap::try_from(map).map_err(unusable)?;
    for interface in interfaces {
        if interface.link_type == LinkType::RawIp {
            link_types
                .insert(interface.index, u32::from(link::RAW_IP), 0)
                .map_err(|error| ProbeError::Map {
                    operation: "name the link type of an interface",
                    reason: error::chain(&error),
                })?;
        }
    }
    Ok(())
}

/// For the programs that look at ports first.
fn note_ports(ebpf: &mut Ebpf, ports: &[u16]) -> Result<(), ProbeError> {
    let map = ebpf.map_mut("PORTS").ok_or_else(|| no_map("PORTS"))?;
    let mut noted: Array<&mut MapData, u8> = Array::try_from(map).map_err(unusable)?;
    for port in ports {
        let set = noted.set(u32::from(*port), 1, 0);
        set.map_err(|error| ProbeError::Map {
            operation: "note a port",
            reason: error::chain(&error),
        })?;
    }
    Ok(())
}

fn typed_map<K: aya::Pod, V: aya::Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<HashMap<MapData, K, V>, ProbeError> {
    HashMap::try_from(take_map(ebpf, name)?).map_err(unusable)
}

fn unusable(error: MapError) -> ProbeError {
    ProbeError::Map {
        operation: "open a map of the kernel programs",
        reason: error::chain(&error),
    }
}

fn take_map(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, ProbeError> {
    ebpf.take_map(name).ok_or_else(|| no_map(name))
}

fn no_map(name: &str) -> ProbeError {
    ProbeError::Object {
        reason: format!("it has no map {name}"),
    }
}

#[cfg(test)]
mod packet_tests;
