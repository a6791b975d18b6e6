//! Files that reading captures never needs, out of reach (Landlock).
//!
//! Not for live captures: a process in a Landlock domain may not look at processes outside
//! of it (hook_ptrace_access_check in security/landlock), not even at /proc/PID/exe.

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};
use std::path::PathBuf;

/// The newest rules that this list was written for; older kernels keep those they know.
const RULES: ABI = ABI::V5;

/// From now on this thread, and those it starts, open nothing but `inputs`, for reading, and
/// reach no network. Returns what this kernel makes of it.
pub(super) fn keep_only(inputs: &[PathBuf]) -> Result<&'static str, String> {
    restrict(inputs).map_err(|error| error.to_string())
}

fn restrict(inputs: &[PathBuf]) -> Result<&'static str, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::from_all(RULES))?
        .create()?;
    for input in inputs {
        // What is not there, or is a pipe, needs no rule: opening it tells.
        let Ok(file) = PathFd::new(input) else {
            continue;
        };
        let is_file = input.metadata().is_ok_and(|metadata| metadata.is_file());
        if is_file {
            rules = rules.add_rule(PathBeneath::new(file, AccessFs::ReadFile))?;
        }
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => "only the inputs can be opened",
        RulesetStatus::PartiallyEnforced => {
            "only the inputs can be opened, as far as this kernel's Landlock goes"
        }
        RulesetStatus::NotEnforced => {
            "this kernel has no Landlock (Linux 5.13, CONFIG_SECURITY_LANDLOCK)"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::keep_only;
    use std::fs::{self, File};

    #[test]
    fn nothing_but_the_inputs_can_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["input", "other"] {
            fs::write(path(name), name).unwrap();
        }
        let (input, other, new) = (path("input"), path("other"), path("new"));
        let missing = path("missing");
        let thread = std::thread::spawn(move || {
            let told = keep_only(&[input.clone(), missing]).unwrap();
            if told.contains("no Landlock") {
                return None;
            }
            let opened = [
                fs::read_to_string(input).ok(),
                fs::read_to_string(other).ok(),
                fs::read_to_string("/etc/passwd").ok(),
                File::create(new).map(|_| "made".to_owned()).ok(),
            ];
            Some(opened)
        });
        if let Some([input, rest @ ..]) = thread.join().unwrap() {
            assert_eq!(input.as_deref(), Some("input"));
            assert_eq!(rest, [None, None, None]);
        }
    }
}
