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

/// How doas and pkexec name a user: the rest is in the user database.
enum Account {
    Name(String),
    Uid(u32),
}

impl Account {
    fn find(&self) -> Option<Identity> {
        let entry = match self {
            Self::Name(name) => User::from_name(name),
            Self::Uid(uid) => User::from_uid(Uid::from_raw(*uid)),
        };
        let entry = entry.ok().flatten()?;
        Some(Identity {
            uid: entry.uid.as_raw(),
            gid: entry.gid.as_raw(),
            name: entry.name,
        })
    }
}

impl Identity {
    /// The user who started this process through sudo(8) (`SUDO_UID`, `SUDO_GID`,
    /// `SUDO_USER`), doas(1) (`DOAS_USER`) or pkexec(1) (`PKEXEC_UID`); `None` when it was
    /// not started so, or by root itself.
    #[must_use]
    pub fn invoking() -> Option<Self> {
        if !Uid::effective().is_root() {
            return None;
        }
        let mut found = Self::from_variables(|name| std::env::var(name).ok(), Account::find)?;
        // The groups are those of a name, which must be this very user's.
        let uid = Uid::from_raw(found.uid);
        let is_theirs = |name: &str| {
            let named = User::from_name(name).ok().flatten();
            named.is_some_and(|user| user.uid == uid)
        };
        if !is_theirs(&found.name) {
            let entry = User::from_uid(uid).ok().flatten();
            found.name = entry.map(|user| user.name).unwrap_or_default();
        }
        Some(found)
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
        account: impl Fn(&Account) -> Option<Self>,
    ) -> Option<Self> {
        let number = |name| variable(name)?.parse().ok();
        let found = match (number("SUDO_UID"), number("SUDO_GID")) {
            (Some(uid), Some(gid)) => Self {
                uid,
                gid,
                name: variable("SUDO_USER").unwrap_or_default(),
            },
            _ => match variable("DOAS_USER") {
                Some(name) => account(&Account::Name(name))?,
                None => account(&Account::Uid(number("PKEXEC_UID")?))?,
            },
        };
        (found.uid != 0).then_some(found)
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
pub(super) const SUDO_VARIABLES: [&str; 6] = [
    "SUDO_UID",
    "SUDO_GID",
    "SUDO_USER",
    "SUDO_COMMAND",
    "DOAS_USER",
    "PKEXEC_UID",
];

#[cfg(test)]
mod tests {
    use super::{Account, Identity};

    fn identity(variables: &[(&str, &str)]) -> Option<Identity> {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Identity::from_variables(variable, |account| {
            let (uid, name) = match account {
                Account::Name(name) if name == "root" => (0, "root"),
                Account::Name(name) if name == "ada" => (1000, "ada"),
                Account::Uid(1000) => (1000, "ada"),
                _ => return None,
            };
            Some(Identity {
                uid,
                gid: 1001,
                name: name.to_owned(),
            })
        })
    }

    #[test]
    fn doas_and_pkexec_name_a_user_of_the_database() {
        let by_doas = identity(&[("DOAS_USER", "ada")]);
        assert_eq!(by_doas.as_ref().map(|found| found.uid), Some(1000));
        assert_eq!(by_doas, identity(&[("PKEXEC_UID", "1000")]));
        assert_eq!(identity(&[("DOAS_USER", "root")]), None);
        assert_eq!(identity(&[("PKEXEC_UID", "77")]), None);
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
