//! What `tracer doctor --all --format json` says of one kernel, as far as the table needs it.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::results::Counts;

/// One kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The release, as `uname -r` prints it.
    pub kernel: String,
    /// The kernel of this machine, and not of a guest.
    pub native: bool,
    /// Every fact that a timeline needs has a hook.
    pub complete: bool,
    pub facts: Vec<Fact>,
}

/// One fact and every hook that was tried for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub name: String,
    pub hooks: Vec<Hook>,
}

/// One program on one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub kind: String,
    pub target: String,
    pub attached: bool,
    /// Why it was refused, or what it cannot tell on this kernel.
    pub reason: Option<String>,
}

impl Diagnosis {
    pub fn parse(text: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(text).context("not the JSON of a diagnosis")?;
        let facts = json["facts"].as_array().context("no list of facts")?;
        Ok(Self {
            kernel: string(&json, "kernel")?,
            native: false,
            complete: json["complete"] == true,
            facts: facts.iter().map(Fact::parse).collect::<Result<_>>()?,
        })
    }

    /// The kernel's name in the table. Point releases come and go without changing what a
    /// kernel offers; this machine's kernel is nobody else's, except that hardened ones are
    /// alike in what they lack.
    pub fn column(&self) -> String {
        let numbers = self.kernel.split(['.', '-', '+']);
        let version = numbers.take(2).collect::<Vec<_>>().join(".");
        let kprobes = self
            .facts
            .iter()
            .any(|fact| fact.serving().contains(&"kprobe"));
        match (self.native, kprobes) {
            (false, _) => version,
            (true, true) => format!("{version}, this machine's"),
            (true, false) => format!("{version}, no kprobes"),
        }
    }

    /// How many programs were attached, and what refused.
    pub fn summary(&self) -> String {
        let hooks = || self.facts.iter().flat_map(|fact| &fact.hooks);
        let refused: Vec<String> = hooks()
            .filter(|hook| !hook.attached)
            .map(|hook| format!("{} {}", hook.kind, hook.target))
            .collect();
        let attached = hooks().filter(|hook| hook.attached).count();
        let kernel = &self.kernel;
        if refused.is_empty() {
            format!("{kernel}: all {attached} programs attach")
        } else {
            format!(
                "{kernel}: {attached} programs attach, {} do not: {}",
                refused.len(),
                refused.join(", ")
            )
        }
    }

    /// As a test: a kernel on which a timeline lacks something fails it.
    pub fn verdict(&self) -> Counts {
        if self.complete {
            Counts::ONE_PASSED
        } else {
            Counts::ONE_FAILED
        }
    }
}

impl Fact {
    fn parse(json: &Value) -> Result<Self> {
        let candidates = json["candidates"].as_array().context("no candidates")?;
        Ok(Self {
            name: string(json, "fact")?,
            // What another hook makes needless was not tried.
            hooks: candidates
                .iter()
                .filter(|candidate| candidate["status"] != "not_needed")
                .map(Hook::parse)
                .collect::<Result<_>>()?,
        })
    }

    /// Kinds of hook that serve it, the preferred one first.
    pub fn serving(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = Vec::new();
        for hook in self.hooks.iter().filter(|hook| hook.attached) {
            if !kinds.contains(&hook.kind.as_str()) {
                kinds.push(&hook.kind);
            }
        }
        kinds
    }
}

impl Hook {
    fn parse(json: &Value) -> Result<Self> {
        Ok(Self {
            kind: string(json, "hook")?,
            target: string(json, "target")?,
            attached: json["status"] == "attached",
            reason: json["reason"].as_str().map(str::to_owned),
        })
    }
}

fn string(json: &Value, member: &str) -> Result<String> {
    let text = json[member].as_str();
    text.map(str::to_owned)
        .with_context(|| format!("no {member} in the diagnosis"))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A kernel that serves `tcp_state` by these kinds and refuses kfree_skb.
    pub fn kernel(release: &str, native: bool, kinds: &[&str]) -> Diagnosis {
        let hook = |kind: &&str| Hook {
            kind: (*kind).to_owned(),
            target: "tcp_set_state".to_owned(),
            attached: true,
            reason: None,
        };
        let refused = Hook {
            kind: "tracepoint".to_owned(),
            target: "skb:kfree_skb".to_owned(),
            attached: false,
            reason: Some("no | reason\nis told".to_owned()),
        };
        let fact = |name: &str, hooks| Fact {
            name: name.to_owned(),
            hooks,
        };
        Diagnosis {
            kernel: release.to_owned(),
            native,
            complete: true,
            facts: vec![
                fact("tcp_state", kinds.iter().map(hook).collect()),
                fact("packet_drop", vec![refused]),
            ],
        }
    }

    #[test]
    fn point_releases_share_a_column() {
        let column = |release| kernel(release, false, &["kprobe"]).column();
        assert_eq!(column("6.1.0-40-amd64"), column("6.1.0-41-amd64"));
        assert_eq!(column("7.2.13+deb14-amd64"), "7.2");
        assert_eq!(column("6.18-rc3"), "6.18");
    }

    #[test]
    fn a_machines_own_kernel_is_no_guests_kernel() {
        let name = |kinds: &[&str]| kernel("6.1.0", true, kinds).column();
        assert_eq!(name(&["kprobe", "fentry"]), "6.1, this machine's");
        assert_eq!(name(&["tracepoint"]), "6.1, no kprobes");
    }

    #[test]
    fn doctors_json_is_understood() {
        let text = r#"{"kernel": "6.1.0", "complete": false, "facts": [{"fact": "route",
            "candidates": [{"hook": "tracepoint", "target": "fib:x", "status": "failed",
            "reason": "EPERM"}]}]}"#;
        let diagnosis = Diagnosis::parse(text).unwrap();
        assert_eq!(diagnosis.verdict(), Counts::ONE_FAILED);
        let summary = diagnosis.summary();
        assert!(summary.contains("1 do not: tracepoint fib:x"), "{summary}");
        assert!(Diagnosis::parse("[    1.2] a kernel message").is_err());
    }
}
