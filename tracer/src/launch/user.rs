//! The user who called sudo: the traced command runs as that user, not as root.

use nix::unistd::{Gid, Uid, User, initgroups, setgid, setgroups, setuid};
use std::ffi::{CString, OsString};
use std::path::PathBuf;

/// A user to become, as sudo names it in the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// Login name; empty when it is not known.
    pub name: String,
}

impl Identity {
    /// The user who started this process through sudo(8) (`SUDO_UID`, `SUDO_GID`,
    /// `SUDO_USER`); `None` when it was not started through sudo, or by root itself.
    #[must_use]
    pub fn invoking() -> Option<Self> {
        if !Uid::effective().is_root() {
            return None;
        }
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let uid = variable("SUDO_UID")?.parse().ok().filter(|uid| *uid != 0)?;
        let gid = variable("SUDO_GID")?.parse().ok()?;
        Some(Self {
            uid,
            gid,
            name: variable("SUDO_USER").unwrap_or_default(),
        })
    }

    /// Becomes this user for good: supplementary groups, group, user, in this order
    /// because each step takes away the right to do the one before.
    pub(super) fn assume(&self) -> nix::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        match CString::new(self.name.as_str()) {
            Ok(name) if !self.name.is_empty() => initgroups(&name, gid)?,
            _ => setgroups(&[gid])?,
        }
        setgid(gid)?;
        setuid(uid)
    }

    /// What sudo changed in the environment, changed back.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = Vec::new();
        if !self.name.is_empty() {
            variables.push(("USER", self.name.clone().into()));
            variables.push(("LOGNAME", self.name.clone().into()));
        }
        if let Ok(Some(entry)) = User::from_uid(Uid::from_raw(self.uid)) {
            for (name, path) in [("HOME", entry.dir), ("SHELL", entry.shell)] {
                if path != PathBuf::new() {
                    variables.push((name, path.into()));
                }
            }
        }
        variables
    }
}

/// Variables that would tell the command that it runs under sudo, which it no longer does.
pub(super) const SUDO_VARIABLES: [&str; 4] = ["SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND"];

#[cfg(test)]
mod tests {
    use super::Identity;

    fn identity(variables: &[(&str, &str)]) -> Option<Identity> {
        Identity::from_variables(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn sudo_names_the_user_to_become() {
        let found = identity(&[
            ("SUDO_UID", "1000"),
            ("SUDO_GID", "1001"),
            ("SUDO_USER", "ada"),
        ]);
        assert_eq!(
            found,
            Some(Identity {
                uid: 1000,
                gid: 1001,
                name: "ada".into()
            })
        );
    }

    #[test]
    fn root_under_sudo_and_no_sudo_at_all_change_nothing() {
        assert_eq!(identity(&[("SUDO_UID", "0"), ("SUDO_GID", "0")]), None);
        assert_eq!(identity(&[]), None);
        assert_eq!(identity(&[("SUDO_UID", "1000")]), None);
        assert_eq!(identity(&[("SUDO_UID", "no"), ("SUDO_GID", "5")]), None);
    }
}
