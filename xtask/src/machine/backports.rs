//! Packages from Debian's backports, where this system's own sources cannot serve.
//!
//! A system that holds one package of a family from the backports (qemu-utils, for instance)
//! cannot have another one of the release itself, and its sources may not name the backports
//! any more. They are asked with package lists of our own; the system's sources stay as they are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::guest::sources::{self, Archive};
use crate::workspace::Workspace;

/// Makes the lists' folder; returns the options that lead apt-get to it.
pub fn options() -> Result<Vec<String>> {
    let suite = suite()?;
    let archive = sources::debian_archive()?;
    let folder = Workspace::find()?.target.join("backports");
    for part in ["sources.d", "lists/partial"] {
        fs::create_dir_all(folder.join(part))?;
    }
    fs::write(
        folder.join("sources.d/backports.sources"),
        stanza(&archive, &suite),
    )?;
    Ok(options_for(&folder))
}

/// The suite, as `apt-get -t` takes it.
pub fn suite() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot tell this release's name")?;
    let name = codename(&text).context("this system's release has no name in /etc/os-release")?;
    Ok(format!("{name}-backports"))
}

fn codename(os_release: &str) -> Option<&str> {
    let mut lines = os_release.lines();
    lines.find_map(|line| Some(line.strip_prefix("VERSION_CODENAME=")?.trim_matches('"')))
}

/// The release itself, too: what the package depends on may be in it alone.
fn stanza(archive: &Archive, suite: &str) -> String {
    let release = suite.trim_end_matches("-backports");
    let signed_by = archive
        .signed_by
        .as_ref()
        .map_or_else(String::new, |keys| format!("Signed-By: {keys}\n"));
    format!(
        "Types: deb\nURIs: {}\nSuites: {release} {suite}\nComponents: main\n{signed_by}",
        archive.uri
    )
}

fn options_for(folder: &Path) -> Vec<String> {
    let place = |part: &str| -> PathBuf { folder.join(part) };
    [
        format!("Dir::State::lists={}", place("lists").display()),
        "Dir::Etc::sourcelist=/dev/null".to_owned(),
        format!("Dir::Etc::sourceparts={}", place("sources.d").display()),
        // apt's own user may not enter a home folder.
        "APT::Sandbox::User=root".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_told_by_the_releases_name() {
        let text = "NAME=\"Debian\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(codename(text), Some("bookworm"));
        assert_eq!(codename("ID=debian\n"), None);
    }

    #[test]
    fn release_and_backports_are_asked_for_with_the_systems_keys() {
        let archive = Archive {
            uri: "http://m.example/debian".to_owned(),
            signed_by: Some("/k.gpg".to_owned()),
        };
        assert_eq!(
            stanza(&archive, "bookworm-backports"),
            "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm bookworm-backports\n\
             Components: main\nSigned-By: /k.gpg\n"
        );
    }
}
