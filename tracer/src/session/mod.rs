//! One live capture: the probe, the traced command, and the assembler between them.

use crate::capture::recording::{Header, Recorder, RecordingError};
use crate::capture::{Fact, Observation, SocketOwner, SocketUse};
use crate::client::ClientPipes;
use crate::fence::{self, Capability, FenceError};
use crate::journey::assemble::{Assembler, AssemblerOptions};
use crate::journey::limits::Limits;
use crate::journey::model::{
    CaptureInfo, DhcpExchange, Document, HookStatus, HostInfo, LossReport, SCHEMA_VERSION, Source,
    Trace, TracerInfo,
};
use crate::journey::part::Part;
use crate::journey::wanted::Wanted;
use crate::launch::{self, Launched};
use crate::probe::{Detaching, Probe, ProbeError, ProbeOptions, is_optional, netlink};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::time::Instant;

/// After the command's end its connections may still be closing: the last messages are
/// waited for at most this long.
const CLOSING: Duration = Duration::from_millis(500);
/// The kernel's last state changes follow the last message of a close at once; nothing
/// new for this long means that there is nothing more.
const SETTLED: Duration = Duration::from_millis(30);
/// How often a live capture looks for finished journeys.
const TICK: Duration = Duration::from_millis(200);
/// Destinations whose route was asked for, in a live capture.
const ROUTES_ASKED: usize = 4096;
/// IP protocol number of TCP.
const TCP: u8 = 6;

/// How to capture and what to remember.
#[derive(Debug)]
pub struct SessionOptions {
    pub probe: ProbeOptions,
    pub stream_limit: usize,
    pub keep_frames: bool,
    pub show_secrets: bool,
    /// Journeys are reported while the capture goes on.
    pub live: bool,
    /// The command line, for the report.
    pub command: Vec<String>,
    /// The name of the network namespace that the caller has entered, where it was asked for.
    pub network_namespace: Option<String>,
    /// Takes down everything that is observed.
    pub recorder: Option<Recorder>,
}

/// A capture that has begun: every hook is attached.
pub struct Session {
    probe: Probe,
    assembler: Assembler,
    recorder: Option<Recorder>,
    command: Vec<String>,
    network_namespace: Option<String>,
    routes_asked: BTreeSet<IpAddr>,
    /// Heard from the start on: who reads that the capture has begun may end it at once.
    interrupts: Interrupts,
}

/// Why the command's run was over.
#[derive(Debug)]
pub enum Ended {
    /// The command ended by itself.
    Exited(ExitStatus),
    /// The user interrupted (SIGINT or SIGTERM).
    Interrupted,
}

impl Session {
    /// Attaches every hook, then notes interfaces and neighbours as they are now.
    ///
    /// # Errors
    /// As [`Probe::attach`].
    pub async fn start(options: SessionOptions) -> Result<Self, ProbeError> {
        launch::raise_open_files();
        let probe = Probe::attach(options.probe).await?;
        let assembler = Assembler::new(AssemblerOptions {
            source: Source::Live,
            stream_limit: options.stream_limit,
            keep_frames: options.keep_frames,
            without_timeline: false,
            show_secrets: options.show_secrets,
            live: options.live,
            limits: Limits::default(),
        });
        let mut session = Self {
            probe,
            assembler,
            recorder: options.recorder,
            command: options.command,
            network_namespace: options.network_namespace,
            routes_asked: BTreeSet::new(),
            interrupts: Interrupts::new(),
        };
        session.begin_recording(options.live, options.stream_limit);
        // Without rtnetlink the journeys are poorer, not wrong.
        for interface in netlink::interfaces().await.unwrap_or_default() {
            session.observe(at_start(Fact::Interface(interface)));
        }
        for observation in session.probe.surroundings() {
            session.observe(observation);
        }
        for neighbor in netlink::neighbors().await.unwrap_or_default() {
            session.observe(at_start(Fact::Neighbor(neighbor)));
        }
        Ok(session)
    }

    fn begin_recording(&mut self, live: bool, stream_limit: usize) {
        let document = self.document();
        if let Some(recorder) = &mut self.recorder {
            recorder.begin(&Header {
                live,
                stream_limit: u64::try_from(stream_limit).unwrap_or(u64::MAX),
                tracer: document.tracer,
                host: document.host,
                capture: document.capture,
            });
        }
    }

    /// The only way to the assembler, so that a recording holds all that the assembler saw.
    fn observe(&mut self, observation: Observation) {
        if let Some(recorder) = &mut self.recorder {
            recorder.observe(&observation);
        }
        self.assembler.observe(observation);
    }

    /// The journeys that are over. When they are taken decides how they are told, so a
    /// recording notes it.
    fn take_finished(&mut self) -> Part {
        let now_ns = self.probe.clock().elapsed_ns();
        let over = self.assembler.journeys_over();
        let finished = self.assembler.take_finished(now_ns);
        if let Some(recorder) = &mut self.recorder {
            recorder.take(now_ns, self.assembler.journeys_over() != over);
            recorder.release(now_ns);
        }
        finished
    }

    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Follows `pid` and its children from now on.
    ///
    /// # Errors
    /// As [`Probe::trace_process`].
    pub fn trace_process(&mut self, pid: u32) -> Result<(), ProbeError> {
        self.probe.trace_process(pid)
    }

    /// Gives up every right that the rest of the capture does without. Nothing can be
    /// attached afterwards, no command be started, no file be made: `commands` tells that one
    /// was started before, which may have to be ended. Returns what is refused, in words.
    ///
    /// # Errors
    /// As [`fence::keep_only`].
    pub fn confine(&self, commands: bool) -> Result<String, FenceError> {
        let mut kept = self.probe.capabilities();
        if commands {
            // Under sudo the command belongs to another user than the tracer.
            kept.push(Capability::CAP_KILL);
        }
        fence::keep_only(&kept)?;
        Ok(fence::around_capture())
    }

    /// Lets a stopped command run, to its end and to the end of its connections.
    ///
    /// # Errors
    /// When the ring buffer cannot be read any more.
    pub async fn run(
        &mut self,
        launched: &mut Launched,
        mut client: Option<ClientPipes>,
    ) -> Result<Ended, ProbeError> {
        launched.go();
        let ended = loop {
            tokio::select! {
                biased;
                status = launched.wait() => match status {
                    Ok(status) => break Ended::Exited(status),
                    Err(_) => break Ended::Interrupted,
                },
                () = self.interrupts.next() => {
                    end(launched).await;
                    break Ended::Interrupted;
                }
                batch = self.probe.next() => self.observe_all(batch?).await,
                statement = heard(&mut client) => self.state(statement),
            }
        };
        while let Some(pipes) = &mut client {
            match tokio::time::timeout(SETTLED, pipes.next()).await {
                Ok(Some(statement)) => self.state(Some(statement)),
                _ => break,
            }
        }
        self.until_closed().await?;
        Ok(ended)
    }

    /// Reads on until every connection is closed and nothing more comes.
    async fn until_closed(&mut self) -> Result<(), ProbeError> {
        let deadline = Instant::now() + CLOSING;
        let mut quiet_since = Instant::now();
        loop {
            let quiet_until = quiet_since + SETTLED;
            let closed = self.assembler.all_closed();
            let until = if closed {
                quiet_until.min(deadline)
            } else {
                deadline
            };
            tokio::select! {
                biased;
                () = self.interrupts.next() => return Ok(()),
                batch = self.probe.next() => {
                    let batch = batch?;
                    if !batch.is_empty() {
                        quiet_since = Instant::now();
                    }
                    self.observe_all(batch).await;
                }
                () = tokio::time::sleep_until(until) => return Ok(()),
            }
        }
    }

    /// Hands out only the journeys that are `wanted`; a recording holds all of them.
    pub fn tell_only(&mut self, wanted: Wanted) {
        self.assembler.tell_only(wanted);
    }

    /// Watches the whole host and hands out the journeys when they are over, until `duration`
    /// has passed, the user interrupts, or `report` says stop.
    ///
    /// # Errors
    /// When the ring buffer cannot be read any more.
    pub async fn watch(
        &mut self,
        duration: Option<Duration>,
        mut report: impl FnMut(Part) -> std::ops::ControlFlow<()>,
    ) -> Result<(), ProbeError> {
        let end = duration.map(|duration| Instant::now() + duration);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.interrupts.next() => return Ok(()),
                () = at(end) => return Ok(()),
                _ = tick.tick() => {
                    let finished = self.take_finished();
                    if report(finished).is_break() {
                        return Ok(());
                    }
                }
                batch = self.probe.next() => self.observe_all(batch?).await,
            }
        }
    }

    /// The journeys that were not handed out yet, at the end of [`Session::watch`].
    pub async fn remaining(&mut self) -> Part {
        let rest = self.probe.drain().await;
        self.observe_all(rest).await;
        self.assembler.take_remaining()
    }

    /// The header of a report: all that is known before the first journey.
    pub fn document(&self) -> Document {
        let clock = self.probe.clock();
        let hooks = self.probe.hooks().to_vec();
        // Every fact that has any candidate must have one attached, but for those that the
        // timeline is complete without.
        let mut served: BTreeMap<&str, bool> = BTreeMap::new();
        for hook in hooks.iter().filter(|hook| !is_optional(&hook.fact)) {
            *served.entry(hook.fact.as_str()).or_default() |= hook.status == HookStatus::Attached;
        }
        let complete = served.values().all(|attached| *attached);
        Document {
            schema_version: SCHEMA_VERSION,
            tracer: TracerInfo {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                command: self.command.clone(),
            },
            host: host(),
            capture: CaptureInfo {
                source: Source::Live,
                started_unix_nano: clock.started_unix_nano().to_string(),
                duration_ns: clock.elapsed_ns(),
                network_namespace: self.network_namespace.clone(),
                interfaces: self.probe.interfaces().to_vec(),
                complete,
                hooks,
                lost: BTreeMap::new(),
                losses: Vec::new(),
                cost: None,
                comments: Vec::new(),
            },
            dns: Vec::new(),
            neighbors: Vec::new(),
            dhcp: Vec::new(),
            connections: Vec::new(),
            journeys: Vec::new(),
        }
    }

    /// Tells the whole story, also when it could not be recorded, while every hook is detached
    /// on the side.
    pub async fn finish(mut self) -> (Trace, Result<(), RecordingError>, Detaching) {
        let rest = self.probe.drain().await;
        self.observe_all(rest).await;
        let (document, recorded) = self.close();
        let detaching = self.probe.detach();
        (self.assembler.finish(document), recorded, detaching)
    }

    /// The header of the report at the end of the capture; ends the recording, too.
    pub fn close(&mut self) -> (Document, Result<(), RecordingError>) {
        let mut document = self.document();
        document.capture.cost = self.probe.cost();
        let recorder = self.recorder.take();
        let recorded = recorder.map_or(Ok(()), |it| it.finish(&document.capture));
        (document, recorded)
    }

    /// Detaches every hook.
    pub fn stop(self) -> Detaching {
        self.probe.detach()
    }

    /// Events lost so far, per class.
    pub fn lost(&self) -> BTreeMap<String, u64> {
        self.assembler.lost()
    }

    /// The same per class and processor, with their times.
    pub fn loss_reports(&self) -> Vec<LossReport> {
        self.assembler.loss_reports()
    }

    /// The DHCP exchanges seen so far.
    pub fn dhcp(&self) -> Vec<DhcpExchange> {
        self.assembler.dhcp()
    }

    async fn observe_all(&mut self, batch: Vec<Observation>) {
        for observation in batch {
            let destination = self.new_destination(&observation.fact);
            let at_ns = observation.at_ns;
            self.observe(observation);
            if let Some(destination) = destination {
                self.ask_route(destination, at_ns).await;
            }
        }
    }

    /// The destination of a connect(2) that is worth asking this namespace's routing tables
    /// about.
    fn new_destination(&self, fact: &Fact) -> Option<IpAddr> {
        match fact {
            Fact::SocketOwner(SocketOwner {
                usage: SocketUse::Connect,
                protocol: TCP,
                remote: Some(remote),
                network_namespace,
                ..
            }) => {
                let here = self.probe.network_namespace();
                let both = here.zip(*network_namespace);
                let is_here = both.is_none_or(|(here, other)| here == other);
                is_here.then(|| remote.ip().to_canonical())
            }
            _ => None,
        }
    }

    /// The fib tracepoints tell the decision; prefix, MTU and chosen source only rtnetlink.
    async fn ask_route(&mut self, destination: IpAddr, at_ns: u64) {
        if self.routes_asked.len() >= ROUTES_ASKED {
            self.routes_asked.clear();
        }
        if !self.routes_asked.insert(destination) {
            return;
        }
        if let Ok(detail) = netlink::route_to(destination, None, None).await {
            let fact = Fact::RouteDetail(detail);
            self.observe(Observation { at_ns, fact });
        }
    }

    fn state(&mut self, statement: Option<crate::client::Statement>) {
        let Some(statement) = statement else { return };
        let clock = self.probe.clock();
        let at_ns = statement.boottime_ns.map_or_else(
            || clock.elapsed_ns(),
            |boottime| clock.since_start(boottime),
        );
        let fact = statement.fact;
        self.observe(Observation { at_ns, fact });
    }
}

/// Ends the command: the terminal's own SIGINT reached it, but a signal sent to the tracer
/// alone did not. It may clean up before it is killed.
async fn end(launched: &mut Launched) {
    if let Ok(pid) = i32::try_from(launched.pid) {
        let pid = nix::unistd::Pid::from_raw(pid);
        // Fails only when the command has ended already.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    }
    if tokio::time::timeout(CLOSING, launched.wait())
        .await
        .is_err()
    {
        launched.kill();
        let _ = launched.wait().await;
    }
}

fn at_start(fact: Fact) -> Observation {
    Observation { at_ns: 0, fact }
}

/// The client's next statement; never, when there is no client or it has said all.
async fn heard(client: &mut Option<ClientPipes>) -> Option<crate::client::Statement> {
    let statement = match client {
        Some(pipes) => pipes.next().await,
        None => std::future::pending().await,
    };
    if statement.is_none() {
        *client = None;
    }
    statement
}

async fn at(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// This host, as far as it tells.
pub fn host() -> HostInfo {
    let name = nix::sys::utsname::uname().ok();
    let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
    HostInfo {
        hostname: name.as_ref().map(|name| text(name.nodename())),
        kernel: name.as_ref().map(|name| text(name.release())),
    }
}

/// SIGINT and SIGTERM.
struct Interrupts {
    signals: Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>,
}

impl Interrupts {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let both = signal(SignalKind::interrupt()).and_then(|interrupt| {
            let terminate = signal(SignalKind::terminate())?;
            Ok((interrupt, terminate))
        });
        Self { signals: both.ok() }
    }

    /// Cancel safe.
    async fn next(&mut self) {
        match &mut self.signals {
            Some((interrupt, terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            None => std::future::pending().await,
        }
    }
}
