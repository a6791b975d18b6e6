//! Hooks of which there is one per host: functions, tracepoints, the cgroup root,
//! libraries.

use std::{io, os::fd::OwnedFd, path::Path};

use aya::programs::{
    CgroupAttachMode, CgroupSkbAttachType, Program, ProgramError,
    uprobe::{UProbeAttachLocation, UProbeScope},
};

use super::{
    Attacher, Ground, LinkedProgram, Refusal, attached,
    own_programs::{Kind, LoadRefusal},
};
use crate::{
    capture::HookKind,
    journey::model::HookStatus,
    probe::{
        cgroup, error,
        layout::Sort,
        libraries::{self, Place},
        needs,
        plan::{self, Candidate, Fact, Part, Target},
    },
};

/// Present when the kernel has kprobes that perf_event_open(2) can make.
const KPROBE_EVENTS: &str = "/sys/bus/event_source/devices/kprobe/type";
/// Present when it has uprobes.
const UPROBE_EVENTS: &str = "/sys/bus/event_source/devices/uprobe/type";
impl Attacher<'_> {
    /// Says to what it was attached.
    pub(super) fn attach_part(&mut self, kind: HookKind, part: &Part) -> Result<String, Refusal> {
        if let Some(reason) = needs::unmet(part.program, self.ground.types) {
            return Err(Refusal::unavailable(reason));
        }
        let attached = match part.target {
            Target::FirstFunction(names) => return self.attach_first(kind, part, names),
            Target::Tracepoint { name, .. } => self.attach_tracepoint(part.kind(kind), part, name),
            Target::Function(name) => self.attach_function(kind, part, name),
            Target::Cgroup(_) => self.attach_cgroup(part),
            Target::Library(_) | Target::FramesIn | Target::FramesOut => {
                Err(Refusal::failed("attached elsewhere"))
            }
        };
        attached.map(|()| part.target.label())
    }

    /// Attaches to the first of several functions that takes it.
    fn attach_first(
        &mut self,
        kind: HookKind,
        part: &Part,
        names: &[&str],
    ) -> Result<String, Refusal> {
        let mut refusals: Vec<(&str, Refusal)> = Vec::new();
        for name in names {
            match self.attach_function(kind, part, name) {
                Ok(()) => return Ok((*name).to_owned()),
                Err(refusal) => refusals.push((name, refusal)),
            }
            // A program is loaded for one function.
            if let Some(program) = self.programs.get_mut(part.program) {
                unload(program);
            }
        }
        let failed = refusals
            .iter()
            .any(|(_, refusal)| refusal.status == HookStatus::Failed);
        let reasons: Vec<String> = refusals
            .iter()
            .map(|(name, refusal)| format!("{name}: {}", refusal.reason))
            .collect();
        let reason = reasons.join("; ");
        Err(match failed {
            true => Refusal::failed(reason),
            false => Refusal::unavailable(reason),
        })
    }

    fn attach_tracepoint(
        &mut self,
        kind: HookKind,
        part: &Part,
        name: &str,
    ) -> Result<(), Refusal> {
        let Some(type_id) = self.ground.types.id(Sort::Tracepoint, name) else {
            return Err(Refusal::unavailable("this kernel has no such tracepoint"));
        };
        if kind == HookKind::TpBtf {
            return self.attach_typed(part, Kind::TypedTracepoint(type_id));
        }
        let Program::RawTracePoint(program) = self.program(part)? else {
            return Err(mismatch(part));
        };
        program.load().map_err(refused)?;
        program.attach(name).map(drop).map_err(refused)
    }

    fn attach_function(&mut self, kind: HookKind, part: &Part, name: &str) -> Result<(), Refusal> {
        let Some(type_id) = self.ground.types.id(Sort::Function, name) else {
            return Err(Refusal::unavailable("this kernel has no such function"));
        };
        if kind == HookKind::Fentry {
            return self.attach_typed(part, Kind::Fentry(type_id));
        }
        if !Path::new(KPROBE_EVENTS).exists() {
            return Err(Refusal::unavailable(
                "this kernel has no kprobes (CONFIG_KPROBE_EVENTS)",
            ));
        }
        let Program::KProbe(program) = self.program(part)? else {
            return Err(mismatch(part));
        };
        program.load().map_err(refused)?;
        program.attach(name, 0).map(drop).map_err(refused)
    }

    /// For programs whose arguments have types.
    fn attach_typed(&mut self, part: &Part, kind: Kind) -> Result<(), Refusal> {
        let loadable = self.ground.loadable.ok_or_else(|| mismatch(part))?;
        let mut program = loadable.load(part.program, kind).map_err(not_loaded)?;
        let attached = program.attach();
        attached.map_err(|error| refused_by_kernel("the hook", &error))?;
        self.outcome.linked.push(program);
        Ok(())
    }

    fn attach_cgroup(&mut self, part: &Part) -> Result<(), Refusal> {
        let root: OwnedFd =
            cgroup::root().map_err(|error| Refusal::unavailable(error::chain(&error)))?;
        // Links always share a cgroup; the mode is that of the older interface.
        let mode = CgroupAttachMode::Single;
        match self.program(part)? {
            Program::CgroupSockAddr(program) => {
                program.load().map_err(refused)?;
                program.attach(root, mode).map(drop).map_err(refused)
            }
            Program::SockOps(program) => {
                program.load().map_err(refused)?;
                program.attach(root, mode).map(drop).map_err(refused)
            }
            Program::CgroupSkb(program) => {
                program.load().map_err(refused)?;
                let egress = CgroupSkbAttachType::Egress;
                program
                    .attach(root, egress, mode)
                    .map(drop)
                    .map_err(refused)
            }
            _ => Err(mismatch(part)),
        }
    }

    /// Attaches to a function of every C library. It serves if one of them accepts all.
    pub(super) fn try_library(
        &mut self,
        fact: &Fact,
        candidate: &Candidate,
        function: &str,
    ) -> bool {
        let mut places = libraries::find(function);
        if function == plan::FOPEN {
            places.retain(|place| !libraries::is_musl(&place.path));
        }
        if places.is_empty() {
            let refusal = Refusal::unavailable("no such C library found on this host");
            self.report_candidate(fact, candidate, &refusal);
            return false;
        }
        let loaded = match self.load_linked(candidate) {
            Some(Ok(linked)) => Ok(Some(linked)),
            Some(Err(refusal)) => Err(refusal),
            None => self.load_library_programs(candidate).map(|()| None),
        };
        let mut linked = match loaded {
            Ok(linked) => linked,
            Err(refusal) => {
                self.report_candidate(fact, candidate, &refusal);
                return false;
            }
        };
        let mut serves = false;
        for place in places {
            let target = format!("{}:{function}", place.path.display());
            let attached_there = match &mut linked {
                Some(linked) => attach_linked(linked, &place),
                None => self.attach_place(candidate, &place),
            };
            match attached_there {
                Ok(()) => {
                    serves = true;
                    let Ground { types, offsets, .. } = self.ground;
                    let mut report = attached(fact, candidate.kind, target);
                    let programs = candidate.parts.iter().map(|part| part.program);
                    report.reason = programs
                        .filter_map(|program| needs::left_out(program, types, offsets))
                        .next();
                    self.outcome.reports.push(report);
                }
                Err(refusal) => self.report(fact, candidate.kind, target, &refusal),
            }
        }
        if serves {
            self.outcome.linked.extend(linked.into_iter().flatten());
        }
        serves
    }

    /// `None` where the kernel does not link uprobes.
    fn load_linked(&self, candidate: &Candidate) -> Option<Result<Vec<LinkedProgram>, Refusal>> {
        let loadable = self.ground.loadable.filter(|it| it.links_uprobes())?;
        let programs = candidate.parts.iter().map(|part| {
            let loaded = loadable.load(part.program, Kind::Uprobe);
            loaded.map_err(not_loaded)
        });
        Some(programs.collect())
    }

    fn load_library_programs(&mut self, candidate: &Candidate) -> Result<(), Refusal> {
        if !Path::new(UPROBE_EVENTS).exists() {
            return Err(Refusal::unavailable(
                "this kernel has no uprobes (CONFIG_UPROBE_EVENTS)",
            ));
        }
        for part in candidate.parts {
            let Program::UProbe(program) = self.program(part)? else {
                return Err(mismatch(part));
            };
            program.load().map_err(refused)?;
        }
        Ok(())
    }

    fn attach_place(&mut self, candidate: &Candidate, place: &Place) -> Result<(), Refusal> {
        for part in candidate.parts {
            let Program::UProbe(program) = self.program(part)? else {
                return Err(mismatch(part));
            };
            program
                .attach(
                    UProbeAttachLocation::AbsoluteOffset(place.offset),
                    &place.path,
                    UProbeScope::AllProcesses,
                )
                .map_err(refused)?;
        }
        Ok(())
    }

    pub(super) fn program(&mut self, part: &Part) -> Result<&mut Program, Refusal> {
        self.programs
            .get_mut(part.program)
            .map(|program| &mut **program)
            .ok_or_else(|| mismatch(part))
    }
}

fn attach_linked(linked: &mut [LinkedProgram], place: &Place) -> Result<(), Refusal> {
    linked.iter_mut().try_for_each(|program| {
        let attached = program.attach_at(place);
        attached.map_err(|error| refused_by_kernel("the uprobe", &error))
    })
}

fn refused_by_kernel(what: &str, error: &io::Error) -> Refusal {
    Refusal::failed(format!("the kernel refused {what}: {error}"))
}

/// The object and the plan disagree: a fault of the build.
pub(super) fn mismatch(part: &Part) -> Refusal {
    Refusal::failed(format!(
        "the object has no fitting program {}: run `cargo xtask build`",
        part.program
    ))
}

/// The kernel's refusal. Of the verifier's log, which can be long, only the sentence that
/// says why.
pub(super) fn refused(error: ProgramError) -> Refusal {
    let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = &error
    else {
        return Refusal::failed(error::chain(&error));
    };
    not_verified(io_error, &verifier_log.to_string())
}

/// The same for a program that aya does not load.
fn not_loaded(refusal: LoadRefusal) -> Refusal {
    not_verified(&refusal.error, &refusal.log)
}

fn not_verified(error: &io::Error, log: &str) -> Refusal {
    // How the verifier calls a helper that came later than the kernel.
    if complaint(log).is_some_and(|line| line.contains("func unknown#")) {
        return Refusal::unavailable("this kernel is too old: it lacks a helper the program calls");
    }
    Refusal::failed(match complaint(log) {
        Some(line) => format!("the kernel refused the program: {error}: {line}"),
        None => format!("the kernel refused the program: {error}"),
    })
}

/// The last line of a verifier's log before its statistics.
fn complaint(log: &str) -> Option<&str> {
    log.lines().map(str::trim).rev().find(|line| {
        let is_statistic = ["processed ", "verification time ", "stack depth "]
            .iter()
            .any(|start| line.starts_with(start));
        !line.is_empty() && !is_statistic
    })
}

/// Does the kernel wait until nobody can be running the program before it lets go of it? The
/// links of tracepoints and cgroups leave that to its workers.
pub(super) fn unloading_waits(program: &Program) -> bool {
    !matches!(
        program,
        Program::RawTracePoint(_)
            | Program::SockOps(_)
            | Program::CgroupSockAddr(_)
            | Program::CgroupSkb(_)
    )
}

/// Detaches a program and takes it out of the kernel; nothing to do when it is not there.
pub(super) fn unload(program: &mut Program) {
    let _ = match program {
        Program::RawTracePoint(program) => program.unload(),
        Program::SockOps(program) => program.unload(),
        Program::KProbe(program) => program.unload(),
        Program::CgroupSockAddr(program) => program.unload(),
        Program::CgroupSkb(program) => program.unload(),
        Program::UProbe(program) => program.unload(),
        Program::Xdp(program) => program.unload(),
        Program::SchedClassifier(program) => program.unload(),
        _ => Ok(()),
    };
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn of_a_verifier_log_the_reason_is_kept() {
        let log = "0: (b7) r0 = 0\nR5 !read_ok\nverification time 620 usec\nstack depth 352\n\
                   processed 171 insns (limit 1000000)\n\n";
        assert_eq!(complaint(log), Some("R5 !read_ok"));
        assert_eq!(complaint(""), None);
    }
}
