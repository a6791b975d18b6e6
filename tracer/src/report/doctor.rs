//! Which hook serves which fact on this kernel, for `tracer doctor`.

use super::page::Page;
use super::style::{Piece, Role, Style};
use crate::journey::model::{HookReport, HookStatus};

/// Column of the hooks.
const HOOKS: usize = 18;

/// A table of facts and hooks; `verbose` names the candidates that were not needed, too.
pub fn render(hooks: &[HookReport], kernel: Option<&str>, style: Style, verbose: u8) -> String {
    let mut page = Page::new(style);
    let kernel = kernel.unwrap_or("unknown");
    page.line(
        0,
        vec![
            Piece::new(Role::Label, "kernel "),
            Piece::plain(kernel.to_owned()),
        ],
    );
    let mut facts: Vec<&str> = Vec::new();
    for hook in hooks {
        if !facts.contains(&hook.fact.as_str()) {
            facts.push(&hook.fact);
        }
    }
    let mut unserved = Vec::new();
    for fact in facts {
        let candidates: Vec<&HookReport> = hooks.iter().filter(|h| h.fact == fact).collect();
        if !candidates
            .iter()
            .any(|hook| hook.status == HookStatus::Attached)
        {
            unserved.push(fact);
        }
        write_fact(&mut page, fact, &candidates, verbose);
    }
    let (role, verdict) = if unserved.is_empty() {
        (
            Role::Good,
            "Every fact of the timeline has a hook on this kernel.".to_owned(),
        )
    } else {
        let text = format!("Without a hook on this kernel: {}.", unserved.join(", "));
        (Role::Warning, text)
    };
    page.line(0, vec![Piece::new(role, verdict)]);
    page.finish()
}

fn write_fact(page: &mut Page, fact: &str, candidates: &[&HookReport], verbose: u8) {
    let mut label = vec![Piece::new(Role::Label, fact.to_owned())];
    for hook in candidates {
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
        if let Some(reason) = &hook.reason {
            pieces.push(Piece::new(Role::Faint, format!(": {reason}")));
        }
        page.row(std::mem::take(&mut label), HOOKS, HOOKS + 2, pieces);
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::journey::model::{HookReport, HookStatus};
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
        let text = render(&hooks, Some("6.1"), Style::default(), 0);
        assert!(
            text.contains("no kprobes") && text.contains("EPERM"),
            "{text}"
        );
        assert!(
            text.contains("Without a hook on this kernel: route."),
            "{text}"
        );
        let served = render(&hooks[..2], None, Style::default(), 0);
        assert!(served.contains("Every fact"), "{served}");
    }
}
