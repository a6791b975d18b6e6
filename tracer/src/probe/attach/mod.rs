//! Walks the plan: for each fact the first candidate that this kernel accepts.

mod frames;
mod own_programs;
mod single;

use std::{collections::HashMap, thread};

pub(super) use own_programs::{ATTACH_TYPES, LinkedProgram, Loadable};

use aya::{Ebpf, programs::Program};

use super::{
    ProbeOptions,
    cleanup::{self, Qdisc},
    error::ProbeError,
    interfaces::Interface,
    layout::{KernelTypes, Offsets},
    needs,
    plan::{self, Candidate, FACTS, Fact, Part, Target},
};
use crate::{
    capture::HookKind,
    journey::model::{HookReport, HookStatus},
};

/// What the attaching is decided by.
pub(super) struct Ground<'a> {
    pub options: &'a ProbeOptions,
    pub types: &'a KernelTypes,
    pub offsets: &'a Offsets,
    pub interfaces: &'a [Interface],
    /// What is not left to aya.
    pub loadable: Option<&'a Loadable>,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub reports: Vec<HookReport>,
    /// How classifiers were attached, if there are any.
    pub classifier: Option<HookKind>,
    /// Queueing disciplines that we made and have to remove.
    pub qdiscs: Vec<Qdisc>,
    /// What watches each place on the way through the kernel.
    pub watchers: Vec<(u8, String)>,
    /// Programs that aya does not know of, see [`own_programs`].
    pub linked: Vec<LinkedProgram>,
}

impl Outcome {
    fn nothing() -> Self {
        Self {
            reports: Vec::new(),
            classifier: None,
            qdiscs: Vec::new(),
            watchers: Vec::new(),
            linked: Vec::new(),
        }
    }

    fn add(&mut self, other: Self) {
        self.reports.extend(other.reports);
        self.qdiscs.extend(other.qdiscs);
        self.watchers.extend(other.watchers);
        self.linked.extend(other.linked);
        self.classifier = self.classifier.or(other.classifier);
    }
}

/// Why a candidate does not serve.
#[derive(Debug)]
struct Refusal {
    status: HookStatus,
    reason: String,
}

impl Refusal {
    fn unavailable(reason: impl Into<String>) -> Self {
        Self {
            status: HookStatus::Unavailable,
            reason: reason.into(),
        }
    }

    fn not_needed(reason: impl Into<String>) -> Self {
        Self {
            status: HookStatus::NotNeeded,
            reason: reason.into(),
        }
    }

    fn failed(reason: impl Into<String>) -> Self {
        Self {
            status: HookStatus::Failed,
            reason: reason.into(),
        }
    }
}

/// Attaches what the plan asks for. Fails only when a hook that was asked for by name
/// cannot serve; everything else degrades and is reported.
pub(super) fn attach(ebpf: &mut Ebpf, ground: &Ground<'_>) -> Result<Outcome, ProbeError> {
    let outcomes = in_parallel(ebpf, ground, |attacher, fact| attacher.serve(fact));
    let mut whole = Outcome::nothing();
    let mut failure = None;
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => whole.add(outcome),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let arriving = frames::arriving_on_loopback(ground.interfaces, &whole.reports);
    whole.reports.extend(arriving);
    let Some(error) = failure else {
        return Ok(whole);
    };
    take_away(ebpf, whole.linked, whole.qdiscs);
    Err(error)
}

/// Leaves nothing behind of what [`attach`] did.
pub(super) fn take_away(ebpf: &mut Ebpf, linked: Vec<LinkedProgram>, qdiscs: Vec<Qdisc>) {
    unload_all(ebpf, linked);
    cleanup::remove_qdiscs(qdiscs);
}

/// Tries every candidate of every fact, and takes each away again; what is left to do is
/// to remove the queueing disciplines.
pub(super) fn inspect(ebpf: &mut Ebpf, ground: &Ground<'_>) -> Outcome {
    let outcomes = in_parallel(ebpf, ground, |attacher, fact| {
        for candidate in in_order(fact, ground.types) {
            if attacher.try_candidate(fact, candidate) {
                attacher.load_the_rest(fact, candidate);
            }
            attacher.unload(candidate);
        }
        Ok(())
    });
    let mut whole = Outcome::nothing();
    outcomes
        .into_iter()
        .flatten()
        .for_each(|outcome| whole.add(outcome));
    whole
}

/// Works on all facts at the same time, each with its own programs: most of the time goes
/// into grace periods of the kernel, which can pass together. In the order of the plan.
fn in_parallel<F>(ebpf: &mut Ebpf, ground: &Ground<'_>, work: F) -> Vec<Result<Outcome, ProbeError>>
where
    F: Fn(&mut Attacher<'_>, &Fact) -> Result<(), ProbeError> + Sync,
{
    let mut programs: HashMap<&str, &mut Program> = ebpf.programs_mut().collect();
    let work = &work;
    thread::scope(|scope| {
        let running: Vec<_> = FACTS
            .iter()
            .map(|fact| {
                let programs = fact
                    .candidates
                    .iter()
                    .flat_map(|candidate| candidate.parts)
                    .filter_map(|part| programs.remove_entry(part.program))
                    .collect();
                // Threads start in the network namespace of their maker.
                scope.spawn(move || {
                    let mut attacher = Attacher::new(programs, ground);
                    work(&mut attacher, fact).map(|()| attacher.outcome)
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

/// Takes every program out of the kernel; those that wait for grace periods all at the same
/// time: a uprobe alone waits for up to 100 ms until nobody can be running it any more.
fn unload_all(ebpf: &mut Ebpf, linked: Vec<LinkedProgram>) {
    thread::scope(|scope| {
        for program in linked {
            scope.spawn(|| drop(program));
        }
        let mut others = Vec::new();
        for (_, program) in ebpf.programs_mut() {
            if program.fd().is_err() {
                continue;
            }
            if single::unloading_waits(program) {
                scope.spawn(|| single::unload(program));
            } else {
                others.push(program);
            }
        }
        others.into_iter().for_each(single::unload);
    });
}

/// The candidates as this kernel prefers them: in the order of the plan, but where programs can
/// be interrupted those first that cannot.
fn in_order(fact: &Fact, types: &KernelTypes) -> Vec<&'static Candidate> {
    let mut candidates: Vec<_> = fact.candidates.iter().collect();
    if types.programs_can_be_interrupted() {
        candidates.sort_by_key(|candidate| candidate.kind != HookKind::Kprobe);
    }
    candidates
}

struct Attacher<'a> {
    programs: HashMap<&'a str, &'a mut Program>,
    ground: &'a Ground<'a>,
    outcome: Outcome,
}

impl<'a> Attacher<'a> {
    fn new(programs: HashMap<&'a str, &'a mut Program>, ground: &'a Ground<'a>) -> Self {
        Self {
            programs,
            ground,
            outcome: Outcome::nothing(),
        }
    }

    fn serve(&mut self, fact: &Fact) -> Result<(), ProbeError> {
        if fact.candidates.iter().any(frames::is_about_frames) {
            return self.serve_frames(fact);
        }
        let mut served = false;
        for candidate in in_order(fact, self.ground.types) {
            if served {
                self.report_unused(fact, candidate, "a better hook serves this already");
            } else if let Some(reason) = self.excluded(fact, candidate.kind) {
                self.report_unused(fact, candidate, reason);
            } else {
                served = self.try_candidate(fact, candidate);
                if !served {
                    self.unload(candidate);
                }
            }
        }
        if served { Ok(()) } else { self.unserved(fact) }
    }

    /// Nobody serves the fact: an error if somebody was asked to by name.
    fn unserved(&self, fact: &Fact) -> Result<(), ProbeError> {
        let options = self.ground.options;
        let Some((_, kind)) = options.force.iter().find(|(name, _)| name == fact.name) else {
            return Ok(());
        };
        let reason = self
            .outcome
            .reports
            .iter()
            .rev()
            .filter(|report| report.fact == fact.name && report.hook == kind.name())
            .find_map(|report| report.reason.clone())
            .unwrap_or_else(|| "no such hook for this fact".to_owned());
        Err(ProbeError::Unsupported {
            what: format!("{} for {}", kind.name(), fact.name),
            reason,
            mend: "leave the choice of the hook to tracer".to_owned(),
        })
    }

    /// Why a kind of hook may not be used for a fact.
    fn excluded(&self, fact: &Fact, kind: HookKind) -> Option<&'static str> {
        let options = self.ground.options;
        let forced = options.force.iter().find(|(name, _)| name == fact.name);
        if fact.name == plan::KERNEL_PATH && !options.kernel_path && forced.is_none() {
            return Some("not asked for: --kernel-path, -v, --layers and JSON do");
        }
        if fact.name == plan::FILE_OPEN
            && kind == HookKind::Uprobe
            && options.without_c_library
            && forced.is_none()
        {
            return Some("the program that is traced does not call the GNU C library");
        }
        if forced.is_some_and(|(_, only)| *only != kind) {
            Some("another hook was asked for")
        } else if options.without.contains(&kind) {
            Some("switched off")
        } else {
            None
        }
    }

    /// True when the candidate serves. Reports every part.
    fn try_candidate(&mut self, fact: &Fact, candidate: &Candidate) -> bool {
        let missing = self.ground.offsets.missing(candidate.needs);
        if !missing.is_empty() {
            let reason = format!("this kernel has no {}", missing.join(", "));
            let refusal = Refusal::unavailable(reason);
            self.report_candidate(fact, candidate, &refusal);
            return false;
        }
        if frames::is_about_frames(candidate) {
            return self.try_frames(fact, candidate);
        }
        if let Some(Target::Library(function)) = candidate.parts.first().map(|part| part.target) {
            return self.try_library(fact, candidate, function);
        }
        let mut reports = Vec::new();
        let mut watchers: Vec<(u8, String)> = Vec::new();
        for part in candidate.parts {
            let kind = part.kind(candidate.kind);
            let is_watched = |place: &u8| watchers.iter().any(|(watched, _)| watched == place);
            let attached_to = if !part.places.is_empty() && part.places.iter().all(is_watched) {
                Err(Refusal::not_needed("a better hook serves this already"))
            } else if self.ground.options.without.contains(&kind) {
                Err(Refusal::not_needed("switched off"))
            } else {
                self.attach_part(candidate.kind, part)
            };
            match attached_to {
                Ok(target) => {
                    let places = part.places.iter().copied();
                    watchers.extend(places.map(|place| (place, target.clone())));
                    let Ground { types, offsets, .. } = self.ground;
                    self.ground.options.steps.attached();
                    let mut report = attached(fact, kind, target);
                    report.reason = needs::left_out(part.program, types, offsets);
                    reports.push(report);
                }
                Err(refusal) if part.required => {
                    self.report(fact, kind, part.target.label(), &refusal);
                    return false;
                }
                Err(refusal) => {
                    self.report(fact, kind, part.target.label(), &refusal);
                }
            }
        }
        self.outcome.reports.append(&mut reports);
        self.outcome.watchers.append(&mut watchers);
        true
    }

    fn unload(&mut self, candidate: &Candidate) {
        let parts = candidate.parts;
        let of_candidate = |name| parts.iter().any(|part| part.program == name);
        let linked = &mut self.outcome.linked;
        linked.retain(|program| !of_candidate(program.name));
        for Part { program, .. } in parts {
            if let Some(program) = self.programs.get_mut(program) {
                single::unload(program);
            }
        }
    }

    fn report_unused(&mut self, fact: &Fact, candidate: &Candidate, reason: &str) {
        self.report_candidate(fact, candidate, &Refusal::not_needed(reason));
    }

    /// One line for a candidate as a whole, named after its first part.
    fn report_candidate(&mut self, fact: &Fact, candidate: &Candidate, refusal: &Refusal) {
        if let Some(part) = candidate.parts.first() {
            self.report(fact, candidate.kind, part.target.label(), refusal);
        }
    }

    fn report(&mut self, fact: &Fact, kind: HookKind, target: String, refusal: &Refusal) {
        self.outcome.reports.push(HookReport {
            fact: fact.name.to_owned(),
            hook: kind.name().to_owned(),
            target,
            status: refusal.status,
            reason: Some(refusal.reason.clone()),
        });
    }

    fn report_attached(&mut self, fact: &Fact, kind: HookKind, target: String) {
        self.ground.options.steps.attached();
        self.outcome.reports.push(attached(fact, kind, target));
    }
}

fn attached(fact: &Fact, kind: HookKind, target: String) -> HookReport {
    HookReport {
        fact: fact.name.to_owned(),
        hook: kind.name().to_owned(),
        target,
        status: HookStatus::Attached,
        reason: None,
    }
}
