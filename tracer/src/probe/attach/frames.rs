//! Frames: one hook per interface and direction, each interface on its own. What one
//! interface refuses, another may accept, and an interface may vanish meanwhile.

use aya::programs::{
    LinkOrder, Program, ProgramError, SchedClassifier, TcAttachType, XdpMode, tc::TcAttachOptions,
};

use super::{Attacher, Refusal, single};
use crate::{
    capture::{HookKind, LinkType},
    journey::model::{HookReport, HookStatus},
    probe::{
        cleanup, error,
        error::ProbeError,
        interfaces::Interface,
        plan::{self, Candidate, Fact, Part, Target},
    },
};

pub(super) fn is_about_frames(candidate: &Candidate) -> bool {
    candidate
        .parts
        .iter()
        .any(|part| matches!(part.target, Target::FramesIn | Target::FramesOut))
}

impl Attacher<'_> {
    /// Each interface gets the first hook that it accepts; see also [`arriving_on_loopback`].
    pub(super) fn serve_frames(&mut self, fact: &Fact) -> Result<(), ProbeError> {
        let options = self.ground.options;
        let is_forced = options.force.iter().any(|(name, _)| name == fact.name);
        let leaves_out = fact.name == plan::FRAMES_IN && !is_forced;
        let interfaces = self.ground.interfaces.iter();
        let interfaces: Vec<&Interface> = interfaces
            .filter(|interface| !(leaves_out && interface.is_loopback))
            .collect();
        let mut waiting = interfaces.clone();
        for candidate in in_order(fact.candidates, interfaces.len()) {
            if waiting.is_empty() {
                self.report_unused(fact, candidate, "a better hook serves this already");
            } else if let Some(reason) = self.excluded(fact, candidate.kind) {
                self.report_unused(fact, candidate, reason);
            } else {
                waiting = self.attach_interfaces(fact, candidate, &waiting);
            }
        }
        if waiting.len() == interfaces.len() && !interfaces.is_empty() {
            return self.unserved(fact);
        }
        Ok(())
    }

    /// As `try_candidate`, on all interfaces.
    pub(super) fn try_frames(&mut self, fact: &Fact, candidate: &Candidate) -> bool {
        let interfaces: Vec<&Interface> = self.ground.interfaces.iter().collect();
        let refused = self.attach_interfaces(fact, candidate, &interfaces);
        refused.len() < interfaces.len()
    }

    /// Loads the programs that this run's options do not choose; a refusal is reported under
    /// the program's name.
    pub(super) fn load_the_rest(&mut self, fact: &Fact, candidate: &Candidate) {
        for part in candidate
            .parts
            .iter()
            .filter(|_| is_about_frames(candidate))
        {
            if let Err(refusal) = self.load_frames(part) {
                self.report(fact, candidate.kind, part.program.to_owned(), &refusal);
            }
        }
    }

    /// Attaches to each interface; hands back those that refused.
    fn attach_interfaces<'b>(
        &mut self,
        fact: &Fact,
        candidate: &Candidate,
        interfaces: &[&'b Interface],
    ) -> Vec<&'b Interface> {
        let unwanted = if self.ground.options.xdp_native {
            plan::XDP_GENERIC
        } else {
            plan::XDP_NATIVE
        };
        let mut parts = candidate.parts.iter();
        let Some(part) = parts.find(|part| part.program != unwanted) else {
            return interfaces.to_vec();
        };
        if let Err(refusal) = self.load_frames(part) {
            self.report_candidate(fact, candidate, &refusal);
            return interfaces.to_vec();
        }
        let mut refusing = Vec::new();
        for interface in interfaces {
            match self.attach_interface(candidate.kind, part, interface) {
                Ok(()) => self.report_attached(fact, candidate.kind, interface.name.clone()),
                Err(refusal) => {
                    refusing.push(*interface);
                    self.report(fact, candidate.kind, interface.name.clone(), &refusal);
                }
            }
        }
        refusing
    }

    fn load_frames(&mut self, part: &Part) -> Result<(), Refusal> {
        let loaded = match self.program(part)? {
            Program::Xdp(program) => program.load(),
            Program::SchedClassifier(program) => program.load(),
            _ => return Err(single::mismatch(part)),
        };
        match loaded {
            // Two candidates share the program.
            Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(()),
            Err(error) => Err(single::refused(error)),
        }
    }

    fn attach_interface(
        &mut self,
        kind: HookKind,
        part: &Part,
        interface: &Interface,
    ) -> Result<(), Refusal> {
        let native = self.ground.options.xdp_native;
        let mut qdisc = None;
        match self.program(part)? {
            Program::Xdp(program) => {
                if interface.link_type == LinkType::RawIp {
                    return Err(Refusal::unavailable(
                        "frames without a link layer are left to TC",
                    ));
                }
                let mode = if native {
                    XdpMode::Default
                } else {
                    XdpMode::Skb
                };
                program
                    .attach_to_if_index(interface.index, mode)
                    .map(drop)
                    .map_err(busy_or_refused)
            }
            Program::SchedClassifier(program) => {
                let way = match part.target {
                    Target::FramesIn => TcAttachType::Ingress,
                    _ => TcAttachType::Egress,
                };
                match kind {
                    HookKind::Tcx => attach_tcx(program, interface, way)?,
                    _ => {
                        qdisc = cleanup::attach_clsact(program, interface, way)
                            .map_err(|error| Refusal::failed(error::chain(&error)))?;
                    }
                }
                self.outcome.qdiscs.extend(qdisc);
                self.outcome.classifier = Some(kind);
                Ok(())
            }
            _ => Err(single::mismatch(part)),
        }
    }
}

/// A frame that arrives on loopback is one that was seen when it left, and a second look at it
/// costs more than the first (generic XDP copies it). So what serves the leaving ones serves
/// the arriving ones, too.
pub(super) fn arriving_on_loopback(
    interfaces: &[Interface],
    reports: &[HookReport],
) -> Vec<HookReport> {
    let is_served = |report: &&HookReport| {
        let on_loopback = |it: &Interface| it.is_loopback && it.name == report.target;
        report.fact == plan::FRAMES_OUT
            && report.status == HookStatus::Attached
            && interfaces.iter().any(on_loopback)
    };
    let served = reports.iter().filter(is_served);
    served
        .map(|report| HookReport {
            fact: plan::FRAMES_IN.to_owned(),
            reason: Some("seen where they leave".to_owned()),
            ..report.clone()
        })
        .collect()
}

/// Of more interfaces than this, TCX would take seconds.
const MANY_INTERFACES: usize = 64;

/// Attaching and detaching with TCX waits for a grace period of the kernel, one interface
/// after the other; a filter on clsact does not.
fn in_order(candidates: &'static [Candidate], interfaces: usize) -> Vec<&'static Candidate> {
    let mut ordered: Vec<_> = candidates.iter().collect();
    if interfaces > MANY_INTERFACES {
        // Stable: the others keep their order.
        ordered.sort_by_key(|candidate| candidate.kind == HookKind::Tcx);
    }
    ordered
}

/// Ahead of all others: a program before ours could drop or redirect what is to be seen.
fn attach_tcx(
    program: &mut SchedClassifier,
    interface: &Interface,
    way: TcAttachType,
) -> Result<(), Refusal> {
    program
        .attach_with_options(
            &interface.name,
            way,
            TcAttachOptions::TcxOrder(LinkOrder::first()),
        )
        .map(drop)
        .map_err(|error| match error::errno(&error) {
            Some(libc::EINVAL) => Refusal::unavailable("this kernel has no TCX (Linux 6.6)"),
            _ => single::refused(error),
        })
}

fn busy_or_refused(error: ProgramError) -> Refusal {
    match error::errno(&error) {
        Some(libc::EBUSY) => Refusal::failed("another XDP program is attached already"),
        Some(libc::EOPNOTSUPP) => Refusal::unavailable("the driver has no XDP"),
        _ => single::refused(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::plan::FACTS;

    fn interface(name: &str, is_loopback: bool) -> Interface {
        Interface {
            index: 1,
            name: name.to_owned(),
            link_type: LinkType::Ethernet,
            is_loopback,
        }
    }

    fn leaving(target: &str, status: HookStatus) -> HookReport {
        HookReport {
            fact: plan::FRAMES_OUT.to_owned(),
            hook: "tcx".to_owned(),
            target: target.to_owned(),
            status,
            reason: None,
        }
    }

    #[test]
    fn what_serves_the_leaving_frames_of_loopback_serves_its_arriving_ones() {
        let interfaces = [interface("lo", true), interface("eth0", false)];
        let attached = ["lo", "eth0"].map(|name| leaving(name, HookStatus::Attached));
        let served = arriving_on_loopback(&interfaces, &attached);
        let told: Vec<_> = served
            .iter()
            .map(|it| (it.fact.as_str(), it.hook.as_str(), it.target.as_str()))
            .collect();
        assert_eq!(told, [("frames_in", "tcx", "lo")]);
        assert!(served[0].reason.is_some());
        let refused = [leaving("lo", HookStatus::Failed)];
        assert_eq!(arriving_on_loopback(&interfaces, &refused), []);
    }

    #[test]
    fn tcx_is_the_last_resort_where_there_are_many_interfaces() {
        for fact in FACTS {
            let kinds = |interfaces| -> Vec<HookKind> {
                let ordered = in_order(fact.candidates, interfaces);
                ordered.iter().map(|candidate| candidate.kind).collect()
            };
            let few = kinds(MANY_INTERFACES);
            assert!(few.iter().eq(fact.candidates.iter().map(|one| &one.kind)));
            let mut many = kinds(MANY_INTERFACES + 1);
            if few.contains(&HookKind::Tcx) {
                assert_eq!(many.pop(), Some(HookKind::Tcx));
            }
            assert!(!many.contains(&HookKind::Tcx));
        }
    }
}
