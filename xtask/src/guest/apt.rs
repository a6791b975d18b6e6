//! apt with a state of its own: packages of another suite, without touching this system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::sources::{self, Archive};
use crate::process;

const UPDATE_LIMIT: Duration = Duration::from_secs(300);
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(900);
const QUICK: Duration = Duration::from_secs(60);

/// The package lists of one suite in a private folder.
#[derive(Debug)]
pub struct PrivateApt {
    configuration: PathBuf,
}

impl PrivateApt {
    /// Makes the folder and fetches the package lists.
    pub fn new(folder: &Path, suite: &str) -> Result<Self> {
        let archive = sources::debian_archive()?;
        for part in ["sources.d", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::write(
            folder.join("sources.d/guest.sources"),
            stanza(&archive, suite),
        )?;
        fs::write(folder.join("status"), "")?;
        let configuration = folder.join("apt.conf");
        fs::write(&configuration, configuration_text(folder))?;
        let apt = Self { configuration };
        process::run(apt.command("apt-get").args(["-qq", "update"]), UPDATE_LIMIT).with_context(
            || {
                format!(
                    "the package lists of {suite} cannot be had from {}",
                    archive.uri
                )
            },
        )?;
        Ok(apt)
    }

    /// A package and all it depends on, as far as their names begin with one of `prefixes`.
    pub fn closure(&self, package: &str, prefixes: &[&str]) -> Result<Vec<String>> {
        let mut found = vec![package.to_owned()];
        let mut next = 0;
        while let Some(name) = found.get(next).cloned() {
            next += 1;
            let text = process::capture(self.command("apt-cache").args(["depends", &name]), QUICK)?;
            for dependency in dependencies(&text) {
                let wanted = prefixes.iter().any(|prefix| dependency.starts_with(prefix));
                if wanted && !found.iter().any(|known| known == dependency) {
                    found.push(dependency.to_owned());
                }
            }
        }
        Ok(found)
    }

    /// Downloads packages, verified against the signed lists, into a folder.
    pub fn download(&self, packages: &[String], into: &Path) -> Result<()> {
        let mut command = self.command("apt-get");
        command
            .args(["-qq", "download", "--"])
            .args(packages)
            .current_dir(into);
        process::run(&mut command, DOWNLOAD_LIMIT)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("LC_ALL", "C")
            .arg("-c")
            .arg(&self.configuration);
        command
    }
}

fn stanza(archive: &Archive, suite: &str) -> String {
    let signed_by = archive
        .signed_by
        .as_ref()
        .map_or_else(String::new, |keys| format!("Signed-By: {keys}\n"));
    format!(
        "Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\n{signed_by}",
        archive.uri
    )
}

/// Read after the system's own configuration, so that proxies and credentials stay in force.
fn configuration_text(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "Dir::State \"{folder}\";\n\
         Dir::State::lists \"{folder}/lists\";\n\
         Dir::State::status \"{folder}/status\";\n\
         Dir::Cache \"{folder}/cache\";\n\
         Dir::Etc::sourcelist \"/dev/null\";\n\
         Dir::Etc::sourceparts \"{folder}/sources.d\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n\
         #clear APT::Architectures;\n\
         APT::Architecture \"amd64\";\n\
         APT::Architectures {{ \"amd64\"; }};\n\
         // Hooks of the system would clean caches that are not ours.\n\
         #clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         // apt's own user may not enter a home folder.\n\
         APT::Sandbox::User \"\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::PDiffs \"false\";\n\
         Acquire::Retries \"2\";\n\
         Acquire::http::Timeout \"30\";\n\
         Acquire::https::Timeout \"30\";\n"
    )
}

/// Names in `apt-cache depends`: `  Depends: linux-binary-6.1.0-1-amd64`, or `|Depends:` for
/// alternatives.
fn dependencies(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim_start_matches([' ', '|']);
        let name = line
            .strip_prefix("Depends: ")
            .or_else(|| line.strip_prefix("PreDepends: "))?;
        (!name.starts_with('<')).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_without_virtual_packages() {
        let text = "linux-image-amd64\n  Depends: linux-image-6.1.0-40-amd64\n |Depends: kmod\n  Depends: <linux-x>\n  Recommends: firmware\n";
        assert_eq!(
            dependencies(text).collect::<Vec<_>>(),
            ["linux-image-6.1.0-40-amd64", "kmod"]
        );
    }

    #[test]
    fn the_suite_is_changed_and_the_keyring_kept() {
        let archive = Archive {
            uri: "http://m.example/debian".to_owned(),
            signed_by: Some("/k.gpg".to_owned()),
        };
        assert_eq!(
            stanza(&archive, "sid"),
            "Types: deb\nURIs: http://m.example/debian\nSuites: sid\nComponents: main\nSigned-By: /k.gpg\n"
        );
    }
}
