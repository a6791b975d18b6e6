//! Which hook serves which fact on this kernel, for `tracer doctor`.

use super::page::Page;
use super::style::{Piece, Role, Style};
use crate::journey::model::{HookReport, HookStatus, KernelCost};
use schemars::JsonSchema;
use serde::Serialize;

/// Column of the hooks.
const HOOKS: usize = 18;

/// What a kernel can tell.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Diagnosis {
    pub schema_version: u32,
    pub tracer: String,
    pub kernel: Option<String>,
    /// Every fact that the timeline is not complete without has a hook.
    pub complete: bool,
    pub facts: Vec<FactDiagnosis>,
}

/// One fact and the hooks that could serve it, in order of preference.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FactDiagnosis {
    pub fact: String,
    /// The timeline is complete without it.
    pub optional: bool,
    /// Kind of the hook that serves it.
    pub chosen: Option<String>,
    /// How often its programs ran until now, by the kernel's own count; null where that was
    /// not asked for or not allowed.
    pub runs: Option<u64>,
    /// The doctor did what should make them run.
    pub provoked: bool,
    pub candidates: Vec<CandidateDiagnosis>,
}

/// One hook that was tried, or not needed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CandidateDiagnosis {
    /// As in `capture.hooks` of a document.
    pub hook: String,
    pub target: String,
    pub status: HookStatus,
    /// Why it is not attached, or what it cannot tell on this kernel.
    pub reason: Option<String>,
    /// What would make it available.
    pub mend: Option<String>,
}

impl Diagnosis {
    /// From what became of every hook; `is_optional` says without which facts the timeline is
    /// complete.
    pub fn new(
        hooks: &[HookReport],
        kernel: Option<String>,
        is_optional: impl Fn(&str) -> bool,
    ) -> Self {
        let mut facts: Vec<FactDiagnosis> = Vec::new();
        for hook in hooks {
            let known = facts.iter().position(|fact| fact.fact == hook.fact);
            let place = known.unwrap_or(facts.len());
            if known.is_none() {
                facts.push(FactDiagnosis {
                    fact: hook.fact.clone(),
                    optional: is_optional(&hook.fact),
                    chosen: None,
                    runs: None,
                    provoked: false,
                    candidates: Vec::new(),
                });
            }
            let Some(fact) = facts.get_mut(place) else {
                continue;
            };
            if hook.status == HookStatus::Attached {
                fact.chosen.get_or_insert_with(|| hook.hook.clone());
            }
            fact.candidates.push(CandidateDiagnosis {
                hook: hook.hook.clone(),
                target: hook.target.clone(),
                status: hook.status,
                reason: hook.reason.clone(),
                mend: mend(hook).map(str::to_owned),
            });
        }
        Self {
            schema_version: 1,
            tracer: env!("CARGO_PKG_VERSION").to_owned(),
            kernel,
            complete: facts
                .iter()
                .all(|fact| fact.optional || fact.chosen.is_some()),
            facts,
        }
    }

    /// Takes note of how often programs ran, and for which facts something was done to make
    /// them run.
    pub fn count_runs(&mut self, counted: &KernelCost, provoked: &[&str]) {
        for fact in &mut self.facts {
            let programs = counted.programs.iter();
            let own = programs.filter(|program| program.fact == fact.fact);
            fact.runs = Some(own.map(|program| program.run_count).sum());
            fact.provoked = provoked.contains(&fact.fact.as_str());
        }
    }
}

impl FactDiagnosis {
    /// Its hook is attached, and saw nothing of what should have made it run.
    fn is_silent(&self) -> bool {
        self.chosen.is_some() && self.provoked && self.runs == Some(0)
    }
}

/// What would make a hook available: an option of the kernel's build, a mount, a right.
fn mend(hook: &HookReport) -> Option<&'static str> {
    if matches!(hook.status, HookStatus::Attached | HookStatus::NotNeeded) {
        return None;
    }
    let reason = hook.reason.as_deref().unwrap_or_default();
    if reason == "switched off" || reason == "another hook was asked for" {
        return Some("leave out --without and --force-hook");
    }
    Some(match hook.hook.as_str() {
        "kprobe" => "a kernel built with CONFIG_KPROBES and CONFIG_KPROBE_EVENTS",
        "fentry" => {
            "a kernel built with CONFIG_FUNCTION_TRACER and \
             CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"
        }
        "uprobe" => "a kernel built with CONFIG_UPROBE_EVENTS, and a C library of this host's own",
        "cgroup" | "sock_ops" => {
            "a kernel built with CONFIG_CGROUP_BPF, and `mount -t cgroup2 none /sys/fs/cgroup`"
        }
        "tcx" => "a kernel built with CONFIG_NET_XGRESS (Linux 6.6)",
        "clsact" => "a kernel built with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF",
        "xdp" => "take the other XDP program off the interface (`ip link set dev NAME xdp off`)",
        "tracepoint" | "tp_btf" if reason.contains("does not tell") => {
            "a newer kernel: this one traces the event without that argument"
        }
        "tracepoint" | "tp_btf" => {
            "a kernel built with CONFIG_BPF_EVENTS and CONFIG_DEBUG_INFO_BTF"
        }
        _ => return None,
    })
}

/// A table of facts and hooks; `verbose` names the candidates that were not needed, too, and
/// says what would make the refused ones available.
pub fn render(diagnosis: &Diagnosis, style: Style, verbose: u8) -> String {
    let mut page = Page::new(style);
    let kernel = diagnosis.kernel.as_deref().unwrap_or("unknown");
    page.line(
        0,
        vec![
            Piece::new(Role::Label, "kernel "),
            Piece::plain(kernel.to_owned()),
        ],
    );
    for fact in &diagnosis.facts {
        // Nothing serves it: then the way out is worth a line, asked for or not.
        let verbose = verbose.max(u8::from(fact.chosen.is_none()));
        write_fact(&mut page, fact, verbose);
    }
    let unserved = |optional: bool| {
        let facts = diagnosis.facts.iter();
        let unserved = facts.filter(|it| it.chosen.is_none() && it.optional == optional);
        let names: Vec<&str> = unserved.map(|it| it.fact.as_str()).collect();
        names.join(", ")
    };
    let (needed, optional) = (unserved(false), unserved(true));
    let (role, verdict) = match (needed.as_str(), optional.as_str()) {
        ("", "") => (
            Role::Good,
            "Every fact of the timeline has a hook on this kernel.".to_owned(),
        ),
        ("", without) => (
            Role::Good,
            format!(
                "Every fact of the timeline has a hook on this kernel, but for what it is \
                 complete without: {without}."
            ),
        ),
        (without, "") => (
            Role::Warning,
            format!("Without a hook on this kernel: {without}."),
        ),
        (without, optional) => (
            Role::Warning,
            format!("Without a hook on this kernel: {without}, {optional}."),
        ),
    };
    page.line(0, vec![Piece::new(role, verdict)]);
    let silent = diagnosis.facts.iter().filter(|fact| fact.is_silent());
    let silent: Vec<&str> = silent.map(|fact| fact.fact.as_str()).collect();
    if !silent.is_empty() {
        let silent = silent.join(", ");
        let warning = format!(
            "Attached, but silent when the doctor made a request of its own: {silent}. Please \
             report this with the output of `tracer doctor -v`."
        );
        page.line(0, vec![Piece::new(Role::Warning, warning)]);
    }
    page.finish()
}

fn write_fact(page: &mut Page, fact: &FactDiagnosis, verbose: u8) {
    let mut label = vec![Piece::new(Role::Label, fact.fact.clone())];
    // Of a fact's programs, not of each.
    let mut runs = fact.runs;
    for hook in &fact.candidates {
        if hook.status == HookStatus::NotNeeded && verbose == 0 {
            continue;
        }
        let (role, word) = match hook.status {
            HookStatus::Attached => (Role::Good, "ok"),
            HookStatus::Unavailable => (Role::Faint, "not on this kernel"),
            HookStatus::Failed => (Role::Warning, "refused"),
            HookStatus::NotNeeded => (Role::Faint, "not needed"),
        };
        let mut pieces = vec![
            Piece::plain(format!("{} {}  ", hook.hook, hook.target)),
            Piece::new(role, word),
        ];
        if hook.status == HookStatus::Attached
            && let Some(runs) = runs.take()
        {
            pieces.push(match runs {
                0 if fact.is_silent() => Piece::new(Role::Warning, ", but it saw nothing"),
                0 => Piece::new(Role::Faint, ", nothing seen yet"),
                1 => Piece::new(Role::Faint, ", ran once"),
                _ => Piece::new(Role::Faint, format!(", ran {runs} times")),
            });
        }
        if let Some(reason) = &hook.reason {
            pieces.push(Piece::new(Role::Faint, format!(": {reason}")));
        }
        if let Some(mend) = hook.mend.as_ref().filter(|_| verbose > 0) {
            pieces.push(Piece::new(Role::Faint, format!("; needed: {mend}")));
        }
        page.row(std::mem::take(&mut label), HOOKS, HOOKS + 2, pieces);
    }
}

#[cfg(test)]
mod tests {
    use super::{Diagnosis, mend, render};
    use crate::capture::HookKind;
    use crate::journey::model::{HookReport, HookStatus, KernelCost, ProgramCost};
    use crate::report::style::Style;

    fn hook(fact: &str, hook: &str, status: HookStatus, reason: Option<&str>) -> HookReport {
        HookReport {
            fact: fact.into(),
            hook: hook.into(),
            target: "x".into(),
            status,
            reason: reason.map(Into::into),
        }
    }

    #[test]
    fn a_refused_hook_shows_its_reason_and_a_fact_without_hook_is_named() {
        let hooks = [
            hook(
                "tcp_state",
                "kprobe",
                HookStatus::Unavailable,
                Some("no kprobes"),
            ),
            hook("tcp_state", "tracepoint", HookStatus::Attached, None),
            hook("route", "tracepoint", HookStatus::Failed, Some("EPERM")),
        ];
        let needed = |hooks: &[HookReport]| Diagnosis::new(hooks, Some("6.1".into()), |_| false);
        let text = render(&needed(&hooks), Style::default(), 0);
        assert!(
            text.contains("no kprobes") && text.contains("EPERM"),
            "{text}"
        );
        assert!(
            text.contains("Without a hook on this kernel: route."),
            "{text}"
        );
        let served = render(&needed(&hooks[..2]), Style::default(), 0);
        assert!(served.contains("Every fact"), "{served}");
    }

    #[test]
    fn a_fact_that_may_be_missing_leaves_the_timeline_complete() {
        let hooks = [
            hook("tcp_state", "tp_btf", HookStatus::Attached, None),
            hook(
                "packet_drop",
                "tracepoint",
                HookStatus::Unavailable,
                Some("its tracepoint kfree_skb does not tell the reason of a drop"),
            ),
        ];
        let diagnosis = Diagnosis::new(&hooks, None, |fact| fact == "packet_drop");
        assert!(diagnosis.complete);
        assert_eq!(diagnosis.facts[0].chosen.as_deref(), Some("tp_btf"));
        assert_eq!(diagnosis.facts[1].chosen, None);
        let text = render(&diagnosis, Style::default(), 0);
        assert!(
            text.contains("complete without: packet_drop") && text.contains("a newer kernel"),
            "{text}"
        );
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert!(!Diagnosis::new(&hooks, None, |_| false).complete);
    }

    #[test]
    fn a_hook_that_saw_nothing_of_what_was_provoked_is_named() {
        let hooks = ["tcp_state", "route", "neighbor"]
            .map(|fact| hook(fact, "tracepoint", HookStatus::Attached, None));
        let ran = ProgramCost {
            name: "x".to_owned(),
            fact: "tcp_state".to_owned(),
            run_count: 12,
            run_time_ns: 1200,
            ns_per_run: 100,
        };
        let counted = KernelCost {
            run_count: 12,
            run_time_ns: 1200,
            ns_per_event: None,
            programs: vec![ran],
        };
        let mut diagnosis = Diagnosis::new(&hooks, None, |_| false);
        diagnosis.count_runs(&counted, &["tcp_state", "route"]);
        let text = render(&diagnosis, Style::default(), 0);
        let line = |fact: &str| text.lines().find(|line| line.starts_with(fact)).unwrap();
        assert!(line("tcp_state").ends_with("ok, ran 12 times"), "{text}");
        assert!(line("route").ends_with("ok, but it saw nothing"), "{text}");
        assert!(line("neighbor").ends_with("ok, nothing seen yet"), "{text}");
        assert!(text.contains("of its own: route. Please"), "{text}");
    }

    #[test]
    fn every_refusal_has_its_mend() {
        for kind in HookKind::ALL {
            let refused = hook("x", kind.name(), HookStatus::Failed, Some("EPERM"));
            let planned = !matches!(kind, HookKind::Netlink | HookKind::Pcap);
            assert_eq!(mend(&refused).is_some(), planned, "{}", kind.name());
        }
    }
}
